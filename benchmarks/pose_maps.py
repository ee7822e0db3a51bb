"""Pose maps read back: how exactly, how fast, and what becomes of a motion: `python -m motion4d.benchmarks.pose_maps [--fox FILE.glb]`.

First skeletons of 55 joints, at least 13 px from each other, through JPEG and through what a VAE may do to pictures. Then motions from end to end: drawn with four
cameras around, encoded as H.264 videos (crf 18, yuv420p), decoded, read and triangulated; errors are shares of the character's height at rest.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.formats import load_rig, read_video, write_video
from ..core.formats.rig_animation import list_animations, load_animation
from ..core.geometry.cameras import orbit_rig
from ..core.geometry.kinematics import forward
from ..core.geometry.triangulation import REST, triangulate
from ..core.maps.palettes import make_palette
from ..core.maps.pose_map_painting import Style, paint
from ..core.maps.pose_maps import auto_radius, crowded_groups, draw_pose_maps, read_again, read_pose_maps
from ..core.skeletons import SMPL24, SMPLX55
from ..core.types import CameraRig, Keypoints, Motion
from .made_rigs import height_of, lively, mechanical, quadruped, winged

SIZE = (480, 832)
AZIMUTHS = (0.0, 90.0, 180.0, 270.0)
FPS, SECONDS = 16.0, 3.0
_FOCAL = 35 / 32  # of the width: AnimaX's lens
_DISTANCE = 2.7  # of the cameras, in largest sides of the box that holds the motion


# --- single pictures


def scatter(count: int, *, apart: float, generator: np.random.Generator) -> np.ndarray:
    """(count, 2) pixels, none nearer than `apart` to another, in a picture of SIZE."""
    places: list[np.ndarray] = []
    while len(places) < count:
        point = generator.uniform(20, np.array(SIZE[::-1]) - 20)
        if all(np.hypot(*(point - other)) >= apart for other in places):
            places.append(point)
    return np.array(places)


def nearest_tree(places: np.ndarray) -> list[int]:
    """Parents: of each point the nearest one before it."""
    return [-1, *(int(np.linalg.norm(places[:number] - places[number], axis=-1).argmin()) for number in range(1, len(places)))]


def jpeg(levels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """JPEG of quality 50 with halved colours."""
    import cv2

    how = [cv2.IMWRITE_JPEG_QUALITY, 50, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    return cv2.imdecode(cv2.imencode(".jpg", np.ascontiguousarray(levels[..., ::-1]), how)[1], cv2.IMREAD_COLOR)[..., ::-1]


def _worn(
    levels: np.ndarray, generator: np.random.Generator, blur: float, noise: float, gain: tuple[float, float], bias: float
) -> np.ndarray:
    import cv2

    picture = cv2.GaussianBlur(levels.astype(np.float32), None, blur)
    grain = cv2.GaussianBlur(generator.normal(0, 1, levels.shape).astype(np.float32), None, 1.5)
    drift = generator.uniform(*gain, 3), generator.uniform(-bias, bias, 3)
    worn = picture * drift[0] + drift[1] + grain * (noise / grain.std())
    return np.clip(np.round(worn), 0, 255).astype(np.uint8)


def mild(levels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Blur of 1.2 px, noise of 10 levels with grain, and colours that drift a little."""
    return _worn(levels, generator, 1.2, 10, (0.95, 1.0), 6)


