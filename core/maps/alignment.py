"""View alignment: the person at one place in every view, by cameras and by crops, and the way back to the whole pictures (HVG)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..body.gaps import frame_ranges
from ..geometry.cameras import check_camera
from ..shapes import check_shapes
from ..types import CameraRig, Frame, ImageSize, Motion
from .body_place import body_bounds, pelvis_pixels
from .cropping import crop_picture, flatten_alpha, paste_picture

CENTERS = ("per_frame", "first_frame")
EXTENTS = ("auto", "body", "visible")
_STEP = 16  # pixels: sides of crops that are not resized are multiples of it, as video models want them
_LARGEST = 8  # a body that reaches so many sides of the picture away from its pelvis touches the lens
_PROPORTION = 0.01  # relative difference of the proportions of crops at which they are no longer a resized version


@dataclass(frozen=True, eq=False, kw_only=True)
class ViewAlignment:
    """Where crops around a person lie in the pictures of V views over T frames.

    offsets: (V, T, 2) pixels (x, y) of the left and upper edge of each crop; what lies beyond the picture is padded. leftover: (V, T, 2) pixels by which the
    place asked for is right of and below the middle of the crop, because crops lie on whole pixels; else 0. crop_size: (H, W) of the crops in the
    pictures. size: (H, W) they are brought to. image_size: (H, W) of the pictures. background: (3) colour in 0..1 of the padding. notes: what was assumed.
    """

    offsets: Tensor
    leftover: Tensor
    crop_size: ImageSize
    size: ImageSize
    image_size: ImageSize
    background: Tensor
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        check_shapes("ViewAlignment", offsets=(self.offsets, "V T 2"), leftover=(self.leftover, "V T 2"), background=(self.background, "3"))
        if not torch.isfinite(self.offsets).all():
            raise ValueError("ViewAlignment: offsets have NaN or infinite values")

    @property
    def views(self) -> int:
        """V."""
        return self.offsets.shape[0]

    @property
    def frames(self) -> int:
        """T."""
        return self.offsets.shape[1]

    @property
    def scale(self) -> tuple[float, float]:
        """(x, y) pixels of a crop as it comes out for each pixel of the pictures."""
        return self.size[1] / self.crop_size[1], self.size[0] / self.crop_size[0]

    def rig(self, rig: CameraRig) -> CameraRig:
        """The cameras that see the crops: `rig`, whose principal points move and whose focal lengths grow. They have an axis T.

        Raises:
            ValueError: cameras of other views, frames or image size.
        """
        found = (rig.views, rig.frames or self.frames, *rig.image_size)
        if found != (self.views, self.frames, *self.image_size):
            raise ValueError(
                f"the cameras have {rig.views} views, {rig.frames or 'any number of'} frames and {_sides(rig.image_size)} pixels, the alignment "
                f"{self.views}, {self.frames} and {_sides(self.image_size)}: use the cameras that it was made with"
            )
        still = rig.frames is None
        intrinsics = (rig.intrinsics[:, None] if still else rig.intrinsics).double().expand(self.views, self.frames, 3, 3)
        moved = intrinsics.clone()
        moved[..., :2, :] -= self.offsets.to(moved)[..., None] * intrinsics[..., 2:, :]
        moved[..., :2, :] *= torch.tensor(self.scale).to(moved)[:, None]
        poses = (rig.world_to_camera[:, None] if still else rig.world_to_camera).expand(self.views, self.frames, 3, 4)
        return replace(rig, intrinsics=moved.to(rig.intrinsics), world_to_camera=poses.contiguous(), image_size=self.size)

    def crop(self, images: Tensor, *, advance: Callable[[int], None] | None = None) -> Tensor:
        """Crops (V, T, h, w, 3) of pictures (V, T, H, W, 3 or 4) in 0..1; transparent ones lie over the background. Where nothing is resized and offsets are
        whole, pixels are copied.

        Args:
            advance: called with 1 after each picture; what it raises ends the work.

        Raises:
            ValueError: pictures of other views, frames, size or channels.
        """
        self._check(images, "the pictures", self.image_size)
        crops = images.new_empty(self.views, self.frames, *self.size, 3)
        for view, frame, corner in self._places():
            crops[view, frame] = crop_picture(images[view, frame], corner, self.crop_size, self.size, self.background)
            if advance is not None:
                advance(1)
        return crops

    def paste(
        self,
        crops: Tensor,
        originals: Tensor | None = None,
        *,
        masks: Tensor | None = None,
        feather: float = 0.0,
        advance: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Crops (V, T, h, w, 3 or 4) back in their places in the originals (V, T, H, W, 3 or 4), or on the background colour.

        With crops as they came out of `crop`, unresized, this is the originals to the bit; resized ones are resized back.

        Args:
            crops: at the size of the alignment or any other of its proportions, such as an enlarged one. The transparency of crops lets the originals
                through; that of originals is laid over the background.
            masks: (V, T, h, w) in 0..1 at the size of the crops, or (1, 1, h, w) for all: 1 where the crop covers the original.
            feather: pixels of the originals over which the edges of the crops fade in; without originals there is none.

        Returns:
            (V, T, H, W, 3), the type of the crops.

        Raises:
            ValueError: crops, originals or masks that do not fit, or a feather below 0.
        """
        self._check_crops(crops, masks, feather)
        if originals is not None:
            self._check(originals, "the originals", self.image_size)
        else:
            feather = 0.0
        whole = crops.new_empty(self.views, self.frames, *self.image_size, 3)
        for view, frame, corner in self._places():
            target = whole[view, frame]
            colour = self.background.to(whole)
            target.copy_(colour if originals is None else flatten_alpha(originals[view, frame], colour))
            mask = None if masks is None else masks.expand(self.views, self.frames, -1, -1)[view, frame]
            paste_picture(target, crops[view, frame], corner, self.crop_size, mask=mask, feather=feather)
            if advance is not None:
                advance(1)
        return whole

    def report(self) -> str:
        """What the crops are, in lines."""
        resized = "not resized" if self.size == self.crop_size else f"resized by {self.scale[1]:.3g} to {_sides(self.size)}"
        first = (
            f"{self.views} views x {self.frames} frames: crops of {_sides(self.crop_size)} of {_sides(self.image_size)} pixels, {resized}"
        )
        return "\n".join([first, *self.notes])

    def _places(self):
        """(view, frame, (x, y)) of every crop."""
        for view, track in enumerate(self.offsets.tolist()):
            for frame, corner in enumerate(track):
                yield view, frame, tuple(corner)

    def _check(self, images: Tensor, name: str, size: ImageSize) -> None:
        if images.dim() != 5 or images.shape[:2] != (self.views, self.frames):
            raise ValueError(f"{name} are {tuple(images.shape)}, expected {self.views} views x {self.frames} frames of (H, W, 3)")
        if images.shape[2:4] != size or images.shape[4] not in (3, 4):
            raise ValueError(
                f"{name} have {_sides(images.shape[2:4])} pixels and {images.shape[4]} channels, expected {_sides(size)} and 3, or 4 with transparency: "
                "use the pictures that the alignment was made for"
            )

    def _check_crops(self, crops: Tensor, masks: Tensor | None, feather: float) -> None:
        if not (math.isfinite(feather) and feather >= 0):
            raise ValueError(f"feather is {feather}, expected 0 pixels (hard edges) or more")
        if crops.dim() != 5:
            raise ValueError(f"the crops are {tuple(crops.shape)}, expected (V, T, h, w, 3)")
        size = tuple(crops.shape[2:4])
        stretch = size[0] * self.size[1] / max(size[1] * self.size[0], 1)
        if not abs(stretch - 1) <= _PROPORTION:
            raise ValueError(
                f"the crops have {_sides(size)} pixels, the alignment made {_sides(self.size)}: give crops of these proportions, at any size"
            )
        self._check(crops, "the crops", size)
        if masks is not None and (masks.dim() != 4 or masks.shape[2:] != size or masks.shape[:2] not in ((1, 1), crops.shape[:2])):
            raise ValueError(f"the masks are {tuple(masks.shape)}, expected one for each crop, or one for all, of {_sides(size)} pixels")


