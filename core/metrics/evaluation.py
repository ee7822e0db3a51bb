"""A made video against the real one: all metrics that the inputs allow, as words, numbers and curves."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..maps.plots import plot_lines
from ..types import Keypoints
from .faces import FaceScores, embed_faces, face_scores, has_face
from .features import FeatureStatistics, clip_starts, frechet_distance
from .images import check_frames, check_pair, l1, psnr, ssim
from .keypoints import KeypointDistance, body_distance, face_distance
from .networks import CLIPS, FACES, PAIRS, MetricNetwork
from .protocol import published_l1, published_psnr, published_ssim

# Keypoints of the made and of the driving video.
KeypointPair = tuple[Keypoints, Keypoints]
_PLOT_SIZE = (220, 768)


@dataclass(frozen=True, eq=False, kw_only=True)
class Faces:
    """boxes: (T, 4) of the made video, left, top, right, bottom in its pixels, NaN without a face. identity: (N, H, W, 3) pictures of whom it should show, of
    which the first with a face counts; identity_boxes: (N, 4) in them."""

    boxes: Tensor
    identity: Tensor
    identity_boxes: Tensor

    def check(self, generated: Tensor) -> None:
        """ValueError where boxes and pictures do not go together, or the identity has no face."""
        has_face(self.boxes, len(generated), generated.shape[1:3])
        check_frames("identity", self.identity)
        if not has_face(self.identity_boxes, len(self.identity), self.identity.shape[1:3]).any():
            raise ValueError("identity has no face in any picture: give a picture and the box of its face")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured.

    numbers: nested, None where a number cannot be told (an infinite ratio, no face). curves: title -> name -> (T). lines: the report.
    """

    numbers: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The report."""
        return "\n".join(self.lines)

    def json(self) -> str:
        """The numbers; null for what cannot be told."""
        return json.dumps(self.numbers, indent=1, allow_nan=False)

    def plot(self) -> Tensor:
        """(H, W, 3) in 0..1: a chart for each kind of curve, over frames."""
        charts = [plot_lines(curves, title=title, x_label="frame", size=_PLOT_SIZE) for title, curves in self.curves.items()]
        return torch.cat(charts)


def evaluate(
    generated: Tensor,
    reference: Tensor,
    *,
    networks: Sequence[MetricNetwork] = (),
    body: KeypointPair | None = None,
    face: KeypointPair | None = None,
    faces: Faces | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Measure a video.

    Args:
        generated, reference: (T, H, W, 3) of one size, floating point in 0..1 or uint8.
        networks: of any kinds; those for faces need `faces`. body, face: made and driving keypoints, as `body_distance` and `face_distance` take them.
        on_step: called `steps(networks)` times.

    Raises:
        ValueError: videos that do not go together, or inputs that do not fit them; before anything long is done.
    """
    check_pair(generated, reference)
    _check(generated, networks, faces)
    found = Evaluation()
    for pair, measure in ((body, body_distance), (face, face_distance)):
        if pair is not None:
            _add_keypoints(found, pair, measure, len(generated))
    _add_images(found, generated, reference)
    on_step()
    for network in networks:
        if network.measures == PAIRS:
            _add_pairs(found, network, network.distances(generated, reference))
        elif network.measures == FACES:
            _add_faces(found, network, _faces(network, generated, faces))
        else:
            _add_features(found, network, *(_statistics(network, video) for video in (generated, reference)))
        on_step()
    return found


def steps(networks: Sequence[MetricNetwork]) -> int:
    """How often `evaluate` reports."""
    return 1 + len(networks)


