"""A look at a motion in words and curves."""

from comfy_api.latest import io, ui

from ...core.body.report import describe_motion
from ...core.maps.motion_plots import plot_motion
from .. import sockets


class InspectMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_InspectMotion",
            display_name="Inspect Motion",
            category="motion4d/motion",
            description="What is in a motion: length, joints, confidence, speed, bone lengths, what was assumed when it was made, and, with a tokenizer, how far "
            "it lies from what the tokenizer was trained on.",
            search_aliases=["motion info", "motion report", "plot motion"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="Any motion."),
                sockets.Tokenizer.Input("tokenizer", optional=True, tooltip="Adds the read-out in sigmas of its training data."),
            ],
            outputs=[
                io.String.Output(display_name="report"),
                io.Image.Output(display_name="plot", tooltip="Speed of the joints and their confidence over time."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, motion, tokenizer=None):
        report = describe_motion(motion, None if tokenizer is None else tokenizer.statistics)
        return io.NodeOutput(report, plot_motion(motion)[None], ui=ui.PreviewText(report))
