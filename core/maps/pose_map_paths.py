"""Which of several places that show a joint's colour is the joint: near its parent, and on a smooth path."""

import warnings

import numpy as np

from ..types import Skeleton

_SURE = 0.5  # of a disc: a place seen like this is taken for the joint
_FORESHORTENED = 0.9  # quantile of the bones' lengths in the picture that counts as their full length
_SLACK = 1.6  # how much longer a bone may look: nearer to the camera, or longer than at rest
_CALM, _MOST = 6.0, 4.0  # radii that a joint may move from frame to frame at a cost of 1, and the most that a move costs
_JUMP, _FLOOR = 6.0, 4.0  # a joint is off where it leaves its neighbours in time by 6 median deviations and 4 pixels
_NO_BONE = 1e-6  # of the longest bone
_ANY = 1e30  # pixels for one unit
_DOUBT = 0.2  # what is left of the confidence then


def within_reach(places: np.ndarray, score: np.ndarray, skeleton: Skeleton, radius: float) -> np.ndarray:
    """(V, T, J, K) bool: places no farther from the nearest ancestor that is seen well than the bones between them can reach.

    The scale of each picture comes from its longest-looking bones, against their lengths at rest. places: (V, T, J, K, 2). score: (V, T, J, K).
    """
    rest = skeleton.rest.double().numpy()
    parents = np.array(skeleton.parents)
    length = np.where(parents < 0, 0, np.linalg.norm(rest - rest[parents], axis=-1))
    best = np.take_along_axis(places, score.argmax(-1)[..., None, None], -2)[..., 0, :]
    sure = score.max(-1) > _SURE
    scale = _scale(best, sure, parents, length)[..., None]
    reached = np.ones(score.shape, bool)
    anchor, reach = np.full_like(best, np.nan), np.zeros(best.shape[:-1])
    for joint, parent in enumerate(parents):
        if parent < 0:
            continue
        known = sure[:, :, parent]
        anchor[:, :, joint] = np.where(known[..., None], best[:, :, parent], anchor[:, :, parent])
        reach[:, :, joint] = length[joint] + np.where(known, 0, reach[:, :, parent])
        away = np.linalg.norm(places[:, :, joint] - anchor[:, :, joint, None], axis=-1)
        reached[:, :, joint] = ~(away > _SLACK * scale * reach[:, :, joint, None] + 2 * radius)
    return reached


def _scale(best: np.ndarray, sure: np.ndarray, parents: np.ndarray, length: np.ndarray) -> np.ndarray:
    """(V, T) pixels of a picture for one unit of the rest pose; more than any where no two bones are seen."""
    bones = np.flatnonzero((parents >= 0) & (length > _NO_BONE * length.max()))
    seen = sure[:, :, bones] & sure[:, :, parents[bones]]
    ratio = np.linalg.norm(best[:, :, bones] - best[:, :, parents[bones]], axis=-1) / length[bones]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # frames without bones have no quantile
        scale = np.nanquantile(np.where(seen & (length[bones] >= np.median(length[bones])), ratio, np.nan), _FORESHORTENED, axis=-1)
        return np.where(np.isfinite(scale), scale, _ANY)


def smoothest(places: np.ndarray, score: np.ndarray, radius: float) -> np.ndarray:
    """(V, T, J) which of K places (V, T, J, K, 2) with scores (V, T, J, K) to take so that joints are well seen and move little; Viterbi's algorithm."""
    views, frames, joints, count = score.shape
    against = np.where(score > 0, -np.log(np.maximum(score, 1e-3)), 50.0)
    cost, came = against[:, 0], np.zeros((views, frames, joints, count), np.int64)
    for frame in range(1, frames):
        apart = np.linalg.norm(places[:, frame, :, :, None] - places[:, frame - 1, :, None], axis=-1)  # (V, J, now, before)
        move = np.nan_to_num(np.minimum((apart / (_CALM * radius)) ** 2, _MOST), nan=0.0)
        total = cost[:, :, None] + move
        came[:, frame] = total.argmin(-1)
        cost = against[:, frame] + total.min(-1)
    chosen = np.empty((views, frames, joints), np.int64)
    chosen[:, -1] = cost.argmin(-1)
    for frame in range(frames - 1, 0, -1):
        chosen[:, frame - 1] = np.take_along_axis(came[:, frame], chosen[:, frame, :, None], -1)[..., 0]
    return chosen


def only_one(score: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(V, T, J) 1 where a joint's colour gathers in one place, down to 0.05 where it does so more in another."""
    first = np.take_along_axis(score, chosen[..., None], -1)[..., 0]
    others = score.copy()
    np.put_along_axis(others, chosen[..., None], 0, -1)
    return np.clip(1.25 - others.max(-1) / np.maximum(first, 1e-6), 0.05, 1)


def steady(pixels: np.ndarray) -> np.ndarray:
    """(V, T, J) 1, or less where a joint (V, T, J, 2) leaves the median of five frames by far more than it usually does."""
    frames = pixels.shape[1]
    if frames < 5:
        return np.ones(pixels.shape[:-1])
    padded = np.pad(pixels, ((0, 0), (2, 2), (0, 0), (0, 0)), constant_values=np.nan)
    around = np.stack([padded[:, shift : shift + frames] for shift in range(5)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # joints never seen have no median
        off = np.linalg.norm(pixels - np.nanmedian(around, 0), axis=-1)
        usual = np.nanmedian(off, 1, keepdims=True)
    return np.where(off > _JUMP * usual + _FLOOR, _DOUBT, 1.0)
