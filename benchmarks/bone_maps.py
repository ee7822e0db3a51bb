"""Time and memory of the bone maps beside a naive dense renderer: `python -m motion4d.benchmarks.bone_maps [--frames 81 --size 512 --device cuda]`."""

import argparse
import math
import time
from collections.abc import Sequence

import numpy as np
import torch

from ..core.body.anthropometry import HEAD_SECTION, HEAD_TOP, bone_sections, thickness_scale
from ..core.geometry.cameras import orbit_rig
from ..core.maps import bone_maps
from ..core.skeletons import SMPL24, SMPLX55
from ..core.types import CameraRig, Frame, Motion, Skeleton
from .measures import best_seconds, high_water, in_new_process

_OUTPUT = ((torch.float32, ()), (torch.float32, (3,)), (torch.bool, ()), (torch.int16, ()))  # depth, normal, mask and ids of a pixel
_BYTES = 4 + 12 + 1 + 2


def naive_bone_maps(motion: Motion, rig: CameraRig) -> tuple[np.ndarray, np.ndarray]:
    """Every round ellipsoid at every pixel in float64, quadric by quadric: depth (V, T, H, W) and normal (V, T, H, W, 3).

    An independent twin of `render_bone_maps` for motions without rotations on SMPL's skeleton; nothing of the renderer is used but the radii.
    """
    joints, sections = motion.joints.double().numpy(), bone_sections(motion).numpy()
    scale = thickness_scale(motion)
    height, width = rig.image_size
    depth = np.zeros((rig.views, motion.frames, height, width))
    normal = np.zeros((*depth.shape, 3))
    for view in range(rig.views):
        camera = rig.world_to_camera[view].double().numpy()
        rays = _rays(rig.intrinsics[view].double().numpy(), height, width)
        for frame in range(motion.frames):
            seen = joints[frame] @ camera[:, :3].T + camera[:, 3]
            bones = [(seen[parent], seen[child], sections[row, 0]) for row, (child, parent) in enumerate(motion.skeleton.bones)]
            neck, head = seen[12], seen[15]
            crown = head + scale * np.linalg.norm(HEAD_TOP) * (head - neck) / np.linalg.norm(head - neck)
            for start, end, radius in [*bones, (head, crown, scale * HEAD_SECTION[0])]:
                _draw_naive(start, end, radius, rays, depth[view, frame], normal[view, frame])
    return depth, normal


def _rays(intrinsics: np.ndarray, height: int, width: int) -> np.ndarray:
    v, u = np.mgrid[:height, :width] + 0.5
    return np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(intrinsics).T


def _draw_naive(start: np.ndarray, end: np.ndarray, radius: float, rays: np.ndarray, depth: np.ndarray, normal: np.ndarray) -> None:
    length = np.linalg.norm(end - start)
    along = np.outer(end - start, end - start) / length**2
    quadric = along / (length / 2 + 0.3 * radius) ** 2 + (np.eye(3) - along) / radius**2
    center = (start + end) / 2
    a = np.einsum("hwi,ij,hwj->hw", rays, quadric, rays)
    b = rays @ quadric @ center
    c = center @ quadric @ center - 1
    square = b * b - a * c
    z = (b - np.sqrt(np.maximum(square, 0))) / a
    distance = z * np.linalg.norm(rays, axis=-1)
    hit = (square >= 0) & (z > 0.05) & (c > 0) & ((depth == 0) | (distance < depth))
    gradient = (z[..., None] * rays - center) @ quadric
    depth[hit] = distance[hit]
    normal[hit] = (gradient / np.linalg.norm(gradient, axis=-1, keepdims=True))[hit]


def standing_figure(frames: int, size: int, *, views: int = 1, skeleton: Skeleton = SMPL24) -> tuple[Motion, CameraRig]:
    """A figure of 80 % of the picture's height whose joints wander, and its cameras, evenly around it."""
    generator = torch.Generator().manual_seed(0)
    phase = torch.linspace(0, 2 * math.pi, frames)[:, None, None]
    body = min(24, len(skeleton.names))
    wander = torch.zeros(frames, len(skeleton.names), 3)
    wander[:, :body] = 0.04 * torch.sin(phase + 2 * math.pi * torch.rand(body, 3, generator=generator))
    for joint, parent in enumerate(skeleton.parents):
        if joint >= body:  # fingers go with the hand
            wander[:, joint] = wander[:, parent]
    motion = Motion(
        joints=skeleton.rest + wander, confidence=torch.ones(frames, len(skeleton.names)), skeleton=skeleton, fps=30.0, frame=Frame.WORLD
    )
    azimuths = [20.0 + 360.0 * view / views for view in range(views)]
    return motion, orbit_rig(azimuths, radius=2.7, image_size=(size, size), focal_px=1.25 * size, target=(0.0, 0.86, 0.0))


def _peak_bytes(engine: str, frames: int, size: int) -> int:
    """Growth of the process's peak memory while it renders; run in a process of its own."""
    motion, rig = standing_figure(frames, size)
    bone_maps.render_bone_maps(*standing_figure(1, 64))
    before = high_water()
    if engine == "naive":
        naive_bone_maps(motion, rig)
        return high_water() - before
    maps = bone_maps.render_bone_maps(motion, rig, engine=engine)
    for part in (maps.depth, maps.normal, maps.mask, maps.ids):
        part.sum()  # pages of the background that the renderer never touched count as well
    return high_water() - before


