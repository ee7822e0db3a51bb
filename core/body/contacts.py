"""Feet on the floor: when they are planted, and how much they slide."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..types import Frame, Motion, Skeleton
from .cuts import shots
from .gaps import runs
from .local_fits import smooth_tracks
from .measurements import estimate_stature
from .skeleton_conversion import smpl_names

_EVEN = 0.035  # seconds, width of the bell under which speeds are measured
_STATURE = 1.7  # metres, of whom the limits below are
_SLOW, _FAST = 0.25, 0.4  # m/s below which a foot lands and above which it leaves
_LOW, _HIGH = 0.05, 0.08  # metres above the floor, likewise
_SHORTEST = 0.08  # seconds of contact, and of a break in it, that count
_NEARER = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.03)  # metres above the plane within which places count, pass after pass
_DOUBT = 0.02  # metres^2: a tilt is believed where the feet are spread by more than the root of this


@dataclass(frozen=True)
class Leg:
    """Joints of one leg; `foot`, the ball or toe, is None where the skeleton ends at the ankle."""

    hip: int
    knee: int
    ankle: int
    foot: int | None

    @property
    def ground(self) -> tuple[int, ...]:
        """Joints that can touch the floor."""
        return (self.ankle,) if self.foot is None else (self.ankle, self.foot)


def legs_of(skeleton: Skeleton) -> tuple[Leg, ...]:
    """Left and right leg, found from the names of the ankles, SMPL's, Mixamo's or VRM's.

    Raises:
        ValueError: no joints left_ankle and right_ankle with knee and hip above them.
    """
    found, names = [], smpl_names(skeleton)
    for side in ("left", "right"):
        name = f"{side}_ankle"
        if name not in names:
            raise ValueError(
                f"the skeleton has no joint '{name}': feet are found by the names left_ankle and right_ankle, or those of Mixamo or VRM"
            )
        ankle = names.index(name)
        knee = skeleton.parents[ankle]
        hip = skeleton.parents[knee] if knee >= 0 else -1
        if hip < 0:
            raise ValueError(f"'{name}' has no knee and hip above it: feet can be held in skeletons with whole legs")
        found.append(Leg(hip, knee, ankle, next(iter(skeleton.children[ankle]), None)))
    return tuple(found)


def ground_joints(skeleton: Skeleton) -> tuple[int, ...]:
    """The joints of the columns of contacts: left ankle, left foot, right ankle, right foot, as far as the skeleton has them."""
    return tuple(joint for leg in legs_of(skeleton) for joint in leg.ground)


def detect_contacts(motion: Motion, *, cuts: Sequence[int] = ()) -> Tensor:
    """When ankles and balls of the feet stand still on the floor.

    A joint lands when it is slow and low, and leaves when it is fast or high; between the two limits it goes on with what it did. The limits are those of a
    person of 1.7 m and grow with the stature, so that a body made larger or smaller has the same contacts. The floor is a plane under the lowest slow places, so that a tilted camera does not matter; its tilt is believed
    where the person moves about. Contacts and breaks of less than 0.08 s do not count.

    Args:
        cuts: first frames of the shots after the first, each of which has a floor of its own.

    Returns:
        (T, C) bool, C joints of `ground_joints`; false where one is missing.
    """
    return torch.cat([_contacts(shot) for shot in shots(motion, cuts)])


def _contacts(motion: Motion) -> Tensor:
    joints = list(ground_joints(motion.skeleton))
    seen, up = motion.seen[:, joints].cpu(), 1.0 if motion.frame is Frame.WORLD else -1.0
    size = (estimate_stature(replace(motion, skeleton=replace(motion.skeleton, names=smpl_names(motion.skeleton)))) or _STATURE) / _STATURE
    places = motion.joints[:, joints].cpu().double() / size
    even = smooth_tracks(places, width=_EVEN, fps=motion.fps, seen=seen, adaptive=False)
    even = torch.where(seen[..., None], even, 0.0)
    speed = _speeds(even, seen, motion.fps)
    height = _heights(even * torch.tensor([1.0, up, 1.0]).double(), speed, seen)
    planted = torch.zeros_like(seen)
    land, keep = seen & (speed < _SLOW) & (height < _LOW), seen & (speed < _FAST) & (height < _HIGH)
    for column in range(len(joints)):
        for start, stop in runs(keep[:, column]):
            planted[start:stop, column] = land[start:stop, column].any()
        shortest = _SHORTEST * motion.fps
        for start, stop in runs(~planted[:, column]):
            if 0 < start and stop < len(planted) and stop - start < shortest and seen[start:stop, column].all():
                planted[start:stop, column] = keep[start:stop, column].any()
        for start, stop in runs(planted[:, column]):
            if stop - start < min(shortest, len(planted)):
                planted[start:stop, column] = False
    return planted


def _speeds(places: Tensor, seen: Tensor, fps: float) -> Tensor:
    """(T, C) m/s over the step before and the step after, whichever are seen; infinite where neither is."""
    both = seen[1:] & seen[:-1]
    step = torch.where(both, (places[1:] - places[:-1]).norm(dim=-1) * fps, torch.nan)
    edge = torch.full_like(step[:1], torch.nan) if len(step) else torch.full_like(places[:1, :, 0], torch.nan)
    around = torch.stack([torch.cat([edge, step]), torch.cat([step, edge])])
    return around.nanmean(0).nan_to_num(nan=torch.inf)


def _heights(places: Tensor, speed: Tensor, seen: Tensor) -> Tensor:
    """(T, C) metres of Y-up places over the plane on which slow joints stand; each column stands at a height of its own, left and right the same."""
    frames, columns = seen.shape
    kinds = torch.arange(columns) % (columns // 2)
    slow = seen & (speed < _SLOW)
    slow = slow if slow.any() else seen
    offsets = torch.nn.functional.one_hot(kinds, columns // 2).double().expand(frames, columns, -1)
    middle = places[slow][:, [0, 2]].mean(0) if slow.any() else torch.zeros(2, dtype=places.dtype)
    across = places[..., [0, 2]] - middle
    design = torch.cat([across, offsets], -1)
    rows, heights = design[slow], places[..., 1][slow]
    plane = torch.zeros(design.shape[-1], dtype=places.dtype)
    doubt = torch.tensor([_DOUBT * len(rows)] * 2 + [1e-6] * (columns // 2), dtype=places.dtype).diag()
    if len(rows):
        plane[2:] = torch.stack([places[..., kind :: columns // 2, 1][slow[:, kind :: columns // 2]].quantile(0.1)
                                 if slow[:, kind :: columns // 2].any() else heights.min() for kind in range(columns // 2)])  # fmt: skip
    for scale in _NEARER if len(rows) else ():
        above = heights - rows @ plane
        weight = torch.where(above < 0, 1.0, torch.exp(-((above / scale) ** 2) / 2)).clamp(min=1e-6)[:, None]
        target = (rows * weight).mT @ (heights - rows[:, 2:] @ plane[2:])
        change = torch.linalg.solve((rows * weight).mT @ rows + doubt, target)
        plane = torch.cat([change[:2], plane[2:] + change[2:]])
    return places[..., 1] - design @ plane


def foot_slide(motion: Motion, contacts: Tensor | None = None) -> float:
    """Centimetres that planted feet travel over the whole clip, both feet together.

    Where ankle and ball of a foot are both planted, the one that moves less counts: a foot that rolls does not slide.

    Args:
        contacts: (T, C) as of `detect_contacts`, which is asked where they are not given.
    """
    contacts = detect_contacts(motion) if contacts is None else contacts
    joints, total = list(ground_joints(motion.skeleton)), 0.0
    places = motion.joints[:, joints].cpu().double()
    still = contacts[1:] & contacts[:-1] & motion.seen[1:, joints].cpu() & motion.seen[:-1, joints].cpu()
    step = torch.where(still, (places[1:] - places[:-1]).norm(dim=-1), torch.inf)
    for foot in step.split(len(joints) // 2, dim=1):
        least = foot.amin(1)
        total += float(least[torch.isfinite(least)].sum())
    return 100 * total
