"""Small random text encoder, image encoder and video autoencoders with the true keys, so that everything can run without the released files.

They mean nothing: their results are noise of order 1 that depends on the input. Layouts and widths are those that ComfyUI's stock classes
read; where ComfyUI takes a size from a table instead of the file, it has to be told:

- `tiny_wan_vae`: nothing; `comfy.sd.VAE(sd=sd)` takes the width from the file.
- `tiny_umt5`: `comfy.sd.load_text_encoder_state_dicts([sd], clip_type=comfy.sd.CLIPType.WAN, model_options={"umt5xxl_model_config": sizes})`
  with `sizes = umt5_sizes(sd)`. The stock node CLIPLoader passes no such options: there `sizes` have to be added to those of
  `load_text_encoder_state_dicts`. ComfyUI knows UMT5-XXL by its 24th block: `comfy.sd.detect_te_model` has to answer
  `comfy.sd.TEModel.T5_XXL` while it loads.
- `tiny_clip_vision`: `comfy.clip_vision.load_clipvision_from_sd` knows ViT-H by its 31st block and answers None; in its place
  `clip = comfy.clip_vision.ClipVisionModel(path)`, a JSON file of `CLIP_VISION_CONFIG`, and `clip.load_sd(sd)`. Its preprocessing
  smooths before it shrinks, rounds to 8 bits and crops unless told not to: pictures of 224 x 224 pixels in whole 255ths give our numbers.
- `tiny_cogvideox_vae`: cannot; ComfyUI builds the full size alone, and cuts clips otherwise. Use `cogvideox_vae.load_cogvideox_vae`.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from . import clip_vision, umt5
from .clip_vision import CLIPVisionConfig, ImageEncoder
from .cogvideox_vae import autoencoder
from .state_dicts import renamed
from .umt5 import UMT5, Tokenizer, UMT5Config
from .wan_vae import WanVAE, WanVAEConfig

_TEXT = UMT5Config(dim=4096, attention_dim=64, ffn_dim=64, heads=1, layers=2)
_IMAGE = CLIPVisionConfig(layers=2, mlp_dim=64)
_PROJECTED = 1024  # channels of CLIP's common space of texts and pictures

CLIP_VISION_CONFIG = {
    "model_type": "clip_vision_model",
    "hidden_size": _IMAGE.width,
    "num_attention_heads": _IMAGE.heads,
    "num_hidden_layers": _IMAGE.layers,
    "intermediate_size": _IMAGE.mlp_dim,
    "hidden_act": "gelu",
    "image_size": _IMAGE.side,
    "patch_size": _IMAGE.patch,
    "num_channels": 3,
    "projection_dim": _PROJECTED,
}

_SENTENCES = (
    "The character is dancing.",
    "A woman in a red coat walks along the beach at sunset, and the camera follows her.",
    "A knight in silver armour raises his sword, turns around and jumps over the fallen tree.",
    "Two children play football in the yard; the smaller one kicks the ball far away.",
    "bad hands, extra limbs, fused fingers, blurry, low quality, watermark, static picture",
    "An old man does slow exercises in a quiet park on a cold grey morning.",
)


def _random(module: nn.Module, seed: int) -> dict[str, Tensor]:
    """Weights that keep the size of what runs through: gains near one, biases near zero, embeddings of order 1."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, tensor in module.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator, device="cpu")
        if "embedding" in name and "patch" not in name:
            state[name] = noise
        elif tensor.numel() == max(tensor.shape):  # gains and biases have one axis longer than 1
            state[name] = noise * 0.1 + (0.0 if name.endswith("bias") else 1.0)
        else:
            state[name] = noise * tensor[0].numel() ** -0.5
    return state


def _without_memory(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


def tiny_spiece() -> bytes:
    """A sentencepiece model of a few sentences: padding 0, end 1, unknown 2, as UMT5 has them."""
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(_SENTENCES),
        model_writer=model,
        vocab_size=160,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def tiny_umt5(seed: int = 0) -> dict[str, Tensor]:
    """A text encoder in transformers' names, float16, with the tokenizer in `spiece_model`."""
    spiece = tiny_spiece()
    config = replace(_TEXT, vocabulary=len(Tokenizer(spiece)))
    state = _random(_without_memory(lambda: UMT5(config)), seed)
    for name in state:
        if name.endswith("attn.q.weight"):  # products of queries and keys are not scaled
            state[name] *= (config.attention_dim // config.heads) ** -0.5
    weights = {key: tensor.half() for key, tensor in renamed(state, umt5.TO_TRANSFORMERS).items()}
    return weights | {"spiece_model": torch.frombuffer(bytearray(spiece), dtype=torch.uint8)}


def umt5_sizes(state: Mapping[str, Tensor]) -> dict[str, int]:
    """The sizes of `tiny_umt5` by the names of ComfyUI's configuration."""
    attention = {"d_kv": _TEXT.attention_dim // _TEXT.heads, "num_heads": _TEXT.heads, "num_layers": _TEXT.layers}
    return {"vocab_size": len(state["shared.weight"]), "d_model": _TEXT.dim, "d_ff": _TEXT.ffn_dim, **attention}


def tiny_clip_vision(seed: int = 0) -> dict[str, Tensor]:
    """An image encoder in transformers' names, float16."""
    state = renamed(_random(_without_memory(lambda: ImageEncoder(_IMAGE)), seed), clip_vision.TO_TRANSFORMERS)
    generator = torch.Generator().manual_seed(seed + 1)
    state["visual_projection.weight"] = torch.randn(_PROJECTED, _IMAGE.width, generator=generator) * _IMAGE.width**-0.5
    return {key: tensor.half() for key, tensor in state.items()}


def tiny_wan_vae(seed: int = 0) -> dict[str, Tensor]:
    """A video autoencoder with the keys of Wan2.1_VAE.pth, float32."""
    return _random(_without_memory(lambda: WanVAE(WanVAEConfig(widths=(8, 16, 32, 32)))), seed)


def tiny_cogvideox_vae(seed: int = 0) -> dict[str, Tensor]:
    """A video autoencoder with the keys of diffusers' AutoencoderKLCogVideoX, float32."""
    return _random(_without_memory(lambda: autoencoder((32, 32, 32, 32), layers=1, channels=16)), seed)
