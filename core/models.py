"""The models in checkpoints: what a file holds, the sizes that its tensors tell, and modules built around the mapped tensors."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from .checkpoints import check_finite, read_checkpoint, read_metadata
from .networks.motion_adapter import MotionAdapter
from .networks.motion_tokenizer import MotionTokenizer, MotionTokenizerConfig
from .networks.mvdit_cogvideox import MVDiTCogVideoX, MVDiTCogVideoXConfig
from .networks.mvdit_wan import PATCH, MVDiTWan, MVDiTWanConfig
from .networks.scaled_fp8 import SCALE, ScaledOps, linear_weights
from .networks.state_dicts import check_state, count, shortly, size
from .precision import check_precision, plain, scaled, stays_scaled, unify_scales
from .specs import ModelSpec

# What `identify` answers, and how messages call it.
KINDS = {
    "4dmot": "a 4DMoT motion tokenizer",
    "mvdit_7b": "an MV-DiT 7B model (CogVideoX with motion attention)",
    "mvdit_17b": "an MV-DiT 17B model (Wan2.1 image to video with motion attention)",
    "motion_adapter": "a motion adapter (the motion attention of MV-DiT 17B alone)",
    "wan_i2v": "a Wan2.1 image-to-video model (in_channels 36)",
    "wan_t2v": "a Wan2.1 text-to-video model (in_channels 16)",
    "cogvideox_vae": "a CogVideoX VAE",
    "wan_vae": "a Wan2.1 VAE",
    "umt5": "a UMT5 text encoder",
    "clip_vision": "a CLIP vision encoder",
}
_SIGNS = (
    ("4dmot", ("vq.codebook", "encoder.conv_in.weight")),
    ("cogvideox_vae", ("encoder.conv_in.conv.weight", "decoder.conv_in.conv.weight")),
    ("wan_vae", ("encoder.conv1.weight", "decoder.middle.0.residual.0.gamma")),
    ("umt5", ("token_embedding.weight", "blocks.0.attn.q.weight")),
    ("umt5", ("shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight")),
    ("clip_vision", ("visual.patch_embedding.weight",)),
    ("clip_vision", ("vision_model.embeddings.patch_embedding.weight",)),
)
_MOTION_SIGN = "blocks.0.motion_attn.k.weight"
_MOTION_KEY = re.compile(r"blocks\.(\d+)\.(norm4|motion_attn)\.")
Model = TypeVar("Model", bound=nn.Module)
_WAN_HEAD = 128  # channels of a head in every Wan model; tensors do not tell it
_RELEASED_MOTION = 3072  # channels of a motion token of 4DMoT as released


def identify(state: Mapping[str, Tensor]) -> str:
    """Which of KINDS the tensors are, by their names.

    Raises:
        ValueError: none of them; says what it is where that can be told.
    """
    for kind, names in _SIGNS:
        if all(name in state for name in names):
            if kind == "wan_vae" and state[names[0]].shape[1] != 3:
                raise ValueError("this is the VAE of Wan2.2, expected that of Wan2.1: use wan_2.1_vae.safetensors")
            return kind
    # One tensor that is lacking does not make another model of it: what is missing is told later.
    if "patch_embedding.weight" in state and any(key.startswith("blocks.0.") for key in state):
        return _wan_kind(state)
    if _MOTION_SIGN in state and all("motion_attn" in key or "norm4" in key or "." not in key for key in state):
        return "motion_adapter"
    if any(".lora_" in key for key in state):
        raise ValueError("this is a LoRA, expected a model: load it with a LoRA loader")
    if any(key.startswith("transformer_blocks.0.attn1.") for key in state):
        if any(".attn0." in key for key in state):
            return "mvdit_7b"
        raise ValueError("this is a CogVideoX model without motion attention: use MV-DiT/CogVideoX from yanboding/MTVCrafter")
    raise ValueError(f"no model of this pack has such tensors ({shortly(list(state))}): choose another file")


def _wan_kind(state: Mapping[str, Tensor]) -> str:
    channels, image = state["patch_embedding.weight"].shape[1], "img_emb.proj.1.weight" in state
    if channels == 16 and not image:
        return "wan_t2v"
    if _MOTION_SIGN in state:
        return "mvdit_17b"
    if channels == 36 and image:
        return "wan_i2v"
    lacking = "" if image else " and without image embedding"
    raise ValueError(
        f"this is a Wan model with {channels} input channels{lacking}, expected {KINDS['wan_i2v']}: use one of Wan2.1, not 2.2"
    )


# --- sizes ---


def mvdit_7b_config(state: Mapping[str, Tensor]) -> MVDiTCogVideoXConfig:
    """Sizes of an MV-DiT 7B; ValueError where the tensors that tell them are not there."""
    of = partial(size, state, title="MV-DiT 7B")
    patch = of("patch_embed.proj.weight", 2)
    width, head_dim = of("patch_embed.proj.weight", 0), of("transformer_blocks.0.attn0.norm_q.weight", 0)
    return MVDiTCogVideoXConfig(
        heads=width // head_dim,
        head_dim=head_dim,
        in_channels=of("patch_embed.proj.weight", 1),
        out_channels=of("proj_out.weight", 0) // patch**2,
        layers=count(state, r"transformer_blocks\.([^.]+)\."),
        time_dim=of("time_embedding.linear_1.weight", 0),
        text_dim=of("patch_embed.text_proj.weight", 1),
        patch=patch,
        motion_slots=of("unconditional_motion_token", 0),
    )


def mvdit_17b_config(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> MVDiTWanConfig:
    """Sizes of an MV-DiT 17B, or of a plain Wan2.1 image-to-video model, which has motion_every 0.

    Args:
        metadata: of `read_metadata`. Tensors do not tell motion_dim, key_layout and heads: without `motion4d.motion_dim`,
            `motion4d.key_layout` and `motion4d.heads` they are as released (3072 where dim is above it, else dim; 128 channels a head).

    Raises:
        ValueError: tensors that tell the sizes are not there, or the metadata is no number.
    """
    of = partial(size, state, title="MV-DiT 17B")
    return MVDiTWanConfig(
        **_motion_sizes(state, of("patch_embedding.weight", 0), metadata),
        ffn_dim=of("blocks.0.ffn.0.weight", 0),
        layers=count(state, r"blocks\.([^.]+)\."),
        in_channels=of("patch_embedding.weight", 1),
        out_channels=of("head.head.weight", 0) // PATCH**2,
        text_dim=of("text_embedding.0.weight", 1),
        freq_dim=of("time_embedding.0.weight", 1),
        image_dim=of("img_emb.proj.1.weight", 1),
    )


def motion_adapter_config(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> MVDiTWanConfig:
    """Sizes of the motion attention alone; those that it does not have are the released ones, and `layers` goes to the last block that
    the spacing of the motion blocks allows.

    Args, raises: as `mvdit_17b_config`.
    """
    sizes = _motion_sizes(state, size(state, "blocks.0.norm4.weight", 0, "motion adapter"), metadata)
    return MVDiTWanConfig(**sizes, layers=count(state, r"blocks\.([^.]+)\.") * sizes["motion_every"])


def _motion_sizes(state: Mapping[str, Tensor], dim: int, metadata: Mapping[str, str]) -> dict[str, int | str]:
    numbers = sorted({int(found[1]) for key in state if (found := _MOTION_KEY.match(key))})
    every = 0 if not numbers else numbers[1] if len(numbers) > 1 else 4
    told = {name: metadata.get(f"motion4d.{name}", "") for name in ("motion_dim", "heads")}
    if any(value and not value.isdecimal() for value in told.values()):
        raise ValueError(f"the metadata of the file says {told}, expected whole numbers: convert it again with motion4d convert")
    return {
        "dim": dim,
        "heads": int(told["heads"] or max(1, dim // _WAN_HEAD)),
        "motion_dim": int(told["motion_dim"] or min(dim, _RELEASED_MOTION)),
        "motion_every": every,
        "key_layout": metadata.get("motion4d.key_layout", "released"),
    }


# --- models ---


def load_mvdit_7b(path: Path | str, *, precision: str = "as stored") -> MVDiTCogVideoX:
    """The 7B model of a checkpoint on the CPU, in eval mode, without gradients; its tensors stay mapped to the file where they are not
    converted.

    Args:
        precision: of PRECISIONS. "as stored" is the dtype that most of the file has; fp8 weights stay fp8 and compute in the dtype of
            their input, with everything else in bfloat16. "fp8 scaled" makes the weights of the blocks fp8.

    Raises:
        FileNotFoundError, ValueError: as `read_checkpoint`; another model, tensors that do not fit, NaN, an unknown precision.
    """
    state = _read(path, "mvdit_7b", precision=precision)
    with _naming(path):
        config = mvdit_7b_config(state)
    return _build(lambda ops: MVDiTCogVideoX(config, ops=ops), state, precision, str(path), KINDS["mvdit_7b"])


def load_mvdit_17b(path: Path | str, *, precision: str = "as stored", adapter: Path | str | None = None) -> MVDiTWan:
    """The 17B model of a checkpoint, or a Wan2.1 image-to-video model with the motion attention of an adapter (without one: none).

    Args:
        path: an MV-DiT 17B or a plain Wan2.1 image-to-video checkpoint. precision: as `load_mvdit_7b`.
        adapter: an adapter file, or a whole 17B whose motion attention is taken; it replaces one that the model has.

    Raises:
        FileNotFoundError, ValueError: as `load_mvdit_7b`.
    """
    state, metadata = _read(path, "mvdit_17b", "wan_i2v", precision=precision), read_metadata(path)
    if adapter is not None:
        motion = motion_only(_read(adapter, "motion_adapter", "mvdit_17b"))
        state = {key: value for key, value in state.items() if not _MOTION_KEY.match(key)} | motion
        metadata = metadata | read_metadata(adapter)
    with _naming(path):
        config = mvdit_17b_config(state, metadata)
    title = path if adapter is None else f"{path} with {adapter}"
    return _build(lambda ops: MVDiTWan(config, ops=ops), state, precision, str(title), KINDS["mvdit_17b"])


def load_motion_adapter(path: Path | str) -> MotionAdapter:
    """The motion attention of 17B from an adapter file or from a whole checkpoint, as stored.

    Raises:
        FileNotFoundError, ValueError: as `load_mvdit_7b`.
    """
    state = motion_only(_read(path, "motion_adapter", "mvdit_17b"))
    with _naming(path):
        config = motion_adapter_config(state, read_metadata(path))
    return _build(lambda ops: MotionAdapter(config, ops=ops), state, "as stored", str(path), KINDS["motion_adapter"])


def _read(path: Path | str, *kinds: str, precision: str = "as stored") -> dict[str, Tensor]:
    """The tensors of a file that holds one of the kinds."""
    check_precision(precision)
    state = read_checkpoint(path)
    with _naming(path):
        kind = identify(state)
    if kind not in kinds:
        wanted = " or ".join(KINDS[one] for one in kinds)
        raise ValueError(f"{path} is {KINDS[kind]}, expected {wanted}: choose another file")
    return state


@contextmanager
def _naming(path: Path | str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _build(make: Callable[[Any], Model], state: dict[str, Tensor], precision: str, title: str, kind: str) -> Model:
    """A module of layers that suit the precision, around the tensors; it takes them out of `state`.

    Nothing long happens before names and shapes are known to fit.
    """
    in_fp8 = stays_scaled(state, precision)
    with torch.device("meta"):
        module = make(ScaledOps if in_fp8 else nn)
    with _naming(title):
        tensors = {key: value for key, value in unify_scales(state).items() if not key.endswith(SCALE)}
    check_state(module.state_dict(), tensors, title, f"expected the tensors of {kind}")
    check_finite(state, title)
    del tensors
    state = scaled(state, set(linear_weights(module)), precision) if in_fp8 else plain(state, precision)
    module.load_state_dict(state, strict=True, assign=True)
    return module.eval().requires_grad_(False)


def motion_only(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the motion attention, with the marks that belong to them."""
    return {key: value for key, value in state.items() if _MOTION_KEY.match(key)}


