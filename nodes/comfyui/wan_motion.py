"""Motion attention on ComfyUI's own Wan2.1 image-to-video model: a patch after the cross-attention of its blocks, with the adapter as a
model of its own that ComfyUI loads and offloads beside it."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import comfy.ldm.wan.model as wan
import comfy.ops
import torch
from comfy import model_management, model_patcher
from comfy.model_base import WAN21
from comfy.patcher_extension import CallbacksMP, WrappersMP
from torch import Tensor

from ...core.checkpoints import check_finite, read_checkpoint, read_metadata
from ...core.conditions import Strength
from ...core.models import KINDS, identify, motion_adapter_config, motion_only
from ...core.networks.motion_adapter import MotionAdapter
from ...core.networks.motion_attention import Kept, MotionReading
from ...core.networks.rope import RotaryTable
from ...core.networks.state_dicts import check_state
from ...core.precision import dequantise
from .checks import RunCheck
from .conditions import KEY
from .layers import Attention, Layers
from .steps import STEP, STRENGTH, Step, step_of, window_of

PATCH = "attn2_patch"
IN_CHANNELS = 36  # noise, mask and masked video


def load_adapter(path: Path) -> Any:
    """A ModelPatcher of the motion attention in an adapter file or a whole 17B checkpoint.

    Raises:
        FileNotFoundError, ValueError: as `core.models.load_motion_adapter`.
    """
    state = read_checkpoint(path)
    kind = identify(state)
    if kind not in ("motion_adapter", "mvdit_17b"):
        raise ValueError(f"{path} is {KINDS[kind]}, expected {KINDS['motion_adapter']} or {KINDS['mvdit_17b']}: choose another file")
    return adapter_of(motion_only(state), read_metadata(path), str(path))


def adapter_of(state: dict[str, Tensor], metadata: Mapping[str, str], title: str) -> Any:
    """A ModelPatcher of the tensors of a motion attention; fp8 becomes bfloat16, everything else stays as it is."""
    check_finite(state, title)
    state = dequantise(state, torch.bfloat16)
    sizes, attention = motion_adapter_config(state, metadata), Attention()
    with torch.device("meta"):
        expected = MotionAdapter(sizes).state_dict()
        adapter = MotionAdapter(sizes, ops=Layers(comfy.ops.manual_cast), attention=attention)
    check_state(expected, state, title, f"expected the tensors of {KINDS['motion_adapter']}")
    adapter.load_state_dict(state, strict=True, assign=True)
    adapter.requires_grad_(False).eval()
    adapter.host_attention = attention
    device, rest = model_management.get_torch_device(), model_management.unet_offload_device()
    return model_patcher.CoreModelPatcher(adapter, load_device=device, offload_device=rest)


class MotionPatch:
    """What ComfyUI's Wan calls in every block, after the cross-attention. It reads the step that `MotionSteps` leaves in the options."""

    def __init__(self, adapter: Any):
        self.adapter = adapter  # ModelPatcher
        self.kept = Kept()
        self._read: tuple[Step, MotionReading, RotaryTable] | None = None  # of the call that is under way

    def __call__(self, arguments: dict[str, Any]) -> Tensor:
        x, options = arguments["x"], arguments["transformer_options"]
        step: Step | None = options.get(STEP)
        if step is None or step.rows is None or options["block_index"] not in self.network.config.motion_blocks:
            return x
        grid = tuple(int(size) for size in options["grid_sizes"])
        if x.shape[1] != grid[0] * grid[1] * grid[2]:
            extra = x.shape[1] - grid[0] * grid[1] * grid[2]
            raise ValueError(
                f"the model sees {extra} tokens beside the video (reference or context latents), which have no place in the motion attention: "
                "leave out the nodes that add them"
            )
        with self.network.host_attention.under(options):
            reading, vision = self._reading(step, grid, x, options)
            shown = {"strength": step.strength, "observe": step.observe}
            return self.network.add(options["block_index"], x, vision, reading, **shown)

    def _reading(self, step: Step, grid: tuple[int, int, int], x: Tensor, options: dict[str, Any]) -> tuple[MotionReading, RotaryTable]:
        """What all blocks of one call share."""
        if self._read is None or self._read[0] is not step:
            window = window_of(step.rows, grid[0], options)
            reading = self.network.read_motion(step.rows, like=x, window=window, kept=step.kept, weights=step.weights)
            reading.check(len(x), grid[0])
            self._read = step, reading, self.network.read_vision(grid, like=x, kept=step.kept)
        return self._read[1:]

    @property
    def network(self) -> MotionAdapter:
        """The adapter itself."""
        return self.adapter.model

    def models(self) -> list[Any]:
        """What ComfyUI loads along with the model."""
        return [self.adapter]

    def step(
        self, executor: Any, x: Tensor, t: Tensor, c_concat: Any, c_crossattn: Any, control: Any, transformer_options: Any, **kwargs: Any
    ) -> Tensor:
        """A wrapper around every call of the model: takes the motions out of its conditions and tells the blocks what they need of the run."""
        told = step_of(transformer_options, kwargs.pop(KEY, None), executor.class_obj, t, self.kept, self.adapter.patches_uuid)
        return executor(x, t, c_concat, c_crossattn, control, transformer_options | {STEP: told}, **kwargs)

    def forget(self, patcher: Any) -> None:
        """Called when a run is over."""
        self.kept.clear()
        self._read = None