def strong(levels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Blur of 2 px, noise of 14 levels with grain, and contrast down to 0.9."""
    return _worn(levels, generator, 2.0, 14, (0.9, 1.0), 0)


WEAR = {"JPEG 50": jpeg, "mild": mild, "strong": strong}


@dataclass(frozen=True)
class Accuracy:
    """errors: pixels of the joints that were found. found: share of all. milliseconds of the processor and on the clock, for each picture."""

    errors: np.ndarray
    found: float
    processor_ms: float
    clock_ms: float

    def within(self, pixels: float) -> float:
        """Share of all joints."""
        return float((self.errors < pixels).mean() * self.found)


def localise(wear: Callable, *, joints: int = 55, radius: float = 5.0, pictures: int = 24, apart: float = 13.0, seed: int = 0) -> Accuracy:
    """Read pictures of skeletons that have nothing to do with each other, after `wear`."""
    generator = np.random.default_rng(seed)
    places = np.stack([scatter(joints, apart=apart, generator=generator) for _ in range(pictures)])
    worn, palette = [], make_palette(joints)
    for own in places:
        bones = np.array([(child, parent) for child, parent in enumerate(nearest_tree(own)) if parent >= 0])
        drawn = paint(own[None, None], np.ones((1, 1, joints)), bones, palette, SIZE, Style(radius, 5.0))
        worn.append(torch.from_numpy(wear((drawn[0, 0].numpy() * 255).round().astype(np.uint8), generator).copy()))
    images = torch.stack(worn)[None]
    read_pose_maps(images[:, :1], palette, radius=radius)  # libraries load
    processor, clock = time.process_time(), time.perf_counter()
    found = read_pose_maps(images, palette, radius=radius, temporal=False).pixels[0].numpy()
    taken = (time.process_time() - processor, time.perf_counter() - clock)
    errors = np.linalg.norm(found - places, axis=-1)
    there = np.isfinite(errors)
    return Accuracy(errors[there], float(there.mean()), *(1000 * part / pictures for part in taken))


# --- from end to end


@dataclass(frozen=True)
class Outcome:
    """errors: (T, J) shares of the height. joints: (T, J, 3) as triangulated. keypoints; processor_ms of reading a picture."""

    errors: np.ndarray
    joints: Tensor
    keypoints: Keypoints
    processor_ms: float


def cameras_around(motion: Motion) -> CameraRig:
    """Four cameras, 90 degrees apart, that see the whole motion."""
    low, high = motion.joints.flatten(0, 1).aminmax(dim=0)
    side = float((high - low).max())
    target = ((high + low) / 2).tolist()
    return orbit_rig(AZIMUTHS, radius=_DISTANCE * side, focal_px=_FOCAL * SIZE[1], image_size=SIZE, target=target)


def through_video(images: Tensor, fps: float, *, crf: float = 18) -> Tensor:
    """(V, T, H, W, 3) in 0..1 -> the same as uint8, through one H.264 file for each view."""
    with tempfile.TemporaryDirectory() as folder:
        views = []
        for view, frames in enumerate(images):
            path = Path(folder) / f"{view}.mp4"
            write_video((frame.mul(255).round().byte() for frame in frames), path, fps, crf=crf)
            views.append(torch.stack(list(read_video(path))))
    return torch.stack(views)


def round_trip(motion: Motion, *, detail: bool = False, cameras: CameraRig | None = None, crf: float = 18) -> Outcome:
    """Draw, encode, decode, read and triangulate a motion; bones keep their lengths at rest, which a rig tells."""
    cameras = cameras_around(motion) if cameras is None else cameras
    radius, groups = auto_radius(motion, cameras), crowded_groups(motion.skeleton) if detail else ()
    views, taken = [], 0.0
    for view in range(cameras.views):  # one after the other: all pictures at once would be gigabytes
        maps = draw_pose_maps(motion, cameras.take_views([view]), radius=radius, detail=groups)
        body = through_video(maps.images, motion.fps, crf=crf)
        large = None if maps.detail is None else through_video(maps.detail.images, motion.fps, crf=crf)
        start = time.process_time()
        views.append(read_again(body, maps, detail_images=large))
        taken += time.process_time() - start
    pixels, confidence = (torch.cat([getattr(view, part) for view in views]) for part in ("pixels", "confidence"))
    keypoints = Keypoints(pixels=pixels, confidence=confidence, image_size=SIZE)
    found = triangulate(keypoints, cameras, motion.skeleton, bone_lengths=REST, fps=motion.fps).motion.joints
    errors = (found.double() - motion.joints.double()).norm(dim=-1).numpy() / height_of(motion.skeleton)
    return Outcome(errors, found, keypoints, 1000 * taken / (cameras.views * motion.frames))


def scaled(motion: Motion, factor: float) -> Motion:
    """The same motion in a world `factor` times as large.

    With powers of two all results are the same to the last bit. With others float32 rounds differently: pictures differ by less than 1e-3 of a level, and now
    and then a pixel by one after rounding to 8 bits; from there on an encoder decides otherwise.
    """
    skeleton = replace(motion.skeleton, rest=motion.skeleton.rest * factor)
    return replace(motion, joints=motion.joints * factor, skeleton=skeleton, rotations=None, translation=None)


# --- the tables


def _print_localisation(pictures: int) -> None:
    print(
        f"55 joints at least 13 px apart in {SIZE[1]} x {SIZE[0]} pixels, {pictures} pictures, each for itself (bounds for JPEG 50: median 0.25 px, 99 % within 3 px, 15 ms)"
    )
    print(f"{'':10}{'radius':>8}{'median':>10}{'99 %':>10}{'within 3 px':>13}{'found':>9}{'processor':>12}{'clock':>10}")
    for name, wear in WEAR.items():
        for radius in (4.0, 5.0, 6.0):
            got = localise(wear, radius=radius, pictures=pictures)
            print(
                f"{name:10}{radius:5.0f} px{np.median(got.errors):7.2f} px{np.quantile(got.errors, 0.99):7.2f} px{got.within(3):13.2%}{got.found:9.2%}"
                f"{got.processor_ms:9.1f} ms{got.clock_ms:7.1f} ms",
                flush=True,
            )


def _line(name: str, bound: float, outcome: Outcome) -> None:
    mean, high, most = outcome.errors.mean(), np.quantile(outcome.errors, 0.99), outcome.errors.max()
    print(
        f"{name:34}{mean:9.3%}{bound:8.2%}{'' if mean <= bound else ' !':2}{high:8.2%}{most:8.2%}{outcome.keypoints.seen.float().mean():8.1%}{outcome.processor_ms:8.1f} ms",
        flush=True,
    )


def _print_round_trips(seconds: float, fox: Path | None) -> None:
    print(
        f"\nend to end, 4 views, {seconds:g} s at {FPS:g} fps, joints turn by 60 degrees, the root travels half a height; errors in parts of the height"
    )
    print(f"{'':34}{'MPJPE':>9}{'bound':>8}{'':2}{'99 %':>8}{'most':>8}{'seen':>8}{'reading':>11}")
    how = {"seconds": seconds, "fps": FPS}
    person = lively(SMPL24, **how)
    first = round_trip(person)
    _line("humanoid, 24 joints", 0.0015, first)
    fingers = lively(SMPLX55, **how)
    _line("humanoid, 55 joints, one map", 0.008, round_trip(fingers))
    _line("humanoid, 55 joints, with detail", 0.005, round_trip(fingers, detail=True))
    for name, skeleton in (("quadruped", quadruped()), ("winged", winged()), ("mechanical", mechanical())):
        _line(f"{name}, {len(skeleton.names)} joints", 0.0015, round_trip(lively(skeleton, **how)))
    if fox is not None:
        rig = load_rig(fox)
        for clip, info in enumerate(list_animations(rig)):
            motion = forward(load_animation(rig, clip, fps=FPS))
            _line(f"{fox.name}, {info.name}, {len(rig.skeleton.names)} joints", 0.0015, round_trip(motion))
    for factor in (1024.0, 1000.0):
        large = round_trip(scaled(person, factor))
        _line(f"humanoid, world times {factor:.0f}", 0.0015, large)
        apart = (large.joints / factor - first.joints).norm(dim=-1) / height_of(SMPL24)
        print(
            f"  its joints differ from those above by {float(apart.mean()):.4%} of the height in the mean, {float(apart.max()):.3%} at most"
        )
    quick = round_trip(lively(SMPL24, seconds=seconds, fps=2 * FPS), cameras=cameras_around(person))
    _line("humanoid, twice the frames", 0.0015, quick)
    apart = (quick.joints[::2] - first.joints).norm(dim=-1) / height_of(SMPL24)
    print(f"  its joints differ from those above by {float(apart.mean()):.3%} of the height in the mean")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m motion4d.benchmarks.pose_maps", description=__doc__)
    parser.add_argument("--fox", type=Path, help="an animated character, each of whose animations is sent through")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--pictures", type=int, default=24)
    options = parser.parse_args(arguments)
    print(f"CPU, {torch.get_num_threads()} threads of torch")
    _print_localisation(options.pictures)
    _print_round_trips(options.seconds, options.fox)


if __name__ == "__main__":
    main()
