"""Body models of the SMPL family: shape and pose to joints and vertices.

SMPL (Loper et al. 2015), SMPL-H (Romero et al. 2017), SMPL-X (Pavlakos et al. 2019). The joints are our own arithmetic; the vertices go through the package smplx
where it is installed. What the models are made of is licensed and comes from a file (`formats.body_models`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..shapes import check_shapes
from ..skeletons import SMPL24, SMPLX55, mirror_pairs
from ..types import Motion, Skeleton

SHAPES = 10
_CHUNK = 100  # frames of vertices at once: 100 of SMPL-X take 0.6 GB with what is in between
_BODY = 22  # joints that all models share

# SMPL-H is SMPL-X without jaw and eyes; its finger joints hang on the wrists in the same order.
_SMPLH_JOINTS = [*range(_BODY), *range(25, 55)]
_SMPLH_NAMES = tuple(SMPLX55.names[joint] for joint in _SMPLH_JOINTS)
_SMPLH52 = Skeleton(
    names=_SMPLH_NAMES,
    parents=tuple(-1 if SMPLX55.parents[joint] < 0 else _SMPLH_JOINTS.index(SMPLX55.parents[joint]) for joint in _SMPLH_JOINTS),
    mirror=mirror_pairs(_SMPLH_NAMES),
)
FAMILY = {24: ("SMPL", SMPL24), 52: ("SMPL-H", _SMPLH52), 55: ("SMPL-X", SMPLX55)}


@dataclass(frozen=True, eq=False, kw_only=True)
class BodyModel:
    """One licensed model, in metres and in the axes of its template (Y up, facing +Z).

    skeleton: names and tree of its joints, without rest positions, which depend on the shape: see `rest_skeleton`. template: (N, 3) vertices. shapes: (N, 3, B)
    their change with each beta, B at most 10. poses: (N, 3, 9 (J - 1)) with each entry of the rotations. regressor: (J, N) joints from vertices.
    weights: (N, J) of the joints on each vertex. faces: (F, 3). name: of its file.
    """

    skeleton: Skeleton
    template: Tensor
    shapes: Tensor
    poses: Tensor
    regressor: Tensor
    weights: Tensor
    faces: Tensor
    name: str = ""

    def __post_init__(self):
        sizes = check_shapes(
            "BodyModel", skeleton=(len(self.skeleton.names), "J"), template=(self.template, "N 3"), shapes=(self.shapes, "N 3 B"),
            poses=(self.poses, "N 3 P"), regressor=(self.regressor, "J N"), weights=(self.weights, "N J"), faces=(self.faces, "F 3"),
        )  # fmt: skip
        if sizes["P"] != 9 * (sizes["J"] - 1) or not 1 <= sizes["B"] <= SHAPES:
            raise ValueError(f"BodyModel: {sizes['P']} pose and {sizes['B']} shape directions do not fit {sizes['J']} joints")
        if len(self.faces) and not (0 <= int(self.faces.min()) and int(self.faces.max()) < sizes["N"]):
            raise ValueError(f"BodyModel: a face has the vertex {int(self.faces.max())}, the template has {sizes['N']}")
        for part in ("template", "shapes", "poses", "regressor", "weights"):
            if not torch.isfinite(getattr(self, part)).all():
                raise ValueError(f"BodyModel: {part} has NaN or infinite values")

    @property
    def kind(self) -> str:
        """SMPL, SMPL-H or SMPL-X."""
        return FAMILY[len(self.skeleton.names)][0]

    def describe(self) -> str:
        """What it is, in one line."""
        size = (
            f"{len(self.template):,} vertices, {len(self.faces):,} faces, {len(self.skeleton.names)} joints, {self.shapes.shape[-1]} betas"
        )
        return f"{self.kind} of {self.name or 'no file'}: {size}"

    @cached_property
    def _rest(self) -> tuple[Tensor, Tensor]:
        """Joints of the template (J, 3) and their change with each beta (J, 3, B)."""
        regressor = self.regressor.double()
        return (regressor @ self.template.double()).float(), torch.einsum("jn,nkb->jkb", regressor, self.shapes.double()).float()

    def rest_joints(self, shape: Tensor | None = None) -> Tensor:
        """(J, 3) joints at rest, from the origin of the template; shape: (10) betas, None for the mean."""
        joints, directions = self._rest
        return joints if shape is None else joints + directions @ self._betas(shape)

    def root(self, shape: Tensor | None = None) -> Tensor:
        """(3) the root joint at rest. SMPL's own translation, `transl`, is that of a Motion less this."""
        return self.rest_joints(shape)[0]

    def rest_skeleton(self, shape: Tensor | None = None) -> Skeleton:
        """The skeleton with its rest positions for a shape, the lowest vertex on the floor."""
        shaped = self.template if shape is None else self.template + self.shapes @ self._betas(shape)
        return replace(self.skeleton, rest=self.rest_joints(shape) - torch.tensor([0.0, float(shaped[:, 1].min()), 0.0]))

    def joints(self, rotations: Tensor, translation: Tensor, shape: Tensor | None = None) -> Tensor:
        """Joints by forward kinematics.

        Args:
            rotations: (T, J, 3, 3) local, relative to the rest pose. translation: (T, 3) metres, position of the root joint, as in a Motion.
            shape: (10) betas, None for the mean.

        Returns:
            (T, J, 3).
        """
        check_shapes(self.kind, joints=(len(self.skeleton.names), "J"), rotations=(rotations, "T J 3 3"), translation=(translation, "T 3"))
        return chained_joints(rotations, translation, self.rest_joints(shape).to(rotations), self.skeleton.parents)

    def vertices(
        self, rotations: Tensor, translation: Tensor, shape: Tensor | None = None, *, advance: Callable[[int], None] | None = None
    ) -> Tensor:
        """Vertices by linear blend skinning, through the package smplx.

        Args:
            rotations, translation, shape: as of `joints`. advance: called with the number of frames done since the last call.

        Returns:
            (T, N, 3).

        Raises:
            ImportError: smplx is not installed.
        """
        check_shapes(self.kind, joints=(len(self.skeleton.names), "J"), rotations=(rotations, "T J 3 3"), translation=(translation, "T 3"))
        try:
            from smplx.lbs import lbs
        except ImportError:
            raise ImportError(
                "the mesh of a body model needs the package smplx: pip install smplx (its licence is for non-commercial research); joints need no package"
            ) from None
        betas = torch.zeros(self.shapes.shape[-1]) if shape is None else self._betas(shape)
        directions = self.poses.flatten(0, 1).mT.contiguous()
        parents, origin = torch.tensor(self.skeleton.parents), self.root(shape)
        parts = []
        for turns, path in zip(rotations.float().split(_CHUNK), translation.float().split(_CHUNK), strict=True):
            found, _ = lbs(
                betas.expand(len(turns), -1),
                turns,
                self.template,
                self.shapes,
                directions,
                self.regressor,
                parents,
                self.weights,
                pose2rot=False,
            )
            parts.append(found + (path - origin)[:, None])
            if advance is not None:
                advance(len(turns))
        return torch.cat(parts)

    def _betas(self, shape: Tensor) -> Tensor:
        """(B) of the (10) betas."""
        check_shapes(self.kind, shape=(shape, str(SHAPES)))
        return shape[: self.shapes.shape[-1]].float()


