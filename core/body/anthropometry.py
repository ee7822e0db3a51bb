"""How thick a body is: sections of each bone from anthropometry, and stature from bone lengths.

Radii are means of ANSUR II (Natick/TR-15/007; 4082 men and 1986 women at equal weight: circumference / 2 pi, or half a breadth) for a stature of
1.692 m, the stature of the rest skeletons. Bones are looked up by the names of their ends, so skeletons that share SMPL's names, or Mixamo's, share
its radii.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..skeletons import REST_STATURE
from ..types import Motion
from .measurements import bone_lengths, estimate_stature
from .skeleton_conversion import smpl_names

HEAD_TOP = (0.0, 0.17, 0.02)  # metres, from the head joint to the crown in the axes of the head
HEAD_SECTION = (0.0857, 0.0755, 0.0973)  # breadth 151 mm, length 195 mm; the round section has the same area
GENERIC_RATIO = 0.16  # radius of a bone of an unknown skeleton, as a part of its length; limbs of the table lie between 0.13 and 0.21
_GENERIC_LIMIT = 0.5  # ... and at most this part of the bone
_GENERIC_RANK = (
    0.75  # ... that is longer than this part of the skeleton's bones: not a finger, where there are many, nor a bone gone astray
)
FINGERTIP = 0.022  # metres beyond the last joint of a finger of a person of the table's stature

# (parent, child): metres (round, x, z). `round` is the radius of a circular section; x and z those of an oriented one, across the bone after the
# smallest turn of the rest bone onto the Y axis: for upright bones x runs left to right and z front to back, for the arms of the T-pose x runs up.
_MIDLINE = {
    ("pelvis", "spine1"): (0.120, 0.157, 0.116),
    ("spine1", "spine2"): (0.118, 0.150, 0.113),
    ("spine2", "spine3"): (0.128, 0.142, 0.122),
    ("spine3", "neck"): (0.100, 0.135, 0.110),
    ("neck", "head"): (0.061, 0.060, 0.062),
    ("head", "jaw"): (0.045, 0.045, 0.045),
}
_SIDES = {
    ("pelvis", "hip"): (0.110, 0.110, 0.120),
    ("spine3", "collar"): (0.085, 0.085, 0.100),
    ("collar", "shoulder"): (0.060, 0.055, 0.065),
    ("shoulder", "elbow"): (0.050, 0.050, 0.050),
    ("elbow", "wrist"): (0.036, 0.036, 0.036),
    ("wrist", "hand"): (0.029, 0.020, 0.042),  # palms face down in the T-pose: the 84 mm across the palm run front to back
    ("hip", "knee"): (0.082, 0.082, 0.082),
    ("knee", "ankle"): (0.050, 0.050, 0.050),
    ("ankle", "foot"): (0.037, 0.045, 0.030),
    ("head", "eye"): (0.012, 0.012, 0.012),
}
_FINGER = (0.0140, 0.0104, 0.0088)  # metacarpal, proximal and distal bones of index, middle and ring; the fingers are hand breadth / 8 wide
_FINGERS = {"index": _FINGER, "middle": _FINGER, "ring": _FINGER, "pinky": tuple(0.85 * radius for radius in _FINGER), "thumb": (0.0160, 0.0115, 0.0100)}  # fmt: skip


def _sections() -> dict[tuple[str, str], tuple[float, float, float]]:
    table = dict(_MIDLINE)
    middle = {"pelvis", "spine3", "head"}
    for side in ("left", "right"):
        for (parent, child), section in _SIDES.items():
            table[parent if parent in middle else f"{side}_{parent}", f"{side}_{child}"] = section
        for finger, radii in _FINGERS.items():
            chain = (f"{side}_wrist", *(f"{side}_{finger}{number}" for number in (1, 2, 3)))
            for parent, child, radius in zip(chain, chain[1:], radii, strict=False):
                table[parent, child] = (radius, radius, radius)
    return table


BONE_SECTIONS = _sections()


def bone_sections(motion: Motion, *, scale: float | None = None, radii: Tensor | Mapping[str, float] | None = None) -> Tensor:
    """Sections (B, 3) of the motion's bones, in the order of `skeleton.bones`: metres (round, x, z), as in the table above.

    Bones of the table are scaled by the stature; any other bone is round with a radius of 0.16 of its length (0 where it is never seen), and at most half the
    length of a bone at the upper quartile of the skeleton's.

    Args:
        scale: `thickness_scale` of the motion, where it is known already.
        radii: metres of round sections instead of those: for every bone (B), or for some by the joint in which they end. A bone of radius 0 is not drawn.

    Raises:
        ValueError: radii of another number of bones, for joints that end no bone, below 0 or not finite.
    """
    motion = known_by_smpl_names(motion)
    names, bones, lengths = motion.skeleton.names, motion.skeleton.bones, bone_lengths(motion)
    scale = thickness_scale(motion) if scale is None else scale
    limit = _GENERIC_LIMIT * lengths.nanquantile(_GENERIC_RANK, interpolation="lower")
    generic = (GENERIC_RATIO * lengths).minimum(limit).nan_to_num(nan=0.0)
    rows = []
    for child, parent in bones:
        known = BONE_SECTIONS.get((names[parent], names[child]))
        rows.append([scale * radius for radius in known] if known else [float(generic[child])] * 3)
    sections = torch.tensor(rows, dtype=torch.float64).reshape(-1, 3)
    return sections if radii is None else _replaced(sections, motion, radii)


def known_by_smpl_names(motion: Motion) -> Motion:
    """The motion with the joints of a Mixamo skeleton called as in SMPL; any other as it is."""
    names = smpl_names(motion.skeleton)
    return motion if names == motion.skeleton.names else replace(motion, skeleton=replace(motion.skeleton, names=names))


def parse_radii(text: str) -> dict[str, float]:
    """Radii by joint from text: "left_wrist 0.03, tail=0.015", metres, separated by commas, semicolons or lines.

    Raises:
        ValueError: an entry that is no joint and number.
    """
    entries = [entry.strip() for entry in re.split(r"[,;\n]", text)]
    radii = {}
    for entry in filter(None, entries):
        found = re.fullmatch(r"(.+?)\s*[=\s:]\s*([-+.\deE]+)", entry)
        try:
            radii[found[1].strip()] = float(found[2])
        except (TypeError, ValueError):
            raise ValueError(f"radii: '{entry}' is no joint and radius: write entries such as left_wrist 0.03, in metres") from None
    return radii


def _replaced(sections: Tensor, motion: Motion, radii: Tensor | Mapping[str, float]) -> Tensor:
    bones, sections = motion.skeleton.bones, sections.clone()
    if isinstance(radii, Mapping):
        rows = {motion.skeleton.names[child]: row for row, (child, _) in enumerate(bones)}
        if unknown := [name for name in radii if name not in rows]:
            raise ValueError(f"radii name '{unknown[0]}', in which no bone ends: the bones end in {', '.join(rows)}")
        values, chosen = torch.tensor(list(radii.values()), dtype=torch.float64), [rows[name] for name in radii]
    else:
        values, chosen = torch.as_tensor(radii).detach().cpu().double(), list(range(len(bones)))
        if values.shape != (len(bones),):
            raise ValueError(
                f"radii are {tuple(values.shape)}, the skeleton has {len(bones)} bones: give one number for each, in their order"
            )
    if not (torch.isfinite(values) & (values >= 0)).all():
        raise ValueError(f"radii are {values.tolist()}, expected metres of 0 or more")
    if chosen:
        sections[chosen] = values[:, None].expand(-1, 3)
    return sections


def thickness_scale(motion: Motion) -> float:
    """Factor on the table's radii: stature / 1.692 m, 1 where the stature cannot be told."""
    stature = estimate_stature(known_by_smpl_names(motion))
    return 1.0 if stature is None else stature / REST_STATURE
