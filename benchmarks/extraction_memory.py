"""Peak memory of an extraction that grows no more with the length of the film: `python -m motion4d.benchmarks.extraction_memory [--seconds 30 --size 1920x1080]`."""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..core.estimators.extraction import EvenFrames, extract
from ..core.estimators.people import FramePeople
from ..core.formats import read_video, write_video
from .measures import high_water, in_new_process


class Trivial:
    """A person in every frame, at its brightness; takes a batch of eight."""

    name = identity = "trivial"
    memory = None

    def batch(self, image_size):
        return 8

    def detect(self, frames, intrinsics):
        depth = 1 + frames[:, ::64, ::64].float().mean((1, 2, 3)) / 255
        joints = torch.zeros(len(frames), 1, 24, 3)
        joints[..., 2] = depth[:, None, None]
        return [FramePeople(joints=one, confidence=torch.ones(1, 24), boxes=torch.zeros(1, 4)) for one in joints]

    def close(self):
        pass


def film(frames: int, height: int, width: int) -> Iterator[Tensor]:
    """A gradient that wanders, (H, W, 3) uint8 each."""
    row = (torch.arange(width + 512) % 256).to(torch.uint8)
    for number in range(frames):
        yield row[number % 512 :][:width].expand(3, height, width).permute(1, 2, 0).contiguous()


def repeat(source: Path, times: int, target: Path) -> None:
    """A film shown so many times over, copied without encoding it again."""
    import av

    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = given.streams.video[0]
        copy, length = made.add_stream_from_template(stream), stream.duration
        for number in range(times):
            given.seek(0, stream=stream)
            for packet in given.demux(stream):
                if packet.dts is not None:
                    packet.pts, packet.dts, packet.stream = packet.pts + number * length, packet.dts + number * length, copy
                    made.mux(packet)


def peak_bytes(path: str, fps: float | None = None) -> int:
    """Peak memory of this process after an extraction; to be run in one of its own."""
    video = read_video(path)
    even = EvenFrames(video, source_fps=video.fps, times=video.times, fps=fps)
    extract(even, Trivial(), fps=even.fps, image_size=video.image_size)
    return high_water()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--size", default="1920x1080", help="width x height")
    options = parser.parse_args(arguments)
    width, height = (int(side) for side in options.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        piece = Path(folder) / "piece.mp4"
        write_video(film(2 * options.fps, height, width), piece, options.fps, crf=35)
        for seconds in (2, options.seconds):
            path = Path(folder) / f"{seconds}.mp4"
            repeat(piece, seconds // 2, path)
            start = time.perf_counter()
            peak = in_new_process(peak_bytes, str(path))
            taken = time.perf_counter() - start
            print(
                f"{seconds} s of {options.size} at {options.fps} fps: peak {peak / 2**20:.0f} MiB, {seconds * options.fps / taken:.0f} frames a second"
            )


if __name__ == "__main__":
    main()
