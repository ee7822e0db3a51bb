"""load_rig against files made here, byte by byte, and the accessors against struct."""

import base64
import json
import struct
import time
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from motion4d.core.formats import load_motion, read_video
from motion4d.core.formats.gltf import load_rig, read_accessor
from motion4d.core.formats.quaternions import quat_xyzw_to_matrix

MANY = settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pack(document, binary=b"", *, version=2, extra=0):
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    if binary:
        chunks += struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<4sII", b"glTF", version, 12 + len(chunks) + extra) + chunks


def small():
    """Four nodes; the joints 3 -> 1 (through node 2), listed child first; inverse bind matrices that tell the joints apart."""
    binds = np.tile(np.eye(4, dtype="<f4"), (2, 1, 1))
    binds[0, 3, :3], binds[1, 3, :3] = (1, 2, 3), (4, 5, 6)
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [
            {"children": [3], "translation": [0, 1, 0], "scale": [2, 2, 2]},
            {"name": "hand", "translation": [0, 0, 1]},
            {"name": "between", "rotation": [0, 0, 0.7071067811865476, 0.7071067811865476], "translation": [1, 0, 0], "children": [1]},
            {"name": "arm", "children": [2], "matrix": [0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 5, 0, 0, 1]},
        ],
        "skins": [{"joints": [1, 3], "inverseBindMatrices": 0}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 2, "type": "MAT4"}],
        "bufferViews": [{"buffer": 0, "byteLength": 128}],
        "buffers": [{"byteLength": 128}],
    }
    return document, binds.tobytes()


def load(tmp_path, document, binary=b"", name="rig.glb"):
    path = tmp_path / name
    path.write_bytes(document if isinstance(document, bytes) and document[:4] == b"glTF" else pack(document, binary))
    return load_rig(path)


def refused(tmp_path, message, document, binary=b""):
    with pytest.raises(ValueError, match=message) as caught:
        load(tmp_path, document, binary)
    assert str(caught.value).startswith(f"{tmp_path / 'rig.glb'}: ")


def test_a_small_rig_is_read_as_written(tmp_path):
    document, binary = small()
    rig = load(tmp_path, document, binary)
    assert rig.skeleton.names == ("arm", "hand")
    assert rig.skeleton.parents == (-1, 0)
    assert rig.joint_nodes == (3, 1)
    assert rig.document == document
    assert rig.binary == binary
    assert rig.inverse_bind[:, :3, 3].tolist() == [[4, 5, 6], [1, 2, 3]]
    # arm: 2 * (5, 0, 0) + (0, 1, 0), turned by 90 degrees about z; hand: (1, 0, 0) and (0, 0, 1) along the turned axes, doubled.
    assert torch.allclose(rig.skeleton.rest, torch.tensor([[10.0, 1, 0], [10, 3, 2]]))
    assert torch.allclose(rig.rest[0, :3, :3], torch.tensor([[0.0, -2, 0], [2, 0, 0], [0, 0, 2]]))
    assert torch.allclose(rig.rest[1, :3, :3], torch.tensor([[-2.0, 0, 0], [0, -2, 0], [0, 0, 2]]), atol=1e-6)


def test_the_fox(reference):
    rig = load_rig(reference("data", "fox.glb"))
    assert len(rig.skeleton.names) == 24
    assert rig.skeleton.parents[:5] == (-1, 0, 1, 2, 3)
    # The rest pose is not quite the bind pose here, but what binds the skin is a rigid inverse of a similar pose.
    assert torch.allclose(torch.linalg.det(rig.inverse_bind[:, :3, :3]), torch.ones(24), atol=1e-3)
    assert len(rig.document["animations"]) == 3
    times = [read_accessor(rig.document, rig.binary, rig.document["animations"][0]["samplers"][0][key]) for key in ("input", "output")]
    assert (times[0].diff() > 0).all()
    assert len(times[0]) == len(times[1])


def test_missing_inverse_bind_matrices_are_identities(tmp_path):
    document, binary = small()
    del document["skins"][0]["inverseBindMatrices"]
    assert torch.equal(load(tmp_path, document, binary).inverse_bind, torch.eye(4).expand(2, 4, 4))


def test_names_are_unique_and_several_roots_are_allowed(tmp_path):
    document = {
        "asset": {"version": "2.0"},
        "nodes": [{"name": "a"}, {"name": "a"}, {}, {"name": "a_1"}],
        "skins": [{"joints": [3, 0, 1, 2]}],
    }
    rig = load(tmp_path, document)
    assert len(set(rig.skeleton.names)) == 4
    assert rig.skeleton.names[3] == "joint_2"
    assert rig.skeleton.parents == (-1, -1, -1, -1)
    assert rig.joint_nodes == (3, 0, 1, 2)


