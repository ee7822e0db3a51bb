"""Animations as binary glTF 2.0: a skinned stick figure for a skeleton, or the user's own character with one animation more."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..geometry.kinematics import placed_tracks, rest_pose, root_tracks
from ..geometry.rotations import nearest_rotation
from ..types import Animation, Rig, Skeleton
from .atomic import replacing
from .glb_builder import ANIMATION, TRIANGLES, VERTICES, GlbBuilder
from .gltf import local_matrix, node_parents, world_matrices
from .key_reduction import KeyTolerance, ReducedKeys, reduce_keys
from .quaternions import matrix_to_quat_xyzw
from .stick_figure import stick_figure

_UNEVEN = 1e-3  # relative difference between the scales of one node


def save_animated_glb(animation: Animation, path: str | Path, *, tolerance: KeyTolerance | None = None) -> None:
    """Write an animation as .glb; the file appears when it is complete. See `animated_glb`."""
    data = animated_glb(animation, tolerance=tolerance)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def animated_glb(animation: Animation, *, tolerance: KeyTolerance | None = None, name: str = ANIMATION) -> bytes:
    """An animation as the bytes of a GLB, the same bytes for the same animation.

    On a Skeleton: a stick figure skinned to its joints, Y up, in metres. On a Rig: the character as it was read, its binary chunk unchanged and
    followed by one more animation; nodes between the joints keep their rest pose, and joints that had a matrix get translation, rotation and
    scale. Keys are linear: a rotation for every joint, a translation for the roots and the placed joints. name: of the animation of a Rig, with a number
    behind it where the file has one of that name.

    Raises:
        ValueError: the rig has a joint below an unevenly scaled node, whose turns would shear the joints below it, or the file would exceed 4 GiB.
    """
    animation = animation.cpu()
    keys = None if tolerance is None else reduce_keys(animation, tolerance)
    if isinstance(animation.rig, Rig):
        return _animate_rig(animation, animation.rig, keys, name)
    return figure_builder(animation, animation.rig, keys).pack()


def _kept(keys: ReducedKeys | None, nodes: Sequence[int]) -> dict[tuple[int, str], np.ndarray] | None:
    """The frames to keep by node, from those by joint."""
    if keys is None:
        return None
    turned = {(nodes[joint], "rotation"): frames for joint, frames in enumerate(keys.rotations)}
    return turned | {(nodes[joint], "translation"): frames for joint, frames in keys.translations.items()}


# --- a stick figure


def figure_builder(animation: Animation, skeleton: Skeleton, keys: ReducedKeys | None = None) -> GlbBuilder:
    """The skinned and animated stick figure, to which more may be added before it is packed."""
    joints = len(skeleton.names)
    rest = skeleton.rest.double()
    offsets = [rest[joint] - (rest[parent] if parent >= 0 else 0) for joint, parent in enumerate(skeleton.parents)]
    nodes = [
        {"name": name, **({"children": list(below)} if below else {}), "translation": offset.tolist()}
        for name, below, offset in zip(skeleton.names, skeleton.children, offsets, strict=True)
    ]
    # The joints of a skin need a common root, and a skeleton may have several.
    nodes += [{"name": "skeleton", "children": list(skeleton.roots)}, {"name": "figure", "mesh": 0, "skin": 0}]
    builder = GlbBuilder(
        {"asset": {"version": "2.0", "generator": "Motion4D"}, "scene": 0, "scenes": [{"nodes": [joints, joints + 1]}], "nodes": nodes}, b""
    )
    _add_figure(builder, skeleton)
    rotations = {joint: animation.rotations[:, joint].double() for joint in range(joints)}
    builder.animate(rotations, root_tracks(animation) | placed_tracks(animation), animation.fps, kept=_kept(keys, range(joints)))
    return builder


def _add_figure(builder: GlbBuilder, skeleton: Skeleton) -> None:
    figure = stick_figure(skeleton)
    joints, count = len(skeleton.names), len(figure.positions)
    bind = np.tile(np.eye(4, dtype="<f4"), (joints, 1, 1))
    bind[:, 3, :3] = -skeleton.rest.numpy()  # column-major: the translation is the last row here
    carriers = np.zeros((count, 4), "u1" if joints <= 256 else "<u2")
    carriers[:, 0] = figure.joints
    attributes = {
        "POSITION": builder.accessor(figure.positions, "VEC3", target=VERTICES, bounds=True),
        "NORMAL": builder.accessor(figure.normals, "VEC3", target=VERTICES),
        "COLOR_0": builder.accessor(figure.colors, "VEC4", target=VERTICES, normalized=True),
        "JOINTS_0": builder.accessor(carriers, "VEC4", target=VERTICES),
        "WEIGHTS_0": builder.accessor(np.tile(np.array([1, 0, 0, 0], "<f4"), (count, 1)), "VEC4", target=VERTICES),
    }
    faces = builder.accessor(figure.triangles.reshape(-1).astype("<u2" if count < 65535 else "<u4"), "SCALAR", target=TRIANGLES)
    builder.append("materials", {"name": "bone", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.55}})
    builder.append("meshes", {"name": "figure", "primitives": [{"attributes": attributes, "indices": faces, "material": 0}]})
    builder.append(
        "skins",
        {"inverseBindMatrices": builder.accessor(bind.reshape(joints, 16), "MAT4"), "joints": list(range(joints)), "skeleton": joints},
    )


# --- the user's character


def _animate_rig(animation: Animation, rig: Rig, keys: ReducedKeys | None, name: str) -> bytes:
    document, parents = rig.document, node_parents(rig.document)
    above = {joint: parents[node] for joint, node in enumerate(rig.joint_nodes)}
    worlds = world_matrices(document, above.values(), parents)
    for joint, stretch in uneven_joints(rig).items():
        if joint in rig.skeleton.parents:
            raise ValueError(
                f"joint '{rig.skeleton.names[joint]}' lies below a node with uneven scale ({', '.join(f'{s:.4g}' for s in stretch)}), which its turns "
                "would shear: apply the scale of the armature and export again"
            )
    builder = GlbBuilder({**document, "nodes": list(document["nodes"])}, rig.binary)
    _, world = rest_pose(rig, torch.float64)
    rotations = {}
    for joint, (node, parent) in enumerate(zip(rig.joint_nodes, rig.skeleton.parents, strict=True)):
        translation, rotation, scale = _decompose(document, node)
        # The turn in the world away from how the parent joint carries this one, then seen from the space the node stands in, mirrored or not.
        turn = animation.rotations[:, joint].double() @ world[joint].mT
        turn = turn if parent < 0 else world[parent] @ turn
        space = _orthogonal(worlds[above[joint]][:3, :3])
        rotations[node] = space.mT @ turn @ space @ rotation
        if "matrix" in document["nodes"][node]:  # an animated node must not have one
            own = {"translation": translation.tolist(), "rotation": matrix_to_quat_xyzw(rotation).tolist(), "scale": scale.tolist()}
            builder.document["nodes"][node] = {key: value for key, value in document["nodes"][node].items() if key != "matrix"} | own
    translations = {}
    for joint, track in root_tracks(animation).items():
        inverse = torch.from_numpy(np.linalg.inv(worlds[above[joint]]))
        translations[rig.joint_nodes[joint]] = track @ inverse[:3, :3].mT + inverse[:3, 3]
    for joint, track in placed_tracks(animation).items():
        parent = rig.skeleton.parents[joint]
        carrier = rig.rest[parent].double()
        own = track @ (torch.linalg.inv(carrier[:3, :3]) @ world[parent]).mT  # in the space of the parent joint's node, with its scale
        inverse = torch.linalg.inv(torch.linalg.inv(carrier) @ torch.from_numpy(worlds[above[joint]]))
        translations[rig.joint_nodes[joint]] = own @ inverse[:3, :3].mT + inverse[:3, 3]
    builder.animate(rotations, translations, animation.fps, kept=_kept(keys, rig.joint_nodes), name=name)
    return builder.pack()


def _decompose(document: Mapping, node: int) -> tuple[np.ndarray, Tensor, np.ndarray]:
    """Translation (3), rotation (3, 3) and scale (3) of a node; a matrix that mirrors has its first scale negative."""
    matrix = local_matrix(document, node)
    scale = np.linalg.norm(matrix[:3, :3], axis=0)
    scale[0] = -scale[0] if np.linalg.det(matrix[:3, :3] / scale) < 0 else scale[0]
    if "scale" in document["nodes"][node]:
        scale = np.array(document["nodes"][node]["scale"], float)
    return matrix[:3, 3], nearest_rotation(torch.from_numpy(matrix[:3, :3] * np.sign(scale))), scale


def _orthogonal(axes: np.ndarray) -> Tensor:
    """Nearest orthogonal matrix (3, 3), which mirrors where `axes` do."""
    u, _, vh = np.linalg.svd(axes)
    return torch.from_numpy(u @ vh)


def uneven_joints(rig: Rig) -> dict[int, np.ndarray]:
    """Joints inside a space of uneven scale, and its three scales: their turns shear what they carry, joints or skin."""
    parents = node_parents(rig.document)
    above = [parents[node] for node in rig.joint_nodes]
    worlds = world_matrices(rig.document, above, parents)
    stretch = np.linalg.svd(np.stack([worlds[node][:3, :3] for node in above]), compute_uv=False)
    uneven = np.flatnonzero(stretch[:, 0] - stretch[:, 2] > _UNEVEN * stretch[:, 0]).tolist()
    return {joint: stretch[joint] for joint in uneven}
