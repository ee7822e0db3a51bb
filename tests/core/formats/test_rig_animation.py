"""Animations in and out of rigs: round trips, an independent player (scipy's slerp, node trees walked with numpy), files for other programs."""

import json
import struct
import time

import numpy as np
import pytest
import torch
from motion4d.core.formats import list_animations, load_animation, load_motion, load_rig, save_animation
from motion4d.core.formats.glb_writer import animated_glb, uneven_joints
from motion4d.core.formats.key_reduction import KeyTolerance
from motion4d.core.formats.rig_animation import on_skeleton, rest_animation, rig_animation
from motion4d.core.formats.rig_report import added_report, animation_report, rig_report
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.types import Animation, Skeleton
from scipy.spatial.transform import Rotation, Slerp

TURN = [0.18257418583505536, 0.3651483716701107, 0.5477225575051661, 0.7302967433402214]
NESTED = [
    {"children": [1, 6], "translation": [3, 1, -2], "rotation": TURN, "scale": [-2, 2, 2]},
    {"children": [2], "matrix": [0, 0.5, 0, 0, -0.5, 0, 0, 0, 0, 0, 0.5, 0, 1, 2, 3, 1], "name": "hips"},
    {"children": [3], "rotation": TURN, "translation": [0, 0.5, 0]},
    {"children": [4], "translation": [0, 0, 7]},
    {"children": [5], "translation": [1, 0, 0], "scale": [3, -3, 3], "rotation": TURN},
    {"translation": [0, 1, 0], "scale": [1, 2, 3]},
    {"translation": [4, 4, 4]},
]
JOINTS = [1, 4, 5, 6]


def write(path, nodes, joints, *, clips=(), **more):
    """A GLB of nodes, a skin and animations [(node, path, interpolation, times, values)]; more goes into the document."""
    binary, views, accessors, animations = b"", [], [], []
    for clip in clips:
        samplers, channels = [], []
        for node, target, mode, times, values in clip:
            pair = []
            for array in (np.asarray(times, "<f4"), np.asarray(values, "<f4")):
                kind = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[array.shape[1] if array.ndim == 2 else 1]
                views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": array.nbytes})
                accessors.append({"bufferView": len(views) - 1, "componentType": 5126, "count": len(array), "type": kind})
                pair.append(len(accessors) - 1)
                binary += array.tobytes()
            channels.append({"sampler": len(samplers), "target": {"node": node, "path": target}})
            samplers.append({"input": pair[0], "output": pair[1], "interpolation": mode})
        animations.append({"samplers": samplers, "channels": channels})
    document = {"asset": {"version": "2.0"}, "nodes": nodes, "skins": [{"joints": joints}], **more}
    if binary:
        document |= {"buffers": [{"byteLength": len(binary)}], "bufferViews": views, "accessors": accessors, "animations": animations}
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + (struct.pack("<I4s", len(binary), b"BIN\0") + binary if binary else b"")
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
    return path


def random_animation(rig, generator, *, frames=9, placed=()):
    joints = len(rig.skeleton.names)
    turns = rotvec_to_matrix(
        torch.randn(1, joints, 3, generator=generator) + 0.4 * torch.randn(frames, joints, 3, generator=generator).cumsum(0)
    )
    places = 3 * torch.randn(frames, len(placed), 3, generator=generator) if placed else None
    return Animation(
        rotations=turns, translation=torch.randn(frames, 3, generator=generator), fps=24.0, rig=rig, placed=placed, places=places
    )


@pytest.mark.parametrize("placed", [(), (3,), (1, 3)])
def test_what_is_written_is_read_again(tmp_path, generator, placed):
    """Mirrored and scaled nodes, a matrix, nodes between joints, two roots, joints that leave their parents."""
    animation = random_animation(load_rig(write(tmp_path / "rig.glb", NESTED, JOINTS)), generator, placed=placed)
    save_animation(animation, tmp_path / "out.glb")
    again = load_animation(tmp_path / "out.glb")
    assert again.fps == 24 and again.placed == placed and again.residual.max() < 1e-4
    assert (again.rotations - animation.rotations).abs().max() < 2e-5
    assert (again.translation - animation.translation).abs().max() < 2e-5
    assert (forward(again).joints - forward(animation).joints).abs().max() < 2e-4
    assert list_animations(again.rig)[0].joints == 4