def test_a_gltf_with_its_buffer_as_text_or_beside_it_equals_the_glb(tmp_path):
    document, binary = small()
    expected = load(tmp_path, document, binary)
    (tmp_path / "my rig.bin").write_bytes(binary)
    for uri in ("data:application/octet-stream;base64," + base64.b64encode(binary).decode(), "my%20rig.bin"):
        document["buffers"][0]["uri"] = uri
        (tmp_path / "rig.gltf").write_text(json.dumps(document))
        rig = load_rig(tmp_path / "rig.gltf")
        assert torch.equal(rig.rest, expected.rest)
        assert torch.equal(rig.inverse_bind, expected.inverse_bind)
        assert rig.document["buffers"] == [{"byteLength": 128}]


def test_several_buffers_and_an_image_file_become_one_chunk(tmp_path):
    document, binary = small()
    picture = b"\x89PNG not looked at"
    (tmp_path / "skin.png").write_bytes(picture)
    document["buffers"] = [
        {"byteLength": 3, "uri": "data:;base64," + base64.b64encode(b"abc").decode()},
        {"byteLength": 128, "uri": "b.bin"},
    ]
    document["bufferViews"][0]["buffer"] = 1
    document["images"] = [{"uri": "skin.png", "name": "fur"}, {"uri": "../elsewhere.png"}]
    (tmp_path / "b.bin").write_bytes(binary)
    (tmp_path / "rig.gltf").write_text(json.dumps(document))
    rig = load_rig(tmp_path / "rig.gltf")
    assert rig.inverse_bind[1, 0, 3] == 1
    view = rig.document["bufferViews"][rig.document["images"][0]["bufferView"]]
    assert rig.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]] == picture
    assert rig.document["images"][0]["name"] == "fur"
    assert rig.document["images"][1] == {"uri": "../elsewhere.png"}


@pytest.mark.parametrize(
    "uri",
    [
        "../b.bin",
        "%2e%2e/b.bin",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1/b.bin",
        "a\0b",
        "x" * 5000,
        "sub",
        7,
        "//host/share/b.bin",
        "\\\\host\\share\\b.bin",
        "C:b.bin",
        "%5C%5Chost%5Cshare%5Cb.bin",
    ],
)
def test_nothing_outside_the_folder_is_opened(tmp_path, uri):
    (tmp_path / "b.bin").write_bytes(bytes(128))
    folder = tmp_path / "inner"
    (folder / "sub").mkdir(parents=True)
    document, _ = small()
    document["buffers"][0]["uri"] = uri
    (folder / "rig.gltf").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"rig\.gltf: buffer 0"):
        load_rig(folder / "rig.gltf")


def test_a_missing_file_is_not_found(tmp_path):
    for read, name in ((load_rig, "nowhere.glb"), (load_motion, "nowhere.npz"), (read_video, "nowhere.mp4")):
        with pytest.raises(FileNotFoundError) as caught:
            read(tmp_path / name)
        assert str(caught.value) == f"there is no file {tmp_path / name}"


def test_a_folder_is_no_rig(tmp_path):
    with pytest.raises(ValueError, match="this is a folder"):
        load_rig(tmp_path)


@pytest.mark.parametrize("names", [("mixamorig:LeftArm", "mixamorig:RightArm"), ("arm.L", "arm.R"), ("left_arm", "right_arm")])
def test_the_sides_of_a_rig_are_found_in_its_names(tmp_path, names):
    nodes = [{"name": "hips", "children": [1, 2]}, *({"name": name} for name in names)]
    document = {"asset": {"version": "2.0"}, "nodes": nodes, "skins": [{"joints": [0, 1, 2]}]}
    assert load(tmp_path, document).skeleton.mirror == (0, 2, 1)


