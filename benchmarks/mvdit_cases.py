"""One guided step of each MV-DiT model with random weights: as this pack takes it, and in the plain formulation of the release."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.conditions import MotionCondition
from ..core.networks.attention import Attention
from ..core.networks.motion_attention import Kept
from ..core.networks.mvdit_cogvideox import MVDiTCogVideoX, MVDiTCogVideoXConfig
from ..core.networks.mvdit_wan import MVDiTWan
from ..core.networks.residual_cache import ResidualCache
from ..core.networks.rope import motion_rope
from ..core.networks.scaled_fp8 import ScaledLinear, ScaledOps
from ..core.networks.wan_config import MVDiTWanConfig
from ..core.precision import becomes_fp8
from ..core.sampling.guidance import Branch, Guidance
from ..core.sampling.recipes import RECIPES, Recipe
from ..core.sampling.run import run_recipe
from ..core.specs import load_spec
from .mvdit_work import Work, work_7b, work_17b

MODELS = ("7b", "17b")
LATENT_FRAMES, JOINTS, IMAGE_TOKENS = 13, 24, 257
TIMESTEP = 500.0
# Of the tiny models: the released structure at the size of the reference numbers.
TINY_7B = MVDiTCogVideoXConfig(heads=2, in_channels=8, out_channels=4, layers=3, time_dim=32, text_dim=16)
TINY_17B = MVDiTWanConfig(
    dim=256,
    heads=2,
    ffn_dim=256,
    layers=5,
    in_channels=12,
    out_channels=4,
    text_dim=24,
    text_len=64,
    freq_dim=32,
    image_dim=32,
    motion_dim=64,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """One model in one size.

    latents: (1, C, F, h, w) noise. plain, kept: one guided step of two rows -> predictions (2, C, F, h, w); `kept` reads at every step what
    has been made once and is held in `held`. plain_work, kept_work: operations of a step. predict: the branches apart, for `run_recipe`;
    with a residual cache, or None.
    """

    name: str
    model: nn.Module
    latents: Tensor
    recipe: Recipe
    plain: Callable[[], Tensor]
    held: Kept
    kept: Callable[[], Tensor]
    predict: Callable[[Tensor, Tensor, Branch, ResidualCache | None], Tensor]
    plain_work: Work
    kept_work: Work

    @property
    def blocks(self) -> nn.ModuleList:
        """Of the model."""
        return self.model.transformer_blocks if isinstance(self.model, MVDiTCogVideoX) else self.model.blocks

    def quantise(self) -> None:
        """Make the weights of the blocks fp8 with scales, for good."""
        for name, layer in self.model.named_modules():
            if isinstance(layer, ScaledLinear) and becomes_fp8(f"{name}.weight", layer.weight):
                layer.requantise(layer.weight)
        self.held.clear()

    @torch.no_grad()
    def sample(self, steps: int, *, guidance: Guidance | None = None, cache: ResidualCache | None = None) -> Tensor:
        """Latents at the end of a run of the recipe."""
        guidance = Guidance(self.recipe.guidance) if guidance is None else guidance
        generator = torch.Generator(self.latents.device).manual_seed(1)

        def predict(latents: Tensor, timestep: Tensor, branch: Branch, window: Tensor | None) -> Tensor:
            return self.predict(latents, timestep, branch, cache)

        return run_recipe(self.recipe.with_steps(steps), self.latents.float(), predict, guidance=guidance, generator=generator)


def random_model(kind: type[nn.Module], config, *, device: torch.device, dtype: torch.dtype, attention: Attention | None) -> nn.Module:
    """A model whose memory is taken once, in its final dtype, with weights that keep activations near 1."""
    with torch.device("meta"):
        model = kind(config, attention=attention, ops=ScaledOps)  # works as an ordinary one until a weight is made fp8
    model = model.to(dtype).to_empty(device=device).eval().requires_grad_(False)
    generator = torch.Generator(device).manual_seed(0)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:  # norms and biases
            parameter.fill_(1.0 if name.endswith("weight") else 0.0)
        else:
            parameter.normal_(std=parameter[0].numel() ** -0.5, generator=generator)
    return model


def make_case(model: str, size: str, *, device: torch.device, attention: Attention | None = None, grid: int | None = None) -> Case:
    """A case by name.

    Args:
        model: of MODELS. size: "tiny" in float32, "full" in bfloat16. grid: patches along a side; None for 12 (tiny) or 32 (full, 512 pixels).
    """
    full = size == "full"
    side = 2 * (grid or (32 if full else 12))
    options = {"device": device, "dtype": torch.bfloat16 if full else torch.float32, "attention": attention}
    if model == "7b":
        config = MVDiTCogVideoXConfig() if full else TINY_7B
        return _case_7b(f"7B {size}", random_model(MVDiTCogVideoX, config, **options), side)
    config = MVDiTWanConfig() if full else TINY_17B
    return _case_17b(f"17B {size}", random_model(MVDiTWan, config, **options), side)


def _conditions(width: int) -> tuple[MotionCondition, Callable[..., Tensor]]:
    """A random motion at the released places, and seeded noise."""
    generator = torch.Generator().manual_seed(2)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    positions = load_spec("4dmot").statistics["mean_mm"]
    return MotionCondition(tokens=noise(LATENT_FRAMES * JOINTS, width), positions=positions, frames=LATENT_FRAMES), noise


def _case_7b(name: str, model: MVDiTCogVideoX, side: int) -> Case:
    config, like = model.config, model.proj_out.bias
    motion, noise = _conditions(config.width)
    latents = noise(1, config.out_channels, LATENT_FRAMES, side, side).to(like)
    reference = noise(1, LATENT_FRAMES, config.in_channels - config.out_channels, side, side).to(like)
    grid = (LATENT_FRAMES, side // config.patch, side // config.patch)
    kept, still = Kept(), motion.without_motion()

    def given(x: Tensor, rows: int) -> Tensor:
        """Latents (1, C, F, h, w) -> input (rows, F, C, h, w) with the reference."""
        return torch.cat([x.to(like).transpose(1, 2), reference], 2).expand(rows, -1, -1, -1, -1)

    def at(timestep: Tensor | float, rows: int) -> Tensor:
        return torch.full((rows,), float(timestep), device=like.device)

    def read(*rows: MotionCondition) -> tuple:
        return model.read_motion(rows, like=like, kept=kept), model.read_vision(grid, like=like, kept=kept)

    @torch.no_grad()
    def step() -> Tensor:
        return model(given(latents, 2), at(TIMESTEP, 2), *read(still, motion)).transpose(1, 2)

    @torch.no_grad()
    def plain() -> Tensor:
        tokens = torch.stack([model.unconditional_motion_token, motion.tokens.to(like)])
        table = motion_rope(motion.positions, motion.frames).to(like.device, like.dtype)
        return model(given(latents, 2), at(TIMESTEP, 2), tokens, None, table).transpose(1, 2)

    def predict(x: Tensor, timestep: Tensor, branch: Branch, cache: ResidualCache | None) -> Tensor:
        row = motion if branch == "positive" else still
        return model(given(x, 1), at(timestep, 1), *read(row), cache=cache, branch=branch).transpose(1, 2)

    size = (LATENT_FRAMES, side, side)
    work = [work_7b(config, size, len(motion.tokens), kept=known).times(2) for known in (False, True)]
    return Case(
        name=name, model=model, latents=latents, recipe=RECIPES["7B DDIM"], plain=plain, held=kept, kept=step, predict=predict,
        plain_work=work[0], kept_work=work[1],
    )  # fmt: skip


def _case_17b(name: str, model: MVDiTWan, side: int) -> Case:
    config, like = model.config, model.head.head.bias
    motion, noise = _conditions(config.motion_dim)
    latents = noise(1, config.out_channels, LATENT_FRAMES, side, side).to(like)
    condition = noise(1, config.in_channels - config.out_channels, LATENT_FRAMES, side, side).to(like)
    texts = [noise(min(length, config.text_len), config.text_dim).to(like) for length in (16, 9)]  # negative, positive
    image = noise(1, IMAGE_TOKENS, config.image_dim).to(like)
    grid = (LATENT_FRAMES, side // 2, side // 2)
    kept = Kept(8 * 1024**3)

    def rows_of(x: Tensor, rows: int) -> Tensor:
        return x.to(like).expand(rows, *x.shape[1:])

    def at(timestep: Tensor | float, rows: int) -> Tensor:
        return torch.full((rows,), float(timestep), device=like.device)

    def read(*rows: int) -> dict:
        prepared = kept.keep(("text and image", rows), lambda: model.prepare([texts[row] for row in rows], image))
        reading = model.read_motion([motion], like=like, kept=kept)
        return {"context": prepared, "motion": reading, "vision_rope": model.read_vision(grid, like=like, kept=kept)}

    @torch.no_grad()
    def step() -> Tensor:
        return model(rows_of(latents, 2), at(TIMESTEP, 2), condition=rows_of(condition, 2), **read(0, 1))

    @torch.no_grad()
    def plain() -> Tensor:
        table = motion_rope(motion.positions, motion.frames, split=config.motion_split)
        tokens = rows_of(motion.tokens[None], 2)
        return model(rows_of(latents, 2), at(TIMESTEP, 2), texts, rows_of(image, 2), rows_of(condition, 2), tokens, table)

    def predict(x: Tensor, timestep: Tensor, branch: Branch, cache: ResidualCache | None) -> Tensor:
        row = 0 if branch == "negative" else 1
        return model(x.to(like), at(timestep, 1), condition=condition, cache=cache, branch=branch, **read(row))

    size, tokens = (LATENT_FRAMES, side, side), len(motion.tokens)
    plain_work = work_17b(config, size, tokens, IMAGE_TOKENS).times(2)
    kept_work = work_17b(config, size, tokens, IMAGE_TOKENS, kept=True, motion_kept=True).times(2)
    return Case(
        name=name, model=model, latents=latents, recipe=RECIPES["17B"], plain=plain, held=kept, kept=step, predict=predict,
        plain_work=plain_work, kept_work=kept_work,
    )  # fmt: skip
