"""Pose data of any kind is known by its keys."""

import numpy as np
import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats.wires import from_nlfpred, from_smpl_params, pose_data_frames, pose_data_motion, to_nlfpred, to_smpl_params
from motion4d.core.geometry.cameras import orbit_rig

WALK = demo_motion("walk", seconds=0.4, fps=20.0)
NLF = to_nlfpred([WALK], rig=orbit_rig([0.0], radius=3.0, image_size=(480, 640)))[0]
PARAMS = to_smpl_params(WALK)[0]


def test_each_kind_goes_to_its_reader():
    assert torch.equal(pose_data_motion(NLF, fps=20.0).joints, from_nlfpred(NLF, fps=20.0).joints)
    assert torch.equal(pose_data_motion(PARAMS, fps=20.0).joints, from_smpl_params(PARAMS, fps=20.0).joints)
    assert pose_data_frames(PARAMS) is None and pose_data_frames(NLF).people == 1


def test_a_frame_rate_that_is_not_given_is_assumed_and_noted():
    found = pose_data_motion(NLF)
    assert found.fps == 30.0 and "30 fps assumed" in found.notes[0]
    assert not any("fps" in note for note in pose_data_motion(NLF, fps=20.0).notes)


@pytest.mark.parametrize("wrong", [{}, {"poses": 1}, "text", None, np.zeros((3, 5))])
def test_other_contents_are_refused_with_what_was_expected(wrong):
    with pytest.raises(ValueError, match=r"expected|shape"):
        pose_data_motion(wrong)


def test_smpl_parameters_are_of_one_person():
    with pytest.raises(ValueError, match="person 1"):
        pose_data_motion(PARAMS, person=1)
