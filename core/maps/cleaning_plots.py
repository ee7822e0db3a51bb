"""Curves of a motion before and after it was cleaned."""

import torch
from torch import Tensor

from ..body.cleaning import frame_jitter
from ..body.measurements import joint_speed
from ..types import Motion
from .plots import plot_lines


def plot_cleaning(before: Motion, after: Motion) -> Tensor:
    """(H, W, 3): speed of the wrists (or of the last joint) above, jitter over all joints below, each before and after, over time.

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
    speeds = {f"{name.removesuffix('_wrist')} {when}": _speed(motion, name) for name in names for when, motion in pairs}
    above = plot_lines(speeds, title=title, x_label=x_label, y_label="m/s", size=(360, 768))
    jitters = {"before": frame_jitter(before), "after": frame_jitter(after)}
    below = plot_lines(jitters, title="Jitter", x_label=x_label, y_label="mm/frame^2", size=(300, 768))
    return torch.cat([above, below])


def _speed(motion: Motion, name: str) -> Tensor:
    speed = joint_speed(motion)[:, motion.skeleton.index(name)].float()
    return torch.cat([torch.full((1,), torch.nan), speed])
