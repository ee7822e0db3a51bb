"""What captured motion suffers from, added to a clean one: for examples and tests of cleaning."""

from dataclasses import replace

import torch

from ..types import Motion


def with_flaws(motion: Motion, *, tremble_m: float = 0.0, gap_seconds: float = 0.0, limb: str = "right_wrist", seed: int = 0) -> Motion:
    """A motion as an estimator might have seen it. Flaws are in the joints, so rotations and translation are left out.

    Args:
        tremble_m: standard deviation in metres, in each axis of each joint and frame. gap_seconds: how long `limb` and what hangs on it are
            missing, in the middle of the clip. seed: of the noise.

    Raises:
        ValueError: a flaw below 0, or a joint that the skeleton does not have.
    """
    if not (tremble_m >= 0 and gap_seconds >= 0):
        raise ValueError(f"tremble is {tremble_m} m and the gap {gap_seconds} s, expected 0 or more of both")
    noise = torch.randn(motion.joints.shape, generator=torch.Generator().manual_seed(seed))
    joints, confidence = motion.joints + tremble_m * noise.to(motion.joints), motion.confidence.clone()
    length = min(round(gap_seconds * motion.fps), motion.frames)
    first, names, missing = (motion.frames - length) // 2, motion.skeleton.names, set()
    if limb not in names:
        raise ValueError(f"limb is '{limb}', the skeleton has {', '.join(names)}")
    for joint, parent in enumerate(motion.skeleton.parents):
        if names[joint] == limb or parent in missing:
            missing.add(joint)
    confidence[first : first + length, sorted(missing)] = 0
    joints = torch.where(confidence[..., None] > 0, joints, torch.nan)
    return replace(motion, joints=joints, confidence=confidence, rotations=None, translation=None)
