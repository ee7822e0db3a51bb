"""Curves of a motion."""

import torch
from torch import Tensor

from ..body.measurements import joint_speed
from ..types import Motion
from .plots import plot_lines

_SHOWN = ("pelvis", "head", "left_wrist", "right_wrist", "left_ankle", "right_ankle")


def plot_motion(motion: Motion) -> Tensor:
    """(H, W, 3): speed of pelvis, head, wrists and ankles (or of the first six joints) above, confidence below, over time."""
    motion = motion.cpu()
    names = [name for name in _SHOWN if name in motion.skeleton.names] or list(motion.skeleton.names[:6])
    columns = [motion.skeleton.index(name) for name in names]
    speed = torch.cat([torch.full((1, len(columns)), torch.nan), joint_speed(motion)[:, columns].float()])
    above = plot_lines(
        {name: speed[:, i] for i, name in enumerate(names)},
        title="Speed",
        x_label=f"frame ({motion.fps:g} fps)",
        y_label="m/s",
        size=(360, 768),
    )
    confidence = {"mean": motion.confidence.mean(1).float(), "lowest joint": motion.confidence.min(1).values.float()}
    below = plot_lines(confidence, title="Confidence", x_label=f"frame ({motion.fps:g} fps)", y_label="", size=(240, 768))
    return torch.cat([above, below])
