"""Two motions of the same clip, one drawn over the other, and the distance between them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..body.framing import frame_motion
from ..geometry.cameras import with_camera
from ..types import Frame, Motion
from .colours import LUMINANCE
from .drawing import draw_skeleton

_LONGER_SIDE = 768  # pixels of the pictures
_FADED = 0.55


@dataclass(frozen=True, eq=False, kw_only=True)
class MotionDifference:
    """distance_m: (T, J) metres, NaN where a joint is missing in either motion."""

    distance_m: Tensor
    names: tuple[str, ...]

    @property
    def mean_mm(self) -> float:
        """Mean per joint position error (MPJPE) in millimetres."""
        return float(self.distance_m.nanmean()) * 1000

    def text(self) -> str:
        """The error in lines: mean, largest, and the joints that are farthest off."""
        by_joint = self.distance_m.nanmean(0).nan_to_num() * 1000
        worst = by_joint.topk(min(3, len(by_joint)))
        return (
            f"{len(self.distance_m)} frames: error {self.mean_mm:.1f} mm on average, {float(self.distance_m.nan_to_num().max()) * 1000:.1f} mm at most; "
            "largest at "
            + ", ".join(f"{self.names[joint]} {value:.1f} mm" for value, joint in zip(worst.values, worst.indices, strict=True))
        )


def compare_motions(first: Motion, second: Motion) -> MotionDifference:
    """Distance of each joint over the frames that both motions have.

    Raises:
        ValueError: motions of different skeletons or in different axes.
    """
    if first.skeleton.names != second.skeleton.names:
        raise ValueError(f"the motions have {len(first.skeleton.names)} and {len(second.skeleton.names)} joints of different names")
    if first.frame is not second.frame:
        raise ValueError(f"one motion is in {first.frame.value} space, the other in {second.frame.value} space: connect the placement")
    length = min(first.frames, second.frames)
    both = first.seen[:length] & second.seen[:length]
    distance = (first.joints[:length] - second.joints[:length]).norm(dim=-1)
    return MotionDifference(distance_m=torch.where(both, distance, torch.nan), names=first.skeleton.names)


def draw_comparison(motion: Motion, original: Motion | None) -> Tensor:
    """(1, T, H, W, 3): `motion` in colours over `original` in grey (alone, if that is None).

    Both are seen from the front, or, in camera space, by the original's own camera (one of 55 degrees where it knows none).
    """
    shown = motion if original is None else original
    if shown.frame is Frame.CAMERA:
        shown = with_camera(shown, (_LONGER_SIDE, _LONGER_SIDE))
        motion = replace(motion, intrinsics=shown.intrinsics, image_size=shown.image_size)
    rig = frame_motion(shown, views=1, image_size=(_LONGER_SIDE, _LONGER_SIDE), keep_own_camera=True)
    if original is None:
        return draw_skeleton(motion, rig)
    length = min(motion.frames, shown.frames)
    grey = draw_skeleton(shown.cut(0, length), rig) @ torch.tensor(LUMINANCE)
    return draw_skeleton(motion.cut(0, length), rig, background=(_FADED * grey)[..., None].expand(*grey.shape, 3))
