"""Motion files of other programs."""

from comfy_api.latest import io, ui

from ...core.formats import load_filmed_motion
from .. import host, sockets
from .inputs import NONE, default_input, file_input, modified, readable

MOTION_SUFFIXES = (".npz", ".pkl", ".pickle", ".pt", ".pth", ".bvh")
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")


class LoadMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_LoadMotion",
            display_name="Load Motion",
            category="motion4d/load",
            description="Reads 3D human motion: MTVCrafter and NLF pickles, AMASS, GVHMR, Kimodo and Motion4D npz, BVH. Pickles are read without running anything in "
            "them; AMASS, GVHMR and Kimodo files are unverified, no real one was at hand. Choose the video that the motion was taken from to get its frames, frame rate and sound along with it.",
            search_aliases=["import motion", "smpl", "amass", "gvhmr", "nlf", "bvh", "npz", "pkl"],
            inputs=[
                file_input("file", MOTION_SUFFIXES, "A file of the input folder; none takes the motion connected to `default`."),
                io.Int.Input("clip", default=0, min=0, max=9999, tooltip="Which clip of the file, from 0; `contents` lists them."),
                io.Int.Input("person", default=0, min=0, max=99, tooltip="Which person of the clip, from 0."),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=240.0,
                    step=0.01,
                    tooltip="Frames per second; 0 takes that of the file, else of the video, else 30.",
                ),
                file_input("video", VIDEO_SUFFIXES, "The video that the motion was taken from; its frames become `frames`."),
                io.Int.Input(
                    "max_side",
                    default=1024,
                    min=64,
                    max=4096,
                    step=8,
                    tooltip="Frames of the video are made smaller where their longer side is above this.",
                ),
                default_input(sockets.Motion),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion"),
                io.Float.Output(display_name="fps"),
                io.Audio.Output(display_name="audio", tooltip="Of the video; empty without a video or sound."),
                io.Image.Output(display_name="frames", tooltip="Of the video, one for each frame of the motion; empty without a video."),
                io.String.Output(display_name="contents", tooltip="The clips and people in the file, and what was assumed."),
            ],
        )

    @classmethod
    def validate_inputs(cls, file, video):
        return readable(file, video)

    @classmethod
    def fingerprint_inputs(cls, file, video, **_):
        return modified(file, video)

    @classmethod
    def execute(cls, file, clip, person, fps, video, max_side, default=None):
        here = host.current()
        if file == NONE:
            if video != NONE:
                raise ValueError("video: it comes with the motion that was taken from it; choose that in `file` too")
            if default is None:
                raise ValueError("file: no motion file is chosen; choose one, or connect a motion to `default`")
            return io.NodeOutput(default, default.fps, None, None, "no file: the motion connected to `default`")
        path, film = here.input_file(file), None if video == NONE else here.input_file(video)
        loaded = load_filmed_motion(path, video=film, clip=clip, person=person, fps=fps or None, max_side=max_side)
        return io.NodeOutput(
            loaded.motion, loaded.motion.fps, loaded.audio, loaded.frames, loaded.contents, ui=ui.PreviewText(loaded.contents)
        )
