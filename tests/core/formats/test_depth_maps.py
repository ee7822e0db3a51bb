import json

import cv2
import pytest
import torch
from motion4d.core.formats.depth_maps import save_depth_maps
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.maps.bone_maps import render_bone_maps
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import BoneMaps, CameraRig, Frame, Motion


@pytest.fixture(scope="module")
def scene():
    motion = Motion(joints=SMPL24.rest.repeat(3, 1, 1), confidence=torch.ones(3, 24), skeleton=SMPL24, fps=30.0, frame=Frame.WORLD)
    rig = orbit_rig([0.0, 70.0], radius=3.0, image_size=(64, 48), focal_px=70.0, target=(0.0, 0.86, 0.0))
    return render_bone_maps(motion, rig), rig


def read(path):
    """Metres (V, T, H, W), 0 on the background, as the JSON file says."""
    told = json.loads(path.read_text())
    rows = []
    for names in told["pictures"]:
        pictures = [cv2.imread(str(path.parent / told["folder"] / name), cv2.IMREAD_UNCHANGED) for name in names]
        assert all(picture.dtype == "uint16" for picture in pictures)
        rows.append(torch.stack([torch.from_numpy(picture.astype("f8")) for picture in pictures]))
    grey = torch.stack(rows)
    return torch.where(grey == told["background"], 0.0, told["offset_m"] + told["metres_per_unit"] * grey), told


@pytest.mark.parametrize("unit", ["millimetres", "stretched"])
def test_depth_comes_back_to_half_a_step(unit, scene, tmp_path):
    maps, _ = scene
    save_depth_maps(maps, tmp_path / "depth.json", unit=unit)
    depth, told = read(tmp_path / "depth.json")
    assert told["meaning"] == "distance from the camera centre" and (told["views"], told["frames"]) == (2, 3)
    assert torch.equal(depth > 0, maps.mask)
    assert (depth - maps.depth).abs().max() <= 0.5001 * told["metres_per_unit"]
    assert told["metres_per_unit"] == 0.001 if unit == "millimetres" else told["metres_per_unit"] < 5e-5


@pytest.mark.parametrize("unit", ["millimetres", "stretched"])
@pytest.mark.parametrize("moves", [False, True])
def test_with_cameras_depth_is_along_the_view_axis(unit, moves, scene, tmp_path):
    maps, rig = scene
    if moves:
        rig = CameraRig(
            intrinsics=rig.intrinsics[:, None].repeat(1, 3, 1, 1), world_to_camera=rig.world_to_camera[:, None].repeat(1, 3, 1, 1),
            image_size=rig.image_size,
        )  # fmt: skip
    save_depth_maps(maps, tmp_path / "depth.json", unit=unit, rig=rig)
    depth, told = read(tmp_path / "depth.json")
    v, u = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(48) + 0.5, indexing="ij")
    cosine = 1 / torch.sqrt(((u - 24) / 70) ** 2 + ((v - 32) / 70) ** 2 + 1)
    assert (depth - maps.depth * cosine).abs().max() <= 0.51 * told["metres_per_unit"] + 1e-6
    assert torch.allclose(torch.tensor(told["world_to_camera"]), rig.world_to_camera) and told["meaning"].startswith("z")


def test_an_interruption_leaves_nothing_behind(scene, tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_depth_maps(scene[0], tmp_path / "depth.json", advance=stop)
    assert list(tmp_path.iterdir()) == []


def test_every_picture_is_reported_and_nothing_else_is_written(scene, tmp_path):
    counts = []
    save_depth_maps(scene[0], tmp_path / "new" / "depth.json", advance=counts.append)
    assert counts == [1] * 6
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["depth", "depth.json"]
    assert len(list((tmp_path / "new" / "depth").iterdir())) == 6


def test_what_cannot_be_written_is_refused(scene, tmp_path):
    maps, rig = scene
    path = tmp_path / "depth.json"
    with pytest.raises(ValueError, match="unit is 'feet'"):
        save_depth_maps(maps, path, unit="feet")
    with pytest.raises(ValueError, match="give the cameras that rendered them"):
        save_depth_maps(maps, path, rig=rig.take_views([0]))
    far = BoneMaps(depth=maps.depth * 40, normal=maps.normal, mask=maps.mask)
    with pytest.raises(ValueError, match="choose stretched"):
        save_depth_maps(far, path)
    save_depth_maps(far, path, unit="stretched")
    with pytest.raises(ValueError, match="exists already"):
        save_depth_maps(maps, path)


def test_empty_pictures_are_written_too(scene, tmp_path):
    maps, rig = scene
    empty = BoneMaps(depth=maps.depth * 0, normal=maps.normal * 0, mask=maps.mask & False)
    for unit in ("millimetres", "stretched"):
        save_depth_maps(empty, tmp_path / f"{unit}.json", unit=unit, rig=rig)
        assert not read(tmp_path / f"{unit}.json")[0].any()
