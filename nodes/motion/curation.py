"""Many videos to a list of the pieces that are fit for training."""

import json

from comfy_api.latest import io, ui

from ...core.estimators.curation import Limits, curate_files
from ...core.formats.atomic import replacing
from .. import host, sockets

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")


class CurateClips(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        limits = Limits()
        return io.Schema(
            node_id="Motion4D_CurateClips",
            display_name="Curate Clips",
            category="motion4d/motion",
            description="Chooses the pieces of a folder of videos that are fit for training, as MTVCrafter chose its data: single shots of one person, long enough, "
            "surely seen, in movement and sharp. Beauty and text are not scored here, and the report says so.",
            search_aliases=["dataset", "filter videos", "data curation", "optical flow", "blur", "training data"],
            inputs=[
                sockets.Estimator.Input("estimator", tooltip="Of Load Pose Estimator."),
                io.String.Input(
                    "folder", default="", tooltip="A folder inside the input folder, with the folders in it; empty means all of it."
                ),
                io.Int.Input("frames", default=limits.frames, min=1, max=100000, tooltip="Shorter pieces are refused."),
                io.Float.Input(
                    "uncertain",
                    default=limits.uncertain,
                    min=0.0,
                    max=0.9,
                    step=0.01,
                    tooltip="This share of all pieces goes, the least certain ones.",
                ),
                io.Float.Input(
                    "flow",
                    default=limits.flow,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Mean optical flow in pixels a frame, at 512 on the longer side, at least.",
                ),
                io.Float.Input(
                    "blur",
                    default=limits.blur,
                    min=0.0,
                    max=100000.0,
                    step=1.0,
                    tooltip="Variance of the Laplacian at 512 on the longer side, at least.",
                ),
                io.String.Input(
                    "filename_prefix", default="motion4d/clips", tooltip="Of the JSON file with all pieces, in the output folder."
                ),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="A line for each piece, with its numbers and why it was refused."),
                io.String.Output(display_name="manifest", tooltip="Path of the JSON file."),
                io.Int.Output(display_name="kept", tooltip="Pieces that are kept."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, estimator, folder, frames, uncertain, flow, blur, filename_prefix):
        here, inside = host.current(), f"{folder.strip('/')}/" if folder.strip("/") else ""
        names = [name for name in here.input_files(VIDEO_SUFFIXES) if name.startswith(inside)]
        if not names:
            raise ValueError(f"folder: there are no videos in '{folder}' of the input folder: put them there, or name another folder")
        limits = Limits(frames=frames, uncertain=uncertain, flow=flow, blur=blur)
        found = curate_files(
            [here.input_file(name) for name in names], estimator, limits=limits, advance=here.progress(2 * len(names)).advance
        )
        path = here.output_file(filename_prefix, ".json")
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(found.manifest(), indent=1), encoding="utf-8")
        return io.NodeOutput(found.report(), str(path), len(found.kept), ui=ui.PreviewText(found.report()))
