"""Time and memory of a call."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path


def best_seconds(run: Callable[[], object], repeat: int) -> float:
    """The shortest of `repeat` runs."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def high_water() -> int:
    """Peak resident bytes of this process."""
    status = Path("/proc/self/status")  # the system call below also counts the parent of a new process
    if status.exists():
        return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_new_process(measure: Callable[..., int], *arguments) -> int | None:
    """What `measure`, a function of a module, returns in a process of its own; None on Windows, which keeps no such peak."""
    if sys.platform == "win32":
        return None
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()
