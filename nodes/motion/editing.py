"""Motions edited as a whole, given other bones, other joints or other axes."""

from comfy_api.latest import io, ui

from ...core.body.editing import HIGHEST_FPS, OPERATIONS, edit_motion
from ...core.body.joining import LONGEST_BLEND
from ...core.body.report import describe_motion
from ...core.body.retargeting import SLIDERS, convert_skeleton, ratio_report, retarget
from ...core.body.spaces import SPACES, convert_space
from ...core.skeletons import STANDARD
from .. import sockets


class EditMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_EditMotion",
            display_name="Edit Motion",
            category="motion4d/motion",
            description="Keep a part of a motion, change its frame rate, close it to a loop, let another motion follow it, or mirror it. Joins are blended on "
            "rotations, so that nothing jumps and bones keep their lengths.",
            search_aliases=["trim", "resample", "frame rate", "loop", "concatenate", "join motions", "mirror", "flip"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="Any motion, in world or camera space."),
                io.Combo.Input("operation", options=list(OPERATIONS), default="trim", tooltip="What to do; concatenate needs `other`."),
                io.Int.Input("start", default=0, min=0, max=999999, tooltip="trim: first frame to keep, from 0."),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=999999,
                    tooltip="trim: number of frames to keep; 0, or more than there are, keeps all that follow.",
                ),
                io.Float.Input(
                    "fps",
                    default=30.0,
                    min=1.0,
                    max=HIGHEST_FPS,
                    step=0.01,
                    tooltip="resample: the new frame rate. The duration stays.",
                ),
                io.Float.Input(
                    "blend",
                    default=0.5,
                    min=0.0,
                    max=LONGEST_BLEND,
                    step=0.05,
                    tooltip="loop, concatenate: seconds over which the two sides of the seam are brought together, half on each side.",
                ),
                io.Boolean.Input(
                    "keep_drift",
                    default=False,
                    tooltip="loop: keep the way over the floor and close the pose only, as for a walk that goes on; off, the motion ends where it begins.",
                ),
                sockets.Motion.Input(
                    "other",
                    optional=True,
                    tooltip="concatenate: the motion that follows; it is turned and shifted to go on where the first ends.",
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion"),
                io.Float.Output(display_name="fps", tooltip="Of the result."),
                io.String.Output(display_name="report", tooltip="What the result is, and what was done to it."),
            ],
        )

    @classmethod
    def execute(cls, motion, operation, start, frames, fps, blend, keep_drift, other=None):
        edited = edit_motion(motion, operation, other=other, start=start, count=frames, fps=fps, blend_seconds=blend, keep_drift=keep_drift)
        report = describe_motion(edited)
        return io.NodeOutput(edited, edited.fps, report, ui=ui.PreviewText(report))


def _slider(limb: str, covers: str):
    return io.Float.Input(
        limb, default=1.0, min=SLIDERS[0], max=SLIDERS[1], step=0.01, tooltip=f"Factor on the length of the {limb} ({covers})."
    )


class RetargetMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_RetargetMotion",
            display_name="Retarget Motion",
            category="motion4d/motion",
            description="Gives a motion the proportions of another body in 3D, before it is drawn or made tokens: an adult's dance for a child, or for the person in a "
            "reference picture. Bones keep their directions, planted feet stay planted.",
            search_aliases=["proportions", "bone length", "body shape", "limb length", "retargeting", "reference proportions"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="Whose movement to keep."),
                _slider("torso", "also the width of hips and shoulders"),
                _slider("arms", "with the hands"),
                _slider("legs", "with the feet"),
                _slider("head", "with the neck"),
                io.Boolean.Input(
                    "keep_contacts",
                    default=True,
                    tooltip="Steps grow with the legs, so that feet do not slide; off keeps the way through the scene as long as it was.",
                ),
                io.Boolean.Input(
                    "keep_stature",
                    default=False,
                    tooltip="Take the proportions of the target only, not its size.",
                ),
                sockets.Motion.Input(
                    "target",
                    optional=True,
                    tooltip="Whose bones to take: any motion of that body; one frame, as from a reference picture, will do.",
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion"),
                io.String.Output(
                    display_name="report", tooltip="Length and ratio of each limb, and the bones that had to be held within limits."
                ),
            ],
        )

    @classmethod
    def execute(cls, motion, torso, arms, legs, head, keep_contacts, keep_stature, target=None):
        factors = {"torso": torso, "arms": arms, "legs": legs, "head": head}
        result = retarget(motion, target, factors=factors, keep_contacts=keep_contacts, keep_stature=keep_stature)
        report = ratio_report(motion, result)
        return io.NodeOutput(result, report, ui=ui.PreviewText(report))


class ConvertSpace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ConvertSpace",
            display_name="Convert Space",
            category="motion4d/motion",
            description="Brings a motion from camera space to the world or from the world before a camera, or levels the floor under its feet.",
            search_aliases=["world space", "camera space", "ground", "floor", "tilt", "upright"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="In world or camera space."),
                io.Combo.Input(
                    "space",
                    options=list(SPACES),
                    default="world",
                    tooltip="world: upright, on y = 0; camera: as `cameras` see it; ground: in the world, with the floor levelled from where the feet stand.",
                ),
                io.Int.Input("view", default=0, min=0, max=63, tooltip="Which of `cameras`, from 0."),
                sockets.CameraRig.Input(
                    "cameras",
                    optional=True,
                    tooltip="Needed for camera. From camera space to the world: where the camera stood; without it, it is taken as level.",
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion"),
                io.String.Output(display_name="report", tooltip="What the result is, and what was assumed."),
            ],
        )

    @classmethod
    def execute(cls, motion, space, view, cameras=None):
        result = convert_space(motion, space, rig=cameras, view=view)
        report = describe_motion(result)
        return io.NodeOutput(result, report, ui=ui.PreviewText(report))


class ConvertSkeleton(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ConvertSkeleton",
            display_name="Convert Skeleton",
            category="motion4d/motion",
            description="A motion on the joints of another skeleton: SMPL's 24, SMPL-X's 55, COCO's 17 or OpenPose's 18; Mixamo's and VRM's joints are understood. What the source "
            "lacks is derived where the body leaves no choice, and missing else.",
            search_aliases=["smpl", "smplx", "coco", "openpose", "mixamo", "joint mapping"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="Joints are matched by the names of SMPL, Mixamo or VRM."),
                io.Combo.Input("skeleton", options=list(STANDARD), default="smpl24", tooltip="The joints to convert to."),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion"),
                io.String.Output(display_name="report", tooltip="Which joints were derived and which are missing."),
            ],
        )

    @classmethod
    def execute(cls, motion, skeleton):
        result = convert_skeleton(motion, STANDARD[skeleton])
        report = describe_motion(result)
        return io.NodeOutput(result, report, ui=ui.PreviewText(report))
