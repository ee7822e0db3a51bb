"""Random characters against an independent player of their files: node trees walked with numpy, scipy's slerp, skins blended vertex by vertex.

Forests of joints and of nodes between them, several roots, matrices, translations with rotations and scales, any of them scaled and mirrored.
"""

import json
import struct

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from motion4d.core.formats import load_animation, load_rig
from motion4d.core.formats.glb_builder import GlbBuilder
from motion4d.core.formats.glb_writer import animated_glb
from motion4d.core.formats.gltf_meshes import load_meshes
from motion4d.core.formats.key_reduction import KeyTolerance
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.skinning import pose_meshes
from motion4d.core.types import Animation
from scipy.spatial.transform import Rotation, Slerp

VERTICES, FPS = 21, 24.0
RANDOM = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
seeds = st.integers(0, 2**31)


def random_node(rng):
    turn, place = Rotation.random(random_state=rng), rng.normal(size=3)
    scale = rng.choice([1, 1, 1, 0.01, 0.5, 2]) * rng.choice([1, 1, 1, -1], 3)
    if rng.random() < 0.3:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turn.as_matrix() * scale, place
        return {"matrix": matrix.T.reshape(-1).tolist()}
    parts = {"translation": place.tolist(), "rotation": turn.as_quat().tolist(), "scale": scale.tolist()}
    return {name: part for name, part in parts.items() if rng.random() < 0.7}


def random_character(rng):
    """A GLB with a skin on some of up to 13 nodes, in random order; it is bound away from the rest pose."""
    count = int(rng.integers(2, 14))
    nodes, order = [random_node(rng) for _ in range(count)], rng.permutation(count).tolist()
    for place in range(1, count):
        if rng.random() < 0.85:
            nodes[order[rng.integers(0, place)]].setdefault("children", []).append(order[place])
    joints = rng.permutation(count)[: rng.integers(1, count + 1)].tolist()
    below = {child for node in nodes for child in node.get("children", [])}
    scene = {"nodes": [node for node in range(count + 1) if node not in below]}
    builder = GlbBuilder(
        {"asset": {"version": "2.0"}, "scene": 0, "scenes": [scene], "nodes": [*nodes, {"mesh": 0, "skin": 0}], "extras": {"é": [1.5]}}, b""
    )
    binds = np.zeros((len(joints), 4, 4), "<f4")  # column-major
    binds[:, :3, :3], binds[:, 3, :3], binds[:, 3, 3] = rng.normal(size=(len(joints), 3, 3)), rng.normal(size=(len(joints), 3)), 1
    worn = min(4, len(joints))
    carriers, shares = np.zeros((VERTICES, 4), "<u2"), np.zeros((VERTICES, 4))
    carriers[:, :worn] = [rng.permutation(len(joints))[:worn] for _ in range(VERTICES)]
    shares[:, :worn] = rng.random((VERTICES, worn))
    attributes = {
        "POSITION": builder.accessor(rng.normal(size=(VERTICES, 3)).astype("<f4"), "VEC3", bounds=True),
        "JOINTS_0": builder.accessor(carriers, "VEC4"),
        "WEIGHTS_0": builder.accessor((shares / shares.sum(1, keepdims=True)).astype("<f4"), "VEC4"),
    }
    builder.append("meshes", {"primitives": [{"attributes": attributes}]})
    builder.append("skins", {"joints": joints, "inverseBindMatrices": builder.accessor(binds.reshape(-1, 16), "MAT4")})
    return builder.pack()


