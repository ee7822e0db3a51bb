"""The second pose map: crowded joints, such as fingers, each group drawn apart and larger around the joint that carries it."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..types import DetailMaps, Keypoints, PoseMaps, Skeleton
from .palettes import BACKGROUND, assign_palette, make_palette
from .pose_map_painting import Style, paint
from .pose_map_reading import read_pose_maps

_SHORT = 0.07  # of the rest pose's largest side: bones up to this crowd
_SMALL = 0.2  # of it: branches that reach farther have room
_FEWEST = 3  # joints besides the one that carries them
_LARGEST = 16.0  # magnification
_OTHER_SHAPE = 0.03  # by how much the sides of pictures may be stretched differently


def crowded_groups(skeleton: Skeleton) -> tuple[tuple[int, ...], ...]:
    """Branches of a skeleton that have at least three joints, all on short bones, each with the joint that carries the branch first: hands and a face.

    Bones count as short up to 7 % of the largest side of the rest pose, and branches have to stay within 20 % of it. Without a rest pose there are no groups.
    """
    if skeleton.rest is None:
        return ()
    rest = skeleton.rest.double().numpy()
    size = float((rest.max(0) - rest.min(0)).max())
    below: list[list[int]] = [[] for _ in skeleton.names]
    for child, parent in reversed(skeleton.bones):
        below[parent] += [child, *below[child]]

    def crowded(top: int) -> bool:
        bones = [np.linalg.norm(rest[joint] - rest[skeleton.parents[joint]]) for joint in below[top]]
        return all(bone <= _SHORT * size for bone in bones) and np.ptp(rest[[top, *below[top]]], axis=0).max() <= _SMALL * size

    tops: list[int] = []
    taken: set[int] = set()
    for joint, carried in enumerate(below):  # parents come first, so that the largest branch is taken
        if joint not in taken and len(carried) >= _FEWEST and crowded(joint):
            tops.append(joint)
            taken.update(carried)
    return tuple((joint, *sorted(below[joint])) for joint in tops)


def check_groups(groups: Sequence[Sequence[int]], skeleton: Skeleton) -> tuple[tuple[int, ...], ...]:
    """The groups as tuples.

    Raises:
        ValueError: a group that carries nothing, joints that the skeleton does not have, or that are in two groups.
    """
    groups = tuple(tuple(int(joint) for joint in group) for group in groups)
    carried = [joint for group in groups for joint in group[1:]]
    named = {joint for group in groups for joint in group}
    if any(len(group) < 2 for group in groups) or not all(0 <= joint < len(skeleton.names) for joint in named):
        raise ValueError(
            f"detail groups are {groups}, expected the joint that carries each group and at least one more, of {len(skeleton.names)}"
        )
    if len(set(carried)) != len(carried) or any(group[0] in carried for group in groups):
        raise ValueError(f"detail groups {groups} share joints: draw each joint in one group, and none that carries a group in another")
    return groups


def draw_details(
    pixels: np.ndarray, depth: np.ndarray, skeleton: Skeleton, groups: tuple[tuple[int, ...], ...], size: tuple[int, int], style: Style
) -> DetailMaps:
    """Draw groups of joints (V, T, J, 2), NaN where not shown, as large as fits all frames, in tiles of pictures of `size` (H, W)."""
    rows, columns = _tiling(len(groups), size)
    tile = (size[0] // rows, size[1] // columns)
    away = [pixels[:, :, group] - pixels[:, :, group[:1]] for group in groups]
    reach = max((float(np.nanmax(np.abs(part), initial=0.0, where=np.isfinite(part))) for part in away), default=0.0)
    room = min(tile) / 2 - style.radius - 1
    scale = float(np.clip(room / max(reach, 1e-6), 1.0, _LARGEST)) if room > 0 else 1.0
    middle = np.array([tile[1], tile[0]]) / 2
    images = torch.full((*depth.shape[:2], *size, 3), BACKGROUND[0] / 255)
    branches = [_branch(skeleton, group) for group in groups]
    palettes = tuple(assign_palette(make_palette(len(group)), branch.parents) for group, branch in zip(groups, branches, strict=True))
    for number, (group, branch, palette) in enumerate(zip(groups, branches, palettes, strict=True)):
        bones = np.array(branch.bones, int).reshape(-1, 2)
        drawn = paint(middle + scale * away[number], depth[:, :, group], bones, palette, tile, style)
        _tile(images, number, tile, columns).copy_(drawn)
    return DetailMaps(
        images=images, joints=groups, palettes=palettes, tiles=(rows, columns), magnification=scale, radius=style.radius
    )  # fmt: skip


def read_again(
    images: Tensor,
    drawn: PoseMaps,
    *,
    detail_images: Tensor | None = None,
    temporal: bool = True,
    advance: Callable[[int], None] | None = None,
) -> Keypoints:
    """Find the joints in pictures like those of `drawn`: with its palette, discs and skeleton, in pixels of its pictures.

    Args:
        images: (V', T', H, W, 3) in 0..1, larger or smaller than those drawn, of any number of views and frames.
        detail_images: (V', T', H, W, 3) like those of `drawn.detail`. Without, the joints that are drawn only there are missing.
        temporal, advance: as in `read_pose_maps`; advance counts the pictures of both.

    Returns:
        Keypoints of all joints. Those of the detail map hang on the joint that carries them, and are missing where it is.

    Raises:
        ValueError: pictures of another shape, detail pictures of maps drawn without, or of another number than the pictures.
    """
    size = tuple(drawn.images.shape[2:4])
    stretch, scale = _scale(images, size, "the pictures")
    detail = drawn.detail
    if detail_images is not None and (detail is None or detail_images.shape[:2] != images.shape[:2]):
        wrong = "the pose maps were drawn without any: draw them with detail"
        counts = f"they are of {tuple(detail_images.shape[:2])} views and frames, the pictures of {tuple(images.shape[:2])}"
        raise ValueError(f"detail pictures are given, but {wrong if detail is None else counts}")
    apart = {joint for group in (detail.joints if detail else ()) for joint in group[1:]}
    body = [joint for joint in range(len(drawn.palette)) if joint not in apart]
    branch = None if drawn.skeleton is None else _branch(drawn.skeleton, body)
    found = read_pose_maps(images, drawn.palette[body], radius=drawn.radius * scale, skeleton=branch, temporal=temporal, advance=advance)
    pixels = torch.full((*found.pixels.shape[:2], len(drawn.palette), 2), torch.nan)
    confidence = torch.zeros(pixels.shape[:3])
    pixels[:, :, body], confidence[:, :, body] = found.pixels / stretch, found.confidence
    if detail_images is not None:
        _add_details(pixels, confidence, detail_images, detail, drawn.skeleton, size, temporal, advance)
    return Keypoints(pixels=pixels, confidence=confidence, image_size=size)


def _add_details(
    pixels: Tensor, confidence: Tensor, images: Tensor, detail: DetailMaps, skeleton: Skeleton | None, size: tuple[int, int], temporal: bool,
    advance: Callable[[int], None] | None,
) -> None:  # fmt: skip
    """Read the tiles of each group and hang its joints on the one that carries it."""
    stretch, scale = _scale(images, size, "the detail pictures")
    rows, columns = detail.tiles
    tile = (images.shape[2] // rows, images.shape[3] // columns)
    for number, (group, palette) in enumerate(zip(detail.joints, detail.palettes, strict=True)):
        branch = None if skeleton is None else _branch(skeleton, group)
        last = advance if number == len(detail.joints) - 1 else None
        part = _tile(images, number, tile, columns)
        found = read_pose_maps(part, palette, radius=detail.radius * scale, skeleton=branch, temporal=temporal, advance=last)
        away = (found.pixels[:, :, 1:] - found.pixels[:, :, :1]) / (stretch * detail.magnification)
        trust = found.confidence[:, :, 1:] * (found.seen & (confidence[:, :, group[:1]] > 0))[:, :, :1]
        place = pixels[:, :, group[:1]] + away
        pixels[:, :, group[1:]] = torch.where((trust > 0)[..., None], place, torch.nan)
        confidence[:, :, group[1:]] = trust


def _scale(images: Tensor, size: tuple[int, int], name: str) -> tuple[Tensor, float]:
    """How much larger pictures are than those of `size` (H, W): along x and y (2), and on the whole."""
    if images.dim() != 5:
        raise ValueError(f"{name} are {tuple(images.shape)}, expected (V, T, H, W, 3)")
    down, right = images.shape[2] / size[0], images.shape[3] / size[1]
    if abs(down / right - 1) > _OTHER_SHAPE:
        raise ValueError(
            f"{name} have {images.shape[3]} x {images.shape[2]} pixels, the pose maps {size[1]} x {size[0]}: scale both sides alike, and do not crop"
        )
    return torch.tensor([right, down]), math.sqrt(down * right)


def _tiling(count: int, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of `count` tiles of which the shorter side is longest."""
    return max(((rows, -(-count // rows)) for rows in range(1, count + 1)), key=lambda tiles: min(size[0] // tiles[0], size[1] // tiles[1]))


def _tile(images: Tensor, number: int, tile: tuple[int, int], columns: int) -> Tensor:
    row, column = divmod(number, columns)
    return images[:, :, row * tile[0] : (row + 1) * tile[0], column * tile[1] : (column + 1) * tile[1]]


def _branch(skeleton: Skeleton, joints: Sequence[int]) -> Skeleton:
    """The skeleton of some joints alone, in ascending order where parents are among them; each below its nearest ancestor that is there."""
    place = {joint: number for number, joint in enumerate(joints)}
    parents = []
    for joint in joints:
        parent = skeleton.parents[joint]
        while parent >= 0 and parent not in place:
            parent = skeleton.parents[parent]
        parents.append(place.get(parent, -1))
    rest = None if skeleton.rest is None else skeleton.rest[list(joints)]
    return Skeleton(names=[skeleton.names[joint] for joint in joints], parents=parents, mirror=range(len(parents)), rest=rest)
