"""Motions of this pack in the forms that other packs and ComfyUI itself take."""

from comfy_api.latest import io, ui

from ...core.formats.wires import save_smpl_params, to_mtvcrafter_motion, to_nlfpred, to_pose_keypoints, to_smpl_params
from .. import host, sockets

_OTHERS = ("motion_2", "motion_3", "motion_4")


def _motion_inputs() -> list[io.Custom]:
    others = [sockets.Motion.Input(name, optional=True, tooltip="Another person, in as many frames.") for name in _OTHERS]
    return [
        sockets.CameraRig.Input(
            "cameras", optional=True, tooltip="Who sees a motion in world space. One in camera space has its own camera."
        ),
        *others,
    ]


def _given(*motions) -> list:
    return [motion for motion in motions if motion is not None]


class ConvertMotionToNLF(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ConvertMotionToNLF",
            display_name="Convert Motion to NLF Poses",
            category="motion4d/convert",
            description="Motions as NLF poses (NLFPRED), for WanVideoWrapper's MTV Crafter, SCAIL-Pose and other nodes that take them.",
            search_aliases=["nlfpred", "nlf", "scail", "export pose"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="24 SMPL joints; Convert Skeleton makes them of others."),
                io.Int.Input("view", default=0, min=0, max=999, tooltip="Which of the cameras, from 0."),
                *_motion_inputs(),
            ],
            outputs=[
                sockets.NLFPred.Output(
                    display_name="nlf_poses", tooltip="Millimetres in camera space; frames without a person leave it out."
                ),
                io.String.Output(display_name="report", tooltip="What was bridged, and at which picture size to draw it."),
            ],
        )

    @classmethod
    def execute(cls, motion, view, cameras=None, motion_2=None, motion_3=None, motion_4=None):
        poses, notes = to_nlfpred(_given(motion, motion_2, motion_3, motion_4), rig=cameras, view=view)
        report = "\n".join([f"{motion.frames} frames for a video of {motion.fps:g} fps", *notes])
        return io.NodeOutput(poses, report, ui=ui.PreviewText(report))


class ConvertMotionToOpenPose(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ConvertMotionToOpenPose",
            display_name="Convert Motion to OpenPose",
            category="motion4d/convert",
            description="Motions seen by a camera as POSE_KEYPOINT, for ControlNet preprocessors, pose editors and ComfyUI's SDPose Draw Keypoints. Bodies "
            "only: face and hands are there without points.",
            search_aliases=["openpose", "dwpose", "pose keypoint", "controlnet", "export pose"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="SMPL or SMPL-X joints."),
                io.Int.Input("view", default=0, min=0, max=999, tooltip="Which of the cameras, from 0."),
                *_motion_inputs(),
            ],
            outputs=[
                sockets.PoseKeypoint.Output(
                    display_name="pose_keypoint", tooltip="One entry for each frame, in pixels of the camera's picture."
                )
            ],
        )

    @classmethod
    def execute(cls, motion, view, cameras=None, motion_2=None, motion_3=None, motion_4=None):
        return io.NodeOutput(to_pose_keypoints(_given(motion, motion_2, motion_3, motion_4), rig=cameras, view=view))


class ConvertMotionToSMPL(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ConvertMotionToSMPL",
            display_name="Convert Motion to SMPL Parameters",
            category="motion4d/convert",
            description="A motion as SMPL parameters under GVHMR's keys (SMPL_PARAMS), for the nodes of motion-capture packs that make FBX and BVH of them. "
            "Rotations that the motion lacks are solved from its joints. Unverified with those nodes.",
            search_aliases=["smpl params", "gvhmr", "hymotion", "fbx", "rotations"],
            inputs=[sockets.Motion.Input("motion", tooltip="SMPL or SMPL-X joints.")],
            outputs=[
                sockets.SMPLParams.Output(
                    display_name="smpl_params", tooltip="In the world, Y up, and for a motion in camera space also in the camera."
                ),
                io.String.Output(
                    display_name="report", tooltip="What was solved or assumed, and the frame rate, which the parameters do not hold."
                ),
            ],
        )

    @classmethod
    def execute(cls, motion):
        params, notes = to_smpl_params(motion)
        report = "\n".join([f"{motion.frames} frames of {motion.fps:g} fps", *notes])
        return io.NodeOutput(params, report, ui=ui.PreviewText(report))


class SaveSMPLParameters(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SaveSMPLParameters",
            display_name="Save SMPL Parameters",
            category="motion4d/convert",
            description="Writes a motion as an npz file with GVHMR's keys, for nodes of other packs that take the path of such a file, and for GVHMR's own "
            "tools. Unverified with those; Load Motion reads it.",
            search_aliases=["export gvhmr", "npz path", "smpl npz"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="SMPL or SMPL-X joints."),
                io.String.Input(
                    "filename_prefix", default="motion4d/smpl", tooltip="Folder and first part of the file name inside the output folder."
                ),
            ],
            outputs=[
                io.String.Output(display_name="npz_path", tooltip="The whole path, as nodes of other packs take it."),
                io.String.Output(display_name="report", tooltip="What was solved or assumed."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, motion, filename_prefix):
        here = host.current()
        path = here.output_file(filename_prefix, ".npz")
        report = "\n".join([f"{motion.frames} frames of {motion.fps:g} fps", *save_smpl_params(motion, path)])
        return io.NodeOutput(str(path.resolve()), report, ui={"files": [here.saved(path)]})


class ConvertTokens(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ConvertTokens",
            display_name="Convert Tokens to MTV Crafter",
            category="motion4d/convert",
            description="Motion tokens for WanVideoWrapper's MTV Crafter nodes (MTVCRAFTERMOTION): connect them to WanVideo MTV Crafter Motion. "
            "Unverified: it follows the other pack's source, and was not run with it.",
            search_aliases=["mtvcraftermotion", "mtv crafter", "wanvideo", "kijai"],
            inputs=[
                sockets.MotionTokens.Input("tokens", tooltip="Of Encode Motion Tokens, of 24 joints."),
                sockets.Tokenizer.Input("tokenizer", tooltip="The tokenizer that made them: its statistics go along."),
            ],
            outputs=[
                sockets.MTVCrafterMotion.Output(
                    display_name="mtvcrafter_motion", tooltip="Tokens, with the mean and deviation in millimetres."
                )
            ],
        )

    @classmethod
    def execute(cls, tokens, tokenizer):
        return io.NodeOutput(to_mtvcrafter_motion(tokens, tokenizer.spec.statistics))
