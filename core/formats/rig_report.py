"""Rigs and their animations in words."""

import torch

from ..types import Animation, Rig
from ..wording import counted
from .glb_builder import free_name
from .glb_writer import uneven_joints
from .gltf_meshes import load_meshes, skin_shares
from .rig_animation import list_animations

_MOST_NAMES = 8


def rig_report(rig: Rig) -> str:
    """What a rig holds and what will not work with it: joints, leaves, helper bones, meshes, animations, notes."""
    skeleton = rig.skeleton
    size = (skeleton.rest.amax(0) - skeleton.rest.amin(0)).tolist()
    lines = [
        f"{counted(len(skeleton.names), 'joint')}, {counted(len(skeleton.roots), 'root')}; the joints span {size[0]:.4g} x {size[1]:.4g} x {size[2]:.4g}",
        f"{len(skeleton.leaves)} leaves, whose own turn no joint shows: {_listed(rig, skeleton.leaves)}",
        *_mesh_lines(rig),
        *(_animation_lines(rig) or ["no animations"]),
        *rig.notes,
    ]
    uneven = tuple(uneven_joints(rig))
    if carrying := tuple(joint for joint in uneven if joint in skeleton.parents):
        lines.append(
            f"warning: {_listed(rig, carrying)} lie below unevenly scaled nodes, which turns would shear: apply the scale before saving"
        )
    elif uneven:
        lines.append(
            f"warning: {_listed(rig, uneven)} lie below unevenly scaled nodes: their skin is sheared in saved files as they turn; apply the scale"
        )
    return "\n".join(lines)


def animation_report(animation: Animation) -> str:
    """Length, placed joints, notes, and how far the joints are from those asked for."""
    frames, joints = animation.rotations.shape[:2]
    lines = [f"{counted(frames, 'frame')} at {animation.fps:g} fps, {counted(joints, 'joint')}"]
    if animation.residual is not None:
        known = animation.residual[torch.isfinite(animation.residual)]
        if len(known):
            unit = "in the unit of the rig" if isinstance(animation.rig, Rig) else "in metres"
            lines.append(f"distance from the joints asked for: mean {known.mean():.4g}, largest {known.max():.4g}, {unit}")
    return "\n".join([*lines, *animation.notes])


def added_report(animation: Animation) -> tuple[str, ...]:
    """Where to find an animation in the GLB of a character that brings others along; nothing where it is the only one."""
    known = animation.rig.document.get("animations", []) if isinstance(animation.rig, Rig) else []
    if not known:
        return ()
    return (
        f"animation '{free_name(animation.rig.document)}' is the last of {len(known) + 1}; Preview 3D starts with the first: choose it there",
    )


def _listed(rig: Rig, joints: tuple[int, ...]) -> str:
    names = [rig.skeleton.names[joint] for joint in joints[:_MOST_NAMES]]
    return ", ".join(names) + (f" and {len(joints) - _MOST_NAMES} more" if len(joints) > _MOST_NAMES else "")


def _mesh_lines(rig: Rig) -> list[str]:
    try:
        meshes = load_meshes(rig)
    except ValueError as error:
        return [f"warning: its meshes cannot be drawn: {error}"]
    helpers = tuple((skin_shares(rig, meshes) == 0).nonzero()[:, 0].tolist())
    skinned = sum(mesh.joints.shape[1] > 0 for mesh in meshes)
    lines = [
        f"{counted(len(meshes), 'mesh')}, {skinned} of them moved by joints; {sum(len(mesh.vertices) for mesh in meshes)} vertices, "
        f"{sum(len(mesh.faces) for mesh in meshes)} triangles, {sum(mesh.texture is not None for mesh in meshes)} textured, "
        f"{sum(len(mesh.morphs) for mesh in meshes)} morph targets"
    ]
    if helpers:
        lines.append(f"{len(helpers)} helper bones, which carry no part of a mesh: {_listed(rig, helpers)}")
    return [*lines, *dict.fromkeys(note for mesh in meshes for note in mesh.notes)]


def _animation_lines(rig: Rig) -> list[str]:
    try:
        return [f"animation {number}, {info}" for number, info in enumerate(list_animations(rig))]
    except ValueError as error:
        return [f"warning: its animations cannot be read: {error}"]
