"""Where the face of a motion is in the picture: from its head joint and the way the head looks."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..body.anthropometry import known_by_smpl_names, thickness_scale
from ..body.gaps import frame_ranges
from ..geometry.cameras import check_camera
from ..geometry.kinematics import world_rotations
from ..maps.body_place import cameras_of_pictures
from ..skeletons import SMPL24
from ..types import CameraRig, ImageSize, Motion
from .face_boxes import FaceBoxes

# Metres left, up and to the front of the head joint, for the stature of the rest skeletons (ANSUR II: face from chin to hairline 0.18, 0.14 wide, head 0.2 long).
_FACE = ((0, -0.05, 0.10), (0, 0.13, 0.08), (0.07, 0.04, 0.05), (-0.07, 0.04, 0.05), (0, 0.02, 0.12))
_LEAN = normalize(
    SMPL24.rest[SMPL24.names.index("head")] - SMPL24.rest[SMPL24.names.index("neck")], dim=0
).tolist()  # of the neck of an upright head
_BACK_DEG = 100.0
_NEAR = 0.05  # metres before the camera plane


def faces_of_motion(
    motion: Motion, rig: CameraRig | None, image_size: ImageSize, *, view: int = 0, back_deg: float = _BACK_DEG
) -> FaceBoxes:
    """The face of a motion in the picture of a camera; none where the head is missing, out of the picture, or seen from behind.

    The head looks where its rotation says, or, without rotations, where the shoulders do: then a head that turns away from them is not followed.

    Args:
        rig: its cameras; None: the one that filmed it. image_size: (H, W) of the video. view: which camera.
        back_deg: angle between the way the head looks and that to the camera from which it is seen from behind.

    Raises:
        ValueError: a skeleton without head and neck, no camera, one that cannot show the motion, or a view that there is not.
    """
    rig = cameras_of_pictures(motion, rig, image_size)
    check_camera(motion, rig)
    if not 0 <= view < rig.views:
        raise ValueError(f"view is {view}, the cameras have {rig.views}: give 0 to {rig.views - 1}")
    rig = rig.take_views([view])
    body = known_by_smpl_names(motion.cpu())
    head, axes, seen, way = _head_axes(body)
    points = head[:, None] + thickness_scale(body) * torch.tensor(_FACE, dtype=torch.float64) @ axes.mT  # (T, N, 3)
    precise = replace(rig, intrinsics=rig.intrinsics.double(), world_to_camera=rig.world_to_camera.double())
    pixels, depth = (part[0] for part in precise.project(points))
    before = (depth > _NEAR).all(1)
    centers = precise.centers[0] if precise.frames is not None else precise.centers.expand(len(head), 3)
    cosine = (normalize(centers - head, dim=-1) * axes[..., 2]).sum(-1)
    back = seen & (cosine < torch.cos(torch.deg2rad(torch.tensor(back_deg, dtype=torch.float64))))
    boxes = torch.cat([pixels.amin(1), pixels.amax(1)], -1)
    inside = (boxes[:, :2] < torch.tensor(image_size[::-1])).all(1) & (boxes[:, 2:] > 0).all(1)
    shown = seen & before & ~back & inside
    notes = [f"faces from the head joint; the head looks where the {way}"]
    for which, why in (
        (~seen, "the head is missing"),
        (back, "the head is seen from behind"),
        (seen & ~back & ~(before & inside), "the head is out of the picture"),
    ):
        if which.any():
            notes.append(f"{why} in frames {frame_ranges(which)}")
    return FaceBoxes(boxes=torch.where(shown[:, None], boxes, torch.nan), notes=tuple(notes))


def _head_axes(body: Motion) -> tuple[Tensor, Tensor, Tensor, str]:
    """Head joint (T, 3), columns left, up and front of the head (T, 3, 3), (T) where both are known, and what says where the head looks."""
    names, joints = body.skeleton.names, body.joints.double()
    if not {"head", "neck"} <= set(names):
        raise ValueError(
            f"the skeleton has no head and neck (it has {', '.join(names[:6])}, ...): convert it with Convert Skeleton, or give boxes of faces"
        )
    head, neck = names.index("head"), names.index("neck")
    if body.rotations is not None and body.skeleton.rest is not None:
        return (
            joints[:, head],
            world_rotations(body.rotations.double(), body.skeleton.parents)[:, head],
            body.seen[:, head],
            "rotation of its joint says",
        )
    sides = [names.index(name) for name in ("left_shoulder", "right_shoulder") if name in names]
    if len(sides) < 2:
        raise ValueError("the motion has neither rotations nor shoulders: nothing tells where the head looks; give boxes of faces")
    along = joints[:, head] - joints[:, neck]
    across = joints[:, sides[0]] - joints[:, sides[1]]
    left = normalize(across - (across * along).sum(-1, keepdim=True) / along.square().sum(-1, keepdim=True) * along, dim=-1)
    along = normalize(along, dim=-1)
    forward = torch.linalg.cross(left, along)
    up, front = (a * along + b * forward for a, b in ((_LEAN[1], -_LEAN[2]), (_LEAN[2], _LEAN[1])))
    axes = torch.stack([left, up, front], -1)
    known = body.seen[:, [head, neck, *sides]].all(1) & torch.isfinite(axes).flatten(1).all(1) & (front.norm(dim=-1) > 0.5)
    return joints[:, head], axes, known, "shoulders face"
