"""Which pieces of many films are fit for training: the pipeline of MTVCrafter's paper (appendix B).

In its order: films are split into shots; pieces with one person in every frame, of 49 frames or more; without the tenth of the set whose joints are least
certain; with enough movement (mean optical flow 2.0), sharp (variance of the Laplacian 100), of some beauty (aesthetic score 5.0) and with little text on
them (0.05 of the picture). The paper does not say at which size flow and sharpness were measured; here it is 512 pixels on the longer side. Beauty and text
need models of their own: without a scorer nothing is judged by them, and the report says 'not scored'.
"""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..formats.video import read_video
from .extraction import extract
from .people import Detections, Estimator

Scorer = Callable[[Tensor], float]  # of a frame (H, W, 3) uint8

_SIDE = 512
_SCORED = 5  # frames of a piece that scorers see


@dataclass(frozen=True, eq=False, kw_only=True)
class Film:
    """name: for the report. frames: (H, W, 3) uint8 each, the ones that `detections` was made of, in their order; read once."""

    name: str
    frames: Iterable[Tensor]
    detections: Detections


@dataclass(frozen=True, kw_only=True)
class Limits:
    """frames: at least. uncertain: share of the set that goes for its uncertainty. flow: pixels a frame, at least. blur: variance of the Laplacian, at least.
    aesthetic: at least. text: share of the picture, at most."""

    frames: int = 49
    uncertain: float = 0.1
    flow: float = 2.0
    blur: float = 100.0
    aesthetic: float = 5.0
    text: float = 0.05

    def __post_init__(self):
        if self.frames < 1 or not 0 <= self.uncertain < 1:
            raise ValueError(
                f"limits of {self.frames} frames and a share of {self.uncertain}: expected at least 1 frame and a share of 0..1, without 1"
            )


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Frames start..stop - 1 of a film, what was measured (None: not measured), and why it was refused (None: it is kept)."""

    film: str
    start: int
    stop: int
    uncertainty: float | None = None
    flow: float | None = None
    blur: float | None = None
    aesthetic: float | None = None
    text: float | None = None
    refused: str | None = None

    def __str__(self) -> str:
        place = f"{self.film} {self.start}-{self.stop - 1}" if self.stop else self.film
        told = f"{place}: " + ("kept" if self.refused is None else f"refused, {self.refused}")
        if self.flow is None:
            return told
        scores = (
            f"{name} {'not scored' if value is None else f'{value:.3g}'}"
            for name, value in (("aesthetic", self.aesthetic), ("text", self.text))
        )
        return f"{told} (uncertainty {self.uncertainty:.3f}, flow {self.flow:.2f}, blur {self.blur:.0f}, {', '.join(scores)})"


@dataclass(frozen=True)
class Curation:
    """Every piece of every film, in their order."""

    pieces: tuple[Piece, ...]

    @property
    def kept(self) -> tuple[Piece, ...]:
        return tuple(piece for piece in self.pieces if piece.refused is None)

    def manifest(self) -> list[dict[str, Any]]:
        """The pieces for a file: what `Piece` holds."""
        return [dict(vars(piece)) for piece in self.pieces]

    def report(self) -> str:
        """One line for each piece, after the sum."""
        frames = sum(piece.stop - piece.start for piece in self.kept)
        return "\n".join([f"{len(self.kept)} of {len(self.pieces)} pieces are kept, {frames} frames", *map(str, self.pieces)])


@dataclass
class _Measuring:
    """Flow, sharpness and scores of a piece whose frames come one by one."""

    scored: frozenset[int]
    scorers: dict[str, Scorer]
    before: np.ndarray | None = None
    flow: list[float] = field(default_factory=list)
    blur: list[float] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)

    def push(self, number: int, frame: Tensor) -> None:
        import cv2

        grey = cv2.cvtColor(frame.cpu().numpy(), cv2.COLOR_RGB2GRAY)
        scale = _SIDE / max(grey.shape)
        size = tuple(max(12, round(side * scale)) for side in grey.shape[::-1])
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        self.blur.append(float(cv2.Laplacian(grey, cv2.CV_64F).var()))
        if self.before is not None:
            flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(self.before, grey, None)
            self.flow.append(float(np.linalg.norm(flow, axis=-1).mean()))
        self.before = grey
        for name, scorer in self.scorers.items() if number in self.scored else ():
            self.scores.setdefault(name, []).append(float(scorer(frame)))

    def values(self) -> dict[str, float | None]:
        scores = {name: float(np.mean(self.scores[name])) if name in self.scores else None for name in ("aesthetic", "text")}
        return {"flow": float(np.mean(self.flow)) if self.flow else 0.0, "blur": float(np.mean(self.blur)), **scores}


def curate(
    films: Sequence[Film],
    *,
    limits: Limits | None = None,
    aesthetic: Scorer | None = None,
    text: Scorer | None = None,
    advance: Callable[[int], None] | None = None,
) -> Curation:
    """Split films into pieces and judge each.

    Args:
        films: the whole set: the uncertain tenth is one of all its pieces.
        aesthetic: score of a frame, usually 1..10. text: share of a frame that text covers, 0..1. None: not scored.
        advance: called with 1 after each film; what it raises ends the work.

    Raises:
        ValueError: no films, or one with fewer frames than detections.
    """
    if not films:
        raise ValueError("there are no films to choose from, expected at least 1")
    limits = limits or Limits()
    scorers = {name: scorer for name, scorer in (("aesthetic", aesthetic), ("text", text)) if scorer is not None}
    found = [[_judged_alone(film, span, limits) for span in _spans(film.detections)] for film in films]
    ceiling = _ceiling([piece.uncertainty for pieces in found for piece in pieces if piece.refused is None], limits.uncertain)
    done: list[Piece] = []
    for film, pieces in zip(films, found, strict=True):
        certain = [_replaced(piece, refused=_uncertain(piece, ceiling)) for piece in pieces]
        done += _judged_by_pictures(film, certain, scorers, limits)
        if advance is not None:
            advance(1)
    return Curation(tuple(done))


def curate_files(paths: Sequence[Path], estimator: Estimator, *, advance: Callable[[int], None] | None = None, **judging: Any) -> Curation:
    """Find the people in video files and `curate` them; a file in which nobody can be found is a refused piece without frames.

    Pieces name their file by its path below the folder that holds all of them.

    Args:
        advance: called with 1 for every file twice, after finding people and after judging, and with 0 after each frame; what it raises ends the work.
        judging: limits, aesthetic and text of `curate`.
    """
    films, lost = [], []
    names = _names(paths)
    for name, path in zip(names, paths, strict=True):
        try:
            video = read_video(path)
            per_frame = None if advance is None else lambda _: advance(0)
            found = extract(video, estimator, fps=video.fps, image_size=video.image_size, advance=per_frame)
            films.append(Film(name=name, frames=video, detections=found))
        except ValueError as error:
            lost.append(Piece(film=name, start=0, stop=0, refused=str(error)))
        if advance is not None:
            advance(1)
    judged = curate(films, advance=advance, **judging).pieces if films else ()
    order = {name: number for number, name in enumerate(names)}
    return Curation(tuple(sorted((*judged, *lost), key=lambda piece: order[piece.film])))


def _names(paths: Sequence[Path]) -> list[str]:
    """Paths below the folder that holds all of them: files of two folders may have one name."""
    whole = [path.resolve() for path in paths]
    folder = Path(os.path.commonpath([path.parent for path in whole])) if whole else Path()
    return [path.relative_to(folder).as_posix() for path in whole]


def _replaced(piece: Piece, **changed) -> Piece:
    return Piece(**(vars(piece) | changed))


def _spans(detections: Detections) -> list[tuple[int, int, str | None]]:
    """(start, stop, why not) of the runs of each shot with nobody, one person or several."""
    kinds = np.minimum(detections.counts, 2)
    edges = {0, *detections.shots, len(kinds), *(np.flatnonzero(np.diff(kinds)) + 1).tolist()}
    why = {0: "nobody is in it", 1: None, 2: "several people are in it"}
    return [(start, stop, why[int(kinds[start])]) for start, stop in pairwise(sorted(edges))]


def _judged_alone(film: Film, span: tuple[int, int, str | None], limits: Limits) -> Piece:
    start, stop, refused = span
    if refused is None and stop - start < limits.frames:
        refused = f"it has {stop - start} frames, at least {limits.frames} are wanted"
    if refused is not None:
        return Piece(film=film.name, start=start, stop=stop, refused=refused)
    confidence = [float(people.confidence.mean()) for people in film.detections.frames[start:stop]]
    return Piece(film=film.name, start=start, stop=stop, uncertainty=1 - float(np.mean(confidence)))


def _ceiling(values: list[float], share: float) -> float:
    """The uncertainty above which lies a share of the set, rounded down to whole pieces."""
    out = math.floor(share * len(values) + 1e-9)
    return sorted(values)[len(values) - out - 1] if out else math.inf


def _uncertain(piece: Piece, ceiling: float) -> str | None:
    if piece.refused is None and piece.uncertainty > ceiling:
        return f"it is among the least certain of the set, above {ceiling:.3f}"
    return piece.refused


def _judged_by_pictures(film: Film, pieces: list[Piece], scorers: dict[str, Scorer], limits: Limits) -> list[Piece]:
    """Read the film once and measure the pieces that are still there."""
    alive = [piece for piece in pieces if piece.refused is None]
    if not alive:
        return pieces
    scored = [np.linspace(piece.start, piece.stop - 1, _SCORED).round().astype(int) for piece in alive]
    measures = [_Measuring(frozenset(numbers.tolist()), scorers) for numbers in scored]
    count, last = 0, alive[-1].stop
    for number, frame in zip(range(last), film.frames, strict=False):
        for piece, measure in zip(alive, measures, strict=True):
            if piece.start <= number < piece.stop:
                measure.push(number, frame)
        count += 1
    if count < last:
        raise ValueError(f"{film.name}: its frames end after {count}, people were found in {last}: give the frames that they were found in")
    judged = {piece.start: _replaced(piece, **measure.values()) for piece, measure in zip(alive, measures, strict=True)}
    return [_judged(judged.get(piece.start, piece), limits) for piece in pieces]


def _judged(piece: Piece, limits: Limits) -> Piece:
    if piece.refused is not None:
        return piece
    checks = (
        (piece.flow < limits.flow, f"its optical flow is {piece.flow:.2f}, at least {limits.flow:g} is wanted"),
        (piece.blur < limits.blur, f"its variance of the Laplacian is {piece.blur:.0f}, at least {limits.blur:g} is wanted"),
        (piece.aesthetic is not None and piece.aesthetic < limits.aesthetic, f"its aesthetic score is below {limits.aesthetic:g}"),
        (piece.text is not None and piece.text > limits.text, f"text covers more than {limits.text:g} of it"),
    )
    return _replaced(piece, refused=next((why for failed, why in checks if failed), None))
