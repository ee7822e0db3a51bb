"""How well MediaPipe's motion lies on the dancer, and agrees with a motion that another estimator found in the same video:
`python -m motion4d.benchmarks.mediapipe_agreement VIDEO --motion FILE.npz [--clip 0 --output overlay.png]`."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..core.estimators.extraction import extract
from ..core.estimators.landmarks import LANDMARK_OF, lift
from ..core.estimators.mediapipe import MediaPipe
from ..core.estimators.people import Detections
from ..core.formats import load_motion, read_video
from ..core.formats.pictures import write_picture
from ..core.geometry.cameras import own_camera, with_camera
from ..core.maps.drawing import draw_skeleton
from ..core.skeletons import SMPL24
from ..core.types import Frame, Motion

IN_SIGHT = 0.5  # confidence
_PICTURES, _PICTURE_HEIGHT = 6, 480


class Recording(MediaPipe):
    """MediaPipe that remembers the landmarks of each frame."""

    def __init__(self):
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor, Tensor] | None] = []

    def landmarks(self, frame):
        self.seen.append(super().landmarks(frame))
        return self.seen[-1]


def aligned(source: Tensor, target: Tensor, *, scale: bool) -> Tensor:
    """Source (N, 3) moved as one, and scaled if wanted, as near to target (N, 3) as it goes (Umeyama, 1991)."""
    a, b = source.double() - source.double().mean(0), target.double() - target.double().mean(0)
    u, spread, v = torch.linalg.svd(b.mT @ a)
    sign = torch.ones(3, dtype=torch.float64)
    sign[2] = torch.sign(torch.linalg.det(u @ v))
    factor = (spread * sign).sum() / (a * a).sum() if scale else 1.0
    return factor * a @ (u @ torch.diag(sign) @ v).mT + target.double().mean(0)


def measured(detections: Detections) -> Motion:
    """The first person of each frame; the last pose, with confidence 0, where there is none."""
    last = next(people for people in detections.frames if people.count)
    joints, confidence = [], []
    for people in detections.frames:
        last = people if people.count else last
        joints.append(last.joints[0])
        confidence.append(last.confidence[0] if people.count else torch.zeros(24))
    return Motion(
        joints=torch.stack(joints), confidence=torch.stack(confidence), skeleton=SMPL24, fps=detections.fps, frame=Frame.CAMERA,
        intrinsics=detections.intrinsics, image_size=detections.image_size,
    )  # fmt: skip


def projected(points: Tensor, intrinsics: Tensor) -> Tensor:
    """(..., 3) -> (..., 2) pixels."""
    flat = points @ intrinsics.mT
    return flat[..., :2] / flat[..., 2:]


def report(motion: Motion, other: Motion, seen: Sequence[tuple[Tensor, Tensor, Tensor]], present: Tensor) -> str:
    """Lines of numbers: `seen` are the landmarks of the frames that are `present` (T) bool."""
    world, pixels, visibility = (torch.stack(parts) for parts in zip(*seen, strict=True))
    diagonal = sum(side**2 for side in motion.image_size) ** 0.5
    joints, marks = [SMPL24.index(name) for name in LANDMARK_OF], list(LANDMARK_OF.values())
    ours, theirs, confidence = motion.joints[present], other.joints[present], motion.confidence[present]
    in_sight = (
        (confidence[:, joints] > IN_SIGHT)
        & (pixels[:, marks] >= 0).all(-1)
        & (pixels[:, marks] < torch.tensor(motion.image_size[::-1])).all(-1)
    )
    body = lift(world, pixels, visibility, motion.intrinsics)[1]
    flat = projected(ours, motion.intrinsics)

    def distance(name: str, points: Tensor, wanted: Tensor) -> str:
        error = (points - wanted).norm(dim=-1)[in_sight]
        return f"{name}: {error.mean():.2f} px = {100 * error.mean() / diagonal:.2f} % of the diagonal"

    lines = [
        f"{int(present.sum())} of {len(present)} frames with a person, {100 * in_sight.float().mean():.0f} % of shoulders to ankles in sight; of those:",
        distance("reprojection of the rigid body on its landmarks", projected(body, motion.intrinsics)[:, marks], pixels[:, marks]),
        distance("from the other skeleton in the picture", flat[:, joints], projected(theirs, other.intrinsics)[:, joints]),
    ]
    for name, scale in (("rigid", False), ("similarity", True)):
        error = 1000 * (aligned(ours.flatten(0, 1), theirs.flatten(0, 1), scale=scale) - theirs.flatten(0, 1)).norm(dim=-1).reshape(-1, 24)
        sure = confidence > IN_SIGHT
        worst = error.mean(0).argsort(descending=True)[:3].tolist()
        told = ", ".join(f"{SMPL24.names[joint]} {error[:, joint].mean():.0f}" for joint in worst)
        lines.append(f"MPJPE, one {name} alignment of the clip: {error.mean():.1f} mm, {error[sure].mean():.1f} in sight; worst: {told}")
    each = torch.stack([aligned(a, b, scale=True) for a, b in zip(ours, theirs, strict=True)])
    lines.append(f"MPJPE, each frame aligned by a similarity: {1000 * (each - theirs).norm(dim=-1).mean():.1f} mm")
    return "\n".join(lines)


def overlay(motion: Motion, other: Motion, frames: Sequence[Tensor], numbers: Sequence[int]) -> Tensor:
    """A sheet (H, W, 3) in 0..1: MediaPipe's skeleton above, the other below, on some frames."""
    height, width = motion.image_size
    step = max(1, round(height / _PICTURE_HEIGHT))
    background = torch.stack(list(frames)) / 255
    rows = []
    for one in (motion, other):
        pictures = draw_skeleton(one.take(list(numbers)), own_camera(one, (height, width)), background=background)[0]
        rows.append(torch.cat(list(pictures[:, ::step, ::step]), 1))
    return torch.cat(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--motion", type=Path, required=True, help="camera-space motion of the same video")
    parser.add_argument("--clip", type=int, default=0)
    parser.add_argument("--output", type=Path, help="a PNG with both skeletons on some frames")
    options = parser.parse_args(arguments)
    video, estimator = read_video(options.video), Recording()
    start = time.perf_counter()
    detections = extract(video, estimator, fps=video.fps, image_size=video.image_size)
    seconds = time.perf_counter() - start
    other = with_camera(load_motion(options.motion, clip=options.clip), video.image_size)
    motion = measured(detections)
    if other.frames != motion.frames:
        raise SystemExit(
            f"{options.motion.name}, clip {options.clip}: {other.frames} frames, the video has {motion.frames}: it is of another video"
        )
    present = torch.tensor([people.count > 0 for people in detections.frames])
    print(f"{options.video.name}: {1000 * seconds / motion.frames:.0f} ms a frame; shots {detections.shots}")
    print(report(motion, other, [one for one in estimator.seen if one is not None], present))
    if options.output is not None:
        numbers = torch.linspace(0, motion.frames - 1, _PICTURES).round().int().tolist()
        write_picture(overlay(motion, other, [video[number] for number in numbers], numbers), options.output)


if __name__ == "__main__":
    main()
