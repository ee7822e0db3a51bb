"""Cameras of other programs."""

from comfy_api.latest import io, ui

from ...core.formats.gltf_cameras import load_cameras
from .. import host, sockets
from .inputs import NONE, FileLoader, default_input, file_input

CAMERA_SUFFIXES = (".glb", ".gltf")


class LoadCameras(FileLoader):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_LoadCameras",
            display_name="Load Cameras",
            category="motion4d/load",
            description="The perspective cameras of a glTF scene (.glb, .gltf), as Blender and other 3D programs export them; animated cameras move.",
            search_aliases=["import cameras", "gltf camera", "blender camera", "camera animation"],
            inputs=[
                file_input("file", CAMERA_SUFFIXES, "A file of the input folder; none takes the cameras connected to `default`."),
                io.Int.Input("width", default=512, min=16, max=4096, step=8, tooltip="Width of the pictures in pixels."),
                io.Int.Input(
                    "height",
                    default=768,
                    min=16,
                    max=4096,
                    step=8,
                    tooltip="Height of the pictures in pixels; the field of view over it is kept.",
                ),
                io.Float.Input(
                    "fps", default=30.0, min=1.0, max=240.0, step=0.01, tooltip="Frames per second that moving cameras are read at."
                ),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=20000,
                    tooltip="Frames of moving cameras, as many as the motion has; 0 as long as the animation.",
                ),
                default_input(sockets.CameraRig),
            ],
            outputs=[
                sockets.CameraRig.Output(display_name="cameras"),
                io.String.Output(display_name="contents", tooltip="The cameras in the file, and what was assumed."),
            ],
        )

    @classmethod
    def execute(cls, file, width, height, fps, frames, default=None):
        if file == NONE:
            if default is None:
                raise ValueError("file: no camera file is chosen; choose one, or connect cameras to `default`")
            return io.NodeOutput(default, "no file: the cameras connected to `default`")
        found = load_cameras(host.current().input_file(file), image_size=(height, width), fps=fps, frames=frames or None)
        contents = "\n".join([f"{number}: {name}" for number, name in enumerate(found.names)] + list(found.notes))
        return io.NodeOutput(found.rig, contents, ui=ui.PreviewText(contents))
