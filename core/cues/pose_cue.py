"""How the person of a driving video moves, without what they look like (DirectAnimator's pose cue)."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..maps.colours import LUMINANCE
from .clip_values import check_frames, check_masks, colours
from .low_pass import CUTOFF, FrequencyFilter, check_filter
from .quality_gate import Gate

LOOKS = ("low_pass", "grey", "rgb", "skeleton")
_TOGETHER = 4  # frames


def pose_cue(
    frames: Tensor,
    masks: Tensor,
    gate: Gate,
    *,
    look: str = "low_pass",
    shape: str = "gaussian",
    cutoff: float = CUTOFF,
    order: int = 2,
    missing: str = "zero",
    skeleton: Tensor | None = None,
    batch: int = _TOGETHER,
    advance: Callable[[int], None] | None = None,
) -> Tensor:
    """The person cut out, grey, and low-passed in this order, so that the outline is soft as well; clipped to 0..1 on black.

    Args:
        frames: (T, H, W, 3) floats in 0..1 or uint8; with a fourth channel of transparency they lie on black. masks: (T, H, W) in 0..1.
        gate: of `gate_masks`, which masks are good.
        look: "low_pass"; or an ablation of the paper: "grey" without the filter, "rgb" the person as filmed, "skeleton" the pictures of `skeleton` as they are.
        shape, cutoff, order: of the filter, see `low_pass`.
        missing: what stands in where no mask is good, see `Gate.sources`.
        skeleton: (T, H, W, 3) pictures of a drawn skeleton, of which masks hide nothing.
        batch: frames worked on together; it changes nothing but time and memory.
        advance: called with the number of frames after each batch; what it raises ends the work.

    Returns:
        (T, H, W, 3) float32 in 0..1; of grey looks three views of the same memory.

    Raises:
        ValueError: frames, masks, gate or skeleton that do not go together, a range that is not 0..1, or options outside their ranges.
    """
    if look not in LOOKS:
        raise ValueError(f"look is '{look}', expected one of {', '.join(LOOKS)}")
    if batch < 1:
        raise ValueError(f"batch is {batch}, expected 1 frame or more")
    check_filter(cutoff=cutoff, shape=shape, order=order)
    check_frames(frames)
    masks = check_masks(masks, frames)
    if len(gate.kept) != len(frames):
        raise ValueError(f"the gate is of {len(gate.kept)} masks, there are {len(frames)} frames: judge the masks of these frames")
    sources = gate.sources(missing)
    if look == "skeleton":
        return _drawn(skeleton, frames)
    filtered = (
        FrequencyFilter(*frames.shape[1:3], cutoff=cutoff, shape=shape, order=order, device=frames.device) if look == "low_pass" else None
    )
    cue = torch.zeros(*frames.shape[:3], *((3,) if look == "rgb" else ()), device=frames.device)
    for chosen in torch.arange(len(frames)).split(batch):
        good = chosen[gate.kept[chosen]].to(frames.device)
        if len(good):
            cut = _foreground(frames[good], masks[good].to(frames.device), grey=look != "rgb")
            cue[good] = (cut if filtered is None else filtered(cut)).clamp_(0, 1)
        if advance is not None:
            advance(len(chosen))
    filled = (~gate.kept & (sources >= 0)).nonzero()[:, 0].to(frames.device)
    cue[filled] = cue[sources.to(frames.device)[filled]]
    return cue if look == "rgb" else cue[..., None].expand(*cue.shape, 3)


def _foreground(frames: Tensor, masks: Tensor, *, grey: bool) -> Tensor:
    """The person alone: (n, H, W) grey, or (n, H, W, 3)."""
    pictures = colours(frames)
    if not grey:
        return pictures * masks[..., None]
    red, green, blue = (pictures[..., channel] * weight for channel, weight in enumerate(LUMINANCE))
    return red.add_(green).add_(blue).mul_(masks)


def _drawn(skeleton: Tensor | None, frames: Tensor) -> Tensor:
    if skeleton is None:
        raise ValueError("the look is 'skeleton', but there are no pictures of one: give those of Draw Skeleton, one for each frame")
    check_frames(skeleton, name="the skeleton pictures")
    if skeleton.shape[:3] != frames.shape[:3]:
        raise ValueError(
            f"the skeleton pictures are {len(skeleton)} of {skeleton.shape[2]}x{skeleton.shape[1]} pixels, the frames {len(frames)} of "
            f"{frames.shape[2]}x{frames.shape[1]}: draw one over each frame"
        )
    return colours(skeleton).clamp(0, 1)
