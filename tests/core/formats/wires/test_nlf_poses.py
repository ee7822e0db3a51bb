"""NLFPRED in and out: millimetres of a camera, people that come and go, zeros that mean nobody."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats.wires import from_nlfpred, nlf_frames, to_nlfpred
from motion4d.core.geometry.cameras import motion_capture_intrinsics, orbit_rig
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import CameraRig, Frame

SIZE = (480, 640)
WALK = demo_motion("walk", seconds=0.5, fps=20.0)
CAMERA = CameraRig(
    intrinsics=motion_capture_intrinsics(SIZE)[None], world_to_camera=torch.tensor([[[1.0, 0, 0, 0], [0, -1, 0, 0.9], [0, 0, -1, 3]]]), image_size=SIZE
)  # fmt: skip


def payload() -> dict:
    return to_nlfpred([WALK], rig=CAMERA)[0]


def test_what_goes_out_comes_back():
    found = from_nlfpred(payload(), fps=20.0, image_size=SIZE)
    assert found.frame is Frame.CAMERA and found.image_size == SIZE and torch.equal(found.intrinsics, CAMERA.intrinsics[0])
    assert torch.allclose(found.joints, CAMERA.to_camera(WALK.joints)[0], atol=1e-6)
    again = to_nlfpred([found])[0]["joints3d_nonparam"]
    assert all(torch.allclose(one, other, atol=1e-3) for one, other in zip(again, payload()["joints3d_nonparam"], strict=True))


def test_it_is_in_millimetres_with_y_down_and_z_away_from_the_camera():
    person = payload()["joints3d_nonparam"][0]
    assert person.shape == (1, 24, 3)
    head, foot = person[0, 15], person[0, 10]
    assert 1200 < float(foot[1] - head[1]) < 1900 and 2000 < float(person[..., 2].mean()) < 4000


@pytest.mark.parametrize(
    "form",
    [
        lambda frames: {"joints3d_nonparam": [[frame] for frame in frames]},
        lambda frames: {"joints3d_nonparam": torch.cat(frames)},
        lambda frames: torch.cat(frames),
        lambda frames: torch.cat(frames).numpy(),
        lambda frames: {"joints3d_nonparam": [frame[0] for frame in frames]},
    ],
    ids=["lists of one", "tensor under the key", "bare tensor", "bare array", "without people"],
)
def test_all_its_forms_are_the_same_motion(form):
    frames = payload()["joints3d_nonparam"]
    found = from_nlfpred(form(frames), fps=20.0, image_size=SIZE)
    assert torch.equal(found.joints, from_nlfpred(payload(), fps=20.0, image_size=SIZE).joints)


def test_empty_frames_and_zeros_are_nobody_and_stay_so():
    frames = payload()["joints3d_nonparam"]
    frames[2], frames[5] = torch.zeros(0, 24, 3), torch.zeros(1, 24, 3)
    frames[7] = []
    found = from_nlfpred({"joints3d_nonparam": frames}, fps=20.0, image_size=SIZE)
    assert (~found.seen.any(-1)).nonzero().flatten().tolist() == [2, 5, 7]
    assert "3 of 10 frames are without the person: their joints have confidence 0" in found.notes
    assert [len(frame) for frame in to_nlfpred([found])[0]["joints3d_nonparam"]] == [1, 1, 0, 1, 1, 0, 1, 0, 1, 1]


def test_a_joint_that_is_never_there_leaves_the_others():
    frames = 1000 * SMPL24.rest.repeat(4, 1, 1)
    frames[:, 3] = torch.nan
    found = from_nlfpred(frames, fps=20.0)
    assert found.seen.sum(1).tolist() == [23] * 4 and not found.seen[:, 3].any()
    with pytest.raises(ValueError, match="no millimetres"):
        from_nlfpred(frames / 1000, fps=20.0)


def test_two_people_share_the_frames():
    beside = replace(WALK, joints=WALK.joints + torch.tensor([0.8, 0.0, 0.0]))
    both = to_nlfpred([WALK, beside], rig=CAMERA)[0]
    assert nlf_frames(both).people == 2
    for person, motion in enumerate((WALK, beside)):
        found = from_nlfpred(both, fps=20.0, image_size=SIZE, person=person)
        assert torch.allclose(found.joints, CAMERA.to_camera(motion.joints)[0], atol=1e-6)
        assert any("not tracked" in note for note in found.notes)
    with pytest.raises(ValueError, match="at most 2 people"):
        from_nlfpred(both, fps=20.0, person=2)


def test_single_missing_joints_are_bridged_and_told():
    holes = from_nlfpred(payload(), fps=20.0, image_size=SIZE)
    joints, confidence = holes.joints.clone(), holes.confidence.clone()
    joints[4, 20], confidence[4, 20] = torch.nan, 0
    out, notes = to_nlfpred([replace(holes, joints=joints, confidence=confidence)])
    assert torch.isfinite(out["joints3d_nonparam"][4]).all()
    assert (out["joints3d_nonparam"][4][0, 20] / 1000 - holes.joints[4, 20]).norm() < 0.03
    assert "motion 0: 1 missing joints bridged in 1 frames" in notes
    confidence[:, 20] = 0
    with pytest.raises(ValueError, match="missing in every frame"):
        to_nlfpred([replace(holes, confidence=confidence)])


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"poses": []}, "'joints3d_nonparam' is missing; it has poses"),
        ([1, 2], "got list, expected a dictionary"),
        ({"joints3d_nonparam": []}, "without frames"),
        ({"joints3d_nonparam": [torch.zeros(1, 17, 3)]}, r"frame 0 has shape \(1, 17, 3\)"),
        ({"joints3d_nonparam": [torch.zeros(0, 24, 3)]}, "nobody is in any"),
        ({"joints3d_nonparam": [torch.zeros(1, 24, 3)]}, "nobody is in any"),
        ({"joints3d_nonparam": ["person"]}, "expected numbers"),
        ({"joints3d_nonparam": [torch.rand(1, 24, 3)]}, "no millimetres, multiply them by 1000"),
        (np.zeros((4, 24)), "shape"),
    ],
)
def test_other_contents_are_refused_by_name(wrong, match):
    with pytest.raises(ValueError, match=match):
        from_nlfpred(wrong, fps=20.0)


def test_a_world_motion_needs_a_camera_and_a_foreign_camera_is_told():
    with pytest.raises(ValueError, match="connect cameras"):
        to_nlfpred([WALK])
    with pytest.raises(ValueError, match="no view 1"):
        to_nlfpred([WALK], rig=CAMERA, view=1)
    with pytest.raises(ValueError, match="4 and 10 frames"):
        to_nlfpred([WALK, WALK.cut(0, 4)], rig=CAMERA)
    assert len(to_nlfpred([WALK], rig=CAMERA)[1]) == 1
    orbit = orbit_rig([0.0], radius=3.0, image_size=SIZE, vertical_fov_deg=40.0)
    assert any("51.8 degrees" in note for note in to_nlfpred([WALK], rig=orbit)[1])


def test_nlf_of_a_real_video_survives_the_round_trip(reference):
    from motion4d.core.formats import describe_motions, load_motion

    path = reference("data", "nlf_dance_motions.npz")
    motion = load_motion(path, clip=0)
    assert describe_motions(path)[0].kind == "nlf" and motion.frame is Frame.CAMERA
    out = to_nlfpred([motion])[0]
    found = from_nlfpred(out, fps=motion.fps)
    assert torch.equal(found.seen, motion.seen)
    assert (found.joints - motion.joints)[motion.seen].abs().max() < 1e-6
