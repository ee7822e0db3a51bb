"""Parameters of SMPL body models (AMASS, GVHMR) to a Motion, by forward kinematics over our own rest skeleton.

AMASS: poses (T, 72 | 156 | 165) rotation vectors, trans (T, 3), Z up, betas, mocap_framerate or mocap_frame_rate. SMPL-H hands (156) have no place in
SMPL-24 and are left out; SMPL-X (165) becomes SMPLX55.
GVHMR: body_pose (T, 63), global_orient (T, 3), transl (T, 3), Y up, betas (T, 10), and the same person in camera axes as global_orient_incam and
transl_incam with K_fullimg, img_width and img_height; or the nested dictionaries smpl_params_global and smpl_params_incam of its own .pt file.

What stays exact: rotations, betas, and the path of the root. A body model turns about its pelvis, which lies at a fixed point of its template;
translations are given for the template's origin, so the root is the translation plus that point. It is known here to about a centimetre for the mean
shape. Bone lengths are those of our rest skeleton, so that no licensed model file is needed.
"""

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from ..geometry.kinematics import forward
from ..geometry.rotations import rotvec_to_matrix
from ..skeletons import REST_STATURE, SMPL24, SMPLX55
from ..types import Animation, Frame, ImageSize, Motion, Skeleton
from .clips import Clip, ClipInfo, check_frames, chosen_rate, usable_rate, usable_size

# Pelvis of the mean shape in the axes of the template (Y up), metres from its origin.
PELVIS = {"SMPL": (0.0, -0.22, 0.03), "SMPL-X": (0.0, -0.35, 0.01)}
_Z_UP_TO_Y_UP = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]], dtype=torch.float64)
_GVHMR_KEYS = ("body_pose", "global_orient", "transl", "betas")
_IN_CAMERA = "_incam"


class Table(Protocol):
    """Arrays by name, of an npz or a pickle."""

    def __contains__(self, name: str) -> bool: ...
    def shape(self, name: str) -> tuple[int, ...]: ...
    def read(self, name: str) -> np.ndarray: ...
    def value(self, name: str) -> Any: ...


def _numbers(table: Table, name: str, shape: tuple[int | None, ...]) -> torch.Tensor:
    """An array as float64; ValueError unless its shape fits (None: any size) and all of it is finite."""
    found = table.shape(name)
    if len(found) != len(shape) or any(want is not None and size != want for size, want in zip(found, shape, strict=True)):
        wanted = ", ".join("T" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} has shape {found}, expected ({wanted})")
    array = table.read(name)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds {array.dtype}, expected numbers")
    numbers = torch.from_numpy(array.astype(np.float64))
    if not torch.isfinite(numbers.float()).all():
        raise ValueError(f"{name} has NaN or infinite values: repair the file or cut those frames out")
    return numbers


def _shape_vector(table: Table) -> tuple[torch.Tensor | None, tuple[str, ...]]:
    """(10) betas of the clip and what was assumed; models with more betas keep the first ten."""
    found = table.shape("betas")
    if len(found) not in (1, 2) or 0 in found:
        return None, ()
    betas = _numbers(table, "betas", found)
    varied = betas.dim() == 2 and bool((betas - betas[:1]).abs().max() > 1e-6)
    betas = betas.mean(0) if betas.dim() == 2 else betas
    vector = torch.zeros(10)
    vector[: min(10, len(betas))] = betas[:10].float()
    return vector, ("betas vary over time: their mean is kept",) if varied else ()


def _posed(
    rotvecs: torch.Tensor, translation: torch.Tensor, skeleton: Skeleton, *, model: str, fps: float, turn: torch.Tensor | None = None
) -> Motion:
    """World motion of rotation vectors (T, <= J, 3), joints beyond them at rest, and translations (T, 3); `turn` (3, 3) carries the file's axes to ours."""
    rotations = torch.eye(3, dtype=torch.float64).repeat(len(rotvecs), len(skeleton.names), 1, 1)
    rotations[:, : rotvecs.shape[1]] = rotvec_to_matrix(rotvecs)
    root = translation + torch.tensor(PELVIS[model], dtype=torch.float64)
    if turn is not None:
        rotations[:, 0] = turn @ rotations[:, 0]
        root = root @ turn.T
    animation = Animation(rotations=rotations.float(), translation=root.float(), fps=fps, rig=skeleton)
    offset = ", ".join(f"{value:g}" for value in PELVIS[model])
    notes = (
        f"rest skeleton of stature {REST_STATURE} m, not the file's betas",
        f"pelvis at ({offset}) m from the origin of the {model} template: its mean shape, not the file's betas",
    )
    return replace(forward(animation), notes=notes)


