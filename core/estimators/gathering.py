"""Motions that were made apart, before one camera."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from ..body.framing import frame_motion
from ..body.spaces import to_camera
from ..skeletons import SMPL24
from ..types import CameraRig, Frame, ImageSize, Motion
from .people import Detections, FramePeople
from .wires import boxes_around


def gather(
    motions: Sequence[Motion], *, spacing: float = 0.0, rig: CameraRig | None = None, image_size: ImageSize = (768, 768)
) -> Detections:
    """Motions as the people of one clip, in camera space; a shorter one leaves at its end, and frames without any joint do not have its person.

    Args:
        motions: SMPL's 24 joints, all in world space or all seen by the same camera.
        spacing: metres from one to the next, from left to right of someone who looks at their fronts; for world space.
        rig: the first of its cameras sees motions of world space; without one, a camera of `image_size` (H, W) in front holds everybody.

    Rotations and translations stay where all have them.

    Raises:
        ValueError: no motion, another skeleton, frame rates, axes or cameras that differ, spacing or a rig for motions of camera space.
    """
    _check(motions, spacing, rig)
    motions = [motion.cpu() for motion in motions]
    if motions[0].frame is Frame.WORLD:
        middle = (len(motions) - 1) / 2
        motions = [_moved(motion, spacing * (number - middle)) for number, motion in enumerate(motions)]
        if rig is None:
            rig = frame_motion(_together(motions), views=1, image_size=image_size, elevation_deg=5.0, margin=1.1)
        motions = [to_camera(motion, rig) for motion in motions]
    one = motions[0]
    rests = [motion.skeleton.rest for motion in motions]
    same = all(rest is not None and rests[0] is not None and torch.equal(rest, rests[0]) for rest in rests)
    camera = CameraRig(intrinsics=one.intrinsics[None], world_to_camera=torch.eye(3, 4)[None], image_size=one.image_size)
    length = max(motion.frames for motion in motions)
    return Detections(
        frames=[_frame(motions, frame, camera) for frame in range(length)],
        fps=one.fps, image_size=one.image_size, intrinsics=one.intrinsics, skeleton=one.skeleton if same else SMPL24,
        notes=tuple(dict.fromkeys(note for motion in motions for note in motion.notes)),
    )  # fmt: skip


def _check(motions: Sequence[Motion], spacing: float, rig: CameraRig | None) -> None:
    if not motions:
        raise ValueError("there is no motion to gather: give at least one")
    first = motions[0]
    for number, motion in enumerate(motions):
        if motion.skeleton.names != SMPL24.names:
            raise ValueError(f"motion {number} has {len(motion.skeleton.names)} joints that are not SMPL's 24: use Convert Skeleton")
        if abs(motion.fps - first.fps) > 1e-3:
            raise ValueError(f"motion {number} has {motion.fps:g} fps, the first {first.fps:g}: resample one of them with Edit Motion")
        if motion.frame is not first.frame:
            raise ValueError(f"motion {number} is in {motion.frame.value} space, the first in {first.frame.value} space: use Convert Space")
        if motion.frame is Frame.CAMERA:
            if motion.intrinsics is None:
                raise ValueError(f"motion {number} is in camera space but does not know its camera: load it with its video")
            if motion.image_size != first.image_size or not torch.allclose(motion.intrinsics, first.intrinsics, rtol=1e-3):
                raise ValueError(f"motion {number} was seen by another camera than the first: bring both to the world with Convert Space")
    if first.frame is Frame.CAMERA and (spacing or rig is not None):
        raise ValueError("the motions are in the space of the camera that saw them: set spacing to 0 and leave cameras unconnected")


def _moved(motion: Motion, along: float) -> Motion:
    """A world-space motion shifted along x."""
    shift = torch.tensor([along, 0.0, 0.0])
    translation = None if motion.translation is None else motion.translation + shift
    return replace(motion, joints=motion.joints + shift, translation=translation)


def _together(motions: Sequence[Motion]) -> Motion:
    """All frames of all motions, one after the other: what a camera has to hold."""
    joints, confidence = (torch.cat([getattr(motion, name) for motion in motions]) for name in ("joints", "confidence"))
    return Motion(joints=joints, confidence=confidence, skeleton=SMPL24, fps=motions[0].fps, frame=Frame.WORLD)


def _frame(motions: Sequence[Motion], frame: int, camera: CameraRig) -> FramePeople:
    here = [motion for motion in motions if frame < motion.frames and motion.seen[frame].any()]
    if not here:
        return FramePeople.none()
    rows = {}
    for name in ("joints", "confidence", "rotations", "translation"):
        kept = name in ("joints", "confidence") or all(getattr(motion, name) is not None for motion in motions)
        rows[name] = torch.stack([getattr(motion, name)[frame] for motion in here]) if kept else None
    shape = torch.stack([motion.shape for motion in here]) if all(motion.shape is not None for motion in motions) else None
    return FramePeople(**rows, shape=shape, boxes=boxes_around(rows["joints"], camera))
