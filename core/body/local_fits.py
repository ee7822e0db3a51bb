"""Zero-phase smoothing of tracks by local fits, with a width in seconds that follows the motion.

At every moment a parabola is fitted to its neighbourhood, weighted by a bell; its value there is the smoothed one. Unlike a weighted mean (what a
Gaussian, and without its lag a One-Euro filter, gives) it leaves steady accelerations as they are. Near the ends of a track it becomes a line.

The width is chosen for each moment from a ladder (`_LADDER`): the widest whose curve differs from a narrower one by no more than noise would make it differ
(Lepski's rule; Goldenshluger and Nemirovski, 1997), and no wider than the speed allows. Measured on the demo's wave and walk with a strike of 0.6 m in
0.2 s (5.6 m/s), at 24, 30 and 60 fps under noise of 2, 5, 10 and 20 mm, as noise energy removed / peak speed kept:

- one width for all keeps 70 to 77 % of the peak, and at 2 mm makes the walk 14 to 23 times worse;
- widths by speed alone, as in a One-Euro filter, remove 66 % / 102 % of 10 mm at 30 fps from the walk, but at 2 mm double its error;
- Lepski's rule alone never makes it worse, but keeps 85 to 100 % of the peak under 10 and 20 mm;
- both together remove 70 to 79 % / 98 to 109 % from the wave, and from the walk, whose footfalls are sharper than any window, 8 to 73 % / 85 to 98 %.
"""

import math

import torch
from torch import Tensor

from .gaps import runs

_LADDER = tuple(0.7**step for step in range(7))  # of the widest
_NARROWEST = 0.3  # frames: a bell narrower than this holds one frame
_NOISE_SCALE = 0.05  # seconds: what a bell of this width takes away, in the middle of all frames, counts as noise
_TOLERANCE = 0.75  # of the noise, by which a curve may differ from the one two steps narrower
_CHANCE = 1.7  # ... or times the difference that white noise makes
_RATE = 30.0  # Hz, at most, of that noise: faster cameras see the same tremble more often
_FAST = 1.8  # m/s, from which speed narrows the bell
_EVEN = 0.3  # of the widest bell, over which the choice is evened out


