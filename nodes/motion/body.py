"""Motions on the bones of a body model, and its mesh."""

import torch
from comfy_api.latest import Types, io, ui

from ...core.body.animation import to_world
from ...core.body.models import pose_model
from ...core.body.report import describe_motion
from .. import sockets


class PoseBodyModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_PoseBodyModel",
            display_name="Pose Body Model",
            category="motion4d/motion",
            description="The motion on the bones of a body model: its rotations and path with the exact bone lengths of the motion's betas, instead of those of "
            "this pack's own rest skeleton.",
            search_aliases=["smpl joints", "betas", "bone lengths"],
            inputs=[
                sockets.BodyModel.Input("body_model", tooltip="Of Load Body Model."),
                sockets.Motion.Input("motion", tooltip="A motion with rotations, such as from AMASS, GVHMR or NLF."),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion", tooltip="With the joints of the model: 24, 52 or 55."),
                io.String.Output(display_name="report", tooltip="What is in the motion, and which shape was used."),
            ],
        )

    @classmethod
    def execute(cls, body_model, motion):
        posed = pose_model(body_model, motion)
        report = describe_motion(posed)
        return io.NodeOutput(posed, report, ui=ui.PreviewText(report))


class MakeBodyMesh(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_MakeBodyMesh",
            display_name="Make Body Mesh",
            category="motion4d/motion",
            description="The mesh of a body model in one frame of a motion, for Save 3D Model. Needs the package smplx, whose licence is for non-commercial "
            "research.",
            search_aliases=["smpl mesh", "skin", "body glb"],
            inputs=[
                sockets.BodyModel.Input("body_model", tooltip="Of Load Body Model."),
                sockets.Motion.Input("motion", tooltip="A motion with rotations; one in camera space is stood upright."),
                io.Int.Input("frame", default=0, min=0, max=999999, tooltip="Which frame, from 0."),
            ],
            outputs=[io.Mesh.Output(display_name="mesh", tooltip="Metres, Y up.")],
        )

    @classmethod
    def execute(cls, body_model, motion, frame):
        if frame >= motion.frames:
            raise ValueError(f"frame is {frame}, the motion has {motion.frames}, from 0: choose an earlier one")
        posed = pose_model(body_model, to_world(motion).cut(frame, frame + 1))
        vertices = body_model.vertices(posed.rotations, posed.translation, posed.shape)
        return io.NodeOutput(Types.MESH(vertices, body_model.faces[None].to(torch.int64)))