def align_views(
    motion: Motion,
    rig: CameraRig,
    *,
    center: str = "per_frame",
    smoothing: int = 5,
    extent: str = "auto",
    margin: float = 1.1,
    size: ImageSize = (576, 576),
    resize: bool = True,
    whole_pixels: bool | None = None,
    background: Sequence[float] = (1.0, 1.0, 1.0),
) -> ViewAlignment:
    """Crops of one size for all views and frames that hold the body, with the pelvis in the middle (HVG, view alignment).

    The crop is as large as the body, seen as the ellipsoids of its bones, ever reaches from the middle, times the margin: nobody can leave it. Where the
    pelvis is missing or behind the camera, its place in the picture is interpolated in time and held at the ends; notes say in which frames.

    Args:
        center: "per_frame" follows the pelvis; "first_frame" stays where it was in the first frame that shows it, which keeps the motion of the root.
        smoothing: per_frame only: width in frames of the bell (5: a standard deviation of 1 frame) that smooths the path of the middle; odd, 1 keeps the pelvis
            exactly in the middle. A pelvis that moves evenly is not held back.
        extent: what a crop holds: the whole "body", or what of it is "visible" in the pictures, as the legs under the lower edge of a half-length film never are;
            "auto" takes the visible part of a motion in camera axes, which was filmed, and the body of one in the world.
        size: (H, W) the crops are brought to. resize off keeps the pixels of the pictures; then only the proportions of `size` count, and sides become
            multiples of 16.
        whole_pixels: crops begin between two pixels, so that unresized ones are copies; None: where they are not resized.
        background: colour in 0..1 of what lies beyond the pictures.

    Raises:
        ValueError: cameras that cannot show the motion (see `check_camera`), a view in which the pelvis never appears, a camera that touches the body, nothing
            visible where that is asked for, or options outside their ranges.
    """
    _check_options(center, smoothing, extent, margin, size)
    check_camera(motion, rig)
    track, known = pelvis_pixels(motion, rig)
    together = known & known.all(0)
    first = (together if together.any() else known).int().argmax(1)  # one frame for all views, if one shows the pelvis to all
    middle = smooth_path(track, smoothing) if center == "per_frame" else track[torch.arange(rig.views), first][:, None].expand_as(track)
    visible = extent == "visible" or (extent == "auto" and motion.frame is Frame.CAMERA)
    reach = margin * _largest_reach(motion, rig, middle, visible=visible)  # (2) x, y
    grow = float(max(2 * reach[0] / size[1], 2 * reach[1] / size[0]))
    crop_size = tuple(max(1, math.ceil(side * grow - 1e-6)) for side in size)
    if not resize:
        crop_size = size = tuple(_STEP * math.ceil(side / _STEP) for side in crop_size)
    exact = middle - torch.tensor(crop_size[::-1]) / 2
    whole = crop_size == size if whole_pixels is None else whole_pixels
    offsets = exact.round() if whole else exact.clone()
    off = (track - middle + exact - offsets).norm(dim=-1)[known] if center == "per_frame" else None
    notes = (*_notes(known, first, center, off), *_padding_note(offsets, crop_size, rig.image_size))
    return ViewAlignment(
        offsets=offsets, leftover=exact - offsets, crop_size=crop_size, size=tuple(size), image_size=rig.image_size,
        background=torch.tensor([float(part) for part in background]), notes=notes,
    )  # fmt: skip


