"""How much memory it takes to load a model: a random MV-DiT 7B of few blocks, in one file.

    python -m motion4d.benchmarks.loading --gigabytes 2

The peak counts every page that the process has held, those of the mapped file as well, which the system may drop whenever it needs the
memory; "of its own" counts what is left without them when the model is loaded.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..core.conversion import Piece, write_safetensors
from ..core.models import load_mvdit_7b
from ..core.networks.mvdit_cogvideox import MVDiTCogVideoX, MVDiTCogVideoXConfig
from ..core.precision import PRECISIONS
from .measures import high_water, in_new_process


def write_model(path: Path, gigabytes: float, *, dtype: torch.dtype = torch.bfloat16, heads: int = 48) -> int:
    """Write random weights of about that size, as .safetensors or as DeepSpeed writes .pt; returns the bytes of the file."""
    generator = torch.Generator().manual_seed(0)

    def expected(layers: int) -> dict[str, Tensor]:
        with torch.device("meta"):
            return MVDiTCogVideoX(MVDiTCogVideoXConfig(heads=heads, layers=layers)).state_dict()

    one, two = (sum(value.numel() for value in expected(layers).values()) * dtype.itemsize for layers in (1, 2))
    state = expected(max(1, round((gigabytes * 1e9 - one) / (two - one)) + 1))
    if path.suffix == ".safetensors":
        pieces = [
            Piece(key, dtype, tuple(value.shape), lambda shape=value.shape: (torch.randn(shape, generator=generator).to(dtype),))
            for key, value in state.items()
        ]
        write_safetensors(path, pieces, {}, title=str(path))
    else:
        torch.save({"module": {key: torch.randn(value.shape, generator=generator).to(dtype) for key, value in state.items()}}, path)
    return path.stat().st_size


def peak_growth(path: str, precision: str) -> int:
    """Bytes by which loading raises the peak of this process, pages of the mapped file among them."""
    _warm()
    before = high_water()
    model = load_mvdit_7b(path, precision=precision)
    return high_water() - before if model.config.layers else 0


def own_growth(path: str, precision: str) -> int:
    """Bytes that the loaded model takes beside the pages of the file; Linux only."""
    _warm()
    before = _anonymous()
    model = load_mvdit_7b(path, precision=precision)
    return _anonymous() - before if model.config.layers else 0


def _warm() -> None:
    """Make what the first call of a kind leaves behind."""
    torch.ones(1 << 16).bfloat16().float().aminmax()


def _anonymous() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def compare(folder: Path, gigabytes: float, heads: int, forms: Sequence[str], precisions: Sequence[str]) -> None:
    """Print one line for each form of the file and each precision."""
    for form in forms:
        path = folder / f"model.{form}"
        size = write_model(path, gigabytes, heads=heads)
        print(f"\n.{form}, bfloat16, {size / 1e9:.2f} GB")
        for precision in precisions:
            start = time.perf_counter()
            load_mvdit_7b(path, precision=precision)
            seconds = time.perf_counter() - start
            peak = in_new_process(peak_growth, str(path), precision)
            own = in_new_process(own_growth, str(path), precision) if Path("/proc/self/status").exists() else None
            told = "not measured here" if peak is None else f"peak growth {peak / 1e9:6.2f} GB, {peak / size:.2f} x the file"
            told += "" if own is None else f"; of its own {own / 1e9:6.2f} GB"
            print(f"  {precision:12s} {seconds:6.1f} s   {told}")
        path.unlink()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in a temporary folder, which needs room for one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the file")
    parser.add_argument("--heads", type=int, default=48, help="width of the blocks in heads of 64 channels, 48 as released")
    parser.add_argument("--forms", nargs="+", choices=["safetensors", "pt"], default=["safetensors", "pt"])
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--folder", type=Path, help="where the file is written meanwhile")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        compare(Path(folder), options.gigabytes, options.heads, options.forms, options.precisions)


if __name__ == "__main__":
    main()
