"""MTVCRAFTERMOTION, the tokens of 4DMoT as kijai's WanVideoWrapper hands them on (MTV/nodes.py).

{"mtv_motion_tokens": float (1, L, 3072), "global_mean": numpy (24, 3), "global_std": numpy (24, 3)}: L = latent frames x 24, frame-major, latent frames = (T - 1) // 4 + 1;
mean and standard deviation in millimetres in camera space, the mean being where the joints' rotary positions come from.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...body.tokens import NO_CODE, Quantise
from ...types import MotionTokens, decoded_frames
from .payloads import entry, numbers

KIND = "MTVCRAFTERMOTION"
_SAME = 0.01  # millimetres between two statistics that are the same
_ROUNDED = 0.01  # of its length: what half precision can move a code by, and less than lies between two codes


def to_mtvcrafter_motion(tokens: MotionTokens, statistics: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tokens with the statistics of their tokenizer's spec, mean_mm and std_mm (24, 3).

    Raises:
        ValueError: tokens of another number of joints than the statistics.
    """
    mean, std = (statistics[name].float().numpy() for name in ("mean_mm", "std_mm"))
    if len(mean) != tokens.joints:
        raise ValueError(
            f"the tokens have {tokens.joints} joints, the tokenizer's statistics {len(mean)}: give the tokenizer that made them"
        )
    return {"mtv_motion_tokens": tokens.tokens.float()[None].clone(), "global_mean": mean.copy(), "global_std": std.copy()}


def from_mtvcrafter_motion(
    payload: Any, *, spec: str, statistics: Mapping[str, Tensor], quantise: Quantise | None = None, fps: float
) -> tuple[MotionTokens, tuple[str, ...]]:
    """MTVCRAFTERMOTION as tokens, and what was assumed.

    Args:
        spec: name and statistics (mean_mm, std_mm) of the tokenizer that is taken to have made them.
        quantise: its `quantise`, which finds the codes again; without it all indices are NO_CODE. fps: the payload knows none.

    Raises:
        ValueError: a key is missing, another shape, or statistics of another tokenizer.
    """
    vectors = torch.from_numpy(numbers(entry(payload, "mtv_motion_tokens", kind=KIND), "mtv_motion_tokens", (1, None, None)))
    for key, name in (("global_mean", "mean_mm"), ("global_std", "std_mm")):
        given, own = numbers(entry(payload, key, kind=KIND), key, (24, 3)), statistics[name].numpy()
        if (apart := float(np.abs(given - own).max())) > _SAME:
            raise ValueError(
                f"{KIND}: {key} is up to {apart:.3g} mm from that of the tokenizer '{spec}': connect the tokenizer that made the tokens"
            )
    count, joints = vectors.shape[1], 24
    if count % joints:
        raise ValueError(f"mtv_motion_tokens has {count} tokens, expected a whole number of latent frames of {joints}")
    if not torch.isfinite(vectors).all():
        raise ValueError("mtv_motion_tokens has NaN or infinite values: encode the motion again")
    indices, loss = torch.full((count,), NO_CODE), 0.0
    if quantise is not None:
        codes = quantise(vectors)
        nearest = codes.tokens[0].to(vectors)
        known = (vectors[0] - nearest).norm(dim=-1) <= _ROUNDED * nearest.norm(dim=-1)
        indices, loss = torch.where(known, codes.indices[0].cpu(), NO_CODE), float(codes.commit_loss)
    frames = decoded_frames(count // joints)
    notes = (
        f"{frames} frames, all that the tokens decode to: the payload does not say how many the clip had",
        f"{fps:g} fps as given: the payload has none",
    )
    return MotionTokens(indices=indices, tokens=vectors[0], frames=frames, joints=joints, spec=spec, commit_loss=loss, fps=fps), notes
