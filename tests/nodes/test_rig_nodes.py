"""Load Rig and Save Animated Rig on real files, in the headless host."""

import shutil

import pytest
import torch
from motion4d.core.formats import list_animations, load_animation, load_motion, load_rig
from motion4d.core.geometry.kinematics import forward
from motion4d.nodes.loaders.rigs import LoadRig
from motion4d.nodes.motion.rigs_out import SaveAnimatedRig

LOAD = {"file": "fox.glb", "skin": -1, "clip": 1, "fps": 0.0}
SAVE = {"filename_prefix": "rigs/fox", "format": "glb", "key_degrees": 0.0, "key_metres": 0.001}


@pytest.fixture
def fox(host, reference):
    shutil.copy(reference("data", "fox.glb"), host.inputs[0] / "fox.glb")
    return LoadRig.execute(**LOAD).result


def test_a_rig_comes_with_its_animation_joints_and_contents(host, fox):
    rig, animation, motion, contents = fox
    assert LoadRig.validate_inputs("fox.glb") is True and LoadRig.fingerprint_inputs("fox.glb", skin=-1)
    assert animation.rig is rig and animation.fps == 24
    assert torch.equal(motion.joints, forward(animation).joints)
    assert "animation 1, Walk" in contents and "helper bones" in contents
    again = LoadRig.execute(**LOAD | {"file": "none", "clip": 0}, default=rig).result
    assert again[0] is rig and again[1].rotations.shape[0] == 83
    with pytest.raises(ValueError, match="no rig is chosen"):
        LoadRig.execute(**LOAD | {"file": "none"})


def test_every_format_is_written_and_read_again(host, fox):
    _, animation, motion, _ = fox
    path, model, report = SaveAnimatedRig.execute(animation, **SAVE).result
    written = load_rig(host.output / path)
    assert [info.name for info in list_animations(written)] == ["Survey", "Walk", "Run", "Motion4D"]
    assert (forward(load_animation(written, 3)).joints - motion.joints).abs().max() < 1e-3
    assert model.get_data().getvalue() == (host.output / path).read_bytes() and "18 frames at 24 fps" in report
    path, model, _ = SaveAnimatedRig.execute(animation, **SAVE | {"format": "npz"}).result
    assert torch.allclose(load_motion(host.output / path).joints, motion.joints, atol=1e-4)
    assert model.get_data().getvalue()[:4] == b"glTF"
    path, _, _ = SaveAnimatedRig.execute(animation, **SAVE | {"format": "bvh"}).result
    bvh = load_motion(host.output / path)
    # The fox is 100 units long: the file is taken for one in millimetres.
    names = [bvh.skeleton.names.index(name) for name in motion.skeleton.names]
    assert torch.allclose(bvh.joints[:, names] * 10, motion.joints, atol=1e-2)


def test_fewer_keys_make_a_smaller_file(host, fox):
    _, animation, _, _ = LoadRig.execute(**LOAD | {"clip": 0}).result
    sizes = []
    for degrees in (0.0, 1.0):
        path, _, report = SaveAnimatedRig.execute(animation, **SAVE | {"key_degrees": degrees, "key_metres": 1.0}).result
        sizes.append((host.output / path).stat().st_size)
        assert path in report
    assert sizes[1] < sizes[0] - 20_000
