"""Videos longer than what the models were trained on, and how far they drift."""

from collections.abc import Sequence
from typing import Any

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ...core.conditions import VideoCondition
from ...core.maps.plots import plot_lines
from ...core.sampling.clips import carry_frames, carry_latents, plan_clips, sample_clips
from ...core.sampling.drift import DriftReport
from ...core.sampling.guidance import Guidance
from ...core.sampling.windows import plan_windows
from ...core.video_plan import TRAINED_LATENTS, check_vae
from .. import host
from .sampling import SEED_MAX, cfg_input, chosen_recipe, recipe_inputs, reuse_input, seed_input

FUSED, CLIPS, RELEASED = MODES = ("fused", "clips, latent overlap", "clips, as released")
OVERLAP = 3  # latent frames: nine frames, as released


def window_inputs() -> list[io.Int.Input]:
    """Windows over the latent frames."""
    return [
        io.Int.Input(
            "window",
            default=TRAINED_LATENTS,
            min=2,
            max=999,
            tooltip="Latent frames that the model sees at a time: 13 (49 frames) as trained; other numbers do not work at 7B with cfg, and are untrained at 17B.",
        ),
        io.Int.Input(
            "overlap", default=OVERLAP, min=1, max=998, tooltip="Latent frames that neighbours share at least; one is four frames."
        ),
    ]


class SampleLongVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SampleLongVideo",
            display_name="Sample Long Video",
            category="motion4d/sampling",
            description="A video of any length from a model that was trained on 49 frames: in overlapping windows that are denoised together, or clip by clip, each "
            "starting where the last one ended.",
            search_aliases=["long video", "context windows", "sliding window", "extend video", "infinite length"],
            inputs=[
                io.Model.Input("model", tooltip="MV-DiT 7B or 17B, or Wan2.1 with Apply Motion Attention."),
                io.Conditioning.Input("positive", tooltip="From Condition Video on Motion, with the whole motion."),
                io.Conditioning.Input("negative", tooltip="From Condition Video on Motion, with the whole motion."),
                io.Latent.Input("latent", tooltip="From Condition Video on Motion: its length is that of the video."),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default=FUSED,
                    tooltip="All windows together at every step; or clip by clip, carrying latents over; or clip by clip through the VAE and the image encoder, as "
                    "released.",
                ),
                *window_inputs(),
                seed_input(),
                *recipe_inputs(),
                cfg_input(),
                io.Vae.Input("vae", optional=True, tooltip="Needed for `clips, as released`."),
                io.ClipVision.Input("clip_vision", optional=True, tooltip="Needed for `clips, as released` at 17B."),
                reuse_input(),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="Of the whole length, for VAE Decode."),
                io.String.Output(display_name="report", tooltip="The windows, and how far each drifts from the first."),
            ],
        )

    @classmethod
    def execute(
        cls, model, positive, negative, latent, mode, window, overlap, seed, recipe, steps, cfg, vae=None, clip_vision=None, reuse=0.0
    ):  # fmt: skip
        kind = host.current().video_model(model).kind
        chosen = chosen_recipe(kind, recipe, steps)
        run = LongRun(model, positive, negative, chosen, Guidance(scale=chosen.guidance if cfg < 0 else cfg), seed=seed, reuse=reuse)
        if mode == FUSED:
            samples, windows = run.fused(latent["samples"], window, overlap)
        else:
            samples, windows = run.clips(latent["samples"], window, overlap, through=(vae, clip_vision) if mode == RELEASED else None)
        report = DriftReport.of(samples[0], windows).text()
        if kind == "mvdit_17b" and window != TRAINED_LATENTS:
            report = f"WARNING: 17B was trained on {TRAINED_LATENTS} latent frames at a time, not {window}\n{report}"
        return io.NodeOutput(latent | {"samples": samples}, report, ui=ui.PreviewText(report))


