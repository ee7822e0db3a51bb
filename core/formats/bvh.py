"""Biovision Hierarchy (BVH): skeletons and motions of animation programs.

Reading: any tree, several roots, channels in any order and number, angles in degrees, Y up. Position channels replace the OFFSET of their joint (as
Blender reads them). End sites are no joints. Units are told by the longest chain of bones at rest, end sites included (a human's, from the pelvis to
the fingertips, is about 1.4 m): up to 10 units are metres, up to 400 centimetres, beyond millimetres.

Writing: centimetres, which most programs expect; roots and placed joints with six channels, joints with Zrotation Xrotation Yrotation. A file with the joint names of a
standard skeleton, such as our own export, comes back in that skeleton's order with the rest pose of the file.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..geometry.kinematics import joint_positions, placed_tracks, root_tracks, world_rotations
from ..geometry.rotations import matrix_to_euler, rotvec_to_matrix
from ..skeletons import STANDARD, mirror_pairs
from ..types import Animation, Frame, Motion, Rig, Skeleton
from .atomic import replacing
from .bvh_text import BvhText, parse_bvh
from .clips import Clip, ClipInfo, chosen_rate

_UNITS = ((10.0, 1.0, "metres"), (400.0, 0.01, "centimetres"), (float("inf"), 0.001, "millimetres"))
_CENTIMETRES = 100.0
_WRITTEN_ORDER = "ZXY"
_END_SITE = 0.5  # length of an end site as a part of the bone before it
_SAME_REST = 1e-6  # metres
_STRETCH = 1e-4  # metres


def _rest(text: BvhText) -> tuple[np.ndarray, float]:
    """(J, 3) rest positions in the file's unit, and the longest chain of bones."""
    rest, chain = np.zeros((len(text.joints), 3)), np.zeros(len(text.joints))
    for index, joint in enumerate(text.joints):
        rest[index] = joint.offset
        if joint.parent >= 0:
            rest[index] += rest[joint.parent]
            chain[index] = chain[joint.parent] + np.linalg.norm(joint.offset)
    return rest, max([*chain, *(chain[parent] + np.linalg.norm(offset) for parent, offset in text.ends)])


def _locals(text: BvhText, scale: float) -> tuple[Tensor, Tensor]:
    """Local rotations (T, J, 3, 3) and positions (T, J, 3) in metres, relative to the parent."""
    frames, column = len(text.values), 0
    rotations = torch.eye(3, dtype=torch.float64).repeat(frames, len(text.joints), 1, 1)
    positions = torch.tensor([joint.offset for joint in text.joints], dtype=torch.float64).mul(scale).repeat(frames, 1, 1)
    for index, joint in enumerate(text.joints):
        for channel in joint.channels:
            track, axis = torch.from_numpy(text.values[:, column].copy()), "XYZ".index(channel[0])
            column += 1
            if channel.endswith("position"):
                positions[:, index, axis] = track * scale
            else:
                turn = torch.zeros(frames, 3, dtype=torch.float64)
                turn[:, axis] = torch.deg2rad(track)
                rotations[:, index] = rotations[:, index] @ rotvec_to_matrix(turn)
    return rotations, positions


def _chained(rotations: Tensor, positions: Tensor, parents: tuple[int, ...]) -> Tensor:
    """World positions (T, J, 3)."""
    world, joints = world_rotations(rotations, parents), positions.clone()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            joints[:, joint] = joints[:, parent] + (world[:, parent] @ positions[:, joint, :, None])[..., 0]
    return joints


def _skeleton(text: BvhText, rest: Tensor) -> tuple[Skeleton, list[int]]:
    """The skeleton of the file and, for each of its joints, the joint of the file: a standard one where names and tree agree."""
    names = tuple(joint.name for joint in text.joints)
    above = {joint.name: names[joint.parent] if joint.parent >= 0 else None for joint in text.joints}
    for standard in STANDARD.values():
        tree = {
            name: standard.names[parent] if parent >= 0 else None for name, parent in zip(standard.names, standard.parents, strict=True)
        }
        if tree == above:
            order = [names.index(name) for name in standard.names]
            same = standard.rest is not None and (standard.rest - rest[order]).abs().max() < _SAME_REST
            return (standard if same else replace(standard, rest=rest[order])), order
    parents = tuple(joint.parent for joint in text.joints)
    return Skeleton(names=names, parents=parents, mirror=mirror_pairs(names), rest=rest), list(range(len(names)))


