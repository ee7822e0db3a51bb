"""Sampling as the models were released: the whole recipe, long videos, and the schedule alone for ComfyUI's own samplers."""

from comfy_api.latest import io

from ...core.sampling.checks import check_recipe
from ...core.sampling.guidance import Guidance
from ...core.sampling.recipes import RECIPES, Recipe, recipes_of
from .. import host
from .motion import PART

AS_RELEASED = "as released"
SEED_MAX = 2**64 - 1


def recipe_inputs() -> list[io.Int.Input | io.Combo.Input]:
    """Which recipe, and its number of steps."""
    return [
        io.Combo.Input(
            "recipe",
            options=[AS_RELEASED, *RECIPES],
            default=AS_RELEASED,
            tooltip="Solver, schedule, steps and cfg as published; `as released` takes the first one of the model: 7B DPM or 17B. `17B distilled` is for a "
            "step-distilled LoRA.",
        ),
        io.Int.Input("steps", default=0, min=0, max=1000, tooltip="Number of steps; 0 takes that of the recipe."),
    ]


def seed_input() -> io.Int.Input:
    """The seed of everything random."""
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=SEED_MAX,
        control_after_generate=True,
        tooltip="The same seed gives the same video: of the noise at the start and of that which the DPM solver adds.",
    )


def cfg_input() -> io.Float.Input:
    """Guidance, or that of the recipe."""
    return io.Float.Input(
        "cfg",
        default=-1.0,
        min=-1.0,
        max=100.0,
        step=0.1,
        tooltip="How far the result is pushed from the negative condition to the positive; 1 runs the positive alone, 0 the negative alone, -1 takes the "
        "recipe's: 3 at 7B, 6 at 17B, 1 with the distilled LoRA.",
    )


def reuse_input() -> io.Float.Input:
    """What is reused between steps; the last input of a node, so that saved workflows keep their values."""
    return io.Float.Input(
        "reuse",
        default=0.0,
        min=0.0,
        max=3.0,
        step=0.01,
        optional=True,
        advanced=True,
        tooltip="0 is exact. Above it steps at which the time has changed the model's modulation by less than this share, in sum, take over what the blocks "
        "added at the last full one: faster and approximate. In ComfyUI at 7B alone; at 17B put its node EasyCache before this one.",
    )


def chosen_recipe(kind: str, recipe: str, steps: int) -> Recipe:
    """The recipe for a kind of model; ValueError if it is another kind's."""
    found = recipes_of(kind)[0] if recipe == AS_RELEASED else RECIPES[recipe]
    check_recipe(found, kind)
    return found.with_steps(steps)


class SampleMVDiT(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SampleMVDiT",
            display_name="Sample MV-DiT",
            category="motion4d/sampling",
            description="Samples MV-DiT exactly as it was released: its solver, schedule and guidance, seeded. In ComfyUI its own samplers work as well.",
            search_aliases=["mtvcrafter sampler", "ksampler", "mv-dit", "denoise"],
            inputs=[
                io.Model.Input("model", tooltip="MV-DiT 7B or 17B, or Wan2.1 with Apply Motion Attention."),
                io.Conditioning.Input("positive", tooltip="From Condition Video on Motion."),
                io.Conditioning.Input("negative", tooltip="From Condition Video on Motion."),
                io.Latent.Input("latent", tooltip="From Condition Video on Motion: its size is that of the video."),
                seed_input(),
                *recipe_inputs(),
                cfg_input(),
                io.Float.Input(
                    "guidance_start", default=0.0, **PART, advanced=True, tooltip="Where in the sampling cfg sets in, 0 being pure noise."
                ),
                io.Float.Input(
                    "guidance_end",
                    default=1.0,
                    **PART,
                    advanced=True,
                    tooltip="Where in the sampling cfg ends, 1 being the finished video; steps outside of it take half the time.",
                ),
                io.Guider.Input(
                    "guider",
                    optional=True,
                    tooltip="From Guide by Motion and Text: takes the place of positive, negative, cfg and its start and end.",
                ),
                reuse_input(),
            ],
            outputs=[io.Latent.Output(display_name="latent", tooltip="For VAE Decode.")],
        )

    @classmethod
    def execute(
        cls, model, positive, negative, latent, seed, recipe, steps, cfg, guidance_start, guidance_end, guider=None, reuse=0.0
    ):  # fmt: skip
        here = host.current()
        known = here.video_model(model)
        chosen = chosen_recipe(known.kind, recipe, steps)
        guidance = Guidance(scale=chosen.guidance if cfg < 0 else cfg, start=guidance_start, end=guidance_end)
        if guider is None:
            guider = here.guider(model, positive, negative, guidance)
        samples = here.sample(guider, latent["samples"], chosen, seed=seed, reuse=reuse)
        return io.NodeOutput(latent | {"samples": samples})


class ReleasedSigmas(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ReleasedSigmas",
            display_name="Released Sigmas",
            category="motion4d/sampling",
            description="The noise schedule of a released recipe as SIGMAS for ComfyUI's own samplers: of 17B with its double shift, of 7B from its noise-to-"
            "signal ratios. With euler at 17B and ddim at 7B the result is that of Sample MV-DiT.",
            search_aliases=["scheduler", "sigmas", "flow shift", "mtvcrafter schedule"],
            inputs=[
                io.Combo.Input("recipe", options=list(RECIPES), default="17B", tooltip="Whose schedule; it has to be one of the model's."),
                io.Int.Input("steps", default=0, min=0, max=1000, tooltip="Number of steps; 0 takes that of the recipe."),
            ],
            outputs=[io.Sigmas.Output(display_name="sigmas", tooltip="For Sampler Custom (Advanced).")],
        )

    @classmethod
    def execute(cls, recipe, steps):
        return io.NodeOutput(RECIPES[recipe].with_steps(steps).sigmas())