def chained_joints(rotations: Tensor, translation: Tensor, rest: Tensor, parents: tuple[int, ...]) -> Tensor:
    """Joints (T, J, 3) of a tree whose first joint is its only root, one bone after the other: on a CPU several times as fast as level by level.

    Args:
        rotations: (T, J, 3, 3) local. translation: (T, 3) position of the root. rest: (J, 3); all rest axes lie along the world's.
    """
    local = rotations.transpose(0, 1).contiguous()  # (J, T, 3, 3)
    above = set(parents)
    world: list[Tensor | None] = [None] * len(parents)
    joints = torch.empty(*rotations.shape[:2], 3, dtype=rotations.dtype, device=rotations.device)
    for joint, parent in enumerate(parents):
        if parent < 0:
            joints[:, joint], world[joint] = translation, local[joint]
            continue
        bone = (world[parent].reshape(-1, 3) @ (rest[joint] - rest[parent])).unflatten(0, (-1, 3))
        joints[:, joint] = joints[:, parent] + bone
        if joint in above:
            world[joint] = torch.bmm(world[parent], local[joint])
    return joints


def fitted_rotations(model: BodyModel, rotations: Tensor) -> Tensor:
    """Rotations (T, J', 3, 3) of SMPL, SMPL-H or SMPL-X joints for the joints of a model; joints that only the model has stay at rest.

    Raises:
        ValueError: another number of joints.
    """
    given, wanted = rotations.shape[1], len(model.skeleton.names)
    if given not in FAMILY:
        raise ValueError(f"the motion has {given} joints, expected 24 (SMPL), 52 (SMPL-H) or 55 (SMPL-X): convert it with Convert Skeleton")
    if given == wanted:
        return rotations
    names = FAMILY[given][1].names
    shared = [(names.index(name), joint) for joint, name in enumerate(model.skeleton.names) if name in names]
    fitted = torch.eye(3).to(rotations).repeat(len(rotations), wanted, 1, 1)
    source, target = (list(part) for part in zip(*shared, strict=True))
    fitted[:, target] = rotations[:, source]
    return fitted


def pose_model(model: BodyModel, motion: Motion, *, shape: Tensor | None = None) -> Motion:
    """A motion with rotations, on the bones of a body model.

    Joints follow from the motion's rotations and root path and the bone lengths of the shape; they have the model's joints. A frame in which no joint was seen
    stays unseen.

    Args:
        shape: (10) betas; None takes those of the motion, or the mean shape where it has none.

    Raises:
        ValueError: a motion without rotations, or of other joints.
    """
    if motion.rotations is None or motion.translation is None:
        raise ValueError("the motion has no rotations: a body model is posed by rotations; Convert Motion to SMPL Parameters solves them")
    shape = motion.shape if shape is None else shape
    rotations = fitted_rotations(model, motion.rotations)
    joints = model.joints(rotations, motion.translation, shape)
    confidence = motion.confidence.amax(-1, keepdim=True).expand(-1, joints.shape[1]).clone()
    note = f"posed on {model.name or model.kind} with " + ("its mean shape" if shape is None else "the bone lengths of its betas")
    return replace(
        motion, joints=joints, confidence=confidence, skeleton=model.rest_skeleton(shape), rotations=rotations, shape=shape,
        notes=(*motion.notes, note),
    )  # fmt: skip
