"""What VRM adds to glTF that concerns joints: which node is which bone of a human (VRM 0.x `humanoid.humanBones`, VRM 1.0 `VRMC_vrm`)."""

from collections.abc import Iterator, Mapping
from typing import Any

_BACKWARDS = "VRM 0.x: the character faces -Z, away from a camera at azimuth 0"


def humanoid_bones(document: Mapping[str, Any]) -> tuple[dict[int, str], tuple[str, ...]]:
    """Name of the human bone ("leftUpperArm") of each node that has one, and notes; nothing of either for plain glTF.

    What does not fit the specification is left out: the map only lends names.
    """
    extensions = document.get("extensions")
    extensions = extensions if isinstance(extensions, Mapping) else {}
    count, names = len(document.get("nodes", [])), {}
    for kind, key in (("1.0", "VRMC_vrm"), ("0.x", "VRM")):
        found = extensions.get(key)
        humanoid = found.get("humanoid") if isinstance(found, Mapping) else None
        if isinstance(humanoid, Mapping):
            for bone, node in _pairs(humanoid.get("humanBones")):
                fits = isinstance(bone, str) and bone.isidentifier() and len(bone) <= 40
                if fits and isinstance(node, int) and 0 <= node < count and bone not in names.values():
                    names.setdefault(node, bone)
            notes = (f"VRM {kind}: {len(names)} joints have the names of human bones", *([_BACKWARDS] if kind == "0.x" else []))
            return names, notes
    return {}, ()


def _pairs(bones: Any) -> Iterator[tuple[Any, Any]]:
    """(bone, node): a list of {"bone", "node"} in VRM 0.x, an object of {"node"} in VRM 1.0."""
    if isinstance(bones, list):
        yield from ((item.get("bone"), item.get("node")) for item in bones[:200] if isinstance(item, Mapping))
    elif isinstance(bones, Mapping):
        yield from ((bone, item.get("node")) for bone, item in list(bones.items())[:200] if isinstance(item, Mapping))
