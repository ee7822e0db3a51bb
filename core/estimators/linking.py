"""Pieces of tracks put together over absences, all at once: the cheapest way to explain a shot.

A person is a point of steady velocity disturbed by white acceleration (Bar-Shalom, Li and Kirubarajan, "Estimation with Applications to Tracking and
Navigation", section 6.2.2). The end of one piece predicts the start of the next; the cost of a link is its negative log likelihood, in nats, beside that of
a newcomer. Choosing links so that each end and each start is used once is an assignment, solved exactly (Zhang, Li and Nevatia, 2008, as a
flow).
"""

import math
from dataclasses import dataclass

import numpy as np

from ..skeletons import SMPL24
from .tracklets import DEPTH_TRUST, Sightings

_WALK, _BURST = (
    (1.0, 1.0),
    (40.0, 3.0),
)  # m^2/s^3, spectral density of acceleration (after a second a walker is 0.6 m off the straight line), and times the noise
_BURSTS = 0.05  # share of links that are bursts: a jump of a dancer or of the estimator
_ASTRAY = 0.01  # share of links over which facing tells nothing, and of those over which size does
_NOISE = 0.02  # metres of a trunk across the line of sight, at least: sway
_SPEED = 2.0  # m/s that a person of unknown velocity has, in each direction
_END = 0.4  # seconds at the end of a piece that tell its velocity
_NEWCOMER = 16.0  # nats: above this a link is less likely than that one has left and another has come
_BRIEF, _SHORT = 0.25, 0.15  # seconds of absence that are bridged for good at first, for pieces no longer than this
_SURE = 3  # sightings of a piece that is no false detection: shorter ones have less to gain from a link
_TRIPLES = 10  # neighbouring frames of three that tell the noise
_BODY = 0.04  # relative difference of a limb of one person between two pieces
_LIMB, _RELATED = 0.12, 10  # the same between two frames, and for how many frames an estimator errs alike
_FACING = (0.2, 1.5)  # radians and radians^2 per second of which way a body faces: noise and turning
_LOOK = 5  # sightings at the end of a piece that tell where it faces

_LIMBS = tuple(
    tuple((SMPL24.index(a), SMPL24.index(b)) for a, b in pairs)
    for pairs in (
        (("left_hip", "left_knee"), ("right_hip", "right_knee")),
        (("left_knee", "left_ankle"), ("right_knee", "right_ankle")),
        (("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow")),
        (("left_elbow", "left_wrist"), ("right_elbow", "right_wrist")),
        (("pelvis", "spine3"), ("spine3", "neck")),
        (("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")),
    )
)


_HIPS, _SHOULDERS = (tuple(SMPL24.index(f"{side}_{joint}") for side in ("left", "right")) for joint in ("hip", "shoulder"))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Ends:
    """One end of each of M pieces: time (M) seconds, state (M, 2, 3) place and velocity of the trunk, across and along (M, 2, 2) covariances of a state
    across the line of sight and along it, axes (M, 3, 3) of the trunk in rows, NaN where unknown."""

    time: np.ndarray
    axes: np.ndarray
    state: np.ndarray
    across: np.ndarray
    along: np.ndarray