def _amass_clip(table: Table) -> Clip:
    shape = table.shape("poses")
    if len(shape) != 2 or shape[1] not in (72, 156, 165):
        raise ValueError(f"poses has shape {shape}, expected (frames, 72) SMPL, (frames, 156) SMPL-H or (frames, 165) SMPL-X")
    check_frames(shape[0])
    stored = usable_rate(table.value("mocap_frame_rate") or table.value("mocap_framerate"))
    whole = shape[1] == 165
    skeleton, model = (SMPLX55, "SMPL-X") if whole else (SMPL24, "SMPL")

    def build(person: int, given: float | None) -> Motion:
        rate, notes = chosen_rate(given, stored)
        rotvecs = _numbers(table, "poses", (None, shape[1])).unflatten(1, (-1, 3))
        if shape[1] == 156:
            rotvecs = rotvecs[:, :22]
            notes = (*notes, "SMPL-H poses: fingers are left out, hands follow the wrists")
        translation = _numbers(table, "trans", (shape[0], 3))
        betas, assumed = _shape_vector(table)
        motion = _posed(rotvecs, translation, skeleton, model=model, fps=rate, turn=_Z_UP_TO_Y_UP)
        notes = (*notes, *motion.notes, "Z-up axes of AMASS turned to Y up", *assumed)
        return replace(motion, shape=betas, notes=notes)

    return Clip(ClipInfo("motion", shape[0], 1, len(skeleton.names), stored, None, "amass"), build)


def _camera(table: Table, frames: int) -> tuple[torch.Tensor | None, ImageSize | None, tuple[str, ...]]:
    """Intrinsics, (H, W) and what was assumed, of the video that GVHMR saw."""
    if "K_fullimg" not in table:
        return None, None, ("picture size unknown: the file names none",)
    shape = table.shape("K_fullimg")
    matrices = _numbers(table, "K_fullimg", (3, 3) if len(shape) == 2 else (frames, 3, 3)).reshape(-1, 3, 3)
    intrinsics = matrices[0].float()
    notes = ("camera of the first frame kept: K_fullimg varies",) if (matrices - matrices[:1]).abs().max() > 1e-3 else ()
    size = usable_size(table.value("img_height"), table.value("img_width"))
    if size is None:
        size = usable_size(round(2 * intrinsics[1, 2].item()), round(2 * intrinsics[0, 2].item()))
        notes = (*notes, "picture size taken from the principal point of K_fullimg")
    if size is None or not (intrinsics[0, 0] > 0 and intrinsics[1, 1] > 0):
        return None, None, ("K_fullimg is no camera: the motion has none yet",)
    return intrinsics, size, notes


def _gvhmr_clip(table: Table, suffix: str) -> Clip:
    shape = table.shape("body_pose")
    if len(shape) != 2 or shape[1] not in (63, 69):
        raise ValueError(f"body_pose has shape {shape}, expected (frames, 63)")
    check_frames(shape[0])
    frame = Frame.CAMERA if suffix else Frame.WORLD
    stored = usable_rate(table.value("fps"))
    camera = _camera(table, shape[0]) if suffix else (None, None, ())

    def build(person: int, given: float | None) -> Motion:
        rate, notes = chosen_rate(given, stored)
        root = _numbers(table, f"global_orient{suffix}", (shape[0], 3))
        rotvecs = torch.cat([root, _numbers(table, "body_pose", (None, shape[1]))], 1).unflatten(1, (-1, 3))
        translation = _numbers(table, f"transl{suffix}", (shape[0], 3))
        betas, assumed = _shape_vector(table)
        motion = _posed(rotvecs, translation, SMPL24, model="SMPL-X" if shape[1] == 63 else "SMPL", fps=rate)
        intrinsics, size, seen = camera
        notes = (*notes, *motion.notes, *seen, *assumed)
        return replace(motion, shape=betas, frame=frame, intrinsics=intrinsics, image_size=size, notes=notes)

    name = "camera" if suffix else "world"
    return Clip(ClipInfo(name, shape[0], 1, len(SMPL24.names), stored, camera[1], "gvhmr"), build)


def flattened(values: dict) -> dict:
    """GVHMR's nested result as the flat keys of its npz; other dictionaries as they are."""
    world, seen = (values.get(name) for name in ("smpl_params_global", "smpl_params_incam"))
    if not (isinstance(world, dict) or isinstance(seen, dict)):
        return values
    flat = {key: value for key, value in values.items() if not isinstance(value, dict)}
    if isinstance(seen, dict):
        flat.update({key: seen[key] for key in ("body_pose", "betas") if key in seen})
        flat.update({f"{key}{_IN_CAMERA}": seen[key] for key in ("global_orient", "transl") if key in seen})
    if isinstance(world, dict):
        flat.update({key: world[key] for key in _GVHMR_KEYS if key in world})
    return flat


def parameter_clips(table: Table) -> list[Clip]:
    """Clips of AMASS or GVHMR parameters: for GVHMR the world motion, then the one in camera axes; empty for other contents."""
    if "poses" in table and "trans" in table:
        return [_amass_clip(table)]
    if "body_pose" not in table:
        return []
    return [_gvhmr_clip(table, suffix) for suffix in ("", _IN_CAMERA) if f"global_orient{suffix}" in table and f"transl{suffix}" in table]
