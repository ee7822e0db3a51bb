"""Editing of motion tokens, and the clip lengths they can hold.

One latent frame stands for four frames. Tokens are encoded and decoded in windows whose borders count from the end of a clip, so an edit
that changes the length also changes which neighbours a token is decoded with: what stays the same are the tokens, not the last digits of
the joints.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from ..skeletons import SMPL24
from ..types import Motion, MotionTokens, Skeleton, decoded_frames, latent_frames

SHORTEST = 8  # frames, and two latent frames
NO_CODE = -1  # index of a vector that is no row of the codebook
LENGTHS = ("pad", "trim", "refuse")
OPERATIONS = ("trim", "concatenate", "blend", "swap_joints")
POOR_COMMIT_LOSS = 0.1  # the authors' own mark in the released inference script


class Quantised(Protocol):
    """What a quantiser returns for (1, L, C): tokens (1, L, C), indices (1, L), commit_loss ()."""

    tokens: Tensor
    indices: Tensor
    commit_loss: Tensor


Quantise = Callable[[Tensor], Quantised]


def exact_length(frames: int) -> bool:
    """Whether a clip comes back from its tokens as long as it was: 8 k and 8 k + 1 frames."""
    return frames >= SHORTEST and decoded_frames(latent_frames(frames)) == frames


def fit_length(frames: int, mode: str = "pad") -> int:
    """The length to bring a clip to before encoding.

    Args:
        mode: "pad" takes the next exact length, "trim" the one before, "refuse" accepts only exact lengths.

    Raises:
        ValueError: an unknown mode, a refused length, or a clip too short to trim.
    """
    if mode not in LENGTHS:
        raise ValueError(f"mode is '{mode}', expected one of {', '.join(LENGTHS)}")
    if frames < 1:
        raise ValueError(f"the clip has {frames} frames, expected at least 1")
    if exact_length(frames):
        return frames
    longer = max(SHORTEST, 8 * -(-frames // 8))
    if mode == "pad":
        return longer
    if mode == "trim" and frames > SHORTEST:
        return 8 * (frames // 8) + 1
    shorter = f" or trim to {8 * (frames // 8) + 1}" if frames > SHORTEST else ""
    raise ValueError(f"a clip of {frames} frames does not come back from its tokens at that length: pad to {longer}{shorter}")


def fit_motion_length(motion: Motion, mode: str = "pad") -> Motion:
    """The motion at the length `fit_length` names: trimmed at its end, or padded by holding its last frame, which a note then says."""
    frames = motion.frames
    wanted = fit_length(frames, mode)
    if wanted == frames:
        return motion
    index = torch.arange(wanted).clamp(max=frames - 1)
    if wanted > frames:
        note = f"frames {frames} to {wanted - 1} hold frame {frames - 1}: the tokenizer takes 8 k or 8 k + 1 frames"
    else:
        note = f"frames {wanted} to {frames - 1} were cut off: the tokenizer takes 8 k or 8 k + 1 frames"
    return replace(motion.take(index), notes=(*motion.notes, note))


def tokens_of(codes: Quantised, *, frames: int, joints: int, spec: str, fps: float) -> MotionTokens:
    """The tokens of one encoded clip, on the CPU; `frames`: how many of the decoded frames count, where the clip was padded."""
    if len(codes.indices) != 1:
        raise ValueError(f"{len(codes.indices)} clips were encoded together, expected one")
    return MotionTokens(
        indices=codes.indices[0].cpu(), tokens=codes.tokens[0].cpu(), frames=frames, joints=joints, spec=spec,
        commit_loss=float(codes.commit_loss), fps=fps,
    )  # fmt: skip


def describe_tokens(tokens: MotionTokens) -> str:
    """How many tokens, for what, which codes, and how well they fit."""
    codes = tokens.indices[tokens.indices != NO_CODE]
    blended = len(tokens.indices) - len(codes)
    lines = [
        f"{len(tokens.indices)} tokens of {tokens.spec}: {tokens.latent_frames} latent frames x {tokens.joints} joints",
        f"for {tokens.frames} frames at {tokens.fps:g} fps",
        f"{len(codes.unique())} different codes" + (f"; {blended} tokens are mixtures between codes" if blended else ""),
        f"commitment loss {tokens.commit_loss:.4f}",
    ]
    if tokens.commit_loss > POOR_COMMIT_LOSS:
        lines.append(f"WARNING: above {POOR_COMMIT_LOSS:g} the codes fit badly: use Fit Motion to Tokenizer, or check the motion")
    return "\n".join(lines)


def _padding(tokens: MotionTokens) -> int:
    """Frames at the end of the decoded clip that do not count."""
    return decoded_frames(tokens.latent_frames) - tokens.frames


def _check_alike(first: MotionTokens, second: MotionTokens, *, same_length: bool) -> None:
    for name in ("spec", "joints", "fps"):
        one, other = getattr(first, name), getattr(second, name)
        if one != other:
            raise ValueError(f"the two clips have {name} {one} and {other}: encode both the same way")
    if first.tokens.shape[1] != second.tokens.shape[1]:
        raise ValueError(f"the two clips have tokens of {first.tokens.shape[1]} and {second.tokens.shape[1]} channels: use one tokenizer")
    if same_length and first.latent_frames != second.latent_frames:
        raise ValueError(f"the two clips have {first.latent_frames} and {second.latent_frames} latent frames: trim the longer one first")


def trim(tokens: MotionTokens, start: int, stop: int) -> MotionTokens:
    """Latent frames `start` up to, but not including, `stop`; the commitment loss stays that of the whole clip.

    Raises:
        ValueError: a range outside the clip, or of fewer than two latent frames, which cannot be decoded.
    """
    if not 0 <= start < stop <= tokens.latent_frames or stop - start < 2:
        raise ValueError(f"latent frames {start} to {stop} of a clip of {tokens.latent_frames}: expected at least two within it")
    part = slice(start * tokens.joints, stop * tokens.joints)
    frames = decoded_frames(stop - start) - (_padding(tokens) if stop == tokens.latent_frames else 0)
    return replace(tokens, indices=tokens.indices[part], tokens=tokens.tokens[part], frames=max(1, frames))


def concatenate(first: MotionTokens, second: MotionTokens) -> MotionTokens:
    """One clip after the other; nothing is smoothed where they meet, and padding at the end of the first stays.

    The commitment loss is the mean over all tokens.
    """
    _check_alike(first, second, same_length=False)
    indices = torch.cat([first.indices, second.indices])
    share = len(second.indices) / len(indices)
    return replace(
        first,
        indices=indices,
        tokens=torch.cat([first.tokens, second.tokens]),
        frames=decoded_frames(first.latent_frames + second.latent_frames) - _padding(second),
        commit_loss=(1 - share) * first.commit_loss + share * second.commit_loss,
    )


def blend(first: MotionTokens, second: MotionTokens, weight: float | Tensor, *, quantise: Quantise | None = None) -> MotionTokens:
    """Mix two clips of equal length, vector by vector.

    A mixture of two codes is in general no code: its index is NO_CODE, the decoder was not trained on it, and nothing makes the result the
    motion halfway between the two. With `quantise` each mixture becomes the nearest code, which is one the decoder knows and may be far
    from both.

    Args:
        weight: of the second clip, 0..1: one number, or (latent frames) for a transition.
        quantise: a tokenizer's `quantise`. The commitment loss is then that of the mixtures; without it, the weighted mean of the two
            clips.

    Raises:
        ValueError: clips that differ in kind or length, or a weight outside 0..1.
    """
    _check_alike(first, second, same_length=True)
    share = torch.as_tensor(weight, dtype=first.tokens.dtype)
    if share.ndim > 1 or (share.ndim == 1 and len(share) != first.latent_frames):
        raise ValueError(
            f"weight has shape {tuple(share.shape)}, expected one number or one for each of {first.latent_frames} latent frames"
        )
    if not ((share >= 0) & (share <= 1)).all():
        raise ValueError(f"weight runs from {float(share.min()):g} to {float(share.max()):g}, expected 0..1")
    share = share.expand(first.latent_frames).repeat_interleave(first.joints)
    tokens = first.tokens + share[:, None] * (second.tokens - first.tokens)
    tokens = torch.where(share[:, None] == 1, second.tokens, tokens)
    frames = max(first.frames, second.frames)
    if quantise is not None:
        codes = quantise(tokens[None])
        return replace(first, indices=codes.indices[0], tokens=codes.tokens[0], frames=frames, commit_loss=float(codes.commit_loss))
    pure = torch.where(share == 0, first.indices, torch.where(share == 1, second.indices, NO_CODE))
    indices = torch.where(first.indices == second.indices, first.indices, pure)
    mean = float(share.mean())
    return replace(
        first, indices=indices, tokens=tokens, frames=frames, commit_loss=(1 - mean) * first.commit_loss + mean * second.commit_loss
    )


def swap_joints(tokens: MotionTokens, other: MotionTokens, names: Sequence[str], *, skeleton: Skeleton = SMPL24) -> MotionTokens:
    """Take the tokens of some joints from another clip of equal length, such as the arms of one dance for the legs of another.

    The encoder's kernels span several joints, so a token also knows of its neighbours in the joint order: the swap is clean for the codes,
    not for the movement, and the joints next to the border move a little. The commitment loss is the mean of both by their share of joints.

    Args:
        names: joints of `skeleton`, which lists the tokens' joints in order.

    Raises:
        ValueError: clips that differ in kind or length, an unknown joint, or a skeleton of another size.
    """
    _check_alike(tokens, other, same_length=True)
    if len(skeleton.names) != tokens.joints:
        raise ValueError(f"the tokens have {tokens.joints} joints, the skeleton has {len(skeleton.names)}: give the skeleton of the tokens")
    chosen = torch.zeros(tokens.joints, dtype=torch.bool)
    chosen[[skeleton.index(name) for name in names]] = True
    taken = chosen.repeat(tokens.latent_frames)
    share = float(chosen.float().mean())
    return replace(
        tokens,
        indices=torch.where(taken, other.indices, tokens.indices),
        tokens=torch.where(taken[:, None], other.tokens, tokens.tokens),
        commit_loss=(1 - share) * tokens.commit_loss + share * other.commit_loss,
    )


def edit_tokens(
    tokens: MotionTokens,
    operation: str,
    *,
    other: MotionTokens | None = None,
    start: int = 0,
    count: int = 0,
    weight: float | Tensor = 0.5,
    names: Sequence[str] = (),
    quantise: Quantise | None = None,
) -> MotionTokens:
    """One of OPERATIONS by name: `trim` keeps `count` latent frames from `start` (0: all that follow), the others take a second clip.

    Raises:
        ValueError: an unknown operation, no second clip where one is needed, or what the operation itself refuses.
    """
    if operation not in OPERATIONS:
        raise ValueError(f"operation is '{operation}', expected one of {', '.join(OPERATIONS)}")
    if operation == "trim":
        return trim(tokens, start, start + count if count else tokens.latent_frames)
    if other is None:
        raise ValueError(f"{operation} needs a second clip: connect one to `other`")
    if operation == "concatenate":
        return concatenate(tokens, other)
    if operation == "blend":
        return blend(tokens, other, weight, quantise=quantise)
    return swap_joints(tokens, other, names)
