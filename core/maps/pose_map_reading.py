"""Joints read back from pose maps by their colours, also after a video encoder or a VAE."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..types import Keypoints, Skeleton
from .disc_fitting import fit_discs
from .pose_map_paths import only_one, smoothest, steady, within_reach
from .pose_map_search import Sighting, search, to_levels

_AT_ONCE = 16  # pictures
_BEYOND = 0.5  # what a VAE may put outside 0..1
_LEAST = 0.1  # confidence below which a joint counts as missing: seams between other colours look like this


def read_pose_maps(
    images: Tensor,
    palette: Tensor,
    *,
    radius: float = 5,
    skeleton: Skeleton | None = None,
    temporal: bool = True,
    advance: Callable[[int], None] | None = None,
) -> Keypoints:
    """Find the joints of pose maps.

    The colours of each picture are first freed from a change of brightness and contrast; then each joint is sought where its colour gathers, and all discs are
    fitted to the picture together, each hiding what lies behind it.

    Args:
        images: (V, T, H, W, 3) in 0..1, or uint8, on a light background. palette: (J, 3) uint8. radius: pixels of the discs.
        skeleton: where given, and where it has a rest pose, no joint is taken that is farther from its parent than their bone can reach.
        temporal: among several places that show a joint's colour take those that make the smoothest path, and doubt what jumps. Without, each frame for itself.
        advance: called with 1 after each picture; what it raises ends the work.

    Returns:
        Keypoints. Confidence 0 where a joint is covered or missing; below 1 where little of it is seen, its colour is off, or something else looks like it.

    Raises:
        ValueError: shapes or types that do not fit, or a radius outside 1..64.
    """
    _check(images, palette, radius, skeleton)
    views, frames, height, width, _ = images.shape
    pictures = images.detach().cpu().reshape(-1, height, width, 3).numpy()
    colours = palette.cpu().numpy()
    looks = [search(to_levels(pictures[start : start + _AT_ONCE]), colours, radius) for start in range(0, len(pictures), _AT_ONCE)]
    sought = np.concatenate([look.places for look in looks]).reshape(views, frames, len(colours), -1, 2)
    score = np.concatenate([look.score for look in looks]).reshape(views, frames, len(colours), -1)
    if skeleton is not None and skeleton.rest is not None:
        score = np.where(within_reach(sought, score, skeleton, radius), score, 0)
        sought = np.where(score[..., None] > 0, sought, np.nan)
    chosen = smoothest(sought, score, radius) if temporal else score.argmax(-1)
    places = np.take_along_axis(sought, chosen[..., None, None], -2)[..., 0, :].reshape(len(pictures), len(colours), 2)
    results = []
    for number, look in enumerate(looks):
        part = slice(number * _AT_ONCE, (number + 1) * _AT_ONCE)
        results.append(_fit(pictures[part], look, places[part], colours, radius))
        if advance is not None:
            for _ in pictures[part]:
                advance(1)
    pixels, confidence = (np.concatenate(part).reshape(views, frames, len(colours), -1) for part in zip(*results, strict=True))
    confidence = confidence[..., 0] * only_one(score, chosen)
    if temporal:
        confidence = confidence * steady(pixels)
    seen = (confidence > _LEAST) & np.isfinite(pixels).all(-1)
    return Keypoints(
        pixels=torch.from_numpy(np.where(seen[..., None], pixels, np.nan)).float(),
        confidence=torch.from_numpy(np.where(seen, confidence, 0)).float().clamp(0, 1),
        image_size=(height, width),
    )


def _check(images: Tensor, palette: Tensor, radius: float, skeleton: Skeleton | None) -> None:
    if not isinstance(images, Tensor) or images.dim() != 5 or images.shape[-1] != 3 or 0 in images.shape:
        shape = tuple(getattr(images, "shape", ()))
        raise ValueError(f"images are {shape}, expected (V, T, H, W, 3) with at least one picture")
    if images.is_floating_point():
        low, high = (float(end) for end in torch.aminmax(images))
        if not (low >= -_BEYOND and high <= 1 + _BEYOND):
            raise ValueError(f"images reach from {low:g} to {high:g}, expected numbers in 0..1: divide those in 0..255 by 255")
    if palette.dim() != 2 or palette.shape[1] != 3 or palette.dtype != torch.uint8 or not 1 <= len(palette) <= 200:
        raise ValueError(f"the palette is {tuple(palette.shape)} {palette.dtype}, expected (J, 3) uint8 of 1 to 200 joints")
    if skeleton is not None and len(skeleton.names) != len(palette):
        raise ValueError(
            f"the skeleton has {len(skeleton.names)} joints, the palette {len(palette)} colours: give one colour to each joint"
        )
    if not 1 <= radius <= 64:
        raise ValueError(f"radius is {radius}, expected 1 to 64 pixels")


def _fit(pictures: np.ndarray, look: Sighting, places: np.ndarray, colours: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, J, 2) and confidence (N, J) of the joints of some pictures."""
    levels = to_levels(pictures)
    label = np.full(levels.size // 3 + 1, 255, np.uint8)
    label[look.pixel] = look.label
    shades = colours[None] * (look.white[:, None] / 255)
    fit = fit_discs(levels, label, look.white, shades, places, radius)
    sure = np.clip((fit.right - 0.3) / 0.4, 0, 1) * np.clip(2.5 * fit.shown * fit.right, 0.05, 1)
    return fit.places, np.where(np.isfinite(fit.places).all(-1), sure, 0)
