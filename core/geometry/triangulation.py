"""A motion from the keypoints of several calibrated cameras."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..types import CameraRig, Frame, Keypoints, Motion, Skeleton
from .bone_lengths import expected_lengths, measured_lengths, rest_lengths
from .bundle import (
    ACCELERATION,
    Problem,
    let_go_of_outliers,
    minimise,
    rigid_bones,
    uncertainty,
    views_to_rows,
)
from .joint_gaps import fill_gaps, without_jumps
from .joint_trees import TreeOrder
from .normal_equations import State
from .ray_pairs import Rough, Views, intersect_pairs, well_placed

ESTIMATE, NONE, REST = "estimate", "none", "rest pose"
LENGTHS = (ESTIMATE, REST, NONE)
_BOX = 3.5  # longest side of a figure's box over the mean distance of its joints from their middle
_ROUGHLY = 1e-3  # relative decrease of the cost that ends the fit while outliers still pull
_SURE = 5.0  # times the noise, within which a view confirms a joint
_SURE_SIDE = 0.003  # of the longer side of the picture, likewise


@dataclass(frozen=True, eq=False, kw_only=True)
class Triangulation:
    """A motion in world axes and how well it fits.

    motion: joints finite everywhere; confidence is the mean of the views that agree, 0 where fewer than two do (or their rays are nearly parallel) and the joint
    was filled from its neighbours in time and space. reprojection_px: (T, J) mean distance in the views that agree (in all that see the joint where none
    does), NaN where no view sees it. distances_px: (V, T, J) of every view, NaN where it does not see the joint. deviation: (T, J) expected error (1 sigma) in
    metres; joints that were filled may be further off. bone_lengths: (J) metres, 0 of roots. guessed: (J) bones seen too rarely or too unsteadily to measure:
    their lengths come from the rest pose or the other side, see `expected_lengths`. noise_px: of the keypoints, one coordinate.
    """

    motion: Motion
    reprojection_px: Tensor
    distances_px: Tensor
    deviation: Tensor
    bone_lengths: Tensor
    guessed: Tensor
    noise_px: float

    def text(self) -> str:
        """The fit in words: what is resolved, how far keypoints lie off, and views and joints that stand out."""
        seen, names = self.motion.seen, self.motion.skeleton.names
        lines = [
            f"{self.motion.frames} frames, {len(names)} joints, {len(self.distances_px)} views: {float(seen.float().mean()):.1%} of the joints triangulated, "
            "the rest filled (confidence 0)"
        ]
        if seen.any():
            error, spread = self.reprojection_px[seen], self.deviation[seen] * 1000
            lines.append(
                f"reprojection: mean {float(error.mean()):.2f} px, 95 % below {float(error.quantile(0.95)):.2f} px; noise of the keypoints {self.noise_px:.2f} px; "
                f"expected error of a joint {float(spread.mean()):.3g} mm"
            )
        limit = max(_SURE * self.noise_px, 3.0)
        for view, distances in enumerate(self.distances_px):
            there = torch.isfinite(distances)
            off = float((distances[there] > limit).float().mean()) if there.any() else 0.0
            warning = "" if off <= 0.25 else ": check its calibration, and that it starts in the same frame as the others"
            lines.append(
                f"view {view}: sees {float(there.float().mean()):.0%} of the joints, {off:.1%} of these more than {limit:.1f} px off{warning}"
            )
        never = [name for joint, name in enumerate(names) if not seen[:, joint].any()]
        if never:
            lines.append(f"never triangulated, placed by the rest pose or on the parent: {', '.join(never)}")
        lengths = [f"{names[child]} {float(self.bone_lengths[child]):.3f}" for child, _ in self.motion.skeleton.bones]
        if lengths:
            lines.append(f"bone lengths in metres: {', '.join(lengths)}")
        if self.guessed.any():
            guessed = ", ".join(name for name, flag in zip(names, self.guessed.tolist(), strict=True) if flag)
            lines.append(
                f"seen too rarely or too unsteadily to measure, so that their lengths are guessed from the rest pose or the other side: {guessed}"
            )
        return "\n".join(lines)


def triangulate(
    keypoints: Keypoints,
    rig: CameraRig,
    skeleton: Skeleton,
    *,
    bone_lengths: str | Tensor = ESTIMATE,
    smoothness: float = 1.0,
    fps: float = 30.0,
) -> Triangulation:
    """Find the joints that fit the keypoints of all views, whose bones keep their lengths, and that do not jolt.

    First the pair of rays that most views agree with, joint by joint, less single frames that jump; then one robust fit of the whole clip (Huber on reprojection
    weighted by confidence, in units of the noise that the first answer shows; relative errors of bone lengths; Huber on acceleration, in bodies per second
    squared), from which outliers are let go at last. The scale of the world and the frame rate of the same movement play no part. float64 inside, on the device
    of the keypoints.

    Args:
        keypoints: (V, T, J) of a pinhole camera: see `core.geometry.lens.undistort`.
        rig: V cameras; moving ones over T frames.
        skeleton: J joints. A rest pose serves to place joints that are never seen.
        bone_lengths: "estimate" finds one length for each bone (guided by the rest pose where it is hardly seen), "none" leaves them free, "rest pose"
            takes those of the skeleton; (J) metres are known lengths (those of roots are not read).
        smoothness: weight of accelerations; 0 leaves them out.

    Raises:
        ValueError: views, frames, joints or picture sizes that do not go together, fewer than two views, or no joint in any frame that two views see with
            rays that meet at 15 to 165 degrees.
    """
    if isinstance(bone_lengths, str) and bone_lengths == REST:
        bone_lengths = rest_lengths(skeleton)
    _check(keypoints, rig, skeleton, bone_lengths, smoothness, fps)
    views = _views(keypoints, rig)
    rough = intersect_pairs(views)
    known = torch.isfinite(rough.points[..., 0])
    if not known.any():
        raise ValueError(
            "no joint is seen by two cameras that agree and look at it from clearly different sides (rays that meet at 15 to 165 degrees): check that the keypoints "
            "belong to these cameras, in their order, and add a camera that looks from another side"
        )
    middle, size = _frame_of(rough.points, known, views)
    known = without_jumps(rough.points, known, size=size, fps=fps)
    start = (fill_gaps(rough.points, known, skeleton) - middle) / size
    problem, state = _solve(_moved(views, middle, size), start, known, rough, skeleton, bone_lengths, size, smoothness * fps**2)
    points = state.points[problem.tree.place].permute(2, 0, 1) * size + middle
    spread = uncertainty(problem, state)[problem.tree.place].mT * size
    lengths = _lengths_of(points, state.lengths[problem.tree.place] * size, skeleton, bone_lengths)
    estimated = isinstance(bone_lengths, str) and bone_lengths == ESTIMATE
    guessed = (problem.boned & ~problem.free & estimated)[problem.tree.place]
    return _answer(views, points, spread, lengths, guessed, rough.noise_px, keypoints, skeleton, fps)


def _check(keypoints: Keypoints, rig: CameraRig, skeleton: Skeleton, bone_lengths: str | Tensor, smoothness: float, fps: float) -> None:
    views, frames, joints = keypoints.confidence.shape
    if views < 2 or rig.views < 2:
        raise ValueError(f"{views} views of keypoints and {rig.views} cameras, expected at least 2 of each: one view has no depth")
    if views != rig.views:
        raise ValueError(f"{views} views of keypoints, but {rig.views} cameras: give one camera for each view, in the same order")
    if rig.frames is not None and rig.frames != frames:
        raise ValueError(f"the cameras move over {rig.frames} frames, the keypoints have {frames}: make them of equal length")
    if joints != len(skeleton.names):
        raise ValueError(f"the keypoints have {joints} joints, the skeleton {len(skeleton.names)}: choose the skeleton of the keypoints")
    if keypoints.image_size != rig.image_size:
        raise ValueError(
            f"the keypoints are in pictures of {keypoints.image_size} (height, width), the cameras of {rig.image_size}: resize one of them"
        )
    if not (math.isfinite(smoothness) and smoothness >= 0):
        raise ValueError(f"smoothness is {smoothness}, expected 0 or more")
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps is {fps}, expected a number above 0")
    if isinstance(bone_lengths, str):
        if bone_lengths not in (ESTIMATE, NONE):
            raise ValueError(f"bone_lengths is '{bone_lengths}', expected '{ESTIMATE}', '{NONE}', '{REST}' or a length for each joint")
        return
    if not isinstance(bone_lengths, Tensor) or tuple(bone_lengths.shape) != (joints,):
        shape = tuple(getattr(bone_lengths, "shape", ()))
        raise ValueError(f"bone_lengths have the shape {shape}, expected ({joints},): a tensor with one length for each joint")
    below = [child for child, _ in skeleton.bones]
    if not (torch.isfinite(bone_lengths[below]).all() and (bone_lengths[below] >= 0).all()):
        raise ValueError("bone_lengths has negative, NaN or infinite lengths: give metres, 0 or more, for every joint with a parent")


def _views(keypoints: Keypoints, rig: CameraRig) -> Views:
    device = keypoints.pixels.device
    intrinsics, pose = (part.to(device, torch.float64) for part in (rig.intrinsics, rig.world_to_camera))
    projections = intrinsics @ pose
    if rig.frames is None:
        projections = projections[:, None]
    pixels = torch.where(keypoints.seen[..., None], keypoints.pixels, 0.0).double()
    return Views(projections=projections, pixels=pixels, confidence=keypoints.confidence.double(), side=max(rig.image_size))


def _frame_of(points: Tensor, known: Tensor, views: Views) -> tuple[Tensor, float]:
    """The middle (3) of all points and the size of the body, its longest side: from the spread of its joints, or from the distance of the cameras."""
    middle = points[known].median(0).values
    count = known.sum(1, keepdim=True).clamp(min=1)
    there = torch.where(known[..., None], points, 0.0)
    center = there.sum(1, keepdim=True) / count[..., None]
    square = torch.where(known, (there - center).square().sum(-1), 0.0).sum(1) / count[:, 0]
    wide = square[known.sum(1) >= max(2, known.shape[1] // 2)]
    spread = float(wide.median().sqrt()) if len(wide) else 0.0
    distance = float(views.project(middle[None, None])[1].abs().mean() / views.projections[..., 2, :3].norm(dim=-1).mean())
    return middle, max(_BOX * spread, 0.01 * distance) if spread else distance / 4


def _moved(views: Views, middle: Tensor, size: float) -> Views:
    """The views of a world in which `middle` is the origin and `size` is 1."""
    turn, shift = views.projections[..., :3], views.projections[..., 3:]
    projections = torch.cat([turn, (shift + turn @ middle[:, None]) / size], -1)
    return Views(projections=projections, pixels=views.pixels, confidence=views.confidence, side=views.side)


def _solve(
    views: Views, start: Tensor, known: Tensor, rough: Rough, skeleton: Skeleton, bone_lengths: str | Tensor, size: float, rate: float
) -> tuple[Problem, State]:
    """The optimum from start (T, J, 3), in units of `size`; rate: smoothness x fps squared."""
    tree = TreeOrder.of(skeleton.parents, start.device)
    points = start[:, tree.order].permute(1, 2, 0).contiguous()
    pixels, trust = views_to_rows(views, tree, rough.noise_px)
    has_bone = torch.tensor([parent >= 0 for parent in skeleton.parents], device=start.device)
    if isinstance(bone_lengths, Tensor):
        lengths, free = torch.where(has_bone, bone_lengths.to(start) / size, 0.0), torch.zeros_like(has_bone)
    else:
        lengths, free = expected_lengths(start, known, skeleton)
    boned, tied = rigid_bones(lengths, has_bone & (isinstance(bone_lengths, Tensor) or bone_lengths != NONE))
    lengths, boned, tied, free = (part[tree.order] for part in (lengths, boned, tied, boned & free))
    filled = ~known[:, tree.order].mT
    problem = Problem(
        tree=tree,
        projections=views.projections,
        pixels=pixels,
        trust=trust,
        noise_px=rough.noise_px,
        boned=boned,
        free=free,
        tied=tied,
        acceleration=ACCELERATION * rate * (~filled).any(1, keepdim=True),  # nothing tells the speed of a joint that is never shown
        anchors=points,
        anchored=filled,
        redescending=torch.zeros_like(filled),
    )
    return let_go_of_outliers(problem, minimise(problem, State(points, lengths), enough=_ROUGHLY))


def _lengths_of(points: Tensor, found: Tensor, skeleton: Skeleton, bone_lengths: str | Tensor) -> Tensor:
    """(J) the lengths that were given or found; with free lengths the medians of the result."""
    if isinstance(bone_lengths, str) and bone_lengths == NONE:
        return measured_lengths(points, torch.ones_like(points[..., 0], dtype=torch.bool), skeleton)[0]
    below = torch.zeros_like(found, dtype=torch.bool)
    below[[child for child, _ in skeleton.bones]] = True
    return torch.where(below, found, 0.0)


def _answer(
    views: Views,
    points: Tensor,
    spread: Tensor,
    lengths: Tensor,
    guessed: Tensor,
    noise_px: float,
    keypoints: Keypoints,
    skeleton: Skeleton,
    fps: float,
) -> Triangulation:
    distances = views.distances(points)
    seen = keypoints.seen
    agreeing = seen & (distances < max(_SURE * noise_px, _SURE_SIDE * views.side))
    sure = well_placed(views.rays()[1], agreeing)
    share = agreeing.sum(0).clamp(min=1)
    confidence = torch.where(sure, torch.where(agreeing, views.confidence, 0.0).sum(0) / share, 0.0)
    used = torch.where(agreeing.any(0), agreeing, seen)
    reprojection = torch.where(used, distances, 0.0).sum(0) / used.sum(0)  # NaN where no view sees the joint
    left = int((~sure).sum())
    notes = (f"{left} of {sure.numel()} joint positions filled: fewer than two views agree there",) if left else ()
    motion = Motion(
        joints=points.float(), confidence=confidence.float().clamp(max=1), skeleton=skeleton, fps=fps, frame=Frame.WORLD, notes=notes
    )
    return Triangulation(
        motion=motion,
        reprojection_px=reprojection.float(),
        distances_px=torch.where(seen, distances, torch.nan).float(),
        deviation=spread.float(),
        bone_lengths=lengths.float(),
        guessed=guessed,
        noise_px=noise_px,
    )
