"""Plücker maps as pictures."""

import torch
from torch import Tensor


def draw_plucker(lines: Tensor) -> Tensor:
    """Plücker maps (..., 6, h, w) as pictures (..., h, 2 w, 3) in 0..1: directions on the left, moments on the right, grey is 0.

    Moments are measured by the longest of all of them.
    """
    direction, moment = lines[..., :3, :, :], lines[..., 3:, :, :]
    longest = float(moment.norm(dim=-3).max()) if moment.numel() else 0.0
    pictures = torch.cat([direction, moment / longest if longest > 0 else moment], -1)
    return (0.5 + 0.5 * pictures).movedim(-3, -1).clamp(0, 1)
