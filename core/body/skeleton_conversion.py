"""Motions of one skeleton as motions of another: joints by their names, and what the other one lacks as far as it can be told."""

import re
from dataclasses import replace

import torch
from torch import Tensor

from ..geometry.kinematics import world_rotations
from ..geometry.rotations import align_vectors, nearest_rotation
from ..skeletons import COCO17, OPENPOSE18, SMPL24, SMPLX55
from ..types import Motion, Skeleton
from .gaps import is_posed, reached
from .openpose import FACE, openpose_joints

# A standing body of REST_STATURE with all joints that any of the skeletons has, metres.
_BODY = {name: place for skeleton in (SMPLX55, SMPL24) for name, place in zip(skeleton.names, skeleton.rest.double(), strict=True)}
_BODY |= {name: _BODY["head"] + torch.tensor(offset, dtype=torch.float64) for name, offset in FACE.items() if name not in _BODY}
_TRUNK = ("pelvis", "spine1", "spine2", "spine3", "neck", "left_collar", "right_collar")
_GIRDLES = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
_FACE_POINTS = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_KNUCKLES = ("index1", "middle1", "ring1", "pinky1")

# Joints of Mixamo, and of the many BVH files that follow it, without prefix, case and separators.
_MIXAMO = {
    "hips": "pelvis", "spine": "spine1", "spine1": "spine2", "spine2": "spine3", "neck": "neck", "head": "head",
    **{f"{side}{other}": f"{side}_{name}" for side in ("left", "right") for other, name in (
        ("shoulder", "collar"), ("arm", "shoulder"), ("forearm", "elbow"), ("hand", "wrist"), ("upleg", "hip"), ("leg", "knee"),
        ("foot", "ankle"), ("toebase", "foot"),
        *((f"hand{finger}{n}", f"{finger}{n}") for finger in ("thumb", "index", "middle", "ring", "pinky") for n in (1, 2, 3)),
    )},
}  # fmt: skip
# Bones of VRM, and of Unity's humans. The thumb of VRM 1.0 begins with a metacarpal, that of 0.x with a proximal.
_VRM = {
    "hips": "pelvis", "spine": "spine1", "chest": "spine2", "upperchest": "spine3", "neck": "neck", "head": "head", "jaw": "jaw",
    **{f"{side}{other}": f"{side}_{name}" for side in ("left", "right") for other, name in (
        ("shoulder", "collar"), ("upperarm", "shoulder"), ("lowerarm", "elbow"), ("hand", "wrist"), ("upperleg", "hip"), ("lowerleg", "knee"),
        ("foot", "ankle"), ("toes", "foot"), ("eye", "eye"),
        *((f"{finger}{part}", f"{name}{n}") for finger, name in (
            ("thumb", "thumb"), ("index", "index"), ("middle", "middle"), ("ring", "ring"), ("little", "pinky"),
        ) for n, part in enumerate(("proximal", "intermediate", "distal"), 1)),
    )},
}  # fmt: skip
_VRM_1 = _VRM | {
    f"{side}thumb{part}": f"{side}_thumb{n}" for side in ("left", "right") for n, part in enumerate(("metacarpal", "proximal", "distal"), 1)
}
_SIGNS = (("leftupleg", _MIXAMO), ("leftthumbmetacarpal", _VRM_1), ("leftupperleg", _VRM))  # a joint that tells whose names they are
_NAMED = 10  # joints that a note lists
_SAME_PLACE = 1e-3  # metres between joints and what their rotations lead to


def smpl_names(skeleton: Skeleton) -> tuple[str, ...]:
    """(J) the joints under SMPL's names where the skeleton follows those of Mixamo or VRM; else as they are called."""
    plain = [re.sub(r"[^a-z0-9]", "", re.sub(r"^.*[:|]", "", name).lower()) for name in skeleton.names]
    known = next((names for sign, names in _SIGNS if sign in plain), None)
    if known is None:
        return skeleton.names
    found = tuple(known.get(name, own) for name, own in zip(plain, skeleton.names, strict=True))
    return found if len(set(found)) == len(found) else skeleton.names


