"""Plots of a triangulation."""

from dataclasses import replace

import torch
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.triangulation import triangulate
from motion4d.core.maps.triangulation_plots import plot_triangulation
from motion4d.core.types import Keypoints, Skeleton

PAIR = Skeleton(names=("a", "b"), parents=(-1, 0), mirror=(0, 1))


def result(frames=12):
    rig = orbit_rig([0.0, 80.0, 200.0], radius=3.0, image_size=(400, 400))
    joints = torch.tensor([[0.0, 0, 0], [0.3, 0.4, 0]]).expand(frames, 2, 3)
    keypoints = Keypoints(pixels=rig.project(joints)[0], confidence=torch.ones(3, frames, 2), image_size=(400, 400))
    return triangulate(keypoints, rig, PAIR)


def test_what_a_view_is_off_changes_the_upper_plot_and_what_is_missing_the_lower():
    fit = result()
    picture = plot_triangulation(fit)
    assert picture.shape == (600, 768, 3) and 0 <= float(picture.min()) < float(picture.max()) <= 1
    distances = fit.distances_px.clone()
    distances[1, 6:] += 5
    off = plot_triangulation(replace(fit, distances_px=distances))
    assert not torch.equal(off[:360], picture[:360]) and torch.equal(off[360:], picture[360:])
    confidence = fit.motion.confidence.clone()
    confidence[:4] = 0
    gone = plot_triangulation(replace(fit, motion=replace(fit.motion, confidence=confidence)))
    assert torch.equal(gone[:360], picture[:360]) and not torch.equal(gone[360:], picture[360:])


def test_a_view_that_sees_nothing_and_a_single_frame_are_drawn():
    fit = result(1)
    distances = fit.distances_px.clone()
    distances[2] = torch.nan
    assert torch.isfinite(plot_triangulation(replace(fit, distances_px=distances))).all()
