"""How far a motion is from its reference, over time."""

import torch
from torch import Tensor

from ..body.motion_errors import ALIGNMENTS, MotionErrors
from .plots import plot_lines

_NAMES = dict(zip(ALIGNMENTS, ("as it is", "turned, moved", "and scaled", "each frame"), strict=True))


def plot_errors(errors: MotionErrors) -> Tensor:
    """(H, W, 3): above the mean distance of the joints as they are and after each alignment, below the jitter of both motions."""
    x_label = f"frame ({errors.fps:g} fps)"
    curves = {name: errors.curve_mm(kind) for kind, name in _NAMES.items()}
    above = plot_lines(curves, title="Error", x_label=x_label, y_label="mm, mean of the joints", size=(360, 768))
    both = dict(zip(("motion", "reference"), errors.jitters, strict=True))
    below = plot_lines(both, title="Jitter", x_label=x_label, y_label="mm/frame^2", size=(240, 768))
    return torch.cat([above, below])
