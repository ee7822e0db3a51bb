"""From any place in space to where the tokenizer was trained."""

from comfy_api.latest import io, ui

from ...core.body.gaps import fill_gaps as bridge
from ...core.body.normalisation import apply_placement, fit_placement, placement_report
from .. import sockets


class FitMotionToTokenizer(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_FitMotionToTokenizer",
            display_name="Fit Motion to Tokenizer",
            category="motion4d/tokens",
            description="Moves a whole clip to where the tokenizer saw people in training (about 1.8 m in front of the camera). One shift for the clip, never "
            "one per frame, so its movement through the scene stays; Decode Motion Tokens moves it back.",
            search_aliases=["normalise motion", "placement", "out of distribution"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="In world or camera space."),
                sockets.Tokenizer.Input("tokenizer", tooltip="Its training statistics are the aim."),
                io.Boolean.Input(
                    "fit_stature", default=True, tooltip="Also scale very small or very tall people to the stature of the training data."
                ),
                io.Boolean.Input(
                    "fill_gaps",
                    default=True,
                    tooltip="Bridge missing joints in time, as tokens need every joint; the report tells which.",
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion", tooltip="In camera space, where the tokenizer expects it."),
                sockets.Placement.Output(display_name="placement", tooltip="For Decode Motion Tokens, to move the result back."),
                io.String.Output(
                    display_name="report",
                    tooltip="Distance from the training data in sigmas, with a warning if it is large.",
                ),
            ],
        )

    @classmethod
    def execute(cls, motion, tokenizer, fit_stature, fill_gaps):
        placement = fit_placement(motion, tokenizer.statistics, stature=fit_stature)
        placed = apply_placement(bridge(motion) if fill_gaps else motion, placement)
        report = "\n".join([placement_report(placed, tokenizer.statistics).text(), *placed.notes])
        return io.NodeOutput(placed, placement, report, ui=ui.PreviewText(report))
