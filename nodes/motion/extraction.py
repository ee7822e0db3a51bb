"""Video to people."""

from dataclasses import replace

from comfy_api.latest import io, ui

from ...core.estimators.extraction import EvenFrames, extract
from ...core.estimators.report import describe
from ...core.estimators.unfinished import Unfinished
from ...core.geometry.cameras import MOTION_CAPTURE_FOV_DEG, focal_from_fov, intrinsics_matrix
from .. import host, sockets
from ..films import opened_film

_UNFINISHED = Unfinished()  # of this run of the program


class ExtractMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ExtractMotion",
            display_name="Extract Motion",
            category="motion4d/motion",
            description="Finds the people in every frame of a video, with the 3D joints of each. A video file is read frame by frame, however long it is; "
            "frames without anybody, cuts and damaged ends are reported. What an interrupted run has found is not lost: the same run again goes on from there. Select Person makes a motion of one of them.",
            search_aliases=["mocap", "motion capture", "pose from video", "nlf predict", "video to motion", "3d pose"],
            inputs=[
                sockets.Estimator.Input("estimator", tooltip="Of Load Pose Estimator."),
                io.MultiType.Input(
                    "video",
                    types=[io.Video, io.Image],
                    tooltip="VIDEO, which needs no more memory for being long, or IMAGE, all of it in memory.",
                ),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=240.0,
                    step=0.01,
                    tooltip="Frames per second of the motion, by the times of the frames: MTVCrafter works at 20 or less; 0 keeps that of the video. An IMAGE "
                    "has none: this is its own, and 0 means 30.",
                ),
                io.Float.Input(
                    "field_of_view",
                    default=MOTION_CAPTURE_FOV_DEG,
                    min=5.0,
                    max=150.0,
                    step=0.1,
                    tooltip="Degrees over the longer side of the picture; 55 is what NLF and MTVCrafter assume. It decides how far away people stand.",
                ),
                io.Int.Input(
                    "batch", default=0, min=0, max=256, tooltip="Frames looked at together; 0 takes as many as the free memory allows."
                ),
                io.Boolean.Input("find_shots", default=True, tooltip="Looks for cuts and fades, over which nobody is followed."),
            ],
            outputs=[
                sockets.People.Output(display_name="people", tooltip="Everybody in every frame; for Select Person."),
                io.Float.Output(display_name="fps", tooltip="Of the motion; for Create Video."),
                io.Audio.Output(display_name="audio", tooltip="Of the video; empty without sound."),
                io.String.Output(display_name="report", tooltip="People, shots, and everything that was assumed, changed or lost."),
            ],
        )

    @classmethod
    def execute(cls, estimator, video, fps, field_of_view, batch, find_shots):
        with opened_film(video, fps) as film:
            even = EvenFrames(film.frames, source_fps=film.fps, times=film.times, fps=fps or None)
            camera = intrinsics_matrix(focal_from_fov(field_of_view, max(film.image_size)), film.image_size)
            bar = host.current().progress(len(even))
            people = extract(
                even, estimator, fps=even.fps, image_size=film.image_size, intrinsics=camera, batch=batch or None, advance=bar.advance, cuts=find_shots,
                late=even.late, film=film.identity(), unfinished=_UNFINISHED,
            )  # fmt: skip
            audio, unheard = film.sound()
        people = replace(people, notes=(*people.notes, *film.notes, *even.notes, *unheard))
        told = describe(people)
        return io.NodeOutput(people, people.fps, audio, told, ui=ui.PreviewText(told))
