"""Rotations of rigs and skeletons from joints."""

from comfy_api.latest import io, ui

from ...core.body.animation import measured_skeleton, to_world
from ...core.body.retargeting import convert_skeleton
from ...core.body.rig_matching import motion_on, solving_report
from ...core.geometry.ik import AIMS, METHODS, TWISTS, solve_rotations
from ...core.geometry.kinematics import forward
from ...core.skeletons import STANDARD
from .. import sockets

SAME = "of the motion"
_POSED = [name for name, skeleton in STANDARD.items() if skeleton.rest is not None]


class SolveSkeleton(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SolveSkeleton",
            display_name="Solve Skeleton",
            category="motion4d/motion",
            description="Finds the rotations that bring a rig, or a skeleton, to the joints of a motion: inverse kinematics from the roots to the leaves, for "
            "any tree of joints.",
            search_aliases=[
                "inverse kinematics",
                "ik",
                "fabrik",
                "retarget to rig",
                "joints to rotations",
                "drive character",
                "animate rig",
            ],
            inputs=[
                sockets.Motion.Input(
                    "motion", tooltip="Joints to reach; of a rig they are matched by name. Camera space is turned upright."
                ),
                io.Combo.Input(
                    "skeleton",
                    options=[SAME, *_POSED],
                    default=SAME,
                    tooltip="Without a rig: the joints to turn, with the person's bone lengths (size: fit) or those of the rest pose (size: keep).",
                ),
                io.Combo.Input(
                    "twist",
                    options=list(TWISTS),
                    default="inherit",
                    tooltip="How bones turn about themselves, which joints do not show: like their parent, carried on over time, as hinges, or by a fit over "
                    "the clip.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default="direct",
                    tooltip="direct turns bone after bone; fabrik moves the joints to the lengths of the bones first.",
                ),
                io.Combo.Input(
                    "aim",
                    options=list(AIMS),
                    default="positions",
                    tooltip="positions brings joints to where they are asked for; directions copies poses to a body of other proportions.",
                ),
                io.Combo.Input(
                    "size",
                    options=["keep", "fit"],
                    default="keep",
                    tooltip="fit makes the motion as large as the rig, as where one is in metres and the other in centimetres.",
                ),
                sockets.Rig.Input("rig", optional=True, tooltip="The character to move; it takes the place of `skeleton`."),
                sockets.CameraRig.Input("cameras", optional=True, tooltip="The report then tells distances in pixels too."),
            ],
            outputs=[
                sockets.Animation.Output(display_name="animation", tooltip="Rotations in the rig's own frames, and where its roots are."),
                sockets.Motion.Output(display_name="motion", tooltip="The joints that the animation reaches."),
                io.String.Output(display_name="report", tooltip="Distances from the joints asked for, and what was missing or assumed."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, motion, skeleton, twist, method, aim, size, rig=None, cameras=None):
        motion, target = to_world(motion), rig
        if rig is not None:
            motion = motion_on(motion, rig.skeleton, fit_size=size == "fit")
        else:
            motion = motion if skeleton == SAME else convert_skeleton(motion, STANDARD[skeleton])
            target = measured_skeleton(motion) if size == "fit" or motion.skeleton.rest is None else motion.skeleton
        animation = solve_rotations(motion, target, twist=twist, method=method, aim=aim)
        report = solving_report(animation, motion, cameras)
        return io.NodeOutput(animation, forward(animation), report, ui=ui.PreviewText(report))
