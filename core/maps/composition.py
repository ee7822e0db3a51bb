"""Several bodies in one picture."""

from collections.abc import Sequence

import torch

from ..types import BoneMaps


def compose_bone_maps(layers: Sequence[BoneMaps]) -> BoneMaps:
    """Bone maps of several people seen by the same cameras as those of all of them: at every pixel the nearest body. The root distance is the mean of theirs.

    Raises:
        ValueError: no maps, or maps of different views, frames or sizes.
    """
    if not layers:
        raise ValueError("there are no bone maps to compose: give at least one")
    first = layers[0]
    for number, layer in enumerate(layers):
        if layer.mask.shape != first.mask.shape:
            raise ValueError(
                f"bone maps {number} are {tuple(layer.mask.shape)}, the first {tuple(first.mask.shape)}: expected the same views, frames, height and "
                "width; render them with the same cameras and cut the motions to the same length"
            )
    depth, normal, mask = first.depth.clone(), first.normal.clone(), first.mask.clone()
    for layer in layers[1:]:
        nearer = layer.mask & (~mask | (layer.depth < depth))
        depth[nearer], normal[nearer] = layer.depth[nearer], layer.normal[nearer]
        mask |= layer.mask
    distances = [layer.root_distance for layer in layers if layer.root_distance is not None]
    return BoneMaps(depth=depth, normal=normal, mask=mask, root_distance=torch.stack(distances).mean(0) if distances else None)
