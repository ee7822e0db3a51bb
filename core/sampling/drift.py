"""How far a long video drifts: mean and variance of its latents and colours in each window, against the first."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..conditions import video_frames
from ..shapes import check_shapes

COLOURS = ("red", "green", "blue")
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class DriftReport:
    """Moments of W windows. windows: (first, last) latent frame of each. means, variances: (W, C) of the latents. colour_means,
    colour_variances: (W, 3) of frames in 0..1, None where none were given.
    """

    windows: Sequence[tuple[int, int]]
    means: Tensor
    variances: Tensor
    colour_means: Tensor | None = None
    colour_variances: Tensor | None = None

    @classmethod
    def of(cls, latents: Tensor, windows: Sequence[Tensor], frames: Tensor | None = None) -> "DriftReport":
        """Measure a video.

        Args:
            latents: (C, F, h, w). windows: of `plan_windows` or `plan_clips`: latent frames of each.
            frames: (T, H, W, 3) decoded from the latents, T = 4 F - 3.

        Raises:
            ValueError: windows beyond the latents, or another number of frames.
        """
        length = check_shapes("DriftReport", latents=(latents, "C F h w"), frames=(frames, "T H W 3"))["F"]
        if not windows or any(int(window.max()) >= length or int(window.min()) < 0 for window in windows):
            raise ValueError(f"the windows do not lie in {length} latent frames: plan them for this length")
        if frames is not None and len(frames) != video_frames(length):
            raise ValueError(f"{len(frames)} frames for {length} latent frames, expected {video_frames(length)}: decode these latents")
        means, variances = _moments(latents.movedim(0, -1), windows)
        spans = [(int(window[0]), int(window[-1])) for window in windows]
        if frames is None:
            return cls(spans, means, variances)
        of_latent = (torch.arange(len(frames)) + 3) // 4  # the latent frame that holds each frame
        held = [torch.nonzero(torch.isin(of_latent, window.cpu())).flatten() for window in windows]
        return cls(spans, means, variances, *_moments(frames, held))

    def series(self) -> dict[str, Tensor]:
        """By name, one number (W,) for each window, 0 in the first: for a plot.

        "latent mean": distance of the channels' means, root mean square, in deviations of the first window. "latent variance": mean over the
        channels of log2 of its ratio. "red", "green", "blue": change of the mean, in 0..1. "red variance", ...: log2 of its ratio.
        """
        shift = (self.means - self.means[0]) / self.variances[0].clamp(min=_TINY) ** 0.5
        found = {"latent mean": shift.square().mean(1) ** 0.5, "latent variance": _doublings(self.variances).mean(1)}
        if self.colour_means is not None:
            moved, widened = self.colour_means - self.colour_means[0], _doublings(self.colour_variances)
            found |= {name: moved[:, index] for index, name in enumerate(COLOURS)}
            found |= {f"{name} variance": widened[:, index] for index, name in enumerate(COLOURS)}
        return found

    def text(self) -> str:
        """One line for each window, and how to read it."""
        series = self.series()
        lines = ["drift against the first window (means: latents in deviations, colours in percent; variances: factor)"]
        for number, (first, last) in enumerate(self.windows):
            parts = [
                f"latents {float(series['latent mean'][number]):.2f} and x{2 ** float(series['latent variance'][number]):.2f}",
                *(
                    f"{name} {100 * float(series[name][number]):+.1f} and x{2 ** float(series[f'{name} variance'][number]):.2f}"
                    for name in COLOURS
                    if name in series
                ),
            ]
            lines.append(f"window {number + 1}, latent frames {first} to {last}: {', '.join(parts)}")
        return "\n".join(lines)


def _moments(values: Tensor, windows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance (W, C) over all but the last axis of the rows of each window, float32 on the CPU."""
    parts = [values[window.to(values.device)].flatten(0, -2).float() for window in windows]
    means, variances = zip(*((part.mean(0), part.var(0, correction=0)) for part in parts), strict=True)
    return torch.stack(means).cpu(), torch.stack(variances).cpu()


def _doublings(variances: Tensor) -> Tensor:
    variances = variances.clamp(min=_TINY)
    return torch.log2(variances / variances[0])
