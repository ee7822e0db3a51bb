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


_LENGTH = {"length": ("INT", {"step": 4}), "batch_size": ("INT", {"default": 1})}
_GIVEN = {"positive": "CONDITIONING", "negative": "CONDITIONING", "vae": "VAE"}
_STRENGTH = ("FLOAT", {"default": 1.0})

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
    "TrimVideoLatent": _info({"LATENT": "LATENT"}, samples="LATENT", trim_amount=("INT", {"default": 0})),
    "WanAnimateToVideo": _info(
        {
            "positive": "CONDITIONING", "negative": "CONDITIONING", "latent": "LATENT", "trim_latent": "INT", "trim_image": "INT",
            "video_frame_offset": "INT",
        },
        {
            "clip_vision_output": "CLIP_VISION_OUTPUT", "reference_image": "IMAGE", "face_video": "IMAGE", "pose_video": "IMAGE",
            "background_video": "IMAGE", "character_mask": "MASK", "continue_motion": "IMAGE",
        },
        **_GIVEN,
        width=("INT", {"default": 832, "step": 16}),
        height=("INT", {"default": 480, "step": 16}),
        **_LENGTH,
        continue_motion_max_frames=("INT", {"default": 5, "step": 4}),
        video_frame_offset=("INT", {"default": 0}),
    ),
    "WanSCAILToVideo": _info(
        {"positive": "CONDITIONING", "negative": "CONDITIONING", "latent": "LATENT", "video_frame_offset": "INT"},
        {
            "pose_video": "IMAGE", "pose_video_mask": "IMAGE", "replacement_mode": ("BOOLEAN", {"default": False}), "reference_image": "IMAGE",
            "reference_image_mask": "IMAGE", "clip_vision_output": "CLIP_VISION_OUTPUT", "previous_frames": "IMAGE",
        },
        **_GIVEN,
        width=("INT", {"default": 512, "step": 32}),
        height=("INT", {"default": 896, "step": 32}),
        **_LENGTH,
        pose_strength=_STRENGTH,
        pose_start=("FLOAT", {"default": 0.0}),
        pose_end=_STRENGTH,
        video_frame_offset=("INT", {"default": 0}),
        previous_frame_count=("INT", {"default": 5, "step": 4}),
    ),
}  # fmt: skip
