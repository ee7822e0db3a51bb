"""Sampling in windows over views and time, and the noise it starts from."""

from functools import partial
from typing import Any

import torch
from comfy_api.latest import io

from ...core.geometry.cameras import check_circle
from ...core.sampling.noise import NOISE_KINDS, shared_noise
from ...core.sampling.progressive import Balance, ViewTimePlan, plan_grid
from ...core.types import CameraRig
from .. import host, sockets
from .sampling import SEED_MAX

BALANCES = ("constant", "alternate", "ramp")
CLOSED = ("auto", "closed", "open")


def grid_windows(closed: Any) -> list[Any]:
    """Windows over both axes, with the names and defaults of `plan_grid`. closed: the input that says whether the views form a circle."""
    return [
        io.Int.Input(
            "frame_window",
            default=24,
            min=1,
            max=999,
            tooltip="Latent frames that the model sees at a time; the length it was trained on.",
        ),
        io.Int.Input("frame_overlap", default=6, min=0, max=998, tooltip="Latent frames that neighbouring windows share at least."),
        io.Int.Input("view_window", default=6, min=1, max=64, tooltip="Views that the model sees at a time in the pass over views."),
        io.Int.Input("view_overlap", default=2, min=0, max=63, tooltip="Views that neighbouring windows share at least."),
        closed,
        io.Int.Input("tile_views", default=3, min=1, max=64, tooltip="Views that go through the model together in the pass over time."),
        io.Int.Input(
            "tile_frames",
            default=12,
            min=1,
            max=999,
            tooltip="Latent frames that go through the model together in the pass over views.",
        ),
    ]


def tile_overlap_input(tooltip: str) -> Any:
    """The part that neighbouring tiles share; the last input of nodes that were there before it."""
    return io.Float.Input("tile_overlap", optional=True, default=0.0, min=0.0, max=0.5, step=0.05, tooltip=tooltip)


