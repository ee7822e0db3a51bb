"""Body model files: every official format gives the same model, and nothing in them is run."""

import pickle
import sys
import types

import numpy as np
import pytest
import torch
from motion4d.core.formats.body_models import load_body_model
from safetensors.torch import save_file


@pytest.fixture
def chumpy():
    """Modules of the names that official pickles mention, for writing such pickles."""

    class Ch:
        def __init__(self, x):
            self.x = x

    class Select:
        def __init__(self, a, idxs, preferred_shape):
            self.a, self.idxs, self.preferred_shape = a, idxs, preferred_shape

    made = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")}
    for cls, module in ((Ch, "chumpy.ch"), (Select, "chumpy.reordering")):
        cls.__module__, cls.__qualname__ = module, cls.__name__
        setattr(made[module], cls.__name__, cls)
    sys.modules.update(made)
    yield types.SimpleNamespace(Ch=Ch, Select=Select)
    for name in made:
        del sys.modules[name]


def same(one, other) -> bool:
    parts = ("template", "shapes", "poses", "regressor", "weights", "faces")
    return one.kind == other.kind and all(torch.equal(getattr(one, part), getattr(other, part)) for part in parts)


def plain(tmp_path, arrays):
    np.savez(tmp_path / "plain.npz", **arrays)
    return load_body_model(tmp_path / "plain.npz")


@pytest.mark.parametrize(("joints", "kind"), [(24, "SMPL"), (52, "SMPL-H"), (55, "SMPL-X")])
def test_each_of_the_family_is_known_by_its_joints(tmp_path, body_model_arrays, joints, kind):
    model = plain(tmp_path, body_model_arrays(joints))
    assert model.kind == kind and len(model.skeleton.names) == joints and model.name == "plain.npz"
    assert np.allclose(model.template, body_model_arrays(joints)["v_template"], atol=1e-6)


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix", "dense"])
def test_pickles_with_a_sparse_regressor_are_the_same_model(tmp_path, body_model_arrays, kind, protocol):
    from scipy import sparse

    arrays = body_model_arrays()
    arrays["J_regressor"] = np.where(arrays["J_regressor"] > 0.02, arrays["J_regressor"], 0)
    written = arrays | {
        "bs_style": "lbs",
        "J_regressor": arrays["J_regressor"] if kind == "dense" else getattr(sparse, kind)(arrays["J_regressor"]),
    }
    path = tmp_path / "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl"
    path.write_bytes(pickle.dumps(written, protocol))
    assert same(load_body_model(path), plain(tmp_path, arrays))


def test_pickles_of_chumpy_arrays_are_the_same_model(tmp_path, body_model_arrays, chumpy):
    arrays = body_model_arrays(betas=12)
    shapes = arrays["shapedirs"]
    chosen = np.arange(shapes.size).reshape(shapes.shape)[..., :10]
    written = {name: chumpy.Ch(array) if name in ("v_template", "posedirs", "weights") else array for name, array in arrays.items()}
    written["shapedirs"] = chumpy.Select(chumpy.Ch(shapes), chosen.ravel(), chosen.shape)
    path = tmp_path / "SMPL_MALE.pkl"
    path.write_bytes(pickle.dumps(written, 2))
    assert same(load_body_model(path), plain(tmp_path, arrays))


def test_safetensors_with_the_same_keys_are_the_same_model(tmp_path, body_model_arrays):
    arrays = body_model_arrays()
    save_file(
        {name: torch.from_numpy(array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)) for name, array in arrays.items()},
        tmp_path / "m.safetensors",
    )
    assert same(load_body_model(tmp_path / "m.safetensors"), plain(tmp_path, arrays))


def test_the_expressions_of_smpl_x_and_objects_beside_the_arrays_are_left_alone(tmp_path, body_model_arrays):
    arrays = body_model_arrays(55, betas=400)
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **arrays, joint2num=np.array({"a": 1}, dtype=object))
    assert torch.equal(load_body_model(tmp_path / "SMPLX_NEUTRAL.npz").shapes, torch.from_numpy(arrays["shapedirs"][..., :10]).float())


def test_a_file_that_is_not_there_tells_where_it_comes_from(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"smpl\.is\.tue\.mpg\.de.*models/smpl"):
        load_body_model(tmp_path / "SMPL_NEUTRAL.pkl")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"weights": None}, "lacks weights"),
        ({"kintree_table": np.zeros((2, 16), np.int64)}, "MANO"),
        ({"kintree_table": np.zeros((2, 24), np.int64)}, "hang together otherwise"),
        ({"posedirs": np.zeros((60, 3, 12))}, "do not fit 24 joints"),
        ({"weights": np.zeros((59, 24))}, "weights has shape"),
        ({"f": np.full((4, 3), 60)}, "vertex 60"),
        ({"v_template": np.full((60, 3), np.nan)}, "template has NaN"),
        ({"v_template": np.full((60, 3), "x")}, "v_template holds"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_name_of_the_file(tmp_path, body_model_arrays, change, match):
    arrays = {name: array for name, array in (body_model_arrays() | change).items() if array is not None}
    np.savez(tmp_path / "broken.npz", **arrays)
    with pytest.raises(ValueError, match=rf"broken\.npz.*{match}"):
        load_body_model(tmp_path / "broken.npz")


def test_other_files_and_code_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"v_template": Evil()}))
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    (tmp_path / "text.obj").write_text("v 0 0 0")
    for name, match in (("evil.pkl", "asks for builtins.print"), ("list.pkl", "holds list"), ("text.obj", "no body model")):
        with pytest.raises(ValueError, match=match):
            load_body_model(tmp_path / name)


def sparse_state(**changes):
    from scipy import sparse

    matrix = sparse.csc_matrix(np.eye(3))
    matrix.__dict__.update(changes)
    return pickle.dumps({"J_regressor": matrix}, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"indices": np.array([0, 1, 7], np.int32)},
        {"indptr": np.array([0, 2, 1, 3], np.int32)},
        {"indptr": np.array([0, 3], np.int32)},
        {"data": np.array([1.0])},
        {"_shape": (1 << 20, 1 << 20)},
        {"_shape": (3,)},
        {"data": np.array(["a", "b", "c"])},
    ],
    ids=str,
)
def test_a_sparse_matrix_that_lies_is_refused_before_it_takes_memory(changes):
    from motion4d.core.formats.pickles import read_pickle

    with pytest.raises(ValueError, match="sparse matrix"):
        read_pickle(sparse_state(**changes))


def test_a_part_of_an_array_that_reaches_beyond_it_is_refused(chumpy):
    from motion4d.core.formats.pickles import read_pickle

    for chosen, shape in ((np.array([0, 9]), (2,)), (np.array([0, 1]), (3,)), (np.array([0.5]), (1,))):
        with pytest.raises(ValueError, match="part of a chumpy array"):
            read_pickle(pickle.dumps(chumpy.Select(chumpy.Ch(np.zeros(4)), chosen, shape), 2))