def walked(rig, clip, seconds):
    """(nodes, 3) places of all nodes at a time, by scipy's slerp and a walk down the tree."""
    document, item = rig.document, rig.document["animations"][clip]
    nodes = [dict(node) for node in document["nodes"]]

    def read(index):
        accessor = document["accessors"][index]
        view, width = document["bufferViews"][accessor["bufferView"]], {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        assert "byteStride" not in view or view["byteStride"] == 4 * width
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        return np.frombuffer(rig.binary, "<f4", accessor["count"] * width, start).reshape(-1, width).astype(float)

    for channel in item["channels"]:
        sampler, target = item["samplers"][channel["sampler"]], channel["target"]
        times, values = read(sampler["input"])[:, 0], read(sampler["output"])
        at = np.clip(seconds, times[0], times[-1])
        if target["path"] == "rotation" and len(times) > 1:
            value = Slerp(times, Rotation.from_quat(values))(at).as_quat()
        else:
            value = [np.interp(at, times, column) for column in values.T]
        nodes[target["node"]][target["path"]] = list(value)
    found = {}

    def walk(number, above):
        node, local = nodes[number], np.eye(4)
        local[:3, :3] = Rotation.from_quat(node.get("rotation", [0, 0, 0, 1])).as_matrix() * node.get("scale", [1, 1, 1])
        local[:3, 3] = node.get("translation", [0, 0, 0])
        found[number] = above @ local
        for child in node.get("children", []):
            walk(child, found[number])

    for root in set(range(len(nodes))) - {child for node in nodes for child in node.get("children", [])}:
        walk(root, np.eye(4))
    return np.stack([found[node][:3, 3] for node in rig.joint_nodes])


@pytest.mark.parametrize(("clip", "fps"), [(0, 24.0), (1, 24.0), (2, 120.0), (1, 37.0)])
def test_the_clips_of_the_fox_against_an_independent_player(reference, clip, fps):
    rig = load_rig(reference("data", "fox.glb"))
    animation = load_animation(rig, clip, fps=fps if fps == 37 else None)
    assert animation.fps == fps
    joints = forward(animation).joints.numpy()
    for frame in (0, 1, 7, len(joints) // 2, len(joints) - 1):
        assert np.abs(joints[frame] - walked(rig, clip, frame / fps)).max() < 2e-4  # of a rig 100 units long
    assert animation.residual.max() < 1e-4


def test_the_fox_keeps_its_bytes_and_its_clips(reference, tmp_path, validate):
    rig = load_rig(reference("data", "fox.glb"))
    walk = load_animation(rig, 1)
    save_animation(walk, tmp_path / "fox.glb")
    again = load_rig(tmp_path / "fox.glb")
    assert again.binary[: len(rig.binary)] == rig.binary
    assert {key: again.document[key] for key in ("meshes", "materials", "textures", "images", "nodes", "skins")} == {
        key: rig.document[key] for key in ("meshes", "materials", "textures", "images", "nodes", "skins")
    }
    assert again.document["animations"][:3] == rig.document["animations"]
    assert (forward(load_animation(again, 3)).joints - forward(walk).joints).abs().max() < 1e-3
    result = validate(tmp_path / "fox.glb")
    assert result.returncode == 0, result.stderr


def test_interpolations(tmp_path):
    """Cubic splines reproduce a cubic, steps hold, lines are straight."""
    times = np.array([0.0, 0.5, 2.0])
    cubic = np.stack([3 * times**2, times**3, 3 * times**2], 1)  # into, value, out
    values = np.zeros((9, 3))
    values[:, 0] = cubic.reshape(-1)
    half = [[0, 0, 0, 1], [0, 0, 1, 0]]
    clip = [
        (0, "translation", "CUBICSPLINE", times, values),
        (1, "translation", "LINEAR", [0, 2], [[0, 0, 0], [0, 4, 0]]),
        (1, "rotation", "STEP", [0, 1], half),
    ]
    animation = load_animation(write(tmp_path / "a.glb", [{"children": [1]}, {}], [0, 1], clips=[clip]), fps=10)
    at = torch.arange(21) / 10
    assert torch.allclose(animation.translation[:, 0], at**3, atol=1e-5)
    assert torch.allclose(forward(animation).joints[:, 1, 1], 2 * at, atol=1e-5)
    assert torch.allclose(animation.rotations[:, 1, 0, 0], torch.where(at < 1 - 1e-6, 1.0, -1.0), atol=1e-6)


def test_scales_that_change_are_left_out_and_said(tmp_path):
    clip = [(0, "scale", "LINEAR", [0, 1], [[1, 1, 1], [2, 2, 2]]), (1, "rotation", "LINEAR", [0, 1], [[0, 0, 0, 1], [0, 0, 0.6, 0.8]])]
    nodes = [{"children": [1]}, {"translation": [0, 1, 0]}]
    animation = load_animation(write(tmp_path / "a.glb", nodes, [0, 1], clips=[clip]))
    assert "scales of 1 nodes change" in " ".join(animation.notes)
    assert torch.allclose(forward(animation).joints[:, 1], torch.tensor([0.0, 1, 0]))
    assert animation.placed == ()


def test_nodes_above_and_between_the_joints_move_them(tmp_path):
    clip = [
        (0, "translation", "LINEAR", [0, 1], [[0, 0, 0], [0, 0, 3]]),
        (2, "rotation", "LINEAR", [0, 1], [[0, 0, 0, 1], [0, 0, 0.7071068, 0.7071068]]),
    ]
    nodes = [
        {"children": [1]},
        {"children": [2]},
        {"children": [3]},
        {"translation": [1, 0, 0], "children": [4]},
        {"translation": [1, 0, 0]},
    ]
    animation = load_animation(write(tmp_path / "a.glb", nodes, [1, 3, 4], clips=[clip]))
    joints = forward(animation).joints
    assert torch.allclose(joints[-1], torch.tensor([[0.0, 0, 3], [0, 1, 3], [0, 2, 3]]), atol=1e-5)
    assert animation.placed == (1,) and animation.residual.max() < 1e-5
    save_animation(animation, tmp_path / "b.glb")
    again = load_animation(tmp_path / "b.glb", 1)
    assert (forward(again).joints - joints).abs().max() < 1e-5


@pytest.mark.parametrize(("rate", "keys"), [(24, [0, 1, 2, 5, 9]), (30, [0, 3, 7, 8]), (25, [2, 3, 11]), (60, [0, 1, 7]), (12, [0, 1, 2])])
def test_the_frame_rate_is_the_one_that_all_keys_lie_on(tmp_path, rate, keys):
    values = np.tile([0, 0, 0, 1], (len(keys), 1))
    path = write(tmp_path / "a.glb", [{}], [0], clips=[[(0, "rotation", "LINEAR", np.array(keys) / rate, values)]])
    animation = load_animation(path)
    assert (animation.fps, len(animation.rotations)) == (rate, keys[-1] + 1)


def test_uneven_keys_are_sampled_at_thirty(tmp_path):
    clip = [(0, "rotation", "LINEAR", [0, 0.0317, 0.2011, 1.0], np.tile([0, 0, 0, 1], (4, 1)))]
    animation = load_animation(write(tmp_path / "a.glb", [{}], [0], clips=[clip]))
    assert animation.fps == 30 and len(animation.rotations) == 31 and "no usual rate" in animation.notes[0]


UP = [[0, 0, 0, 1], [0, 0, 0.6, 0.8]]


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ([(1, "rotation", "LINEAR", [0, 1], UP)], "moves no joint"),
        ([(0, "rotation", "LINEAR", [1, 0], UP)], "do not ascend"),
        ([(0, "rotation", "BEZIER", [0, 1], UP)], "BEZIER"),
        ([(0, "rotation", "CUBICSPLINE", [0, 1], UP)], "expected"),
        ([(0, "rotation", "LINEAR", [0, 1e30], UP)], "lower frame rate"),
        ([(0, "rotation", "LINEAR", [0, 1], np.zeros((2, 4)))], "no direction"),
        ([(0, "translation", "LINEAR", [0, 1], np.full((2, 3), np.nan))], "finite"),
        ([(0, "translation", "LINEAR", [0, 1], np.full((2, 3), 3.4e38))], "infinity"),
    ],
)
def test_damaged_animations_are_refused_with_the_name_of_the_file(tmp_path, clip, message):
    path = write(tmp_path / "a.glb", [{"scale": [2, 2, 2], "children": []}, {}], [0], clips=[clip])
    if message == "infinity":
        path = write(tmp_path / "a.glb", [{"scale": [1, 1, 1], "children": [2]}, {}, {"translation": [3e38, 0, 0]}], [0, 2], clips=[clip])
    started = time.process_time()
    with pytest.raises(ValueError, match=message) as caught:
        load_animation(path)
    assert time.process_time() - started < 2
    assert str(caught.value).startswith(str(path))


