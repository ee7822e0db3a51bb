"""Cameras out of the graph, into viewports, and as numbers for other models."""

from io import BytesIO

from comfy_api.latest import Types, io, ui

from ...core.body.camera_report import rig_report
from ...core.body.framing import motion_middle
from ...core.formats.camera_preview import cameras_preview_glb
from ...core.formats.gltf_cameras import save_cameras
from ...core.formats.wires import load3d_from_rig
from ...core.geometry.camera_embedding import relative_to_first, wan_camera_embedding
from ...core.geometry.camera_exchange import LENSES, change_lens
from ...core.maps.camera_maps import draw_plucker
from ...core.wording import counted
from .. import host, sockets


class SaveCameras(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SaveCameras",
            display_name="Save Cameras",
            category="motion4d/cameras",
            description="Writes cameras into the output folder as a GLB with one camera for each view, animated where they move: for Blender, three.js and other "
            "3D programs.",
            search_aliases=["export cameras", "camera glb", "gltf camera", "blender camera"],
            inputs=[
                sockets.CameraRig.Input("cameras", tooltip="Still or moving cameras."),
                io.String.Input(
                    "filename_prefix",
                    default="motion4d/cameras",
                    tooltip="Folder and first part of the file name inside the output folder.",
                ),
                io.Float.Input("fps", default=30.0, min=1.0, max=240.0, step=0.01, tooltip="Frames per second of cameras that move."),
            ],
            outputs=[
                io.String.Output(display_name="path", tooltip="Inside the output folder."),
                io.String.Output(display_name="report", tooltip="What the file cannot hold."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, cameras, filename_prefix, fps):
        here = host.current()
        path = here.output_file(filename_prefix, ".glb")
        lost = save_cameras(cameras, path, fps=fps)
        entry = here.saved(path)
        name = "/".join(part for part in (entry["subfolder"], entry["filename"]) if part)
        return io.NodeOutput(name, "\n".join(lost) or "everything is in the file", ui={"files": [entry]})


class PreviewCameras(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_PreviewCameras",
            display_name="Preview Cameras",
            category="motion4d/cameras",
            description="Cameras as coloured frusta for ComfyUI's Preview 3D & Animation node, with the path of those that move and the person they see. "
            "Writes no file of its own.",
            search_aliases=["show cameras", "camera frustum", "rig preview"],
            inputs=[
                sockets.CameraRig.Input("cameras", tooltip="Still or moving cameras."),
                sockets.Motion.Input("motion", optional=True, tooltip="Stands among the cameras as a moving figure."),
            ],
            outputs=[
                io.File3DGLB.Output(display_name="model_file", tooltip="Connect to Preview 3D & Animation, or to Save 3D Model."),
                io.String.Output(display_name="report", tooltip="With a motion: what each view sees of it, and warnings."),
            ],
        )

    @classmethod
    def execute(cls, cameras, motion=None):
        frames = f" over {cameras.frames} frames" if cameras.frames else ""
        report = f"{counted(cameras.views, 'view')}{frames}" if motion is None else rig_report(motion, cameras).text()
        model = Types.File3D(BytesIO(cameras_preview_glb(cameras, motion=motion)), file_format="glb")
        return io.NodeOutput(model, report, ui=ui.PreviewText(report))


class SendCameraToView(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SendCameraToView",
            display_name="Send Camera to View",
            category="motion4d/cameras",
            description="One camera for ComfyUI's 3D viewports and for nodes that render from a camera_info. Take Camera from View is the way back.",
            search_aliases=["load3d camera", "camera_info", "viewport camera"],
            inputs=[
                sockets.CameraRig.Input("cameras", tooltip="Still or moving cameras."),
                io.Int.Input("view", default=0, min=0, max=255, tooltip="Which of the views, from 0."),
                io.Int.Input("frame", default=0, min=0, max=100000, tooltip="Which frame of cameras that move, from 0."),
                sockets.Motion.Input("motion", optional=True, tooltip="Its middle is what the viewport turns about."),
            ],
            outputs=[sockets.Load3DCamera.Output(display_name="camera_info", tooltip="For Preview 3D and nodes with a camera_info input.")],
        )

    @classmethod
    def execute(cls, cameras, view, frame, motion=None):
        focus = None if motion is None else motion_middle(motion)
        return io.NodeOutput(load3d_from_rig(cameras, view=view, frame=frame, focus=focus))


class ChangeLens(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ChangeLens",
            display_name="Change Lens",
            category="motion4d/cameras",
            description="The same cameras with another lens or for pictures of another size. With the lens of MTVCrafter, Convert Space brings a motion into "
            "MTVCrafter's camera space.",
            search_aliases=["field of view", "focal length", "resize cameras", "mtvcrafter camera", "55 degrees"],
            inputs=[
                sockets.CameraRig.Input("cameras", tooltip="Still or moving cameras."),
                io.Combo.Input(
                    "lens",
                    options=list(LENSES),
                    default="keep",
                    tooltip="keep: as it is; field of view: `fov` over the height; mtvcrafter: 55 degrees over the longer side.",
                ),
                io.Float.Input(
                    "fov", default=40.0, min=5.0, max=120.0, step=1.0, tooltip="Vertical field of view in degrees, for that lens."
                ),
                io.Int.Input("width", default=0, min=0, max=4096, step=8, tooltip="Width of the pictures in pixels; 0 keeps it."),
                io.Int.Input("height", default=0, min=0, max=4096, step=8, tooltip="Height of the pictures in pixels; 0 keeps it."),
            ],
            outputs=[sockets.CameraRig.Output(display_name="cameras")],
        )

    @classmethod
    def execute(cls, cameras, lens, fov, width, height):
        size = (height or cameras.image_size[0], width or cameras.image_size[1])
        return io.NodeOutput(change_lens(cameras, lens, vertical_fov_deg=fov, image_size=size))


class MakeCameraEmbedding(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_MakeCameraEmbedding",
            display_name="Make Camera Embedding",
            category="motion4d/cameras",
            description="A camera path as the Plücker maps that Wan 2.1 Fun Camera takes: connect them to ComfyUI's WanCameraImageToVideo, together with width, "
            "height and length.",
            search_aliases=["plucker", "wan camera", "fun camera", "camera control", "camera conditions"],
            inputs=[
                sockets.CameraRig.Input("cameras", tooltip="A camera that moves; width and height of its pictures are multiples of 16."),
                io.Int.Input("view", default=0, min=0, max=255, tooltip="Which of the views, from 0."),
                io.Float.Input(
                    "metres",
                    default=1.0,
                    min=0.01,
                    max=100.0,
                    step=0.01,
                    tooltip="Length of the model's unit: moves of the camera become this many times smaller.",
                ),
            ],
            outputs=[
                sockets.WanCameraEmbedding.Output(
                    display_name="camera_embedding", tooltip="For camera_conditions of WanCameraImageToVideo."
                ),
                io.Image.Output(
                    display_name="images", tooltip="The maps to look at: directions of the rays on the left, moments on the right."
                ),
                io.Int.Output(display_name="width"),
                io.Int.Output(display_name="height"),
                io.Int.Output(display_name="length", tooltip="Frames: four times something and one, as the model has them."),
            ],
        )

    @classmethod
    def execute(cls, cameras, view, metres):
        height, width = cameras.image_size
        embedding = wan_camera_embedding(cameras, height, width, view=view, metres=metres)
        length = 4 * embedding.shape[2] - 3
        shown = relative_to_first(cameras.take_frames(slice(0, length)), view=view, metres=metres).plucker(height // 4, width // 4)
        return io.NodeOutput(embedding, draw_plucker(shown[0]), width, height, length)
