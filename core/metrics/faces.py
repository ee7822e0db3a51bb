"""Whether a face stays who it is: FIS, its likeness to the reference picture, and FTS, from each frame to the next (DirectAnimator, evaluation metrics).

The papers embed faces with ArcFace; here any network (`networks.py`) or callable will do. ArcFace was trained on faces aligned by five points, a crop by a box
is less exact: compare numbers of one way of cropping only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..maps.cropping import crop_picture
from .images import check_frames, unit_values
from .networks import FACES, MetricNetwork

# embed(faces (N, S, S, 3) in 0..1) -> (N, D)
Embedding = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceScores:
    """identity: (T) cosine to the reference, NaN in frames without a face. steps: (T - 1) cosine to the next frame, NaN where either has none."""

    identity: Tensor
    steps: Tensor

    @property
    def fis(self) -> float:
        """Mean likeness to the reference over the frames with a face; NaN where there are none."""
        return float(self.identity.nanmean())

    @property
    def fts(self) -> float:
        """Mean likeness from one frame to the next; NaN without two frames in a row that have a face."""
        return float(self.steps.nanmean())

    @property
    def missing(self) -> float:
        """Share of frames without a face."""
        return float(self.identity.isnan().double().mean())

    def text(self) -> str:
        """One line."""
        told = [
            f"{name} {value:.4f}" if math.isfinite(value) else f"{name} unknown" for name, value in (("FIS", self.fis), ("FTS", self.fts))
        ]
        return (
            f"faces: {', '.join(told)} (higher is better), {self.missing:.1%} of {len(self.identity)} frames have no face and are left out"
        )


def crop_faces(frames: Tensor, boxes: Tensor, *, side: int = 112, enlarge: float = 1.0) -> Tensor:
    """Squares around faces.

    Args:
        frames: (T, H, W, 3), floating point in 0..1 or uint8. boxes: (T, 4) left, top, right, bottom in pixels, NaN where there is no face.
        enlarge: side of the square over the longer side of the box.

    Returns:
        (K, side, side, 3) in 0..1 of the K frames that have a face, black beyond the frame.

    Raises:
        ValueError: another number of boxes than frames, boxes without height or width or outside of the frame.
    """
    check_frames("frames", frames)
    present = has_face(boxes, len(frames), frames.shape[1:3])
    black = torch.zeros(3)
    faces = torch.zeros(int(present.sum()), side, side, 3)
    for face, index in zip(faces, torch.nonzero(present).flatten().tolist(), strict=True):
        left, top, right, bottom = boxes[index].tolist()
        length = enlarge * max(right - left, bottom - top)
        corner = ((left + right - length) / 2, (top + bottom - length) / 2)
        face.copy_(crop_picture(unit_values(frames[index]).cpu(), corner, (length, length), (side, side), black))
    return faces


def has_face(boxes: Tensor, frames: int, image_size: tuple[int, int]) -> Tensor:
    """bool (T): which frames have a box.

    Raises:
        ValueError: boxes that are not (T, 4) of the T frames, that have no height or width, or lie wholly outside of pictures (H, W).
    """
    if tuple(boxes.shape) != (frames, 4):
        raise ValueError(
            f"face boxes have shape {tuple(boxes.shape)}, expected ({frames}, 4): one for each frame, NaN where there is no face"
        )
    present = boxes.isfinite().all(1)
    left, top, right, bottom = boxes.unbind(1)
    height, width = image_size
    bad = present & ((right <= left) | (bottom <= top) | (left >= width) | (top >= height) | (right <= 0) | (bottom <= 0))
    if bad.any():
        frame = int(torch.nonzero(bad)[0])
        found = ", ".join(f"{edge:g}" for edge in boxes[frame].tolist())
        raise ValueError(
            f"the face box of frame {frame} is {found} (left, top, right, bottom), expected a height and a width inside {width}x{height}: detect again, or NaN "
            "for a frame without a face"
        )
    return present


def embed_faces(frames: Tensor, boxes: Tensor, embed: Embedding | MetricNetwork, *, side: int = 112, enlarge: float = 1.0) -> Tensor:
    """(T, D) embeddings of length 1, NaN in frames without a face; (T, 0) where no frame has one. ValueError as `crop_faces`, or of the network.

    side: pixels of the crops; a network's own where it has one.
    """
    if isinstance(embed, MetricNetwork):
        if embed.measures != FACES:
            raise ValueError(f"{embed.name} measures {embed.measures}, expected a network for {FACES}")
        side = embed.side or side
    faces = crop_faces(frames, boxes, side=side, enlarge=enlarge)
    if not len(faces):
        return torch.zeros(len(frames), 0)
    found = torch.cat(list(embed.features(faces))) if isinstance(embed, MetricNetwork) else embed(faces)
    if found.ndim != 2 or len(found) != len(faces):
        raise ValueError(f"the embedding of {len(faces)} faces has shape {tuple(found.shape)}, expected ({len(faces)}, D)")
    whole = torch.full((len(frames), found.shape[1]), torch.nan)
    whole[boxes.isfinite().all(1)] = functional.normalize(found.float().cpu(), dim=1)
    return whole


def face_scores(generated: Tensor, reference: Tensor) -> FaceScores:
    """FIS and FTS of embeddings.

    Args:
        generated: (T, D) as of `embed_faces`. reference: (D) of the reference picture, or (N, D) of several, the first with a face counts.

    Raises:
        ValueError: no face in the reference, or embeddings of different length.
    """
    rows = reference[None] if reference.ndim == 1 else reference
    known = rows.isfinite().all(1) & (rows.shape[1] > 0)
    if not known.any():
        raise ValueError("the reference has no face: likeness to it cannot be told; check its face box")
    if not generated.shape[1]:
        generated = torch.full((len(generated), rows.shape[1]), torch.nan)
    if generated.shape[1] != rows.shape[1]:
        raise ValueError(f"embeddings of {generated.shape[1]} and {rows.shape[1]} values, expected those of one network")
    one, many = functional.normalize(rows[known][0].double(), dim=0), functional.normalize(generated.double(), dim=1)
    return FaceScores(identity=many @ one, steps=(many[:-1] * many[1:]).sum(1))
