"""The picture of the person to animate."""

from comfy_api.latest import io

from ...core.formats.pictures import PICTURE_SUFFIXES, read_picture
from .. import host
from .inputs import NONE, FileLoader, file_input


class LoadReference(FileLoader):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_LoadReference",
            display_name="Load Reference Picture",
            category="motion4d/load",
            description="The picture of the person to animate, from a file; without one the picture connected to `default`, so that a workflow runs as it is.",
            search_aliases=["load image", "reference image", "character picture"],
            inputs=[
                file_input("file", PICTURE_SUFFIXES, "A picture of the input folder; none takes the one connected to `default`."),
                io.Image.Input("default", optional=True, tooltip="Handed on while no file is chosen; the first picture of a batch."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="One picture, without transparency: what is clear becomes white.")],
        )

    @classmethod
    def execute(cls, file, default=None):
        if file != NONE:
            picture, alpha = read_picture(host.current().input_file(file))
            return io.NodeOutput((picture if alpha is None else picture * alpha[..., None] + 1 - alpha[..., None])[None])
        if default is None:
            raise ValueError("file: no picture is chosen; choose one, or connect one to `default`")
        return io.NodeOutput(default[:1, ..., :3])
