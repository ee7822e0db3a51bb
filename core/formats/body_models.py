"""Files of SMPL, SMPL-H and SMPL-X: official pkl (chumpy and scipy ones too) and npz, and safetensors with the same keys. Nothing in them is run.

Keys: v_template (N, 3), shapedirs (N, 3, B), posedirs (N, 3, P), J_regressor (J, N), weights (N, J), f (F, 3), kintree_table (2, J). SMPL-X keeps 300 (or 10) shape
directions before those of expressions; the first ten are used.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..body.models import FAMILY, SHAPES, BodyModel
from .npz import NpzFile
from .pickled_arrays import PickledTable
from .pickles import read_pickle
from .smpl_params import Table
from .untrusted import naming, read_bytes

FOLDER = "smpl"
SUFFIXES = (".npz", ".pkl", ".safetensors")
OFFICIAL = ("SMPL_NEUTRAL.pkl", "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl", "SMPLH_NEUTRAL.npz", "SMPLX_NEUTRAL.npz")
WHERE_FROM = (
    "Body models are licensed and not shipped: register (free for non-commercial research) at smpl.is.tue.mpg.de for SMPL, mano.is.tue.mpg.de for SMPL-H or "
    "smpl-x.is.tue.mpg.de for SMPL-X, download the model and put its file, under any name, into models/smpl. Everything but the mesh and the exact bone lengths works "
    "without it"
)
_MAX_BYTES = 1 << 30  # SMPLX_NEUTRAL.pkl has 0.54 GB
_MAX_VERTICES = 100_000
_OTHERS = {16: "MANO (a hand)", 5: "FLAME (a head)", 35: "SMAL (an animal)"}


def load_body_model(path: str | Path) -> BodyModel:
    """Read a body model; which of the family it is, its number of joints tells.

    Raises:
        FileNotFoundError: there is no such file; the message says where it comes from.
        ValueError: a damaged file, a missing array, or a model of another family.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}. {WHERE_FROM}")
    with naming(path):
        return _model(_table(path), path.name)


def _table(path: Path) -> Table:
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return _safetensors(path)
    data = read_bytes(path, limit=_MAX_BYTES)
    if data[:4] == b"PK\x03\x04" and suffix == ".npz":
        return NpzFile(data)
    if suffix in (".pkl", ".pickle"):
        value = read_pickle(data)
        if not isinstance(value, dict):
            raise ValueError(f"the pickle holds {type(value).__name__}, expected the dictionary of a body model")
        return PickledTable(value)
    raise ValueError(f"it is no body model, expected {', '.join(SUFFIXES)}. {WHERE_FROM}")


def _safetensors(path: Path) -> Table:
    from safetensors.torch import load_file

    return _Tensors(load_file(path))


class _Tensors:
    """Tensors by name, asked for like the arrays of an npz."""

    def __init__(self, tensors: dict[str, torch.Tensor]):
        self._tensors = tensors

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._tensors[name].shape) if name in self else ()

    def read(self, name: str) -> np.ndarray:
        found = self._tensors[name]
        return (found.float() if found.is_floating_point() else found.long()).numpy()

    def value(self, name: str):
        return self._tensors[name].item() if name in self and self._tensors[name].numel() == 1 else None


def _model(table: Table, name: str) -> BodyModel:
    faces = "faces" if "faces" in table and "f" not in table else "f"
    lacking = [key for key in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", faces, "kintree_table") if key not in table]
    if lacking:
        raise ValueError(f"it is no body model: it lacks {', '.join(lacking)}. {WHERE_FROM}")
    vertices, joints = table.shape("v_template")[0], (*table.shape("kintree_table"), 0, 0)[1]
    if joints not in FAMILY:
        raise ValueError(
            f"it is {_OTHERS.get(joints, f'a model of {joints} joints')}, expected SMPL (24 joints), SMPL-H (52) or SMPL-X (55)"
        )
    if not 1 <= vertices <= _MAX_VERTICES:
        raise ValueError(f"the template has {vertices:,} vertices, expected 1 to {_MAX_VERTICES:,}")
    _check_tree(table, joints)
    return BodyModel(
        skeleton=replace(FAMILY[joints][1], rest=None), template=_floats(table, "v_template"), shapes=_floats(table, "shapedirs", last=SHAPES),
        poses=_floats(table, "posedirs"), regressor=_floats(table, "J_regressor"), weights=_floats(table, "weights"),
        faces=torch.from_numpy(table.read(faces).astype(np.int64)), name=name,
    )  # fmt: skip


def _floats(table: Table, name: str, *, last: int | None = None) -> torch.Tensor:
    """An array as float32, of its last axis the first `last`; ValueError unless it holds numbers."""
    array = table.read(name)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds {array.dtype}, expected numbers")
    return torch.from_numpy(np.ascontiguousarray(array[..., :last], dtype=np.float32))


def _check_tree(table: Table, joints: int) -> None:
    """Refuse a model whose joints hang together otherwise than the family's; the root's parent is written as a huge number or as -1."""
    kind, skeleton = FAMILY[joints]
    parents = table.read("kintree_table")[0].astype(np.int64)
    if tuple(parents[1:]) != skeleton.parents[1:]:
        raise ValueError(
            f"its {joints} joints hang together otherwise than those of {kind}: kintree_table has the parents {parents.tolist()}"
        )
