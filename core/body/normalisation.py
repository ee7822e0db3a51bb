"""Camera-space motion and the distribution a motion tokenizer was trained on: normalisation, placement and a read-out in sigmas.

MTVCrafter normalises absolute camera-space millimetres by joint and axis, so that where a person stands decides whether the tokenizer knows
the motion.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..geometry.similarity import HALF_TURN, transformed
from ..shapes import check_shapes
from ..skeletons import SMPL24
from ..types import Frame, ImageSize, Motion, Skeleton
from .measurements import estimate_stature

MM_PER_METRE = 1000.0
STATURE_RANGE = (1.35, 2.0)  # metres; the people of the training data are taken to be adults
LARGEST_OFFSET = 2.0  # sigmas; clips known to work stay below 1.4
LARGEST_VALUE = 4.0  # sigmas; clips known to work stay below 3.2


@dataclass(frozen=True, eq=False, kw_only=True)
class MotionStatistics:
    """mean_mm, std_mm: (J, 3) millimetres in CAMERA axes, by joint and axis. skeleton: the J joints."""

    mean_mm: Tensor
    std_mm: Tensor
    skeleton: Skeleton = SMPL24

    def __post_init__(self):
        check_shapes(
            "MotionStatistics", skeleton=(len(self.skeleton.names), "J"), mean_mm=(self.mean_mm, "J 3"), std_mm=(self.std_mm, "J 3")
        )
        if not (torch.isfinite(self.mean_mm).all() and torch.isfinite(self.std_mm).all() and (self.std_mm > 0).all()):
            raise ValueError("MotionStatistics: expected finite means and finite standard deviations above 0")


def _check_skeleton(motion: Motion, statistics: MotionStatistics) -> None:
    if motion.skeleton.names != statistics.skeleton.names:
        raise ValueError(
            f"the motion has {len(motion.skeleton.names)} joints ({', '.join(motion.skeleton.names[:3])}, ...), this tokenizer expects "
            f"{len(statistics.skeleton.names)} ({', '.join(statistics.skeleton.names[:3])}, ...): load a motion of that skeleton"
        )


def normalise(motion: Motion, statistics: MotionStatistics) -> Tensor:
    """Joints as the tokenizer reads them: (T, J, 3) sigmas, float32.

    Raises:
        ValueError: another skeleton, WORLD axes, or a missing joint.
    """
    _check_skeleton(motion, statistics)
    if motion.frame is not Frame.CAMERA:
        raise ValueError("the motion is in world axes, the tokenizer reads camera space: use Fit Motion to Tokenizer first")
    if not motion.seen.all():
        frames = (~motion.seen).any(1).nonzero()[:, 0]
        raise ValueError(
            f"{int((~motion.seen).sum())} joint positions are missing in {len(frames)} frames, the first is frame {int(frames[0])}: "
            "switch fill_gaps of Fit Motion to Tokenizer on, or cut the clip"
        )
    return _sigmas(motion.joints, statistics).float()


def _sigmas(joints: Tensor, statistics: MotionStatistics) -> Tensor:
    return (joints.double() * MM_PER_METRE - statistics.mean_mm.to(joints.device)) / statistics.std_mm.to(joints.device)


def denormalise(joints: Tensor, statistics: MotionStatistics, *, fps: float, notes: tuple[str, ...] = ()) -> Motion:
    """Camera-space Motion of normalised joints (T, J, 3): the inverse of `normalise`; it knows no camera until its placement is undone."""
    check_shapes("denormalise", mean_mm=(statistics.mean_mm, "J 3"), joints=(joints, "T J 3"))
    metres = (joints.double() * statistics.std_mm.to(joints.device) + statistics.mean_mm.to(joints.device)) / MM_PER_METRE
    confidence = torch.ones(joints.shape[:2], device=joints.device)
    return Motion(joints=metres.float(), confidence=confidence, skeleton=statistics.skeleton, fps=fps, frame=Frame.CAMERA, notes=notes)


@dataclass(frozen=True, eq=False, kw_only=True)
class Placement:
    """One similarity for a whole clip: placed = scale * rotation x + shift.

    rotation: (3, 3) to CAMERA axes. scale: above 0. shift: (3) metres, float64. frame, intrinsics and image_size: those of the
    motion as it was.
    """

    rotation: Tensor
    scale: float
    shift: Tensor
    frame: Frame
    intrinsics: Tensor | None = None
    image_size: ImageSize | None = None

    def __post_init__(self):
        check_shapes("Placement", rotation=(self.rotation, "3 3"), shift=(self.shift, "3"))
        if not self.scale > 0:
            raise ValueError(f"Placement: scale is {self.scale}, expected above 0")

    @property
    def note(self) -> str:
        """What a placed motion says about itself."""
        shift = ", ".join(f"{value:+.3f}" for value in self.shift.tolist())
        return f"moved by ({shift}) m and scaled by {self.scale:.4g} to where the tokenizer was trained"


def fit_placement(motion: Motion, statistics: MotionStatistics, *, stature: bool = True) -> Placement:
    """The one shift that brings a clip closest to the training data, in sigmas squared over all seen joints.

    Args:
        motion: in CAMERA or WORLD axes; missing joints are left out.
        stature: scale people outside STATURE_RANGE to its nearer end; all others keep their size.

    Raises:
        ValueError: another skeleton, or no joint seen at all.
    """
    _check_skeleton(motion, statistics)
    if not motion.seen.any():
        raise ValueError("the motion has no joint with a confidence above 0: there is nothing to place")
    rotation = HALF_TURN if motion.frame is Frame.WORLD else torch.eye(3, dtype=torch.float64)
    scale = _stature_scale(motion) if stature else 1.0
    seen = motion.seen.cpu()[..., None]
    joints = torch.where(seen, motion.joints.cpu().double(), 0.0) @ rotation.T * scale
    weight = seen / statistics.std_mm.cpu().double().square()  # (T, J, 3)
    gap = statistics.mean_mm.cpu().double() / MM_PER_METRE - joints
    shift = (gap * weight).sum((0, 1)) / weight.sum((0, 1))
    return Placement(
        rotation=rotation, scale=scale, shift=shift, frame=motion.frame, intrinsics=motion.intrinsics, image_size=motion.image_size
    )


def _stature_scale(motion: Motion) -> float:
    height = estimate_stature(motion)
    if not height:
        return 1.0
    return min(max(height, STATURE_RANGE[0]), STATURE_RANGE[1]) / height


def apply_placement(motion: Motion, placement: Placement) -> Motion:
    """The placed motion, in CAMERA axes and without the camera that saw it: that camera no longer shows it where it is now.

    Raises:
        ValueError: the placement was fitted to a motion in other axes.
    """
    if motion.frame is not placement.frame:
        raise ValueError(
            f"the placement was fitted in {placement.frame.value} axes, the motion is in {motion.frame.value} axes: fit it again"
        )
    placed = transformed(motion, turn=placement.rotation, scale=placement.scale, shift=placement.shift)
    return replace(placed, frame=Frame.CAMERA, intrinsics=None, image_size=None, notes=(*motion.notes, placement.note))


def undo_placement(motion: Motion, placement: Placement) -> Motion:
    """Move a placed motion, or what came of it, back to where the clip was: the inverse of `apply_placement` to 1e-6 m.

    Raises:
        ValueError: the motion is not in CAMERA axes.
    """
    if motion.frame is not Frame.CAMERA:
        raise ValueError("the motion is in world axes and so was never placed: connect the motion that came out of the tokenizer")
    turn, scale = placement.rotation.mT, 1 / placement.scale
    moved = transformed(motion, turn=turn, scale=scale, shift=-scale * (turn @ placement.shift))
    notes = tuple(note for note in motion.notes if note != placement.note)
    return replace(moved, frame=placement.frame, intrinsics=placement.intrinsics, image_size=placement.image_size, notes=notes)


@dataclass(frozen=True, eq=False, kw_only=True)
class PlacementReport:
    """Where a clip lies in the training data, in sigmas.

    offset: (3) mean over joints and frames for x (right), y (down), z (away). spread: (3) standard deviation about it. largest: of all
    absolute values, at `joint` in `frame`. stature: metres or None. warnings: empty where the clip is in distribution.
    """

    offset: tuple[float, float, float]
    spread: tuple[float, float, float]
    largest: float
    joint: str
    frame: int
    stature: float | None
    warnings: tuple[str, ...]

    @property
    def in_distribution(self) -> bool:
        """No warning."""
        return not self.warnings

    def text(self) -> str:
        """The report in lines."""
        axes = ("x, right", "y, down", "z, away")
        lines = ["distance from the tokenizer's training data, in sigmas:"]
        lines += [f"  {axis}: offset {o:+.2f}, spread {s:.2f}" for axis, o, s in zip(axes, self.offset, self.spread, strict=True)]
        lines.append(f"  largest {self.largest:.2f} ({self.joint}, frame {self.frame})")
        if self.stature is not None:
            lines.append(f"  stature {self.stature:.2f} m")
        lines += [f"WARNING: {warning}" for warning in self.warnings] or ["The clip lies where the tokenizer was trained."]
        return "\n".join(lines)


def placement_report(motion: Motion, statistics: MotionStatistics) -> PlacementReport:
    """How far a clip, as it is, lies from the training data; world axes are turned to camera axes first, missing joints left out.

    Raises:
        ValueError: another skeleton, or no joint seen at all.
    """
    _check_skeleton(motion, statistics)
    if not motion.seen.any():
        raise ValueError("the motion has no joint with a confidence above 0: there is nothing to report on")
    joints = motion.joints.cpu().double()
    if motion.frame is Frame.WORLD:
        joints = joints @ HALF_TURN
    seen = motion.seen.cpu()
    sigmas = _sigmas(joints, statistics)
    counted = sigmas[seen]
    worst = torch.where(seen, sigmas.abs().amax(-1), -1.0)
    frame, joint = divmod(int(worst.argmax()), len(motion.skeleton.names))
    offset, spread, largest, height = counted.mean(0), counted.std(0, correction=0), float(worst.max()), estimate_stature(motion)
    return PlacementReport(
        offset=tuple(offset.tolist()),
        spread=tuple(spread.tolist()),
        largest=largest,
        joint=motion.skeleton.names[joint],
        frame=frame,
        stature=height,
        warnings=_warnings(offset, largest, height),
    )


def _warnings(offset: Tensor, largest: float, height: float | None) -> tuple[str, ...]:
    found = []
    axis = int(offset.abs().argmax())
    if abs(float(offset[axis])) > LARGEST_OFFSET:
        found.append(
            f"out of distribution: the clip lies {float(offset[axis]):+.1f} sigma off in {'xyz'[axis]} "
            f"(known good: up to {LARGEST_OFFSET:g}); Fit Motion to Tokenizer moves it"
        )
    elif largest > LARGEST_VALUE:
        found.append(
            f"out of distribution: a joint is {largest:.1f} sigma off (known good: up to {LARGEST_VALUE:g}); "
            "fit the motion to the tokenizer, or encode shorter clips if the person travels far"
        )
    if height is not None and not 0.99 * STATURE_RANGE[0] <= height <= 1.01 * STATURE_RANGE[1]:
        found.append(
            f"a stature of {height:.2f} m is outside {STATURE_RANGE[0]:g} to {STATURE_RANGE[1]:g} m; Fit Motion to Tokenizer scales it"
        )
    return tuple(found)