def convert_skeleton(motion: Motion, skeleton: Skeleton) -> Motion:
    """The motion on the joints of another skeleton.

    Joints of the same name are the same joint, those of Mixamo and VRM are known. What the source lacks is derived where the body leaves no choice: the trunk of SMPL
    from hips and shoulders and the head from the face, as in a standing body of the same size; SMPL's hand from the knuckles; nose, eyes, ears and the
    neck of COCO and OpenPose as in `openpose_joints`. Anything else, such as fingers and feet from COCO, is missing: confidence 0. A note names both.

    Rotations go along where source and target have rest poses, so that the twist of bones is kept: each joint is turned by as much as its rest pose differs,
    as between a T and an A pose. The target's bones get the lengths of the person. Toward COCO and OpenPose, which have no rest pose, rotations are left out.

    Raises:
        ValueError: a skeleton with fewer than three joints in common with the motion's, by name.
    """
    names, source = skeleton.names, smpl_names(motion.skeleton)
    if names == motion.skeleton.names:
        return motion
    motion = motion.cpu()
    known = {name: joint for joint, name in enumerate(source)}
    if names in (COCO17.names, OPENPOSE18.names) and set(SMPL24.names[:22]) <= set(known):
        return _with_notes(_faced(motion, known, skeleton), motion, set(known))
    shared = [name for name in names if name in known and not _other_meaning(name, source, names)]
    if len(shared) < 3:
        raise ValueError(
            f"the motion's joints ({', '.join(source[:4])}, ...) and the skeleton's ({', '.join(names[:4])}, ...) have {len(shared)} names in common, "
            "expected at least 3: joints are matched by the names of SMPL, Mixamo or VRM"
        )
    joints = torch.full((motion.frames, len(names), 3), torch.nan, dtype=torch.float64)
    confidence = torch.zeros(motion.frames, len(names)).to(motion.confidence)
    for name in shared:
        joints[:, names.index(name)] = motion.joints[:, known[name]].double()
        confidence[:, names.index(name)] = motion.confidence[:, known[name]]
    _derive(motion, known, names, joints, confidence)
    joints[confidence == 0] = torch.nan
    result = replace(
        motion, joints=joints.to(motion.joints), confidence=confidence, skeleton=skeleton, rotations=None, translation=None, shape=None
    )
    if skeleton.rest is not None and motion.skeleton.rest is not None and motion.rotations is not None:
        result = _turned(motion, result, source)
    return _with_notes(result, motion, set(shared))


def _with_notes(result: Motion, motion: Motion, shared: set[str]) -> Motion:
    names, seen = result.skeleton.names, result.seen.any(0).tolist()
    note = f"converted from {len(motion.skeleton.names)} to {len(names)} joints"
    if derived := [name for name, there in zip(names, seen, strict=True) if there and name not in shared]:
        note += f"; derived: {_listed(derived)}"
    if missing := [name for name, there in zip(names, seen, strict=True) if not there]:
        note += f"; missing: {_listed(missing)}"
    if motion.rotations is not None and result.rotations is None:
        note += "; rotations left out, as one of the skeletons has no rest pose"
    return replace(result, notes=(*motion.notes, note))


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= _NAMED else ", ".join(names[:_NAMED]) + f" and {len(names) - _NAMED} more"


def _other_meaning(name: str, source: tuple[str, ...], names: tuple[str, ...]) -> bool:
    """OpenPose's neck is the middle between the shoulders, SMPL's is a joint of the spine."""
    return name == "neck" and ("pelvis" in source) != ("pelvis" in names)


