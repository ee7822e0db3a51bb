"""What is promised of the driving cues, on smaller sizes: gains, memory, alignment, and that the benchmark says it."""

import pytest
from motion4d.benchmarks.driving_cues import TABLE, alignment_error, main, measured_gain, peak_memory
from motion4d.benchmarks.measures import in_new_process


@pytest.mark.parametrize(("period", "gain"), TABLE.items())
def test_gains_are_those_of_the_table(period, gain):
    assert measured_gain(period) == pytest.approx(gain, abs=0.005)


def test_memory_stays_below_four_times_the_video():
    frames, size = 25, 384
    peak = in_new_process(peak_memory, frames, size)
    if peak is None:
        pytest.skip("Windows keeps no peak")
    video = frames * size * size * 3 * 4
    assert video < peak < 4 * video * 4 / 3, "four times the frames with their masks"


def test_a_still_figure_lands_within_a_pixel():
    assert alignment_error(2, 128) <= 1


def test_the_benchmark_prints_what_is_promised(capsys):
    main(["--frames", "3", "--size", "64", "--repeat", "1"])
    said = capsys.readouterr().out
    for words in ("period  16 px: 0.566", "3 frames of 64x64", "identical to the bit", "px from the box of the reference"):
        assert words in said
