"""An approximate option: leave out the blocks of a model at steps where the time has hardly moved what they do.

The idea of TeaCache (arXiv 2411.19108) without its fitted polynomials: between two steps the model's modulation by time changes by some
share of itself; as long as these shares, added up since the last full pass, stay under a threshold, what the blocks added then is added again.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from torch import Tensor


@dataclass(eq=False)
class _Branch:
    """signal: of the last step. residual: what the blocks added at the last full pass. change: since then."""

    signal: Tensor
    residual: Tensor
    change: float = 0.0


class ResidualCache:
    """Residuals of the block stack, for each branch (conditional, unconditional, a window) its own; one object for one run.

    threshold: summed relative change of the modulation up to which the blocks are left out; 0 leaves out nothing and is exact.
    full, skipped: passes counted so far.
    """

    def __init__(self, threshold: float):
        if not 0 <= threshold < float("inf"):
            raise ValueError(f"the threshold of the residual cache is {threshold}, expected 0 (exact) or more: 0.05 to 0.3 are usual")
        self.threshold = threshold
        self.full = self.skipped = 0
        self._branches: dict[Hashable, _Branch] = {}

    def through(self, branch: Hashable, x: Tensor, signal: Tensor, blocks: Callable[[Tensor], Tensor]) -> Tensor:
        """`blocks(x)`, or `x` with the last residual of this branch.

        Args:
            branch: whatever else the blocks depend on belongs into it. x: (B, N, D). signal: what the time makes of the modulation.
        """
        known = self._branches.get(branch)
        if known is not None and known.residual.shape == x.shape and known.residual.dtype == x.dtype and known.residual.device == x.device:
            known.change += _relative_change(known.signal, signal)
            known.signal = signal
            if known.change < self.threshold:
                self.skipped += 1
                return x + known.residual
        result = blocks(x)
        self.full += 1
        if self.threshold > 0:
            self._branches[branch] = _Branch(signal, result - x)
        return result

    def report(self) -> str:
        """What was left out so far, in words."""
        return (
            f"{self.skipped} of {self.full + self.skipped} passes through the blocks were left out, with a threshold of {self.threshold:g}"
        )

    def clear(self) -> None:
        """Forget all residuals and counts."""
        self._branches.clear()
        self.full = self.skipped = 0


def _relative_change(before: Tensor, after: Tensor) -> float:
    """L1 distance over the L1 norm of what was before."""
    before, after = before.float(), after.float()
    return float((after - before).abs().sum() / before.abs().sum())
