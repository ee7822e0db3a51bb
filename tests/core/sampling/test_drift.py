"""The read-out of drift: moments against naive ones, and drifts that are known."""

import pytest
import torch
from motion4d.core.sampling.clips import plan_clips
from motion4d.core.sampling.drift import COLOURS, DriftReport
from motion4d.core.sampling.windows import plan_windows

PLAN = plan_clips(9, 5, 1)  # latent frames 0 to 4 and 4 to 8: frames 0 to 16 and 13 to 32


def video(frames=9):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, frames, 6, 6, generator=generator), torch.rand(4 * frames - 3, 8, 8, 3, generator=generator)


def test_moments_equal_the_naive_ones():
    latents, frames = video()
    report = DriftReport.of(latents, PLAN, frames)
    for row, (one, shown) in enumerate([(slice(0, 5), slice(0, 17)), (slice(4, 9), slice(13, 33))]):
        for channel in range(4):
            values = latents[channel, one].double()
            assert float(report.means[row, channel]) == pytest.approx(float(values.mean()), abs=1e-6)
            assert float(report.variances[row, channel]) == pytest.approx(float(values.var(correction=0)), abs=1e-5)
        for colour in range(3):
            values = frames[shown, ..., colour].double()
            assert float(report.colour_means[row, colour]) == pytest.approx(float(values.mean()), abs=1e-6)
            assert float(report.colour_variances[row, colour]) == pytest.approx(float(values.var(correction=0)), abs=1e-6)
    assert report.windows == [(0, 4), (4, 8)]


def test_a_video_that_repeats_does_not_drift():
    latents, frames = (part[:1] if part.shape[-1] == 3 else part[:, :1] for part in video())
    series = DriftReport.of(latents.expand(-1, 9, -1, -1), PLAN, frames.expand(33, -1, -1, -1)).series()
    assert len(series) == 8 and all(torch.allclose(values, torch.zeros(2), atol=1e-5) for values in series.values())


def test_the_first_window_is_the_zero_of_every_series():
    latents, frames = video()
    for values in DriftReport.of(latents, plan_windows(9, 4, 2).indices, frames).series().values():
        assert len(values) == 4 and values[0] == 0


def test_known_drifts_are_read_off():
    still = video()[0][:, :1].expand(-1, 9, -1, -1)
    deviation = still[:, 0].flatten(1).std(1, correction=0).view(4, 1, 1, 1)
    moved = still.clone()
    moved[:, 5:] += 3 * deviation
    series = DriftReport.of(moved, [torch.arange(5), torch.arange(5, 9)]).series()
    assert series["latent mean"].tolist() == pytest.approx([0, 3], abs=1e-4)
    assert series["latent variance"].tolist() == pytest.approx([0, 0], abs=1e-4)
    widened = still.clone()
    widened[:, 5:] *= 2
    assert DriftReport.of(widened, [torch.arange(5), torch.arange(5, 9)]).series()["latent variance"].tolist() == pytest.approx(
        [0, 2], abs=1e-4
    )
    assert list(series) == ["latent mean", "latent variance"]


@pytest.mark.parametrize("colour", range(3))
def test_a_tint_shows_in_its_colour_alone(colour):
    latents, frames = video()
    frames = frames[:1].repeat(33, 1, 1, 1)
    frames[17:, ..., colour] += 0.25
    report = DriftReport.of(latents, [torch.arange(5), torch.arange(5, 9)], frames)
    for index, name in enumerate(COLOURS):
        assert report.series()[name].tolist() == pytest.approx([0, 0.25 * (index == colour)], abs=1e-6)
    assert f"{COLOURS[colour]} +25.0 and x1.00" in report.text().splitlines()[2]


def test_the_text_has_a_line_for_each_window():
    latents, frames = video()
    lines = DriftReport.of(latents, PLAN, frames).text().splitlines()
    assert len(lines) == 3 and lines[1].startswith("window 1, latent frames 0 to 4: latents 0.00 and x1.00, red +0.0 and x1.00")
    assert "red" not in DriftReport.of(latents, PLAN).text().split("\n", 1)[1]


def test_latents_without_any_variance_have_a_finite_report():
    report = DriftReport.of(torch.zeros(4, 9, 2, 2), PLAN, torch.zeros(33, 2, 2, 3))
    assert all(values.isfinite().all() for values in report.series().values()) and "nan" not in report.text()


def test_what_does_not_fit_is_refused():
    latents, frames = video()
    with pytest.raises(ValueError, match="32 frames for 9 latent frames, expected 33"):
        DriftReport.of(latents, PLAN, frames[1:])
    for windows in ([], [torch.arange(10)]):
        with pytest.raises(ValueError, match="do not lie in 9 latent frames"):
            DriftReport.of(latents, windows)
