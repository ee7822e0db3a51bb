"""What was read from pose maps, as a picture and in words."""

import numpy as np
import torch
from torch import Tensor

from ..types import Keypoints, PoseMaps
from ..wording import counted

_FAINT = 0.35  # of the pictures under the crosses
_MISSED = 8  # joints named at most


def overlay_keypoints(images: Tensor, keypoints: Keypoints, palette: Tensor) -> Tensor:
    """Pictures (V, T, H, W, 3) in 0..1, faded, with a cross in the joint's colour at every joint that was found; little confidence makes it small."""
    import cv2

    views, frames, height, width, _ = images.shape
    unit = min(height, width) / 480
    scale = torch.tensor([width, height]) / torch.tensor(keypoints.image_size).flip(0)
    pixels, trust = (keypoints.pixels * scale).numpy(), keypoints.confidence.numpy()
    colours = (palette.numpy().astype(np.float64) * 0.75).tolist()  # darker than the discs below
    pictures = images.detach().cpu().float().clamp(0, 1).mul(_FAINT).add_(1 - _FAINT)
    for view, frame in np.ndindex(views, frames):
        canvas = (pictures[view, frame] * 255).byte().contiguous().numpy()
        for joint in np.flatnonzero(trust[view, frame] > 0):
            x, y = np.floor(pixels[view, frame, joint]).astype(int).tolist()
            size = max(3, round((4 + 8 * trust[view, frame, joint]) * unit))
            cv2.drawMarker(canvas, (x, y), colours[joint], cv2.MARKER_CROSS, size, max(1, round(unit)), cv2.LINE_AA)
        pictures[view, frame] = torch.from_numpy(canvas) / 255
    return pictures


def reading_report(keypoints: Keypoints, drawn: PoseMaps) -> str:
    """How much each view shows and which joints are nowhere; and how far off they are, where the pose maps have as many views and frames."""
    views, frames, joints = keypoints.confidence.shape
    seen = keypoints.seen
    names = [f"joint {number}" for number in range(joints)] if drawn.skeleton is None else drawn.skeleton.names
    lines = [f"{counted(views, 'view')} of {counted(frames, 'frame')}, {counted(joints, 'joint')}"]
    for view in range(views):
        trust = keypoints.confidence[view][seen[view]]
        sure = f", mean confidence {trust.mean():.2f}" if len(trust) else ""
        lines.append(f"view {view}: {seen[view].float().mean():.1%} of the joints found{sure}")
    few = [names[joint] for joint in (seen.sum(0) < 2).all(0).nonzero()[:, 0].tolist()]
    if few:
        more = f" and {len(few) - _MISSED} more" if len(few) > _MISSED else ""
        lines.append(f"in no frame found in two views, so without a place in space: {', '.join(few[:_MISSED])}{more}")
    if drawn.keypoints is not None and drawn.keypoints.pixels.shape == keypoints.pixels.shape:
        both = seen & drawn.keypoints.seen
        off = (keypoints.pixels - drawn.keypoints.pixels).norm(dim=-1)[both].numpy()
        if len(off):
            lines.append(
                f"from where they were drawn: median {np.median(off):.2f} px, 99 % within {np.quantile(off, 0.99):.2f} px, farthest {off.max():.2f} px"
            )
    return "\n".join(lines)


def drawing_report(drawn: PoseMaps) -> str:
    """Sizes, how many joints lie under others, and what the detail shows."""
    views, frames, height, width, _ = drawn.images.shape
    lines = [
        f"{counted(views, 'view')} of {counted(frames, 'frame')} of {width} x {height} pixels, {len(drawn.palette)} joints as discs of {drawn.radius:.3g} px radius"
    ]
    apart = {joint for group in (drawn.detail.joints if drawn.detail else ()) for joint in group[1:]}
    joints = [joint for joint in range(len(drawn.palette)) if joint not in apart]
    pixels = drawn.keypoints.pixels[:, :, joints].reshape(-1, len(joints), 2)
    near = (torch.cdist(pixels, pixels) < drawn.radius) & ~torch.eye(len(joints), dtype=torch.bool)
    lines.append(
        f"{near.any(-1).float().mean():.1%} of the discs lie half under or over another; two views from other sides show them apart"
    )
    outside = 1 - drawn.keypoints.seen.float().mean()
    if outside > 0:
        lines.append(f"{outside:.1%} of the joints are missing or outside the pictures")
    if drawn.detail is not None:
        names = [f"joint {joint}" for joint in range(len(drawn.palette))] if drawn.skeleton is None else drawn.skeleton.names
        groups = [f"{len(group) - 1} joints at {names[group[0]]}" for group in drawn.detail.joints]
        lines.append(f"detail, {drawn.detail.magnification:.2g} times as large: {', '.join(groups)}")
    return "\n".join(lines)
