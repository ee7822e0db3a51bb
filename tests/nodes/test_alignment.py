"""The nodes of the alignments on real values: layouts of ComfyUI, cameras that fit the crops, and bad input."""

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.maps.colours import read_colour
from motion4d.nodes.motion.alignment import AlignReferenceToPose, AlignViews, PasteViewsBack
from motion4d.nodes.motion.maps import DrawSkeleton, RenderBoneMaps

VIEWS = {
    "center": "per_frame", "smoothing": 5, "extent": "auto", "margin": 1.1, "width": 96, "height": 128, "resize": True, "pixels": "auto", "background": "#ffffff",
}  # fmt: skip
PLACE = {"view": 0, "find_by": "auto", "x": 0, "y": 0, "match_height": False, "fill": "edge", "background": "#ffffff"}
MAPS = {"depth_range": "root", "span": 1.25, "virtual_leaves": True, "opacity": 0.8}


def run(node, **inputs) -> tuple:
    with torch.inference_mode():
        return node.execute(**inputs).result


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=0.5, fps=10.0)


@pytest.fixture(scope="module")
def rig():
    return orbit_rig([0.0, 120.0, 240.0], radius=4.0, image_size=(140, 120), focal_px=150.0, target=(0.2, 0.8, 0.2))


@pytest.fixture
def images(walk, generator):
    return torch.rand(3 * walk.frames, 140, 120, 3, generator=generator)


def test_crops_of_a_video_go_back_to_the_bit(host, walk, rig, images):
    cameras, crops, alignment, preview, report = run(AlignViews, motion=walk, cameras=rig, images=images, **(VIEWS | {"resize": False}))
    assert len(crops) == len(preview) == 3 * walk.frames and crops.shape[1:3] == alignment.size == cameras.image_size
    assert "3 views x 5 frames" in report
    assert torch.equal(run(PasteViewsBack, crops=crops, alignment=alignment, feather=8.0, originals=images)[0], images)
    assert torch.equal(crops[walk.frames], alignment.crop(images.reshape(3, 5, 140, 120, 3))[1, 0])


def test_maps_of_the_aligned_cameras_are_crops_of_the_maps(host, walk, rig):
    normals = run(RenderBoneMaps, motion=walk, cameras=rig, **MAPS)[2]
    cameras, crops, *_ = run(
        AlignViews,
        motion=walk,
        cameras=rig,
        images=normals,
        **(VIEWS | {"resize": False, "background": "#000000", "center": "first_frame"}),
    )
    drawn = run(RenderBoneMaps, motion=walk, cameras=cameras, **MAPS)[2]
    both = crops.amax(-1) > 0
    assert both.sum() > 3000 and torch.allclose(crops[both], drawn[both], atol=2e-3)


def test_without_pictures_there_are_cameras_and_a_preview(host, walk, rig):
    cameras, crops, _, preview, _ = run(AlignViews, motion=walk, cameras=rig, **VIEWS)
    assert crops is None and preview.shape == (15, 140, 120, 3)
    assert run(DrawSkeleton, motion=walk, cameras=cameras, style="motion4d")[0].shape == (15, 128, 96, 3)


def test_pictures_of_another_size_resize_the_cameras(host, walk, rig, generator):
    double = torch.rand(15, 280, 240, 3, generator=generator)
    cameras, crops, alignment, *_ = run(AlignViews, motion=walk, cameras=rig, images=double, **(VIEWS | {"smoothing": 1}))
    assert crops.shape == (15, 128, 96, 3) and alignment.image_size == (280, 240)
    assert (cameras.project(walk.joints)[0][:, :, 0] - torch.tensor([48, 64])).abs().max() < 1e-3


