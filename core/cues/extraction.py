"""From a driving video, its person masks and its faces to the three cues (DirectAnimator, section 2.10)."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..types import DrivingCues, Similarity
from .clip_values import check_frames, check_masks
from .face_cue import MARGIN, face_cue
from .location_cue import location_cue
from .low_pass import CUTOFF
from .pose_cue import pose_cue
from .quality_gate import Gate, gate_masks
from .similarity import align_foreground


def extract_cues(
    frames: Tensor,
    person_masks: Tensor,
    face_boxes: Tensor | None,
    reference_mask: Tensor | None,
    *,
    gate: Gate | None = None,
    look: str = "low_pass",
    filter_shape: str = "gaussian",
    cutoff: float = CUTOFF,
    order: int = 2,
    missing: str = "zero",
    skeleton: Tensor | None = None,
    face_margin: float = MARGIN,
    enlarge_face: bool = True,
    reference_face: Tensor | None = None,
    scale_by: str = "auto",
    cell: int | None = None,
    cell_mode: str = "mean",
    grid: str = "pixels",
    hard_masks: bool = False,
    fps: float | None = None,
    batch: int = 4,
    advance: Callable[[int], None] | None = None,
) -> DrivingCues:
    """The cue triplet of a driving video.

    Args:
        frames: (T, H, W, 3) floats in 0..1 or uint8; with a fourth channel of transparency they lie on black. person_masks: (T, H, W), of one person.
        face_boxes: (T, 4) x0 y0 x1 y1 pixels, NaN where there is no face, as of a back; None: no faces, and a black face cue.
        reference_mask: (H', W') of the person in the reference, whose size the location cue has; None: the reference is a frame of the video itself, and
            nothing is moved.
        gate: of `gate_masks`, which masks are good; None: it is made here with the usual limits, and `fps` for its warnings.
        look, filter_shape, cutoff, order, missing, skeleton: of the pose cue, see `pose_cue`.
        face_margin, enlarge_face: of the face cue, see `face_cue`.
        reference_face, scale_by: of the alignment, see `align_foreground`.
        cell, cell_mode, grid, hard_masks: of the location cue, see `location_cue`.
        batch: frames worked on together; it changes nothing but time and memory.
        advance: called with numbers of frames, 2 T in all; what it raises ends the work.

    Raises:
        ValueError: whatever the parts refuse, each with its reason.
    """
    notes = list(check_frames(frames))
    if any("clipped" in note for note in notes):
        frames = frames.clamp(0, 1)
    masks = check_masks(person_masks, frames)
    count, size = len(frames), tuple(frames.shape[1:3])
    if face_boxes is None:
        face_boxes = torch.full((count, 4), torch.nan)
        notes.append("no face boxes were given: the face cue is black")
    elif face_boxes.shape != (count, 4):
        raise ValueError(
            f"the face boxes are {tuple(face_boxes.shape)} for {count} frames: give x0 y0 x1 y1 for each frame, NaN where there is no face"
        )
    gate = gate or gate_masks(masks, fps=fps)
    if reference_mask is None:
        alignment, reference_size = Similarity.identity(), size
        notes.append("no reference mask was given: body and face stay where they are in the video")
    else:
        alignment = align_foreground(
            reference_mask, masks, kept=gate.kept, by=scale_by, reference_face=reference_face, driving_faces=face_boxes
        )
        reference_size = tuple(reference_mask.shape)
    pose = pose_cue(
        frames, masks, gate, look=look, shape=filter_shape, cutoff=cutoff, order=order, missing=missing, skeleton=skeleton, batch=batch, advance=advance
    )  # fmt: skip
    face, face_mask = face_cue(frames, face_boxes, margin=face_margin, enlarge=enlarge_face)
    places = location_cue(
        masks, face_mask, alignment, reference_size, kept=gate.kept, cell=cell, mode=cell_mode, grid=grid, hard=hard_masks
    )
    if advance is not None:
        advance(count)
    notes += [*gate.report().splitlines(), *alignment.report().splitlines(), *places.notes]
    return DrivingCues(
        pose=pose, face=face, body_location=places.body, face_location=places.face, kept=gate.kept, alignment=alignment, notes=tuple(dict.fromkeys(notes))
    )  # fmt: skip
