"""The benchmark's film is what it says, all solve it, and ours keeps the bounds that it is measured by."""

import time

import numpy as np
import pytest
import torch
from motion4d.benchmarks.triangulation import BONES, FPS, main, make_film, ours, pairs, scipy_bundle


@pytest.fixture(scope="module")
def film():
    return make_film(150, seed=3)


def errors(found, film):
    return 1000 * np.linalg.norm(found - film.joints, axis=-1)


def test_the_film_is_as_said(film):
    bones = np.linalg.norm(film.joints[:, BONES[:, 1]] - film.joints[:, BONES[:, 0]], axis=-1)
    assert bones.std(0).max() < 1e-6 and bones.min() > 0.03
    off = (film.keypoints.pixels - film.rig.project(torch.from_numpy(film.joints))[0])[film.keypoints.seen]
    assert float(off.abs().median()) == pytest.approx(0.6745 * 2, rel=0.1)  # of a normal distribution
    assert 0.03 < float((off.norm(dim=-1) > 15).float().mean()) < 0.06
    assert 0.1 < float((~film.keypoints.seen).float().mean()) < 0.2
    assert film.joints.shape == (150, 24, 3) and np.abs(np.diff(film.joints, axis=0)).max() * FPS < 8


def test_equal_seeds_make_equal_films(film):
    assert np.array_equal(make_film(150, seed=3).joints, film.joints)
    assert not np.array_equal(make_film(150, seed=4).joints, film.joints)


def test_the_whole_fit_keeps_its_bounds(film):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    before = time.process_time()
    found = ours(film)
    seconds = time.process_time() - before
    torch.set_num_threads(threads)
    off = errors(found, film)
    bones = 1000 * np.linalg.norm(found[:, BONES[:, 1]] - found[:, BONES[:, 0]], axis=-1)
    assert off.mean() < 4 and off.max() < 100  # no single frame jumps to what an outlier shows
    assert bones.std(0).mean() < 0.35
    assert seconds < 2  # of work, of a film of five seconds; elsewhere machines are slower


def test_each_frame_for_itself_is_worse_than_the_clip(film):
    alone = errors(pairs(film), film)
    there = np.isfinite(alone)
    assert 0.9 < there.mean() < 1 and alone[there].mean() > 1.5 * errors(ours(film), film)[there].mean()


def test_scipy_gives_about_the_same():
    pytest.importorskip("scipy")
    film = make_film(40)
    found, reference = ours(film), scipy_bundle(film)
    assert np.median(np.linalg.norm(found - reference, axis=-1)) < 0.01
    assert errors(reference, film).mean() < 10


def test_it_prints_everyone_or_why_not(capsys):
    main(["--frames", "20", "40", "--peer-frames", "20"])
    lines = capsys.readouterr().out.splitlines()
    assert sum("ours, pairs alone" in line for line in lines) == sum("ours    " in line for line in lines) == 2
    assert any("SciPy trf" in line and (" mm " in line or "not installed" in line) for line in lines)
    assert sum("more frames than" in line or "not installed" in line for line in lines) >= 2
