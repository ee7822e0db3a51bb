"""Motions that go over cuts of their film, where a person is somewhere else from one frame to the next."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch

from ..types import Motion

_IMPOSSIBLE = 10.0  # m/s of three quarters of all joints, at least; the fastest of the real dances that this was measured on has 5.5
_TIMES_AROUND = 4.0  # as fast as at any moment nearby: a runner keeps running, and what an estimator sees wrongly for a moment comes back
_NEARBY = 0.2  # seconds


def find_cuts(motion: Motion) -> tuple[int, ...]:
    """The frames to which a motion jumps as nobody can move: from the frame before, or from the last one in which the person was seen.

    Three quarters of the joints move at more than 10 m/s, and more than 4 times as fast as at any other moment of the 0.2 s before and after. So a jump that comes
    back at once, as of an estimator that goes wrong in a frame, is none; neither is a change of pose on the spot.
    """
    present = motion.seen.any(1).nonzero()[:, 0].cpu()
    if len(present) < 2:
        return ()
    joints = torch.where(motion.seen[..., None], motion.joints, torch.nan)[present.to(motion.joints.device)].cpu().double()
    distance = (joints[1:] - joints[:-1]).norm(dim=-1).nanquantile(0.25, dim=1)
    speed = (distance * motion.fps / present.diff()).nan_to_num()  # no joint in common: nothing to tell
    cuts = []
    for step in (speed > _IMPOSSIBLE).nonzero()[:, 0].tolist():
        before, after = present[step], present[step + 1]
        begin, end = (torch.searchsorted(present, frame) for frame in (before - _NEARBY * motion.fps, after + _NEARBY * motion.fps))
        around = torch.cat([speed[begin:step], speed[step + 1 : end]])
        if not len(around) or speed[step] > _TIMES_AROUND * around.max():
            cuts.append(int(after))
    return tuple(cuts)


def shots(motion: Motion, cuts: Sequence[int]) -> list[Motion]:
    """The pieces between cuts, the first frames of pieces after the first.

    Raises:
        ValueError: cuts that are not increasing frame numbers after frame 0.
    """
    bounds = (0, *cuts, motion.frames)
    if any(after <= before for before, after in pairwise(bounds)):
        raise ValueError(f"cuts are {tuple(cuts)}, expected increasing frame numbers from 1 to {motion.frames - 1}")
    return [motion.cut(start, stop) for start, stop in pairwise(bounds)] if cuts else [motion]


def rejoined(motion: Motion, pieces: Sequence[Motion]) -> Motion:
    """The motion with what has become of all of its shots."""

    def whole(name: str):
        return None if getattr(motion, name) is None else torch.cat([getattr(piece, name) for piece in pieces])

    return replace(motion, **{name: whole(name) for name in ("joints", "confidence", "rotations", "translation")})