def smooth_path(track: Tensor, width: int) -> Tensor:
    """Paths (V, T, C) under a bell `width` frames wide, of standard deviation width / 5; beyond their ends they go on as mirrored at the end point, which
    leaves straight lines as they are."""
    radius = min((width - 1) // 2, track.shape[1] - 1)
    if radius == 0:
        return track
    ends = [2 * track[:, :1] - track[:, 1 : radius + 1].flip(1), 2 * track[:, -1:] - track[:, -radius - 1 : -1].flip(1)]
    padded = torch.cat([ends[0], track, ends[1]], 1)
    bell = torch.exp(-0.5 * (torch.arange(-radius, radius + 1).to(track) / (width / 5)).square())
    return (padded.unfold(1, 2 * radius + 1, 1) * (bell / bell.sum())).sum(-1)


def _largest_reach(motion: Motion, rig: CameraRig, middle: Tensor, *, visible: bool) -> Tensor:
    """(2) pixels (x, y) that the body, or what of it is in the pictures, reaches from the middle (V, T, 2) at most."""
    bounds = body_bounds(motion, rig)
    if visible:
        inside = torch.minimum(bounds.clamp(min=0), torch.tensor(rig.image_size[::-1]).repeat(2).to(bounds))
        shown = (inside[..., :2] < inside[..., 2:]).all(-1, keepdim=True)
        if not shown.any():
            raise ValueError("nothing of the body is in the pictures of the cameras: turn the cameras to it, or take the extent 'body'")
        bounds = torch.where(shown, inside, torch.nan)
    reach = torch.maximum(middle - bounds[..., :2], bounds[..., 2:] - middle).nan_to_num(nan=0.0)
    limit = _LARGEST * max(rig.image_size)
    if (reach > limit).any():
        view, frame = (reach > limit).any(-1).nonzero()[0].tolist()
        raise ValueError(
            f"in view {view}, frame {frame}, the body reaches {float(reach[view, frame].max()):.0f} pixels from the middle of a picture of "
            f"{_sides(rig.image_size)}: the camera touches the body; move it away"
        )
    return reach.flatten(0, 1).amax(0)


def _notes(known: Tensor, first: Tensor, center: str, off: Tensor | None) -> tuple[str, ...]:
    notes = []
    if center == "first_frame":
        frames = sorted(set(first.tolist()))
        notes.append(f"the middle is the pelvis of frame {', '.join(map(str, frames))}")
    else:
        notes.append(f"the pelvis is at most {float(off.max()):.2f} pixels from the middle of a crop")
        for view in (~known).any(1).nonzero()[:, 0].tolist():
            notes.append(f"view {view}: place of the pelvis interpolated in frames {frame_ranges(~known[view])}")
    return tuple(notes)


def _padding_note(offsets: Tensor, crop_size: ImageSize, image_size: ImageSize) -> tuple[str, ...]:
    """How much of the crops lies beyond the pictures, if any does."""
    crop, picture = (torch.tensor(size[::-1]).to(offsets) for size in (crop_size, image_size))
    inside = (torch.minimum(offsets + crop, picture) - offsets.clamp(min=0)).clamp(min=0).prod(-1)
    beyond = 1 - inside / crop.prod()
    return (f"{beyond.mean():.0%} of the crops lies beyond the pictures, {beyond.max():.0%} of one at most",) if (beyond > 0).any() else ()


def _check_options(center: str, smoothing: int, extent: str, margin: float, size: ImageSize) -> None:
    if center not in CENTERS:
        raise ValueError(f"center is '{center}', expected one of {', '.join(CENTERS)}")
    if extent not in EXTENTS:
        raise ValueError(f"extent is '{extent}', expected one of {', '.join(EXTENTS)}")
    if smoothing < 1 or smoothing % 2 == 0:
        raise ValueError(f"smoothing is {smoothing}, expected an odd number of frames: 1 (none), 3, 5, ...")
    if not (math.isfinite(margin) and margin >= 1):
        raise ValueError(f"margin is {margin}, expected 1 (the body fills the crop) or more")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size is {tuple(size)}, expected (height, width) above 0")


def _sides(size: Sequence[int]) -> str:
    return f"{size[1]}x{size[0]}"
