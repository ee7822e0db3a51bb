"""Motion attention as one injection: what both models, and an adapter inside a model of another program, add to their video tokens.

    x = x + strength * attention(norm(x), vision table, keys and values of the motion)

The 7B model has it in every block, without a norm; the 17B model in every fourth, after a layer norm. Keys and values of the motion depend
on neither the noise nor the step: they are read once (`ReadsMotion`) and kept (`Kept`).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from ..conditions import MotionCondition
from .attention import KeysValues, mean_probabilities
from .rope import RotaryTable

T = TypeVar("T")

# Called with the number of a block and its attention probabilities (B, N, L), mean over heads; B counts the rows that have motion.
Observe = Callable[[int, Tensor], None]


class Kept:
    """Values that are made once and kept until `clear`, as far as the memory allows: beyond the limit they are made, but not kept.

    limit_bytes: of all tensors together. A motion of the released length takes 154 MiB at 7B and 61 MiB at 17B, in bfloat16.
    """

    def __init__(self, limit_bytes: int = 2 * 1024**3):
        self.limit_bytes = limit_bytes
        self.bytes = 0
        self._values: dict[Hashable, object] = {}

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made if it is not there. What the value depends on belongs into the key."""
        if key in self._values:
            return self._values[key]
        value = make()
        size = _bytes_of(value)
        if self.bytes + size <= self.limit_bytes:
            self._values[key] = value
            self.bytes += size
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._values)


def _bytes_of(value: object) -> int:
    """Of all tensors in dataclasses, sequences and mappings."""
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, Mapping):
        return sum(map(_bytes_of, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(_bytes_of, value))
    if is_dataclass(value):
        return sum(_bytes_of(getattr(value, field.name)) for field in fields(value))
    return 0


class MotionAttending(Protocol):
    """An attention layer that can be injected."""

    def __call__(self, x: Tensor, table: RotaryTable, attended: KeysValues) -> Tensor:
        """(B, N, D), table of N rows -> (B, N, D) to be added."""

    def turned_queries(self, x: Tensor, table: RotaryTable) -> Tensor:
        """(B, N, D) -> (B, heads, N, d), as they enter the product."""


def add_motion(
    x: Tensor,
    attention: MotionAttending,
    vision: RotaryTable,
    attended: KeysValues | None,
    *,
    strength: float = 1.0,
    norm: nn.Module | None = None,
    rows: Sequence[int] | None = None,
    observe: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Add what the video finds in the motion.

    Args:
        x: (B, N, D) video tokens. vision: their table, N rows.
        attended: of the rows that have motion, or one row for all of them; None leaves `x` as it is.
        strength: 1 as trained; with 0 the attention is not computed.
        norm: applied to what asks for the motion, not to what it is added to.
        rows: of the batch, that have motion; None for all. observe: called with the probabilities (rows, N, L), mean over heads.
    """
    if attended is None or (rows is not None and not len(rows)) or (strength == 0 and observe is None):
        return x
    index = None if rows is None else torch.as_tensor(rows, device=x.device)
    part = x if index is None else x[index]
    asking = part if norm is None else norm(part)
    if observe is not None:
        observe(mean_probabilities(attention.turned_queries(asking, vision), attended.keys))
    if strength == 0:
        return x
    added = attention(asking, vision, attended)
    if index is None:
        return x + added if strength == 1 else torch.add(x, added, alpha=strength)
    return x.index_add(0, index, added, alpha=strength)


@dataclass(frozen=True, eq=False)
class MotionReading:
    """What the blocks of a model attend to in the motions of a batch.

    distinct: of every different motion, one row of keys and values for each block that has motion attention, by its number.
    order: for each batch row that has motion, which of `distinct` it reads. rows: those batch rows; None for all. batch: rows together,
    where 1 stands for any number. frames: latent frames of the motion.
    """

    distinct: tuple[Mapping[int, KeysValues], ...]
    order: tuple[int, ...]
    rows: tuple[int, ...] | None
    batch: int
    frames: int

    def of(self, number: int) -> KeysValues | None:
        """What a block attends to: a row for each row that has motion, or one where they all read the same; None where there is none."""
        if not self.distinct or number not in self.distinct[0]:
            return None
        if len(self.distinct) == 1:
            return self.distinct[0][number]
        # Put together for one block at a time: a batch of its own would double what is kept.
        each = [self.distinct[which][number] for which in self.order]
        return KeysValues(torch.cat([part.keys for part in each]), torch.cat([part.values for part in each]))

    def check(self, batch: int, frames: int) -> None:
        """Raise ValueError where it is not for a video of so many rows and latent frames."""
        if self.batch not in (1, batch):
            raise ValueError(f"motion has a batch of {self.batch}, the latents of {batch}: give one motion for each row, or one for all")
        if self.frames != frames:
            raise ValueError(f"the motion has {self.frames} latent frames, the video {frames}: trim or pad one of them, or fit the motion")


class ReadsMotion(nn.Module):
    """What has motion attention: both models, and the adapter.

    motion_width: channels of the tokens that it takes.
    """

    def __init__(self, motion_width: int):
        super().__init__()
        self.motion_width = motion_width

    def read_clip(self, condition: MotionCondition, *, like: Tensor) -> Mapping[int, KeysValues] | None:
        """One motion -> one row of keys and values for each block that has motion attention, by its number; None where there is no motion."""
        raise NotImplementedError

    def read_motion(
        self,
        rows: Sequence[MotionCondition],
        *,
        like: Tensor,
        window: Sequence[int] | Tensor | None = None,
        kept: Kept | None = None,
        weights: Hashable = None,
    ) -> MotionReading:
        """What the blocks attend to in the motions of a batch, at every step; each different one is read once, through what is kept.

        Args:
            rows: one for each row of the batch, or one for all; the same object is the same motion.
            like: of the dtype and device to compute in. window: latent frames to read, None for all.
            kept: None keeps nothing. weights: stands for the state of the weights; another one reads anew.

        Raises:
            ValueError: no rows, rows of different length or joints, tokens of another width, a window outside the motion, or as of `read_clip`.
        """
        if not len(rows):
            raise ValueError("the batch of motions is empty, expected one for each row, or one for all")
        sizes = {(row.frames, len(row.positions)) for row in rows}
        if len(sizes) > 1:
            listed = ", ".join(f"{frames} x {joints}" for frames, joints in sorted(sizes))
            raise ValueError(f"motions of one batch have {listed} latent frames and joints, expected the same: use clips of one length")
        for row in rows:
            if row.tokens is not None and row.tokens.shape[1] != self.motion_width:
                given = row.tokens.shape[1]
                raise ValueError(
                    f"tokens have {given} channels, this model expects {self.motion_width}: use the tokenizer it was trained with"
                )
        chosen = tuple(range(rows[0].frames) if window is None else (int(frame) for frame in window))
        kept = Kept(0) if kept is None else kept
        readings: dict[MotionCondition, Mapping[int, KeysValues] | None] = {}
        for row in dict.fromkeys(rows):
            # Without motion every window of one length is the same.
            place = len(chosen) if row.tokens is None else chosen
            key = ("motion", self, row, place, weights, like.dtype, like.device)
            readings[row] = kept.keep(key, lambda row=row: self.read_clip(row.window(chosen), like=like))
        moving = [row for row, reading in readings.items() if reading is not None]
        places = tuple(place for place, row in enumerate(rows) if readings[row] is not None)
        return MotionReading(
            distinct=tuple(readings[row] for row in moving),
            order=tuple(moving.index(rows[place]) for place in places),
            rows=None if len(places) == len(rows) else places,
            batch=len(rows),
            frames=len(chosen),
        )
