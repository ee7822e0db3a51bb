"""Time, arithmetic and memory of the MV-DiT models with random weights: `python -m motion4d.benchmarks.mvdit [--sizes tiny full --models 7b 17b]`.

Tiny models run anywhere, those of full size where there is a GPU. Each is measured beside its plain formulation, in which keys and values of
motion, text and image, and the tables of the rotations, are made anew at every step; both give the same numbers, and the difference is printed.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..core.networks.attention import dot_product_attention
from ..core.networks.residual_cache import ResidualCache
from ..core.sampling.guidance import Guidance
from .measures import best_seconds, high_water, in_new_process
from .mvdit_cases import JOINTS, LATENT_FRAMES, MODELS, Case, make_case

SIZES = ("tiny", "full")
PARTS = ("step", "backends", "compile", "options")
BACKENDS = (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)
STEPS = {"tiny": 10, "full": 50}
SMALL_GRID = 4  # patches along a side of tiny models that sample to the end
GUIDED_PART = (0.1, 0.8)
THRESHOLDS = (0.3, 1.0)


def finished(run: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    """`run`, which returns when the device has done its work."""

    def whole() -> Tensor:
        result = run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return result

    return whole


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second that this device reaches in a product of large matrices: the bound the models are held against."""
    size = 8192 if device.type == "cuda" else 1536
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / best_seconds(finished(lambda: a @ b, device), 5)


def peak_bytes(model: str, size: str, grid: int | None, part: str) -> int:
    """Growth of this process's peak memory over one step, beyond the weights."""
    case = make_case(model, size, device=torch.device("cpu"), grid=grid)
    before = high_water()
    getattr(case, part)()
    return high_water() - before


def peak_memory(case: Case, name: Sequence, part: str) -> str:
    """Peak memory of one step, in words; `name` is what `peak_bytes` needs to make the case again."""
    device = case.latents.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        finished(getattr(case, part), device)()
        return f"{torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB with the weights"
    grown = in_new_process(peak_bytes, *name, part) if device.type == "cpu" else None
    return "not measured" if grown is None else f"{grown / 1e6:.0f} MB beside the weights"


def print_step(case: Case, name: Sequence, repeat: int) -> None:
    """One guided step, plain and as it is taken here."""
    device, dtype = case.latents.device, case.latents.dtype
    rate = matrix_rate(device, dtype)
    plain, kept = finished(case.plain, device), finished(case.kept, device)
    first, second = plain(), kept()
    gap, height = float((first - second).abs().max()), float(first.abs().max())
    # In turns, so that neither has the quieter moments of a shared machine.
    pairs = [(best_seconds(plain, 1), best_seconds(kept, 1)) for _ in range(repeat)]
    seconds = [min(column) for column in zip(*pairs, strict=True)]
    print(f"  matrix products of this device: {rate / 1e12:.3g} TFLOP/s in {str(dtype).removeprefix('torch.')}")
    for words, part, taken, work in zip(("plain", "here"), ("plain", "kept"), seconds, (case.plain_work, case.kept_work), strict=True):
        share = (
            f"{work.total:.3g} FLOP ({work.self_attention / work.total:.0%} self-attention), {work.total / rate / taken:.0%} of the bound"
        )
        print(f"  {words:6} {taken:8.4f} s a step   {share}; {peak_memory(case, name, part)}")
    print(f"  {seconds[0] / seconds[1]:.2f} x as fast; largest difference {gap:.1e} of {height:.1f}")


def preferring(best: SDPBackend | None):
    """A context in which attention takes this implementation where it can, and another where not."""
    return sdpa_kernel([best, *(other for other in BACKENDS if other is not best)], set_priority=True) if best else nullcontext()