def smooth_tracks(values: Tensor, *, width: float, fps: float, seen: Tensor, adaptive: bool = True) -> Tensor:
    """Smooth N tracks of points, each for itself; across missing frames nothing is borrowed.

    Args:
        values: (T, N, C) metres. width: seconds, standard deviation of the widest bell. seen: (T, N); missing values stay what they are.

    Returns:
        (T, N, C) in the dtype of `values`, computed in float64.
    """
    result = values.clone()
    patterns, group = seen.T.unique(dim=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        tracks = group == number
        for start, stop in runs(pattern):
            result[start:stop, tracks] = _smooth_run(values[start:stop, tracks].double(), width, fps, adaptive).to(values)
    return result


def _smooth_run(values: Tensor, width: float, fps: float, adaptive: bool) -> Tensor:
    """(T, N, C) without missing frames."""
    if len(values) < 3 or width * fps < _NARROWEST:
        return values
    widths = [width * part for part in _LADDER]
    if not adaptive:
        return _fitted(values, widths[0] * fps)
    ladder = [_fitted(values, step * fps) for step in widths] + [values]
    step = torch.maximum(_least_biased(ladder, widths, fps), _for_speed(ladder, fps))
    return _between(torch.stack(ladder), step)


def _least_biased(ladder: list[Tensor], widths: list[float], fps: float) -> Tensor:
    """(T, N) steps down the ladder, fractional, to the widest bell that changes no more than noise."""
    noise = (ladder[-1] - _fitted(ladder[-1], _NOISE_SCALE * fps)).norm(dim=-1).median(0).values.clamp(min=1e-6)
    rate = min(fps, _RATE)
    taken = max((_kernel(0.0, widths[0] * rate) - _kernel(_NOISE_SCALE * rate, widths[0] * rate)).norm().item(), 0.1)
    need = torch.zeros_like(ladder[0][..., 0])
    for number in range(len(widths) - 1):
        beside = min(number + 2, len(widths))
        narrow = widths[beside] * rate if beside < len(widths) else 0.0
        change = (ladder[number] - ladder[beside]).square().sum(-1)
        change = _mean(change, max(0.6 * widths[number], 0.012) * fps).sqrt()
        by_chance = (_kernel(widths[number] * rate, widths[0] * rate) - _kernel(narrow, widths[0] * rate)).norm().item() / taken
        excess = (change / (noise * max(_TOLERANCE, _CHANCE * by_chance)) - 1).clamp(0, 1)
        need = torch.where(excess > 0, number + excess, need)
    return _mean(need, _EVEN * widths[0] * fps)


def _for_speed(ladder: list[Tensor], fps: float) -> Tensor:
    """(T, N) steps down the ladder, so that the bell narrows by 1 + (speed / fast)^2."""
    inner = (ladder[2][2:] - ladder[2][:-2]).norm(dim=-1) * fps / 2
    speed = torch.cat([inner[:1], inner, inner[-1:]])
    return (torch.log1p((speed / _FAST) ** 2) / -math.log(_LADDER[1])).clamp(max=len(ladder) - 1)


def _between(ladder: Tensor, step: Tensor) -> Tensor:
    """Read (K, T, N, C) at the fractional steps (T, N)."""
    lower = step.floor().clamp(max=len(ladder) - 2).long()
    index = lower[None, ..., None].expand(1, *ladder.shape[1:])
    return torch.lerp(ladder.gather(0, index)[0], ladder.gather(0, index + 1)[0], (step - lower)[..., None])


def _bell(width: float, reach: float | None = None) -> tuple[Tensor, Tensor]:
    """Offsets in widths and weights over three widths of `reach` (the width's own unless given), in frames."""
    half = math.ceil(3 * (width if reach is None else reach))
    offset = torch.arange(-half, half + 1, dtype=torch.float64)
    if width < _NARROWEST:
        return offset, (offset == 0).double()
    return offset / width, torch.exp(-((offset / width) ** 2) / 2)


def _kernel(width: float, reach: float) -> Tensor:
    """What a local parabola of a bell `width` frames wide weighs its neighbours with, far from the ends."""
    offset, weight = _bell(width, reach)
    if width < _NARROWEST:
        return weight
    second, fourth = (weight * offset**2).sum(), (weight * offset**4).sum()
    return weight * (fourth - second * offset**2) / (weight.sum() * fourth - second**2)


def _convolve(rows: Tensor, kernel: Tensor) -> Tensor:
    """(T, M) with a kernel; nothing lies beyond the ends."""
    return torch.nn.functional.conv1d(rows.T[:, None], kernel[None, None], padding=len(kernel) // 2)[:, 0].T


def _mean(values: Tensor, width: float) -> Tensor:
    """Weighted mean (T, N) over a bell of `width` frames."""
    if width < _NARROWEST:
        return values
    _, weight = _bell(width)
    return _convolve(values, weight) / _convolve(torch.ones_like(values[:, :1]), weight)


def _fitted(values: Tensor, width: float) -> Tensor:
    """(T, N, C) values of local parabolas under a bell of `width` frames; towards the ends, where a parabola follows noise, of lines."""
    if width < _NARROWEST:
        return values
    offset, weight = _bell(width)
    rows, one = values.flatten(1), torch.ones(len(values), 1, dtype=values.dtype)
    s0, s1, s2, s3, s4 = (_convolve(one, weight * offset**power)[:, 0] for power in range(5))
    moments = torch.stack([_convolve(rows, weight * offset**power) for power in range(3)], 1)  # (T, 3, M)
    system = torch.stack([s0, s1, s2, s1, s2, s3, s2, s3, s4], -1).unflatten(-1, (3, 3))
    system = system + 1e-9 * torch.eye(3, dtype=values.dtype)  # two frames under the bell leave the parabola open
    first = torch.tensor([1.0, 0.0, 0.0], dtype=values.dtype).expand(len(values), 3)
    parabola = (torch.linalg.solve(system, first)[:, None] @ moments)[:, 0]
    line = (moments[:, 0] * s2[:, None] - moments[:, 1] * s1[:, None]) / (s0 * s2 - s1 * s1).clamp(min=1e-9)[:, None]
    one_sided = (s1.abs() / (0.8 * s0)).clamp(max=1)[:, None]  # 1 at the first and last frame
    return torch.lerp(parabola, line, one_sided).reshape(values.shape)
