"""Written files against an independent reader: node trees walked with numpy, quaternions turned by their own formula."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from motion4d.core.formats.glb_writer import animated_glb, save_animated_glb
from motion4d.core.formats.gltf import load_rig
from motion4d.core.geometry.kinematics import forward, rest_pose
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.skeletons import COCO17, SMPL24, SMPLX55
from motion4d.core.types import Animation, Skeleton

NUMBERS = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTH = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """A GLB as a viewer sees it."""

    def __init__(self, data):
        magic, version, size = struct.unpack_from("<4sII", data)
        length, kind = struct.unpack_from("<I4s", data, 12)
        assert (magic, version, size, kind) == (b"glTF", 2, len(data), b"JSON")
        self.document = json.loads(data[20 : 20 + length])
        binary, kind = struct.unpack_from("<I4s", data, 20 + length)
        assert kind == b"BIN\0"
        self.binary = data[28 + length :]
        assert len(self.binary) == binary == self.document["buffers"][0]["byteLength"]

    def read(self, index):
        accessor = self.document["accessors"][index]
        view = self.document["bufferViews"][accessor["bufferView"]]
        width = WIDTH[accessor["type"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        values = np.frombuffer(self.binary, NUMBERS[accessor["componentType"]], accessor["count"] * width, start)
        return values.reshape(-1, width)

    def worlds(self, frame=None, animation=-1):
        """(nodes, 4, 4) at a key of an animation, or at rest."""
        nodes = [dict(node) for node in self.document["nodes"]]
        if frame is not None:
            clip = self.document["animations"][animation]
            for channel in clip["channels"]:
                track = self.read(clip["samplers"][channel["sampler"]]["output"])
                assert "matrix" not in nodes[channel["target"]["node"]]
                nodes[channel["target"]["node"]][channel["target"]["path"]] = track[frame].astype(float)
        found = np.full((len(nodes), 4, 4), np.nan)

        def walk(number, above):
            found[number] = above @ local(nodes[number])
            for child in nodes[number].get("children", []):
                walk(child, found[number])

        children = {child for node in nodes for child in node.get("children", [])}
        for number in set(range(len(nodes))) - children:
            walk(number, np.eye(4))
        return found


def local(node):
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    turn = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) + 2 * w * turn + 2 * turn @ turn) @ np.diag(node.get("scale", (1, 1, 1)))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def random_animation(rig, generator, frames=7, spread=0.6):
    joints = len(rig.names if isinstance(rig, Skeleton) else rig.skeleton.names)
    start = torch.randn(1, joints, 3, generator=generator)
    turns = rotvec_to_matrix(start + spread * torch.randn(frames, joints, 3, generator=generator).cumsum(0))
    return Animation(rotations=turns, translation=torch.randn(frames, 3, generator=generator), fps=30.0, rig=rig)


TWO_ROOTS = Skeleton(
    names=("a", "b", "c"), parents=(-1, 0, -1), mirror=(0, 1, 2), rest=torch.tensor([[0.1, 0.2, 0.3], [0.1, 1, 0.3], [2, 0, 0]])
)
ONE_JOINT = Skeleton(names=("only",), parents=(-1,), mirror=(0,), rest=torch.tensor([[0.0, 1, 0]]))
COINCIDENT = Skeleton(names=("a", "b"), parents=(-1, 0), mirror=(0, 1), rest=torch.zeros(2, 3))
FIGURES = {"smpl24": SMPL24, "smplx55": SMPLX55, "two_roots": TWO_ROOTS, "one_joint": ONE_JOINT, "coincident": COINCIDENT}


@pytest.fixture(params=FIGURES)
def animation(request, generator):
    return random_animation(FIGURES[request.param], generator)


# --- the stick figure


def test_nodes_reach_the_joints_of_forward_kinematics(animation):
    glb = Glb(animated_glb(animation))
    expected = forward(animation).joints.numpy()
    nodes = glb.document["skins"][0]["joints"]
    assert [glb.document["nodes"][node]["name"] for node in nodes] == list(animation.skeleton.names)
    for frame in range(len(expected)):
        assert np.abs(glb.worlds(frame)[nodes, :3, 3] - expected[frame]).max() < 1e-5
    assert np.abs(glb.worlds()[nodes, :3, 3] - animation.skeleton.rest.numpy()).max() < 1e-6


def skinned(glb, frame):
    """(N, 3) vertices moved by the skin."""
    attributes = glb.document["meshes"][0]["primitives"][0]["attributes"]
    skin = glb.document["skins"][0]
    bind = glb.read(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    matrices = glb.worlds(frame)[skin["joints"]] @ bind
    points, weights, joints = (glb.read(attributes[key]) for key in ("POSITION", "WEIGHTS_0", "JOINTS_0"))
    assert np.allclose(weights.sum(1), 1)
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1)
    return np.einsum("ns,nsij,nj->ni", weights, matrices[joints], homogeneous)[:, :3]


def test_the_skin_leaves_the_mesh_alone_at_rest(animation):
    glb = Glb(animated_glb(animation))
    assert np.abs(skinned(glb, None) - glb.read(glb.document["meshes"][0]["primitives"][0]["attributes"]["POSITION"])).max() < 1e-6


def test_the_figure_follows_its_joints(generator):
    """Every ball stays centred on its joint, and every spindle keeps its tips on the two joints of its bone."""
    animation = random_animation(SMPL24, generator)
    glb = Glb(animated_glb(animation))
    rest = skinned(glb, None)
    for frame in (0, 6):
        joints, moved = forward(animation).joints[frame].numpy(), skinned(glb, frame)
        for child, parent in SMPL24.bones:
            tip = np.abs(rest - SMPL24.rest[child].numpy()).max(1) < 1e-6
            assert tip.any()
            assert np.abs(moved[tip] - joints[child]).max() < 1e-5
            near = np.linalg.norm(rest - SMPL24.rest[parent].numpy(), axis=1).min()
            assert np.linalg.norm(moved - joints[parent], axis=1).min() == pytest.approx(near, abs=1e-5)


def test_the_mesh_is_closed_smooth_and_faces_outwards(animation):
    glb = Glb(animated_glb(animation))
    primitive = glb.document["meshes"][0]["primitives"][0]
    points, normals = (glb.read(primitive["attributes"][key]).astype(float) for key in ("POSITION", "NORMAL"))
    faces = glb.read(primitive["indices"]).reshape(-1, 3)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    corners = points[faces]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.linalg.norm(outward, axis=1) > 0).all()
    assert (np.einsum("fi,fci->fc", outward, normals[faces]) > 0).all()
    edges = [tuple(edge) for face in faces.tolist() for edge in zip(face, np.roll(face, -1).tolist(), strict=True)]
    assert len(set(edges)) == len(edges)
    assert {edge[::-1] for edge in edges} == set(edges)


def test_keys_are_linear_unit_and_never_flip(animation):
    glb = Glb(animated_glb(animation))
    (clip,) = glb.document["animations"]
    for channel in clip["channels"]:
        sampler = clip["samplers"][channel["sampler"]]
        assert sampler["interpolation"] == "LINEAR"
        times = glb.document["accessors"][sampler["input"]]
        assert (times["min"], times["max"]) == ([0.0], [float(np.float32(6 / 30))])
        assert np.allclose(glb.read(sampler["input"])[:, 0], np.arange(7) / 30)
        keys = glb.read(sampler["output"])
        assert len(keys) == 7
        if channel["target"]["path"] == "rotation":
            assert np.allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-6)
            assert ((keys[1:] * keys[:-1]).sum(1) >= 0).all()
    paths = [channel["target"]["path"] for channel in clip["channels"]]
    assert paths.count("rotation") == len(animation.skeleton.names)
    assert paths.count("translation") == animation.skeleton.parents.count(-1)


def test_the_same_animation_gives_the_same_bytes_in_either_precision(generator):
    animation = random_animation(SMPL24, generator)
    assert animated_glb(animation) == animated_glb(animation)
    doubled = Animation(rotations=animation.rotations.double(), translation=animation.translation.double(), fps=30.0, rig=SMPL24)
    assert animated_glb(doubled) == animated_glb(animation)


def test_one_frame_is_a_pose(generator, tmp_path, validate):
    save_animated_glb(random_animation(SMPL24, generator, frames=1), tmp_path / "pose.glb")
    result = validate(tmp_path / "pose.glb")
    assert result.returncode == 0, result.stderr


def test_the_khronos_validator_finds_nothing(animation, tmp_path, validate):
    save_animated_glb(animation, tmp_path / "figure.glb")
    result = validate(tmp_path / "figure.glb")
    assert result.returncode == 0, result.stderr


def test_the_validator_does_find_faults(tmp_path, validate, generator):
    data = animated_glb(random_animation(SMPL24, generator))
    (tmp_path / "broken.glb").write_bytes(data.replace(b'"POSITION":0', b'"POSITION":1'))
    result = validate(tmp_path / "broken.glb")
    assert result.returncode == 1
    assert "ACCESSOR" in result.stderr


def test_a_figure_can_be_loaded_as_a_rig_and_animated_again(generator, tmp_path):
    save_animated_glb(random_animation(SMPL24, generator), tmp_path / "figure.glb")
    rig = load_rig(tmp_path / "figure.glb")
    assert rig.skeleton.names == SMPL24.names
    assert rig.skeleton.parents == SMPL24.parents
    assert rig.skeleton.mirror == SMPL24.mirror
    assert torch.allclose(rig.skeleton.rest, SMPL24.rest, atol=1e-6)
    check_rig(rig, random_animation(rig, generator))


def test_a_skeleton_without_rest_positions_is_refused(generator):
    with pytest.raises(ValueError, match="rest positions"):
        random_animation(COCO17, generator)


def test_a_failed_write_leaves_the_old_file(tmp_path, generator, monkeypatch):
    path = tmp_path / "figure.glb"
    path.write_bytes(b"old")

    def full(self, data):
        with open(self, "wb") as file:
            file.write(data[:10])
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space"):
        save_animated_glb(random_animation(SMPL24, generator), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# --- the user's character


def check_rig(rig, animation, *, scale=1.0):
    """The written file is the old one and an animation whose nodes stand where forward kinematics puts the joints."""
    glb = Glb(animated_glb(animation))
    nodes = list(rig.joint_nodes)
    before = len(rig.document.get("animations", []))
    assert glb.binary[: len(rig.binary)] == rig.binary
    assert len(glb.document["animations"]) == before + 1
    for key, value in rig.document.items():
        if key == "nodes":
            assert [node for number, node in enumerate(glb.document[key]) if number not in nodes] == [
                node for number, node in enumerate(value) if number not in nodes
            ]
        elif key in ("animations", "accessors", "bufferViews"):
            assert glb.document[key][: len(value)] == value
        elif key != "buffers":
            assert glb.document[key] == value
    expected = forward(animation).joints.numpy()
    rotations = animation.rotations.double().numpy()
    for frame in range(len(expected)):
        worlds = glb.worlds(frame)[nodes]
        assert np.abs(worlds[:, :3, 3] - expected[frame]).max() < 1e-5 * scale
        turned = {}
        for joint, parent in enumerate(rig.skeleton.parents):
            turned[joint] = rotations[frame, joint] if parent < 0 else turned[parent] @ rotations[frame, joint]
            axes = worlds[joint, :3, :3]
            if np.linalg.det(rig.rest[joint, :3, :3].numpy()) < 0:
                axes = axes * [-1, 1, 1]
            u, _, v = np.linalg.svd(axes)
            assert np.abs(u @ v - turned[joint]).max() < 1e-5
    # Without the animation the nodes stand where they stood.
    assert np.abs(glb.worlds()[nodes] - rig.rest.numpy()).max() < 1e-5 * scale
    return glb


def test_the_fox_gets_a_fourth_animation(reference, generator, tmp_path, validate):
    rig = load_rig(reference("data", "fox.glb"))
    animation = random_animation(rig, generator)
    document = json.dumps(rig.document)
    check_rig(rig, animation, scale=100)  # its units are centimetres
    assert json.dumps(rig.document) == document
    save_animated_glb(animation, tmp_path / "fox.glb")
    again = load_rig(tmp_path / "fox.glb")
    assert len(again.document["animations"]) == 4
    assert torch.equal(again.rest, rig.rest)
    result = validate(tmp_path / "fox.glb")
    assert result.returncode == 0, result.stderr
    second = Animation(rotations=animation.rotations, translation=animation.translation, fps=25.0, rig=again)
    names = [clip["name"] for clip in Glb(animated_glb(second)).document["animations"]]
    assert len(set(names)) == 5


def rig_file(tmp_path, nodes, joints, **more):
    text = json.dumps({"asset": {"version": "2.0"}, "nodes": nodes, "skins": [{"joints": joints}], "extras": {"kept": 1}, **more}).encode()
    text += b" " * (-len(text) % 4)
    (tmp_path / "rig.glb").write_bytes(struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON") + text)
    return load_rig(tmp_path / "rig.glb")


TURN = [0.18257418583505536, 0.3651483716701107, 0.5477225575051661, 0.7302967433402214]
MATRIX = [0, 0.5, 0, 0, -0.5, 0, 0, 0, 0, 0, 0.5, 0, 1, 2, 3, 1]


@pytest.mark.parametrize("scale", [[0.01, 0.01, 0.01], [-2, -2, 2], [1, 1, 1], [-1, 1, 1], [-0.5, -0.5, -0.5]])
def test_nodes_between_the_joints_matrices_and_scales(tmp_path, generator, scale):
    """Armature -> joint with a matrix -> two static nodes -> joint with a scale -> joint; and a second root below the armature."""
    nodes = [
        {"children": [1, 6], "translation": [3, 1, -2], "rotation": TURN, "scale": scale},
        {"children": [2], "matrix": MATRIX, "name": "hips", "extras": {"note": "stays"}},
        {"children": [3], "rotation": TURN, "translation": [0, 0.5, 0]},
        {"children": [4], "matrix": [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 7, 1]},
        {"children": [5], "translation": [1, 0, 0], "scale": [-3, -3, 3], "rotation": TURN},
        {"translation": [0, 1, 0], "scale": [1, 2, 3]},
        {"translation": [4, 4, 4]},
    ]
    rig = rig_file(tmp_path, nodes, [5, 4, 1, 6])
    assert rig.joint_nodes == (1, 4, 5, 6)
    glb = check_rig(rig, random_animation(rig, generator), scale=10 * max(map(abs, scale)) + 1)
    assert glb.document["nodes"][1]["extras"] == {"note": "stays"}


def test_mirrored_limbs_and_matrices_that_mirror(tmp_path, generator, validate):
    """A right arm made of the left one by a negative scale, inside a mirrored armature, with a matrix that mirrors once more."""
    flipped = [-0.5, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 0.5, 0, 1, 2, 3, 1]
    nodes = [
        {"children": [1], "scale": [1, 1, -1], "rotation": TURN},
        {"children": [2, 4], "name": "hips"},
        {"children": [3], "translation": [1, 0, 0], "rotation": TURN},
        {"translation": [1, 0, 0]},
        {"children": [5], "translation": [-1, 0, 0], "scale": [-1, 1, 1]},
        {"children": [6], "translation": [1, 0, 0], "rotation": TURN},
        {"matrix": flipped},
    ]
    rig = rig_file(tmp_path, nodes, [1, 2, 3, 4, 5, 6], scenes=[{"nodes": [0]}])
    assert [bool(d < 0) for d in torch.linalg.det(rig.rest[:, :3, :3])] == [True, True, True, False, False, True]
    assert "4 joints are mirrored" in rig.notes[0]
    animation = random_animation(rig, generator)
    glb = check_rig(rig, animation, scale=5)
    assert "matrix" not in glb.document["nodes"][6] and min(glb.document["nodes"][6]["scale"]) < 0
    save_animated_glb(animation, tmp_path / "mirrored.glb")
    result = validate(tmp_path / "mirrored.glb")
    assert result.returncode == 0, result.stderr


def test_the_rest_pose_as_an_animation_is_the_rest_pose(tmp_path):
    nodes = [
        {"children": [1], "rotation": TURN, "scale": [3, 3, 3]},
        {"children": [2], "matrix": MATRIX},
        {"translation": [1, 2, 3], "rotation": TURN},
    ]
    rig = rig_file(tmp_path, nodes, [1, 2])
    position, world = (part.double() for part in rest_pose(rig))
    local_turns = torch.stack([world[0], world[0].mT @ world[1]])
    glb = Glb(animated_glb(Animation(rotations=local_turns[None], translation=position[:1], fps=24.0, rig=rig)))
    assert np.abs(glb.worlds(0)[1:] - glb.worlds()[1:]).max() < 1e-5
    assert np.abs(glb.worlds()[1:] - rig.rest.numpy()).max() < 1e-5


@pytest.mark.parametrize(
    ("nodes", "joints", "message"),
    [
        (
            [{"children": [1], "scale": [1, 2, 1]}, {"name": "hips", "children": [2]}, {}],
            [1, 2],
            "'hips' lies below a node with uneven scale",
        ),
    ],
)
def test_spaces_in_which_turns_would_shear_are_refused(tmp_path, generator, nodes, joints, message):
    rig = rig_file(tmp_path, nodes, joints)
    with pytest.raises(ValueError, match=message):
        animated_glb(random_animation(rig, generator))


def test_a_document_that_cannot_be_written_is_refused(tmp_path, generator):
    rig = rig_file(tmp_path, [{}], [0], asset={"version": "2.0", "extras": 5})
    rig.document["asset"]["extras"] = float("inf")
    with pytest.raises(ValueError, match="cannot be written"):
        animated_glb(random_animation(rig, generator))
