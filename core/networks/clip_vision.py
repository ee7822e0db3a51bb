"""The image tower of open-CLIP ViT-H/14 (arXiv 2103.00020; 2212.07143), whose last but one block Wan2.1's image to video reads.

Parts are named as in Wan's checkpoint, except that queries, keys and values are apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..shapes import check_shapes
from .attention import dot_product_attention, merge_heads, split_heads
from .state_dicts import count, filled, renamed, size
from .wide_layers import LayerNorm, Linear

TITLE = "CLIP vision"
HEAD_DIM = 80  # of ViT-H, 1280 channels in 16 heads; no tensor tells it
MEAN = 0.48145466, 0.4578275, 0.40821073
DEVIATION = 0.26862954, 0.26130258, 0.27577711

_LAYER = r"vision_model\.encoder\.layers\.(\d+)"
_TRANSFORMERS_NAMES = (
    (r"vision_model\.embeddings\.class_embedding$", "cls_embedding"),
    (r"vision_model\.embeddings\.patch_embedding\.", "patch_embedding."),
    (r"vision_model\.embeddings\.position_embedding\.weight$", "pos_embedding"),
    (r"vision_model\.pre_layrnorm\.", "pre_norm."),
    (_LAYER + r"\.layer_norm([12])\.", r"transformer.\1.norm\2."),
    (_LAYER + r"\.self_attn\.([qkv])_proj\.", r"transformer.\1.attn.\2."),
    (_LAYER + r"\.self_attn\.out_proj\.", r"transformer.\1.attn.proj."),
    (_LAYER + r"\.mlp\.fc1\.", r"transformer.\1.mlp.0."),
    (_LAYER + r"\.mlp\.fc2\.", r"transformer.\1.mlp.2."),
    (r"vision_model\.post_layernorm\.", "post_norm."),
)
# The other way, for programs that read those names alone.
TO_TRANSFORMERS = (
    ("cls_embedding", "vision_model.embeddings.class_embedding"),
    ("patch_embedding", "vision_model.embeddings.patch_embedding"),
    ("pos_embedding", "vision_model.embeddings.position_embedding.weight"),
    (r"pre_norm\.", "vision_model.pre_layrnorm."),
    (r"transformer\.(\d+)\.norm([12])\.", r"vision_model.encoder.layers.\1.layer_norm\2."),
    (r"transformer\.(\d+)\.attn\.([qkv])\.", r"vision_model.encoder.layers.\1.self_attn.\2_proj."),
    (r"transformer\.(\d+)\.attn\.proj\.", r"vision_model.encoder.layers.\1.self_attn.out_proj."),
    (r"transformer\.(\d+)\.mlp\.0\.", r"vision_model.encoder.layers.\1.mlp.fc1."),
    (r"transformer\.(\d+)\.mlp\.2\.", r"vision_model.encoder.layers.\1.mlp.fc2."),
    (r"post_norm\.", "vision_model.post_layernorm."),
)
_UNUSED = ("vision_model.embeddings.position_ids", "head")  # a table of 0, 1, 2, ..., and the projection into the space of texts


@dataclass(frozen=True)
class CLIPVisionConfig:
    """Sizes; the defaults are those of ViT-H/14. positions: patches and one more."""

    width: int = 1280
    heads: int = 16
    layers: int = 32
    mlp_dim: int = 5120
    patch: int = 14
    positions: int = 257

    @classmethod
    def of(cls, state: Mapping[str, Tensor], heads: int | None = None) -> "CLIPVisionConfig":
        """The sizes of a checkpoint in Wan's names; heads of 80 channels where no number of them is given."""
        width = size(state, "patch_embedding.weight", 0, TITLE)
        if heads is None and width % HEAD_DIM:
            raise ValueError(
                f"{TITLE}: {width} channels make no heads of {HEAD_DIM} as ViT-H has them: use clip_vision_h, or name the heads"
            )
        heads = heads or width // HEAD_DIM
        positions = size(state, "pos_embedding", 0, TITLE)
        if width % heads or round((positions - 1) ** 0.5) ** 2 != positions - 1:
            expected = "expected channels divided by heads, and a square of patches and one more"
            raise ValueError(f"{TITLE}: {width} channels, {heads} heads, {positions} positions: {expected}")
        return cls(
            width=width,
            heads=heads,
            layers=count(state, r"transformer\.(\d+)\."),
            mlp_dim=size(state, "transformer.0.mlp.0.weight", 0, TITLE),
            patch=size(state, "patch_embedding.weight", 2, TITLE),
            positions=positions,
        )

    @property
    def side(self) -> int:
        """Pixels of a picture's side."""
        return round((self.positions - 1) ** 0.5) * self.patch