class Player:
    """A GLB and where its nodes and vertices are."""

    def __init__(self, data):
        (size,) = struct.unpack_from("<I", data, 12)
        self.document, self.binary = json.loads(data[20 : 20 + size]), data[28 + size :]
        self.parents = {child: node for node, item in enumerate(self.document["nodes"]) for child in item.get("children", [])}

    def read(self, index):
        accessor = self.document["accessors"][index]
        width, code = (
            {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor["type"]],
            {5126: "<f4", 5123: "<u2"}[accessor["componentType"]],
        )
        start = self.document["bufferViews"][accessor["bufferView"]]["byteOffset"]
        return np.frombuffer(self.binary, code, accessor["count"] * width, start).reshape(-1, width)

    def worlds(self, seconds=None):
        """(nodes, 4, 4) at rest, or at a time of the only animation."""
        nodes = [dict(node) for node in self.document["nodes"]]
        animation = {"channels": []} if seconds is None else self.document["animations"][0]
        for channel in animation["channels"]:
            sampler, target = animation["samplers"][channel["sampler"]], channel["target"]
            times, values = self.read(sampler["input"])[:, 0].astype(float), self.read(sampler["output"]).astype(float)
            at = np.clip(seconds, times[0], times[-1])
            if target["path"] == "rotation" and len(times) > 1:
                value = Slerp(times, Rotation.from_quat(values))(at).as_quat()
            else:
                value = [np.interp(at, times, column) for column in values.T]
            assert "matrix" not in nodes[target["node"]]
            nodes[target["node"]][target["path"]] = value
        found = []
        for number in range(len(nodes)):
            world, at = np.eye(4), number
            while at is not None:
                local = np.array(nodes[at].get("matrix", np.eye(4).reshape(-1)), float).reshape(4, 4).T
                if "matrix" not in nodes[at]:
                    local[:3, :3] = Rotation.from_quat(nodes[at].get("rotation", [0, 0, 0, 1])).as_matrix() * nodes[at].get(
                        "scale", [1, 1, 1]
                    )
                    local[:3, 3] = nodes[at].get("translation", [0, 0, 0])
                world, at = local @ world, self.parents.get(at)
            found.append(world)
        return np.stack(found)

    def vertices(self, worlds):
        skin, attributes = self.document["skins"][0], self.document["meshes"][0]["primitives"][0]["attributes"]
        carried = worlds[skin["joints"]] @ self.read(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        points, joints, shares = (self.read(attributes[name]) for name in ("POSITION", "JOINTS_0", "WEIGHTS_0"))
        return np.array(
            [
                sum(share * (carried[joint] @ [*point, 1])[:3] for joint, share in zip(*pair, strict=True))
                for point, *pair in zip(points, joints, shares, strict=True)
            ]
        )


def random_animation(rig, rng, *, frames=5, speed=0.5):
    """Turns and places that wander; some joints, further roots among them, are placed."""
    count = len(rig.joint_nodes)
    turns = Rotation.from_rotvec(rng.normal(size=(1, 3 * count)).repeat(frames, 0).reshape(-1, 3))
    turns = Rotation.from_rotvec(speed * rng.normal(size=(frames, 3 * count)).cumsum(0).reshape(-1, 3)) * turns
    placed = tuple(joint for joint in range(1, count) if rng.random() < 0.3)
    walks = torch.from_numpy(
        rng.normal(size=(1, 3 * len(placed) + 3)) + 0.2 * speed * rng.normal(size=(frames, 3 * len(placed) + 3)).cumsum(0)
    )
    return Animation(
        rotations=torch.from_numpy(turns.as_matrix().reshape(frames, count, 3, 3)).float(), translation=walks[:, :3].float(), fps=FPS, rig=rig,
        placed=placed, places=walks[:, 3:].reshape(frames, -1, 3).float() if placed else None,
    )  # fmt: skip


def loaded(tmp_path, data, name="rig.glb"):
    (tmp_path / name).write_bytes(data)
    return load_rig(tmp_path / name)


@RANDOM
@given(seed=seeds)
def test_a_player_shows_what_was_meant(tmp_path, seed):
    """The mesh at rest and moved, the joints, and what is left of the file; read again, the animation is the same."""
    rng = np.random.default_rng(seed)
    data = random_character(rng)
    rig, given = loaded(tmp_path, data), Player(data)
    meshes, nodes = load_meshes(rig), list(rig.joint_nodes)
    size = 1 + float(rig.rest.abs().max())
    assert np.abs(rig.rest.numpy() - given.worlds()[nodes]).max() < 1e-5 * size
    assert np.abs(pose_meshes(rig, meshes)[0].vertices[0].numpy() - given.vertices(given.worlds())).max() < 1e-4 * size
    animation = random_animation(rig, rng)
    written = animated_glb(animation)
    player = Player(written)
    assert player.binary.startswith(given.binary) and given.binary == rig.binary
    for key, value in given.document.items():
        if key == "nodes":
            assert all(old == new or "matrix" in old for old, new in zip(value, player.document[key], strict=True))
        elif key != "buffers":
            assert player.document[key][: len(value)] == value if isinstance(value, list) else player.document[key] == value
    joints, posed = forward(animation).joints.numpy(), pose_meshes(rig, meshes, animation)[0].vertices.numpy()
    for frame in range(len(joints)):
        worlds = player.worlds(frame / FPS)
        assert np.abs(worlds[nodes, :3, 3] - joints[frame]).max() < 1e-4 * size
        assert np.abs(player.vertices(worlds) - posed[frame]).max() < 1e-4 * size
    loaded(tmp_path, written, "again.glb")
    again = load_animation(tmp_path / "again.glb")
    assert (forward(again).joints - forward(animation).joints).abs().max() < 1e-4 * size


@RANDOM
@given(seed=seeds, degrees=st.sampled_from([0.1, 2.0, 20.0]), part=st.sampled_from([0.001, 0.02]))
def test_fewer_keys_stay_within_their_bound(tmp_path, seed, degrees, part):
    rng = np.random.default_rng(seed)
    rig = loaded(tmp_path, random_character(rng))
    animation = random_animation(rig, rng, frames=20, speed=0.05)
    bound = part * (1 + float(rig.rest.abs().max()))
    player = Player(animated_glb(animation, tolerance=KeyTolerance(degrees=degrees, metres=bound)))
    joints = forward(animation).joints.numpy()
    for frame in range(len(joints)):
        reached = player.worlds(frame / FPS)[list(rig.joint_nodes), :3, 3]
        assert np.linalg.norm(reached - joints[frame], axis=1).max() < 1.01 * bound


@pytest.mark.parametrize("seed", range(3))
def test_the_khronos_validator_finds_nothing_in_them(tmp_path, validate, seed):
    rng = np.random.default_rng(seed)
    rig = loaded(tmp_path, random_character(rng))
    (tmp_path / "written.glb").write_bytes(animated_glb(random_animation(rig, rng)))
    result = validate(tmp_path / "written.glb")
    assert result.returncode == 0, result.stderr
