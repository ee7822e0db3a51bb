"""Stand-ins for the nodes of ComfyUI that workflows use around the pack's own: the same ids, inputs and outputs as in ComfyUI 0.33."""

from fractions import Fraction

import torch
from comfy_api.latest import InputImpl, Types, io, ui

from ..core.formats.pictures import PICTURE_SUFFIXES as IMAGES
from ..core.formats.pictures import read_picture, write_picture
from ..nodes import host
from .model_nodes import NODES as MODEL_NODES

VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif")


def _modified(name):
    stat = host.current().input_file(name).stat()
    return stat.st_mtime_ns, stat.st_size


def _readable(name) -> bool | str:
    try:
        host.current().input_file(name)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return True


class LoadImage(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        files = host.current().input_files(IMAGES)
        return io.Schema(
            node_id="LoadImage",
            display_name="Load Image",
            category="image",
            inputs=[io.Combo.Input("image", options=files, upload=io.UploadType.image)],
            outputs=[io.Image.Output(), io.Mask.Output()],
        )

    @classmethod
    def validate_inputs(cls, image):
        return _readable(image)

    @classmethod
    def fingerprint_inputs(cls, image):
        return _modified(image)

    @classmethod
    def execute(cls, image):
        picture, alpha = read_picture(host.current().input_file(image))
        return io.NodeOutput(picture[None], torch.zeros(1, 64, 64) if alpha is None else 1 - alpha[None])


class InvertMask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="InvertMask",
            display_name="Invert Mask",
            category="image/mask",
            inputs=[io.Mask.Input("mask")],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def execute(cls, mask):
        return io.NodeOutput(1.0 - mask)


class SaveImage(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="SaveImage",
            display_name="Save Image",
            category="image",
            description="Saves the input images to your ComfyUI output directory.",
            inputs=[
                io.Image.Input("images", tooltip="The images to save."),
                io.String.Input("filename_prefix", default="ComfyUI", tooltip="Folder and first part of the file names."),
            ],
            outputs=[io.Image.Output(display_name="images")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images, filename_prefix="ComfyUI"):
        here, saved = host.current(), []
        for picture in images:
            path = here.output_file(filename_prefix, ".png")
            write_picture(picture, path)
            saved.append(ui.SavedResult(**here.saved(path)))
        return io.NodeOutput(images, ui={"images": saved})


class PreviewImage(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PreviewImage",
            display_name="Preview Image",
            category="image",
            inputs=[io.Image.Input("images")],
            outputs=[io.Image.Output(display_name="images")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images):
        return io.NodeOutput(images, ui=ui.PreviewImage(images, cls=cls))


class LoadVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        files = host.current().input_files(VIDEOS)
        return io.Schema(
            node_id="LoadVideo",
            display_name="Load Video",
            category="video",
            inputs=[io.Combo.Input("file", options=files, upload=io.UploadType.video)],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def validate_inputs(cls, file):
        return _readable(file)

    @classmethod
    def fingerprint_inputs(cls, file):
        return _modified(file)

    @classmethod
    def execute(cls, file):
        return io.NodeOutput(InputImpl.VideoFromFile(str(host.current().input_file(file))))


class GetVideoComponents(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="GetVideoComponents",
            display_name="Get Video Components",
            category="video",
            inputs=[io.Video.Input("video", tooltip="The video to extract components from.")],
            outputs=[
                io.Image.Output(display_name="images"),
                io.Audio.Output(display_name="audio"),
                io.Float.Output(display_name="fps"),
                io.Int.Output(display_name="bit_depth"),
                io.Combo.Output(display_name="color_space"),
            ],
        )

    @classmethod
    def execute(cls, video):
        parts = video.get_components()
        return io.NodeOutput(parts.images, parts.audio, float(parts.frame_rate), video.get_bit_depth(), video.get_color_space())


class CreateVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CreateVideo",
            display_name="Create Video",
            category="video",
            inputs=[
                io.Image.Input("images", tooltip="The images to create a video from."),
                io.Float.Input("fps", default=30.0, min=1.0, max=120.0, step=1.0),
                io.Audio.Input("audio", optional=True, tooltip="The audio to add to the video."),
                io.Int.Input("bit_depth", optional=True, default=8, min=8, max=10, step=2, display_mode=io.NumberDisplay.number),
            ],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def execute(cls, images, fps, audio=None, bit_depth=8):
        parts = Types.VideoComponents(images=images, audio=audio, frame_rate=Fraction(fps))
        return io.NodeOutput(InputImpl.VideoFromComponents(parts, bit_depth=bit_depth))


def _codec_input(codecs, **named):
    """The choice of codec, each with the settings of its encoder."""
    depth = {"h264": (23.0, 51.0), "av1": (30.0, 63.0)}

    def encoding(codec):
        crf, worst = depth[codec]
        spaces = io.Combo.Input("color_space", options=["auto", "sRGB", "HDR", "HDR PQ"], default="auto", display_name="color space")
        settings = [io.Float.Input("crf", default=crf, min=0.0, max=worst, step=1.0), spaces]
        choices = [io.DynamicCombo.Option("auto", []), io.DynamicCombo.Option("re-encode", settings)]
        return io.DynamicCombo.Input("encoding", choices, display_name="encoding mode", optional=True)

    options = [io.DynamicCombo.Option(codec, [encoding(codec)] if codec in depth else []) for codec in codecs]
    return io.DynamicCombo.Input("codec", options, **named)


class SaveVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        containers = {
            "auto": ["auto", "h264", "av1"],
            "mp4": ["auto", "h264", "av1"],
            "mkv": ["auto", "h264", "av1"],
            "webm": ["auto", "av1"],
        }
        return io.Schema(
            node_id="SaveVideo",
            display_name="Save Video",
            category="video",
            description="Saves the input videos to your ComfyUI output directory.",
            inputs=[
                io.Video.Input("video", tooltip="The video to save."),
                io.String.Input("filename_prefix", default="video/ComfyUI", tooltip="Folder and first part of the file name."),
                io.DynamicCombo.Input(
                    "format", [io.DynamicCombo.Option(name, [_codec_input(codecs)]) for name, codecs in containers.items()]
                ),
                _codec_input(["auto", "h264", "av1"], optional=True, extra_dict={"hidden": True}),
            ],
            outputs=[io.Video.Output("video", tooltip="The input video, unchanged.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, video, filename_prefix, format, codec=None):
        chosen = format.get("codec") or codec or {"codec": "auto"}
        if format["format"] == "webm" or chosen["codec"] == "av1":
            raise ValueError(
                f"format {format['format']} with codec {chosen['codec']} is written by ComfyUI only: choose mp4 or mkv with h264"
            )
        settings = chosen.get("encoding") or {}
        path = host.current().output_file(filename_prefix, ".mkv" if format["format"] == "mkv" else ".mp4")
        video.save_to(str(path), crf=settings.get("crf"), color_space=settings.get("color_space"))
        return io.NodeOutput(video, ui=ui.PreviewVideo([ui.SavedResult(**host.current().saved(path))]))


class Preview3D(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        kinds = [io.File3DGLB, io.File3DGLTF, io.File3DFBX, io.File3DOBJ, io.File3DSTL, io.File3DUSDZ, io.File3DAny]
        return io.Schema(
            node_id="Preview3D",
            display_name="Preview 3D & Animation",
            category="3d",
            is_experimental=True,
            inputs=[
                io.MultiType.Input(
                    io.String.Input("model_file", default="", multiline=False), types=kinds, tooltip="3D model file or path string"
                ),
                io.Load3DCamera.Input("camera_info", optional=True, advanced=True),
                io.Image.Input("bg_image", optional=True, advanced=True),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model_file, camera_info=None, bg_image=None):
        shown = model_file if isinstance(model_file, str) else None
        return io.NodeOutput(ui=ui.PreviewUI3D(shown, camera_info))


class PreviewAny(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PreviewAny",
            display_name="Preview as Text",
            category="utilities",
            description="Preview any input value as text.",
            inputs=[io.AnyType.Input("source")],
            outputs=[io.String.Output()],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, source):
        return io.NodeOutput(str(source), ui=ui.PreviewText(str(source)))


NODES = [
    LoadImage,
    InvertMask,
    SaveImage,
    PreviewImage,
    LoadVideo,
    GetVideoComponents,
    CreateVideo,
    SaveVideo,
    Preview3D,
    PreviewAny,
    *MODEL_NODES,
]
