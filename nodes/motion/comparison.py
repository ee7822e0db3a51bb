"""Two motions, and how far one is from the other."""

from comfy_api.latest import io, ui

from ...core.body.motion_errors import ALIGNMENTS, TIMINGS, motion_errors
from ...core.geometry.kinematics import forward
from ...core.maps.error_plots import plot_errors
from ...core.types import Animation
from .. import sockets


def _joints(given):
    return forward(given) if isinstance(given, Animation) else given


class CompareMotions(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        either = [sockets.Motion, sockets.Animation]
        return io.Schema(
            node_id="Motion4D_CompareMotions",
            display_name="Compare Motions",
            category="motion4d/motion",
            description="How far a motion is from another that it should be like: distances of the joints as they are and after alignments, bones, and jitter, as "
            "numbers, over time, and joint by joint.",
            search_aliases=["mpjpe", "procrustes", "pck", "error", "evaluate", "difference", "accuracy"],
            inputs=[
                io.MultiType.Input("motion", types=either, tooltip="What was made: a motion, or an animation."),
                io.MultiType.Input("reference", types=either, tooltip="What it should be. Joints are matched by their names."),
                io.Combo.Input(
                    "alignment",
                    options=list(ALIGNMENTS),
                    default=ALIGNMENTS[0],
                    tooltip="Which distances error_mm, error_percent, pck and the table tell: as they are, after one turn and shift of the clip, with a scale too, or "
                    "after those of each frame.",
                ),
                io.Combo.Input(
                    "timing",
                    options=list(TIMINGS),
                    default=TIMINGS[0],
                    tooltip="same: other frame rates or lengths are refused; resample: the motion is read at the rate of the reference, as long as both last.",
                ),
                io.Float.Input(
                    "within",
                    default=5.0,
                    min=0.01,
                    max=100.0,
                    step=0.1,
                    tooltip="A joint counts for pck if it is no further off than this percentage of the reference's largest extent.",
                ),
            ],
            outputs=[
                io.Float.Output(display_name="error_mm", tooltip="Mean distance of the joints (MPJPE) in millimetres, after `alignment`."),
                io.Float.Output(display_name="error_percent", tooltip="The same in percent of the reference's largest extent."),
                io.Float.Output(display_name="pck", tooltip="Percentage of the joints that are near enough, see `within`."),
                io.Float.Output(display_name="rigid_mm", tooltip="Mean distance in millimetres after one turn and shift of the clip."),
                io.Float.Output(
                    display_name="procrustes_mm",
                    tooltip="Mean distance in millimetres after a turn, shift and scale of each frame (PA-MPJPE).",
                ),
                io.Float.Output(display_name="bone_mm", tooltip="Mean difference of the bones' lengths in millimetres."),
                io.Float.Output(display_name="jitter", tooltip="Of the motion: mean second difference of the joints in mm/frame^2."),
                io.String.Output(display_name="report", tooltip="All numbers, and a table of the joints."),
                io.Image.Output(display_name="plot", tooltip="Distances and jitter over time."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, motion, reference, alignment, timing, within):
        errors = motion_errors(_joints(motion), _joints(reference), timing=timing)
        report = errors.text(alignment=alignment, percent=within)
        return io.NodeOutput(
            errors.mean_mm(alignment), errors.percent(alignment), errors.within(within, alignment), errors.mean_mm("rigid"),
            errors.mean_mm("each frame"), errors.bone_mm, errors.jitter[0], report, plot_errors(errors)[None], ui=ui.PreviewText(report),
        )  # fmt: skip
