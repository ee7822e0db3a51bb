"""What turns a bone about its own axis, which the positions of its two ends cannot show."""

import torch
from torch import Tensor

from .rotations import align_vectors, rotvec_to_matrix

_SHORT = 0.17  # sine between a bone and the next, about 10 degrees, below which a straight limb does not tell how it is turned


def hold(track: Tensor, seen: Tensor) -> Tensor:
    """Missing rows of (T, ...) replaced by the last seen one before them, at the start by the first seen one; unchanged where none is seen."""
    if not seen.any():
        return track
    index = torch.where(seen, torch.arange(len(seen), device=seen.device), -1).cummax(0).values
    return track[torch.where(index < 0, seen.to(torch.uint8).argmax(), index)]


def carried_twist(turns: Tensor, bone: Tensor) -> Tensor:
    """Turns with the twist that a bone has when it is carried over time without a spin (parallel transport).

    From one frame to the next the bone makes the smallest turn between its two directions. The twist that this adds to the given turns is an angle about the
    bone; the angles of all steps add up, so that no frame has to wait for the one before.

    Args:
        turns: (T, 3, 3) local turns, each of which brings the rest bone into its direction. bone: (3) at rest.

    Returns:
        (T, 3, 3); the first frame is as given.
    """
    axis = _unit(turns @ bone)  # (T, 3)
    carried = align_vectors(axis[:-1], axis[1:]) @ turns[:-1]
    slip = carried @ turns[1:].mT  # about the axis of the later frame
    sine = torch.stack([slip[:, 2, 1] - slip[:, 1, 2], slip[:, 0, 2] - slip[:, 2, 0], slip[:, 1, 0] - slip[:, 0, 1]], -1)
    angle = torch.atan2((sine * axis[1:]).sum(-1), slip.diagonal(dim1=-2, dim2=-1).sum(-1) - 1)
    total = torch.cat([angle.new_zeros(1), angle.cumsum(0)])
    return rotvec_to_matrix(total[:, None] * axis) @ turns


def foreseen_twist(turns: Tensor, bone: Tensor, ahead: Tensor, target: Tensor, seen: Tensor) -> Tensor:
    """World turns twisted about a bone so that the bones after it need as little turn of their own as can be: elbows and knees are hinges.

    Where a straight limb does not tell, at rest or in a frame, the angle is led over from the frames about it, and is 0 where no frame tells.

    Args:
        turns: (T, 3, 3), each of which brings the rest bone into its direction. bone: (3) at rest.
        ahead: (G, 3) the bones after it, at rest. target: (T, G, 3) the same as measured. seen: (T, G) which of them are.

    Returns:
        (T, 3, 3).
    """
    axis = _unit(turns @ bone)[:, None]  # (T, 1, 3)
    now, wanted = torch.einsum("tij,gj->tgi", turns, ahead), target
    across, aim = (part - (part * axis).sum(-1, keepdim=True) * axis for part in (now, wanted))
    told = (across.norm(dim=-1) > _SHORT * now.norm(dim=-1)) & (aim.norm(dim=-1) > _SHORT * wanted.norm(dim=-1)) & seen
    sine = (torch.linalg.cross(across, aim, dim=-1) * axis).sum(-1)
    angle = torch.atan2((sine * told).sum(-1), ((across * aim).sum(-1) * told).sum(-1))
    return rotvec_to_matrix(_led_over(angle, told.any(-1))[:, None] * axis[:, 0]) @ turns


def _led_over(angle: Tensor, known: Tensor) -> Tensor:
    """Angles (T) with the unknown ones between known ones on the shorter way from one to the other; held at the ends, 0 where none is known."""
    if not known.any():
        return torch.zeros_like(angle)
    frames = torch.arange(len(angle), device=angle.device)
    before = torch.where(known, frames, -1).cummax(0).values
    after = torch.where(known, frames, len(angle)).flip(0).cummin(0).values.flip(0)
    before, after = torch.where(before < 0, after, before), torch.where(after >= len(angle), before, after)
    way = torch.remainder(angle[after] - angle[before] + torch.pi, 2 * torch.pi) - torch.pi
    share = (frames - before) / (after - before).clamp(min=1)
    return angle[before] + share.to(angle) * way


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(vectors.dtype).tiny)
