from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.maps.bone_maps import render_bone_maps
from motion4d.core.maps.composition import compose_bone_maps
from motion4d.core.maps.encodings import person_masks, soft_mask
from motion4d.core.types import BoneMaps


@pytest.fixture(scope="module")
def scene():
    """Two people of whom one stands before the other, and a third beside them, and two cameras."""
    rig = orbit_rig([0.0, 50.0], radius=4.0, image_size=(96, 128), vertical_fov_deg=40.0, target=(0, 0.9, 0))
    walk = demo_motion("walk", seconds=0.2, fps=20.0)

    places = [(0.1, 0, -0.5), (0, 0, 0.4), (0.9, 0, 0)]
    return [replace(walk, joints=walk.joints + torch.tensor(place), rotations=None, translation=None) for place in places], rig


@pytest.fixture(scope="module")
def layers(scene):
    motions, rig = scene
    return [render_bone_maps(motion, rig) for motion in motions]


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


def test_ids_stay_apart_for_each_person(layers):
    whole = compose_bone_maps(layers)
    count = len(layers[0].parts[0])
    assert whole.parts == tuple(layer.parts[0] for layer in layers) and whole.people == 3
    nearest = torch.stack([torch.where(layer.mask, layer.depth, torch.inf) for layer in layers]).min(0)
    masks = person_masks(whole)
    for number, layer in enumerate(layers):
        own = whole.mask & (nearest.indices == number)
        assert torch.equal(whole.ids[own], layer.ids[own] + number * count)
        assert torch.equal(masks[number] > 0, own)
    assert torch.equal(masks.sum(0), whole.mask.float())


def test_composing_twice_counts_on(layers):
    at_once, in_steps = compose_bone_maps(layers), compose_bone_maps([compose_bone_maps(layers[:2]), layers[2]])
    assert torch.equal(at_once.ids, in_steps.ids) and at_once.parts == in_steps.parts


def test_soft_edges_are_composed_sample_by_sample(layers, scene):
    motions, rig = scene
    soft = [render_bone_maps(motion, rig, samples=2) for motion in motions]
    whole = compose_bone_maps(soft)
    large = compose_bone_maps([render_bone_maps(motion, rig.resized((192, 256))) for motion in motions])

    def pooled(picture):
        return picture.float().unflatten(3, (128, 2)).unflatten(2, (96, 2)).mean((3, 5))

    assert torch.equal(whole.depth, compose_bone_maps(layers).depth)
    assert torch.equal(soft_mask(whole), pooled(large.mask))
    masks, truth = person_masks(whole), person_masks(large)
    for mine, large_mask in zip(masks, truth, strict=True):
        # Where two bodies interpenetrate inside a pixel that is an edge of one, the other is taken to be flat.
        assert (mine - pooled(large_mask)).abs().gt(0).float().mean() < 1e-3
    assert torch.allclose(masks.sum(0), soft_mask(whole))
    mixed = compose_bone_maps([layers[0], soft[1]])
    assert mixed.edges is not None and torch.equal(person_masks(mixed).sum(0), soft_mask(mixed))


def test_layers_without_ids_give_none(layers):
    bare = BoneMaps(depth=layers[0].depth, normal=layers[0].normal, mask=layers[0].mask)
    whole = compose_bone_maps([bare, layers[1]])
    assert whole.ids is None and whole.parts == () and torch.equal(whole.mask, layers[0].mask | layers[1].mask)


def test_notes_say_whose_they_are(layers):
    noted = replace(layers[1], notes=("view 0 shows nobody",))
    assert compose_bone_maps([layers[0], noted]).notes == ("person 1: view 0 shows nobody",)


def test_more_ellipsoids_than_numbers_are_refused(layers):
    crowd = replace(layers[0], parts=(("bone",) * 30000,))
    with pytest.raises(ValueError, match="60000 ellipsoids"):
        compose_bone_maps([crowd, crowd])
