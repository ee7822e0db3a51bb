"""Nodes of ComfyUI that examples use and a headless run does not have: their inputs and outputs, as far as the examples need them.

The tests in the real program compare them with its /object_info.
"""

from typing import Any

_SEED = {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}


def _info(outputs: dict[str, str], optional: dict[str, Any] | None = None, **required: Any) -> dict[str, Any]:
    """outputs: name -> type. required, optional: name -> type, or (type, options)."""
    groups = {"required": required, "optional": optional or {}}
    entries = {
        group: {name: (given, {}) if isinstance(given, str) else given for name, given in inputs.items()}
        for group, inputs in groups.items()
        if inputs
    }
    return {"input": entries, "output": list(outputs.values()), "output_name": list(outputs)}


def _choice(*options: str) -> tuple[str, dict[str, Any]]:
    return "COMBO", {"options": list(options)}


STOCK = {
    "ModelSamplingSD3": _info({"MODEL": "MODEL"}, model="MODEL", shift=("FLOAT", {"default": 3.0})),
    "KSampler": _info(
        {"LATENT": "LATENT"},
        model="MODEL",
        seed=("INT", _SEED),
        steps=("INT", {"default": 20}),
        cfg=("FLOAT", {"default": 8.0}),
        sampler_name=_choice("euler", "ddim"),
        scheduler=_choice("simple", "sgm_uniform"),
        positive="CONDITIONING",
        negative="CONDITIONING",
        latent_image="LATENT",
        denoise=("FLOAT", {"default": 1.0}),
    ),
    "KSamplerSelect": _info({"SAMPLER": "SAMPLER"}, sampler_name=_choice("euler", "ddim")),
    "RandomNoise": _info({"NOISE": "NOISE"}, noise_seed=("INT", _SEED)),
    "CFGGuider": _info(
        {"GUIDER": "GUIDER"}, model="MODEL", positive="CONDITIONING", negative="CONDITIONING", cfg=("FLOAT", {"default": 8.0})
    ),
    "SamplerCustomAdvanced": _info(
        {"output": "LATENT", "denoised_output": "LATENT"},
        noise="NOISE",
        guider="GUIDER",
        sampler="SAMPLER",
        sigmas="SIGMAS",
        latent_image="LATENT",
    ),
}