def load_tokenizer(path: Path | str, spec: ModelSpec) -> MotionTokenizer:
    """The tokenizer in a checkpoint: float32, on the CPU, in eval mode, without gradients.

    Sizes come from the tensors, so that small checkpoints with the same keys load as well.

    Raises:
        FileNotFoundError, ValueError: as `read_checkpoint`, or keys, shapes or values that are no tokenizer's.
    """
    if spec.architecture != "motion_tokenizer":
        raise ValueError(f"{spec.name} is a {spec.architecture}, expected a motion_tokenizer: choose another spec")
    state = read_checkpoint(path)
    released = f"expected the keys of {spec.files[0].name} from {spec.files[0].repository}"
    try:
        with torch.device("meta"):
            tokenizer = MotionTokenizer(_tokenizer_config(state))
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{path} is no {spec.title} ({error}): {released}") from error
    check_state(tokenizer.state_dict(), state, f"{path} is no {spec.title}: it", released)
    check_finite(state, str(path))
    tokenizer.load_state_dict({key: value.float() for key, value in state.items()}, strict=True, assign=True)
    return tokenizer.eval().requires_grad_(False)


def _tokenizer_config(state: Mapping[str, Tensor]) -> MotionTokenizerConfig:
    codes, channels = (*state["vq.codebook"].shape, 0)[:2]
    widths = (state["encoder.conv_in.weight"].shape[0], state["encoder.resnet2.block.2.weight"].shape[0])
    return MotionTokenizerConfig(widths=widths, code_dim=channels, codebook_size=codes)