def patch_of(model: Any) -> MotionPatch | None:
    """The motion attention on a model, if it has one."""
    found = model.model_options["transformer_options"].get("patches", {}).get(PATCH, [])
    return next((patch for patch in found if isinstance(patch, MotionPatch)), None)


def with_motion(model: Any, adapter: Any, strength: Strength) -> Any:
    """A copy of a Wan2.1 image-to-video MODEL with the motion attention of an adapter in place of one that it has.

    Raises:
        ValueError: the adapter is for another model, or this ComfyUI has no place for it.
    """
    if PATCH not in inspect.getsource(wan.WanAttentionBlock.forward):
        raise ValueError("this ComfyUI calls no patches in Wan's blocks: update it, 0.12.1 or later does")
    network, config = model.get_model_object("diffusion_model"), adapter.model.config
    if (config.dim, config.heads) != (network.dim, network.num_heads) or config.motion_blocks[-1] >= network.num_layers:
        theirs = f"{network.num_layers} blocks of {network.dim} channels in {network.num_heads} heads"
        ours = f"{config.dim} channels in {config.heads} heads and blocks up to {config.motion_blocks[-1]}"
        raise ValueError(f"the model has {theirs}, the adapter is for {ours}: use a Wan2.1 image-to-video 14B model")
    copy, patch = model.clone(), MotionPatch(adapter)
    patches = copy.model_options["transformer_options"].setdefault("patches", {})
    patches[PATCH] = [one for one in patches.get(PATCH, []) if not isinstance(one, MotionPatch)]
    copy.set_model_patch(patch, PATCH)
    check = RunCheck(config.motion_dim, network.text_dim)
    for kind, wrapper in ((WrappersMP.APPLY_MODEL, patch.step), (WrappersMP.OUTER_SAMPLE, check)):
        copy.remove_wrappers_with_key(kind, KEY)
        copy.add_wrapper_with_key(kind, KEY, wrapper)
    copy.remove_callbacks_with_key(CallbacksMP.ON_CLEANUP, KEY)
    copy.add_callback_with_key(CallbacksMP.ON_CLEANUP, KEY, patch.forget)
    copy.model_options["transformer_options"][STRENGTH] = strength
    return copy


def check_wan(model: Any) -> None:
    """ValueError, naming what it is, unless a MODEL is Wan2.1 image to video as motion attention was trained on it."""
    network = getattr(model.model, "diffusion_model", None)
    if isinstance(model.model, WAN21) and type(network).forward_orig is wan.WanModel.forward_orig:
        channels = network.patch_embedding.in_channels
        if network.model_type == "i2v" and channels == IN_CHANNELS:
            return
        kind = {"i2v": "image", "t2v": "text"}.get(network.model_type, network.model_type)
        raise ValueError(
            f"the model is a Wan {kind}-to-video model with {channels} input channels, expected Wan2.1 image to video with {IN_CHANNELS}: load that"
        )
    named = f"{type(model.model).__name__} ({type(network).__name__})"
    raise ValueError(
        f"the model is {named}, expected MV-DiT 7B, or Wan2.1 image to video: use Load MV-DiT or ComfyUI's Load Diffusion Model"
    )