def body_sizes(seen: Sightings, pieces: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Log lengths (M, 6) of limbs of each piece, NaN where they are never seen, and their variances (M, 6)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.stack([_limb(seen, pairs) for pairs in _LIMBS], -1)
    sizes, counts = np.full((len(pieces), len(_LIMBS)), np.nan), np.zeros((len(pieces), len(_LIMBS)))
    for row, members in enumerate(pieces):
        present = np.isfinite(logs[members])
        counts[row] = present.sum(0)
        for limb in np.flatnonzero(counts[row]):
            sizes[row, limb] = np.median(logs[members, limb][present[:, limb]])
    return sizes, _BODY**2 / 2 + _LIMB**2 / (1 + np.maximum(counts - 1, 0) / _RELATED)


def _limb(seen: Sightings, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """(N) log of the mean length of a limb of both sides."""
    lengths = [
        np.where(seen.known[:, a] & seen.known[:, b], np.linalg.norm(seen.joints[:, a] - seen.joints[:, b], axis=-1), np.nan)
        for a, b in pairs
    ]
    total = np.nansum(lengths, 0) / np.isfinite(lengths).sum(0)
    return np.log(np.where(total > 0, total, np.nan))


def size_cost(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Nats (...) that the difference of two bodies costs: (sizes, variances) (..., 6) each; limbs that one of them lacks say nothing."""
    return 0.5 * np.nan_to_num((one[0] - other[0]) ** 2 / (one[1] + other[1])).sum(-1)


def link(seen: Sightings, pieces: list[np.ndarray], *, fps: float, absence: float) -> list[np.ndarray]:
    """Chain pieces of one shot over absences of up to `absence` seconds; pieces that find no partner stay as they are.

    Of a first solution only the links of pieces too short to have a velocity are kept, where they are near in time: with the velocity of those they belong
    to, the second solution knows better.
    """
    for brief in (True, False):
        pieces = sorted(pieces, key=lambda members: members[0])
        links = _links(seen, pieces, fps=fps, absence=absence)
        if brief:
            gaps = {(tail, head): seen.frame[pieces[head][0]] - seen.frame[pieces[tail][-1]] for tail, head in links.items()}
            links = {
                tail: head
                for (tail, head), gap in gaps.items()
                if gap <= _BRIEF * fps and min(len(pieces[tail]), len(pieces[head])) <= max(2, _SHORT * fps)
            }
        pieces = _chained(pieces, links)
    return pieces


def _links(seen: Sightings, pieces: list[np.ndarray], *, fps: float, absence: float) -> dict[int, int]:
    """The links {tail: head} of lowest cost between pieces, which are in the order in which they begin."""
    if len(pieces) < 2:
        return {}
    noise = _noise(seen, pieces)
    tails, heads = (_ends(seen, pieces, fps, noise, at_start=at_start) for at_start in (False, True))
    weight = np.minimum([len(members) / _SURE for members in pieces], 1)
    sizes, variances = body_sizes(seen, pieces)
    rays = seen.ray[[members[0] for members in pieces]]
    edges: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    slack = 0.5 / fps
    for piece in range(len(pieces)):
        low, high = np.searchsorted(heads.time, (tails.time[piece] + slack, tails.time[piece] + absence + 1 / fps + slack))
        near = np.arange(low, high)
        if len(near) == 0:
            continue
        cost = _motion_cost(tails, piece, heads, near, rays[near]) + _facing_cost(tails, piece, heads, near)
        size = size_cost((sizes[piece], variances[piece]), (sizes[near], variances[near]))
        cost -= np.logaddexp(math.log(1 - _ASTRAY) - size, math.log(_ASTRAY))
        cost -= _NEWCOMER * (weight[piece] + weight[near]) / 2
        good = cost < 0
        edges.append((np.full(int(good.sum()), piece), near[good], cost[good]))
    return _cheapest(len(pieces), *(np.concatenate(column) for column in zip(*edges, strict=True))) if edges else {}


def _noise(seen: Sightings, pieces: list[np.ndarray]) -> tuple[float, float]:
    """Standard deviations of the trunk in metres across the line of sight and along it, robustly from second differences over time."""
    triples = [
        np.stack([members[:-2], members[1:-1], members[2:]])[:, seen.frame[members[2:]] - seen.frame[members[:-2]] == 2]
        for members in pieces
    ]
    before, middle, after = np.concatenate([np.zeros((3, 0), int), *triples], axis=1)
    if len(middle) < _TRIPLES:
        return _NOISE, _NOISE / DEPTH_TRUST
    bend = (seen.torso[before] - 2 * seen.torso[middle] + seen.torso[after]) / math.sqrt(6)
    along = np.abs((bend * seen.ray[middle]).sum(-1))
    across = np.sqrt(np.maximum((bend**2).sum(-1) - along**2, 0))
    # Medians of the absolute value of one normal variable, and of the length of two.
    return max(_NOISE, float(np.median(across)) / 1.177), max(_NOISE, float(np.median(along)) / 0.6745)


def _ends(seen: Sightings, pieces: list[np.ndarray], fps: float, noise: tuple[float, float], *, at_start: bool) -> _Ends:
    reach = max(2, round(_END * fps))
    parts = [_end(seen, members[:reach] if at_start else members[::-1][:reach], fps, noise) for members in pieces]
    time, state, across, along = (np.stack(column) for column in zip(*parts, strict=True))
    axes = np.stack([_axes(seen, members[:_LOOK] if at_start else members[-_LOOK:]) for members in pieces])
    return _Ends(time=time, axes=axes, state=state, across=across, along=along)


def _axes(seen: Sightings, members: np.ndarray) -> np.ndarray:
    """(3, 3) right to left, up and forward of a trunk; NaN where its corners are not all seen."""
    corners = [*_HIPS, *_SHOULDERS]
    members = members[seen.known[members][:, corners].all(1)]
    if len(members) == 0:
        return np.full((3, 3), np.nan)
    left_hip, right_hip, left_shoulder, right_shoulder = seen.joints[members][:, corners].sum(0)
    up = left_shoulder + right_shoulder - left_hip - right_hip
    up = up / max(np.linalg.norm(up), 1e-9)
    side = left_hip + left_shoulder - right_hip - right_shoulder
    side = side - (side @ up) * up
    side = side / max(np.linalg.norm(side), 1e-9)
    return np.stack([side, up, np.cross(side, up)])


def _facing_cost(tails: _Ends, piece: int, heads: _Ends, near: np.ndarray) -> np.ndarray:
    """Nats (M) that the turn of the trunk costs, beside that of a newcomer, who faces anywhere; 0 where it is not known."""
    turn = np.arccos(np.clip((np.einsum("ij,mij->m", tails.axes[piece], heads.axes[near]) - 1) / 2, -1, 1))
    variance = _FACING[0] ** 2 + _FACING[1] * (heads.time[near] - tails.time[piece])
    likely = -(turn**2) / (2 * variance) - 0.5 * np.log(variance / (2 * math.pi))
    return np.nan_to_num(-np.logaddexp(math.log(1 - _ASTRAY) + likely, math.log(_ASTRAY)))


def _end(seen: Sightings, members: np.ndarray, fps: float, noise: tuple[float, float]) -> tuple[np.ndarray, ...]:
    """Least squares of a straight line through trunks, as it is at the first of them, with people's speed as the prior of its slope."""
    time = seen.frame[members] / fps
    t = time - time[0]
    moments = np.array([[len(t), t.sum()], [t.sum(), (t * t).sum()]])
    sums = np.stack([seen.torso[members].sum(0), (t[:, None] * seen.torso[members]).sum(0)])
    prior = np.array([[0.0, 0.0], [0.0, _SPEED**-2]])
    fits = []
    for deviation in noise:
        covariance = np.linalg.inv(moments / deviation**2 + prior)
        fits.append((covariance @ (sums / deviation**2), covariance))
    (state, across), (deep, along) = fits
    ray = seen.ray[members[0]]
    return time[0], state + ((deep - state) @ ray)[:, None] * ray, across, along


def _motion_cost(tails: _Ends, piece: int, heads: _Ends, near: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Negative log likelihood (M) that the piece goes on in the pieces `near`."""
    gap = heads.time[near] - tails.time[piece]
    step = np.zeros((len(near), 2, 2))
    step[:, 0, 0] = step[:, 1, 1] = 1
    step[:, 0, 1] = gap
    wander = np.stack([gap**3 / 3, gap**2 / 2, gap**2 / 2, gap], -1).reshape(-1, 2, 2)
    miss = heads.state[near] - step @ tails.state[piece]  # (M, 2, 3)
    deep = np.einsum("mki,mi->mk", miss, rays)
    likely = []
    for acceleration, noise in (_WALK, _BURST):
        across, along = (
            noise**2 * (step @ tail @ step.swapaxes(1, 2) + head) + acceleration * wander
            for tail, head in ((tails.across[piece], heads.across[near]), (tails.along[piece], heads.along[near]))
        )
        inverse = np.linalg.inv(across)
        square = np.einsum("mki,mkl,mli->m", miss, inverse, miss) - np.einsum("mk,mkl,ml->m", deep, inverse, deep)
        square += np.einsum("mk,mkl,ml->m", deep, np.linalg.inv(along), deep)
        volume = np.log(np.linalg.det(across)) + 0.5 * np.log(np.linalg.det(along))
        likely.append(-0.5 * square - volume - 3 * math.log(2 * math.pi))
    return -np.logaddexp(math.log(1 - _BURSTS) + likely[0], math.log(_BURSTS) + likely[1])


def _cheapest(count: int, tails: np.ndarray, heads: np.ndarray, costs: np.ndarray) -> dict[int, int]:
    """The links {tail: head} of the lowest total cost among edges of negative cost; each of the `count` pieces is a tail and a head once at most."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(tails)), (tails, heads + count)), shape=(2 * count, 2 * count))
    group = connected_components(graph, directed=False)[1][tails]
    order = np.argsort(group, kind="stable")
    chosen = {}
    for part in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):  # what shares no piece is solved apart: time stays linear
        rows, row = np.unique(tails[part], return_inverse=True)
        columns, column = np.unique(heads[part], return_inverse=True)
        table = np.zeros((len(rows), len(columns)))
        table[row, column] = costs[part]
        chosen |= {int(rows[a]): int(columns[b]) for a, b in zip(*linear_sum_assignment(table), strict=True) if table[a, b] < 0}
    return chosen


def _chained(pieces: list[np.ndarray], links: dict[int, int]) -> list[np.ndarray]:
    followers = set(links.values())
    chains = []
    for first in range(len(pieces)):
        if first not in followers:
            chain = [first]
            while chain[-1] in links:
                chain.append(links[chain[-1]])
            chains.append(np.concatenate([pieces[piece] for piece in chain]))
    return chains