def _measure_peak(engine: str, frames: int, size: int) -> str:
    peak = in_new_process(_peak_bytes, engine, frames, size)
    if peak is None:
        return "peak memory not measured on Windows"
    output = frames * size * size * _BYTES
    return f"peak memory {peak / 1e6:.0f} MB, {peak / output:.2f} of the output's {output / 1e6:.0f} MB"


def _deviation(motion: Motion, rig: CameraRig, naive: tuple[np.ndarray, np.ndarray]) -> str:
    maps = bone_maps.render_bone_maps(motion, rig)
    depth, normal = maps.depth.numpy(), maps.normal.double().numpy()
    both = (depth > 0) & (naive[0] > 0)
    worst = np.abs(depth / np.where(both, naive[0], 1) - 1)[both].max()
    angle = np.degrees(np.linalg.norm(normal - naive[1], axis=-1))[both]
    different = ((depth > 0) != (naive[0] > 0)).sum()
    return f"against the twin: depth to {worst:.1e} relative, normals to {angle.max():.4f} degrees, {different} pixels of another mask"


def _cases(frames: int, size: int) -> dict[str, tuple[tuple[Motion, CameraRig], dict]]:
    """What is compared with the first: the same body in other numbers of bones, views and frames, and with soft edges."""
    few = max(1, round(frames * 48 / 81))
    return {
        "24 ellipsoids, 1 view": (standing_figure(frames, size), {}),
        "54 bones, 1 view": (standing_figure(frames, size, skeleton=SMPLX55), {"virtual_leaves": False}),
        "24 ellipsoids, 8 views": (standing_figure(few, size, views=8), {}),
        "54 bones, 8 views": (standing_figure(few, size, views=8, skeleton=SMPLX55), {"virtual_leaves": False}),
        "24 ellipsoids, soft edges": (standing_figure(frames, size), {"samples": 2}),
    }


def _print_cases(frames: int, size: int, repeat: int) -> None:
    """Time of each case, and the time for one ellipsoid in one image over that of the first case: 1 is linear cost."""
    print("  cost of one ellipsoid in one image, numpy, over that of the first case; 1.6 is the most that should be, but for soft edges")
    cases, best = _cases(frames, size), {}
    for _ in range(repeat):  # turn by turn, so that what else the computer does slows all of them
        for name, ((motion, rig), options) in cases.items():
            seconds = best_seconds(lambda m=motion, r=rig, o=options: bone_maps.render_bone_maps(m, r, engine="numpy", **o), 1)
            best[name] = min(seconds, best.get(name, seconds))
    costs = {}
    for name, ((motion, rig), options) in cases.items():
        costs[name] = best[name] / (rig.views * motion.frames * (len(motion.skeleton.bones) + options.get("virtual_leaves", True)))
        ratio = costs[name] / next(iter(costs.values()))
        print(f"    {name:26} {rig.views} x {motion.frames:3} images {best[name]:7.3f} s   {1e6 * costs[name]:6.1f} us   {ratio:5.2f}")


def _print_device(name: str, frames: int, size: int, repeat: int) -> None:
    """Time of the torch engine on a device, and over the time that writing the output there takes."""
    device = torch.device(name)
    wait = getattr(torch, device.type).synchronize if device.type != "cpu" else lambda: None
    motion, rig = standing_figure(frames, size)
    output = [torch.empty(frames, size, size, *shape, dtype=kind, device=device) for kind, shape in _OUTPUT]

    def write():
        for part in output:
            part.fill_(1)
        wait()

    def draw():
        bone_maps.render_bone_maps(motion, rig, engine="torch", device=device)
        wait()

    write(), draw()
    bound, drawn = best_seconds(write, repeat), best_seconds(draw, repeat)
    print(f"  torch on {device}: {drawn:.4f} s with the copy to the CPU, writing the output there {bound:.4f} s: {drawn / bound:.1f} times")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m motion4d.benchmarks.bone_maps", description=__doc__)
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument(
        "--naive-frames", type=int, default=2, help="frames the naive renderer draws, 0 leaves it out; its time is extrapolated"
    )
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--device", help="also time the torch engine on this device, against the time that writing its memory takes")
    options = parser.parse_args(arguments)
    motion, rig = standing_figure(options.frames, options.size)
    count = len(motion.skeleton.bones) + 1
    print(
        f"{count} ellipsoids x {options.frames} frames at {options.size}x{options.size}, depth, normal and ids, CPU, best of {options.repeat}"
    )
    print("  0.5 s is the target of the numpy engine")
    for engine in ("numpy", "torch"):
        best = best_seconds(lambda engine=engine: bone_maps.render_bone_maps(motion, rig, engine=engine), options.repeat)
        print(f"  {engine:6} {best:7.3f} s   {_measure_peak(engine, options.frames, options.size)}")
    if options.device is not None:
        _print_device(options.device, options.frames, options.size, options.repeat)
    _print_cases(options.frames, options.size, options.repeat)
    if options.naive_frames > 0:
        _print_naive(options)


def _print_naive(options: argparse.Namespace) -> None:
    frames = min(options.naive_frames, options.frames)
    start = time.perf_counter()
    few = standing_figure(frames, options.size)
    naive = naive_bone_maps(*few)
    seconds = (time.perf_counter() - start) * options.frames / frames
    peak = _measure_peak("naive", frames, options.size)
    print(f"  naive  {seconds:7.3f} s   {peak}; dense float64, {frames} frames, the time extrapolated")
    print(f"  {_deviation(*few, naive)}")


if __name__ == "__main__":
    main()
