"""The contact sheet of driving cues, on the film of a figure made by code."""

import pytest
import torch
from motion4d.core.formats.pictures import read_picture, write_picture
from motion4d.headless import EXAMPLE_INPUTS
from motion4d.headless.cue_sheets import main, shown_frames

FILM, MOTION, FIGURE = (EXAMPLE_INPUTS / name for name in ("motion4d_walk.mp4", "motion4d_walk.npz", "motion4d_figure.png"))


def sheet(output, *more, motion=MOTION, reference=FIGURE):
    return main([str(FILM), "--motion", str(motion), "--reference", str(reference), "--output", str(output), "--max-side", "128", *more])


def test_the_sheet_shows_the_triplet_and_the_report_every_frame(tmp_path, capsys):
    assert sheet(tmp_path / "sheet.png", "--every", "9", "--columns", "5") == 0
    told = capsys.readouterr().out
    for part in (
        "1 person in 10 frames of 96x128",
        "a face in 10 of 10 frames",
        "10 of 10 frames have a good mask",
        "by the height",
        "sheet.png",
    ):
        assert part in told
    picture, _ = read_picture(tmp_path / "sheet.png")
    rows = picture.unflatten(0, (4, -1))
    assert all((row.amax((0, 2)) > 0.5).any() for row in rows)
    grey = rows[1][30:] - rows[1][30:].mean(-1, keepdim=True)
    assert grey.abs().max() < 0.02 < rows[1][30:].max()  # the pose cue has no colour
    assert (rows[0][30:] - rows[0][30:].mean(-1, keepdim=True)).abs().max() > 0.2


def test_a_reference_is_cut_out_or_comes_with_a_mask(tmp_path, capsys):
    picture, alpha = read_picture(FIGURE)
    plain, mask = tmp_path / "plain.png", tmp_path / "mask.png"
    write_picture(picture, plain)
    assert sheet(tmp_path / "a.png", "--every", "30", reference=plain) == 1
    assert "has no transparency around its person: give --reference-mask" in capsys.readouterr().err
    write_picture(alpha[..., None].expand(-1, -1, 3), mask)
    assert sheet(tmp_path / "b.png", "--every", "30", "--reference-mask", str(mask), reference=plain) == 0
    assert "by the height" in capsys.readouterr().out


def test_a_motion_of_another_length_is_refused(tmp_path, capsys):
    from motion4d.core.formats import load_motion, save_motion

    save_motion(load_motion(MOTION).cut(0, 10), tmp_path / "short.npz")
    assert sheet(tmp_path / "a.png", motion=tmp_path / "short.npz") == 1
    assert "the motion has 10 frames" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("columns", [1, 4, 12])
def test_frames_shown_are_spread_and_some_of_them_dropped(columns):
    kept = torch.ones(50, dtype=torch.bool)
    kept[20:23] = False
    shown = shown_frames(kept, columns)
    assert len(shown) <= columns and shown == sorted(set(shown)) and shown[0] == 0
    assert sum(not kept[frame] for frame in shown) >= min(3, columns // 3)