def cut_to_shorter(generated: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Both videos from frame 0 to the last frame that both have, the same memory."""
    length = min(len(generated), len(reference))
    return generated[:length], reference[:length]


def _check(generated: Tensor, networks: Sequence[MetricNetwork], faces: Faces | None) -> None:
    names = [network.name for network in networks]
    if len(set(names)) < len(names):
        raise ValueError(f"networks {', '.join(names)}: two have the same name; give each file once")
    for network in networks:
        if network.measures == CLIPS:
            clip_starts(len(generated), network.clip_frames, network.clip_stride)
        elif network.measures == FACES and faces is None:
            raise ValueError(
                f"{network.name} measures faces: give face boxes of the generated video, a picture of the identity and the box of its face"
            )
    if faces is not None:
        faces.check(generated)
        if all(network.measures != FACES for network in networks):
            raise ValueError("there are face boxes, but no network for faces: give one, or leave the boxes out")


def _add_images(found: Evaluation, generated: Tensor, reference: Tensor) -> None:
    frames, height, width = generated.shape[:3]
    ratios, likeness, differences = psnr(generated, reference), ssim(generated, reference), l1(generated, reference)
    grey = ssim(generated, reference, grey=True)
    tables = {"psnr": published_psnr, "ssim": published_ssim, "l1": published_l1}
    published = {name: float(measure(generated, reference).mean()) for name, measure in tables.items()}
    identical = int(ratios.isinf().sum())
    finite = ratios[ratios.isfinite()]
    mean = float(finite.mean()) if len(finite) else math.inf
    found.numbers.update(
        frames=frames, width=width, height=height, psnr=_number(mean), identical_frames=identical, ssim=float(likeness.mean()),
        ssim_grey=float(grey.mean()), l1=float(differences.mean()), published=published,
    )  # fmt: skip
    found.curves.update({"PSNR (dB)": {"PSNR": ratios}, "SSIM": {"SSIM": likeness}, "L1 (of 0..1)": {"L1": differences}})
    left_out = f" ({identical} identical frames left out, theirs is infinite)" if identical else ""
    found.lines[:0] = [
        f"{frames} frames of {width}x{height}",
        f"PSNR {mean:.2f} dB{left_out}, SSIM {float(likeness.mean()):.4f} ({float(grey.mean()):.4f} of the luminance), L1 {float(differences.mean()):.5f} of 0..1",
        "as the tables on TikTok videos are computed, in 8 bits that wrap around, of grey frames, and by the pixel: "
        f"PSNR {published['psnr']:.2f} dB, SSIM {published['ssim']:.4f}, L1 {published['l1'] * 1e4:.3f}E-04",
    ]


def _add_keypoints(found: Evaluation, pair: KeypointPair, measure: Callable[..., KeypointDistance], frames: int) -> None:
    length = pair[0].pixels.shape[1]
    if length != frames:
        raise ValueError(f"the keypoints have {length} frames, the videos {frames}: detect them in the videos that are compared")
    scaled, boxed = measure(*pair), measure(*pair, normaliser="box")
    key = scaled.name.lower()
    found.numbers[key] = {"mean": _number(scaled.mean), "box_diagonal": _number(boxed.mean), "frames_left_out": scaled.unmeasured}
    found.curves[f"{scaled.name} (of {scaled.unit})"] = {scaled.name: scaled.curve}
    found.lines.append(f"{scaled.text()}; {boxed.mean:.4f} of the {boxed.unit}")


def _add_pairs(found: Evaluation, network: MetricNetwork, distances: Tensor) -> None:
    mean = float(distances.mean())
    found.numbers.setdefault("lpips", {})[network.name] = mean
    found.curves.setdefault("LPIPS", {})[network.name] = distances
    found.lines.append(f"LPIPS {mean:.4f} by {network.name}")


def _faces(network: MetricNetwork, generated: Tensor, faces: Faces) -> FaceScores:
    identity = embed_faces(faces.identity, faces.identity_boxes, network)
    return face_scores(embed_faces(generated, faces.boxes, network), identity)


def _add_faces(found: Evaluation, network: MetricNetwork, scores: FaceScores) -> None:
    told = {"fis": _number(scores.fis), "fts": _number(scores.fts), "share_without_face": scores.missing}
    found.numbers.setdefault("faces", {})[network.name] = told
    found.curves.setdefault("Faces (cosine)", {}).update(
        {f"to identity, {network.name}": scores.identity, f"to next, {network.name}": scores.steps}
    )
    found.lines.append(f"{scores.text()}; by {network.name}")


def _statistics(network: MetricNetwork, video: Tensor) -> FeatureStatistics:
    statistics = FeatureStatistics()
    for features in network.features(video):
        statistics.add(features)
    return statistics


def _add_features(found: Evaluation, network: MetricNetwork, made: FeatureStatistics, real: FeatureStatistics) -> None:
    distance, length = frechet_distance(made, real), len(made.mean)
    kind, name = ("clips", "FID-VID or FVD") if network.measures == CLIPS else ("pictures", "FID")
    entry = {"distance": distance, "features": made.count, "length": length}
    found.numbers.setdefault(f"frechet_{kind}", {})[network.name] = entry
    few = f"; fewer than features are long ({length}): hold it only against distances of as many {kind}" if made.count <= length else ""
    found.lines.append(f"Frechet distance {distance:.4g} ({name}) by {network.name}, of {made.count} {kind}{few}")


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
