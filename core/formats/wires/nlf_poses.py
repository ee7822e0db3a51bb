"""NLFPRED, the poses of NLF as ComfyUI packs hand them on.

A dictionary {"joints3d_nonparam": frames}: for each frame the float tensor (P, 24, 3), in a list of one or not; or, from other nodes under the same
name, a bare tensor (T, 24, 3). SMPL joint order, millimetres, camera space (x right, y down, z forward), seen by a camera of 55 degrees over the longer side of
the picture. P varies and may be 0; a person whose joints are all zero is nobody. (kijai/ComfyUI-WanVideoWrapper, MTV/nodes.py; the zeros are those of
packs that keep one person for each frame.)
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...body.gaps import fill_gaps
from ...geometry.cameras import MOTION_CAPTURE_FOV_DEG, check_camera, motion_capture_intrinsics, own_camera
from ...types import CameraRig, Frame, ImageSize, Motion
from .payloads import entry, frame_list, numbers
from .pose_frames import PoseFrames

KIND = "NLFPRED"
_MILLIMETRE = 1e-3
_SMALLEST_PERSON = 0.05  # metres across the joints that are there: below it the numbers were no millimetres


def nlf_frames(payload: Any, *, image_size: ImageSize | None = None) -> PoseFrames:
    """Read NLFPRED.

    Args:
        image_size: (H, W) of the picture, which the payload does not tell; it gives the camera.

    Raises:
        ValueError: no such key, a frame that is no (P, 24, 3), frames without anybody, or numbers that cannot be millimetres.
    """
    if isinstance(payload, Tensor) or hasattr(payload, "__array__"):
        bare = numbers(payload, KIND, (None, 24, 3))
        people = [torch.from_numpy(frame)[None] for frame in bare]
    else:
        people = [_people(frame, number) for number, frame in enumerate(_frames(payload))]
    people = [frame * _MILLIMETRE for frame in people]
    confidence = [(torch.isfinite(frame).all(-1) & (frame != 0).any(-1).any(-1, keepdim=True)).float() for frame in people]
    joints = [torch.where(trust[..., None] > 0, frame, torch.nan) for frame, trust in zip(people, confidence, strict=True)]
    _check_unit(torch.cat(joints), torch.cat(confidence))
    return PoseFrames(
        joints=tuple(joints), confidence=tuple(confidence), image_size=image_size,
        intrinsics=None if image_size is None else motion_capture_intrinsics(image_size),
    )  # fmt: skip


def _frames(payload: Any) -> list:
    frames = entry(payload, "joints3d_nonparam", kind=KIND)
    if isinstance(frames, Tensor) or hasattr(frames, "__array__"):
        return list(torch.from_numpy(numbers(frames, "joints3d_nonparam", (None, 24, 3)))[:, None])
    return frame_list(frames, "joints3d_nonparam")


def _people(frame: Any, number: int) -> Tensor:
    """(P, 24, 3) of one frame, which may come in a list of one and as (24, 3)."""
    if isinstance(frame, (list, tuple)) and len(frame) == 1:
        frame = frame[0]
    if frame is None or (hasattr(frame, "__len__") and len(frame) == 0):
        return torch.zeros(0, 24, 3)
    if len(getattr(frame, "shape", ())) == 2:
        frame = frame[None]
    return torch.from_numpy(numbers(frame, f"joints3d_nonparam of frame {number}", (None, 24, 3)))


def _check_unit(joints: Tensor, confidence: Tensor) -> None:
    known = confidence.bool()
    if not known.any():
        raise ValueError("NLFPRED: nobody is in any of the frames: check the detector before this node")
    joints, known = joints[known.any(-1)], known[known.any(-1)]
    low, high = (torch.where(known[..., None], joints, fill) for fill in (torch.inf, -torch.inf))
    reach = float((high.amax(1) - low.amin(1)).norm(dim=-1).median())
    if reach < _SMALLEST_PERSON:
        raise ValueError(f"NLFPRED: people are {reach * 1000:.3g} mm large: the joints are no millimetres, multiply them by 1000")


def from_nlfpred(payload: Any, *, fps: float, image_size: ImageSize | None = None, person: int = 0) -> Motion:
    """One person of NLFPRED as a camera-space motion; see `nlf_frames`."""
    return nlf_frames(payload, image_size=image_size).motion(person, fps=fps)


def to_nlfpred(
    motions: Sequence[Motion], *, rig: CameraRig | None = None, view: int = 0
) -> tuple[dict[str, list[Tensor]], tuple[str, ...]]:
    """Motions of SMPL's 24 joints as NLFPRED, and what was filled or must be known.

    Frames that lack a person leave it out; single joints missing from a person are bridged in time, as the type has no way to leave them out.

    Args:
        motions: of equal length. rig: the camera that sees world-space motions, one of its views.

    Raises:
        ValueError: motions of other joints or of different length, a world-space motion without a camera, or a joint that is never seen.
    """
    _check_alike(motions)
    seen = [_in_camera(motion, rig, view) for motion in motions]
    notes = []
    for number, motion in enumerate(motions):
        present = motion.seen.any(-1)
        holes = present[:, None] & ~motion.seen
        if not holes.any():
            continue
        filled = fill_gaps(motion)
        if not filled.seen[present].all():
            raise ValueError(f"motion {number}: a joint is missing in every frame, and NLFPRED cannot leave it out: convert another motion")
        seen[number] = _in_camera(filled, rig, view)
        notes.append(f"motion {number}: {int(holes.sum())} missing joints bridged in {int(holes.any(-1).sum())} frames")
    frames = [
        torch.stack(
            [track[frame] for motion, track in zip(motions, seen, strict=True) if motion.seen[frame].any()] or [torch.zeros(0)]
        ).reshape(-1, 24, 3)
        / _MILLIMETRE
        for frame in range(motions[0].frames)
    ]
    return {"joints3d_nonparam": frames}, (*notes, *_camera_notes(motions[0], rig, view))


def _check_alike(motions: Sequence[Motion]) -> None:
    if not motions:
        raise ValueError("no motion is given, expected at least one")
    lengths = sorted({motion.frames for motion in motions})
    if len(lengths) > 1:
        raise ValueError(f"the motions have {' and '.join(map(str, lengths))} frames: cut them to one length with Cut Motion")
    if joints := [len(motion.skeleton.names) for motion in motions if len(motion.skeleton.names) != 24]:
        raise ValueError(f"a motion has {joints[0]} joints, NLFPRED holds SMPL's 24: convert it with Convert Skeleton")


def _in_camera(motion: Motion, rig: CameraRig | None, view: int) -> Tensor:
    """Joints (T, 24, 3) in metres in the axes of the camera."""
    if motion.frame is Frame.CAMERA:
        if rig is not None:
            check_camera(motion, rig)
        return motion.joints
    if rig is None:
        raise ValueError("the motion is in world axes and NLFPRED in those of a camera: connect cameras (Place Orbit Cameras)")
    if not 0 <= view < rig.views:
        raise ValueError(f"there is no view {view}: the cameras have {rig.views}, from 0")
    return rig.to_camera(motion.joints)[view]


def _camera_notes(motion: Motion, rig: CameraRig | None, view: int) -> tuple[str, ...]:
    """What to know of a camera that is not the one which readers of NLFPRED assume."""
    if rig is None:
        if motion.intrinsics is None:
            return ()
        rig, view = own_camera(motion), 0
    views, size = rig.intrinsics[view].reshape(-1, 3, 3), rig.image_size  # one, or those of a camera that moves
    wanted = motion_capture_intrinsics(size)
    note = f"draw it at {size[1]}x{size[0]} pixels, or another size of the same proportions"
    if torch.allclose(views, wanted.to(views), rtol=1e-3):
        return (note,)
    fov = (2 * torch.rad2deg(torch.atan(max(size) / 2 / views[:, 0, 0]))).aminmax()
    degrees = f"{float(fov.min):.1f}" if fov.max - fov.min < 0.1 else f"{float(fov.min):.1f} to {float(fov.max):.1f}"
    return (
        note,
        f"the camera has {degrees} degrees over the longer side; other packs draw NLFPRED with {MOTION_CAPTURE_FOV_DEG:g}, which moves the drawing",
    )
