"""Poses and motions that other packs and ComfyUI itself hand on, as motions of this pack."""

from comfy_api.latest import io, ui

from ...core.body.report import describe_motion
from ...core.body.tokens import describe_tokens
from ...core.estimators.report import describe
from ...core.estimators.wires import detections_of
from ...core.formats.wires import SPACES, from_mtvcrafter_motion, from_pose_keypoints, pose_data_motion
from .. import host, sockets

_FPS = "Frames per second; such data has none of its own. 0 means 30."


def _size_inputs() -> list[io.Int.Input]:
    """Width and height of the picture, which NLFPRED does not tell."""
    return [
        io.Int.Input(
            name,
            default=0,
            min=0,
            max=16384,
            tooltip=f"{name.capitalize()} of the picture in pixels, which NLF poses do not tell; others do.",
        )
        for name in ("width", "height")
    ]


def _image_size(width: int, height: int) -> tuple[int, int] | None:
    if bool(width) != bool(height):
        raise ValueError(f"width is {width} and height {height}: give both, or 0 for both")
    return (height, width) if width else None


class ConvertToMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ConvertToMotion",
            display_name="Convert to Motion",
            category="motion4d/convert",
            description="One person's motion from what other packs hand on: NLF poses (NLFPRED), ComfyUI's SAM 3D Body (MHR_POSE_DATA; unverified, no real "
            "sample was at hand), Kimodo (KIMODO_POSE_DATA; unverified) and SMPL parameters under GVHMR's keys (SMPL_PARAMS; unverified).",
            search_aliases=["nlfpred", "nlf", "sam 3d body", "mhr", "smpl params", "gvhmr", "kimodo", "import pose"],
            inputs=[
                io.MultiType.Input("pose_data", types=list(sockets.POSE_DATA), tooltip="What it is, its keys tell."),
                io.Float.Input("fps", default=0.0, min=0.0, max=240.0, step=0.01, tooltip=_FPS),
                io.Int.Input(
                    "person",
                    default=0,
                    min=0,
                    max=99,
                    tooltip="Which person of each frame's list; Convert to People follows people over time.",
                ),
                *_size_inputs(),
                io.Combo.Input(
                    "space",
                    options=list(SPACES),
                    default=SPACES[0],
                    tooltip="SMPL parameters: the motion in the world, or as the camera saw it.",
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion", tooltip="In metres; in camera space, but for SMPL parameters in the world."),
                io.String.Output(display_name="report", tooltip="What is in it and what was assumed."),
            ],
        )

    @classmethod
    def execute(cls, pose_data, fps, person, width, height, space):
        motion = pose_data_motion(pose_data, fps=fps or None, image_size=_image_size(width, height), person=person, space=space)
        report = describe_motion(motion)
        return io.NodeOutput(motion, report, ui=ui.PreviewText(report))


class ConvertToPeople(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ConvertToPeople",
            display_name="Convert to People",
            category="motion4d/convert",
            description="Everybody that another pack found, as Extract Motion gives them, for Select Person to follow: NLF poses (NLFPRED), ComfyUI's SAM 3D Body "
            "(MHR_POSE_DATA; unverified) and Kimodo (KIMODO_POSE_DATA; unverified).",
            search_aliases=["nlfpred", "sam 3d body", "mhr", "several people", "track people"],
            inputs=[
                io.MultiType.Input("pose_data", types=list(sockets.POSE_DATA[:3]), tooltip="What it is, its keys tell."),
                io.Float.Input("fps", default=0.0, min=0.0, max=240.0, step=0.01, tooltip=_FPS),
                *_size_inputs(),
            ],
            outputs=[
                sockets.People.Output(display_name="people", tooltip="Everybody in every frame; for Select Person."),
                io.String.Output(display_name="report", tooltip="How many people in which frames, and what was assumed."),
            ],
        )

    @classmethod
    def execute(cls, pose_data, fps, width, height):
        people = detections_of(pose_data, fps=fps or None, image_size=_image_size(width, height))
        report = describe(people)
        return io.NodeOutput(people, report, ui=ui.PreviewText(report))


class ConvertToKeypoints(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ConvertToKeypoints",
            display_name="Convert to Keypoints",
            category="motion4d/convert",
            description="The body of one person in POSE_KEYPOINT, from ControlNet preprocessors (DWPose, OpenPose) or ComfyUI's SDPose, as 18 joints in pixels.",
            search_aliases=["openpose", "dwpose", "sdpose", "pose keypoint", "2d pose"],
            inputs=[
                sockets.PoseKeypoint.Input("pose_keypoint", tooltip="In pixels or in parts of the canvas, which it tells apart."),
                io.Int.Input("person", default=0, min=0, max=99, tooltip="Which person of each frame's list."),
            ],
            outputs=[
                sockets.Keypoints.Output(display_name="keypoints", tooltip="Pixels and confidence of OpenPose's 18 joints, one view."),
                io.String.Output(display_name="report", tooltip="In how many frames which share of the joints is there."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, pose_keypoint, person):
        keypoints = from_pose_keypoints(pose_keypoint, person=person)
        seen, (height, width) = keypoints.seen[0], keypoints.image_size
        report = f"{len(seen)} frames of {width}x{height}, the person in {int(seen.any(-1).sum())} of them, {float(seen.float().mean()):.0%} of all joints"
        return io.NodeOutput(keypoints, report, ui=ui.PreviewText(report))


class ConvertToTokens(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ConvertToTokens",
            display_name="Convert to Tokens",
            category="motion4d/convert",
            description="Motion tokens of WanVideoWrapper's MTV Crafter nodes (MTVCRAFTERMOTION) as tokens of this pack, to decode, edit or condition on. "
            "Unverified: it follows the other pack's source, and was not fed its data.",
            search_aliases=["mtvcraftermotion", "mtv crafter", "wanvideo", "kijai"],
            inputs=[
                sockets.MTVCrafterMotion.Input("mtvcrafter_motion", tooltip="Of MTV Crafter Encode Poses."),
                sockets.Tokenizer.Input(
                    "tokenizer", tooltip="The same 4DMoT weights: its statistics are compared, and its codes found again."
                ),
                io.Float.Input("fps", default=0.0, min=0.0, max=240.0, step=0.01, tooltip=_FPS),
            ],
            outputs=[
                sockets.MotionTokens.Output(display_name="tokens"),
                io.String.Output(display_name="report", tooltip="Codes, how well they fit, and what was assumed."),
            ],
        )

    @classmethod
    def execute(cls, mtvcrafter_motion, tokenizer, fps):
        with host.on_device(tokenizer.model) as device:
            tokens, notes = from_mtvcrafter_motion(
                mtvcrafter_motion, spec=tokenizer.spec.name, statistics=tokenizer.spec.statistics, fps=fps or 30.0,
                quantise=lambda vectors: tokenizer.model.quantise(vectors.to(device)),
            )  # fmt: skip
        report = "\n".join([describe_tokens(tokens), *(f"note: {note}" for note in notes)])
        return io.NodeOutput(tokens, report, ui=ui.PreviewText(report))