def _faced(motion: Motion, known: dict[str, int], skeleton: Skeleton) -> Motion:
    """SMPL's joints as OpenPose's or COCO's."""
    body = [known[name] for name in SMPL24.names[:22]]
    plain = Skeleton(names=SMPL24.names[:22], parents=SMPL24.parents[:22], mirror=SMPL24.mirror[:22])
    same = motion.skeleton.names[:22] == SMPL24.names[:22]
    only = replace(
        motion, joints=motion.joints[:, body], confidence=motion.confidence[:, body], skeleton=plain, translation=None, shape=None,
        rotations=motion.rotations[:, body] if same and motion.rotations is not None else None,
    )  # fmt: skip
    faced = openpose_joints(only)
    chosen = [OPENPOSE18.index(name) for name in skeleton.names]
    return replace(faced, joints=faced.joints[:, chosen], confidence=faced.confidence[:, chosen], skeleton=skeleton)


def _derive(motion: Motion, known: dict[str, int], names: tuple[str, ...], joints: Tensor, confidence: Tensor) -> None:
    """Fill joints (T, J, 3) and confidence (T, J) of what the source lacks, in place."""
    if all(name in known for name in _GIRDLES) and "pelvis" not in names and "neck" in names:
        shoulders, neck = [known[name] for name in _GIRDLES[2:]], names.index("neck")
        joints[:, neck] = motion.joints[:, shoulders].double().mean(1)
        confidence[:, neck] = motion.confidence[:, shoulders].amin(1)
    elif all(name in known for name in _GIRDLES):
        here = [name for name in (*_TRUNK, *_GIRDLES) if name in known and not _other_meaning(name, tuple(known), names)]
        _set_like(motion, known, here, [name for name in _TRUNK if name in names and name not in here], names, joints, confidence)
    face = [name for name in _FACE_POINTS if name in known]
    if len(face) >= 3 and "head" not in known:
        _set_like(motion, known, face, [name for name in ("head", "jaw") if name in names], names, joints, confidence)
    if "head" in known and "neck" in known and all(name in known for name in _GIRDLES):
        wanted = [name for name in ("jaw", *_FACE_POINTS) if name in names and name not in known]
        _set_like(motion, known, ["neck", "head", *_GIRDLES[2:]], wanted, names, joints, confidence, anchor="head")
    for side in ("left", "right"):
        palm = [f"{side}_wrist", *(f"{side}_{knuckle}" for knuckle in _KNUCKLES)]
        if f"{side}_hand" in names and f"{side}_hand" not in known and all(name in known for name in palm):
            _set_like(motion, known, palm, [f"{side}_hand"], names, joints, confidence)


def _set_like(motion, known, sources, wanted, names, joints, confidence, *, anchor: str | None = None) -> None:
    """Place joints as a standing body has them, after that body's `sources` have been turned, scaled and moved onto those of the motion.

    The scale is one for the clip, its median over time. With an `anchor` that joint is met exactly. Where a source is missing, so is the result.
    """
    if not wanted:
        return
    columns = [known[name] for name in sources]
    seen = motion.seen[:, columns].all(1)
    if not seen.any():
        return
    template = torch.stack([_BODY[name] for name in sources])
    places = motion.joints[seen][:, columns].double()
    center, middle = places.mean(1, keepdim=True), template.mean(0)
    away, still = places - center, template - middle
    turn = nearest_rotation(torch.einsum("tsi,sj->tij", away, still))
    scale = (torch.einsum("tsi,tij,sj->t", away, turn, still) / still.square().sum()).median()
    if anchor is not None:
        center, middle = motion.joints[seen][:, [known[anchor]]].double(), _BODY[anchor]
    for name in wanted:
        joints[seen, names.index(name)] = center[:, 0] + scale * (turn @ (_BODY[name] - middle))
        confidence[seen, names.index(name)] = motion.confidence[seen][:, columns].amin(1)


