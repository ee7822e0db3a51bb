"""The detail map: crowded joints apart and larger, and back in their places."""

from dataclasses import replace

import pytest
import torch
from motion4d.benchmarks.made_rigs import lively, quadruped
from motion4d.benchmarks.pose_maps import cameras_around
from motion4d.core.maps.pose_map_report import drawing_report, overlay_keypoints, reading_report
from motion4d.core.maps.pose_maps import crowded_groups, draw_pose_maps, read_again
from motion4d.core.skeletons import OPENPOSE18, SMPL24, SMPLX55
from torch.nn import functional

GROUPS = crowded_groups(SMPLX55)


@pytest.fixture(scope="module")
def drawn():
    motion = lively(SMPLX55, seconds=0.2, fps=16)
    return draw_pose_maps(motion, cameras_around(motion), radius=4, detail=GROUPS)


def test_hands_and_a_face_are_crowded():
    assert [(SMPLX55.names[group[0]], len(group)) for group in GROUPS] == [("neck", 5), ("left_wrist", 16), ("right_wrist", 16)]
    assert crowded_groups(SMPL24) == () and crowded_groups(OPENPOSE18) == ()
    assert crowded_groups(quadruped()) == ()


def test_joints_of_the_detail_come_back_to_their_places(drawn):
    found = read_again(drawn.images, drawn, detail_images=drawn.detail.images)
    off = (found.pixels - drawn.keypoints.pixels).norm(dim=-1)[found.seen & drawn.keypoints.seen]
    assert off.median() < 0.05 and off.quantile(0.99) < 0.5 and found.seen.float().mean() > 0.85


def test_without_detail_pictures_its_joints_are_missing_and_the_others_as_they_were(drawn):
    whole = read_again(drawn.images, drawn, detail_images=drawn.detail.images)
    found = read_again(drawn.images, drawn)
    apart = [joint for group in GROUPS for joint in group[1:]]
    body = [joint for joint in range(55) if joint not in apart]
    assert not found.seen[:, :, apart].any()
    assert torch.equal(found.confidence[:, :, body], whole.confidence[:, :, body])
    assert "in no frame found in two views" in reading_report(found, drawn) and "and 26 more" in reading_report(found, drawn)


def test_where_the_carrying_joint_is_missing_so_is_its_group(drawn):
    blank = torch.ones_like(drawn.images)
    found = read_again(blank, drawn, detail_images=drawn.detail.images)
    assert not found.seen.any()


def test_larger_pictures_give_the_same_places(drawn):
    def enlarged(images):
        views, frames, height, width, _ = images.shape
        flat = images.flatten(0, 1).movedim(-1, 1)
        large = functional.interpolate(flat, size=(height * 3 // 2, width * 3 // 2), mode="bilinear", antialias=True)
        return large.movedim(1, -1).unflatten(0, (views, frames))

    one = replace(drawn, images=drawn.images[:1], detail=replace(drawn.detail, images=drawn.detail.images[:1]))
    as_drawn = read_again(one.images, drawn, detail_images=one.detail.images)
    found = read_again(enlarged(one.images), drawn, detail_images=enlarged(one.detail.images))
    assert found.image_size == as_drawn.image_size == (480, 832)
    both = found.seen & as_drawn.seen
    assert both.float().mean() > 0.8 and (found.pixels - as_drawn.pixels).norm(dim=-1)[both].quantile(0.95) < 0.2


def test_pictures_of_another_shape_are_refused(drawn):
    with pytest.raises(ValueError, match="scale both sides alike"):
        read_again(drawn.images[:, :, :, :400], drawn)
    with pytest.raises(ValueError, match="of \\(1, 3\\) views and frames"):
        read_again(drawn.images, drawn, detail_images=drawn.detail.images[:1])
    with pytest.raises(ValueError, match="drawn without any"):
        read_again(drawn.images, replace(drawn, detail=None), detail_images=drawn.detail.images)


@pytest.mark.parametrize(
    ("groups", "words"),
    [([(3,)], "at least one more"), ([(3, 99)], "of 55"), ([(3, 4), (5, 4)], "share joints"), ([(3, 4), (4, 5)], "share joints")],
)
def test_groups_that_cannot_be_drawn_are_refused(groups, words):
    motion = lively(SMPLX55, seconds=0.1, fps=16)
    with pytest.raises(ValueError, match=words):
        draw_pose_maps(motion, cameras_around(motion), detail=groups)


def test_reports_and_crosses_show_what_was_found(drawn):
    assert "15 joints at left_wrist" in drawing_report(drawn)
    found = read_again(drawn.images, drawn, detail_images=drawn.detail.images)
    report = reading_report(found, drawn)
    assert "4 views of 3 frames, 55 joints" in report and "from where they were drawn: median 0.0" in report
    crosses = overlay_keypoints(drawn.images, found, drawn.palette)
    faded = drawn.images * 0.35 + 0.65
    column, row = found.pixels[0, 0, 0].long().tolist()
    assert (crosses[0, 0, row, column] - faded[0, 0, row, column]).abs().max() > 0.1
    nobody = replace(found, confidence=torch.zeros_like(found.confidence))
    assert (overlay_keypoints(drawn.images, nobody, drawn.palette) - faded).abs().max() < 0.01
