"""The driving cues of a video: all three with one node, and the pose cue alone."""

import torch
from comfy_api.latest import io, ui

from ...core.cues.clip_values import check_frames, check_masks, unit_masks
from ...core.cues.extraction import extract_cues
from ...core.cues.face_finding import SOURCES, find_faces
from ...core.cues.location_cue import draw_location
from ...core.cues.low_pass import SHAPES
from ...core.cues.pose_cue import LOOKS, pose_cue
from ...core.cues.quality_gate import POLICIES, GateLimits, gate_masks
from ...core.cues.similarity import SCALES
from .. import host, sockets
from .cue_parts import PLACEMENTS, box_of_reference, check_reference, face_inputs, location_inputs


def _pose_inputs() -> list:
    return [
        io.Image.Input("images", tooltip="The driving video."),
        io.Mask.Input(
            "mask", tooltip="1 on the person, one for each image: of Make Person Masks. The mask of Load Image is the other way round."
        ),
        io.Combo.Input(
            "look",
            options=list(LOOKS),
            default="low_pass",
            tooltip="low_pass: grey without fine detail, as DirectAnimator has it. grey: with all detail. rgb: the person as filmed. skeleton: the pictures of the "
            "input of this name.",
        ),
        io.Combo.Input(
            "filter",
            options=list(SHAPES),
            default="gaussian",
            tooltip="Of the low-pass. The ideal one cuts sharply and leaves rings beside edges; butterworth lies between the two.",
        ),
        io.Float.Input(
            "cutoff",
            default=30.0,
            min=1.0,
            max=1024.0,
            step=1.0,
            tooltip="Waves over the shorter side of the image from which detail goes: 30 keeps limbs and drops creases and hair.",
        ),
        io.Combo.Input(
            "missing",
            options=list(POLICIES),
            default="zero",
            tooltip="What frames with a bad mask show. zero: black. hold: the last good frame. neighbour: the nearest good frame. Empty masks stay black.",
        ),
    ]


def _fps_input():
    return io.Float.Input(
        "fps",
        default=30.0,
        min=0.0,
        max=240.0,
        step=0.01,
        tooltip="Frames per second: the report warns of more than two seconds without a good mask. 0: no such warning.",
    )


def _skeleton_input():
    return io.Image.Input("skeleton", optional=True, tooltip="For the look skeleton: of Draw Skeleton, one for each image.")


