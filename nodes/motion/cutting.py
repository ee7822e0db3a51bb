"""A part of a motion."""

from comfy_api.latest import io

from .. import sockets


class CutMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_CutMotion",
            display_name="Cut Motion",
            category="motion4d/motion",
            description="Some frames of a motion, and of the pictures that go with it: MV-DiT makes 49 frames at a time, most motions are longer.",
            search_aliases=["trim motion", "first frames", "clip length", "motion range"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="Any motion."),
                io.Int.Input("start", default=0, min=0, max=999999, tooltip="First frame to keep, from 0."),
                io.Int.Input(
                    "frames",
                    default=49,
                    min=0,
                    max=999999,
                    tooltip="Number of frames to keep; 0, or more than there are, keeps all that follow.",
                ),
                io.Image.Input(
                    "images", optional=True, tooltip="One picture for each frame of the motion, as from Load Motion; cut likewise."
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion"),
                io.Image.Output(display_name="images", tooltip="Empty where none were given."),
            ],
        )

    @classmethod
    def execute(cls, motion, start, frames, images=None):
        if start >= motion.frames:
            raise ValueError(f"start is {start}, the motion has {motion.frames} frames: give 0 to {motion.frames - 1}")
        stop = start + frames if frames else motion.frames
        return io.NodeOutput(motion.cut(start, stop), None if images is None else images[start:stop])
