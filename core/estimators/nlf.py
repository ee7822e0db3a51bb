"""People through NLF (Sárándi & Pons-Moll, Neural Localizer Fields, NeurIPS 2024): several people, joints, rotations and shape.

The released TorchScript files (v0.2.2 and v0.3.2, nlf_l_multi_*.torchscript) run as they are. What `detect_smpl_batched` returns, a list with a tensor for
each image: joints3d_nonparam and joints3d (P, 24, 3) and joint_uncertainties (P, 24) in millimetres in camera space, boxes (P, 5) as x, y, width, height and
score, pose (P, 72) local rotation vectors, betas (P, 10), trans (P, 3) metres.
"""

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..geometry.rotations import rotvec_to_matrix
from ..types import ImageSize
from .people import FramePeople

NOTICE = "NLF's code is under the MIT licence, but its weights are for non-commercial research only."
SOURCE = "https://github.com/isarandi/nlf/releases (nlf_l_multi_0.3.2.torchscript)"
USUAL_MM = 100.0  # of uncertainty, at which confidence is half of the score

_MILLIMETRE = 1e-3
_WARM_UPS = 2  # calls in which TorchScript specialises; later ones are fast
_FRAME_BYTES = 300 << 20  # of GPU memory for a frame's crops of several people,
_PIXEL_BYTES = 60  # and for each of its pixels
_SHARE, _MOST, _MOST_ON_CPU = 0.5, 32, 2  # of the free memory; frames at once


def load_nlf(path: str | Path, *, device: torch.device | str = "cpu", bgr: bool = False) -> "NLF":
    """Read a TorchScript file of NLF. TorchScript runs in an interpreter of its own and cannot call Python.

    Args:
        device: where it runs; it waits on the CPU between clips.
        bgr: hand the frames over as BGR, as MTVCrafter's extraction script did; NLF was trained on RGB.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no TorchScript, or none of NLF; the message names a package that has replaced torch.jit.script.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: get it from {SOURCE}. {NOTICE}")
    state = path.stat()
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path.name}: it cannot be read as TorchScript ({reason}): get it again from {SOURCE}{_meddling()}") from None
    if not hasattr(module, "detect_smpl_batched"):
        raise ValueError(f"{path.name}: it is TorchScript but not of NLF, it has no detect_smpl_batched: get it from {SOURCE}")
    return NLF(module, name=f"NLF ({path.name})", file=(str(path.resolve()), state.st_mtime_ns, state.st_size), device=device, bgr=bgr)


class NLF:
    """The `Estimator`.

    The confidence of a joint is score / (1 + (u / 100 mm)^2), from the score of its box and its uncertainty u: half of the score at 100 mm, which is never
    reached by a joint in plain sight; without uncertainties it is the score.
    """

    memory = None  # each frame is on its own

    def __init__(
        self,
        module: torch.jit.ScriptModule,
        *,
        name: str = "NLF",
        file: Hashable = None,
        device: torch.device | str = "cpu",
        bgr: bool = False,
    ):
        """`file`: what tells the file of the module from others; None: the module is like no other."""
        self.name, self.bgr, self.device = name, bgr, torch.device(device)
        self.identity = ("NLF", module if file is None else file, bgr, str(self.device))
        self._module, self._moved, self._warm = module, False, False

    def batch(self, image_size: ImageSize) -> int:
        """As many frames as half of the free memory holds, by a generous estimate; `detect` halves them where that is too many."""
        if self.device.type != "cuda":
            return _MOST_ON_CPU
        free, _ = torch.cuda.mem_get_info(self.device)
        return int(max(1, min(_MOST, _SHARE * free / (_FRAME_BYTES + _PIXEL_BYTES * image_size[0] * image_size[1]))))

    def detect(self, frames: Tensor, intrinsics: Tensor) -> list[FramePeople]:
        """See `Estimator`.

        Raises:
            ValueError: TorchScript fails on one frame twice; or the file returns something else than NLF does.
        """
        pictures = frames.permute(0, 3, 1, 2)
        pictures = (pictures.flip(1) if self.bgr else pictures).contiguous()
        if not self._moved:
            self._module.to(self.device)
            self._moved = True
        for _ in range(0 if self._warm or self.device.type == "cpu" else _WARM_UPS):
            self._call(pictures[:1], intrinsics)
        self._warm = True
        return self._halving(pictures, intrinsics)

    def close(self) -> None:
        """Back to the CPU, which frees the memory of the device."""
        self._module.to("cpu")
        self._moved = False

    def _halving(self, pictures: Tensor, intrinsics: Tensor) -> list[FramePeople]:
        try:
            return _people(self._call(pictures, intrinsics), len(pictures))
        except (RuntimeError, torch.jit.Error) as error:
            if not _out_of_memory(error) or len(pictures) == 1:
                raise
        torch.cuda.empty_cache()
        return [people for half in pictures.tensor_split(2) for people in self._halving(half, intrinsics)]

    def _call(self, pictures: Tensor, intrinsics: Tensor) -> Mapping[str, Any]:
        """One call, repeated once: TorchScript is known to fail where another package left it in the middle of specialising."""
        pictures, camera = pictures.to(self.device), intrinsics[None].float().to(self.device)
        for attempt in (1, 2):
            try:
                with torch.inference_mode(), plain_executor():
                    return self._module.detect_smpl_batched(pictures, intrinsic_matrix=camera)
            except (RuntimeError, IndexError, torch.jit.Error) as error:
                if _out_of_memory(error):
                    raise
                if attempt == 2:
                    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
                    raise ValueError(f"{self.name} failed on {tuple(pictures.shape)} pixels: {reason}{_meddling()}") from error


@contextmanager
def plain_executor() -> Iterator[None]:
    """TorchScript without its profiling executor, which fails on inputs of changing sizes; as it was before on leaving."""
    executor, mode = torch._C._jit_set_profiling_executor(False), torch._C._jit_set_profiling_mode(False)
    try:
        yield
    finally:
        torch._C._jit_set_profiling_executor(executor)
        torch._C._jit_set_profiling_mode(mode)


def _out_of_memory(error: Exception) -> bool:
    """Also where TorchScript has wrapped it."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in str(error)