class ExtractDrivingCues(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ExtractDrivingCues",
            display_name="Extract Driving Cues",
            category="motion4d/cues",
            description="DirectAnimator's three cues of a driving video: how the person moves, what the face does, and where both are in the reference. Bad masks are "
            "left out, and the report names every one with its reason.",
            search_aliases=["directanimator", "driving video", "pose face location", "cue triplet", "wan animate", "pose_video face_video"],
            inputs=[
                *_pose_inputs(),
                io.Boolean.Input(
                    "drop_bad_masks",
                    default=True,
                    tooltip="Leave out masks that are much larger or smaller than around them, in pieces, or elsewhere all at once. Extract Pose Cue sets each limit.",
                ),
                io.Combo.Input(
                    "faces_by",
                    options=list(SOURCES),
                    default="auto",
                    tooltip="What tells where the face is. auto: the first that is connected of bboxes, pose_keypoint and motion; without any of them the face cue is "
                    "black. mediapipe detects faces, where that package is installed, in the reference too.",
                ),
                io.Float.Input(
                    "face_margin",
                    default=1.5,
                    min=0.5,
                    max=5.0,
                    step=0.05,
                    tooltip="Side of the crop in sides of the box of the face; 1 cuts chin and forehead off.",
                ),
                io.Combo.Input(
                    "face_placement",
                    options=list(PLACEMENTS),
                    default="enlarged",
                    tooltip="enlarged: as large as the image allows, in its middle. in_place: the face stays where and as it is in the video.",
                ),
                io.Combo.Input(
                    "scale_by",
                    options=list(SCALES),
                    default="auto",
                    tooltip="How the person is brought to the size of the reference. auto compares heights; where a body is cut off below faces, if there are some, "
                    "else widths. The report tells which.",
                ),
                *location_inputs(),
                _fps_input(),
                io.Mask.Input(
                    "reference_mask",
                    optional=True,
                    tooltip="1 on the person of the reference, as large as the reference. Without it the reference is taken to be a frame of the video.",
                ),
                *(one for one in face_inputs() if one.id != "mask"),
                sockets.BoundingBox.Input(
                    "reference_face",
                    optional=True,
                    extra_dict={"forceInput": True},
                    tooltip="Box of the face in the reference, for scales by faces; the largest of several. Without it mediapipe looks, if that is the source of "
                    "faces; else the face of somebody who stands is assumed, if the reference shows a whole body.",
                ),
                _skeleton_input(),
                io.Image.Input("reference", optional=True, tooltip="The reference, for the preview."),
            ],
            outputs=[
                io.Image.Output(display_name="pose", tooltip="The pose cue; for pose_video of other models take the look rgb or skeleton."),
                io.Image.Output(display_name="face", tooltip="The face cue; black where no face is seen."),
                io.Mask.Output(display_name="body_location", tooltip="Where the person is in the reference, with soft borders."),
                io.Mask.Output(display_name="face_location", tooltip="Where the face is in the reference, with soft borders."),
                io.Image.Output(display_name="preview", tooltip="Both locations over the reference."),
                io.String.Output(
                    display_name="report", tooltip="Every dropped frame with its reason, the alignment, and what was assumed."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, images, mask, look, filter, cutoff, missing, drop_bad_masks, faces_by, face_margin, face_placement, scale_by, softening, grid, cell, fps,
        reference_mask=None, bboxes=None, pose_keypoint=None, motion=None, cameras=None, reference_face=None, skeleton=None, reference=None,
    ):  # fmt: skip
        check_frames(images, name="images")
        masks = check_masks(mask, images, name="mask")
        target = None if reference_mask is None else reference_mask[0]
        size = tuple((images[..., 0] if target is None else reference_mask).shape[1:])
        check_reference(reference, size)
        bar = host.current().progress(3 * len(images))
        gate = gate_masks(masks, limits=None if drop_bad_masks else GateLimits.open(), fps=fps or None, advance=bar.advance)
        boxes, told = _faces(
            images, faces_by, gate.filled(masks), bounding_boxes=bboxes, pose_keypoint=pose_keypoint, motion=motion, rig=cameras
        )
        own, found = _reference_face(reference_face, reference, target, detect=faces_by == "mediapipe")
        told += found
        cues = extract_cues(
            images, masks, boxes, target, gate=gate, look=look, filter_shape=filter, cutoff=cutoff,
            missing=missing, skeleton=skeleton, face_margin=face_margin, enlarge_face=PLACEMENTS[face_placement], reference_face=own, scale_by=scale_by,
            cell=cell or None, cell_mode="max" if softening == "max" else "mean", grid=grid, hard_masks=softening == "hard",
            advance=bar.advance,
        )  # fmt: skip
        canvas = torch.full((*size, 3), 0.5) if reference is None else reference[0]
        preview, report = draw_location(canvas, cues.body_location, cues.face_location), "\n".join([*cues.notes, *told])
        return io.NodeOutput(cues.pose, cues.face, cues.body_location, cues.face_location, preview, report, ui=ui.PreviewText(report))


class ExtractPoseCue(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ExtractPoseCue",
            display_name="Extract Pose Cue",
            category="motion4d/cues",
            description="DirectAnimator's pose cue: the person of a driving video, cut out, grey and without fine detail, so that it tells how somebody moves and not "
            "what they look like. Bad masks are left out, and the report names every one with its reason.",
            search_aliases=["low pass", "directanimator", "blur person", "gaussian filter", "quality gate", "mask quality", "driving pose"],
            inputs=[
                *_pose_inputs(),
                io.Float.Input(
                    "area",
                    default=2.0,
                    min=1.0,
                    max=1000.0,
                    step=0.1,
                    tooltip="A mask may be so many times larger or smaller than the median of the frames around it; 1000 allows all.",
                ),
                io.Int.Input(
                    "window",
                    default=12,
                    min=1,
                    max=1000,
                    tooltip="Frames to either side of that median, and how long something else must last to be no slip.",
                ),
                io.Float.Input(
                    "component",
                    default=0.8,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Least share of a mask that is in one piece; 0 allows all.",
                ),
                io.Float.Input(
                    "overlap",
                    default=0.4,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Least intersection over union with the nearest good mask, once both have their middles in one place; 0 allows all.",
                ),
                _fps_input(),
                _skeleton_input(),
            ],
            outputs=[
                io.Image.Output(display_name="pose", tooltip="The pose cue, one picture for each of the video."),
                io.Mask.Output(
                    display_name="mask",
                    tooltip="The mask of every frame, that of the nearest good one in place of a bad one; for Align to Reference.",
                ),
                io.Int.Output(display_name="kept", tooltip="How many masks are good."),
                io.String.Output(display_name="report", tooltip="Every dropped frame with its reason, and warnings."),
            ],
        )

    @classmethod
    def execute(cls, images, mask, look, filter, cutoff, missing, area, window, component, overlap, fps, skeleton=None):
        notes = check_frames(images, name="images")
        masks = check_masks(mask, images, name="mask")
        bar = host.current().progress(2 * len(images))
        limits = GateLimits(area=area if area < 1000 else float("inf"), window=window, component=component, overlap=overlap)
        gate = gate_masks(masks, limits=limits, fps=fps or None, advance=bar.advance)
        pose = pose_cue(
            images, masks, gate, look=look, shape=filter, cutoff=cutoff, missing=missing, skeleton=skeleton, advance=bar.advance
        )
        report = "\n".join([gate.report(), *notes])
        return io.NodeOutput(pose, gate.filled(masks), int(gate.kept.sum()), report, ui=ui.PreviewText(report))


def _faces(images, source: str, masks, **given) -> tuple[torch.Tensor | None, list[str]]:
    """Boxes (T, 4) and lines of a report; None where nothing tells of faces."""
    if source == "auto" and all(given[name] is None for name in ("bounding_boxes", "pose_keypoint", "motion")):
        return None, []
    faces = find_faces(images, source, masks=masks, **given)
    return faces.boxes, faces.report().splitlines()


def _reference_face(given, reference, mask, *, detect: bool) -> tuple[torch.Tensor | None, list[str]]:
    """Box (4) of the face in the reference and lines of a report: the one that is given, else what MediaPipe finds where it looks for faces anyway."""
    if mask is None:
        return None, []
    if given is not None or reference is None or not detect:
        return box_of_reference(given, tuple(mask.shape)), []
    faces = find_faces(reference[:1], "mediapipe", masks=unit_masks(mask[None], "reference_mask"))
    if not faces.there[0]:
        return None, ["mediapipe found no face in the reference"]
    return faces.boxes[0], [f"mediapipe found the face of the reference at ({', '.join(f'{x:.0f}' for x in faces.boxes[0].tolist())})"]
