"""The parts of the driving cues: the face, the place in the reference, and the coarse masks of it."""

import torch
from comfy_api.latest import io, ui

from ...core.cues.clip_values import check_frames, colours, unit_masks
from ...core.cues.face_boxes import choose_faces, faces_of_bounding_boxes, to_bounding_boxes
from ...core.cues.face_cue import SHAPES, face_cue
from ...core.cues.face_finding import SOURCES, draw_face_boxes, find_faces
from ...core.cues.location_cue import GRIDS, draw_location, location_cue
from ...core.cues.similarity import SCALES, align_foreground, mask_boxes
from ...core.types import Similarity
from ...core.wording import counted
from .. import host, sockets

SOFTENINGS = ("mean", "max", "hard")
PLACEMENTS = {"enlarged": True, "in_place": False}


def face_inputs() -> list:
    """What tells where faces are; each of them optional."""
    return [
        sockets.BoundingBox.Input(
            "bboxes",
            optional=True,
            extra_dict={"forceInput": True},
            tooltip="Boxes of faces: of ComfyUI's MediaPipe face detection, SDPose Face Bounding Boxes, SAM 3 asked for faces, or one box for all frames.",
        ),
        sockets.PoseKeypoint.Input("pose_keypoint", optional=True, tooltip="Poses with face points: of SDPose or DWPose."),
        sockets.Motion.Input(
            "motion", optional=True, tooltip="The person's motion: its head joint tells where the face is, and when it is turned away."
        ),
        sockets.CameraRig.Input(
            "cameras",
            optional=True,
            tooltip="Of the motion; the first view counts. A motion in camera space needs none: the camera that filmed it is taken.",
        ),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip="1 on the person, one for each picture. It tells several faces apart; faces off the mask are somebody else's.",
        ),
    ]


def location_inputs() -> list:
    """How masks become coarse."""
    return [
        io.Combo.Input(
            "softening",
            options=list(SOFTENINGS),
            default="mean",
            tooltip="mean: a cell has the mean of its pixels. max: every cell that a mask touches is full. hard: masks stay as they are.",
        ),
        io.Combo.Input(
            "grid",
            options=list(GRIDS),
            default="pixels",
            tooltip="pixels: cells lie on the picture. bbox: the box of each mask is divided into 20 rows and 10 columns, as Wan-Animate does.",
        ),
        io.Int.Input(
            "cell",
            default=0,
            min=0,
            max=512,
            tooltip="Pixels of the side of a cell, of which the face has half; 0: a 32nd of the height.",
        ),
    ]


