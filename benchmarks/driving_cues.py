"""Time, memory and exactness of the driving cues: `python -m motion4d.benchmarks.driving_cues [--frames 49 --size 512]`.

A figure of ellipses walks across noise; its masks and face boxes are exact, so that no segmenter or detector is timed.
"""

import argparse
import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.cues import extract_cues, low_pass
from ..core.cues.similarity import mask_boxes
from .measures import high_water, in_new_process

# Period in pixels -> gain of the Gaussian at 30 bins in pictures of 512 pixels, as its specification tables it to two digits.
TABLE = {8: 0.10, 12: 0.36, 16: 0.57, 24: 0.78, 32: 0.87, 64: 0.97}
_TABLE_SIDE = 512


def walking_figure(frames: int, size: int, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """frames (T, H, W, 3), person masks (T, H, W), face boxes (T, 4), and the mask (H, W) of a smaller figure elsewhere: the reference."""
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.rand(frames, size, size, 3, generator=generator)
    walk = torch.linspace(0.4, 0.6, frames)
    masks = torch.stack([_figure(size, float(x), 0.5, 0.8) for x in walk])
    pictures *= 1 - 0.5 * masks[..., None]
    boxes = torch.stack(
        [(walk - 0.05) * size, torch.full_like(walk, 0.12 * size), (walk + 0.05) * size, torch.full_like(walk, 0.25 * size)], 1
    )
    return pictures, masks, boxes, _figure(size, 0.55, 0.55, 0.7)


def _figure(size: int, x: float, y: float, height: float) -> Tensor:
    """A body, a head and two legs; middle and height in sides of the picture."""
    rows, columns = torch.meshgrid(*2 * ((torch.arange(size) + 0.5) / size,), indexing="ij")
    parts = (
        (0.0, 0.0, 0.12, 0.3),
        (0.0, -0.4, 0.07, 0.1),
        (-0.07, 0.3, 0.05, 0.2),
        (0.07, 0.3, 0.05, 0.2),
    )  # x, y, half width, half height
    inside = [
        ((columns - x) / height - across).div(wide).square() + ((rows - y) / height - down).div(tall).square() <= 1
        for across, down, wide, tall in parts
    ]
    return torch.stack(inside).any(0).float()


def measured_gain(period: float, size: int = _TABLE_SIDE) -> float:
    """What the filter leaves of an upright wave, read off the middle of a filtered picture."""
    wave = torch.cos(2 * math.pi * (torch.arange(size, dtype=torch.float64) + 0.5) / period)
    filtered = low_pass(wave.expand(1, size, size))[0, size // 2]
    whole = slice(size // 4, size // 4 + int(size // 2 // period * period))  # whole periods, away from the borders
    return float(filtered[whole] @ wave[whole] / wave[whole].square().sum())


def peak_memory(frames: int, size: int) -> int:
    """Bytes that the process held at most, input included, above what it held before; for a process of its own."""
    extract_cues(*walking_figure(2, 64))  # libraries load
    before = high_water()
    extract_cues(*_cheap_input(frames, size))
    return high_water() - before


def _cheap_input(frames: int, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As `walking_figure`, but made without room besides that of the result."""
    masks = torch.empty(frames, size, size)
    for frame, x in enumerate(torch.linspace(0.4, 0.6, frames).tolist()):
        masks[frame] = _figure(size, x, 0.5, 0.8)
    boxes = torch.tensor([0.45, 0.12, 0.55, 0.25]).mul(size).expand(frames, 4)
    return torch.full((frames, size, size, 3), 1.0), masks, boxes, _figure(size, 0.55, 0.55, 0.7)


def alignment_error(frames: int, size: int) -> float:
    """Pixels between the box of the reference and that of the figure moved onto it, when it stands still."""
    reference = _figure(size, 0.55, 0.55, 0.7)
    masks = _figure(size, 0.42, 0.48, 0.8).expand(frames, size, size)
    cues = extract_cues(torch.zeros(frames, size, size, 3), masks, None, reference, hard_masks=True)
    return float((mask_boxes(cues.body_location) - mask_boxes(reference[None])).abs().max())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m motion4d.benchmarks.driving_cues", description=__doc__)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args(arguments)
    print(f"gains of the low-pass at {_TABLE_SIDE} pixels")
    for period, wanted in TABLE.items():
        print(f"  period {period:3} px: {measured_gain(period):.4f}, in the table {wanted:.2f}")
    film = walking_figure(options.frames, options.size)
    extract_cues(*film)
    best, spent = math.inf, math.inf
    for _ in range(options.repeat):
        start, before = time.perf_counter(), time.process_time()
        cues = extract_cues(*film)
        best, spent = min(best, time.perf_counter() - start), min(spent, time.process_time() - before)
    title = f"{options.frames} frames of {options.size}x{options.size}, {torch.get_num_threads()} threads"
    print(
        f"{title}: {best:.2f} s ({1000 * best / options.frames:.1f} ms a frame), {spent:.2f} s of processor time; best of {options.repeat}"
    )
    others = [extract_cues(*film, batch=batch) for batch in (1, 7, options.frames)]
    same = all(
        torch.equal(getattr(cues, name), getattr(other, name))
        for other in others
        for name in ("pose", "face", "body_location", "face_location")
    )
    print(f"batches of 1, 4, 7 and {options.frames} frames: {'identical to the bit' if same else 'DIFFERENT'}")
    print(f"alignment of a still figure: {alignment_error(4, options.size):.1f} px from the box of the reference")
    peak = in_new_process(peak_memory, options.frames, options.size)
    if peak is not None:
        video, masks = (options.frames * options.size**2 * 4 * channels for channels in (3, 1))
        print(
            f"peak memory: {peak / 1e6:.0f} MB, input included; {peak / (video + masks):.2f} times the video with its masks, {peak / video:.2f} times the video"
        )


if __name__ == "__main__":
    main()
