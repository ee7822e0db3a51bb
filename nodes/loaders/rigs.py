"""Rigged characters."""

from comfy_api.latest import io, ui

from ...core.formats import load_rig
from ...core.formats.rig_animation import rig_animation
from ...core.formats.rig_report import animation_report, rig_report
from ...core.geometry.kinematics import forward
from .. import host, sockets
from .inputs import NONE, FileLoader, default_input, file_input

RIG_SUFFIXES = (".glb", ".gltf", ".vrm")


class LoadRig(FileLoader):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_LoadRig",
            display_name="Load Rig",
            category="motion4d/load",
            description="Reads a rigged character of any kind from glTF (.glb, .gltf) or VRM: its joints, its rest pose, its meshes and one of its animations.",
            search_aliases=["import character", "glb", "gltf", "vrm", "armature", "skeleton", "animation clip", "mixamo"],
            inputs=[
                file_input("file", RIG_SUFFIXES, "A file of the input folder; none takes the rig connected to `default`."),
                io.Int.Input(
                    "skin",
                    default=-1,
                    min=-1,
                    max=999,
                    tooltip="Which skin the joints are taken from, from 0; -1 takes those of all skins that the scene shows.",
                ),
                io.Int.Input(
                    "clip",
                    default=0,
                    min=0,
                    max=9999,
                    tooltip="Which animation of the file, from 0; `contents` lists them. A file without any gives its rest pose.",
                ),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=240.0,
                    step=0.01,
                    tooltip="Frames per second that the animation is sampled at; 0 takes the rate that its keys lie on.",
                ),
                default_input(sockets.Rig),
            ],
            outputs=[
                sockets.Rig.Output(display_name="rig"),
                sockets.Animation.Output(display_name="animation", tooltip="The animation of the file, or the rest pose for one frame."),
                sockets.Motion.Output(display_name="motion", tooltip="The joints of the animation in the world."),
                io.String.Output(display_name="contents", tooltip="Joints, helper bones, meshes, animations, and what was assumed."),
            ],
        )

    @classmethod
    def execute(cls, file, skin, clip, fps, default=None):
        if file == NONE and default is None:
            raise ValueError("file: no rig is chosen; choose one, or connect a rig to `default`")
        rig = default if file == NONE else load_rig(host.current().input_file(file), skin=None if skin < 0 else skin)
        animation = rig_animation(rig, clip, fps=fps or None)
        contents = f"{rig_report(rig)}\n\nthe animation read: {animation_report(animation)}"
        return io.NodeOutput(rig, animation, forward(animation), contents, ui=ui.PreviewText(contents))
