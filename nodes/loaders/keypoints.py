"""2D poses from files."""

from comfy_api.latest import io, ui

from ...core.formats.keypoint_files import SUFFIXES, keypoints_report, load_pose_keypoints
from .. import host, sockets
from .inputs import NONE, FileLoader, file_input


class LoadPoseKeypoints(FileLoader):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_LoadPoseKeypoints",
            display_name="Load Pose Keypoints",
            category="motion4d/load",
            description="2D poses of a film (POSE_KEYPOINT) from a JSON file, as nodes that save the poses of DWPose and OpenPose write them.",
            search_aliases=["import openpose json", "dwpose", "pose keypoint", "2d poses"],
            inputs=[
                file_input(
                    "file", SUFFIXES, "A file of the input folder: a list with people, canvas_width and canvas_height of each frame."
                )
            ],
            outputs=[
                sockets.PoseKeypoint.Output(display_name="pose_keypoint", tooltip="One entry for each frame."),
                io.String.Output(display_name="contents", tooltip="Frames, size of the pictures, and people."),
            ],
        )

    @classmethod
    def execute(cls, file):
        if file == NONE:
            raise ValueError("file: no poses are chosen; choose a JSON file")
        frames = load_pose_keypoints(host.current().input_file(file))
        contents = keypoints_report(frames)
        return io.NodeOutput(frames, contents, ui=ui.PreviewText(contents))