# --- refusals


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"glTF", "cut off"),
        (b"solid stl file", "no binary glTF"),
        (pack(small()[0], small()[1], version=1), "version 1"),
        (pack(small()[0], small()[1], extra=4), "header says"),
        (pack(small()[0], small()[1])[:-4], "header says"),
        (struct.pack("<4sII", b"glTF", 2, 20) + struct.pack("<II", 0xFFFFFFF0, 0x4E4F534A), "chunk 0 says"),
        (struct.pack("<4sII", b"glTF", 2, 24) + struct.pack("<II", 4, 0x004E4942) + bytes(4), "out of order"),
        (struct.pack("<4sII", b"glTF", 2, 23) + struct.pack("<II", 3, 0x4E4F534A) + b"{} ", "multiple of 4"),
        (pack(b'{"asset": {"version": "2.0"}, "x": "\xff"}'), "UTF-8"),
        (pack(b"[" * 100_000), "nested too deeply"),
        (pack(b'{"a":' * 100_000), "nested too deeply"),
        (pack(b"[" + b"{}," * 1_200_000 + b"{}]"), "values"),
        (pack(b'{"asset": {"version": "2.0"}, "x": NaN}'), "no JSON number"),
        (pack(b'{"asset": {"version": "2.0"}, "nodes": ' + b"9" * 5000 + b"}"), "digits"),
        (pack(b'"text"'), "asset version"),
        (pack({"asset": {"version": "1.0"}}), "asset version"),
        (pack({"asset": {"version": "2.0"}}), "no skin"),
    ],
)
def test_damaged_containers_are_refused(tmp_path, data, message):
    path = tmp_path / "rig.glb"
    path.write_bytes(data)
    started = time.perf_counter()
    with pytest.raises(ValueError, match=message) as caught:
        load_rig(path)
    assert str(caught.value).startswith(f"{tmp_path / 'rig.glb'}: ")
    assert time.perf_counter() - started < 2


def change(path, value):
    """small() with document[path...] = value."""
    document, binary = small()
    item = document
    for key in path[:-1]:
        item = item[key]
    item[path[-1]] = value
    return document, binary


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("nodes", 1, "children"), [0], "its own ancestor"),
        (("nodes", 3, "children"), [3], "child of both"),
        (("nodes", 0, "children"), [3, 1], "child of both"),
        (("nodes", 0, "children"), [3, 3], "twice"),
        (("nodes", 0, "children"), [9], "indices below 4"),
        (("nodes", 0, "children"), [True], "indices below 4"),
        (("nodes", 0), None, "expected an object"),
        (("nodes",), {}, "expected a list"),
        (("nodes",), [{}] * 100_001, "at most"),
        (("nodes", 3, "translation"), [0, 0, 0], "both a matrix"),
        (("nodes", 3, "matrix"), [1] * 15, "16 finite numbers"),
        (("nodes", 3, "matrix"), [1, 0, 0, 0, 0.5, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "sheared"),
        (("nodes", 3, "matrix"), [1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "last row"),
        (("nodes", 1, "translation"), [0, 10**400, 0], "finite"),
        (("nodes", 1, "translation"), [0, 1e300, 0], "finite"),
        (("nodes", 1, "translation"), [0, 3e38, 0], "infinity"),
        (("nodes", 1, "translation"), ["0", 0, 0], "finite"),
        (("nodes", 2, "rotation"), [0, 0, 0, 0], "unit quaternion"),
        (("nodes", 0, "scale"), [0, 1, 1], "flattened"),
        (("nodes", 0, "mesh"), 0, "mesh is 0"),
        (("scenes", 0, "nodes"), [4], "indices below 4"),
        (("scene",), 3, "scene is 3"),
        (("skins",), [], "no skin"),
        (("skins", 0, "joints"), [], "0 joints"),
        (("skins", 0, "joints"), [1, 1], "twice"),
        (("skins", 0, "joints"), [1, 4], "indices below 4"),
        (("skins", 0, "skeleton"), -1, "skeleton is -1"),
        (("skins", 0, "inverseBindMatrices"), 1, "in 0..0"),
        (("animations",), [7], "expected an object"),
        (("accessors", 0, "count"), 1, "each of its 2 joints"),
        (("accessors", 0, "count"), 3, "do not fit the 128 bytes"),
        (("accessors", 0, "count"), 10**12, "do not fit the 128 bytes"),
        (("accessors", 0, "count"), -1, "at least 1"),
        (("accessors", 0, "count"), 2.0, "whole number"),
        (("accessors", 0, "byteOffset"), 2, "not aligned"),
        (("accessors", 0, "byteOffset"), 4, "do not fit"),
        (("accessors", 0, "componentType"), 5124, "not those of glTF"),
        (("accessors", 0, "componentType"), 5125, "no float MAT4"),
        (("accessors", 0, "type"), "MAT5", "not those of glTF"),
        (("accessors", 0, "type"), [[]], "not those of glTF"),
        (("accessors", 0, "bufferView"), 1, "bufferView is 1"),
        (("accessors", 0, "sparse"), {"count": 1}, "no indices"),
        (("bufferViews", 0, "byteLength"), 132, "ends at byte 132"),
        (("bufferViews", 0, "byteStride"), 8, "do not fit the byteStride"),
        (("bufferViews", 0, "byteStride"), 66, "multiple of 4"),
        (("bufferViews", 0, "byteOffset"), 10**30, "its buffer has 128"),
        (("buffers", 0, "byteLength"), 256, "cut off"),
        (("buffers", 0, "uri"), "data:;base64,====", "damaged"),
        (("buffers",), [], "no entry 0 in 'buffers'"),
        (("extensionsRequired",), ["EXT_meshopt_compression"], "without compression"),
        (("extensionsRequired",), ["KHR_meshopt_compression"], "without compression"),
        (("extensionsRequired",), ["KHR_draco_mesh_compression"], "Compression off"),
        (("buffers", 0, "extensions"), {"EXT_meshopt_compression": {"fallback": True}}, "without compression"),
    ],
)
def test_a_document_that_lies_is_refused_with_the_reason(tmp_path, path, value, message):
    refused(tmp_path, message, *change(path, value))


