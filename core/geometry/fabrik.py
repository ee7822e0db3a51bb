"""Joint positions brought to given bone lengths by FABRIK (Aristidou and Lasenby, Graphical Models 73, 2011), all frames at once."""

import torch
from torch import Tensor

_ITERATIONS = 10
_TOLERANCE = 1e-4  # of the longest bone: how far leaves may still be from where they belong


def fabrik(joints: Tensor, lengths: Tensor, parents: tuple[int, ...], *, pinned: tuple[int, ...] = ()) -> Tensor:
    """Positions near the given ones whose bones have the given lengths.

    Each round goes from the leaves, held where they are wanted, to the roots (a joint with several children stands in the middle of what they propose), and
    back from the roots, held too. It ends when no leaf moves, or after ten rounds.

    Args:
        joints: (T, J, 3) wanted positions, finite. lengths: (J) of the bone above each joint, not read for roots.
        parents: (J). pinned: joints that, like the roots, keep their place instead of their distance from the parent.

    Returns:
        (T, J, 3).
    """
    children = [[] for _ in parents]
    for joint, parent in enumerate(parents):
        if parent >= 0 and joint not in pinned:
            children[parent].append(joint)
    held = [joint for joint, parent in enumerate(parents) if parent < 0 or joint in pinned]
    leaves = [joint for joint, below in enumerate(children) if not below]
    tolerance = _TOLERANCE * float(lengths.max()) if len(lengths) else 0.0
    place = list(joints.unbind(1))
    for _ in range(_ITERATIONS):
        for joint in leaves:
            place[joint] = joints[:, joint]
        for joint in reversed(range(len(parents))):
            if children[joint]:
                place[joint] = torch.stack([_at_length(place[c], place[joint], lengths[c]) for c in children[joint]]).mean(0)
        for joint in held:
            place[joint] = joints[:, joint]
        for joint, parent in enumerate(parents):
            if joint not in held:
                place[joint] = _at_length(place[parent], place[joint], lengths[joint])
        if max(float((place[joint] - joints[:, joint]).norm(dim=-1).max()) for joint in leaves) <= tolerance:
            break
    return torch.stack(place, 1)


def _at_length(start: Tensor, end: Tensor, length: Tensor) -> Tensor:
    """The point (T, 3) at `length` from `start` towards `end`; above the start where both coincide."""
    way = end - start
    far = way.norm(dim=-1, keepdim=True)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=way.dtype, device=way.device)
    return start + length * torch.where(far > torch.finfo(way.dtype).eps * length, way / far.clamp(min=torch.finfo(way.dtype).tiny), up)