def test_clips_that_are_not_there_and_rates_that_are_none(tmp_path):
    rig = load_rig(write(tmp_path / "a.glb", [{}], [0], clips=[[(0, "rotation", "LINEAR", [0, 1], UP)]]))
    for clip in (-1, 1):
        with pytest.raises(ValueError, match=f"no animation {clip}"):
            load_animation(rig, clip)
    for fps in (0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(ValueError, match=r"fps|frame rate"):
            load_animation(rig, fps=fps)
    with pytest.raises(FileNotFoundError):
        load_animation(tmp_path / "nowhere.glb")


def test_a_rig_without_animations_rests(tmp_path):
    rig = load_rig(write(tmp_path / "rig.glb", NESTED, JOINTS))
    rest = rig_animation(rig)
    assert rest.notes == ("the rest pose",) and torch.allclose(forward(rest).joints[0], rig.skeleton.rest, atol=1e-5)
    assert "no animations" in rig_report(rig) and "1 frame at" in animation_report(rest)


# --- other formats


def test_an_animation_of_the_plain_skeleton_reaches_the_same_joints(tmp_path, generator):
    rig = load_rig(write(tmp_path / "rig.glb", NESTED, JOINTS))
    animation = random_animation(rig, generator, placed=(2, 3))
    plain = on_skeleton(animation)
    assert plain.rig is rig.skeleton and on_skeleton(plain) is plain
    assert (forward(plain).joints - forward(animation).joints).abs().max() < 2e-5
    assert torch.allclose(on_skeleton(rest_animation(rig)).rotations, torch.eye(3).expand(1, 4, 3, 3), atol=1e-6)


@pytest.mark.parametrize("placed", [(), (1, 3)])
@pytest.mark.parametrize("suffix", [".bvh", ".npz"])
def test_joints_survive_in_bvh_and_npz(tmp_path, generator, suffix, placed):
    nodes = [
        {"children": [1], "rotation": TURN, "scale": [0.1, 0.1, -0.1]},
        {"children": [2]},
        {"children": [3], "translation": [5, 0, 0]},
        {"translation": [5, 0, 0]},
        {},
    ]
    rig = load_rig(write(tmp_path / "rig.glb", nodes, [1, 2, 3, 4]))
    animation = random_animation(rig, generator, placed=placed)
    save_animation(animation, tmp_path / f"out{suffix}")
    motion = load_motion(tmp_path / f"out{suffix}")
    names = [motion.skeleton.names.index(name) for name in rig.skeleton.names]
    assert motion.fps == pytest.approx(24)
    assert (motion.joints[:, names] - forward(animation).joints).abs().max() < 1e-4


def test_other_suffixes_are_refused(tmp_path):
    rig = load_rig(write(tmp_path / "rig.glb", NESTED, JOINTS))
    with pytest.raises(ValueError, match=r"'\.fbx'"):
        save_animation(rest_animation(rig), tmp_path / "a.fbx")


def test_rigs_of_one_and_five_hundred_joints(tmp_path, generator):
    for count in (1, 500):
        nodes = [{"children": [number + 1], "translation": [0, 0.1, 0]} for number in range(count - 1)] + [{"translation": [0, 0.1, 0]}]
        rig = load_rig(write(tmp_path / "rig.glb", nodes, list(range(count))))
        animation = random_animation(rig, generator, frames=20)
        started = time.process_time()
        save_animation(animation, tmp_path / "out.glb", tolerance=KeyTolerance(degrees=5, metres=1) if count == 1 else None)
        again = load_animation(tmp_path / "out.glb")
        assert time.process_time() - started < 4
        if count > 1:
            assert (again.rotations - animation.rotations).abs().max() < 1e-4


def test_uneven_spaces_are_warned_about(tmp_path):
    nodes = [{"children": [1], "scale": [1, 2, 1]}, {"name": "hips", "children": [2]}, {"name": "tip"}]
    rig = load_rig(write(tmp_path / "rig.glb", nodes, [1, 2]))
    assert tuple(uneven_joints(rig)) == (0, 1) and "warning: hips lie below unevenly scaled nodes, which" in rig_report(rig)
    with pytest.raises(ValueError, match="'hips' lies below a node with uneven scale"):
        animated_glb(rest_animation(rig))
    nodes = [{"children": [1], "name": "hips"}, {"children": [2], "scale": [1, 2, 1]}, {"name": "tip", "translation": [1, 1, 0]}]
    rig = load_rig(write(tmp_path / "leaf.glb", nodes, [0, 2]))
    assert tuple(uneven_joints(rig)) == (1,) and "warning: tip lie below unevenly scaled nodes: their skin is sheared" in rig_report(rig)
    assert animated_glb(rest_animation(rig))


# --- VRM


@pytest.mark.parametrize(
    "extension",
    [
        {
            "VRM": {
                "humanoid": {
                    "humanBones": [{"bone": "leftUpperArm", "node": 1}, {"bone": "rightUpperArm", "node": 2}, {"bone": 7, "node": 0}, 3]
                }
            }
        },
        {
            "VRMC_vrm": {
                "humanoid": {"humanBones": {"leftUpperArm": {"node": 1}, "rightUpperArm": {"node": 2}, "hips": {"node": 99}, "x": 1}}
            }
        },
    ],
)
def test_the_bones_of_a_vrm_have_human_names(tmp_path, extension):
    nodes = [{"name": "J_Bip_C_Hips", "children": [1, 2]}, {"name": "J_Bip_L_UpperArm"}, {"name": "J_Bip_R_UpperArm"}]
    rig = load_rig(write(tmp_path / "person.vrm", nodes, [0, 1, 2], extensions=extension))
    assert rig.skeleton.names == ("J_Bip_C_Hips", "leftUpperArm", "rightUpperArm")
    assert rig.skeleton.mirror == (0, 2, 1)
    assert "2 joints have the names of human bones" in rig.notes[0]
    assert ("faces -Z" in " ".join(rig.notes)) == ("VRM" in extension)
    assert rig.document["nodes"][1]["name"] == "J_Bip_L_UpperArm"


def test_the_report_names_the_animation_that_the_file_gets(tmp_path, generator):
    rest = torch.tensor([[0.0, 1.0, 0.0], [0.0, 2.0, 0.0]])
    figure = Skeleton(names=("root", "tip"), parents=(-1, 0), mirror=(0, 1), rest=rest)
    still = Animation(rotations=torch.eye(3).repeat(2, 2, 1, 1), translation=rest[:1].repeat(2, 1), fps=10.0, rig=figure)
    assert added_report(still) == ()
    path = tmp_path / "figure.glb"
    save_animation(still, path)
    for count in (2, 3):
        rig = load_rig(path)
        animation = Animation(rotations=still.rotations, translation=still.translation, fps=10.0, rig=rig)
        (line,) = added_report(animation)
        save_animation(animation, path)
        names = [clip["name"] for clip in load_rig(path).document["animations"]]
        assert len(names) == count and f"'{names[-1]}' is the last of {count}" in line
