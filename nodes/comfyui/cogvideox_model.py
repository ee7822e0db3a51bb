"""MV-DiT 7B as a model of ComfyUI's: its own BaseModel around the network of core, so that samplers, LoRA, previews and offloading work.

The checkpoint keeps its released names, below `diffusion_model.` as everywhere in ComfyUI.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import comfy.latent_formats
import comfy.utils
import torch
from comfy import model_management, model_patcher
from comfy.model_base import BaseModel, ModelType
from comfy.patcher_extension import CallbacksMP, WrapperExecutor, WrappersMP, get_all_wrappers
from comfy.supported_models_base import BASE
from torch import Tensor

from ...core.checkpoints import read_checkpoint, read_metadata
from ...core.conditions import MotionCondition
from ...core.models import KINDS, mvdit_7b_config
from ...core.networks.motion_attention import Kept
from ...core.networks.mvdit_cogvideox import MVDiTCogVideoX, MVDiTCogVideoXConfig
from ...core.networks.scaled_fp8 import FP8, SCALE
from ...core.networks.state_dicts import check_state
from ...core.precision import unify_scales
from .checks import RunCheck
from .conditions import KEY, ReferenceCond
from .layers import Attention, Layers
from .precision import prepared, unpacked
from .steps import CONDS, STEP, Step, step_of, window_of

EXACT = "motion4d_exact"  # transformer option: the sampler reads velocities itself, leave the first step alone
_ALMOST = 1 - 1e-5


class MVDiT7BNetwork(MVDiTCogVideoX):
    """The network as ComfyUI builds and calls it: time after channels, the reference among the channels, the rest in transformer_options."""

    def __init__(self, *, sizes: MVDiTCogVideoXConfig, packed: bool, dtype: torch.dtype, operations: Any, device: Any = None):
        attention = Attention()
        with torch.device("meta"):
            super().__init__(sizes, ops=Layers(operations, dtype, packed=packed), attention=attention)
        self.dtype, self.host_attention = dtype, attention

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        context: Any = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """(B, in_channels, F, H, W) and (B,) timesteps -> (B, out_channels, F, H, W)."""
        options = transformer_options or {}
        wrappers = get_all_wrappers(WrappersMP.DIFFUSION_MODEL, options)
        executor = WrapperExecutor.new_class_executor(self._predict, self, wrappers)
        return executor.execute(x, timestep, context, control, options, **kwargs)

    def _predict(self, x: Tensor, timestep: Tensor, context: Any, control: Any, transformer_options: dict[str, Any], **_: Any) -> Tensor:
        step: Step = transformer_options[STEP]
        window = window_of(step.rows, x.shape[2], transformer_options)
        self._check_window(step.rows, window)
        grid = x.shape[2], x.shape[3] // self.config.patch, x.shape[4] // self.config.patch
        with self.host_attention.under(transformer_options):
            read = self.read_motion(step.rows, like=x, window=window, kept=step.kept, weights=step.weights)
            vision = self.read_vision(grid, like=x, kept=step.kept)
            branch = tuple(transformer_options.get(CONDS, ())), None if window is None else tuple(window)
            told = {"strength": step.strength, "observe": step.observe, "cache": step.cache, "branch": branch}
            return super().forward(x.transpose(1, 2), timestep, read, vision, **told).transpose(1, 2)

    def _check_window(self, rows: Sequence[MotionCondition], window: Sequence[int] | None) -> None:
        length, slots = 0 if window is None else len(window) * len(rows[0].positions), self.config.motion_slots
        if window is not None and length != slots and any(row.tokens is None for row in rows):
            fitting = slots // len(rows[0].positions)
            raise ValueError(
                f"a context window has {len(window)} latent frames, the one that causal_window_fix adds among them, and the learned "
                f"unconditional motion is for {fitting}: set the windows to {fitting} and causal_window_fix off, or cfg to 1"
            )


class _Latents(comfy.latent_formats.LatentFormat):
    latent_channels = 16
    latent_dimensions = 3
    scale_factor = 0.7
    temporal_downscale_ratio = 4


class MVDiT7BConfig(BASE):
    """What ComfyUI wants to know before it builds the model."""

    unet_config: Mapping[str, Any] = {}
    unet_extra_config: Mapping[str, Any] = {}
    # Velocity prediction on CogVideoX-5B's schedule: what ComfyUI calls a linear schedule diffusers calls scaled linear.
    sampling_settings: Mapping[str, Any] = {"linear_start": 0.00085, "linear_end": 0.012, "beta_schedule": "linear", "zsnr": True}
    latent_format = getattr(comfy.latent_formats, "CogVideoX1_5", _Latents)
    supported_inference_dtypes = (torch.bfloat16, torch.float16, torch.float32)

    def __init__(self, sizes: MVDiTCogVideoXConfig, *, packed: bool):
        super().__init__({"sizes": sizes, "packed": packed})
        self.quant_config = {"mixed_ops": True} if packed else None
        # The same tokens and layers for a latent as in Wan, for which ComfyUI counts width / 2222: activations grow with the width alone.
        self.memory_usage_factor = sizes.width / 2222

    def get_model(self, state_dict: Mapping[str, Tensor], prefix: str = "", device: Any = None) -> "MVDiT7B":
        return MVDiT7B(self, device=device)


class MVDiT7B(BaseModel):
    """Velocity prediction with zero terminal signal; the reference by channels, the motion by its own attention."""

    def __init__(self, config: MVDiT7BConfig, device: Any = None):
        super().__init__(config, ModelType.V_PREDICTION, device=device, unet_model=MVDiT7BNetwork)
        self.kept = Kept()

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """ComfyUI's, without the text that this model does not read."""
        conds = super().extra_conds(**kwargs)
        conds.pop("c_crossattn", None)
        conds["c_concat"] = ReferenceCond(conds["c_concat"].cond)
        return conds

    def concat_cond(self, **kwargs: Any) -> Tensor:
        """The reference latents as the VAE gave them: unlike those of ComfyUI's models they are not scaled, as in training."""
        noise, reference = kwargs["noise"], kwargs.get("concat_latent_image")
        if reference is None or reference.shape[1:] != noise.shape[1:]:
            given = "none" if reference is None else tuple(reference.shape)
            raise ValueError(f"the reference latents are {given}, the video {tuple(noise.shape)}: connect Condition Video on Motion")
        return reference.to(kwargs["device"])

    def _apply_model(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Any = None,
        c_crossattn: Any = None,
        control: Any = None,
        transformer_options=None,
        **kwargs: Any,
    ) -> Tensor:
        options, rows = dict(transformer_options or {}), kwargs.pop(KEY, None)
        if rows is None:
            raise ValueError("the model was asked for a video without motion: connect positive and negative of Condition Video on Motion")
        options[STEP] = self._step(options, rows, t)
        denoised = super()._apply_model(x, t, c_concat, c_crossattn, control, options, **kwargs)
        return denoised if options.get(EXACT) else self._first_step(denoised, x, t, options)

    def _step(self, options: dict[str, Any], rows: Sequence[MotionCondition], sigma: Tensor) -> Step:
        patcher = self.current_patcher
        # Hooks on the conditioning change weights between calls, under the same uuid.
        weights = None if patcher is None or patcher.current_hooks is not None else patcher.patches_uuid
        return step_of(options, rows, self, sigma, self.kept, weights)

    def _first_step(self, denoised: Tensor, x: Tensor, sigma: Tensor, options: dict[str, Any]) -> Tensor:
        """Make up for the signal that the schedule's first sigma leaves: ComfyUI's is 4519, the model was trained with infinity.

        There the model sees nothing but noise, the estimate is -v, and a step to sigma s gives -v + s noise. Samplers give
        (1 - s / 4519) times the estimate instead: the estimate is divided by that.
        """
        sampling, first = self.model_sampling, float(sigma.flatten()[0])
        if not getattr(sampling, "zsnr", False) or first < float(sampling.sigma_max) * _ALMOST:
            return denoised
        following = [float(one) for one in options.get("sample_sigmas", ()) if float(one) < first * _ALMOST]
        estimate = (denoised - x / (first**2 + 1)) * ((first**2 + 1) ** 0.5 / first)
        return estimate / (1 - max(following, default=0.0) / first)

    def load_tensors(self, state: Mapping[str, Tensor]) -> None:
        """Fill the network with the tensors of a checkpoint, as they are."""
        self.diffusion_model.load_state_dict(dict(state), strict=True, assign=True)
        self.diffusion_model.requires_grad_(False)


