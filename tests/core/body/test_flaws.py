import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.flaws import with_flaws
from motion4d.core.skeletons import SMPL24

WALK = demo_motion("walk", seconds=2.0)


def test_noise_has_the_size_asked_for_and_comes_again_with_its_seed():
    flawed = with_flaws(WALK, tremble_m=0.01, seed=3)
    off = flawed.joints - WALK.joints
    assert float(off.std()) == pytest.approx(0.01, rel=0.05) and abs(float(off.mean())) < 1e-3
    assert torch.equal(flawed.joints, with_flaws(WALK, tremble_m=0.01, seed=3).joints)
    assert not torch.equal(flawed.joints, with_flaws(WALK, tremble_m=0.01, seed=4).joints)
    assert flawed.rotations is None and flawed.translation is None


def test_a_gap_takes_a_limb_and_what_hangs_on_it():
    flawed = with_flaws(WALK, gap_seconds=0.5, limb="right_elbow")
    gone = [SMPL24.index(name) for name in ("right_elbow", "right_wrist", "right_hand")]
    kept = [joint for joint in range(24) if joint not in gone]
    assert (~flawed.seen[:, gone]).sum(0).tolist() == [15] * 3 and flawed.seen[:, kept].all()
    assert flawed.seen[:22].all() and not flawed.seen[22:37, gone].any() and flawed.seen[37:].all()
    assert torch.equal(flawed.joints[:, kept], WALK.joints[:, kept])


def test_a_gap_longer_than_the_clip_takes_all_of_it():
    assert not with_flaws(WALK, gap_seconds=9.0).seen[:, SMPL24.index("right_hand")].any()


@pytest.mark.parametrize(("given", "match"), [({"tremble_m": -1}, "tremble is -1"), ({"limb": "tail"}, "limb is 'tail'")])
def test_what_makes_no_sense_is_refused(given, match):
    with pytest.raises(ValueError, match=match):
        with_flaws(WALK, **given)