def print_backends(case: Case, repeat: int) -> SDPBackend | None:
    """Time of the self-attention of one row in each implementation that torch has here; the best."""
    model, device = case.model, case.latents.device
    heads, width = model.config.heads, model.config.head_dim
    tokens = LATENT_FRAMES * (case.latents.shape[-2] // 2) * (case.latents.shape[-1] // 2)
    q, k, v = (torch.randn(1, heads, tokens, width, device=device, dtype=case.latents.dtype) for _ in range(3))
    found: dict[SDPBackend, float] = {}
    for backend in BACKENDS:
        try:
            with sdpa_kernel(backend):
                run = finished(lambda: dot_product_attention(q, k, v), device)
                run()
                found[backend] = best_seconds(run, repeat)
        except RuntimeError:  # not on this device, or not enough memory
            continue
    print("  attention: " + ", ".join(f"{backend.name.lower()} {seconds * 1e3:.2f} ms" for backend, seconds in found.items()))
    if not found:
        return None
    best = min(found, key=found.get)
    if device.type == "cuda":
        with preferring(best):
            whole = finished(case.kept, device)
            whole()
            print(f"  best: {best.name.lower()}; a step with it alone {best_seconds(whole, repeat):.4f} s")
    return best


def print_compiled(case: Case, repeat: int) -> None:
    """A step with compiled blocks, which stay so."""
    whole = finished(case.kept, case.latents.device)
    before = whole()
    for block in case.blocks:
        block.compile()
    start = time.perf_counter()
    after = whole()
    first, gap = time.perf_counter() - start, float((before - after).abs().max())
    print(f"  compiled blocks: {best_seconds(whole, repeat):.4f} s a step, {first:.0f} s for the first; largest difference {gap:.1e}")


def print_options(case: Case, steps: int) -> None:
    """Final latents of whole runs, exact and with each approximate option: time, and how far they end from the exact ones."""
    scale, device = case.recipe.guidance, case.latents.device
    print(f"  {steps} steps of {case.recipe.name}, cfg {scale:g}, latents {tuple(case.latents.shape[1:])}")
    exact = run_timed(case, "exact", steps)
    part = Guidance(scale, start=GUIDED_PART[0], end=GUIDED_PART[1])
    run_timed(case, f"guidance from {part.start} to {part.end} of the schedule", steps, exact, guidance=part)
    for threshold in THRESHOLDS:
        run_timed(case, f"residual cache, threshold {threshold}", steps, exact, cache=ResidualCache(threshold))
    case.quantise()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    run_timed(case, "fp8 weights with scales", steps, exact)
    print("  (how far an option leads with random weights says that it works, not what it does to pictures)")


def run_timed(
    case: Case, name: str, steps: int, exact: Tensor | None = None, *, guidance=None, cache: ResidualCache | None = None
) -> Tensor:
    """Sample to the end and print the time, and the root mean square of the difference to the exact latents as a share of theirs."""
    device = case.latents.device
    case.sample(1, guidance=guidance)  # what is made or compiled once does not count
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    latents = finished(lambda: case.sample(steps, guidance=guidance, cache=cache), device)()
    line = f"  {name:44} {time.perf_counter() - start:8.2f} s"
    if exact is not None:
        line += f", latents {float((latents - exact).norm() / exact.norm()):.2%} off"
    if cache is not None:
        line += f", {cache.skipped} of {cache.full + cache.skipped} passes left out"
    if device.type == "cuda":
        line += f", peak {torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB"
    print(line)
    return latents


def compare(model: str, size: str, device: torch.device, options: argparse.Namespace) -> None:
    """Print one model in one size."""
    case, small = make_case(model, size, device=device, grid=options.grid), size == "tiny"
    parts = options.parts or [part for part in PARTS if part != "compile" or device.type == "cuda"]
    numbers = sum(parameter.numel() for parameter in case.model.parameters())
    shown = "x".join(str(side // 2) for side in case.latents.shape[-2:])
    print(
        f"\nMV-DiT {case.name}: {numbers / 1e9:.3g} billion parameters, {LATENT_FRAMES}x{shown} video tokens, {LATENT_FRAMES * JOINTS} motion tokens, "
        f"2 rows a step, {device.type}" + (f", {torch.get_num_threads()} threads" if device.type == "cpu" else "")
    )
    if "step" in parts:
        print_step(case, (model, size, options.grid), options.repeat)
    best = print_backends(case, options.repeat) if "backends" in parts else None
    with preferring(best):
        if "compile" in parts:
            print_compiled(case, options.repeat)
        if "options" in parts:
            print_options(make_case(model, size, device=device, grid=SMALL_GRID) if small else case, options.steps or STEPS[size])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one block for each model and size."""
    parser = argparse.ArgumentParser(prog="python -m motion4d.benchmarks.mvdit", description=__doc__)
    gpu = torch.cuda.is_available()
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--device", default="cuda" if gpu else "cpu", help="of the models of full size; tiny ones run on the CPU")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="all; compile on a GPU alone, unless it is named")
    parser.add_argument("--steps", type=int, default=0, help="of whole runs; 0: 10 for tiny models, 50 for full ones")
    parser.add_argument("--grid", type=int, help="video tokens along a side of a frame; 12 for tiny models, 32 (512 pixels) for full ones")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args(arguments)
    for size in options.sizes:
        device = torch.device(options.device if size == "full" else "cpu")
        if size == "full" and device.type == "cpu":
            print("\nfull size: not measured (no GPU)")
            continue
        for model in options.models:
            compare(model, size, device, options)
            if device.type == "cuda":
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