def test_a_number_that_overflows_is_refused(tmp_path):
    document, binary = change(("nodes", 1, "translation"), [0, 123456, 0])
    refused(tmp_path, "finite", json.dumps(document).replace("123456", "1e999").encode(), binary)


def test_inverse_bind_matrices_have_to_be_affine_and_finite(tmp_path):
    document, binary = small()
    for number in (float("nan"), 0.5):
        refused(tmp_path, "not affine", document, struct.pack("<f", number).join((binary[:12], binary[16:])))


def test_an_accessor_without_bytes_does_not_allocate(tmp_path):
    document, binary = change(("accessors", 0), {"componentType": 5126, "count": 10**12, "type": "MAT4"})
    tracemalloc.start()
    refused(tmp_path, "without bytes behind", document, binary)
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("shape", ["chain", "comb"])
def test_deep_trees_end_in_time(tmp_path, shape):
    """A chain of joints, and joints that share a long chain of other nodes."""
    chain = [{"children": [number + 1]} for number in range(17_999)]
    if shape == "chain":
        nodes, joints = [*chain, {}], range(4096)
    else:
        joints = range(18_000, 19_000)
        nodes = [*chain, {"children": list(joints)}, *({} for _ in joints)]
    started = time.perf_counter()
    rig = load(tmp_path, {"asset": {"version": "2.0"}, "nodes": nodes, "skins": [{"joints": list(joints)[::-1]}]})
    assert time.perf_counter() - started < 2
    assert set(rig.skeleton.parents) == ({-1} if shape == "comb" else set(range(-1, 4095)))


# --- accessors


def accessor_file(view, accessor, data):
    document = {
        "buffers": [{"byteLength": len(data)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(data), **view}],
        "accessors": [{"bufferView": 0, **accessor}],
    }
    return document, data


def test_interleaved_vectors():
    data = struct.pack("<" + "3f2H" * 3, *(number for row in range(3) for number in (row, row + 0.5, -row, 7 * row, 65535)))
    document, _ = accessor_file({"byteStride": 16}, {"componentType": 5126, "count": 3, "type": "VEC3"}, data)
    assert read_accessor(document, data, 0).tolist() == [[row, row + 0.5, -row] for row in range(3)]
    document["accessors"][0] |= {"componentType": 5123, "type": "VEC2", "byteOffset": 12}
    assert read_accessor(document, data, 0).tolist() == [[7 * row, 65535] for row in range(3)]
    document["accessors"][0]["normalized"] = True
    assert torch.allclose(read_accessor(document, data, 0), torch.tensor([[7 * row / 65535, 1.0] for row in range(3)]))


def test_matrices_are_column_major_and_small_columns_are_padded():
    data = bytes([1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0])
    document, _ = accessor_file({}, {"componentType": 5121, "count": 1, "type": "MAT3"}, data)
    assert read_accessor(document, data, 0).tolist() == [[[1, 4, 7], [2, 5, 8], [3, 6, 9]]]


def test_signed_normalized_numbers_never_pass_minus_one():
    data = struct.pack("<4b", -128, -127, 0, 127)
    document, _ = accessor_file({}, {"componentType": 5120, "count": 4, "type": "SCALAR", "normalized": True}, data)
    assert read_accessor(document, data, 0).tolist() == [-1, -1, 0, 1]