def test_one_picture_and_one_mask_stand_for_all(host, walk, rig, images):
    _, crops, alignment, *_ = run(AlignViews, motion=walk, cameras=rig, images=images, **VIEWS)
    behind, nothing = images[:1], torch.zeros(1, 128, 96)
    pasted = run(PasteViewsBack, crops=crops, alignment=alignment, feather=0.0, originals=behind, mask=nothing)[0]
    assert torch.equal(pasted, behind.expand(15, -1, -1, -1))
    alone = run(PasteViewsBack, crops=crops, alignment=alignment, feather=0.0)[0]
    assert alone.shape == images.shape and not torch.equal(alone, pasted)


def test_lengths_and_sizes_that_do_not_fit_are_refused(host, walk, rig, images):
    with pytest.raises(ValueError, match="images has 14 pictures, expected 15: 3 views x 5 frames"):
        run(AlignViews, motion=walk, cameras=rig, images=images[:-1], **VIEWS)
    with pytest.raises(ValueError, match="the cameras see pictures of 120x140 pixels, these have 120x100"):
        run(AlignViews, motion=walk, cameras=rig, images=images[:, :100], **VIEWS)
    with pytest.raises(ValueError, match="place cameras around it"):
        run(AlignViews, motion=walk, images=images, **VIEWS)
    _, crops, alignment, *_ = run(AlignViews, motion=walk, cameras=rig, images=images, **VIEWS)
    for changed, name in (
        ({"crops": crops[:9]}, "crops has 9"),
        ({"originals": images[:4]}, "originals has 4"),
        ({"mask": torch.ones(2, 128, 96)}, "mask has 2"),
    ):
        with pytest.raises(ValueError, match=name):
            run(PasteViewsBack, **({"crops": crops, "alignment": alignment, "feather": 0.0} | changed))


def test_the_reference_is_placed_on_the_first_pose(host, walk, rig, images):
    mask = torch.zeros(1, 140, 120)
    mask[:, 30:91, 50:60] = 1
    image, padding, preview, x, y, report = run(
        AlignReferenceToPose, reference=images[:2], motion=walk, cameras=rig, reference_mask=mask, **(PLACE | {"view": 1})
    )
    pelvis = rig.project(walk.joints[0, 0])[0][1]
    assert (torch.tensor([55 + x, 60.5 + y]) - pelvis).abs().max() <= 0.5 + 1e-4
    assert image.shape == preview.shape == (1, 140, 120, 3) and padding.shape == (1, 140, 120)
    assert torch.equal(image[0][padding[0] == 0], torch.roll(images[0], (y, x), (0, 1))[padding[0] == 0])
    drawn = ((preview - image).abs() > 0.01).any(-1).float().mean()
    assert 0.02 < drawn < 0.5 and "the mask" in report
    by_point = run(
        AlignReferenceToPose, reference=images, motion=walk, cameras=rig, **(PLACE | {"view": 1, "find_by": "point", "x": 55, "y": 60})
    )
    assert by_point[3] == x


def test_the_pose_of_aligned_cameras_is_drawn_too(host, walk, rig, images):
    cameras = run(AlignViews, motion=walk, cameras=rig, **VIEWS)[0]
    image, *_ = run(
        AlignReferenceToPose, reference=images, motion=walk, cameras=cameras, **(PLACE | {"find_by": "point", "x": 60, "y": 70})
    )
    assert image.shape == (1, 128, 96, 3)


def test_a_reference_that_shows_nobody_is_refused(host, walk, rig, images):
    with pytest.raises(ValueError, match="nothing tells where"):
        run(AlignReferenceToPose, reference=images, motion=walk, cameras=rig, **PLACE)
    with pytest.raises(ValueError, match="64x64"):
        run(AlignReferenceToPose, reference=images, motion=walk, cameras=rig, reference_mask=torch.zeros(1, 64, 64), **PLACE)


def test_colours_are_read_as_people_write_them():
    assert read_colour("#ff0080") == (1.0, 0.0, 128 / 255) and read_colour(" 0f0 ") == (0.0, 1.0, 0.0)
    for wrong in ("white", "#ff00", ""):
        with pytest.raises(ValueError, match="#rrggbb"):
            read_colour(wrong)
