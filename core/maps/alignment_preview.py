"""Alignments to look at: crops as boxes on the pictures they are cut from, and a pose over the reference placed on it."""

import numpy as np
import torch
from torch import Tensor

from ..types import CameraRig, Motion
from .alignment import ViewAlignment
from .colours import LEFT, RIGHT
from .cropping import flatten_alpha
from .drawing import draw_skeleton
from .reference_placement import PlacedReference

_LONGER_SIDE = 384  # pixels: a preview of all views and frames has to stay small


def draw_boxes(alignment: ViewAlignment, motion: Motion, rig: CameraRig, images: Tensor | None = None) -> Tensor:
    """The box of every crop, with a cross in its middle, on small pictures of the originals or, without them, of the skeleton.

    Args:
        rig: the cameras that the alignment was made with. images: (V, T, H, W, 3 or 4) in 0..1, the originals.

    Returns:
        (V, T, h, w, 3) in 0..1, at most 384 pixels long.
    """
    import cv2

    shrink = min(1.0, _LONGER_SIDE / max(alignment.image_size))
    size = tuple(max(1, round(side * shrink)) for side in alignment.image_size)
    scale = np.array([size[1] / alignment.image_size[1], size[0] / alignment.image_size[0]])
    drawn = torch.empty(alignment.views, alignment.frames, *size, 3) if images is not None else draw_skeleton(motion, rig.resized(size))
    thick = max(1, round(max(size) / 200))
    corners = alignment.offsets.numpy() * scale
    box = np.array(alignment.crop_size[::-1]) * scale
    for view in range(alignment.views):
        for frame in range(alignment.frames):
            if images is None:
                canvas = drawn[view, frame].numpy()
            else:
                picture = flatten_alpha(images[view, frame].detach().cpu().float(), alignment.background).contiguous().numpy()
                canvas = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
            ends = [tuple(np.round(end - 0.5).astype(int).tolist()) for end in (corners[view, frame], corners[view, frame] + box)]
            middle = tuple(np.round(corners[view, frame] + box / 2 - 0.5).astype(int).tolist())
            cv2.rectangle(canvas, *ends, [part / 255 for part in LEFT], thick)
            cv2.drawMarker(canvas, middle, [part / 255 for part in RIGHT], cv2.MARKER_CROSS, 8 * thick, thick)
            drawn[view, frame] = torch.from_numpy(canvas)
    return drawn


def draw_placement(placed: PlacedReference, motion: Motion, rig: CameraRig, view: int) -> Tensor:
    """(H, W, 3) in 0..1: the skeleton of the pose that a reference was placed on, over the reference."""
    # Moving cameras keep their axis T: a still one would have to be the own camera of a filmed motion.
    camera = rig.take_views([view]).take_frames(slice(placed.frame, placed.frame + 1))
    return draw_skeleton(motion.cut(placed.frame, placed.frame + 1), camera, background=placed.picture[None])[0, 0]