class ExtractFaceCue(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ExtractFaceCue",
            display_name="Extract Face Cue",
            category="motion4d/cues",
            description="DirectAnimator's face cue: one square crop around the face, of one size for the whole clip and without jitter, enlarged in the middle of a "
            "black picture. Frames that show no face, such as those from behind, are black.",
            search_aliases=["face crop", "face video", "directanimator", "wan animate face", "driving face", "stabilize face"],
            inputs=[
                io.Image.Input("images", tooltip="The driving video."),
                io.Combo.Input(
                    "source",
                    options=list(SOURCES),
                    default="auto",
                    tooltip="What tells where the face is. auto: the first that is connected of bboxes, pose_keypoint and motion. mediapipe detects faces, where "
                    "that package is installed.",
                ),
                io.Float.Input(
                    "margin",
                    default=1.5,
                    min=0.5,
                    max=5.0,
                    step=0.05,
                    tooltip="Side of the crop in sides of the box; 1 cuts chin and forehead off.",
                ),
                io.Int.Input(
                    "smoothing",
                    default=5,
                    min=1,
                    max=51,
                    step=2,
                    tooltip="Frames over which the path of the crop is smoothed; 1 follows every box.",
                ),
                io.Combo.Input(
                    "placement",
                    options=list(PLACEMENTS),
                    default="enlarged",
                    tooltip="enlarged: as large as the picture allows, in its middle. in_place: the face stays where and as it is in the video.",
                ),
                io.Int.Input("width", default=0, min=0, max=4096, step=8, tooltip="Of the cue in pixels; 0 takes that of the images."),
                io.Int.Input("height", default=0, min=0, max=4096, step=8, tooltip="Of the cue in pixels; 0 takes that of the images."),
                io.Combo.Input(
                    "mask_shape", options=list(SHAPES), default="ellipse", tooltip="Shape of face_mask within the box of the face."
                ),
                *face_inputs(),
            ],
            outputs=[
                io.Image.Output(display_name="face", tooltip="The face cue, one picture for each of the video."),
                io.Mask.Output(display_name="face_mask", tooltip="1 on the face where it is in the driving video; for Align to Reference."),
                sockets.BoundingBox.Output(
                    display_name="bboxes", tooltip="The box of the chosen face in each picture, none where there is none."
                ),
                io.Image.Output(display_name="preview", tooltip="The boxes on the pictures, made small."),
                io.String.Output(display_name="report", tooltip="Where there is no face, and which of several was taken."),
            ],
        )

    @classmethod
    def execute(
        cls, images, source, margin, smoothing, placement, width, height, mask_shape, bboxes=None, pose_keypoint=None, motion=None, cameras=None,
        mask=None,
    ):  # fmt: skip
        notes = check_frames(images, name="images")
        bar = host.current().progress(len(images))
        faces = find_faces(
            images, source, bounding_boxes=bboxes, pose_keypoint=pose_keypoint, motion=motion, rig=cameras,
            masks=None if mask is None else unit_masks(mask, "mask"), advance=bar.advance,
        )  # fmt: skip
        size = (height or images.shape[1], width or images.shape[2])
        face, masks = face_cue(
            images, faces.boxes, margin=margin, smoothing=smoothing, enlarge=PLACEMENTS[placement], size=size, mask_shape=mask_shape
        )
        report = "\n".join([faces.report(), *notes])
        preview = draw_face_boxes(images, faces)
        return io.NodeOutput(face, masks, to_bounding_boxes(faces.boxes), preview, report, ui=ui.PreviewText(report))


class AlignToReference(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_AlignToReference",
            display_name="Align to Reference",
            category="motion4d/cues",
            description="DirectAnimator's alignment: one scale and shift for the whole clip that bring the person of a driving video to the place and size of the "
            "person of the reference, for masks and, if wanted, for pictures.",
            search_aliases=["align mask", "rescale pose", "directanimator", "match person size", "similarity"],
            inputs=[
                io.Mask.Input(
                    "reference_mask",
                    tooltip="1 on the person of the reference, as large as the reference; the mask of Load Image is the other way round.",
                ),
                io.Mask.Input("masks", tooltip="1 on the person of the driving video, one for each frame; empty ones count for nothing."),
                io.Combo.Input(
                    "scale_by",
                    options=list(SCALES),
                    default="auto",
                    tooltip="auto compares heights; where a body is cut off below faces, if there are some, else widths. Or always the one named.",
                ),
                io.Mask.Input(
                    "face_mask", optional=True, tooltip="Of Extract Face Cue; it is moved along, and its boxes are the faces of the video."
                ),
                sockets.BoundingBox.Input(
                    "reference_face",
                    optional=True,
                    extra_dict={"forceInput": True},
                    tooltip="Box of the face in the reference; the largest of several.",
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="Pictures of the driving video, such as a cue, to move along; black beyond their edges.",
                ),
                io.Image.Input("reference", optional=True, tooltip="The reference, for the preview."),
            ],
            outputs=[
                io.Mask.Output(display_name="masks", tooltip="The person where the reference has it, as large as reference_mask."),
                io.Mask.Output(display_name="face_mask", tooltip="The face there; empty without face_mask."),
                io.Image.Output(display_name="images", tooltip="The pictures there; empty where none were given."),
                io.Float.Output(display_name="scale", tooltip="Pixels of the reference for each pixel of the video."),
                io.Float.Output(display_name="shift_x", tooltip="Pixels to the right, after scaling."),
                io.Float.Output(display_name="shift_y", tooltip="Pixels down, after scaling."),
                io.Image.Output(display_name="preview", tooltip="The moved masks over the reference."),
                io.String.Output(display_name="report", tooltip="Scale, shift, what they were read from and what was left out."),
            ],
        )

    @classmethod
    def execute(cls, reference_mask, masks, scale_by, face_mask=None, reference_face=None, images=None, reference=None):
        target, size = reference_mask[0], tuple(reference_mask.shape[1:])
        check_reference(reference, size)
        check_pictures(masks, face_mask=face_mask, images=images)
        notes = () if images is None else check_frames(images, name="images")
        faces = None if face_mask is None else mask_boxes(unit_masks(face_mask, "face_mask"))
        own = box_of_reference(reference_face, size)
        alignment = align_foreground(target, masks, by=scale_by, reference_face=own, driving_faces=faces)
        moved = alignment.warp(unit_masks(masks), size)
        face = moved.new_zeros(moved.shape) if face_mask is None else alignment.warp(unit_masks(face_mask), size)
        pictures = None if images is None else alignment.warp(colours(images), size)
        preview, report = draw_location(_canvas(reference, target), moved, face), "\n".join([alignment.report(), *notes])
        return io.NodeOutput(moved, face, pictures, alignment.scale, *alignment.shift.tolist(), preview, report, ui=ui.PreviewText(report))


