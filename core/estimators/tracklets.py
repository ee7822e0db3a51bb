"""People followed from frame to frame where nothing is in doubt: the pieces that `linking` puts together."""

from dataclasses import dataclass

import numpy as np

from ..skeletons import SMPL24
from .people import Detections

DEPTH_TRUST = 1 / 3  # one camera tells depth about this much less well than the place in the picture
TORSO = tuple(
    SMPL24.index(name)
    for name in ("pelvis", "left_hip", "right_hip", "spine1", "spine2", "spine3", "neck", "left_collar", "right_collar",
                 "left_shoulder", "right_shoulder")
)  # fmt: skip

_MEMORY = 0.1  # seconds without a sighting after which a piece ends
_MOVE, _POSE = (0.03, 0.2), (0.02, 0.2)  # metres that a usual step from frame to frame is taken to be, at least and at most
_GATE = 2.5  # usual steps off the expected place or pose that are in doubt
_DOUBT = 2.5  # gates: what is farther away is somebody else for certain
_START = 3.0  # the same for the place while the speed is not known
_KNOWN = 3  # sightings that make a speed
_LAST = 1e-3  # what a piece without a speed bids: it takes what nobody else wants
_WINDOW = 8  # sightings over which speed is averaged
_BOX = 0.5  # of a gate that boxes without any overlap cost
_SAMPLES = 400  # frames looked at for the usual step


@dataclass(frozen=True, eq=False, kw_only=True)
class Sightings:
    """The N people of all frames, frame by frame.

    frame, pick: (N) where each is in the detections. joints: (N, J, 3) metres, 0 where `known` (N, J) is false. torso: (N, 3) middle of the trunk.
    ray: (N, 3) unit direction from the camera to it. boxes: (N, 4) pixels. starts: (T + 1) first sighting of each frame.
    """

    frame: np.ndarray
    pick: np.ndarray
    joints: np.ndarray
    known: np.ndarray
    torso: np.ndarray
    ray: np.ndarray
    boxes: np.ndarray
    starts: np.ndarray


def sightings(detections: Detections) -> Sightings:
    """All people of a clip that show at least one joint."""
    parts = [frame for frame in detections.frames if frame.count]
    empty = np.zeros((0, 24, 3))
    joints = np.concatenate([empty, *(frame.joints.detach().cpu().numpy() for frame in parts)]).astype(np.float64)
    known = np.concatenate([empty[..., 0], *(frame.confidence.detach().cpu().numpy() for frame in parts)]) > 0
    boxes = np.concatenate([np.zeros((0, 4)), *(frame.boxes.detach().cpu().numpy() for frame in parts)])
    counts = np.array(detections.counts)
    frame = np.repeat(np.arange(len(counts)), counts)
    pick = np.arange(len(frame)) - np.repeat(np.cumsum(counts) - counts, counts)
    shown = known.any(1)
    frame, pick, joints, known, boxes = (part[shown] for part in (frame, pick, joints, known, boxes))
    joints = np.where(known[..., None], joints, 0.0)
    torso = _middle(joints, _trunk(known))
    ray = torso / np.maximum(np.linalg.norm(torso, axis=1, keepdims=True), 1e-9)
    starts = np.searchsorted(frame, np.arange(len(counts) + 1))
    return Sightings(frame=frame, pick=pick, joints=joints, known=known, torso=torso, ray=ray, boxes=boxes, starts=starts)


def _trunk(known: np.ndarray) -> np.ndarray:
    """Weights (N, J) that pick the joints of the trunk, or all where none of those is known."""
    trunk = np.zeros(known.shape[1])
    trunk[list(TORSO)] = 1
    return np.where((known @ trunk)[:, None] > 0, known * trunk, known)