def _turned(motion: Motion, result: Motion, source: tuple[str, ...]) -> Motion:
    """The result with the rotations of the motion and a rest pose with the bones of the person."""
    target, known = result.skeleton, {name: joint for joint, name in enumerate(source)}
    rest = _person_rest(motion, result, known)
    world = world_rotations(motion.rotations.double(), motion.skeleton.parents)
    old_rest = motion.skeleton.rest.double()
    turned, differ = (
        torch.empty(motion.frames, len(target.names), 3, 3, dtype=torch.float64),
        [torch.eye(3, dtype=torch.float64)] * len(target.names),
    )
    for joint, (name, parent) in enumerate(zip(target.names, target.parents, strict=True)):
        if name not in known:
            turned[:, joint] = turned[:, parent] if parent >= 0 else torch.eye(3, dtype=torch.float64)
            differ[joint] = differ[parent] if parent >= 0 else differ[joint]
            continue
        differ[joint] = _rest_turn(target, joint, rest, old_rest, known, differ[parent] if parent >= 0 else differ[joint])
        turned[:, joint] = world[:, known[name]] @ differ[joint]
    local = torch.stack([turned[:, j] if p < 0 else turned[:, p].mT @ turned[:, j] for j, p in enumerate(target.parents)], 1)
    root, first = target.roots[0], target.names[target.roots[0]]
    translation = None
    if motion.translation is not None and first in known:
        translation = motion.translation if known[first] == motion.skeleton.roots[0] else reached(motion)[:, known[first]]
    changed = replace(
        result,
        rotations=local.to(motion.rotations),
        translation=translation,
        skeleton=replace(target, rest=rest.to(target.rest)),
        shape=None,
    )
    if translation is None or root != 0 or not is_posed(motion):
        return changed
    # Where joints and rotations agreed they go on doing so, and what the target adds to the body is placed by the rotations.
    joints = reached(changed).to(result.joints)
    shared = torch.tensor([name in known for name in target.names]) & result.seen
    agree = (joints - result.joints).norm(dim=-1)[shared].max() < _SAME_PLACE
    return replace(changed, joints=torch.where(result.seen[..., None], joints, torch.nan)) if agree else changed


def _person_rest(motion: Motion, result: Motion, known: dict[str, int]) -> Tensor:
    """(J, 3) rest positions of the target with the bones of the motion's rest pose, where both ends are known, and in the size of the person elsewhere."""
    target, old = result.skeleton, motion.skeleton.rest.double()
    rest = target.rest.double()
    shared = [(joint, parent) for joint, parent in target.bones if target.names[joint] in known and target.names[parent] in known]
    lengths = {joint: float((old[known[target.names[joint]]] - old[known[target.names[parent]]]).norm()) for joint, parent in shared}
    size = sum(lengths.values()) / max(sum(float((rest[j] - rest[p]).norm()) for j, p in shared), 1e-9)
    grown = rest * size
    for joint, parent in target.bones:
        offset = rest[joint] - rest[parent]
        grown[joint] = grown[parent] + offset * (
            lengths[joint] / float(offset.norm()) if joint in lengths and float(offset.norm()) > 1e-6 else size
        )
    grown[:, 1] += rest[:, 1].min() * size - grown[:, 1].min()
    return grown


def _rest_turn(target: Skeleton, joint: int, rest: Tensor, old: Tensor, known: dict[str, int], above: Tensor) -> Tensor:
    """(3, 3) turn of a joint's rest bones in the target onto those in the source; its parent's at the end of a chain."""
    below = [child for child in target.children[joint] if target.names[child] in known and target.names[joint] in known]
    if not below:
        return above
    here = known[target.names[joint]]
    wanted = torch.nn.functional.normalize(torch.stack([old[known[target.names[child]]] - old[here] for child in below]), dim=-1)
    own = torch.nn.functional.normalize(rest[below] - rest[joint], dim=-1)
    if torch.allclose(wanted, own, atol=1e-6):
        return torch.eye(3, dtype=torch.float64)
    if len(below) == 1:
        return align_vectors(own[0], wanted[0])
    # Where the bones lie on one line, the turn about it is as small as can be.
    return nearest_rotation(torch.einsum("ci,cj->ij", wanted, own) + 1e-6 * torch.eye(3, dtype=torch.float64))
