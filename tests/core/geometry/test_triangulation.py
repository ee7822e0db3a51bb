"""Triangulation: exact on clean input, steady under noise, and the same whatever the unit, the frame rate or the order of the views."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.triangulation import triangulate
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import CameraRig, Keypoints, Skeleton

SIZE = (1024, 1024)


def rig_of(*azimuths, radius=3.5):
    return orbit_rig(azimuths, radius=radius, elevation_deg=4.0, image_size=SIZE, focal_px=1100.0, target=(0.0, 1.0, 0.0))


RIG = rig_of(20.0, 110.0, 200.0, 290.0)


@pytest.fixture(scope="module")
def truth():
    return demo_motion("tour", seconds=2.0, fps=30.0).joints.double()


def keypoints_of(joints, rig=RIG, *, noise=0.0, outliers=0.0, missing=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    exact = replace(rig, intrinsics=rig.intrinsics.double(), world_to_camera=rig.world_to_camera.double())
    pixels = exact.project(joints)[0]
    pixels = pixels + noise * torch.randn(pixels.shape, generator=generator)
    wild = torch.rand(pixels.shape[:3], generator=generator) < outliers
    pixels[wild] += 80 * torch.randn(int(wild.sum()), 2, generator=generator).double()
    seen = torch.rand(pixels.shape[:3], generator=generator) >= missing
    return Keypoints(pixels=torch.where(seen[..., None], pixels, torch.nan), confidence=seen.double(), image_size=SIZE)


def error(result, truth):
    return (result.motion.joints.double() - truth).norm(dim=-1)


def bone_lengths(joints):
    lengths = torch.zeros(joints.shape[1]).double()
    for child, parent in SMPL24.bones:
        lengths[child] = (joints[:, child] - joints[:, parent]).norm(dim=-1).median()
    return lengths


@pytest.mark.parametrize("lengths", ["estimate", "none", "known"])
def test_clean_keypoints_give_the_joints_back(truth, lengths):
    given = bone_lengths(truth) if lengths == "known" else lengths
    result = triangulate(keypoints_of(truth), RIG, SMPL24, bone_lengths=given, smoothness=0.0)
    assert error(result, truth).max() < 1e-6
    assert result.motion.seen.all() and not result.guessed.any()
    assert result.reprojection_px.max() < 1e-3
    assert torch.allclose(result.bone_lengths.double(), bone_lengths(truth), atol=1e-6)


def test_smoothness_hardly_bends_clean_input(truth):
    assert error(triangulate(keypoints_of(truth), RIG, SMPL24), truth).max() < 5e-4


def test_noise_outliers_and_gaps_cost_little(truth):
    keypoints = keypoints_of(truth, noise=2.0, outliers=0.05, missing=0.1)
    result = triangulate(keypoints, RIG, SMPL24)
    off = error(result, truth)
    assert off.mean() < 5.6e-3 and off[result.motion.seen].max() < 0.08  # the feet of this motion accelerate by up to 250 m/s^2
    assert torch.isfinite(result.motion.joints).all() and torch.isfinite(result.deviation).all()
    assert abs(result.noise_px - 2.0) < 0.3
    bones = torch.stack([(result.motion.joints[:, c] - result.motion.joints[:, p]).norm(dim=-1) for c, p in SMPL24.bones])
    assert bones.std(1).mean() < 0.5e-3
    free = triangulate(keypoints, RIG, SMPL24, bone_lengths="none", smoothness=0.0)
    assert off.mean() < 0.8 * error(free, truth).mean()
    seen = result.motion.seen
    assert 0.5 < float(result.deviation[seen].square().mean().sqrt() / off[seen].square().mean().sqrt()) < 2


def test_the_unit_of_the_world_plays_no_part(truth):
    keypoints = keypoints_of(truth, noise=1.0, outliers=0.05, missing=0.1)
    pose = RIG.world_to_camera.double()
    large = replace(RIG, world_to_camera=torch.cat([pose[..., :3], 1000 * pose[..., 3:]], -1))
    small = replace(RIG, world_to_camera=pose)
    a, b = (triangulate(keypoints, rig, SMPL24) for rig in (small, large))
    assert torch.allclose(1000 * a.motion.joints, b.motion.joints, atol=0.01)  # 1e-5 of a metre
    assert torch.equal(a.motion.seen, b.motion.seen)


def test_twice_the_frame_rate_changes_little():
    fine = demo_motion("tour", seconds=2.0, fps=60.0).joints.double()
    coarse = fine[::2]
    a = triangulate(keypoints_of(coarse, noise=1.0), RIG, SMPL24, fps=30.0)
    b = triangulate(keypoints_of(fine, noise=1.0), RIG, SMPL24, fps=60.0)
    assert error(b, fine).mean() < 1.05 * error(a, coarse).mean()
    clean_a, clean_b = (triangulate(keypoints_of(x), RIG, SMPL24, fps=f).motion.joints for x, f in ((coarse, 30.0), (fine, 60.0)))
    assert (clean_a - clean_b[::2]).norm(dim=-1).max() < 5e-4


def test_the_order_of_the_views_plays_no_part(truth):
    keypoints = keypoints_of(truth[:20], noise=1.0, outliers=0.05)
    order = [2, 0, 3, 1]
    turned = replace(keypoints, pixels=keypoints.pixels[order], confidence=keypoints.confidence[order])
    a, b = triangulate(keypoints, RIG, SMPL24), triangulate(turned, RIG.take_views(order), SMPL24)
    assert torch.allclose(a.motion.joints, b.motion.joints, atol=2e-4)


def test_a_view_without_confidence_changes_nothing(truth):
    keypoints = keypoints_of(truth[:20], noise=1.0)
    confidence = keypoints.confidence.clone()
    confidence[3] = 0
    without = triangulate(replace(keypoints, pixels=keypoints.pixels[:3], confidence=confidence[:3]), RIG.take_views([0, 1, 2]), SMPL24)
    pixels = keypoints.pixels.clone()
    pixels[3] = torch.nan
    with_it = triangulate(replace(keypoints, pixels=pixels, confidence=confidence), RIG, SMPL24)
    assert torch.allclose(without.motion.joints, with_it.motion.joints, atol=1e-5)


def test_a_joint_that_only_opposite_views_see_is_filled_and_says_so(truth):
    keypoints = keypoints_of(truth, noise=1.0)
    confidence = keypoints.confidence.clone()
    confidence[[1, 3], 20:30, 20] = 0  # views 0 and 2 look at the wrist from opposite sides
    result = triangulate(replace(keypoints, confidence=confidence), RIG, SMPL24)
    missing = ~result.motion.seen
    assert missing[20:30, 20].all() and missing.sum() == 10
    assert error(result, truth)[20:30, 20].max() < 0.1
    assert "10 of" in result.motion.notes[0]


def test_only_opposite_views_are_refused(truth):
    rig = orbit_rig([0.0, 180.0], radius=30.0, image_size=SIZE, focal_px=8000.0, target=(0.0, 1.0, 0.0))
    with pytest.raises(ValueError, match="add a camera that looks from another side"):
        triangulate(keypoints_of(truth[:5], rig), rig, SMPL24)


def test_a_gap_of_a_second_is_bridged(truth):
    keypoints = keypoints_of(truth, noise=1.0)
    confidence = keypoints.confidence.clone()
    confidence[:, 15:45, 7] = 0
    confidence[:, 50:, 10] = 0
    result = triangulate(replace(keypoints, confidence=confidence), RIG, SMPL24)
    assert not result.motion.seen[15:45, 7].any()
    assert result.reprojection_px[15:45, 7].isnan().all()
    assert error(result, truth)[15:45, 7].max() < 0.4
    assert error(result, truth)[50:, 10].max() < 0.4


def test_a_joint_that_is_never_seen_stands_where_the_rest_pose_has_it(truth):
    keypoints = keypoints_of(truth)
    confidence = keypoints.confidence.clone()
    confidence[:, :, [0, 22, 23]] = 0
    result = triangulate(replace(keypoints, confidence=confidence), RIG, SMPL24)
    assert not result.motion.seen[:, [0, 22, 23]].any()
    hand = (result.motion.joints[:, 22] - result.motion.joints[:, 20]).norm(dim=-1)
    assert ((hand - 0.085).abs() < 0.03).all()
    assert "left_hand" in result.text()


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_few_frames(truth, frames):
    result = triangulate(keypoints_of(truth[:frames], noise=0.5), RIG, SMPL24)
    assert error(result, truth[:frames]).mean() < 3e-3


def test_one_joint_and_many_roots(truth):
    lone = Skeleton(names=("ball",), parents=(-1,), mirror=(0,))
    result = triangulate(keypoints_of(truth[:, :1], noise=0.2), RIG, lone)
    assert error(result, truth[:, :1]).max() < 3e-3
    loose = Skeleton(names=("a", "b", "c"), parents=(-1, -1, 0), mirror=(0, 1, 2))
    result = triangulate(keypoints_of(truth[:, [0, 5, 4]], noise=0.2), RIG, loose, bone_lengths="none")
    assert error(result, truth[:, [0, 5, 4]]).max() < 3e-3


def test_joints_that_are_hardly_seen_and_wrongly_read_do_not_stretch_their_bones(truth):
    keypoints = keypoints_of(truth, noise=0.2)
    pixels, confidence = keypoints.pixels.clone(), keypoints.confidence.clone()
    hands, generator = [22, 23], torch.Generator().manual_seed(1)
    pixels[:, 5:, hands] += 60 * torch.randn(4, len(truth) - 5, 2, 2, generator=generator).double()
    confidence[:, 5:, hands] *= torch.rand(4, len(truth) - 5, 2, generator=generator) < 0.6
    keypoints = replace(keypoints, pixels=pixels, confidence=confidence)
    wanted = bone_lengths(truth)
    for skeleton, most in ((SMPL24, 1.05), (replace(SMPL24, rest=None), 2.0)):
        result = triangulate(keypoints, RIG, skeleton)
        assert result.guessed[hands].all() and result.guessed.sum() == 2
        assert "guessed from the rest pose or the other side: left_hand, right_hand" in result.text()
        ratio = result.bone_lengths.double() / wanted
        assert (ratio[hands] < most).all() and (ratio[1:22] - 1).abs().max() < 0.01
        assert error(result, truth)[:, hands].max() < 0.3
        assert error(result, truth)[:, :22].max() < 0.03  # four good views of a wrist outweigh what is wrong about its hand


def test_coincident_joints_and_bones_of_no_length(truth):
    doubled = truth.clone()
    doubled[:, 22] = doubled[:, 20]
    lengths = bone_lengths(doubled)
    assert lengths[22] == 0
    for given in (lengths, "estimate"):
        result = triangulate(keypoints_of(doubled, noise=0.5), RIG, SMPL24, bone_lengths=given)
        assert error(result, doubled).mean() < 3e-3
    exact = triangulate(keypoints_of(doubled, noise=0.5), RIG, SMPL24, bone_lengths=lengths)
    assert (exact.motion.joints[:, 22] - exact.motion.joints[:, 20]).norm(dim=-1).max() < 2e-3


def test_moving_cameras_see_what_still_ones_do(truth):
    still = triangulate(keypoints_of(truth[:10], noise=1.0), RIG, SMPL24)
    moving = CameraRig(
        intrinsics=RIG.intrinsics[:, None].repeat(1, 10, 1, 1),
        world_to_camera=RIG.world_to_camera[:, None].repeat(1, 10, 1, 1),
        image_size=SIZE,
    )
    held = triangulate(keypoints_of(truth[:10], noise=1.0), moving, SMPL24)
    assert torch.allclose(still.motion.joints, held.motion.joints, atol=1e-5)
    rigs = [rig_of(*(a + 3.0 * t for a in (20.0, 110.0, 200.0, 290.0))) for t in range(10)]
    turning = CameraRig(
        intrinsics=moving.intrinsics, world_to_camera=torch.stack([rig.world_to_camera for rig in rigs], 1), image_size=SIZE
    )
    result = triangulate(keypoints_of(truth[:10], turning), turning, SMPL24, smoothness=0.0)
    assert error(result, truth[:10]).max() < 1e-6


def test_a_view_that_is_out_of_step_is_named(truth):
    keypoints = keypoints_of(truth, noise=0.5)
    pixels = keypoints.pixels.clone()
    pixels[2] = pixels[2].roll(12, 0) + 40
    text = triangulate(replace(keypoints, pixels=pixels), RIG, SMPL24).text()
    assert [line.startswith("view 2") for line in text.splitlines() if "check its calibration" in line] == [True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rig": RIG.take_views([0])}, "at least 2"),
        ({"rig": RIG.take_views([0, 1, 2])}, "one camera for each view"),
        ({"skeleton": Skeleton(names=("a",), parents=(-1,), mirror=(0,))}, "choose the skeleton"),
        ({"rig": RIG.resized((512, 512))}, "resize one of them"),
        ({"bone_lengths": "fixed"}, "expected 'estimate'"),
        ({"bone_lengths": torch.ones(3)}, r"expected \(24,\)"),
        ({"bone_lengths": torch.full((24,), torch.nan)}, "NaN"),
        ({"bone_lengths": torch.full((24,), -1.0)}, "negative"),
        ({"smoothness": float("nan")}, "smoothness"),
        ({"fps": 0.0}, "fps"),
    ],
)
def test_what_does_not_go_together_is_refused(truth, change, message):
    given = {"keypoints": keypoints_of(truth[:3]), "rig": RIG, "skeleton": SMPL24, **change}
    with pytest.raises(ValueError, match=message):
        triangulate(given.pop("keypoints"), given.pop("rig"), given.pop("skeleton"), **given)


def test_nothing_seen_is_refused(truth):
    keypoints = keypoints_of(truth[:3])
    with pytest.raises(ValueError, match="no joint"):
        triangulate(replace(keypoints, confidence=torch.zeros_like(keypoints.confidence)), RIG, SMPL24)
