"""Calibrated cameras of other programs."""

from comfy_api.latest import io, ui

from ...core.formats.camera_files import SUFFIXES, UPS, load_cameras
from .. import host, sockets
from .inputs import NONE, FileLoader, file_input


class LoadCameraCalibration(FileLoader):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_LoadCameraCalibration",
            display_name="Load Camera Calibration",
            category="motion4d/load",
            description="Real cameras with their places and lenses, as OpenCV (.yml, .xml, .npz), Pose2Sim and anipose (.toml) and COLMAP (cameras.txt, images.txt or "
            ".bin) calibrate them.",
            search_aliases=["opencv calibration", "pose2sim", "anipose", "colmap", "intrinsics", "extrinsics", "lens distortion"],
            inputs=[
                file_input("file", SUFFIXES, "A file of the input folder; of two files that belong together, either."),
                io.Float.Input(
                    "metres",
                    default=1.0,
                    min=1e-6,
                    max=1e6,
                    step=0.001,
                    tooltip="Length of the file's unit: 1 for metres, 0.001 for millimetres; COLMAP's unit is arbitrary.",
                ),
                io.Combo.Input(
                    "up",
                    options=list(UPS),
                    default=UPS[0],
                    tooltip="Axis of the file's world that points up and becomes Y; auto takes the one that cameras held upright agree on.",
                ),
                io.Int.Input(
                    "width", default=0, min=0, max=16384, tooltip="Width of the pictures where the file does not tell it; 0 guesses."
                ),
                io.Int.Input(
                    "height", default=0, min=0, max=16384, tooltip="Height of the pictures where the file does not tell it; 0 guesses."
                ),
            ],
            outputs=[
                sockets.Calibration.Output(display_name="calibration", tooltip="Cameras and lenses, for Collect Camera Keypoints."),
                sockets.CameraRig.Output(display_name="cameras", tooltip="The cameras alone, without what their lenses bend."),
                io.String.Output(display_name="contents", tooltip="Name, place, picture and lens of each camera, and what was assumed."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, file, metres, up, width, height):
        if file == NONE:
            raise ValueError("file: no calibration is chosen; choose one")
        if bool(width) != bool(height):
            raise ValueError(f"width is {width} and height {height}: give both, or 0 for both")
        size = (height, width) if width else None
        found = load_cameras(host.current().input_file(file), image_size=size, metres=metres, up=up)
        contents = found.text()
        return io.NodeOutput(found, found.rig, contents, ui=ui.PreviewText(contents))
