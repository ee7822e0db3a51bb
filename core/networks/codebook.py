"""What a codebook holds and which of it is used: usage classes, perplexity and cosine similarities (MTVCrafter, appendix D)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

ROWS_AT_ONCE = 1024
HISTOGRAM_BINS = 100
DUPLICATE_COSINE = 0.999
# A class holds the codes used less often than its bound, in multiples of the use each code would have if all were used equally.
USAGE_CLASSES = (("unused", 0.0), ("rare", 0.5), ("regular", 2.0), ("frequent", math.inf))


@dataclass(frozen=True, eq=False, kw_only=True)
class CodebookReport:
    """A codebook, and its use by some tokens.

    counts: (K) uses of each code. classes: name -> number of codes. perplexity: exp of the entropy of the use, 1 to K; NaN without tokens,
    as `usage` is.
    usage: share of the codes in use. cosine_histogram: (bins) pairs of different codes by cosine similarity, over -1..1.
    cosine_edges: (bins + 1). nearest_cosine: (K) similarity of each code to the most similar other one. norms: (K). zeros: codes of
    length 0, which have no direction and are left out of all similarities. duplicates: codes with another one within DUPLICATE_COSINE.
    foreign: tokens that are no code (blends), not counted.
    """

    counts: Tensor
    classes: dict[str, int]
    perplexity: float
    usage: float
    cosine_histogram: Tensor
    cosine_edges: Tensor
    nearest_cosine: Tensor
    norms: Tensor
    zeros: int
    duplicates: int
    foreign: int

    def text(self) -> str:
        """The report in lines."""
        size, total = len(self.counts), int(self.counts.sum())
        lines = [
            f"{size} codes, length {float(self.norms.min()):.3g} to {float(self.norms.max()):.3g}, mean {float(self.norms.mean()):.3g}"
        ]
        if self.zeros:
            lines.append(f"{self.zeros} codes are zero: they were never trained")
        if total:
            used, possible = int((self.counts > 0).sum()), min(size, total)
            lines.append(f"{total} tokens use {used} codes ({self.usage:.1%}), perplexity {self.perplexity:.1f} of {possible} possible")
            lines.append("codes by use: " + ", ".join(f"{count} {name}" for name, count in self.classes.items()))
        if self.foreign:
            lines.append(f"{self.foreign} tokens are blends between codes and not counted")
        pairs = int(self.cosine_histogram.sum())
        if pairs:
            middle = (self.cosine_edges[1:] + self.cosine_edges[:-1]) / 2
            mean = float((self.cosine_histogram * middle).sum() / pairs)
            lines.append(
                f"cosine similarity of {pairs} pairs: mean {mean:.3f}; nearest other code: mean {float(self.nearest_cosine.nanmean()):.3f}"
            )
            lines.append(f"{self.duplicates} codes have a twin (cosine above {DUPLICATE_COSINE:g})")
        return "\n".join(lines)


@torch.no_grad()
def inspect_codebook(codebook: Tensor, indices: Tensor | None = None, *, advance: Callable[[int], None] | None = None) -> CodebookReport:
    """Read a codebook out.

    Args:
        codebook: (K, C). indices: any shape, the codes some clips use, -1 for tokens that are none; None leaves the use empty.
        advance: called with the number of codes compared since the last call, K in all.

    Raises:
        ValueError: not a table, NaN in it, or an index outside it.
    """
    if codebook.ndim != 2 or min(codebook.shape) == 0 or not torch.isfinite(codebook).all():
        raise ValueError(f"codebook has shape {tuple(codebook.shape)}, expected (codes, channels) with finite values")
    size = len(codebook)
    flat = torch.empty(0, dtype=torch.long) if indices is None else indices.flatten().cpu()
    if len(flat) and not (-1 <= int(flat.min()) and int(flat.max()) < size):
        raise ValueError(
            f"indices run from {int(flat.min())} to {int(flat.max())}, the codebook has {size} codes: use the tokenizer that made them"
        )
    counts = torch.bincount(flat[flat >= 0], minlength=size)
    norms = codebook.float().norm(dim=1)
    histogram, nearest = _similarities(codebook.float() / norms.clamp(min=1e-12)[:, None], norms > 0, advance)
    return CodebookReport(
        counts=counts,
        classes=_usage_classes(counts),
        perplexity=_perplexity(counts),
        usage=float((counts > 0).double().mean()) if len(flat) else math.nan,
        cosine_histogram=histogram,
        cosine_edges=torch.linspace(-1, 1, HISTOGRAM_BINS + 1),
        nearest_cosine=nearest,
        norms=norms.cpu(),
        zeros=int((norms == 0).sum()),
        duplicates=int((nearest > DUPLICATE_COSINE).sum()),
        foreign=int((flat < 0).sum()),
    )


def _perplexity(counts: Tensor) -> float:
    total = int(counts.sum())
    if not total:
        return math.nan
    share = counts[counts > 0].double() / total
    return float((-(share * share.log()).sum()).exp())


def _usage_classes(counts: Tensor) -> dict[str, int]:
    """Number of codes in each class of USAGE_CLASSES; empty without any use."""
    if not counts.any():
        return {}
    relative = counts.double() * len(counts) / counts.sum()
    classes, below = {}, -1.0
    for name, bound in USAGE_CLASSES:
        classes[name] = int(((relative > below) & (relative <= bound)).sum())
        below = bound
    return classes


def _similarities(directions: Tensor, valid: Tensor, advance: Callable[[int], None] | None) -> tuple[Tensor, Tensor]:
    """Histogram of the cosines of all pairs, each once, and the largest cosine of each code to another (NaN for a zero code)."""
    size = len(directions)
    histogram = torch.zeros(HISTOGRAM_BINS, dtype=torch.float64)
    nearest = torch.full((size,), -torch.inf, device=directions.device)
    for row in range(0, size, ROWS_AT_ONCE):
        rows = slice(row, row + ROWS_AT_ONCE)
        for column in range(row, size, ROWS_AT_ONCE):
            columns = slice(column, column + ROWS_AT_ONCE)
            cosine = (directions[rows] @ directions[columns].T).clamp(-1, 1)
            pairs = valid[rows, None] & valid[None, columns]
            if row == column:
                pairs = pairs.triu(1)
            cosine = torch.where(pairs, cosine, -torch.inf)
            nearest[rows] = torch.maximum(nearest[rows], cosine.amax(1))
            nearest[columns] = torch.maximum(nearest[columns], cosine.amax(0))
            histogram += torch.histc(cosine[pairs].cpu(), bins=HISTOGRAM_BINS, min=-1, max=1)
        if advance is not None:
            advance(min(size, row + ROWS_AT_ONCE) - row)
    return histogram, torch.where(torch.isfinite(nearest), nearest, torch.nan).cpu()