def _meddling() -> str:
    """Who has replaced torch.jit.script or load, for an error message."""
    names = {name: getattr(torch.jit, name) for name in ("script", "load")}
    foreign = {
        f"torch.jit.{name}": function.__module__ for name, function in names.items() if not str(function.__module__).startswith("torch.")
    }
    told = "; ".join(f"{name} has been replaced by {module}" for name, module in foreign.items())
    return f"; {told}: try without that package" if told else ""


def _people(result: Mapping[str, Any], count: int) -> list[FramePeople]:
    """What NLF returned for `count` images."""
    lists = {key: [one.detach().float().cpu() for one in value] for key, value in result.items() if key in _KEYS}
    if "joints3d_nonparam" not in lists or any(len(value) != count for value in lists.values()):
        told = {key: len(value) for key, value in lists.items()}
        raise ValueError(
            f"NLF returned {told or list(result)} for {count} images, expected joints3d_nonparam and others with one tensor for each image"
        )
    return [_frame({key: value[number] for key, value in lists.items()}) for number in range(count)]


_KEYS = ("joints3d_nonparam", "joints3d", "joint_uncertainties", "boxes", "pose", "betas")


def _frame(found: Mapping[str, Tensor]) -> FramePeople:
    """The people of one image, without those whose box or fitted body is not finite."""
    joints = found["joints3d_nonparam"].reshape(-1, 24, 3) * _MILLIMETRE
    people = len(joints)
    boxes = found.get("boxes", torch.empty(0)).reshape(people, -1) if people else torch.zeros(0, 5)
    score = boxes[:, 4] if boxes.shape[1] > 4 else torch.ones(people)
    corners = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], -1) if boxes.shape[1] >= 4 else torch.zeros(people, 4)
    confidence = score.clamp(0, 1)[:, None].expand(people, 24)
    if "joint_uncertainties" in found:
        confidence = confidence / (1 + (found["joint_uncertainties"].reshape(-1, 24) / USUAL_MM) ** 2)
    confidence = torch.where(torch.isfinite(joints).all(-1), confidence, 0)
    posed = {"rotations": None, "translation": None, "shape": None}
    if "pose" in found and "betas" in found:
        # The root joint of the fitted body: NLF's trans moves the body model, whose root does not lie in its origin.
        root = found.get("joints3d", found["joints3d_nonparam"]).reshape(-1, 24, 3)[:, 0] * _MILLIMETRE
        posed = {
            "rotations": rotvec_to_matrix(found["pose"].reshape(-1, 24, 3)),
            "translation": root,
            "shape": found["betas"].reshape(people, 10),
        }
    whole = torch.stack([part.isfinite().flatten(1).all(1) for part in (corners, *posed.values()) if part is not None]).all(0)
    posed = {name: None if part is None else part[whole] for name, part in posed.items()}
    return FramePeople(joints=joints[whole], confidence=confidence.nan_to_num(0).clamp(0, 1)[whole], boxes=corners[whole], **posed)