def load_7b(path: Path, precision: str, disable_dynamic: bool = False) -> Any:
    """A ModelPatcher of a 7B checkpoint; its tensors stay mapped to the file where they are not converted.

    Raises:
        FileNotFoundError, ValueError: as `core.models.load_mvdit_7b`.
    """
    state, title = read_checkpoint(path), str(path)
    sizes = mvdit_7b_config(state)
    with torch.device("meta"):
        expected = MVDiTCogVideoX(sizes).state_dict()
    plain = {key: value for key, value in unify_scales(state).items() if not key.endswith(SCALE)}
    check_state(expected, plain, title, f"expected the tensors of {KINDS['mvdit_7b']}")
    del plain
    state, metadata, options = prepared(state, read_metadata(path), precision, title)
    patcher = _managed(sizes, state, metadata, options.get("dtype"), disable_dynamic)
    if hasattr(patcher, "cached_patcher_init"):
        patcher.cached_patcher_init = (load_7b, (path, precision))
    patcher.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, RunCheck(sizes.width, slots=sizes.motion_slots))
    patcher.add_callback_with_key(CallbacksMP.ON_CLEANUP, KEY, _forget)
    return patcher


def _managed(
    sizes: MVDiTCogVideoXConfig, state: dict[str, Tensor], metadata: dict[str, str], dtype: torch.dtype | None, disable_dynamic: bool
) -> Any:
    """The model under ComfyUI's memory management, with the dtypes that it chooses for its own."""
    state, packed = unpacked(state, metadata)
    config, device = MVDiT7BConfig(sizes, packed=packed), model_management.get_torch_device()
    supported = list(config.supported_inference_dtypes)
    stored = None if packed else comfy.utils.weight_dtype(state)
    if dtype is None:
        numbers = comfy.utils.calculate_parameters(state)
        dtype = model_management.unet_dtype(model_params=numbers, supported_dtypes=supported, weight_dtype=stored)
    config.set_inference_dtype(dtype, model_management.unet_manual_cast(None if packed else dtype, device, supported))
    model = config.get_model(state)
    kind = model_patcher.ModelPatcher if disable_dynamic else model_patcher.CoreModelPatcher
    patcher = kind(model, load_device=device, offload_device=model_management.unet_offload_device())
    if not (packed or patcher.is_dynamic() or dtype in FP8):
        state = {key: value.to(dtype) for key, value in state.items()}
    model.load_tensors(state)
    return patcher


def _forget(patcher: Any) -> None:
    patcher.model.kept.clear()
