"""UMT5, the text encoder of Wan2.1 (arXiv 2304.09151; Raffel et al. 2020, section 2.1), with its sentencepiece tokenizer.

Parts are named as in Wan's checkpoint. Attention is not scaled, and every block has its own bias by relative position.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import merge_heads, split_heads
from .state_dicts import count, filled, renamed, size
from .wide_layers import Linear, RMSNorm

TITLE = "UMT5"
TEXT_LENGTH = 512  # tokens that a text is cut to, its end included
_EPSILON = 1e-6
_FARTHEST = 128  # tokens away and more: all in the last bucket

_BLOCK = r"encoder\.block\.(\d+)\.layer"
_TRANSFORMERS_NAMES = (
    (r"(shared|encoder\.embed_tokens)\.", "token_embedding."),
    (_BLOCK + r"\.0\.SelfAttention\.relative_attention_bias\.", r"blocks.\1.pos_embedding.embedding."),
    (_BLOCK + r"\.0\.SelfAttention\.([qkvo])\.", r"blocks.\1.attn.\2."),
    (_BLOCK + r"\.0\.layer_norm\.", r"blocks.\1.norm1."),
    (_BLOCK + r"\.1\.layer_norm\.", r"blocks.\1.norm2."),
    (_BLOCK + r"\.1\.DenseReluDense\.wi_0\.", r"blocks.\1.ffn.gate.0."),
    (_BLOCK + r"\.1\.DenseReluDense\.wi_1\.", r"blocks.\1.ffn.fc1."),
    (_BLOCK + r"\.1\.DenseReluDense\.wo\.", r"blocks.\1.ffn.fc2."),
    (r"encoder\.final_layer_norm\.", "norm."),
)
# The other way, for programs that read those names alone.
TO_TRANSFORMERS = (
    (r"token_embedding\.", "shared."),
    (r"blocks\.(\d+)\.attn\.", r"encoder.block.\1.layer.0.SelfAttention."),
    (r"blocks\.(\d+)\.pos_embedding\.embedding\.", r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias."),
    (r"blocks\.(\d+)\.norm1\.", r"encoder.block.\1.layer.0.layer_norm."),
    (r"blocks\.(\d+)\.norm2\.", r"encoder.block.\1.layer.1.layer_norm."),
    (r"blocks\.(\d+)\.ffn\.gate\.0\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_0."),
    (r"blocks\.(\d+)\.ffn\.fc1\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_1."),
    (r"blocks\.(\d+)\.ffn\.fc2\.", r"encoder.block.\1.layer.1.DenseReluDense.wo."),
    (r"norm\.", "encoder.final_layer_norm."),
)


@dataclass(frozen=True)
class UMT5Config:
    """Sizes; the defaults are those of UMT5-XXL. buckets: of relative positions, half of them for tokens that come later."""

    vocabulary: int = 256384
    dim: int = 4096
    attention_dim: int = 4096
    ffn_dim: int = 10240
    heads: int = 64
    layers: int = 24
    buckets: int = 32

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> "UMT5Config":
        """The sizes of a checkpoint in Wan's names; the number of heads is the width of the position bias."""
        bias = "blocks.0.pos_embedding.embedding.weight"
        config = cls(
            vocabulary=size(state, "token_embedding.weight", 0, TITLE),
            dim=size(state, "token_embedding.weight", 1, TITLE),
            attention_dim=size(state, "blocks.0.attn.q.weight", 0, TITLE),
            ffn_dim=size(state, "blocks.0.ffn.fc1.weight", 0, TITLE),
            heads=size(state, bias, 1, TITLE),
            layers=count(state, r"blocks\.(\d+)\."),
            buckets=size(state, bias, 0, TITLE),
        )
        if config.attention_dim % config.heads or config.buckets % 4:
            expected = "expected heads of equal width and a multiple of 4"
            raise ValueError(f"{TITLE}: attention is {config.attention_dim} wide, its bias {config.buckets} x {config.heads}: {expected}")
        return config


class _Attention(nn.Module):
    def __init__(self, config: UMT5Config):
        super().__init__()
        self.heads = config.heads
        self.q, self.k, self.v = (Linear(config.dim, config.attention_dim, bias=False) for _ in range(3))
        self.o = Linear(config.attention_dim, config.dim, bias=False)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = (split_heads(part(x), self.heads) for part in (self.q, self.k, self.v))
        return self.o(merge_heads(functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)))


class _FeedForward(nn.Module):
    def __init__(self, config: UMT5Config):
        super().__init__()
        self.gate = nn.Sequential(Linear(config.dim, config.ffn_dim, bias=False), nn.GELU("tanh"))
        self.fc1 = Linear(config.dim, config.ffn_dim, bias=False)
        self.fc2 = Linear(config.ffn_dim, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1(x) * self.gate(x))


class _PositionBias(nn.Module):
    def __init__(self, config: UMT5Config):
        super().__init__()
        self.embedding = nn.Embedding(config.buckets, config.heads)

    def forward(self, buckets: Tensor) -> Tensor:
        """(L, L) buckets -> (1, heads, L, L)."""
        return self.embedding.weight.float()[buckets].permute(2, 0, 1).unsqueeze(0)


