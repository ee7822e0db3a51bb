"""Sets of pictures or clips against each other: the Fréchet distance between Gaussians fitted to their features (Heusel et al., NeurIPS 2017).

With features of pictures by Inception V3 it is FID, of clips by a 3D ResNet FID-VID, of clips by I3D FVD. The features come from whatever network the user
has (`networks.py`); here they are rows of numbers.
"""

import torch
from torch import Tensor


class FeatureStatistics:
    """Mean and covariance of features that come in parts, in memory for one part and one D x D matrix.

    The sums are about a running mean (Chan, Golub & LeVeque, The American Statistician 1983), in double precision: nothing cancels, and parts may come in any
    order and any size.
    """

    def __init__(self):
        self.count = 0
        self.mean = torch.zeros(0, dtype=torch.float64)  # (D)
        self._scatter = torch.zeros(0, 0, dtype=torch.float64)  # (D, D) sum of products of differences from the mean

    def add(self, features: Tensor) -> "FeatureStatistics":
        """Take in features (N, D); returns itself.

        Raises:
            ValueError: another shape, another D than before, or values that are no numbers.
        """
        if features.ndim != 2 or (self.count and features.shape[1] != len(self.mean)):
            expected = f"(N, {len(self.mean)})" if self.count else "(N, D)"
            raise ValueError(f"features have shape {tuple(features.shape)}, expected {expected}: all of one network")
        if not features.isfinite().all():
            raise ValueError("features have values that are no numbers: the network or its input range is wrong")
        if len(features):
            rows = features.detach().double().cpu()
            mean = rows.mean(0)
            self._join(len(rows), mean, (rows - mean).T @ (rows - mean))
        return self

    def merge(self, other: "FeatureStatistics") -> "FeatureStatistics":
        """Take in what another has seen; returns itself. ValueError for features of another length."""
        if self.count and other.count and len(self.mean) != len(other.mean):
            raise ValueError(f"features of {len(self.mean)} and of {len(other.mean)} values, expected those of one network")
        if other.count:
            self._join(other.count, other.mean, other._scatter)
        return self

    @property
    def covariance(self) -> Tensor:
        """(D, D), over N - 1; ValueError of fewer than two features."""
        if self.count < 2:
            raise ValueError(
                f"{self.count} features have no covariance, expected at least 2: give more pictures, or more and shorter clips"
            )
        return self._scatter / (self.count - 1)

    def _join(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        if not self.count:
            self.count, self.mean, self._scatter = count, mean.clone(), scatter.clone()
            return
        total = self.count + count
        step = mean - self.mean
        self._scatter += scatter + torch.outer(step, step) * (self.count * count / total)
        self.mean += step * (count / total)
        self.count = total


def frechet_distance(one: FeatureStatistics, other: FeatureStatistics) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2).

    With C = F F^T the trace of the root is the sum of the singular values of F1^T F2: no root of a matrix that is singular wherever there are fewer features
    than they are long, no complex parts, and exactly as many terms as the smaller rank.

    Raises:
        ValueError: fewer than two features on a side, or features of different length.
    """
    if one.count and other.count and len(one.mean) != len(other.mean):
        raise ValueError(f"features of {len(one.mean)} and of {len(other.mean)} values, expected those of one network")
    first, second = one.covariance, other.covariance
    root = torch.linalg.svdvals(_factor(first).T @ _factor(second)).sum()
    distance = (one.mean - other.mean).square().sum() + first.trace() + second.trace() - 2 * root
    return max(0.0, float(distance))


def frechet_of(one: Tensor, other: Tensor) -> float:
    """`frechet_distance` of features (N, D) and (M, D)."""
    return frechet_distance(FeatureStatistics().add(one), FeatureStatistics().add(other))


def clip_starts(frames: int, length: int, stride: int) -> range:
    """Where clips of `length` frames begin that lie wholly in a video.

    Raises:
        ValueError: a length or stride below 1, or a video shorter than one clip.
    """
    if length < 1 or stride < 1:
        raise ValueError(f"clips of {length} frames every {stride} frames, expected at least 1 of each")
    if frames < length:
        raise ValueError(
            f"the video has {frames} frames, a clip needs {length}: give a longer video, or shorten the clips where the network allows it"
        )
    return range(0, frames - length + 1, stride)


def _factor(covariance: Tensor) -> Tensor:
    """(D, R) with F F^T the covariance and R its rank; what rounding has put below zero counts as zero."""
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values[-1].clamp(min=0) * len(values) * torch.finfo(values.dtype).eps
    return vectors[:, kept] * values[kept].sqrt()