class MakeLocationCue(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_MakeLocationCue",
            display_name="Make Location Cue",
            category="motion4d/cues",
            description="DirectAnimator's location cue: masks of body and face as a coarse grid with soft borders, which say where they are and not what shape they "
            "have. Masks of a driving video go through Align to Reference first.",
            search_aliases=["grid mask", "soften mask", "blockify mask", "directanimator", "wan animate mask", "coarse mask"],
            inputs=[
                io.Mask.Input(
                    "masks",
                    tooltip="1 on the person, of Align to Reference; or of the video itself, where the reference is one of its frames.",
                ),
                *location_inputs(),
                io.Mask.Input("face_mask", optional=True, tooltip="1 on the face, of Align to Reference."),
                io.Image.Input("reference", optional=True, tooltip="The reference, for the preview."),
            ],
            outputs=[
                io.Mask.Output(display_name="body_location"),
                io.Mask.Output(display_name="face_location", tooltip="Empty without face_mask."),
                io.Image.Output(display_name="preview", tooltip="Body in a cool and face in a warm colour, over the reference."),
                io.String.Output(display_name="report", tooltip="In which frames there is nobody."),
            ],
        )

    @classmethod
    def execute(cls, masks, softening, grid, cell, face_mask=None, reference=None):
        size = tuple(masks.shape[1:])
        if 0 in masks.shape:
            raise ValueError(
                f"masks have shape {tuple(masks.shape)}, expected at least one frame and pixel: connect masks of Align to Reference"
            )
        check_reference(reference, size)
        check_pictures(masks, face_mask=face_mask)
        hard = softening == "hard"
        cue = location_cue(
            masks, face_mask, Similarity.identity(), size, cell=cell or None, mode="mean" if hard else softening, grid=grid, hard=hard
        )
        preview = draw_location(_canvas(reference, masks[0]), cue.body, cue.face)
        report = "\n".join([f"{counted(len(masks), 'frame')} of {size[1]}x{size[0]}", *cue.notes])
        return io.NodeOutput(cue.body, cue.face, preview, report, ui=ui.PreviewText(report))


def box_of_reference(face, size: tuple[int, int]) -> torch.Tensor | None:
    """Box (4) of the largest face of BOUNDING_BOX in a reference of size (H, W); None without any."""
    return None if face is None else choose_faces(faces_of_bounding_boxes(face, 1), size).boxes[0]


def check_reference(reference, size: tuple[int, int]) -> None:
    """ValueError unless a reference, where there is one, has the size (H, W) of its mask."""
    if reference is not None and tuple(reference.shape[1:3]) != size:
        raise ValueError(
            f"reference has {reference.shape[2]}x{reference.shape[1]} pixels, the mask {size[1]}x{size[0]}: give the mask of this picture "
            "(a 64x64 one comes from pictures without transparency)"
        )


def check_pictures(masks, **others) -> None:
    """ValueError unless each of the others, where it is there, has as many pictures as the masks, of their size."""
    for name, pictures in others.items():
        if pictures is not None and pictures.shape[:3] != masks.shape:
            raise ValueError(
                f"{name} are {len(pictures)} of {pictures.shape[2]}x{pictures.shape[1]} pixels, the masks {len(masks)} of {masks.shape[2]}x{masks.shape[1]}: "
                "make them from the same frames"
            )


def _canvas(reference, mask):
    """The reference (H, W, C), or a grey picture as large as the mask."""
    return mask.new_full((*mask.shape, 3), 0.5) if reference is None else reference[0]
