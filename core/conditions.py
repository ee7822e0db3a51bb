"""What a video is made under: motion as a video model attends to it, and the pictures it starts from; of one view or of several."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from .sampling.progressive import ViewsAs, Window, is_turned, taken
from .shapes import check_shapes
from .types import MotionTokens

GREY = 0.5  # of frames in 0..1: what 17B is shown where nothing is known


@dataclass(frozen=True, eq=False, kw_only=True)
class MotionCondition:
    """Motion tokens of a clip with the places they turn by. One object stands for one clip: models recognise it by identity.

    tokens: (F * J, C) float32 on the CPU, frame-major; None for no motion of its own: the learned unconditional tokens at 7B, no motion
    attention at 17B. positions: (J, 3) mean joints of the tokenizer's training data, millimetres. frames: F, in latents.
    """

    tokens: Tensor | None
    positions: Tensor
    frames: int

    def __post_init__(self):
        joints = check_shapes("MotionCondition", tokens=(self.tokens, "L C"), positions=(self.positions, "J 3"))["J"]
        if self.frames < 1 or (self.tokens is not None and len(self.tokens) != self.frames * joints):
            given = "no" if self.tokens is None else len(self.tokens)
            raise ValueError(
                f"MotionCondition: {given} tokens for {self.frames} latent frames of {joints} joints: expected frames x joints"
            )

    @classmethod
    def of(cls, tokens: MotionTokens, positions: Tensor) -> "MotionCondition":
        """The condition of a clip of tokens."""
        return cls(tokens=tokens.tokens.float().cpu(), positions=positions, frames=tokens.latent_frames)

    def without_motion(self) -> "MotionCondition":
        """The same clip length and places, without the motion."""
        return replace(self, tokens=None)

    def window(self, indices: Sequence[int]) -> "MotionCondition":
        """Of some latent frames, in the order given; places in time count from 0 in every window."""
        if not len(indices) or min(indices) < 0 or max(indices) >= self.frames:
            raise ValueError(f"MotionCondition: window {list(indices)[:4]}... of {self.frames} latent frames: expected frames that exist")
        tokens = None
        if self.tokens is not None:
            tokens = taken(self.tokens.unflatten(0, (self.frames, -1)), 0, torch.as_tensor(indices)).flatten(0, 1)
        return replace(self, tokens=tokens, frames=len(indices))


@dataclass(frozen=True)
class Strength:
    """How much of the motion attention is added: x + value * attention, for a part of the sampling.

    start, end: fractions of the noise schedule, 0 at pure noise and 1 at the finished video; outside of them nothing is added.
    """

    value: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self):
        if not abs(self.value) < float("inf"):
            raise ValueError(f"strength is {self.value}, expected a finite number: 1 as trained, 0 for none")
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(f"motion acts from {self.start} to {self.end}, expected 0 <= start <= end <= 1")

    def at(self, progress: float) -> float:
        """The factor at a point of the schedule, 0 to 1."""
        return self.value if self.start <= progress <= self.end else 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class VideoCondition:
    """All that a motion model reads beside noise, text and the image encoder.

    motion: of F latent frames. reference: (C, F, h, w) latents as the VAE gives them, unscaled. 7B: of a video that shows the reference
    picture in every frame; 17B: of a video whose first `known` latent frames are given and whose others are grey. known: 0 at 7B.
    pinned: 17B, the known frames are put back after every step (every clip but the first of a long video). carried: (C, k, h, w) latents of
    leading frames that are put back likewise without being part of the reference (7B, which was not trained for it).
    """

    motion: MotionCondition
    reference: Tensor
    known: int = 0
    pinned: bool = False
    carried: Tensor | None = None

    def __post_init__(self):
        sizes = check_shapes("VideoCondition", reference=(self.reference, "C F h w"), carried=(self.carried, "C k h w"))
        frames = sizes["F"]
        if frames != self.motion.frames:
            raise ValueError(
                f"VideoCondition: {frames} latent frames of the reference, {self.motion.frames} of the motion: make them equal"
            )
        if not 0 <= self.known <= frames:
            raise ValueError(f"VideoCondition: {self.known} known latent frames of {frames}")
        if sizes.get("k", 0) > frames:
            raise ValueError(f"VideoCondition: {sizes['k']} latent frames are carried into a clip of {frames}: carry fewer over")

    @property
    def put_back(self) -> Tensor | None:
        """The leading latents (C, k, h, w), unscaled, that stand again after every step of the sampling; None for none."""
        if self.carried is not None:
            return self.carried
        return self.reference[:, : self.known] if self.pinned and self.known else None

    def without_motion(self) -> "VideoCondition":
        """The same pictures, without the motion."""
        return replace(self, motion=self.motion.without_motion())

    def window(self, indices: Sequence[int]) -> "VideoCondition":
        """Of some latent frames. A reference that holds for the whole video (known 0) starts anew in every window."""
        motion = self.motion.window(indices)
        reference = hold(self.reference, len(indices)) if self.known == 0 else taken(self.reference, 1, torch.as_tensor(indices))
        leading = next((place for place, index in enumerate(indices) if index != place), len(indices))
        carried = self.carried[:, :leading] if self.carried is not None and leading else None
        return replace(self, motion=motion, reference=reference, known=min(leading, self.known), carried=carried)


Condition = TypeVar("Condition", MotionCondition, VideoCondition)


class Pieces:
    """Conditions of the views of a grid, cut as `core.sampling.progressive.cut` cuts its latents: one for each row of a piece.

    A row is made once, whatever pieces it is in, so that what recognises conditions by identity can keep what it makes of them; conditions
    without motion are the same object in all windows of one length. A window over everything gives the conditions themselves. Windows of
    frames share the memory of what they are cut from. Instants of several views are copies, of all windows together the whole length once for
    each window of views.
    """

    def __init__(self, views_as: ViewsAs = "frames"):
        self.views_as = views_as
        self._rows: dict[_Row, MotionCondition | VideoCondition] = {}
        self._still: dict[tuple, MotionCondition] = {}

    def of(self, conditions: Sequence[Condition], window: Window) -> tuple[Condition, ...]:
        """The rows of a window.

        Args:
            conditions: of the views, all of one length; one alone holds for every view.

        Raises:
            ValueError: along views, some have motion and others none, or they know different numbers of frames.
        """
        return tuple(map(self._kept, _rows(conditions, window, self.views_as)))

    def _kept(self, row: "_Row") -> Condition:
        if row not in self._rows:
            self._rows[row] = self._shared(row.made())
        return self._rows[row]

    def _shared(self, condition: Condition) -> Condition:
        if isinstance(condition, VideoCondition):
            motion = self._shared(condition.motion)
            return condition if motion is condition.motion else replace(condition, motion=motion)
        if condition.tokens is not None:
            return condition
        return self._still.setdefault((condition.frames, id(condition.positions)), condition)


def piece(conditions: Sequence[Condition], window: Window, views_as: ViewsAs = "frames") -> tuple[Condition, ...]:
    """One condition for each row that `core.sampling.progressive.cut` makes of a window; see `Pieces`."""
    return tuple(row.made() for row in _rows(conditions, window, views_as))


@dataclass(frozen=True)
class _Row:
    """What one row of a piece shows: some frames of one view, or, turned, several views at one frame."""

    views: tuple[MotionCondition | VideoCondition, ...]
    frames: tuple[int, ...]
    turned: bool

    def made(self) -> MotionCondition | VideoCondition:
        if self.turned:
            return _across(self.views, self.frames[0])
        view = self.views[0]
        return view if self.frames == tuple(range(_length(view))) else view.window(self.frames)


def _rows(conditions: Sequence[Condition], window: Window, views_as: ViewsAs) -> list[_Row]:
    views = tuple(conditions[int(view) % len(conditions)] for view in window.views)
    frames = tuple(window.frames.tolist())
    if is_turned(window, views_as):
        return [_Row(views, (frame,), True) for frame in frames]
    return [_Row((view,), frames, False) for view in views]


def _length(condition: MotionCondition | VideoCondition) -> int:
    return (condition if isinstance(condition, MotionCondition) else condition.motion).frames


def _across(views: Sequence[Condition], frame: int) -> Condition:
    """Several views at one instant as one clip, whose frames are the views.

    Where the reference holds for a whole video it is at place k of the clip that of view k at its frame k, as in every other window.
    """
    if isinstance(views[0], MotionCondition):
        return _motion_across(views, frame)
    known = {one.known for one in views}
    if len(known) > 1:
        given = " and ".join(map(str, sorted(known)))
        raise ValueError(f"the views know {given} latent frames beforehand: give them the same number, or sample views as a batch")
    places = range(len(views)) if known == {0} else [frame] * len(views)
    reference = [hold(one.reference, place + 1)[:, place] for one, place in zip(views, places, strict=True)]
    motion = _motion_across([one.motion for one in views], frame)
    return VideoCondition(motion=motion, reference=torch.stack(reference, 1), known=len(views) if frame < max(known) else 0)


def _motion_across(views: Sequence[MotionCondition], frame: int) -> MotionCondition:
    moving = [one.tokens is not None for one in views]
    if any(moving) != all(moving):
        raise ValueError(f"{sum(moving)} of {len(views)} views of a window have motion, the others none: condition all views, or none")
    tokens = torch.cat([one.tokens.unflatten(0, (one.frames, -1))[frame] for one in views]) if all(moving) else None
    return replace(views[0], tokens=tokens, frames=len(views))


def only_view(conditions: Sequence[VideoCondition]) -> VideoCondition:
    """The condition of the one view there is; ValueError where there are several."""
    if len(conditions) != 1:
        raise ValueError(f"the conditioning has {len(conditions)} views, this takes 1: use it before Gather Views")
    return conditions[0]


def known_mask(condition: VideoCondition) -> Tensor:
    """The mask channels (4, F, h, w) that 17B reads before the reference: 1 in the known latent frames, 0 in the others.

    The release makes it from a mask of the video's frames, four to a latent frame, and scales it down; what comes out is this.
    """
    _, frames, height, width = condition.reference.shape
    mask = torch.zeros(4, frames, height, width)
    mask[:, : condition.known] = 1
    return mask


def hold(latents: Tensor, frames: int) -> Tensor:
    """Latents (C, F, h, w) cut to a number of latent frames, or continued by their last one: a still picture, or grey, goes on like that."""
    return taken(latents, 1, torch.arange(frames).clamp(max=latents.shape[1] - 1))


def video_frames(latents: int) -> int:
    """Frames that a causal video VAE decodes from `latents` latent frames: one from the first, four from each of the others."""
    return 4 * latents - 3
