"""Several views of one person: seeing a motion from each camera, gathering what was made for each, and taking pictures apart."""

import torch
from comfy_api.latest import io

from ...core.body.spaces import to_camera
from ...core.geometry.cameras import check_camera
from ...core.maps.view_grid import view_grid
from ...core.types import Frame
from ...core.views import gather_tensors
from .. import host, sockets
from ..images import to_views

# channels, pixels and frames to a latent
LAYOUTS = {
    "Wan2.1, CogVideoX, HunyuanVideo": (16, 8, 4),
    "Wan2.2 5B": (48, 16, 4),
    "LTX-Video": (128, 32, 8),
}


def views_input() -> io.Int.Input:
    """How many views pictures are of."""
    return io.Int.Input("views", default=4, min=1, max=64, tooltip="Number of views in `images`, one view after another.")


class SeeMotionFromCameras(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SeeMotionFromCameras",
            display_name="See Motion from Cameras",
            category="motion4d/views",
            description="One motion in the space of each camera, as if that camera had filmed it. The nodes behind it run once for each view; Gather Views "
            "brings their conditionings together.",
            search_aliases=["multi view", "motion per view", "world to camera", "split cameras"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="In world space."),
                sockets.CameraRig.Input(
                    "cameras", tooltip="Each of them gives a motion; cameras that move have to move over as many frames."
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motions", is_output_list=True, tooltip="A list: what follows runs for each view."),
                io.Int.Output(display_name="views", tooltip="Motions in the list."),
            ],
        )

    @classmethod
    def execute(cls, motion, cameras):
        if motion.frame != Frame.WORLD:
            raise ValueError("motion: it is in the space of a camera, expected world space: use Convert Space before this node")
        check_camera(motion, cameras)
        views = cameras.views
        return io.NodeOutput([to_camera(motion, cameras, view=view) for view in range(views)], views)


class GatherViews(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_GatherViews",
            display_name="Gather Views",
            category="motion4d/views",
            description="Brings the conditionings and latents that were made for each view into one of each, whose batch is the views, for Sample in View and "
            "Time Windows and any sampler.",
            search_aliases=["merge views", "batch conditioning", "multi view conditioning", "collect list"],
            inputs=[
                io.Conditioning.Input("positive", tooltip="A list of one for each view, of one model and one size."),
                io.Latent.Input("latent", tooltip="A list of one for each view, or one for all."),
                io.Conditioning.Input("negative", optional=True, tooltip="A list of one for each view, or one for all."),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="Of all views."),
                io.Conditioning.Output(display_name="negative", tooltip="Of all views; without a negative it is the positive."),
                io.Latent.Output(display_name="latent", tooltip="(views, channels, frames, height, width)."),
                io.Int.Output(display_name="views", tooltip="Views that were gathered."),
            ],
            is_input_list=True,
        )

    @classmethod
    def execute(cls, positive, latent, negative=None):
        views = len(positive)
        given = {"latent": latent, "negative": positive if negative is None else negative}
        for name, values in given.items():
            if len(values) not in (1, views):
                raise ValueError(f"{name}: it has {len(values)} entries, positive {views}: connect a list of as many, or one for all")
            given[name] = list(values) * (views if len(values) == 1 else 1)
        here = host.current()
        gathered = [here.gather_views(one) for one in (positive, given["negative"])]
        return io.NodeOutput(*gathered, gather_latents(given["latent"]), views)


def gather_latents(latents: list[dict]) -> dict:
    """LATENT of one view each -> one of all, noise masks with them."""
    for number, one in enumerate(latents):
        if one["samples"].ndim != 5 or len(one["samples"]) != 1:
            given = tuple(one["samples"].shape)
            raise ValueError(
                f"latent: that of view {number} has shape {given}, expected (1, channels, frames, height, width) for each view"
            )
    made = latents[0] | {"samples": gather_tensors("latent", [one["samples"] for one in latents])}
    masks = [one["noise_mask"] for one in latents if "noise_mask" in one]
    if masks and len(masks) < len(latents):
        raise ValueError(f"latent: {len(masks)} of {len(latents)} views have a noise mask, expected all or none: set one for every view")
    return made | ({"noise_mask": torch.cat(masks)} if masks else {})


