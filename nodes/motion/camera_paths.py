"""Cameras that move."""

from comfy_api.latest import io, ui

from ...core.body.camera_report import rig_report
from ...core.body.framing import FOLLOWS, PATHS, frame_path, motion_middle
from ...core.formats.wires import rig_from_load3d
from ...core.geometry.camera_paths import EASES, INTERPOLATIONS, gather_views, key_times, keyed_path
from .. import sockets
from .cameras import framing_inputs


def picture_size() -> list:
    """The inputs width and height."""
    return [
        io.Int.Input("width", default=512, min=16, max=4096, step=8, tooltip="Width of the pictures in pixels."),
        io.Int.Input("height", default=768, min=16, max=4096, step=8, tooltip="Height of the pictures in pixels."),
    ]


class MoveCamera(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_MoveCamera",
            display_name="Move Camera",
            category="motion4d/cameras",
            description="One camera that moves around a motion while it plays: once round, along an arc, on a dolly or a crane, or with a dolly zoom. It starts at "
            "a distance at which the whole motion is in view.",
            search_aliases=["camera path", "turntable", "orbit", "dolly", "crane", "arc shot", "dolly zoom", "vertigo"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="The motion to look at, in world space; the path is as long as it."),
                io.Combo.Input("path", options=list(PATHS), default="turn", tooltip="What the camera does; a turn of 360 degrees loops."),
                io.Float.Input(
                    "azimuth", default=0.0, min=-360.0, max=360.0, step=1.0, tooltip="Where it starts: 0 in front, 90 at the person's left."
                ),
                io.Float.Input("elevation", default=5.0, min=-80.0, max=80.0, step=1.0, tooltip="Degrees above the horizon."),
                io.Float.Input(
                    "degrees",
                    default=360.0,
                    min=-1440.0,
                    max=1440.0,
                    step=1.0,
                    tooltip="How far a turn or an arc goes; below 0 the other way.",
                ),
                io.Float.Input("distance", default=1.0, min=0.0, max=50.0, step=0.05, tooltip="Metres that a dolly or a crane moves by."),
                *framing_inputs(),
                io.Combo.Input(
                    "follow",
                    options=list(FOLLOWS),
                    default="stay",
                    tooltip="stay: looks at the middle of the motion; look: turns after the person; go along: moves with the person too.",
                ),
                io.Combo.Input("ease", options=list(EASES), default="linear", tooltip="smooth starts and ends at rest."),
                *picture_size(),
            ],
            outputs=[
                sockets.CameraRig.Output(display_name="cameras"),
                io.String.Output(display_name="report", tooltip="What the camera sees, and warnings where it does not see the person."),
            ],
        )

    @classmethod
    def execute(cls, motion, path, azimuth, elevation, degrees, distance, fov, margin, follow, ease, width, height):
        cameras = frame_path(
            motion, path, image_size=(height, width), azimuth_deg=azimuth, elevation_deg=elevation, degrees=degrees, distance=distance,
            vertical_fov_deg=fov, margin=margin, follow=follow, ease=ease,
        )  # fmt: skip
        report = rig_report(motion, cameras).text()
        return io.NodeOutput(cameras, report, ui=ui.PreviewText(report))


class KeyCameras(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        views = [
            sockets.Load3DCamera.Input(
                f"camera_info_{key}", optional=True, tooltip="A view of Load 3D or Preview 3D as the next key; a perspective camera."
            )
            for key in (1, 2, 3, 4)
        ]
        return io.Schema(
            node_id="Motion4D_KeyCameras",
            display_name="Key Cameras",
            category="motion4d/cameras",
            description="One camera that goes from key to key while a motion plays. Keys are still cameras: views of a rig, or places chosen by hand in a 3D "
            "viewport.",
            search_aliases=["camera keyframes", "camera animation", "camera spline", "catmull rom"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="In world space; the path is as long as it, and keys look towards it."),
                io.String.Input("times", default="", tooltip="Frame of each key, as 0, 40, 80; empty spaces them evenly."),
                io.Combo.Input(
                    "interpolation",
                    options=list(INTERPOLATIONS),
                    default="catmull_rom",
                    tooltip="linear goes straight from key to key; catmull_rom along a curve, without a jump of its speed.",
                ),
                io.Float.Input(
                    "fov",
                    default=35.0,
                    min=5.0,
                    max=120.0,
                    step=1.0,
                    tooltip="Vertical field of view of viewports that do not tell theirs.",
                ),
                *picture_size(),
                sockets.CameraRig.Input("cameras", optional=True, tooltip="Still cameras whose views are the first keys, in their order."),
                *views,
            ],
            outputs=[
                sockets.CameraRig.Output(display_name="cameras"),
                io.String.Output(display_name="report", tooltip="What the camera sees, and warnings where it does not see the person."),
            ],
        )

    @classmethod
    def execute(cls, motion, times, interpolation, fov, width, height, cameras=None, **views):
        size = (height, width)
        taken = [views[name] for name in sorted(views) if views[name] is not None]
        keys = [cameras.resized(size)] if cameras is not None else []
        keys += [rig_from_load3d(camera, size, vertical_fov_deg=fov) for camera in taken]
        if not keys:
            raise ValueError("no key is connected: connect `cameras`, or the camera_info of a 3D viewport to `camera_info_1`")
        gathered = gather_views(keys)
        at = key_times(times, gathered.views, motion.frames)
        path = keyed_path(gathered, at, motion.frames, interpolation=interpolation, focus=motion_middle(motion).tolist())
        report = rig_report(motion, path).text()
        return io.NodeOutput(path, report, ui=ui.PreviewText(report))
