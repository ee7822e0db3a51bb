"""A motion without a file."""

from comfy_api.latest import io

from ...core.body.demo import ACTIONS, demo_motion
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
            ],
            outputs=[sockets.Motion.Output(display_name="motion", tooltip="24 SMPL joints with rotations, in world space.")],
        )

    @classmethod
    def execute(cls, action, seconds, fps, stature):
        return io.NodeOutput(demo_motion(action, seconds=seconds, fps=fps, stature=stature))
