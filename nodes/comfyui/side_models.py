"""CLIP and CLIP_VISION of the models beside the transformer: ComfyUI's own classes, told the sizes that a file has, and original file layouts."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import comfy.clip_vision
import comfy.sd
import comfy.text_encoders.sd3_clip
import comfy.text_encoders.wan
import comfy.utils
import folder_paths
import torch
from comfy import model_management
from torch import Tensor
from torch.nn import functional

from ...core.checkpoints import check_finite, read_checkpoint, read_metadata
from ...core.models import KINDS, identify
from ...core.networks import clip_vision, umt5
from ...core.networks.state_dicts import count, renamed, size

_SPIECE = ("spiece.model", "google/umt5-xxl/spiece.model")  # the vocabulary beside a text encoder that does not hold it, as released
_SPIECE_BYTES = 64 << 20
_LAST_BUT_ONE = -2  # block of CLIP, as ComfyUI counts them
_FULL_TEXT = "encoder.block.23.layer.1.DenseReluDense.wi_1.weight"  # by which ComfyUI knows UMT5-XXL
_FULL_IMAGE = "vision_model.encoder.layers.30.layer_norm1.weight"  # and ViT-H


def read(path: Path, *kinds: str) -> tuple[dict[str, Tensor], str]:
    """The tensors of a file that holds one of the kinds, and which.

    Raises:
        FileNotFoundError, ValueError: as `read_checkpoint`; another kind; NaN.
    """
    state = read_checkpoint(path)
    try:
        kind = identify(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if kind not in kinds:
        raise ValueError(f"{path} is {KINDS[kind]}, expected {' or '.join(KINDS[one] for one in kinds)}: choose another file")
    check_finite(state, str(path))
    return state, kind


def load_text_encoder(path: Path) -> Any:
    """See `Host.load_text_encoder`."""
    state, _ = read(path, "umt5")
    if "token_embedding.weight" in state:
        state = renamed(state, umt5.TO_TRANSFORMERS)
    if "spiece_model" not in state:
        state["spiece_model"] = _vocabulary(path)
    state, _ = comfy.utils.convert_old_quants(state, "", metadata=read_metadata(path))
    folders = folder_paths.get_folder_paths("embeddings")
    if _FULL_TEXT in state:
        return comfy.sd.load_text_encoder_state_dicts([state], embedding_directory=folders, clip_type=comfy.sd.CLIPType.WAN)
    found = comfy.text_encoders.sd3_clip.t5_xxl_detect(state)
    target = SimpleNamespace(params={}, clip=comfy.text_encoders.wan.te(**found), tokenizer=comfy.text_encoders.wan.WanT5Tokenizer)
    return comfy.sd.CLIP(
        target,
        embedding_directory=folders,
        tokenizer_data={"spiece_model": state["spiece_model"]},
        parameters=comfy.utils.calculate_parameters(state),
        state_dict=[state],
        model_options={"umt5xxl_model_config": _text_sizes(state)},
    )


def _vocabulary(path: Path) -> Tensor:
    found = next((file for name in _SPIECE if (file := path.parent / name).is_file()), None)
    if found is None:
        raise ValueError(f"{path} holds no vocabulary: put spiece.model of google/umt5-xxl beside it, or use ComfyUI's umt5_xxl_*")
    if found.stat().st_size > _SPIECE_BYTES:
        raise ValueError(f"{found} is larger than {_SPIECE_BYTES >> 20} MiB, which no vocabulary is: take spiece.model of google/umt5-xxl")
    return torch.frombuffer(bytearray(found.read_bytes()), dtype=torch.uint8)


def _text_sizes(state: Mapping[str, Tensor]) -> dict[str, int]:
    """By the names of ComfyUI's configuration."""
    attention = "encoder.block.0.layer.0.SelfAttention"
    heads = size(state, f"{attention}.relative_attention_bias.weight", 1, umt5.TITLE)
    return {
        "vocab_size": size(state, "shared.weight", 0, umt5.TITLE),
        "d_model": size(state, "shared.weight", 1, umt5.TITLE),
        "d_ff": size(state, "encoder.block.0.layer.1.DenseReluDense.wi_1.weight", 0, umt5.TITLE),
        "d_kv": size(state, f"{attention}.q.weight", 0, umt5.TITLE) // heads,
        "num_heads": heads,
        "num_layers": count(state, r"encoder\.block\.(\d+)\."),
    }


def load_image_encoder(path: Path) -> Any:
    """See `Host.load_image_encoder`."""
    state, _ = read(path, "clip_vision")
    if "visual.patch_embedding.weight" in state:
        state = renamed(clip_vision.in_our_names(state), clip_vision.TO_TRANSFORMERS)
    if _FULL_IMAGE in state:
        return comfy.clip_vision.load_clipvision_from_sd(state)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "clip_vision.json")  # older versions take nothing but a file
        config.write_text(json.dumps(_image_sizes(state)), encoding="utf-8")
        encoder = comfy.clip_vision.ClipVisionModel(str(config))
    encoder.load_sd(state)
    return encoder


def _image_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    sizes = clip_vision.CLIPVisionConfig.of(clip_vision.in_our_names(state))
    return {
        "model_type": "clip_vision_model",
        "hidden_size": sizes.width,
        "num_attention_heads": sizes.heads,
        "num_hidden_layers": sizes.layers,
        "intermediate_size": sizes.mlp_dim,
        "hidden_act": "gelu",
        "image_size": sizes.side,
        "patch_size": sizes.patch,
        "num_channels": 3,
        "projection_dim": state["visual_projection.weight"].shape[0] if "visual_projection.weight" in state else 1024,
    }


def encode_image(encoder: Any, image: Tensor) -> Any:
    """See `Host.encode_image`. ComfyUI would smooth the picture before it shrinks it, and round it to 8 bits; the release does neither."""
    side = encoder.image_size
    mean, deviation = (torch.tensor(part).view(3, 1, 1) for part in (encoder.image_mean, encoder.image_std))
    pixels = functional.interpolate(image[None, ..., :3].movedim(-1, 1).float().cpu(), (side, side), mode="bicubic", align_corners=False)
    model_management.load_model_gpu(encoder.patcher)
    last, hidden, embeds, *_ = encoder.model(
        pixel_values=((pixels - mean) / deviation).to(encoder.load_device), intermediate_output=_LAST_BUT_ONE
    )
    output, place = comfy.clip_vision.Output(), model_management.intermediate_device()
    output["last_hidden_state"], output["image_embeds"] = last.to(place), embeds.to(place)
    output["penultimate_hidden_states"] = hidden.to(place)
    return output