class ApplyWindows(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        share = {"min": 0.0, "max": 1.0, "step": 0.05}
        return io.Schema(
            node_id="Motion4D_ApplyWindows",
            display_name="Sample in View and Time Windows",
            category="motion4d/views",
            description="Lets any sampler denoise more views and frames than the model sees at a time: at every step it is asked in overlapping windows of frames "
            "and of views, and their predictions are blended. Works on any video model; memory is that of one window.",
            search_aliases=[
                "progressive sampling",
                "context windows",
                "multi view video",
                "hvg",
                "multidiffusion",
                "turntable",
                "long video",
            ],
            inputs=[
                io.Model.Input("model", tooltip="Any model of videos, after its LoRAs and patches; the sampler stays what it is."),
                *grid_windows(
                    io.Combo.Input(
                        "closed",
                        options=list(CLOSED),
                        default="auto",
                        tooltip="Whether windows go round from the last view to the first; auto follows `cameras`, and without them goes round.",
                    ),
                ),
                io.Combo.Input(
                    "balance",
                    options=list(BALANCES),
                    default="constant",
                    tooltip="How both passes share a step: constant; one after the other at alternate steps, at half the cost; or a ramp from start to end.",
                ),
                io.Float.Input(
                    "balance_start", default=0.5, **share, tooltip="Share of the pass over time, for a ramp that at pure noise."
                ),
                io.Float.Input(
                    "balance_end", default=0.5, **share, tooltip="For a ramp: share of the pass over time at the finished video."
                ),
                io.Combo.Input(
                    "views_as",
                    options=["frames", "batch"],
                    default="frames",
                    tooltip="frames: a window of views is one clip for each instant, a ride around the person; batch: for models that let the rows of a batch see each "
                    "other.",
                ),
                io.Boolean.Input(
                    "anchor_first",
                    default=False,
                    tooltip="Every window also sees the first frame, or the first view, before its own, which holds the looks together; one more frame in each.",
                ),
                sockets.CameraRig.Input(
                    "cameras", optional=True, tooltip="Of the views: as many as the latent has, and they say whether they form a circle."
                ),
                tile_overlap_input(
                    "Part of a tile that it shares with the next, for models whose last step decides everything and shows their borders; 0.5 asks the "
                    "model twice as often."
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="A copy that is asked in windows; the model given stays as it is.")],
        )

    @classmethod
    def execute(
        cls, model, frame_window, frame_overlap, view_window, view_overlap, closed, tile_views, tile_frames, balance, balance_start, balance_end,
        views_as, anchor_first, cameras=None, tile_overlap=0.0,
    ):  # fmt: skip
        is_closed = closed == "closed" or (closed == "auto" and (cameras is None or cameras.closed))
        if closed == "closed" and cameras is not None:
            _check_closed(cameras)
        planner = partial(
            _plan_for, cameras and cameras.views, frame_window=frame_window, frame_overlap=frame_overlap, view_window=view_window,
            view_overlap=view_overlap, closed=is_closed, tile_views=tile_views, tile_frames=tile_frames, views_as=views_as, anchor_first=anchor_first,
            balance=Balance(balance, balance_start, balance_end), tile_overlap=tile_overlap,
        )  # fmt: skip
        planner(cameras.views if cameras else 1, 1)  # windows that cannot be are refused here, whatever the latents will be
        return io.NodeOutput(host.current().apply_windows(model, planner))


def _check_closed(cameras: CameraRig) -> None:
    """Name the socket where windows cannot go round."""
    try:
        check_circle(cameras)
    except ValueError as error:
        raise ValueError(f"closed: {error}; set closed to auto or open") from error


def _plan_for(cameras: int | None, views: int, frames: int, **windows: Any) -> ViewTimePlan:
    """A plan for latents of as many views as there are cameras, if those are known."""
    if cameras not in (None, views):
        raise ValueError(
            f"the latent has {views} views, the cameras of the windows are {cameras}: connect those that the views were made for"
        )
    return plan_grid(views, frames, **windows)


class SharedNoise:
    """NOISE whose parts share numbers, as ComfyUI's samplers ask for it."""

    def __init__(self, seed: int, **options):
        self.seed, self._options = seed, options

    def generate_noise(self, input_latent: dict) -> torch.Tensor:
        """Of the shape of a latent (V, C, F, h, w)."""
        return shared_noise(input_latent["samples"].shape, self.seed, **self._options)


class MultiViewNoise(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_MultiViewNoise",
            display_name="Multi-View Noise",
            category="motion4d/views",
            description="Starting noise for a latent of several views that views or windows share, so that they agree from the first step on; for SamplerCustomAdvanced.",
            search_aliases=["freenoise", "shared noise", "random noise", "window noise"],
            inputs=[
                io.Int.Input(
                    "noise_seed", default=0, min=0, max=SEED_MAX, control_after_generate=True, tooltip="The same seed gives the same noise."
                ),
                io.Combo.Input(
                    "kind",
                    options=list(NOISE_KINDS),
                    default=NOISE_KINDS[0],
                    tooltip="independent: as any sampler starts; views: all views start alike; repeat_shuffle: windows start with the same noise in another order "
                    "(FreeNoise).",
                ),
                io.Combo.Input(
                    "along",
                    options=["time", "views"],
                    default="time",
                    tooltip="For repeat_shuffle: the axis whose windows share their noise.",
                ),
                io.Int.Input(
                    "window", default=24, min=1, max=999, tooltip="For repeat_shuffle: as in Sample in View and Time Windows, on that axis."
                ),
                io.Int.Input(
                    "overlap", default=6, min=0, max=998, tooltip="For repeat_shuffle: as in Sample in View and Time Windows, on that axis."
                ),
            ],
            outputs=[io.Noise.Output(display_name="noise", tooltip="For SamplerCustomAdvanced.")],
        )

    @classmethod
    def execute(cls, noise_seed, kind, along, window, overlap):
        if kind == "repeat_shuffle" and overlap >= window:
            raise ValueError(f"overlap is {overlap}, the window {window}: expected 0 to {window - 1}")
        return io.NodeOutput(SharedNoise(noise_seed, kind=kind, axis=2 if along == "time" else 0, window=window, overlap=overlap))
