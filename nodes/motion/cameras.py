"""Cameras for drawing a motion."""

from comfy_api.latest import io

from ...core.body.framing import frame_motion
from ...core.formats.wires import rig_from_load3d
from .. import sockets


def framing_inputs() -> list:
    """How much of the picture the motion fills."""
    return [
        io.Float.Input("fov", default=40.0, min=5.0, max=120.0, step=1.0, tooltip="Vertical field of view in degrees."),
        io.Float.Input(
            "margin", default=1.15, min=0.5, max=4.0, step=0.05, tooltip="1 fits the motion exactly into the picture; more leaves room."
        ),
    ]


class PlaceOrbitCameras(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_PlaceOrbitCameras",
            display_name="Place Orbit Cameras",
            category="motion4d/cameras",
            description="Cameras on a circle around a motion, at a distance at which the whole motion is in view. A motion that was filmed keeps the "
            "camera that filmed it (switch keep_own_camera off to be refused instead).",
            search_aliases=["turntable", "camera rig", "multi view"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="The motion to look at."),
                io.Int.Input("views", default=1, min=1, max=64, tooltip="Number of cameras, evenly spaced over the arc."),
                io.Float.Input(
                    "azimuth",
                    default=0.0,
                    min=-360.0,
                    max=360.0,
                    step=1.0,
                    tooltip="First camera in degrees: 0 in front, 90 at the person's left.",
                ),
                io.Float.Input(
                    "arc",
                    default=360.0,
                    min=1.0,
                    max=360.0,
                    step=1.0,
                    tooltip="Degrees from the first camera round; 360 is a closed circle.",
                ),
                io.Float.Input("elevation", default=5.0, min=-89.0, max=89.0, step=1.0, tooltip="Degrees above the horizon."),
                *framing_inputs(),
                io.Int.Input("width", default=512, min=16, max=4096, step=8, tooltip="Width of the pictures in pixels."),
                io.Int.Input("height", default=768, min=16, max=4096, step=8, tooltip="Height of the pictures in pixels."),
                io.Boolean.Input(
                    "keep_own_camera",
                    default=True,
                    tooltip="For a motion in camera space: use the camera that filmed it, in the proportions of its video; the longer side is the longer of width and height.",
                ),
            ],
            outputs=[sockets.CameraRig.Output(display_name="cameras")],
        )

    @classmethod
    def execute(cls, motion, views, azimuth, arc, elevation, fov, margin, width, height, keep_own_camera):
        cameras = frame_motion(
            motion, views=views, azimuth_deg=azimuth, arc_deg=arc, elevation_deg=elevation, vertical_fov_deg=fov, margin=margin,
            image_size=(height, width), keep_own_camera=keep_own_camera,
        )  # fmt: skip
        return io.NodeOutput(cameras)


class TakeCameraFromView(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_TakeCameraFromView",
            display_name="Take Camera from View",
            category="motion4d/cameras",
            description="The camera of ComfyUI's 3D viewport (Load 3D, Preview 3D) as a camera for bone maps and skeletons.",
            search_aliases=["load3d camera", "viewport camera"],
            inputs=[
                sockets.Load3DCamera.Input("camera_info", tooltip="camera_info of Load 3D or Preview 3D; a perspective camera."),
                io.Int.Input("width", default=512, min=16, max=4096, step=8, tooltip="Width of the pictures in pixels."),
                io.Int.Input("height", default=768, min=16, max=4096, step=8, tooltip="Height of the pictures in pixels."),
                io.Float.Input(
                    "fov",
                    default=35.0,
                    min=5.0,
                    max=120.0,
                    step=1.0,
                    tooltip="Vertical field of view in degrees for viewports that do not tell theirs.",
                ),
            ],
            outputs=[sockets.CameraRig.Output(display_name="cameras")],
        )

    @classmethod
    def execute(cls, camera_info, width, height, fov):
        return io.NodeOutput(rig_from_load3d(camera_info, (height, width), vertical_fov_deg=fov))
