"""Windows over views and time inside the real ComfyUI, without a server: `windows_in_comfyui.py` measures, the tests judge."""

import pytest

pytestmark = pytest.mark.comfyui

SCRIPT = "windows_in_comfyui.py"
SAME = 1e-4  # of latents that reach 20, by another order of the same float32 arithmetic


def test_hosts_agree(found):
    assert len(found) == 11 and max(found.values()) < SAME, found


def test_guided_7b_in_trained_windows(found):
    assert found["difference"] < SAME


def test_stock_samplers(found):
    assert found["17b_euler"] < SAME and found["7b_ddim"] < SAME
    assert found["ksampler_finite"] and found["same_seed"] and found["model_untouched"]
    assert found["other_seed"] > 1 and found["windows_matter"] > 0.1


def test_one_window_is_no_window(found):
    assert found["exact"] and found["applied_again_replaces"]
    assert found["one_view"] == found["one_view_replaced"] == 0


def test_vace_is_cut_along_its_axes(found):
    for views_as in ("frames", "batch"):
        assert found[views_as]["apart"] == 0 and found[views_as]["calls"] > 4
    # Pieces over time are 2 views x 3 frames; over views 2 clips of 3 views, or 3 views of 2 frames.
    assert found["frames"]["sizes"] == [[2, 16, 3, 4, 4]]
    assert found["batch"]["sizes"] == [[2, 16, 3, 4, 4], [3, 16, 2, 4, 4]]
    assert found["whole"] and found["vace_matters"] > 0.01


def test_masks_and_areas(found):
    assert "part of the time" in found.pop("time_area")
    assert max(found.values()) < SAME, found


def test_memory_and_names(found):
    assert found["shape"] == [2, 16, 3, 4, 4] and found["forgotten"]
    # Positive and negative go through together, or one after the other, and every window has names of its own.
    assert found["calls"] in (2 * found["pieces"], 4 * found["pieces"]) and found["names"] == 2 * found["windows"]


def test_interruption(found):
    assert found == {"stopped": True, "steps": 1, "forgotten": True, "runs_again": True}


REFUSED = {
    "axes": ("4 axes", "Empty Multi-View Latent"),
    "views": ("it has 3 views, the latent 4", "Gather Views"),
    "length": ("(16, 9, 4, 4)", "(16, 5, 4, 4)"),
    "context windows": ("ComfyUI's context windows", "leave out that node"),
    "control": ("positive: it has a ControlNet", "VACE"),
    "audio": ("audio_embed", "without windows"),
    "vace length": ("vace_context has 3 latent frames, the latent 5", "one length"),
    "vace views": ("vace_frames is for 2 views, the latent has 4", "gather"),
    "overlap": ("views: windows of 3 overlap by 3", "expected 0 to 2"),
    "unconditional": ("13 latent frames, not for 3", "set cfg to 1"),
    "attention": ("one clip is looked at as a whole", "before they are put together"),
}


def test_refusals(found):
    assert set(found) == set(REFUSED)
    for name, words in REFUSED.items():
        assert all(word in found[name] for word in words), (name, found[name])
