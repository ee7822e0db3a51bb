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
            description="Some frames of a motion, and of the pictures and the sound that go with it: MV-DiT makes 49 frames at a time, most motions are longer.",
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
                io.Audio.Input("audio", optional=True, tooltip="The sound that begins with the motion; cut to the same seconds."),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion"),
                io.Image.Output(display_name="images", tooltip="Empty where none were given."),
                io.Audio.Output(display_name="audio", tooltip="Empty where none was given."),
            ],
        )

    @classmethod
    def execute(cls, motion, start, frames, images=None, audio=None):
        if start >= motion.frames:
            raise ValueError(f"start is {start}, the motion has {motion.frames} frames: give 0 to {motion.frames - 1}")
        stop = start + frames if frames else motion.frames
        cut = motion.cut(start, stop)
        pictures = None if images is None else images[start:stop]
        return io.NodeOutput(
            cut, pictures, None if audio is None else _seconds(audio, start / motion.fps, (start + cut.frames) / motion.fps)
        )


def _seconds(audio, begin, end):
    """AUDIO from one time to another."""
    rate = audio["sample_rate"]
    return {**audio, "waveform": audio["waveform"][..., round(begin * rate) : round(end * rate)]}
