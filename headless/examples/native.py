"""Examples of MTVCrafter for ComfyUI alone: its own loaders, samplers, LoRA and schedulers around the pack's conditioning."""

from collections.abc import Mapping
from typing import Any

from ..workflow import Link, Workflow
from .files import loader
from .mvdit import NOTE, condition, decoded, models_7b, motion_part, prompts, results, text

_ADAPTED = (
    "needs Wan2.1 image to video (any file that ComfyUI reads), the motion adapter, the VAE, text and image encoders of Wan2.1 and the 4DMoT tokenizer; "
    "licences and consent are in the help of *Load Motion Adapter*. *Load CLIP* (type wan) and *Load CLIP Vision* do as well for the encoders."
)


def mvdit_7b_native(infos: Mapping[str, Any]) -> Workflow:
    """MTVCrafter 7B through ComfyUI's KSampler."""
    flow = Workflow(infos)
    made = motion_part(flow)
    models_7b(flow)
    condition(flow, **made)
    given = {name: flow.out("17", name) for name in ("positive", "negative")}
    flow.add(
        "18", "KSampler", "KSampler", flow.below("17"), room=240, model=flow.out("14", "model"), **given, latent_image=flow.out("17", "latent"), steps=50,
        cfg=3.0, sampler_name="ddim", scheduler="simple",
    )  # fmt: skip
    decoded(flow, "19", flow.out("18", "LATENT"), flow.below("18"))
    results(flow, **made)
    flow.note(
        "## MV-DiT 7B in ComfyUI's KSampler\n\nThe model is one of ComfyUI's own: any sampler, LoRA loader, preview or offloading works on it. Its **cfg** goes between the "
        "motion and the learned *no motion*; 1 takes half the time.\n\nWith *ddim*, *simple* and 50 steps it is the released DDIM; for other numbers of steps, use "
        "*SamplerCustomAdvanced* with *Released Sigmas*. The released DPM is in the example *mvdit_7b*.",
        *NOTE,
    )
    return flow


def mvdit_17b_native(infos: Mapping[str, Any]) -> Workflow:
    """The motion adapter on ComfyUI's Wan2.1, through SamplerCustomAdvanced with the schedule of the release."""
    flow = Workflow(infos)
    made = _adapted(flow)
    flow.add("40", "RandomNoise", "Noise", flow.below("17"))
    custom_sampler(flow, noise=flow.out("40", "NOISE"), model=flow.out("16", "model"), given="17", cfg=6.0, solver="euler", recipe="17B")
    decoded(flow, "19", flow.out("18", "output"), flow.below("18"), vae=flow.out("15", "VAE"))
    results(flow, **made)
    flow.note(
        "## Motion on ComfyUI's own Wan2.1\n\n*Apply Motion Attention* puts the motion adapter on a stock model; everything that works on Wan2.1 goes on working: "
        f"quantised models, LoRA, block swapping, caches.\n\nIt {_ADAPTED}",
        *NOTE,
    )
    return flow


def mvdit_17b_fast(infos: Mapping[str, Any]) -> Workflow:
    """The same with a step-distilled LoRA: few steps, no guidance."""
    flow = Workflow(infos)
    made = _adapted(flow, lora=True)
    given = {name: flow.out("17", name) for name in ("positive", "negative")}
    flow.add("41", "ModelSamplingSD3", "Shift", flow.below("17"), model=flow.out("16", "model"), shift=5.0)
    flow.add(
        "18", "KSampler", "KSampler", flow.below("41"), room=240, model=flow.out("41", "MODEL"), **given, latent_image=flow.out("17", "latent"), steps=8,
        cfg=1.0, sampler_name="euler", scheduler="simple",
    )  # fmt: skip
    decoded(flow, "19", flow.out("18", "LATENT"), flow.below("18"), vae=flow.out("15", "VAE"))
    results(flow, **made)
    flow.note(
        "## MV-DiT 17B in 6 to 10 steps\n\nA step-distilled LoRA on the same model: cfg 1, so that every step is one pass, and a tenth of the steps. The LoRA of the release is "
        "FusionX, with 10 steps; lightx2v is set here.\n\n"
        f"It {_ADAPTED} The LoRA has terms of its own.",
        *NOTE,
    )
    return flow


def custom_sampler(
    flow: Workflow, *, noise: Link, model: Link, given: str, cfg: float, solver: str, recipe: str, title: str = "Sampler"
) -> None:
    """Nodes 41 to 43 and 18 below the noise: SamplerCustomAdvanced of what the node `given` gives, with a released schedule."""
    under = {name: flow.out(given, name) for name in ("positive", "negative")}
    flow.add("41", "CFGGuider", "Guidance", flow.below(noise.step), model=model, **under, cfg=cfg)
    flow.add("42", "KSamplerSelect", "Solver", flow.below("41"), sampler_name=solver)
    flow.add("43", "Motion4D_ReleasedSigmas", "Schedule", flow.below("42"), recipe=recipe)
    flow.add(
        "18", "SamplerCustomAdvanced", title, flow.below("43"), room=240, noise=noise, guider=flow.out("41", "GUIDER"),
        sampler=flow.out("42", "SAMPLER"), sigmas=flow.out("43", "sigmas"), latent_image=flow.out(given, "latent"),
    )  # fmt: skip


def _adapted(flow: Workflow, *, lora: bool = False) -> dict[str, Any]:
    """A model and a VAE from ComfyUI's loaders, the motion adapter on that, and the conditioning."""
    made = motion_part(flow)
    flow.add("14", "UNETLoader", "Wan2.1 image to video", (1140, 80), **loader("wan_i2v_14b", input="unet_name"))
    model, last = flow.out("14", "MODEL"), "14"
    if lora:
        flow.add(
            "34", "LoraLoaderModelOnly", "Few steps", flow.below("14"), model=model, **loader("step_distilled_lora", input="lora_name")
        )
        model, last = flow.out("34", "MODEL"), "34"
    flow.add("29", "Motion4D_LoadMotionAdapter", "Motion adapter", flow.below(last), **loader("mvdit_17b_adapter"))
    flow.add("16", "Motion4D_ApplyMotionAttention", "Motion onto it", flow.below("29"), model=model, adapter=flow.out("29", "adapter"))
    flow.add("15", "VAELoader", "VAE", flow.below("16"), **loader("wan_vae", input="vae_name"))
    flow.add("30", "Motion4D_LoadTextEncoder", "Text encoder", flow.below("15"), **loader("umt5_xxl"))
    flow.add("31", "Motion4D_LoadImageEncoder", "Image encoder", flow.below("30"), **loader("clip_vision_h"))
    prompts(flow, flow.out("30", "clip"), flow.below("31"))
    flow.frame("Models and text", "14", "15", "16", "29", "30", "31", "32", "33", *(["34"] if lora else []))
    given = {"model": flow.out("16", "model"), "vae": flow.out("15", "VAE"), "clip_vision": flow.out("31", "clip_vision")}
    condition(flow, **made, **text(flow), **given)
    return made