def bvh_clip(data: bytes, name: str) -> Clip:
    """The clip of a BVH file, in WORLD axes; ValueError names the line that is wrong."""
    text = parse_bvh(data)
    rest, chain = _rest(text)
    scale, unit = next((scale, unit) for most, scale, unit in _UNITS if chain <= most)

    def build(person: int, given: float | None) -> Motion:
        rate, notes = chosen_rate(given, text.fps)
        notes = (*notes, f"{unit} assumed: the longest chain of bones is {chain:.4g} units", "Y up assumed: BVH names no axes")
        skeleton, order = _skeleton(text, torch.from_numpy(rest * scale).float())
        rotations, positions = _locals(text, scale)
        joints = _chained(rotations, positions, tuple(joint.parent for joint in text.joints))[:, order]
        rotations, root = rotations[:, order], joints[:, 0]
        base = skeleton.rest.double()
        rigid = joint_positions(
            world_rotations(rotations, skeleton.parents), root, base, torch.eye(3).double().expand(len(base), 3, 3), skeleton.parents
        )
        stretch = (rigid - joints).norm(dim=-1).max().item()
        if stretch > _STRETCH:
            notes = (*notes, f"bones change their length: the rest pose with the rotations misses the joints by up to {stretch:.4f} m")
        return Motion(
            joints=joints.float(), confidence=torch.ones(joints.shape[:2]), skeleton=skeleton, fps=rate, frame=Frame.WORLD,
            rotations=rotations.float(), translation=root.float(), notes=notes,
        )  # fmt: skip

    return Clip(ClipInfo(name, len(text.values), 1, len(text.joints), text.fps, None, "bvh"), build)


def _depth_first(skeleton: Skeleton) -> list[int]:
    """Joints in the order in which a nested text names them."""
    order, waiting, children = [], [*skeleton.roots[::-1]], skeleton.children
    while waiting:
        order.append(waiting.pop())
        waiting += children[order[-1]][::-1]
    return order


def _hierarchy(skeleton: Skeleton, order: list[int], moving: set[int]) -> list[str]:
    rest, parents, lines, open_joints = skeleton.rest.double() * _CENTIMETRES, skeleton.parents, ["HIERARCHY"], []

    def close() -> None:
        lines.append("\t" * (len(open_joints) - 1) + "}")
        open_joints.pop()

    for joint in order:
        while open_joints and open_joints[-1] != parents[joint]:
            close()
        offset = rest[joint] - (rest[parents[joint]] if parents[joint] >= 0 else 0)
        indent, inner = "\t" * len(open_joints), "\t" * (len(open_joints) + 1)
        position = "Xposition Yposition Zposition " if joint in moving else ""
        channels = position + " ".join(f"{axis}rotation" for axis in _WRITTEN_ORDER)
        lines += [f"{indent}{'JOINT' if parents[joint] >= 0 else 'ROOT'} {' '.join(skeleton.names[joint].split())}", f"{indent}{{"]
        lines += [f"{inner}OFFSET {_words(offset)}", f"{inner}CHANNELS {len(channels.split())} {channels}"]
        if joint not in parents:
            lines += [f"{inner}End Site", f"{inner}{{", f"{inner}\tOFFSET {_words(offset * _END_SITE)}", f"{inner}}}"]
        open_joints.append(joint)
    while open_joints:
        close()
    return lines


def _words(values: Tensor | np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in values.tolist())


def save_bvh(animation: Animation, path: Path) -> None:
    """Write an animation of a plain skeleton, in centimetres.

    Raises:
        ValueError: the animation moves a rig, or a joint's name is empty or has braces.
    """
    if isinstance(animation.rig, Rig):
        raise ValueError(f"{path}: the animation moves a rig, BVH holds plain skeletons: save it as GLB")
    animation, skeleton = animation.cpu(), animation.skeleton
    broken = [name for name in skeleton.names if not name.split() or set(name) & set("{}")]
    if broken:
        raise ValueError(f"{path}: BVH cannot hold a joint called '{broken[0]}': give it a name without braces")
    angles = torch.rad2deg(matrix_to_euler(animation.rotations.double(), _WRITTEN_ORDER)).numpy()
    angles = np.unwrap(angles, period=360.0, axis=0)
    moving = root_tracks(animation) | placed_tracks(animation)
    order, columns = _depth_first(skeleton), []
    for joint in order:
        if joint in moving:
            columns.append((moving[joint] * _CENTIMETRES).numpy())
        columns.append(angles[:, joint])
    rows = np.concatenate(columns, 1)
    lines = [
        *_hierarchy(skeleton, order, set(moving)),
        "MOTION",
        f"Frames: {len(rows)}",
        f"Frame Time: {1 / animation.fps:.15f}",
        *map(_words, rows),
    ]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
