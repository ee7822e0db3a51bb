"""The cost of windows, on smaller sizes: it holds what is promised for large ones."""

import pytest
import torch
from motion4d.benchmarks.measures import in_new_process
from motion4d.benchmarks.windows import OneLayer, layer_seconds, machinery_seconds, main, peak_bytes
from motion4d.core.sampling.progressive import Window, plan_grid


@pytest.fixture
def one_thread():
    """Threads that wait for a busy machine would be measured otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_windows_cost_little_beside_one_layer(one_thread):
    plan = plan_grid(6, 24)
    own, layer = machinery_seconds(plan, 32, 5), layer_seconds(plan, 32, 64, 2)
    assert own <= 0.05 * layer


def test_windows_need_less_than_two_latents_of_memory():
    peak = in_new_process(peak_bytes, 6, 48, 64)
    if peak is None:
        pytest.skip("Windows keeps no peak")
    latents = 6 * 48 * 4 * 64 * 64 * 4
    assert latents < peak <= 2 * latents


def test_the_layer_sees_each_picture_alone_and_keeps_its_shape():
    torch.manual_seed(0)
    layer, part = OneLayer(32, 2).eval(), torch.randn(2, 4, 5, 8, 8)
    window = Window(torch.arange(2), torch.arange(5))
    whole = layer(part, torch.tensor(1.0), window)
    assert whole.shape == part.shape
    assert torch.allclose(layer(part[:1, :, 2:3], torch.tensor(1.0), window), whole[:1, :, 2:3], atol=1e-5)
    moved = part.clone()
    moved[0, :, 2, 0, 0] += 1
    changed = (layer(moved, torch.tensor(1.0), window) - whole).abs().amax((1, 3, 4))
    assert changed[0, 2] > 0.01 and changed.sum() == changed[0, 2]


def test_it_prints_cost_memory_and_seams(capsys):
    main(["--views", "4", "--frames", "14", "--size", "16", "--width", "32", "--heads", "2", "--repeat", "1"])
    printed = capsys.readouterr().out
    for part in (
        "4 views x 14 frames x 4 x 16 x 16",
        "of it",
        "alternate",
        "views alone",
        "seams between views",
        "side by side",
        "tiles that move",
    ):
        assert part in printed
