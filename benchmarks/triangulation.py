"""Triangulation beside SciPy and aniposelib on made-up films: `python -m motion4d.benchmarks.triangulation [--frames 300 3000]`.

A figure of 24 joints dances in front of four cameras; keypoints tremble by 2 px, 5 % of them are gross outliers, 10 % are missing, and now and then a camera loses a
joint for a second. Everyone gets the same keypoints, and the peers start from our pairs of rays.
"""

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..core.geometry.cameras import orbit_rig
from ..core.geometry.kinematics import forward
from ..core.geometry.ray_pairs import Views, intersect_pairs
from ..core.geometry.rotations import rotvec_to_matrix
from ..core.geometry.triangulation import triangulate
from ..core.skeletons import REST_STATURE, SMPL24
from ..core.types import Animation, CameraRig, Keypoints

FPS = 30.0
SIZE = (1024, 1024)
BONES = np.array([(parent, child) for child, parent in SMPL24.bones])


@dataclass(frozen=True, eq=False, kw_only=True)
class Film:
    """joints (T, 24, 3) metres as they were, the cameras, and keypoints of them as a detector would find them."""

    joints: np.ndarray
    rig: CameraRig
    keypoints: Keypoints


def make_film(frames: int, *, seed: int = 0, noise_px: float = 2.0, outliers: float = 0.05, missing: float = 0.10) -> Film:
    """A dance of turns that come and go at a quarter to one hertz, all bones of constant length."""
    generator = np.random.default_rng(seed)
    seconds = np.arange(frames) / FPS
    turns = np.zeros((frames, 24, 3))
    for number, hertz in enumerate((0.25, 0.5, 0.75, 1.0), start=1):
        swing, phase = generator.normal(0, 0.3 / number, (24, 3)), generator.uniform(0, 2 * np.pi, (24, 3))
        turns += swing * np.sin(2 * np.pi * hertz * seconds[:, None, None] + phase)
    path = np.stack([0.5 * np.sin(0.8 * seconds), 0.95 + 0.04 * np.sin(5 * seconds), 0.4 * np.cos(0.6 * seconds)], 1)
    animation = Animation(rotations=rotvec_to_matrix(torch.from_numpy(turns)), translation=torch.from_numpy(path), fps=FPS, rig=SMPL24)
    joints = forward(animation).joints.double()
    rig = orbit_rig([15.0, 105.0, 195.0, 285.0], radius=3.5, elevation_deg=7.0, image_size=SIZE, focal_px=1100.0, target=(0.0, 1.0, 0.0))
    pixels = rig.project(joints)[0].double().numpy()
    trust = generator.uniform(0.6, 1.0, pixels.shape[:3])
    pixels = pixels + generator.normal(0, noise_px, pixels.shape) * (0.8 / trust)[..., None]
    wild = generator.random(trust.shape) < outliers
    pixels[wild] += generator.normal(0, 80, (int(wild.sum()), 2))
    trust[wild] *= generator.uniform(0.3, 1.0, int(wild.sum()))
    gone = generator.random(trust.shape) < missing
    for joint in np.repeat(np.arange(24), max(1, frames // 300)):
        start = generator.integers(max(1, frames - int(FPS)))
        gone[generator.integers(4), start : start + int(FPS), joint] = True
    trust[gone], pixels[gone] = 0, np.nan
    return Film(
        joints=joints.numpy(),
        rig=rig,
        keypoints=Keypoints(pixels=torch.from_numpy(pixels), confidence=torch.from_numpy(trust), image_size=SIZE),
    )


# --- ours and the peers: films to joints (T, 24, 3)


def ours(film: Film) -> np.ndarray:
    """The whole of `triangulate`."""
    return triangulate(film.keypoints, film.rig, SMPL24, fps=FPS).motion.joints.double().numpy()


def pairs(film: Film) -> np.ndarray:
    """Our first answer alone: each frame for itself, NaN where unresolved."""
    projections = (film.rig.intrinsics.double() @ film.rig.world_to_camera.double())[:, None]
    views = Views(projections=projections, pixels=film.keypoints.pixels.nan_to_num(), confidence=film.keypoints.confidence, side=max(SIZE))
    return intersect_pairs(views).points.numpy()


def _start(film: Film) -> np.ndarray:
    """`pairs` with gaps bridged by straight lines."""
    joints, frames = pairs(film), np.arange(len(film.joints))
    for joint in range(24):
        known = np.isfinite(joints[:, joint, 0])
        for axis in range(3):
            joints[:, joint, axis] = np.interp(frames, frames[known], joints[known, joint, axis])
    return joints


def scipy_bundle(film: Film, *, evaluations: int = 60) -> np.ndarray:
    """The same kind of objective (reprojection, one length for each bone, smoothness) for SciPy's trust region method: sparse analytic Jacobian, soft L1."""
    from scipy.optimize import least_squares
    from scipy.sparse import csr_matrix

    start = _start(film)
    frames, count = len(start), start.size
    matrices = (film.rig.intrinsics.double() @ film.rig.world_to_camera.double()).numpy()
    view, frame, joint = np.nonzero(film.keypoints.seen.numpy())
    wanted = film.keypoints.pixels.numpy()[view, frame, joint]
    trust = np.sqrt(film.keypoints.confidence.numpy()[view, frame, joint])[:, None]
    row_matrix, point = matrices[view], frame * 24 + joint
    smooth = 1 / np.median(np.abs(np.diff(start, axis=0)))
    ends = start[:, BONES[:, 1]] - start[:, BONES[:, 0]]
    lengths = np.median(np.linalg.norm(ends, axis=-1), 0)

    def look(x: np.ndarray) -> tuple[np.ndarray, ...]:
        joints = x[:count].reshape(frames, 24, 3)
        seen = np.einsum("nij,nj->ni", row_matrix[:, :, :3], joints.reshape(-1, 3)[point]) + row_matrix[:, :, 3]
        bones = joints[:, BONES[:, 1]] - joints[:, BONES[:, 0]]
        return joints, seen, bones, np.linalg.norm(bones, axis=-1)

    def residuals(x: np.ndarray) -> np.ndarray:
        joints, seen, _, length = look(x)
        reprojection = trust * (seen[:, :2] / seen[:, 2:] - wanted) / 4
        strain = 50 * (length / x[count:] - 1)
        return np.concatenate([reprojection.ravel(), strain.ravel(), smooth / 4 * np.diff(joints, axis=0).ravel()])

    rows = [np.repeat(np.arange(2 * len(view)), 3)]
    columns = [(point[:, None, None] * 3 + np.zeros((1, 2, 1), int) + np.arange(3)).ravel()]
    first, strains = 2 * len(view), frames * len(BONES)
    strain_rows = first + np.arange(strains).reshape(frames, -1)
    base = np.arange(frames)[:, None] * 24
    for end in (0, 1):
        rows.append(np.repeat(strain_rows.ravel(), 3))
        columns.append(((base + BONES[:, end])[..., None] * 3 + np.arange(3)).ravel())
    rows.append(strain_rows.ravel())
    columns.append(np.tile(count + np.arange(len(BONES)), frames))
    steps = count - 72
    for offset in (0, 72):
        rows.append(first + strains + np.arange(steps))
        columns.append(np.arange(steps) + offset)
    place = (np.concatenate(rows), np.concatenate(columns))

    def slopes(x: np.ndarray) -> csr_matrix:
        _, seen, bones, length = look(x)
        pixels = seen[:, :2] / seen[:, 2:]
        reprojection = trust[..., None] / 4 * (row_matrix[:, :2, :3] - pixels[..., None] * row_matrix[:, 2:, :3]) / seen[:, 2:, None]
        strain = 50 * bones / (length * x[count:])[..., None]
        values = [reprojection, -strain, strain, -50 * length / x[count:] ** 2, np.full(steps, -smooth / 4), np.full(steps, smooth / 4)]
        return csr_matrix((np.concatenate([value.ravel() for value in values]), place), (first + strains + steps, len(x)))

    found = least_squares(
        residuals,
        np.concatenate([start.ravel(), lengths]),
        slopes,
        loss="soft_l1",
        x_scale="jac",
        tr_solver="lsmr",
        ftol=1e-5,
        max_nfev=evaluations,
    )
    return found.x[:count].reshape(frames, 24, 3)


def aniposelib_bundle(film: Film) -> np.ndarray:
    """aniposelib's own `optim_points` with bones and scores, from its own triangulation."""
    from aniposelib.cameras import Camera, CameraGroup

    from ..core.geometry.rotations import matrix_to_rotvec

    cameras = []
    for view in range(film.rig.views):
        pose = film.rig.world_to_camera[view].double()
        cameras.append(
            Camera(
                matrix=film.rig.intrinsics[view].double().numpy(), dist=np.zeros(5), size=SIZE[::-1],
                rvec=matrix_to_rotvec(pose[:, :3]).numpy(), tvec=pose[:, 3].numpy(), name=str(view),
            )
        )  # fmt: skip
    group, pixels = CameraGroup(cameras), film.keypoints.pixels.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's, on what it cannot compile
        start = group.triangulate(pixels.reshape(film.rig.views, -1, 2)).reshape(film.joints.shape)
        return group.optim_points(pixels, start, constraints=BONES.tolist(), scores=film.keypoints.confidence.numpy())


# --- the table


def measure(run: Callable[[Film], np.ndarray], film: Film) -> str:
    """Seconds by the clock and of all processors, and errors, in a line."""
    before, start = time.process_time(), time.perf_counter()
    found = run(film)
    seconds, work = time.perf_counter() - start, time.process_time() - before
    error = 1000 * np.linalg.norm(found - film.joints, axis=-1)
    there = np.isfinite(error)
    bones = 1000 * np.linalg.norm(found[:, BONES[:, 1]] - found[:, BONES[:, 0]], axis=-1)
    return (
        f"{seconds:8.2f} s  {work:8.2f} s  {error[there].mean():7.2f} mm  {np.percentile(error[there], 99):8.1f} mm  {(error[there] < 20).mean():6.1%}  "
        f"{np.nanmean(np.nanstd(bones, 0)):8.2f} mm  {there.mean():6.1%}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m motion4d.benchmarks.triangulation", description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[300, 3000])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--peer-frames", type=int, default=300, help="films longer than this are not given to the peers, which take minutes"
    )
    options = parser.parse_args(arguments)
    peers = (("SciPy trf", "scipy", scipy_bundle), ("aniposelib", "aniposelib", aniposelib_bundle))
    print(
        f"24 joints of a {REST_STATURE:.2f} m figure, 4 views, 2 px noise, 5 % outliers, 10 % missing, CPU, {torch.get_num_threads()} threads"
    )
    print(f"{'':24}{'wall':>10}  {'CPU':>10}  {'MPJPE':>10}  {'99 %':>11}  {'<20 mm':>6}  {'bone std':>11}  {'found':>6}")
    ours(make_film(12))  # libraries load
    for frames in options.frames:
        film = make_film(frames, seed=options.seed)
        print(f"{frames:5} ours, pairs alone {measure(pairs, film)}")
        print(f"{frames:5} ours              {measure(ours, film)}", flush=True)
        for name, module, run in peers:
            if importlib.util.find_spec(module) is None:
                print(f"{frames:5} {name:17} skipped: {module} is not installed")
            elif frames > options.peer_frames:
                print(f"{frames:5} {name:17} skipped: more frames than --peer-frames {options.peer_frames}")
            else:
                run(make_film(12))  # it loads, or is compiled
                print(f"{frames:5} {name:17} {measure(run, film)}", flush=True)


if __name__ == "__main__":
    main()
