"""Between the layouts of `core` (V, T, H, W, ...) and of ComfyUI (IMAGE (B, H, W, 3) in 0..1, MASK (B, H, W)); views follow each other."""

from einops import rearrange
from torch import Tensor


def grey_to_colour(pictures: Tensor) -> Tensor:
    """(V, T, H, W) -> (V, T, H, W, 3), three views of the same memory."""
    return pictures[..., None].expand(*pictures.shape, 3)


def to_images(pictures: Tensor) -> Tensor:
    """(V, T, H, W, 3) -> IMAGE (V T, H, W, 3)."""
    return rearrange(pictures, "v t h w c -> (v t) h w c")


def to_masks(masks: Tensor) -> Tensor:
    """(V, T, H, W) bool or 0..1 -> MASK (V T, H, W)."""
    return rearrange(masks, "v t h w -> (v t) h w").float()


def to_views(images: Tensor, views: int, frames: int, *, name: str, repeat: bool = False) -> Tensor:
    """IMAGE or MASK (V T, ...) -> (V, T, ...), the same memory; ValueError if `name` has another number of pictures. With `repeat` one stands for all."""
    if repeat and len(images) == 1:
        return images[None].expand(views, frames, *images.shape[1:])
    if len(images) != views * frames:
        raise ValueError(
            f"{name} has {len(images)} pictures, expected {views * frames}: {views} views x {frames} frames, view after view; cut the motion or the pictures "
            "to the same length"
        )
    return images.reshape(views, frames, *images.shape[1:])
