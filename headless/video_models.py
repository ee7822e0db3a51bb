"""MODEL and MODEL_PATCH of a headless run: video models that share their weights, whatever nodes do to them."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core.conditions import Strength
from ..core.models import KINDS, load_mvdit_7b, load_mvdit_17b
from ..core.networks.lora import merge_lora
from ..core.networks.motion_adapter import MotionAdapter
from ..core.networks.mvdit_wan import MVDiTWan
from ..core.networks.scaled_fp8 import check_fp8
from ..core.precision import stays_scaled
from ..nodes.host import Planner, VideoModel
from .side_models import identified

AS_TRAINED = Strength()


@dataclass(frozen=True, eq=False)
class HeadlessModel:
    """A MODEL. Nodes make others of it, which share its tensors, and never change it.

    kind: "mvdit_7b" or "mvdit_17b"; a plain Wan2.1 is of the second kind, without motion attention. strength: of the motion attention.
    planner: of the pieces it is asked in, None for everything at once.
    """

    module: nn.Module
    kind: str
    strength: Strength = AS_TRAINED
    planner: Planner | None = None

    @property
    def motion_blocks(self) -> tuple[int, ...]:
        """Numbers of the blocks that have motion attention."""
        config = self.module.config
        return tuple(range(config.layers)) if self.kind == "mvdit_7b" else config.motion_blocks

    def describe(self) -> VideoModel:
        """What a node must know of it."""
        config = self.module.config
        if self.kind == "mvdit_7b":
            return VideoModel(self.kind, config.out_channels, config.width, config.motion_slots, self.motion_blocks)
        width = config.motion_dim if self.motion_blocks else None
        return VideoModel(self.kind, config.out_channels, width, motion_blocks=self.motion_blocks)

    def with_motion(self, adapter: MotionAdapter | None, strength: Strength) -> "HeadlessModel":
        """With motion attention of this strength, that of an adapter if one is given; ValueError where there is or fits none."""
        if adapter is None:
            if not self.motion_blocks:
                raise ValueError("the model is a plain Wan2.1 without motion attention: connect Load Motion Adapter to the input adapter")
            return replace(self, strength=strength)
        if self.kind != "mvdit_17b":
            raise ValueError(f"the adapter is for Wan2.1 image-to-video models, this is {KINDS[self.kind]}: disconnect it")
        return replace(self, module=_joined(self.module, adapter), strength=strength)

    def with_lora(self, state: Mapping[str, Tensor], strength: float) -> "HeadlessModel":
        """With a LoRA merged into the layers that it changes; ValueError where it fits none."""
        module = _twin(self.module)
        merge_lora(module, state, strength)
        return replace(self, module=module)


def load_video_model(path: Path, precision: str, device: torch.device) -> HeadlessModel:
    """An MV-DiT 7B or 17B, or a plain Wan2.1 image-to-video model, told apart by their tensors, to run on a device.

    Raises:
        FileNotFoundError, ValueError: as `core.models.load_mvdit_17b`, or fp8 on a device without it.
    """
    state, kind = identified(path)
    if stays_scaled(state, precision):
        check_fp8(device)
    if kind == "mvdit_7b":
        return HeadlessModel(load_mvdit_7b(path, precision=precision), kind)
    return HeadlessModel(load_mvdit_17b(path, precision=precision), "mvdit_17b")


def _joined(module: MVDiTWan, adapter: MotionAdapter) -> MVDiTWan:
    """A Wan model with the motion attention of an adapter in its blocks, in place of its own if it has one."""
    base, added = module.config, adapter.config
    config = replace(base, motion_dim=added.motion_dim, motion_every=added.motion_every, key_layout=added.key_layout)
    if (added.dim, added.heads, added.motion_blocks) != (base.dim, base.heads, config.motion_blocks):
        given = f"{added.dim} channels, {added.heads} heads and blocks up to {added.motion_blocks[-1]}"
        raise ValueError(
            f"the adapter is for {given}, this model has {base.dim}, {base.heads} and {base.layers} blocks: use Wan2.1 I2V 14B"
        )
    joined = _twin(module)
    joined.config = config
    for number, block in enumerate(joined.blocks):
        block.has_motion = number in config.motion_blocks
        if block.has_motion:
            injection = adapter.blocks[str(number)]
            block.norm4, block.motion_attn = injection.norm4, injection.motion_attn
    return joined


def _twin(module: nn.Module) -> nn.Module:
    """Other layers and parameters around the same memory."""
    shared = {id(tensor): nn.Parameter(tensor.detach(), requires_grad=False) for tensor in module.parameters()}
    return copy.deepcopy(module, shared | {id(tensor): tensor for tensor in module.buffers()})
