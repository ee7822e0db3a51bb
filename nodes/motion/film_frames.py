"""The pictures that belong to a captured motion."""

from comfy_api.latest import io, ui

from .. import host
from ..films import opened_film, taken_frames


class TakeVideoFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_TakeVideoFrames",
            display_name="Take Video Frames",
            category="motion4d/motion",
            description="The frames of a video at the frame rate of the motion that Extract Motion made of it, small enough for memory: each one is the frame "
            "nearest in time to that pose. For drawing over them and for comparisons.",
            search_aliases=["get video components", "resample video", "video fps", "driving frames"],
            inputs=[
                io.MultiType.Input("video", types=[io.Video, io.Image], tooltip="The same as for Extract Motion."),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=240.0,
                    step=0.01,
                    tooltip="Frames per second; connect the output of Extract Motion. 0 keeps that of the video.",
                ),
                io.Int.Input(
                    "max_side",
                    default=640,
                    min=64,
                    max=4096,
                    step=8,
                    tooltip="Frames are made smaller where their longer side is above this.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="One for each frame of the motion, for Cut Motion and Draw Skeleton."),
                io.String.Output(display_name="report", tooltip="How many there are, and what was left out, repeated or lost."),
            ],
        )

    @classmethod
    def execute(cls, video, fps, max_side):
        with opened_film(video, fps) as film:
            images, report = taken_frames(film, fps, max_side=max_side, progress=host.current().progress)
        return io.NodeOutput(images, report, ui=ui.PreviewText(report))
