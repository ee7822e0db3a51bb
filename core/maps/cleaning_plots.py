"""Curves of a motion before and after it was cleaned."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..body.cleaning import frame_jitter
from ..body.measurements import joint_speed
from ..types import Motion
from .plots import plot_lines


def plot_cleaning(before: Motion, after: Motion, *, cuts: Sequence[int] = ()) -> Tensor:
    """(H, W, 3): speed of the wrists (or of the last joint) above, jitter over all joints below, each before and after, over time.

    Args:
        cuts: first frames of the shots after the first; jumps from one shot to the next are left out.

    Raises:
        ValueError: two motions of different length or skeleton.
    """
    before, after = before.cpu(), after.cpu()
    if before.frames != after.frames or before.skeleton.names != after.skeleton.names:
        raise ValueError(f"the motions have {before.frames} and {after.frames} frames: compare a motion with what was made of it")
    names = [name for name in ("left_wrist", "right_wrist") if name in before.skeleton.names] or [before.skeleton.names[-1]]
    x_label = f"frame ({before.fps:g} fps)"
    title = "Speed of the wrists" if names[0].endswith("_wrist") else "Speed"
    pairs = (("before", before), ("after", after))
    speeds = {f"{name.removesuffix('_wrist')} {when}": _speed(motion, name, cuts) for name in names for when, motion in pairs}
    above = plot_lines(speeds, title=title, x_label=x_label, y_label="m/s", size=(360, 768))
    jitters = {"before": frame_jitter(before, cuts=cuts), "after": frame_jitter(after, cuts=cuts)}
    below = plot_lines(jitters, title="Jitter", x_label=x_label, y_label="mm/frame^2", size=(300, 768))
    return torch.cat([above, below])


def _speed(motion: Motion, name: str, cuts: Sequence[int]) -> Tensor:
    speed = joint_speed(motion)[:, motion.skeleton.index(name)].float()
    speed = torch.cat([torch.full((1,), torch.nan), speed])
    speed[list(cuts)] = torch.nan
    return speed
