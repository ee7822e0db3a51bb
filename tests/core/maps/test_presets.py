from dataclasses import replace

import pytest
import torch
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.maps.bone_maps import encode_depth, encode_normals, render_bone_maps
from motion4d.core.maps.composition import compose_bone_maps
from motion4d.core.maps.encodings import person_masks, soft_mask
from motion4d.core.maps.presets import PRESETS, encode_disparity, encode_linear, encode_preset
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import BoneMaps, Frame, Motion


def rendered(shift=(0.0, 0.0, 0.0), **options):
    joints = torch.stack([SMPL24.rest, SMPL24.rest + torch.tensor([0.0, 0.0, 0.4])]) + torch.tensor(shift)
    motion = Motion(joints=joints, confidence=torch.ones(2, 24), skeleton=SMPL24, fps=30.0, frame=Frame.WORLD)
    rig = orbit_rig([0.0, 60.0], radius=3.0, image_size=(96, 80), focal_px=120.0, target=(0.0, 0.86, 0.0))
    return render_bone_maps(motion, rig, **options)


def flat(depths, normals=None):
    """Maps of one view and one row; depth 0 is background."""
    depth = torch.tensor([[depths]])
    normal = torch.tensor([0.0, 0.0, -1.0]).expand(*depth.shape, 3) if normals is None else torch.tensor([[normals]])
    mask = depth > 0
    return BoneMaps(
        depth=depth, normal=normal * mask[..., None], mask=mask, ids=torch.where(mask, 0, -1).to(torch.int16), parts=(("bone",),)
    )


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_picture_and_says_what_it_suits(name, samples):
    maps = rendered(samples=samples)
    before = maps.depth.clone(), maps.normal.clone()
    pictures = encode_preset(maps, name)
    assert pictures.shape == (2, 2, 96, 80, 3) and pictures.min() >= 0 and pictures.max() <= 1
    outside = soft_mask(maps) == 0
    assert (pictures[outside] == pictures[outside][0]).all()  # the background is one colour
    assert (pictures[maps.mask] != pictures[outside][0]).any(-1).float().mean() > 0.95
    assert torch.equal(before[0], maps.depth) and torch.equal(before[1], maps.normal)
    assert len(PRESETS[name].suits) > 10 and len(PRESETS[name].convention) > 10


def test_the_hvg_presets_are_its_encodings():
    maps = rendered()
    assert torch.equal(encode_preset(maps, "hvg_depth")[..., 0], encode_depth(maps))
    assert torch.equal(encode_preset(maps, "hvg_normals"), encode_normals(maps))


def test_vace_depth_is_inverse_depth_with_near_white():
    grey = encode_preset(flat([[0.0, 2.0, 4.0, 2.5]]), "vace_depth")[0, 0, 0, :, 0]
    least = 1 / (2.5 * 4.0)
    expected = [0.0, 1.0, (1 / 4 - least) / (1 / 2 - least), (1 / 2.5 - least) / (1 / 2 - least)]
    assert grey.tolist() == pytest.approx(expected, abs=1e-6)


def test_fun_control_depth_is_linear_with_near_white():
    assert encode_linear(flat([[0.0, 2.0, 4.0, 2.5]]))[0, 0, 0].tolist() == pytest.approx([0.0, 1.0, 0.2, 0.8], abs=1e-6)
    assert encode_linear(flat([[0.0, 3.0]]))[0, 0, 0].tolist() == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize("encode", [encode_disparity, encode_linear])
def test_nearer_is_brighter_in_all_views_and_frames(encode):
    maps = rendered()
    grey, order = encode(maps)[maps.mask], maps.depth[maps.mask].argsort()
    assert (grey[order].diff() <= 1e-6).all() and grey.max() == 1


def test_normals_for_controlnet_are_red_to_the_left_and_green_to_the_top():
    """Facing the camera, right, left, up, background: in camera axes x is right, y down and z away."""
    normals = [[[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0]]]
    colours = encode_preset(flat([[1.0, 1.0, 1.0, 1.0, 0.0]], normals), "controlnet_normal")[0, 0, 0]
    wanted = [[0.5, 0.5, 1.0], [0.0, 0.5, 0.5], [1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]]
    assert torch.allclose(colours, torch.tensor(wanted))


def test_the_left_of_a_body_is_red_for_controlnet_and_green_its_top():
    maps = rendered()
    colours, mask = encode_preset(maps, "controlnet_normal")[0, 0], maps.mask[0, 0]
    rows, columns = torch.nonzero(mask, as_tuple=True)
    trunk = (rows > 40) & (rows < 55)
    left, right = columns < columns[trunk].float().median(), columns > columns[trunk].float().median()
    red = colours[rows, columns, 0]
    assert red[trunk & left].mean() > 0.5 > red[trunk & right].mean()
    top = rows == rows.min()
    assert colours[rows, columns, 1][top].min() > 0.6


def test_bones_have_the_same_colour_on_every_person_and_people_do_not():
    layers = [rendered(), rendered((0.6, 0.0, 0.0))]
    both = compose_bone_maps(layers)
    bones, people, masks = encode_preset(both, "bones"), encode_preset(both, "people"), person_masks(both)
    count = len(both.parts[0])
    thigh = both.parts[0].index("left_knee")
    assert torch.equal(bones[both.ids == thigh].unique(dim=0), bones[both.ids == thigh + count].unique(dim=0))
    colours = [people[mask > 0].unique(dim=0) for mask in masks]
    assert all(len(colour) == 1 for colour in colours) and (colours[0] - colours[1]).abs().max() > 0.3
    assert len(bones[both.mask].unique(dim=0)) == len((both.ids[both.mask] % count).unique())


def test_nobody_is_black_everywhere():
    empty = rendered((60.0, 0.0, 0.0))
    assert not empty.mask.any()
    for name in PRESETS:
        picture = encode_preset(empty, name)
        assert torch.isfinite(picture).all() and len(picture.reshape(-1, 3).unique(dim=0)) == 1


def test_unknown_presets_and_maps_without_ids_are_refused():
    with pytest.raises(ValueError, match="preset is 'midas', expected one of hvg_depth"):
        encode_preset(flat([[1.0]]), "midas")
    for name in ("bones", "people"):
        with pytest.raises(ValueError, match="no ids"):
            encode_preset(replace(flat([[1.0]]), ids=None), name)
