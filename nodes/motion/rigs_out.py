"""Animations of rigs out of the graph."""

from io import BytesIO

from comfy_api.latest import Types, io, ui

from ...core.formats.glb_writer import animated_glb
from ...core.formats.key_reduction import KeyTolerance
from ...core.formats.rig_animation import ANIMATION_SUFFIXES, on_skeleton, save_animation
from ...core.formats.rig_report import added_report, animation_report
from .. import host, sockets


class SaveAnimatedRig(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SaveAnimatedRig",
            display_name="Save Animated Rig",
            category="motion4d/rigs",
            description="Writes an animation into the output folder: as the user's own character with one animation more (GLB; meshes, materials and other "
            "animations stay as they are), as BVH, or as a motion (npz).",
            search_aliases=["export glb", "export bvh", "animated character", "retargeted glb", "preview 3d", "key reduction"],
            inputs=[
                sockets.Animation.Input(
                    "animation", tooltip="Of Load Rig or Solve Skeleton; one of a plain skeleton becomes a stick figure."
                ),
                io.String.Input(
                    "filename_prefix", default="motion4d/rig", tooltip="Folder and first part of the file name inside the output folder."
                ),
                io.Combo.Input(
                    "format",
                    options=[suffix[1:] for suffix in ANIMATION_SUFFIXES],
                    default="glb",
                    tooltip="GLB is the character itself; BVH and npz hold its joints.",
                ),
                io.Float.Input(
                    "key_degrees",
                    default=0.0,
                    min=0.0,
                    max=45.0,
                    step=0.01,
                    tooltip="GLB: leave out keys as long as no joint turns further than this from its rotation at any frame; 0 keeps all keys.",
                ),
                io.Float.Input(
                    "key_metres",
                    default=0.001,
                    min=0.0001,
                    max=1000.0,
                    step=0.0001,
                    tooltip="GLB: while keys are left out, no joint leaves its place by more than this, in the unit of the rig.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="path", tooltip="Inside the output folder, as Preview 3D takes it."),
                io.File3DGLB.Output(
                    display_name="model_file",
                    tooltip="For Preview 3D & Animation: the GLB that was written, or for other formats their joints as a stick figure.",
                ),
                io.String.Output(display_name="report", tooltip="Length, size, and how far the joints are from those asked for."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, animation, filename_prefix, format, key_degrees, key_metres):
        here = host.current()
        tolerance = KeyTolerance(degrees=key_degrees, metres=key_metres) if key_degrees else None
        path = here.output_file(filename_prefix, f".{format}")
        save_animation(animation, path, tolerance=tolerance)
        model = path.read_bytes() if format == "glb" else animated_glb(on_skeleton(animation))
        entry = here.saved(path)
        name = "/".join(part for part in (entry["subfolder"], entry["filename"]) if part)
        places = added_report(animation) if format == "glb" else ()
        report = "\n".join([f"{name}: {path.stat().st_size / 1024:.0f} KiB", *places, animation_report(animation)])
        return io.NodeOutput(
            name, Types.File3D(BytesIO(model), file_format="glb"), report, ui={"files": [entry], **ui.PreviewText(report).as_dict()}
        )
