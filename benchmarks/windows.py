"""What windows over views and time cost: `python -m motion4d.benchmarks.windows [--views 12 --frames 48 --size 72]`.

The machinery alone, with a model that returns its input, beside one step of a transformer of one layer over the same windows; its peak memory;
and how many times a step asks the model, by balance.
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..core.sampling.consistency import Consistency
from ..core.sampling.noise import starting_noise
from ..core.sampling.progressive import Balance, ViewTimePlan, Window, cut, fuse, plan_grid
from .measures import best_seconds, high_water, in_new_process

CHANNELS = 4
TIMESTEP = torch.tensor(500.0)
TILES = {
    "tiles that stay": {"tile_origins": 1},
    "tiles that move": {},
    "tiles share a third": {"tile_overlap": 1 / 3},
}
BALANCES = {
    "constant": Balance(),
    "alternate": Balance("alternate"),
    "ramp": Balance("ramp", 0.3),
    "time alone": Balance(start=1.0),
    "views alone": Balance(start=0.0),
}


class OneLayer(nn.Module):
    """The least of a video model: patches of 2x2, one block of attention within each picture and an MLP."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.into, self.out = nn.Conv2d(CHANNELS, width, 2, 2), nn.ConvTranspose2d(width, CHANNELS, 2, 2)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    @torch.inference_mode()
    def forward(self, part: Tensor, timestep: Tensor, window: Window) -> Tensor:
        """(rows, C, n, h, w) -> the same shape."""
        rows, _, frames, *_ = part.shape
        x = self.into(part.transpose(1, 2).flatten(0, 1))
        grid = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)
        q, k, v = (one.unflatten(2, (self.heads, -1)).transpose(1, 2) for one in self.attend(self.norms[0](x)).chunk(3, 2))
        x = x + self.project(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        x = x + self.mlp(self.norms[1](x))
        return self.out(x.transpose(1, 2).unflatten(2, grid)).unflatten(0, (rows, frames)).transpose(1, 2)


def identity(part: Tensor, timestep: Tensor, window: Window) -> Tensor:
    """A model that costs nothing."""
    return part


def grid(views: int, frames: int, size: int) -> Tensor:
    """Latents (V, C, F, h, w)."""
    return starting_noise((views, CHANNELS, frames, size, size), 0)


def machinery_seconds(plan: ViewTimePlan, size: int, repeat: int) -> float:
    """One step of the windows with a model that returns its input."""
    latents, whole = grid(*plan.shape, size), fuse(identity, plan)
    return best_seconds(lambda: whole(latents, TIMESTEP), repeat)


def layer_seconds(plan: ViewTimePlan, size: int, width: int, heads: int) -> float:
    """One step of the windows of a layer of this width, without their machinery: the time of each distinct shape, as often as it comes."""
    latents, model = grid(*plan.shape, size), OneLayer(width, heads).eval()
    parts: dict[tuple[int, ...], tuple[Tensor, list[Window]]] = {}
    for window, _ in plan.pieces():
        part = cut(latents, window, plan.views_as)
        parts.setdefault(tuple(part.shape), (part, []))[1].append(window)
    return sum(
        len(windows) * best_seconds(lambda part=part, windows=windows: model(part, TIMESTEP, windows[0]), 2)
        for part, windows in parts.values()
    )


def peak_bytes(views: int, frames: int, size: int) -> int:
    """Growth of this process's peak memory over a step, beside the latents that go in."""
    fuse(identity, plan_grid(2, 6))(grid(2, 6, 64), TIMESTEP)  # large enough to start torch's threads
    latents, plan = grid(views, frames, size), plan_grid(views, frames)
    plan.pieces()
    before = high_water()
    fuse(identity, plan)(latents, TIMESTEP)
    return high_water() - before


def biased_seams(plan: ViewTimePlan, size: int, jump: float = 3.3) -> Consistency:
    """What a model leaves that adds plus or minus half a jump in every other window to pictures whose neighbours differ by 1."""
    target, order = grid(*plan.shape, size) * 0.8862, {}

    def biased(part: Tensor, timestep: Tensor, window: Window) -> Tensor:
        return cut(target, window, plan.views_as) + jump / 2 * (-1) ** order.setdefault(window, len(order))

    return Consistency.of(fuse(biased, plan)(target, TIMESTEP).transpose(1, 2), plan)


def sampled_seams(plan: ViewTimePlan, size: int, *, spread: float, steps: int = 8, jump: float = 3.3) -> Consistency:
    """What Euler steps of a flow leave of such a model, whose pictures vary by `spread` around these means.

    Without spread every step decides all anew, and the result is what the last one says.
    """
    target, order, sigmas = grid(*plan.shape, size) * 0.8862, {}, torch.linspace(1, 0, steps + 1)
    latents = starting_noise(target.shape, 1)
    for step, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        trust = spread**2 * (1 - sigma) / (spread**2 * (1 - sigma) ** 2 + sigma**2)

        def finished(part: Tensor, timestep: Tensor, window: Window, sigma: float = sigma, trust: float = trust) -> Tensor:
            mean = cut(target, window, plan.views_as) + jump / 2 * (-1) ** order.setdefault(window, len(order))
            return mean + trust * (part - (1 - sigma) * mean)

        clean = fuse(finished, plan)(latents, TIMESTEP, step=step, progress=1 - sigma)
        latents = clean + following / sigma * (latents - clean)
    return Consistency.of(latents.transpose(1, 2), plan)


def cost_lines(views: int, frames: int) -> list[str]:
    """How often a step asks the model, and of how many pictures, by balance: two steps, because `alternate` takes turns."""
    lines = []
    for name, balance in BALANCES.items():
        plan = plan_grid(views, frames, balance=balance)
        steps = [plan.pieces(step, 0.5) for step in (0, 1)]
        asked = sum(len(pieces) for pieces in steps) / 2
        pictures = sum(weights.numel() for pieces in steps for _, weights in pieces) / 2
        lines.append(f"  {name:12} {asked:5.1f} forwards a step, {pictures / (views * frames):.2f} times the pictures of the grid")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m motion4d.benchmarks.windows", description=__doc__)
    parser.add_argument("--views", type=int, default=12)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--size", type=int, default=72, help="height and width of the latents")
    parser.add_argument("--width", type=int, default=320, help="channels of the layer that windows are held against")
    parser.add_argument("--heads", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args(arguments)
    views, frames, size = options.views, options.frames, options.size
    latents = views * frames * CHANNELS * size * size * 4
    print(f"{views} views x {frames} frames x {CHANNELS} x {size} x {size} latents, {latents / 1e6:.0f} MB, on the CPU")
    plan = plan_grid(views, frames)
    own, layer = machinery_seconds(plan, size, options.repeat), layer_seconds(plan, size, options.width, options.heads)
    print(f"  windows {own:.3f} s a step, a layer of {options.width} channels over the same windows {layer:.2f} s: {own / layer:.2%} of it")
    peak = in_new_process(peak_bytes, views, frames, size)
    print(
        "  peak memory not measured on Windows"
        if peak is None
        else f"  extra memory {peak / 1e6:.0f} MB, {peak / latents:.2f} of the latents"
    )
    print("\n".join(cost_lines(views, frames)))
    for axis, one, alone in (("frames", "time", (1, 96)), ("views", "views", (24, 1))):
        ratios = [
            getattr(biased_seams(plan_grid(*alone, **overlap), 16), one).ratio for overlap in ({}, {"frame_overlap": 0, "view_overlap": 0})
        ]
        print(f"  seams between {axis} of a biased model: x{ratios[0]:.2f} blended, x{ratios[1]:.2f} side by side")
    print("  seams on both axes of a biased model, 12 views x 96 frames in 8 steps, the greatest factor of windows and tiles:")
    for name, options in TILES.items():
        plan = plan_grid(12, 96, **options)
        ratios = [sampled_seams(plan, 8, spread=spread).seams for spread in (1.0, 0.5, 0.0)]
        cost = sum(len(plan.pieces(step)) for step in range(8)) / 8
        print(
            f"    {name:20} x{ratios[0]:.2f}; x{ratios[1]:.2f} and x{ratios[2]:.2f} the more the last step decides; {cost:.0f} forwards a step"
        )


if __name__ == "__main__":
    main()
