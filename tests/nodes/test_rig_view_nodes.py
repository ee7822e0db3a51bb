import shutil
from dataclasses import replace

import pytest
import torch
from motion4d.core.body.anthropometry import parse_radii
from motion4d.nodes.loaders.rigs import LoadRig
from motion4d.nodes.motion.maps import EncodeBoneMaps, RenderBoneMaps
from motion4d.nodes.motion.rig_views import PlaceRigCameras, RenderRigViews

PLACED = {"paper_literal": False, "elevation": 0.0, "margin": 0.8, "distance": 2.7, "lens": 35.0, "width": 104, "height": 60}
DRAWN = {"frame": -1, "soft_edges": True, "textures": "smooth", "background": "#ffffff"}


@pytest.fixture
def fox(host, reference):
    shutil.copy(reference("data", "fox.glb"), host.inputs[0] / "fox.glb")
    rig, animation, motion, _ = LoadRig.execute("fox.glb", -1, 2, 3.0).args
    return rig, animation, motion


def test_the_fox_goes_from_file_to_pictures_of_its_rest_pose(fox):
    rig, _, _ = fox
    cameras, report = PlaceRigCameras.execute(rig, azimuths="0, 90, 180, 270", **PLACED).args
    assert cameras.views == 4 and cameras.image_size == (60, 104) and "cube = 0.00517" in report
    images, depth, normals, mask, maps, _, report = RenderRigViews.execute(rig, cameras, **DRAWN).args
    assert images.shape == depth.shape == normals.shape == (4, 60, 104, 3) and mask.shape == (4, 60, 104)
    assert "4 views of 1 frame, 576 triangles in 1 mesh" in report
    assert (images[mask == 0] == 1).all() and (depth[mask == 0] == 0).all() and 0.01 < mask.mean() < 0.2
    vace, *_ = EncodeBoneMaps.execute(maps, "vace_depth").args
    assert vace.shape == images.shape


def test_animations_are_drawn_whole_or_by_one_frame(fox):
    rig, animation, _ = fox
    cameras, _ = PlaceRigCameras.execute(rig, azimuths="30 120", animation=animation, **PLACED).args
    whole = RenderRigViews.execute(rig, cameras, animation=animation, **DRAWN).args[0]
    one = RenderRigViews.execute(rig, cameras, animation=animation, **(DRAWN | {"frame": 2})).args[0]
    frames = len(animation.rotations)
    assert len(whole) == 2 * frames and torch.equal(one, whole[[2, frames + 2]])


def test_moving_cameras_stand_where_they_are_in_the_frame_that_is_drawn(fox, host, monkeypatch):
    rig, animation, _ = fox
    still, _ = PlaceRigCameras.execute(rig, azimuths="30 120", animation=animation, **PLACED).args
    frames, bars = len(animation.rotations), []

    class Bar:
        def __init__(self, total):
            self.total, self.done = total, 0
            bars.append(self)

        def advance(self, steps=1):
            self.done += steps

    monkeypatch.setattr(host, "progress", Bar)
    path = still.world_to_camera[:, None].repeat(1, frames, 1, 1)
    path[..., 2, 3] += torch.linspace(0, still.centers.norm(dim=-1).mean(), frames)  # they back away
    moving = replace(still, intrinsics=still.intrinsics[:, None].repeat(1, frames, 1, 1), world_to_camera=path)
    whole = RenderRigViews.execute(rig, moving, animation=animation, **DRAWN).args[0]
    one = RenderRigViews.execute(rig, moving, animation=animation, **(DRAWN | {"frame": 2})).args[0]
    assert torch.equal(one, whole[[2, frames + 2]]) and not torch.equal(one, whole[[0, frames]])
    rest = RenderRigViews.execute(rig, moving, **(DRAWN | {"frame": 2})).args[0]  # the rest pose has no frames to choose from
    assert len(rest) == 2 * frames
    assert [(bar.done, bar.total) for bar in bars] == [(2 * frames, 2 * frames), (2, 2), (2 * frames, 2 * frames)]


def test_radii_of_the_skin_feed_bone_maps(fox):
    rig, _, motion = fox
    cameras, _ = PlaceRigCameras.execute(rig, azimuths="90", **PLACED).args
    radii = RenderRigViews.execute(rig, cameras, **DRAWN).args[5]
    assert len(parse_radii(radii)) == len(rig.skeleton.bones)
    given = {"depth_range": "sequence", "span": 1.0, "virtual_leaves": False, "opacity": 1.0, "cameras": cameras}
    thick, thin = (RenderBoneMaps.execute(motion.cut(0, 1), radii=text, **given).args[3].mean() for text in (radii, ""))
    assert thick > 1.3 * thin


def test_azimuths_as_printed_and_azimuths_that_are_none(fox):
    rig, _, _ = fox
    literal, _ = PlaceRigCameras.execute(rig, azimuths="0", **(PLACED | {"paper_literal": True})).args
    assert literal.views == 4 and not literal.closed
    for text in ("front", "", "0, left"):
        with pytest.raises(ValueError, match="expected degrees"):
            PlaceRigCameras.execute(rig, azimuths=text, **PLACED)