class EmptyMultiViewLatent(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        side = {"min": 16, "max": 8192, "step": 8}
        return io.Schema(
            node_id="Motion4D_EmptyMultiViewLatent",
            display_name="Empty Multi-View Latent",
            category="motion4d/views",
            description="An empty latent of several views, each a video or a still picture: its batch is the views.",
            search_aliases=["multi view latent", "novel views", "turntable latent", "empty video latent"],
            inputs=[
                io.Int.Input("views", default=8, min=1, max=64, tooltip="Number of views, as many as cameras."),
                io.Int.Input("width", default=512, **side, tooltip="Of each view in pixels."),
                io.Int.Input("height", default=512, **side, tooltip="Of each view in pixels."),
                io.Int.Input(
                    "frames",
                    default=49,
                    min=1,
                    max=99999,
                    tooltip="Length of the video of each view; 1 for a still picture that is turned around.",
                ),
                io.Combo.Input(
                    "layout",
                    options=list(LAYOUTS),
                    default=next(iter(LAYOUTS)),
                    tooltip="The model's kind of latents: how many channels, pixels and frames there are to one.",
                ),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="(views, channels, frames, height, width)."),
                io.Int.Output(display_name="latent_frames", tooltip="Latent frames of each view, in which windows are counted."),
            ],
        )

    @classmethod
    def execute(cls, views, width, height, frames, layout):
        channels, pixels, stride = LAYOUTS[layout]
        for name, side in (("width", width), ("height", height)):
            if side % (2 * pixels):
                raise ValueError(
                    f"{name} is {side}, {layout} takes multiples of {2 * pixels}: set it to {side - side % (2 * pixels) + 2 * pixels}"
                )
        if (frames - 1) % stride:
            near = frames - 1 - (frames - 1) % stride + 1
            raise ValueError(f"frames is {frames}, {layout} takes 1 more than a multiple of {stride}: set it to {near} or {near + stride}")
        length = (frames - 1) // stride + 1
        return io.NodeOutput({"samples": torch.zeros(views, channels, length, height // pixels, width // pixels)}, length)


class SplitViews(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SplitViews",
            display_name="Split Views",
            category="motion4d/views",
            description="Takes pictures of several views apart, as VAE Decode gives them: a list with one video for each view, and one of them chosen.",
            search_aliases=["unbatch views", "video per view", "choose view", "multi view frames"],
            inputs=[
                io.Image.Input("images", tooltip="All frames of the first view, then all of the second, and so on."),
                views_input(),
                io.Int.Input("view", default=0, min=0, max=63, tooltip="The one that is chosen, from 0."),
            ],
            outputs=[
                io.Image.Output(display_name="each_view", is_output_list=True, tooltip="A list: what follows runs for each view."),
                io.Image.Output(display_name="chosen", tooltip="The video of one view."),
                io.Int.Output(display_name="frames", tooltip="Frames of each view."),
            ],
        )

    @classmethod
    def execute(cls, images, views, view):
        if view >= views:
            raise ValueError(f"view is {view}, there are {views}: choose 0 to {views - 1}")
        apart = taken_apart(images, views)
        return io.NodeOutput(list(apart), apart[view], apart.shape[1])


class ViewGrid(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ViewGrid",
            display_name="View Grid",
            category="motion4d/views",
            description="One video that shows all views side by side at the same time.",
            search_aliases=["tile views", "contact sheet", "side by side", "multi view video"],
            inputs=[
                io.Image.Input("images", tooltip="All frames of the first view, then all of the second, and so on."),
                views_input(),
                io.Int.Input("columns", default=0, min=0, max=64, tooltip="Views in a row; 0 chooses."),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="As many frames as each view has.")],
        )

    @classmethod
    def execute(cls, images, views, columns):
        return io.NodeOutput(view_grid(taken_apart(images, views), columns))


def taken_apart(images: torch.Tensor, views: int) -> torch.Tensor:
    """IMAGE (V T, H, W, C) -> (V, T, H, W, C); ValueError where they do not come out even."""
    if len(images) % views:
        raise ValueError(
            f"images: {len(images)} pictures are not of {views} views with as many frames each: set views to the number of cameras"
        )
    return to_views(images, views, len(images) // views, name="images")