class _Attention(nn.Module):
    def __init__(self, config: CLIPVisionConfig):
        super().__init__()
        self.heads = config.heads
        self.q, self.k, self.v, self.proj = (Linear(config.width, config.width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(merge_heads(dot_product_attention(*(split_heads(part(x), self.heads) for part in (self.q, self.k, self.v)))))


class _Block(nn.Module):
    def __init__(self, config: CLIPVisionConfig):
        super().__init__()
        self.norm1, self.norm2 = (LayerNorm(config.width) for _ in range(2))
        self.attn = _Attention(config)
        self.mlp = nn.Sequential(Linear(config.width, config.mlp_dim), nn.GELU(), Linear(config.mlp_dim, config.width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ImageEncoder(nn.Module):
    """The tower. It computes in float32, weights of any dtype being cast layer by layer; the last block and norm are there, and not run."""

    def __init__(self, config: CLIPVisionConfig):
        super().__init__()
        self.config = config
        self.patch_embedding = nn.Conv2d(3, config.width, config.patch, stride=config.patch, bias=False)
        self.cls_embedding = nn.Parameter(torch.zeros(config.width))
        self.pos_embedding = nn.Parameter(torch.zeros(config.positions, config.width))
        self.pre_norm, self.post_norm = (LayerNorm(config.width) for _ in range(2))
        self.transformer = nn.ModuleList(_Block(config) for _ in range(config.layers))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, side, side) normalised -> (B, positions, width) float32."""
        patches = functional.conv2d(pixels.float(), self.patch_embedding.weight.float(), stride=self.config.patch)
        x = patches.flatten(2).transpose(1, 2)
        first = self.cls_embedding.float().expand(len(x), 1, -1)
        x = self.pre_norm(torch.cat([first, x], 1) + self.pos_embedding.float())
        for block in self.transformer[:-1]:
            x = block(x)
        return x

    def preprocess(self, images: Tensor) -> Tensor:
        """(B, H, W, 3) in 0..1 -> (B, 3, side, side): stretched by cubic interpolation without antialias, as released, then normalised."""
        check_shapes(TITLE, images=(images, "B H W 3"))
        side = (self.config.side, self.config.side)
        pixels = functional.interpolate(images.movedim(-1, 1).float(), side, mode="bicubic", align_corners=False)
        mean, deviation = (torch.tensor(part, device=pixels.device).view(3, 1, 1) for part in (MEAN, DEVIATION))
        return (pixels - mean) / deviation

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """(B, H, W, 3) in 0..1 -> (B, 257, 1280) float32, the output of the last but one block; on the device of the weights."""
        return self(self.preprocess(images.to(self.cls_embedding.device)))


def in_our_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The image tower of either layout; a text tower in the same file is left out."""
    if any(key.startswith("visual.") for key in state):
        state = {key.removeprefix("visual."): tensor for key, tensor in state.items() if key.startswith("visual.")}
    else:
        outside = ("text_model.", "text_projection.", "visual_projection.", "logit_scale")
        state = renamed({key: tensor for key, tensor in state.items() if not key.startswith(outside)}, _TRANSFORMERS_NAMES)
    result = {}
    for key, tensor in state.items():
        if ".attn.to_qkv." in key:
            for name, part in zip("qkv", tensor.chunk(3), strict=True):  # views: no second copy
                result[key.replace("to_qkv", name)] = part
        elif key in ("cls_embedding", "pos_embedding"):
            result[key] = tensor.flatten(0, -2) if key == "pos_embedding" else tensor.flatten()
        elif key not in _UNUSED:
            result[key] = tensor
    return result


def load_clip_vision(state: Mapping[str, Tensor], *, heads: int | None = None) -> ImageEncoder:
    """The image encoder of models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth, or of ComfyUI's clip_vision_h.safetensors.

    Args:
        heads: of attention; None for heads of 80 channels.

    Raises:
        ValueError: another model's checkpoint, with the counts and first names of missing and unknown keys.
    """
    weights = in_our_names(state)
    config = CLIPVisionConfig.of(weights, heads)
    remedy = "use clip_vision_h.safetensors or models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"
    return filled(lambda: ImageEncoder(config), weights, title=TITLE, remedy=remedy)
