"""Motions out of the graph."""

from comfy_api.latest import Types, io

from ...core.formats import WRITE_SUFFIXES, motion_as_glb, save_motion
from .. import host, sockets


class SaveMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SaveMotion",
            display_name="Save Motion",
            category="motion4d/motion",
            description="Writes a motion into the output folder: npz (everything, exact), BVH (for animation programs) or GLB (an animated stick figure "
            "that any 3D viewer plays).",
            search_aliases=["export bvh", "export glb", "export npz"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="A motion in camera space is stood upright for BVH and GLB."),
                io.String.Input(
                    "filename_prefix", default="motion4d/motion", tooltip="Folder and first part of the file name inside the output folder."
                ),
                io.Combo.Input(
                    "format",
                    options=[suffix[1:] for suffix in WRITE_SUFFIXES],
                    default="npz",
                    tooltip="npz keeps everything; BVH and GLB hold rotations of a rest pose.",
                ),
            ],
            outputs=[io.String.Output(display_name="path", tooltip="Inside the output folder, as Preview 3D takes it.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, motion, filename_prefix, format):
        here = host.current()
        path = here.output_file(filename_prefix, f".{format}")
        save_motion(motion, path)
        entry = here.saved(path)
        return io.NodeOutput("/".join(part for part in (entry["subfolder"], entry["filename"]) if part), ui={"files": [entry]})


class PreviewMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_PreviewMotion",
            display_name="Preview Motion",
            category="motion4d/motion",
            description="The motion as an animated stick figure for ComfyUI's Preview 3D & Animation node. Writes no file of its own.",
            search_aliases=["preview 3d", "show motion"],
            inputs=[sockets.Motion.Input("motion", tooltip="The motion to look at.")],
            outputs=[io.File3DGLB.Output(display_name="model_file", tooltip="Connect to Preview 3D & Animation, or to Save 3D Model.")],
        )

    @classmethod
    def execute(cls, motion):
        return io.NodeOutput(Types.File3D(motion_as_glb(motion), file_format="glb"))
