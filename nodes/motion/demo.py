"""A motion without a file."""

from comfy_api.latest import io

from ...core.body.demo import ACTIONS, demo_motion
from ...core.body.flaws import with_flaws
from ...core.skeletons import REST_STATURE
from .. import sockets


class MakeDemoMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_MakeDemoMotion",
            display_name="Make Demo Motion",
            category="motion4d/motion",
            description="A ready-made motion in world space, so that every workflow can start without a file: walk, wave, turn, or all three one after the other.",
            search_aliases=["example motion", "test motion", "walk cycle"],
            inputs=[
                io.Combo.Input("action", options=list(ACTIONS), default="walk", tooltip="tour: walk, then turn, then wave."),
                io.Float.Input("seconds", default=4.0, min=0.5, max=60.0, step=0.1, tooltip="Length of the motion."),
                io.Float.Input("fps", default=30.0, min=1.0, max=120.0, step=1.0, tooltip="Frames per second."),
                io.Float.Input("stature", default=REST_STATURE, min=0.5, max=2.5, step=0.001, tooltip="Height of the person in metres."),
                io.Float.Input(
                    "tremble",
                    default=0.0,
                    min=0.0,
                    max=200.0,
                    step=1.0,
                    optional=True,
                    tooltip="Millimetres by which every joint is off at random in each frame, as if it had been captured; rotations are then left out.",
                ),
                io.Float.Input(
                    "gap",
                    default=0.0,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    optional=True,
                    tooltip="Seconds, in the middle, for which the right hand is missing, as if it had been hidden; rotations are then left out.",
                ),
            ],
            outputs=[sockets.Motion.Output(display_name="motion", tooltip="24 SMPL joints with rotations, in world space.")],
        )

    @classmethod
    def execute(cls, action, seconds, fps, stature, tremble=0.0, gap=0.0):
        motion = demo_motion(action, seconds=seconds, fps=fps, stature=stature)
        return io.NodeOutput(with_flaws(motion, tremble_m=tremble / 1000, gap_seconds=gap) if tremble or gap else motion)