class LongRun:
    """One long video under way: conditions of the whole length, cut up as the mode has it."""

    def __init__(self, model: Any, positive: Any, negative: Any, recipe, guidance: Guidance, *, seed: int, reuse: float):
        self.here = host.current()
        self.model, self.positive, self.negative, self.recipe, self.guidance = model, positive, negative, recipe, guidance
        self.seed, self.reuse = seed, reuse
        self.condition = self.here.condition_of(positive)
        self.negative_moves = self.here.condition_of(negative).motion.tokens is not None
        self.image = None  # what the image encoder is shown for the next clip

    def fused(self, latents: Tensor, window: int, overlap: int) -> tuple[Tensor, Sequence[Tensor]]:
        """All windows together at every step."""
        plan = plan_windows(latents.shape[2], window, overlap)
        guider = self.here.guider(self.model, self.positive, self.negative, self.guidance)
        return self.here.sample(guider, latents, self.recipe, seed=self.seed, windows=plan, reuse=self.reuse), plan.indices

    def clips(self, latents: Tensor, window: int, overlap: int, *, through: tuple[Any, Any] | None) -> tuple[Tensor, Sequence[Tensor]]:
        """Clip by clip. through: VAE and image encoder between two clips, None to carry latents over."""
        if latents.shape[2] != self.condition.motion.frames:
            given = f"the latent has {latents.shape[2]} latent frames, the motion {self.condition.motion.frames}"
            raise ValueError(f"{given}: take both from one Condition Video on Motion")
        plan = plan_clips(latents.shape[2], window, overlap)
        carry = carry_latents if through is None else self._carry(*through)
        long = sample_clips(self._sample_one, self.condition, plan, carry=carry)
        return long.latents[None], [indices.unique() for indices in plan]

    def _sample_one(self, number: int, clip: VideoCondition) -> Tensor:
        avoided = clip if self.negative_moves else clip.without_motion()
        positive = self.here.condition(self.positive, clip, image=self.image)
        negative = self.here.condition(self.negative, avoided, image=self.image)
        guider = self.here.guider(self.model, positive, negative, self.guidance)
        seed = (self.seed + number) % (SEED_MAX + 1)
        return self.here.sample(guider, torch.zeros_like(clip.reference)[None], self.recipe, seed=seed, reuse=self.reuse)[0]

    def _carry(self, vae: Any, clip_vision: Any):
        kind = self.here.video_model(self.model).kind
        looks = kind == "mvdit_17b"
        for name, given in (("vae", vae), ("clip_vision", clip_vision if looks else vae)):
            if given is None:
                raise ValueError(f"{name}: `{RELEASED}` goes through it between two clips: connect it, or choose `{CLIPS}`")
        check_vae(kind, self.here.vae_kind(vae))

        def show(frames: Tensor) -> None:
            self.image = self.here.encode_image(clip_vision, frames[-1])

        decode, encode = (lambda latents: self.here.decode_video(vae, latents)), (lambda frames: self.here.encode_video(vae, frames))
        return carry_frames(decode, encode, on_frames=show if looks else None)


class InspectDrift(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_InspectDrift",
            display_name="Inspect Drift",
            category="motion4d/sampling",
            description="Whether a long video wanders off: mean and variance of its latents and of its colours in each window, against the first window.",
            search_aliases=["colour drift", "quality drift", "long video check", "latent statistics"],
            inputs=[
                io.Latent.Input("latent", tooltip="Of a video, as sampled."),
                *window_inputs(),
                io.Image.Input("images", optional=True, tooltip="The frames decoded from it: adds the colours."),
            ],
            outputs=[
                io.String.Output(display_name="report"),
                io.Image.Output(display_name="plot", tooltip="The same as curves over the windows."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, latent, window, overlap, images=None):
        samples = latent["samples"][0]
        windows = plan_windows(samples.shape[1], window, overlap).indices
        drift = DriftReport.of(samples, windows, None if images is None else images[..., :3])
        plot = plot_lines(drift.series(), title="Drift", x_label="window", y_label="against the first")
        return io.NodeOutput(drift.text(), plot[None], ui=ui.PreviewText(drift.text()))
