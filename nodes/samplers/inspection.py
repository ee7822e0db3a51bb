"""A look at what drives a video, and at what came of it."""

import torch
from comfy_api.latest import io, ui

from ...core.maps.attention_maps import attention_shares, check_drawing, chosen_blocks, chosen_joints, describe_attention, draw_attention
from ...core.maps.comparison_strip import strip
from ...core.maps.plots import plot_grid
from ...core.sampling.consistency import Consistency, latent_grid, picture_grid
from ...core.sampling.guidance import Guidance
from ...core.sampling.progressive import plan_grid
from .. import host
from .windows import grid_windows, tile_overlap_input

PANELS = ("reference", "driving", "pose", "reconstructed", "generated", "generated_2", "generated_3", "generated_4")


class ShowMotionAttention(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ShowMotionAttention",
            display_name="Show Motion Attention",
            category="motion4d/sampling",
            description="Where a video looks for each joint of the motion that drives it: the motion attention of some blocks at one point of the sampling, as "
            "heat over the frames.",
            search_aliases=["attention map", "heat map", "mtvcrafter", "motion attention"],
            inputs=[
                io.Model.Input("model", tooltip="With motion attention: MV-DiT 7B or 17B, or Wan2.1 through Apply Motion Attention."),
                io.Conditioning.Input("positive", tooltip="From Condition Video on Motion, as the video was made with."),
                io.Latent.Input("latent", tooltip="The finished video, of the length and size of the conditioning."),
                io.String.Input(
                    "blocks",
                    default="middle",
                    tooltip="Numbers with commas, such as 0, 12, 24, or `middle`. 7B has motion attention in all 42 blocks, 17B in every fourth of 40.",
                ),
                io.String.Input(
                    "joints", default="left_wrist, right_wrist, left_ankle, right_ankle", tooltip="Names of SMPL joints, with commas."
                ),
                io.Float.Input(
                    "progress",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How noisy the video is when the model looks at it: 0 pure noise, 1 finished.",
                ),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True, tooltip="Of that noise."),
                io.Image.Input("frames", optional=True, tooltip="The decoded video, or one picture, to lay the heat over."),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="A row for each block, a column for each joint, one scale of colours."),
                io.String.Output(display_name="report", tooltip="Mean and highest share of each joint, and where it is."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model, positive, latent, blocks, joints, progress, seed, frames=None):
        here, numbers = host.current(), chosen_joints(joints)
        shown = chosen_blocks(blocks, here.video_model(model).motion_blocks)
        video = latent["samples"][:1]
        check_drawing(video.shape[2], blocks=shown, joints=numbers, frames=frames)
        guider = here.guider(model, positive, None, Guidance())
        maps = here.motion_attention(guider, video, progress=progress, blocks=shown, seed=seed)
        shares = attention_shares(maps)
        report = describe_attention(shares, blocks=shown, joints=numbers)
        return io.NodeOutput(draw_attention(shares, blocks=shown, joints=numbers, frames=frames), report, ui=ui.PreviewText(report))


class CompareVideos(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        tooltips = {
            "reference": "The picture of the person; single pictures stay for the whole length.",
            "driving": "The video whose motion drives.",
            "pose": "The motion drawn.",
            "reconstructed": "What the tokens keep of it, drawn.",
            "generated": "The result.",
        }
        return io.Schema(
            node_id="Motion4D_CompareVideos",
            display_name="Compare Videos",
            category="motion4d/sampling",
            description="Up to eight videos or pictures side by side at one height, with captions: reference, driving video, pose, reconstructed pose and result, "
            "or results of several settings. Shorter ones hold their last picture.",
            search_aliases=["side by side", "comparison strip", "concat videos", "grid", "sweep"],
            inputs=[
                io.Int.Input(
                    "height", default=512, min=16, max=4096, step=2, tooltip="Of the pictures in pixels; their proportions are kept."
                ),
                io.Boolean.Input("show_captions", default=True, tooltip="Write what each one is in a bar above."),
                io.String.Input(
                    "captions",
                    default="",
                    tooltip="Words with commas, in the order of the connected inputs; where there are none, the names of the inputs.",
                ),
                *(
                    io.Image.Input(name, optional=True, tooltip=tooltips.get(name, "One more result, of another setting."))
                    for name in PANELS
                ),
            ],
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(cls, height, show_captions, captions, **pictures):
        given = [(name, pictures[name]) for name in PANELS if pictures.get(name) is not None]
        words = [word.strip() for word in captions.split(",")] if captions.strip() else []
        if len(words) > len(given):
            raise ValueError(
                f"captions has {len(words)} words for {len(given)} connected inputs: give one for each, with commas between them"
            )
        words += [name.replace("_", " ") for name, _ in given[len(words) :]]
        panels = [(word, images[..., :3]) for word, (_, images) in zip(words, given, strict=True)]
        return io.NodeOutput(strip(panels, height=height, labels=show_captions))


class InspectConsistency(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_InspectConsistency",
            display_name="Inspect Consistency",
            category="motion4d/views",
            description="Whether the windows that views and frames were sampled in can be seen: differences between neighbouring views and frames across the "
            "borders of windows, against those inside.",
            search_aliases=["seams", "window borders", "multi-view consistency", "flicker", "heat map"],
            inputs=[
                *grid_windows(
                    io.Boolean.Input(
                        "closed", default=True, tooltip="The cameras stand on a full circle: the last view is beside the first."
                    )
                ),
                io.Int.Input("views", default=1, min=1, max=999, tooltip="Of the images, which follow each other view after view."),
                io.Int.Input(
                    "frames_per_latent",
                    default=4,
                    min=1,
                    max=64,
                    tooltip="Frames of the images in a latent frame: 4 with the VAEs of Wan and CogVideoX, 1 where windows were over frames themselves.",
                ),
                io.Latent.Input("latent", optional=True, tooltip="Of all views, as sampled."),
                io.Image.Input("images", optional=True, tooltip="The frames of all views: measured as well, or instead."),
                tile_overlap_input("As in Sample in View and Time Windows."),
            ],
            outputs=[
                io.Float.Output(display_name="seams", tooltip="The greater of both axes' factors: near 1 where windows cannot be seen."),
                io.String.Output(display_name="report", tooltip="Differences inside windows and across their borders, along both axes."),
                io.Image.Output(display_name="heat_map", tooltip="Mean difference of each view and frame to its neighbours."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, closed, views, frames_per_latent, latent=None, images=None, **windows):
        grids = {"latent": None if latent is None else latent_grid(latent["samples"])}
        grids["images"] = None if images is None else picture_grid(images[..., :3], views, frames_per_latent)
        given = {name: grid for name, grid in grids.items() if grid is not None}
        if not given:
            raise ValueError("there is nothing to inspect: connect latent, images or both")
        if len({grid.shape[:2] for grid in given.values()}) > 1:
            sampled, seen = (tuple(grid.shape[:2]) for grid in given.values())
            raise ValueError(
                f"images: they are of {seen[0]} views and {seen[1]} latent frames, the latent of {sampled[0]} and {sampled[1]}: set views and "
                "frames_per_latent as they are, or connect the pictures that were decoded of this latent"
            )
        found = {
            name: Consistency.of(grid, plan_grid(*grid.shape[:2], closed=closed, **windows), closed=closed) for name, grid in given.items()
        }
        report = "\n".join(f"{name}: {one.text()}" for name, one in found.items())
        heat = [plot_grid(one.heat(), title=name, x_label="latent frame") for name, one in found.items()]
        return io.NodeOutput(max(one.seams for one in found.values()), report, torch.stack(heat), ui=ui.PreviewText(report))
