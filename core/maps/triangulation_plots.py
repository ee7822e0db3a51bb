"""How well a triangulated motion fits its cameras, over time."""

import torch
from torch import Tensor

from ..geometry.triangulation import Triangulation
from .plots import plot_lines


def plot_triangulation(result: Triangulation) -> Tensor:
    """(H, W, 3): above the median distance in pixels between the motion and the keypoints of each view, below the share of joints that are triangulated."""
    views = {f"view {view}": distances.nanmedian(-1).values for view, distances in enumerate(result.distances_px.cpu())}
    x_label = f"frame ({result.motion.fps:g} fps)"
    above = plot_lines(views, title="Distance from the keypoints", x_label=x_label, y_label="px, median of the joints", size=(360, 768))
    share = {"joints": 100 * result.motion.seen.cpu().float().mean(-1)}
    below = plot_lines(share, title="Triangulated", x_label=x_label, y_label="% of the joints", size=(240, 768))
    return torch.cat([above, below])
