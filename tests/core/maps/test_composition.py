from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.maps.bone_maps import render_bone_maps
from motion4d.core.maps.composition import compose_bone_maps
from motion4d.core.types import BoneMaps


@pytest.fixture(scope="module")
def layers():
    """Two people of whom one stands before the other, and a third beside them, seen by two cameras."""
    rig = orbit_rig([0.0, 50.0], radius=4.0, image_size=(96, 128), vertical_fov_deg=40.0, target=(0, 0.9, 0))
    walk = demo_motion("walk", seconds=0.2, fps=20.0)

    places = [(0.1, 0, -0.5), (0, 0, 0.4), (0.9, 0, 0)]
    moved = [replace(walk, joints=walk.joints + torch.tensor(place), rotations=None, translation=None) for place in places]
    return [render_bone_maps(motion, rig) for motion in moved]


def test_every_pixel_shows_the_nearest_body(layers):
    whole = compose_bone_maps(layers)
    far = torch.stack([torch.where(layer.mask, layer.depth, torch.inf) for layer in layers])
    nearest, owner = far.min(0)
    assert torch.equal(whole.mask, torch.isfinite(nearest))
    assert torch.equal(whole.depth, torch.where(whole.mask, nearest, 0.0))
    for number, layer in enumerate(layers):
        own = whole.mask & (owner == number)
        assert own.any() and torch.equal(whole.normal[own], layer.normal[own])


def test_neither_the_order_nor_a_repetition_matters(layers):
    whole, turned = compose_bone_maps(layers), compose_bone_maps([*layers[::-1], layers[0]])
    assert torch.equal(whole.depth, turned.depth) and torch.equal(whole.normal, turned.normal) and torch.equal(whole.mask, turned.mask)


def test_one_layer_stays_itself_and_is_not_shared(layers):
    alone = compose_bone_maps(layers[:1])
    assert torch.equal(alone.depth, layers[0].depth) and alone.depth.data_ptr() != layers[0].depth.data_ptr()
    assert torch.allclose(compose_bone_maps(layers).root_distance, torch.stack([layer.root_distance for layer in layers]).mean(0))


def test_maps_that_do_not_fit_are_refused(layers):
    one = layers[0]
    short = BoneMaps(depth=one.depth[:, :2], normal=one.normal[:, :2], mask=one.mask[:, :2])
    with pytest.raises(ValueError, match=r"\(2, 2, 96, 128\), the first \(2, 4, 96, 128\)"):
        compose_bone_maps([one, short])
    with pytest.raises(ValueError, match="no bone maps"):
        compose_bone_maps([])
