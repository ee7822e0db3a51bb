"""The motion attention of the 17B model on its own: for a Wan2.1 image-to-video model that another program has loaded and runs.

The host calls `MotionAdapter.add` with the video tokens of a block, after its cross-attention and before its feed-forward.
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..conditions import MotionCondition
from .attention import Attention, KeysValues
from .motion_attention import Kept, MotionReading, Observe, ReadsMotion, add_motion
from .rope import RotaryTable, motion_rope
from .state_dicts import filled
from .wan_blocks import EPSILON, MotionAttention, wan_rope
from .wan_config import MVDiTWanConfig


class WanMotion(ReadsMotion):
    """How motion is read for Wan's blocks, by the whole model and by the adapter; both have it at `blocks.{number}.motion_attn`.

    Without tokens there is no motion attention at all.
    """

    def __init__(self, config: MVDiTWanConfig):
        super().__init__(config.motion_dim)
        self.config = config

    def check_attention(self) -> None:
        """ValueError unless there is motion attention."""
        if not self.config.motion_blocks:
            raise ValueError("this Wan model has no motion attention: load it with the motion adapter, or use Apply Motion Attention")

    @torch.no_grad()
    def read_clip(self, condition: MotionCondition, *, like: Tensor) -> Mapping[int, KeysValues] | None:
        """As `ReadsMotion`, with the rotary table in float32, as in training; ValueError where there are tokens and no motion attention."""
        if condition.tokens is None:
            return None
        self.check_attention()
        table = motion_rope(condition.positions, condition.frames, split=self.config.motion_split).to(like.device)
        motion = self.pad_motion(condition.tokens[None].to(like))
        attentions = {number: self.get_submodule(f"blocks.{number}.motion_attn") for number in self.config.motion_blocks}
        return {number: attention.keys_values(motion, table) for number, attention in attentions.items()}

    def pad_motion(self, motion: Tensor) -> Tensor:
        """(B, L, motion_dim) -> (B, L, dim), filled up with zeros."""
        return functional.pad(motion, (0, self.config.dim - self.config.motion_dim))

    def read_vision(self, grid: tuple[int, int, int], *, like: Tensor, kept: Kept | None = None) -> RotaryTable:
        """The float32 table of a grid of patches (frames, rows, columns), on the device of `like`; its angles are made in float64."""
        kept = Kept(0) if kept is None else kept
        key = ("vision", WanMotion, *grid, self.config.head_dim, like.device)
        return kept.keep(key, lambda: wan_rope(*grid, head_dim=self.config.head_dim).to(like.device))


class _Injection(nn.Module):
    """What MTVCrafter adds to a block."""

    def __init__(self, config: MVDiTWanConfig, ops, attention: Attention | None):
        super().__init__()
        self.norm4 = ops.LayerNorm(config.dim, eps=EPSILON)
        self.motion_attn = MotionAttention(config.dim, config.heads, key_layout=config.key_layout, ops=ops, attention=attention)


class MotionAdapter(WanMotion):
    """The motion attention of all blocks that have it, with the keys `blocks.{i}.norm4.*` and `blocks.{i}.motion_attn.*`.

    Args:
        config: of the model it is for. ops, attention: as of `MVDiTWan`.
    """

    def __init__(self, config: MVDiTWanConfig, *, ops=nn, attention: Attention | None = None):
        if not config.motion_blocks:
            raise ValueError("MotionAdapter: motion_every is 0, expected the spacing of the blocks with motion attention: 4 as released")
        super().__init__(config)
        self.blocks = nn.ModuleDict({str(number): _Injection(config, ops, attention) for number in config.motion_blocks})

    @classmethod
    def from_state(
        cls, state_dict: Mapping[str, Tensor], config: MVDiTWanConfig, *, ops=nn, attention: Attention | None = None
    ) -> "MotionAdapter":
        """Build the adapter around the tensors of its file, which it takes as they are, without gradients.

        Raises:
            ValueError: keys are missing or too many, or a tensor has another shape than `config` asks for.
        """
        remedy = "use the motion attention of the 17B model alone (norm4 and motion_attn of every fourth block)"
        return filled(lambda: cls(config, ops=ops, attention=attention), state_dict, title=cls.__name__, remedy=remedy)

    def add(
        self,
        number: int,
        x: Tensor,
        vision: RotaryTable,
        reading: MotionReading,
        *,
        strength: float = 1.0,
        observe: Observe | None = None,
    ) -> Tensor:
        """The video tokens of block `number` with the motion attention added; as they are where the block has none.

        Args:
            x: (B, N, dim). vision: of `read_vision`, N rows. reading: of `read_motion`; `reading.check` compares it with the video.
            strength, observe: as of `MVDiTWan.forward`.
        """
        if number not in self.config.motion_blocks:
            return x
        block = self.blocks[str(number)]
        see = None if observe is None else partial(observe, number)
        injected = {"norm": block.norm4, "strength": strength, "rows": reading.rows, "observe": see}
        return add_motion(x, block.motion_attn, vision, reading.of(number), **injected)