@pytest.mark.parametrize("based", [True, False])
def test_sparse_values_replace_those_of_the_base(based):
    data = struct.pack("<4f", 1, 2, 3, 4) + struct.pack("<2H", 0, 3) + struct.pack("<2f", 10, 40)
    views = [{"buffer": 0, "byteOffset": start, "byteLength": size} for start, size in ((0, 16), (16, 4), (20, 8))]
    sparse = {"count": 2, "indices": {"bufferView": 1, "componentType": 5123}, "values": {"bufferView": 2}}
    accessor = {"componentType": 5126, "count": 4, "type": "SCALAR", "sparse": sparse} | ({"bufferView": 0} if based else {})
    document = {"buffers": [{"byteLength": 28}], "bufferViews": views, "accessors": [accessor]}
    assert read_accessor(document, data, 0).tolist() == ([10, 2, 3, 40] if based else [10, 0, 0, 40])
    with pytest.raises(ValueError, match="do not increase"):
        read_accessor(document, data[:16] + struct.pack("<2H", 3, 0) + data[20:], 0)
    with pytest.raises(ValueError, match="do not increase"):
        read_accessor(document, data[:16] + struct.pack("<2H", 0, 4) + data[20:], 0)


def test_an_accessor_that_is_not_there():
    for index in (-1, 0):
        with pytest.raises(ValueError, match="no entry"):
            read_accessor({}, b"", index)


# --- anything at all


def survives(tmp_path, data, suffix=".glb"):
    """load_rig returns a rig or raises ValueError."""
    path = tmp_path / f"rig{suffix}"
    path.write_bytes(data)
    try:
        rig = load_rig(path)
    except ValueError as error:
        assert path.name in str(error)
    else:
        assert torch.isfinite(rig.rest).all()


@MANY
@given(st.binary(max_size=300))
def test_random_bytes(tmp_path, data):
    survives(tmp_path, data)
    survives(tmp_path, data, ".gltf")
    survives(tmp_path, pack(data, data + bytes(-len(data) % 4)))


@MANY
@given(st.data())
def test_truncated_and_changed_bytes(tmp_path, data):
    file = bytearray(pack(*small()))
    for _ in range(data.draw(st.integers(0, 3))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    survives(tmp_path, bytes(file[: data.draw(st.integers(0, len(file)))]))
    survives(tmp_path, bytes(file))


@MANY
@given(st.data())
def test_changed_json(tmp_path, change, data):
    document, binary = small()
    document["accessors"][0]["sparse"] = {"count": 1, "indices": {"bufferView": 0, "componentType": 5121}, "values": {"bufferView": 0}}
    survives(tmp_path, pack(change(data, document), binary))


@settings(max_examples=40, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_trees_agree_with_a_naive_walk(tmp_path, data):
    """Random forests, joints in random order: parents come first and rest positions are those of a walk up to the root."""
    count = data.draw(st.integers(1, 9))
    above = [data.draw(st.integers(-1, node - 1)) for node in range(count)]
    names = data.draw(st.permutations(range(count)))  # node numbers that do not follow the tree
    numbers = np.random.default_rng(data.draw(st.integers(0, 99)))
    nodes = [{} for _ in range(count)]
    for node, parent in enumerate(above):
        turn = numbers.standard_normal(4)
        nodes[names[node]] |= {
            "translation": numbers.standard_normal(3).tolist(),
            "rotation": (turn / np.linalg.norm(turn)).tolist(),
            "scale": [numbers.uniform(0.5, 2)] * 3,
        }
        if parent >= 0:
            nodes[names[parent]].setdefault("children", []).append(names[node])
    joints = data.draw(st.permutations(range(count)))[: data.draw(st.integers(1, count))]
    rig = load(tmp_path, {"asset": {"version": "2.0"}, "nodes": nodes, "skins": [{"joints": joints}]})
    assert sorted(rig.joint_nodes) == sorted(joints)
    up = {names[node]: names[parent] if parent >= 0 else None for node, parent in enumerate(above)}
    for joint, node in enumerate(rig.joint_nodes):
        point, at, ancestors = np.zeros(3), node, []
        while at is not None:
            turn = quat_xyzw_to_matrix(torch.tensor(nodes[at]["rotation"], dtype=torch.float64)).numpy()
            point = turn @ (point * nodes[at]["scale"]) + nodes[at]["translation"]
            at = up[at]
            ancestors += [at] if at in joints else []
        assert np.allclose(rig.skeleton.rest[joint].numpy(), point, atol=1e-4)
        assert rig.skeleton.parents[joint] == (rig.joint_nodes.index(ancestors[0]) if ancestors else -1)