def _middle(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means (N, 3) of points (N, J, 3)."""
    return (points * weights[..., None]).sum(1) / np.maximum(weights.sum(1), 1)[:, None]


class _Piece:
    """A tracklet that still grows: a filter of falling, then fixed gains (g and h of growing-memory least squares) follows the trunk."""

    def __init__(self, first: int):
        self.members = [first]
        self.over = False
        self.speed = np.zeros(3)  # metres per frame
        self.carry = np.zeros(3)  # from the last sighting to where the filter has the person

    def add(self, sighting: int, surprise: np.ndarray, gap: int) -> None:
        """surprise: (3) metres from the expected to the seen trunk, `gap` frames after the last sighting."""
        self.members.append(sighting)
        n = min(len(self.members), _WINDOW)
        self.speed = self.speed + 6 / (n * (n + 1)) * surprise / gap
        self.carry = (2 * (2 * n - 1) / (n * (n + 1)) - 1) * surprise


def follow(seen: Sightings, first: int, stop: int, *, fps: float) -> list[np.ndarray]:
    """Link the sightings of frames `first` to `stop` into pieces: lists of sightings, one a frame at most, in order.

    Each frame is assigned as a whole (Hungarian method) by the distance of the trunk to where steady motion takes it, by how much the pose differs from the last
    one, and by the overlap of the boxes. The gates are narrow, in units of what is usual from frame to frame in this shot: a doubtful step ends a piece.
    """
    memory = max(2, round(_MEMORY * fps))
    usual = _usual_step(seen, first, stop)
    live: list[_Piece] = []
    done: list[_Piece] = []
    for frame in range(first, stop):
        found = np.arange(seen.starts[frame], seen.starts[frame + 1])
        for piece in live:
            piece.over |= frame - seen.frame[piece.members[-1]] > memory
        done += [piece for piece in live if piece.over]
        live = [piece for piece in live if not piece.over]
        taken = _extend(seen, live, found, frame, usual) if live and len(found) else ()
        live += [_Piece(int(sighting)) for sighting in found if sighting not in taken]
    return [np.array(piece.members) for piece in (*done, *live)]


def _compare(seen: Sightings, expected: np.ndarray, last: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sightings `found` (P) against joints `expected` (K, J, 3) of the people that sightings `last` (K) show.

    Returns:
        shift (K, P, 3) of the trunk; its length and the mean change of the pose beside it, (K, P) metres with depth counted less, infinite without a common joint.
    """
    apart = seen.joints[found] - expected[:, None]
    both = seen.known[last][:, None] & seen.known[found]
    weights = _trunk(both.reshape(-1, both.shape[-1])).reshape(both.shape)
    shift = (apart * weights[..., None]).sum(2) / np.maximum(weights.sum(-1), 1)[..., None]
    count = both.sum(-1)
    pose = (_flattened(apart - shift[:, :, None], seen.ray[found]) * both).sum(-1) / np.maximum(count, 1)
    move = _flattened(shift[:, :, None], seen.ray[found])[..., 0]
    return shift, np.where(count > 0, move, np.inf), np.where(count > 0, pose, np.inf)


def _flattened(vectors: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Lengths (K, P, J) of vectors (K, P, J, 3) whose part along the rays (P, 3) counts less."""
    along = np.einsum("kpji,pi->kpj", vectors, rays)
    return np.sqrt(np.maximum((vectors**2).sum(-1) - (1 - DEPTH_TRUST**2) * along**2, 0))


def _usual_step(seen: Sightings, first: int, stop: int) -> tuple[float, float]:
    """Medians of what the trunk moves and the pose changes from one frame to the nearest person of the next: motion and noise together."""
    steps = []
    for frame in np.unique(np.linspace(first, max(first, stop - 2), _SAMPLES).astype(int)):
        last, found = (
            np.arange(seen.starts[one], seen.starts[min(one + 1, len(seen.starts) - 1)]) for one in (frame, min(frame + 1, stop))
        )
        if len(last) and len(found):
            _, move, pose = _compare(seen, seen.joints[last], last, found)
            nearest = (move + pose).argmin(1)
            steps += list(zip(move[range(len(last)), nearest], pose[range(len(last)), nearest], strict=True))
    middle = np.median([step for step in steps if np.isfinite(step).all()] or [(_MOVE[1], _POSE[1])], axis=0)
    return float(np.clip(middle[0], *_MOVE)), float(np.clip(middle[1], *_POSE))


def _extend(seen: Sightings, live: list[_Piece], found: np.ndarray, frame: int, usual: tuple[float, float]) -> set[int]:
    """Give each piece the sighting that fits, and end it where only one fits that is in doubt; returns the sightings given."""
    from scipy.optimize import linear_sum_assignment

    last = np.array([piece.members[-1] for piece in live])
    gap = frame - seen.frame[last]
    moved = np.stack([piece.carry for piece in live]) + np.stack([piece.speed for piece in live]) * gap[:, None]
    shift, move, pose = _compare(seen, seen.joints[last] + moved[:, None], last, found)
    known = np.array([len(piece.members) >= _KNOWN for piece in live])
    reach = usual[0] * np.where(known, _GATE * (gap + 1) / 2, _START * gap)
    bend = usual[1] * _GATE * (gap + 3) / 4
    move, pose = move / reach[:, None], pose / bend[:, None]
    cost = move + pose + _BOX * (1 - _overlap(seen.boxes[last], seen.boxes[found]))
    benefit = np.where((move < 1) & (pose < 1), cost - 2 - _BOX, 0) * np.where(known, 1, _LAST)[:, None]
    pairs = [(row, column) for row, column in zip(*linear_sum_assignment(benefit), strict=True) if benefit[row, column] < 0]
    for row, column in pairs:
        live[row].add(int(found[column]), shift[row, column], gap[row])
    rows, columns = ([pair[side] for pair in pairs] for side in (0, 1))
    doubt = (move < _DOUBT) & (pose < _DOUBT)
    doubt[rows], doubt[:, columns] = False, False
    for row in np.flatnonzero(doubt.any(1)):
        live[row].over = True
    return {int(found[column]) for column in columns}


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union (K, P) of boxes (K, 4) and (P, 4); 1 where a box has no area and so says nothing."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.maximum(high - low, 0).prod(-1)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).clip(0).prod(-1) for box in (a, b))
    union = area_a[:, None] + area_b[None] - both
    silent = (area_a[:, None] <= 0) | (area_b[None] <= 0)
    return np.where(silent, 1.0, both / np.where(union > 0, union, 1.0))
