"""MODEL and MODEL_PATCH of the video models that motion drives: loading, motion attention, and what a node asks about them."""

from pathlib import Path
from typing import Any

import comfy.sd
import torch
from torch import Tensor

from ...core.checkpoints import read_checkpoint, read_metadata
from ...core.conditions import Strength
from ...core.models import KINDS, identify, motion_only, mvdit_17b_config
from ...core.networks.mvdit_wan import MVDiTWan
from ...core.networks.scaled_fp8 import SCALE
from ...core.networks.state_dicts import check_state
from ...core.precision import unify_scales
from ..host import VideoModel
from .cogvideox_model import MVDiT7B, load_7b
from .precision import prepared, without_layers
from .steps import STRENGTH
from .wan_motion import adapter_of, check_wan, patch_of, with_motion

_MOTION_LAYERS = ".motion_attn."


def load(path: Path, precision: str) -> Any:
    """See `Host.load_video_model`."""
    state = read_checkpoint(path)
    try:
        kind = identify(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if kind == "mvdit_7b":
        del state
        return load_7b(path, precision)
    if kind not in ("mvdit_17b", "wan_i2v"):
        wanted = ", ".join(KINDS[one] for one in ("mvdit_7b", "mvdit_17b", "wan_i2v"))
        raise ValueError(f"{path} is {KINDS[kind]}, expected one of {wanted}: choose another file")
    model, motion = load_wan(path, precision), motion_only(state)
    return with_motion(model, adapter_of(motion, read_metadata(path), str(path)), Strength()) if motion else model


def load_wan(path: Path, precision: str, disable_dynamic: bool = False) -> Any:
    """ComfyUI's own model of a Wan2.1 image-to-video checkpoint, motion attention left out."""
    state = read_checkpoint(path)
    motion = motion_only(state)
    state = {key: value for key, value in state.items() if key not in motion}
    metadata = without_layers(read_metadata(path), _MOTION_LAYERS)
    _check_names(state, metadata, str(path))
    state, metadata, options = prepared(state, metadata, precision, str(path))
    model = comfy.sd.load_diffusion_model_state_dict(
        state, model_options=options, metadata=metadata, **({"disable_dynamic": True} if disable_dynamic else {})
    )
    if model is None:
        raise ValueError(f"{path}: ComfyUI does not know this model: update it, or load the file with Load Diffusion Model to see why")
    if hasattr(model, "cached_patcher_init"):
        model.cached_patcher_init = (load_wan, (path, precision))
    return model


def _check_names(state: dict[str, Tensor], metadata: dict[str, str], title: str) -> None:
    """Names and shapes of a plain checkpoint or one in scaled fp8; of other packings ComfyUI alone knows."""
    if "_quantization_metadata" in metadata or any(key.endswith(".comfy_quant") for key in state):
        return
    with torch.device("meta"):
        expected = MVDiTWan(mvdit_17b_config(state, metadata)).state_dict()
    plain = {key: value for key, value in unify_scales(state).items() if not key.endswith(SCALE)}
    check_state(expected, plain, title, f"expected the tensors of {KINDS['wan_i2v']}")


def apply_motion(model: Any, adapter: Any | None, strength: Strength) -> Any:
    """See `Host.apply_motion`."""
    if isinstance(model.model, MVDiT7B):
        if adapter is not None:
            raise ValueError("MV-DiT 7B has motion attention of its own, and the adapter is for Wan2.1: disconnect the adapter")
        copy = model.clone()
        copy.model_options["transformer_options"][STRENGTH] = strength
        return copy
    check_wan(model)
    patch = patch_of(model)
    if adapter is None and patch is None:
        raise ValueError("the model has no motion attention and there is no adapter: connect Load Motion Adapter, or load an MV-DiT 17B")
    return with_motion(model, patch.adapter if adapter is None else adapter, strength)


def describe(model: Any) -> VideoModel:
    """See `Host.video_model`."""
    if isinstance(model.model, MVDiT7B):
        sizes = model.model.diffusion_model.config
        return VideoModel("mvdit_7b", sizes.out_channels, sizes.width, sizes.motion_slots, tuple(range(sizes.layers)))
    check_wan(model)
    channels, patch = model.model.diffusion_model.out_dim, patch_of(model)
    if patch is None:
        return VideoModel("mvdit_17b", channels, None)
    sizes = patch.network.config
    return VideoModel("mvdit_17b", channels, sizes.motion_dim, motion_blocks=sizes.motion_blocks)
