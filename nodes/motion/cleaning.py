"""A captured motion made fit for use."""

from comfy_api.latest import io, ui

from ...core.body.cleaning import clean_motion
from ...core.maps.cleaning_plots import plot_cleaning
from .. import sockets


def _factor(chain: str, extra: str = ""):
    return io.Float.Input(
        chain, default=1.0, min=0.0, max=10.0, step=0.1, tooltip=f"Factor on smoothing for the {chain}{extra}; 0 leaves it as it is."
    )


class CleanMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_CleanMotion",
            display_name="Clean Motion",
            category="motion4d/motion",
            description="Fills short gaps, takes the tremble out of a captured motion while punches stay sharp, and holds planted feet where they stand. Tells "
            "jitter and foot slide before and after. Where a motion jumps as nobody can, at a cut of its film, it begins anew.",
            search_aliases=["smooth motion", "jitter", "one euro", "foot lock", "foot sliding", "fill gaps", "denoise motion"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="Any motion, in world or camera space."),
                io.Float.Input(
                    "fill_gaps",
                    default=0.5,
                    min=0.0,
                    max=600.0,
                    step=0.05,
                    tooltip="Longest gap in seconds that is bridged; longer ones stay missing. The report tells which frames were filled.",
                ),
                io.Float.Input(
                    "smoothing",
                    default=0.25,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    tooltip="Seconds that the smoothing reaches to either side, whatever the frame rate; 0 leaves the motion as it is.",
                ),
                io.Boolean.Input(
                    "adaptive", default=True, tooltip="Smooth less where the motion is fast or turns sharply, so that a punch stays sharp."
                ),
                _factor("torso"),
                _factor("arms"),
                _factor("legs"),
                _factor("head"),
                _factor("hands"),
                io.Boolean.Input("foot_lock", default=True, tooltip="Hold feet where they stand while they are on the floor."),
                io.Float.Input(
                    "hip_give",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Share of a foot's correction that the hips take, so that knees do not pop; 0 leaves all of it to the legs.",
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion"),
                io.String.Output(
                    display_name="report", tooltip="Jitter, wrist speed and foot slide before and after, and the frames that were filled."
                ),
                io.Image.Output(display_name="plot", tooltip="Wrist speed and jitter over time, before and after."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, motion, fill_gaps, smoothing, adaptive, torso, arms, legs, head, hands, foot_lock, hip_give):
        chains = {"torso": torso, "arms": arms, "legs": legs, "head": head, "hands": hands}
        cleaned = clean_motion(
            motion,
            gap_seconds=fill_gaps,
            smooth_seconds=smoothing,
            adaptive=adaptive,
            chains=chains,
            foot_lock=foot_lock,
            hip_give=hip_give,
        )
        report = cleaned.report.text()
        return io.NodeOutput(
            cleaned.motion, report, plot_cleaning(motion, cleaned.motion, cuts=cleaned.cuts)[None], ui=ui.PreviewText(report)
        )
