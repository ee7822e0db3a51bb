"""Small random checkpoints with the names and the layout of the true ones, so that everything can run where those are not at hand.

What they give is noise of sane size, and not a picture of anything; motion changes it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .models import motion_only
from .networks.mvdit_cogvideox import MVDiTCogVideoX, MVDiTCogVideoXConfig
from .networks.mvdit_wan import MVDiTWan, MVDiTWanConfig
from .networks.tiny_tokenizer import tiny_tokenizer
from .specs import ModelSpec

TINY_7B = MVDiTCogVideoXConfig(heads=1, layers=2, time_dim=32, text_dim=16)
TINY_17B = MVDiTWanConfig(dim=256, heads=2, ffn_dim=256, layers=5, motion_dim=64)
_RANK = 4
_LORA_STRENGTH = 0.2  # of the weights that it changes


def tiny_checkpoint(spec: ModelSpec, *, seed: int = 0) -> dict[str, Tensor]:
    """State dict of a small model with the keys of the spec's checkpoint, the same for the same seed.

    Raises:
        ValueError: an architecture without a small model.
    """
    make = _MAKERS.get(spec.architecture)
    if make is None:
        raise ValueError(f"{spec.name} is a {spec.architecture}, expected one of {', '.join(_MAKERS)}: there is a tiny model of these only")
    return make(spec, seed)


def tiny_metadata(spec: ModelSpec) -> dict[str, str]:
    """What a small checkpoint says of itself in a .safetensors file; tensors do not tell it (see `models.mvdit_17b_config`)."""
    told = {"motion4d.spec": spec.name, "motion4d.origin": "random weights"}
    if spec.architecture in ("mvdit_wan", "motion_adapter", "wan"):
        told |= {"motion4d.motion_dim": str(TINY_17B.motion_dim), "motion4d.key_layout": TINY_17B.key_layout}
    return told


def random_state(module: nn.Module, *, seed: int) -> dict[str, Tensor]:
    """Numbers for a module, which may be on the meta device: layers keep the size of what goes through them, norms do nothing."""
    generator = torch.Generator().manual_seed(seed)
    return {key: _random(key, value.shape, generator) for key, value in module.state_dict().items()}


def _random(key: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    if key.endswith("modulation"):
        return noise / shape[-1] ** 0.5
    if key.endswith("motion_token"):
        return noise
    if len(shape) == 1:
        return 1 + noise / 20 if key.endswith("weight") else noise / 20
    return noise / noise[0].numel() ** 0.5


def _tokenizer(spec: ModelSpec, seed: int) -> dict[str, Tensor]:
    return dict(tiny_tokenizer(len(spec.statistics["mean_mm"]), seed=seed).state_dict())


def _mvdit_7b(_: ModelSpec, seed: int) -> dict[str, Tensor]:
    with torch.device("meta"):
        module = MVDiTCogVideoX(TINY_7B)
    return random_state(module, seed=seed)


def _mvdit_17b(_: ModelSpec, seed: int) -> dict[str, Tensor]:
    with torch.device("meta"):
        module = MVDiTWan(TINY_17B)
    return random_state(module, seed=seed)


def _adapter(spec: ModelSpec, seed: int) -> dict[str, Tensor]:
    return motion_only(_mvdit_17b(spec, seed))


def _wan(spec: ModelSpec, seed: int) -> dict[str, Tensor]:
    """The backbone of the tiny 17B of the same seed: with its adapter it is the whole."""
    state = _mvdit_17b(spec, seed)
    return {key: value for key, value in state.items() if key not in motion_only(state)}


def _wan_animate(spec: ModelSpec, seed: int) -> dict[str, Tensor]:
    """The backbone with the input of the skeleton. Without the network of faces, which has one size only, ComfyUI takes it for image to video."""
    state = _wan(spec, seed)
    return state | _inputs(seed, len(state["patch_embedding.weight"]), pose_patch_embedding=TINY_17B.out_channels)


def _wan_scail2(spec: ModelSpec, seed: int) -> dict[str, Tensor]:
    """The backbone with inputs of 20 channels for the video and the one that drives it, and the input of the masks."""
    state, channels = _wan(spec, seed), spec.config["in_channels"]
    masks = spec.config["mask_channels"]
    return state | _inputs(
        seed, len(state["patch_embedding.weight"]), patch_embedding=channels, patch_embedding_pose=channels, patch_embedding_mask=masks
    )


def _inputs(seed: int, width: int, **channels: int) -> dict[str, Tensor]:
    """Layers that take pictures in patches of 2 x 2, by name, with how many channels each takes."""
    layers = nn.ModuleDict({name: nn.Conv3d(count, width, (1, 2, 2)) for name, count in channels.items()})
    return random_state(layers, seed=seed)


def _lora(spec: ModelSpec, seed: int) -> dict[str, Tensor]:
    """For the attentions of the tiny backbone, in the names that ComfyUI and the release read."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, value in _wan(spec, seed).items():
        if "_attn." in key and value.ndim == 2:
            name = f"diffusion_model.{key.removesuffix('.weight')}"
            wide, narrow = value.shape
            state[f"{name}.lora_down.weight"] = torch.randn(_RANK, narrow, generator=generator) / narrow**0.5
            state[f"{name}.lora_up.weight"] = torch.randn(wide, _RANK, generator=generator) * (_LORA_STRENGTH / _RANK**0.5)
            state[f"{name}.alpha"] = torch.tensor(float(_RANK))
    return state


def _side_model(name: str):
    def make(_: ModelSpec, seed: int) -> dict[str, Tensor]:
        from .networks import tiny_side_models

        return getattr(tiny_side_models, name)(seed)

    return make


_MAKERS: Mapping = {
    "motion_tokenizer": _tokenizer,
    "mvdit_cogvideox": _mvdit_7b,
    "mvdit_wan": _mvdit_17b,
    "motion_adapter": _adapter,
    "wan": _wan,
    "wan_animate": _wan_animate,
    "wan_scail2": _wan_scail2,
    "lora": _lora,
    "cogvideox_vae": _side_model("tiny_cogvideox_vae"),
    "wan_vae": _side_model("tiny_wan_vae"),
    "umt5": _side_model("tiny_umt5"),
    "clip_vision": _side_model("tiny_clip_vision"),
}
