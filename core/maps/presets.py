"""Bone maps as the pictures that existing models were trained on, each by name.

A depth estimator gives every model its own scale; bodies alone have no background, so all of these scales run over the bodies of the whole sequence,
one for all views and frames, and the background is as far as can be: pictures neither flicker nor depend on what else is in the scene.
"""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..types import BoneMaps
from .encodings import colour_normals, depth_range, edge_hits, encode_depth, encode_normals, soften

_GOLDEN = 0.61803398875  # turns of the hue from one number to the next: neighbours never look alike
_BAE_SIGNS, _BAE_WALL = (-0.5, -0.5, -0.5), (0.5, 0.5, 1.0)


@dataclass(frozen=True)
class Preset:
    """suits: the models. convention: what the picture means. encode: maps -> (V, T, H, W, 3) in 0..1."""

    suits: str
    convention: str
    encode: Callable[[BoneMaps], Tensor]


def encode_preset(maps: BoneMaps, name: str) -> Tensor:
    """Maps as pictures (V, T, H, W, 3) in 0..1 of a preset; grey ones are three views of the same memory.

    Raises:
        ValueError: an unknown preset, or one that tells bones or people apart for maps without ids.
    """
    if name not in PRESETS:
        raise ValueError(f"preset is '{name}', expected one of {', '.join(PRESETS)}")
    return PRESETS[name].encode(maps)


def _grey(picture: Tensor) -> Tensor:
    return picture[..., None].expand(*picture.shape, 3)


def encode_disparity(maps: BoneMaps) -> Tensor:
    """Grey (V, T, H, W) of the reciprocal of the depth: 1 at the nearest point of all views and frames, 0 on the background.

    MiDaS and Depth Anything estimate relative inverse depth, which their users stretch from the least to the most: near is white. Here the least is
    that of a background at 2.5 times the farthest point of a body, so that bodies stand out of it.
    """
    near, far = depth_range(maps)
    if far == 0:
        return torch.zeros_like(maps.depth)
    least = 1 / (2.5 * far)
    return _scaled(maps, lambda depth: (1 / depth.clamp(min=near / 2) - least) / (1 / near - least))


def encode_linear(maps: BoneMaps) -> Tensor:
    """Grey (V, T, H, W) of metric depth, near is white: 1 at the nearest point of all views and frames, 0.2 at the farthest, 0 on the background.

    ZoeDepth estimates metres, which ControlNet's annotator stretches linearly and inverts: 1 - (depth - p2) / (p85 - p2) over the percentiles of a picture.
    """
    near, far = depth_range(maps)
    span = max(far - near, 1e-6)
    return _scaled(maps, lambda depth: 1 - 0.8 * (depth - near) / span)


def _scaled(maps: BoneMaps, scale: Callable[[Tensor], Tensor]) -> Tensor:
    grey = torch.zeros_like(maps.depth)
    grey[maps.mask] = scale(maps.depth[maps.mask]).clamp(0, 1)
    if maps.edges is not None:
        soften(maps, grey, scale(maps.edges.depth).clamp(0, 1) * edge_hits(maps))
    return grey


def encode_bae(maps: BoneMaps) -> Tensor:
    """Normals (V, T, H, W, 3) as Bae et al. and DSINE give them: x left, y up, z towards the camera; the background is a wall that faces the camera.

    ControlNet 1.1 states it for its normal model: "blue is front, red is left, green is top" (ControlNet-v1-1-nightly, README, Normal 1.1). A surface that
    faces left is (1, 0.5, 0.5), one that faces up (0.5, 1, 0.5), one that faces the camera (0.5, 0.5, 1).
    """
    return colour_normals(maps, _BAE_SIGNS, _BAE_WALL)


def colour_bones(maps: BoneMaps) -> Tensor:
    """(V, T, H, W, 3): each ellipsoid in its own colour, the same for the same part of every person; black background."""
    _check_ids(maps)
    return _painted(maps, [part for names in maps.parts or (range(_unnamed(maps)),) for part in range(len(names))])


def colour_people(maps: BoneMaps) -> Tensor:
    """(V, T, H, W, 3): each person in a colour, black background."""
    _check_ids(maps)
    return _painted(maps, [person for person, names in enumerate(maps.parts or (range(_unnamed(maps)),)) for _ in names])


def _unnamed(maps: BoneMaps) -> int:
    return int(maps.ids.max()) + 1 if maps.ids.numel() else 0


def _painted(maps: BoneMaps, numbers: list[int]) -> Tensor:
    """Ids in the colours of `numbers` (E)."""
    palette = torch.zeros(len(numbers) + 1, 3)  # the last, which id -1 takes, stays black
    for row, number in enumerate(numbers):
        palette[row] = torch.tensor(
            colorsys.hsv_to_rgb((0.02 + number * _GOLDEN) % 1.0, (0.85, 0.6, 0.75)[number % 3], (1.0, 0.95, 0.7)[number % 3])
        )
    picture = torch.empty(*maps.ids.shape, 3)
    for view, ids in zip(picture, maps.ids, strict=True):
        for frame, numbered in zip(view, ids, strict=True):
            frame.copy_(palette[numbered.long()])
    if maps.edges is not None:
        soften(maps, picture, palette[maps.edges.ids.long()])
    return picture


def _check_ids(maps: BoneMaps) -> None:
    if maps.ids is None:
        raise ValueError("the bone maps have no ids that tell bones and people apart: render them with Render Bone Maps")


PRESETS = {
    "hvg_depth": Preset(
        "HVG, and anything that wants metric depth",
        "near is bright: 1.25 m before and behind the pelvis of the first frame are 1 and 0.1, the background is 0",
        lambda maps: _grey(encode_depth(maps)),
    ),
    "hvg_normals": Preset(
        "HVG, and programs with OpenGL normals",
        "camera space, x right is red, y up is green, z towards the camera is blue, black background",
        encode_normals,
    ),
    "vace_depth": Preset(
        "Wan2.1 and Wan2.2 VACE, depth (MiDaS or Depth Anything V2 in its annotators); depth ControlNets and FLUX.1 Depth",
        "relative inverse depth, near is white, black background",
        lambda maps: _grey(encode_disparity(maps)),
    ),
    "fun_control_depth": Preset(
        "Wan2.1 and Wan2.2 Fun-Control and CogVideoX-Fun-Control, depth (ZoeDepth in its annotators)",
        "metric depth, linear, near is white, black background",
        lambda maps: _grey(encode_linear(maps)),
    ),
    "controlnet_normal": Preset(
        "ControlNet 1.1 Normal (NormalBAE), and models trained on normals of DSINE or StableNormal; not Fun-Control and not VACE, which know no normals",
        "camera space, x left is red, y up is green, z towards the camera is blue, the background faces the camera",
        encode_bae,
    ),
    "bones": Preset(
        "segmentation of body parts: occlusion at a glance", "one colour for each bone, the same for every person", colour_bones
    ),
    "people": Preset("segmentation of people", "one colour for each person, in the order of composition", colour_people),
}
