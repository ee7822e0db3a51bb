"""Time and memory of the motion tokenizer beside a loop over its windows: `python -m motion4d.benchmarks.tokenizer [--frames 49 649]`."""

import argparse
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..core.networks.motion_tokenizer import MotionTokenizer, MotionTokenizerConfig
from .measures import best_seconds, high_water, in_new_process

SIZES = {
    "full": MotionTokenizerConfig(),
    "small": MotionTokenizerConfig(widths=(64, 128), code_dim=32, codebook_size=64),
}


@torch.no_grad()
def looped(module: torch.nn.Module, x: Tensor, size: int) -> Tensor:
    """x (B, F, J, C) through `module` one window after the other, the way the reference runs it; the first window takes the remainder."""
    count, extra = divmod(x.shape[1], size)
    edges = [0, *(extra + size * (window + 1) for window in range(count))]
    parts = [module(x[:, begin:end].permute(0, 3, 1, 2)) for begin, end in pairwise(edges)]
    return torch.cat(parts, 2).permute(0, 2, 3, 1)


@torch.no_grad()
def naive_encode(tokenizer: MotionTokenizer, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens (B, L, C) and indices (B, L) by a loop over windows and one whole table of distances."""
    vectors = looped(tokenizer.encoder, joints, 8).flatten(1, 2)
    flat, codebook = vectors.flatten(0, 1), tokenizer.vq.codebook
    table = (flat**2).sum(1, keepdim=True) - 2 * flat @ codebook.T + (codebook.T**2).sum(0, keepdim=True)
    indices = table.argmin(1)
    return codebook[indices].view_as(vectors), indices.view(vectors.shape[:2])


def naive_decode(tokenizer: MotionTokenizer, tokens: Tensor) -> Tensor:
    """Joints (B, T, 24, 3) by a loop over windows."""
    return looped(tokenizer.decoder, tokens.unflatten(1, (-1, 24)), 2)


def random_tokenizer(size: str) -> MotionTokenizer:
    """Random weights, and random codes as long as the encoder's output."""
    torch.manual_seed(0)
    tokenizer = MotionTokenizer(SIZES[size]).eval().requires_grad_(False)
    spread = tokenizer.latents(torch.randn(1, 8, 24, 3)).std()
    tokenizer.vq.codebook.normal_(std=float(spread))
    return tokenizer


def motion(frames: int) -> Tensor:
    """(1, T, 24, 3): joints that wander smoothly."""
    generator = torch.Generator().manual_seed(frames)
    steps = torch.randn(1, frames, 24, 3, generator=generator).cumsum(1)
    return steps / steps.std()


def peak_bytes(size: str, frames: int, part: str) -> int:
    """Growth of this process's peak memory over one call, after a call on the shortest clip."""
    tokenizer, joints = random_tokenizer(size), motion(frames)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(len(tokenizer.vq.codebook), (1, (frames + 3) // 4 * 24), generator=generator)
    tokens = tokenizer.vq.codebook[chosen] if "decode" in part else torch.empty(1, 48, 0)
    calls = {
        "encode": tokenizer.encode,
        "naive encode": lambda x: naive_encode(tokenizer, x),
        "decode": tokenizer.decode,
        "naive decode": lambda x: naive_decode(tokenizer, x),
    }
    calls[part](tokens[:, :48] if "decode" in part else motion(8))
    before = high_water()
    calls[part](tokens if "decode" in part else joints)
    return high_water() - before


def compare(size: str, frames: int, repeat: int) -> None:
    """Print the times of one clip, part by part, and the peak memory of encoding."""
    tokenizer, joints = random_tokenizer(size), motion(frames)
    codes = tokenizer.encode(joints)
    tokens, indices = naive_encode(tokenizer, joints)
    rows = (
        ("encoder convolutions", lambda: looped(tokenizer.encoder, joints, 8), lambda: tokenizer.latents(joints)),
        ("encode (with codes)", lambda: naive_encode(tokenizer, joints), lambda: tokenizer.encode(joints)),
        ("decode", lambda: naive_decode(tokenizer, tokens), lambda: tokenizer.decode(tokens)),
    )
    print(f"\n{size} size, {frames} frames, {codes.indices.numel()} tokens, {torch.get_num_threads()} threads")
    total = [0.0, 0.0]
    for name, naive, ours in rows:
        seconds = best_seconds(naive, repeat), best_seconds(ours, repeat)
        print(f"  {name:22s} loop {seconds[0]:7.3f} s   here {seconds[1]:7.3f} s   {seconds[0] / seconds[1]:.2f} x as fast")
        if name != "encoder convolutions":
            total = [total[0] + seconds[0], total[1] + seconds[1]]
    print(f"  {'encode and decode':22s} loop {total[0]:7.3f} s   here {total[1]:7.3f} s   {total[0] / total[1]:.2f} x as fast")
    for part in ("encode", "decode"):
        peaks = [in_new_process(peak_bytes, size, frames, prefix + part) for prefix in ("naive ", "")]
        if None not in peaks:
            naive, ours, held = peaks[0] / 1e6, peaks[1] / 1e6, tokens.nbytes / 1e6
            print(f"  {part + ' memory':22s} loop {naive:7.0f} MB  here {ours:7.0f} MB (the tokens alone {held:.0f} MB)")
    same = float((codes.indices == indices).float().mean())
    gap = float((tokenizer.decode(tokens) - naive_decode(tokenizer, tokens)).abs().max())
    print(f"  agreement: {same:.2%} of the indices, joints to {gap:.1e} sigma")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one block for each size and length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[49, 649])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args(arguments)
    for size in options.sizes:
        for frames in options.frames:
            compare(size, frames, options.repeat)


if __name__ == "__main__":
    main()