class _Block(nn.Module):
    def __init__(self, config: UMT5Config):
        super().__init__()
        self.norm1, self.norm2 = (RMSNorm(config.dim, _EPSILON) for _ in range(2))
        self.attn, self.ffn, self.pos_embedding = _Attention(config), _FeedForward(config), _PositionBias(config)

    def forward(self, x: Tensor, buckets: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), self.pos_embedding(buckets))
        return x + self.ffn(self.norm2(x))


def position_buckets(length: int, buckets: int = 32) -> Tensor:
    """(L, L) bucket of the way from each token (row) to each other (column).

    A quarter of the buckets for single distances 0, 1, 2, ..., another for distances that grow by a factor up to 128; the other half is the
    same for tokens that come later. In float32, whose rounding at the borders the weights have learned.
    """
    places = torch.arange(length, device="cpu")
    way = places[None, :] - places[:, None]
    half, near = buckets // 2, buckets // 4
    distance = way.abs()
    far = near + (torch.log(distance.float() / near) / math.log(_FARTHEST / near) * (half - near)).long()
    return (way > 0) * half + torch.where(distance < near, distance, far.clamp(max=half - 1))


class UMT5(nn.Module):
    """The encoder. It computes in float32, weights of any dtype being cast layer by layer."""

    def __init__(self, config: UMT5Config):
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocabulary, config.dim)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.dim, _EPSILON)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) token ids, all of them real -> (B, L, dim) float32."""
        buckets = position_buckets(ids.shape[1], self.config.buckets).to(ids.device)
        x = self.token_embedding(ids).float()
        for block in self.blocks:
            x = block(x, buckets)
        return self.norm(x)


class Tokenizer:
    """Text to the ids of sentencepiece, ended by `</s>`.

    Args:
        spiece: the content of a spiece.model file.
    """

    def __init__(self, spiece: bytes):
        from sentencepiece import SentencePieceProcessor

        try:
            self.pieces = SentencePieceProcessor(model_proto=spiece)
        except RuntimeError as error:
            remedy = "take spiece.model of google/umt5-xxl"
            raise ValueError(f"{TITLE}: its {len(spiece)} bytes of tokenizer are no sentencepiece model ({error}): {remedy}") from error
        if self.pieces.eos_id() < 0:
            raise ValueError(f"{TITLE}: the tokenizer has no end of text: take spiece.model of google/umt5-xxl")

    def __len__(self) -> int:
        return self.pieces.get_piece_size()

    def __call__(self, text: str) -> list[int]:
        """Ids, 512 at most; runs of white space count as one space. An empty text has its end alone."""
        return [*self.pieces.encode(" ".join(text.split()))[: TEXT_LENGTH - 1], self.pieces.eos_id()]


class TextEncoder(nn.Module):
    """Texts to what Wan's transformer reads."""

    def __init__(self, model: UMT5, tokenizer: Tokenizer):
        super().__init__()
        self.model, self.tokenizer = model, tokenizer
        if len(tokenizer) > model.config.vocabulary:
            known = model.config.vocabulary
            raise ValueError(
                f"{TITLE}: the tokenizer has {len(tokenizer)} pieces, the model knows {known}: take the tokenizer of the model"
            )

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> list[Tensor]:
        """One (L, dim) float32 tensor for each text, L its tokens with the end, without padding; on the device of the weights.

        Each text runs by itself, which gives the numbers of a padded and masked batch.
        """
        if isinstance(texts, str):
            raise ValueError(f"{TITLE}: texts are one text, {texts[:40]!r}, expected a list of them")
        device = self.model.norm.weight.device
        return [self.model(torch.tensor([self.tokenizer(text)], device=device))[0] for text in texts]


def load_umt5(state: Mapping[str, Tensor], spiece: bytes | None = None) -> TextEncoder:
    """The text encoder of models_t5_umt5-xxl-enc-bf16.pth, or of ComfyUI's umt5_xxl_*.safetensors without fp8 (`precision.dequantise`).

    Args:
        spiece: content of the tokenizer's spiece.model; None to take it from the tensor `spiece_model`, which ComfyUI's files hold.

    Raises:
        ValueError: another model's checkpoint, with the counts and first names of missing and unknown keys; no tokenizer, or one that does
            not fit.
    """
    stored = state.get("spiece_model")
    if spiece is None and stored is None:
        raise ValueError(
            f"{TITLE}: the file holds no tokenizer: put spiece.model of google/umt5-xxl beside it, or use ComfyUI's umt5_xxl_*"
        )
    tokenizer = Tokenizer(bytes(stored.cpu().to(torch.uint8).numpy()) if spiece is None else spiece)
    weights = renamed({key: tensor for key, tensor in state.items() if key != "spiece_model"}, _TRANSFORMERS_NAMES)
    config = UMT5Config.of(weights)
    remedy = "use models_t5_umt5-xxl-enc-bf16.pth or umt5_xxl_*.safetensors; T5 without U is another model"
    return TextEncoder(filled(lambda: UMT5(config), weights, title=TITLE, remedy=remedy), tokenizer)
