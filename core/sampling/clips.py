"""Long video clip by clip: each clip starts from the last latent frames of the one before.

It is a driver over functions and knows neither network nor VAE. (All windows of a long video together, at every step: `run_recipe` with the
windows of `plan_windows`.)
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..conditions import GREY, MotionCondition, VideoCondition, video_frames

# sample_one(number of the clip, its condition) -> latents (C, size, h, w) as the VAE has them
SampleOne = Callable[[int, VideoCondition], Tensor]
# carry(latents (C, size, h, w) of a clip, overlap) -> latents (C, n, h, w) that the next starts with, overlap <= n <= size
Carry = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True, eq=False)
class LongVideo:
    """latents: (C, F, h, w) of the whole length. clips: (C, size, h, w) each, as sampled. plan: int64 (size,) latent frames of each clip."""

    latents: Tensor
    clips: Sequence[Tensor]
    plan: Sequence[Tensor]


def plan_clips(frames: int, size: int = 13, overlap: int = 3) -> list[Tensor]:
    """The latent frames of each clip, all of them `size` long, which the released weights need.

    The last clip ends with the length: it is moved back, and shares more with the one before. A length below `size` is one clip that holds
    the last frame; what goes beyond the length is dropped when clips are joined.

    Raises:
        ValueError: no frames, or an overlap outside 1 to size - 1.
    """
    if frames < 1:
        raise ValueError(f"{frames} latent frames, expected at least 1")
    if not 1 <= overlap < size:
        raise ValueError(f"clips of {size} latent frames overlap by {overlap}, expected 1 to {size - 1}")
    last = max(frames - size, 0)
    starts = [*range(0, last, size - overlap), last]
    return [torch.arange(start, start + size).clamp(max=frames - 1) for start in starts]


def shared_frames(plan: Sequence[Tensor], number: int) -> int:
    """Latent frames that a clip shares with the one before; 0 for the first."""
    return 0 if number == 0 else int(plan[number - 1][-1] - plan[number][0]) + 1


def carry_latents(latents: Tensor, overlap: int) -> Tensor:
    """The last latent frames of a clip as they are, without a round trip through the VAE.

    A VAE of video packs one frame in the first latent of a clip and four in each other; the first of those carried over is therefore not
    what the release would give, and the frames are to be decoded from the joined latents.
    """
    return latents[:, latents.shape[1] - overlap :]


def carry_frames(
    decode: Callable[[Tensor], Tensor], encode: Callable[[Tensor], Tensor], *, on_frames: Callable[[Tensor], None] | None = None
) -> Carry:
    """The released way: decode a clip, keep the frames of the overlap, and encode them again with grey after them.

    Args:
        decode: latents (C, F, h, w) -> frames (T, H, W, 3) in 0..1. encode: the other way.
        on_frames: is given the frames that are kept; the last of them is what the release shows the image encoder for the next clip.
    """

    def carry(latents: Tensor, overlap: int) -> Tensor:
        frames = decode(latents)
        kept = frames[len(frames) - video_frames(overlap) :]
        if on_frames is not None:
            on_frames(kept)
        return encode(torch.cat([kept, torch.full_like(frames[len(kept) :], GREY)]))

    return carry


def sample_clips(
    sample_one: SampleOne,
    condition: VideoCondition,
    plan: Sequence[Tensor],
    *,
    carry: Carry = carry_latents,
    motions: Sequence[MotionCondition] | None = None,
) -> LongVideo:
    """Sample a long video clip by clip.

    Every clip but the first starts with frames that are known: at 17B as known frames of its reference, the rest of which is that of the first
    clip; at 7B, which has no such input and was not trained for it, by putting them back after every step.

    Args:
        condition: of the whole length; of its reference the frames of the first clip are read.
        plan: of `plan_clips` for that length.
        carry: `carry_latents`, or one of `carry_frames`.
        motions: of each clip, where its tokens were made for it alone as in the release; None cuts them from the whole motion.

    Raises:
        ValueError: a plan for another length, motions that do not fit it, or latents of another size from `sample_one` or `carry`.
    """
    _check_plan(condition, plan, motions)
    first = condition.window([int(index) for index in plan[0]])
    joined = torch.empty(0)
    clips: list[Tensor] = []
    for number, indices in enumerate(plan):
        motion = condition.motion.window(indices.tolist()) if motions is None else motions[number]
        shared = shared_frames(plan, number)
        given = replace(first, motion=motion)
        if shared:
            given = _continued(given, carry(clips[-1], shared), shared)
        latents = sample_one(number, given)
        if latents.shape != first.reference.shape:
            expected = f"expected {tuple(first.reference.shape)} as its reference has"
            raise ValueError(f"clip {number} was sampled as {tuple(latents.shape)}, {expected}")
        clips.append(latents)
        new = latents[:, shared:]
        joined = new if number == 0 else torch.cat([joined, new], 1)
    return LongVideo(latents=joined[:, : condition.motion.frames], clips=clips, plan=plan)


def join_frames(clips: Sequence[Tensor], plan: Sequence[Tensor]) -> Tensor:
    """Frames of a long video from those of its clips, decoded each alone, as released: every clip but the last without its overlap.

    Args:
        clips: (T, H, W, 3) each. The start of a later clip replaces the end of the one before, as it is decoded with what follows it.
    """
    frames = video_frames(1 + max(int(indices[-1]) for indices in plan))
    # A clip that starts at latent frame s starts at frame 4 s: its first latent is that one frame.
    ends = [4 * int(later[0] - earlier[0]) for earlier, later in itertools.pairwise(plan)]
    return torch.cat([clip[:end] for clip, end in zip(clips, [*ends, None], strict=True)])[:frames]


def _continued(clip: VideoCondition, carried: Tensor, shared: int) -> VideoCondition:
    """A clip that starts with known latents; more of them than are shared are the rest of a reference, encoded with them."""
    given = carried.shape[1]
    if not shared <= given <= clip.reference.shape[1]:
        raise ValueError(f"{given} latent frames were carried over, expected {shared} to {clip.reference.shape[1]}")
    if clip.known == 0:
        return replace(clip, carried=carried[:, :shared])
    reference = torch.cat([carried.to(clip.reference), clip.reference[:, given:]], 1)
    return replace(clip, reference=reference, known=shared, pinned=True)


def _check_plan(condition: VideoCondition, plan: Sequence[Tensor], motions: Sequence[MotionCondition] | None) -> None:
    covered = 1 + max(int(indices.max()) for indices in plan)
    if covered != condition.motion.frames:
        raise ValueError(f"the clips cover {covered} latent frames, the motion has {condition.motion.frames}: plan them for this length")
    if motions is None:
        return
    if len(motions) != len(plan):
        raise ValueError(f"{len(motions)} motions for {len(plan)} clips: give one for each")
    for number, (motion, indices) in enumerate(zip(motions, plan, strict=True)):
        if motion.frames != len(indices):
            raise ValueError(f"the motion of clip {number} has {motion.frames} latent frames, the clip {len(indices)}: make them equal")
