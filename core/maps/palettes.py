"""Colours that stay apart when a video is compressed: one for each joint of a pose map."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

BACKGROUND, BONE = (255, 255, 255), (200, 200, 200)
MOST = 200  # joints
_CLEAR = 60.0  # levels between a joint's colour and those of the background and the bones


def make_palette(count: int) -> Tensor:
    """Colours as far from each other in RGB as they come: each is the point of a lattice of 16 levels farthest from those before it.

    The first is red; the palette of fewer joints is the beginning of that of more. The background's white and the bones' grey stay 60 levels clear.

    Returns:
        (count, 3) uint8.

    Raises:
        ValueError: a count outside 1..200.
    """
    if not 1 <= count <= MOST:
        raise ValueError(f"{count} colours were asked for, expected 1 to {MOST}: draw a rig of more joints in parts")
    return torch.from_numpy(_farthest_points()[:count].copy())


@lru_cache(maxsize=1)
def _farthest_points() -> np.ndarray:
    levels = np.arange(0, 256, 17)
    lattice = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    gap = np.min([((lattice - taken) ** 2).sum(-1) for taken in (BACKGROUND, BONE)], 0)  # squared distance to the nearest taken colour
    lattice, gap = lattice[gap >= _CLEAR**2], gap[gap >= _CLEAR**2]
    chosen = [int(np.flatnonzero((lattice == (255, 0, 0)).all(-1))[0])]
    while len(chosen) < MOST:
        gap = np.minimum(gap, ((lattice - lattice[chosen[-1]]) ** 2).sum(-1))
        chosen.append(int(gap.argmax()))
    return lattice[chosen].astype(np.uint8)


def assign_palette(palette: Tensor, parents: Sequence[int]) -> Tensor:
    """Reorder a palette so that joints near each other in the tree get colours far apart.

    Each joint, those with the most relatives first, takes the free colour farthest from those of its parent, children, siblings, grandparent and grandchildren.

    Args:
        palette: (J, 3). parents: (J).

    Raises:
        ValueError: another number of colours than joints.
    """
    if len(palette) != len(parents):
        raise ValueError(f"the palette has {len(palette)} colours, the skeleton {len(parents)} joints: give one colour to each")
    relatives = _relatives(parents)
    colours = palette.double().numpy()
    distance = np.linalg.norm(colours[:, None] - colours, axis=-1)
    free, taken = np.ones(len(colours), bool), np.full(len(colours), -1)
    for joint in sorted(range(len(parents)), key=lambda joint: (-len(relatives[joint]), joint)):
        near = [taken[other] for other in relatives[joint] if taken[other] >= 0]
        gap = distance[:, near].min(1) if near else np.zeros(len(colours))
        taken[joint] = int(np.where(free, gap, -1.0).argmax())
        free[taken[joint]] = False
    return palette[torch.from_numpy(taken)]


def _relatives(parents: Sequence[int]) -> list[set[int]]:
    """Joints at most two bones away from each joint."""
    next_to: list[set[int]] = [set() for _ in parents]
    for child, parent in enumerate(parents):
        if parent >= 0:
            next_to[child].add(parent)
            next_to[parent].add(child)
    return [{far for near in around for far in (near, *next_to[near])} - {joint} for joint, around in enumerate(next_to)]
