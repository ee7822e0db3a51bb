"""Networks that metrics rest on, from the user's own files: features of pictures and clips, distances of pairs, embeddings of faces.

Files are TorchScript, which carries its architecture along, as the usual ones are published (Inception V3, I3D). Safetensors hold weights alone: those of LPIPS
are read into the networks of `lpips.py`, which give the same numbers as the authors' package; of other networks numbers would look right and be wrong, so their
weights are refused.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..maps.resampling import resample
from .features import clip_starts
from .images import check_frames, check_pair, unit_values
from .lpips import load_lpips

PICTURES, CLIPS, PAIRS, FACES = "pictures: FID", "clips: FID-VID, FVD", "pairs: LPIPS", "faces: FIS, FTS"
MEASURES = (PICTURES, CLIPS, PAIRS, FACES)
VALUES = ("-1..1", "0..1", "0..255 (8 bit)", "ImageNet mean and deviation")
TRUST = "TorchScript is a program: it cannot call Python, but it runs on this machine, so load files only from people you trust."
# What networks of each kind usually expect, and their side: Inception V3 and I3D as released with StyleGAN, LPIPS, ArcFace.
USUAL = {PICTURES: (VALUES[2], 0), CLIPS: (VALUES[0], 224), PAIRS: (VALUES[0], 0), FACES: (VALUES[0], 112)}
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_GIVEN = {"return_features": True, "rescale": False, "resize": False}  # what released Inception and I3D files ask beside the pictures
_BATCH_PIXELS = 1 << 22  # of the frames that a network sees at once


@dataclass(frozen=True, eq=False, kw_only=True)
class MetricNetwork:
    """A callable and how it wants its pictures.

    module: of pictures and faces (N, 3, h, w) -> (N, D); of clips (N, 3, F, h, w) -> (N, D); of pairs two of (N, 3, h, w) -> (N). TorchScript or any Python
    callable. measures: one of MEASURES. values: one of VALUES. side: pictures are stretched to side x side, 0 leaves them. clip_frames, clip_stride: F, and how
    far apart clips begin.
    """

    module: Callable[..., Tensor]
    name: str
    measures: str
    values: str = VALUES[0]
    side: int = 0
    clip_frames: int = 16
    clip_stride: int = 1
    device: torch.device | str = "cpu"

    def __post_init__(self):
        for name, value, known in (("measures", self.measures, MEASURES), ("values", self.values, VALUES)):
            if value not in known:
                raise ValueError(f"{self.name}: {name} is '{value}', expected one of {', '.join(known)}")
        if self.side < 0:
            raise ValueError(f"{self.name}: side is {self.side}, expected 0 or more pixels")
        clip_starts(self.clip_frames, self.clip_frames, self.clip_stride)

    def features(self, frames: Tensor) -> Iterator[Tensor]:
        """Features (n, D) float32 on the CPU of frames (T, H, W, 3), or of their clips, part by part.

        Raises:
            ValueError: a video shorter than a clip, or a network that fails or answers with another shape.
        """
        check_frames("frames", frames)
        if self.measures == PAIRS:
            raise ValueError(f"{self.name} measures pairs of pictures, it has no features: use `distances`")
        length = self.clip_frames if self.measures == CLIPS else 1
        starts = clip_starts(len(frames), length, self.clip_stride if self.measures == CLIPS else 1)
        with self._ready():
            for some in _portions(starts, self._at_once(frames, length)):
                prepared = self._prepare(frames[some.start : some[-1] + length])
                if self.measures == CLIPS:
                    prepared = torch.stack([prepared[start - some.start :][:length].transpose(0, 1) for start in some])
                yield self._rows(prepared)

    def distances(self, generated: Tensor, reference: Tensor) -> Tensor:
        """(T) distance of each frame to its partner; ValueError for another kind of network, or videos that do not go together."""
        check_pair(generated, reference)
        if self.measures != PAIRS:
            raise ValueError(f"{self.name} measures {self.measures}, expected a network for {PAIRS}")
        found = []
        with self._ready():
            for some in _portions(range(len(generated)), self._at_once(generated, 2)):
                part = slice(some.start, some[-1] + 1)
                answer = self._call(self._prepare(generated[part]), self._prepare(reference[part]))
                if answer.numel() != len(some):
                    raise ValueError(f"{self.name} returned {tuple(answer.shape)} for {len(some)} pairs, expected one distance each")
                found.append(answer.reshape(-1).float().cpu())
        return _finite(torch.cat(found), self.name)

    def _at_once(self, frames: Tensor, each: int) -> int:
        return max(1, _BATCH_PIXELS // (each * (self.side**2 or frames.shape[1] * frames.shape[2])))

    @contextmanager
    def _ready(self) -> Iterator[None]:
        """The module on its device, and back on the CPU afterwards."""
        movable = isinstance(self.module, torch.nn.Module) and torch.device(self.device).type != "cpu"
        if movable:
            self.module.to(self.device)
        try:
            yield
        finally:
            if movable:
                self.module.to("cpu")

    def _prepare(self, frames: Tensor) -> Tensor:
        """(N, H, W, 3) -> (N, 3, h, w) of the size and the values that the network was trained on."""
        pictures = unit_values(frames)
        if self.side:
            pictures = resample(pictures, self.side, self.side)
        if self.values == VALUES[0]:
            pictures = pictures * 2 - 1
        elif self.values == VALUES[2]:
            pictures = (pictures.clamp(0, 1) * 255).round().byte()
        elif self.values == VALUES[3]:
            pictures = (pictures - pictures.new_tensor(_MEAN)) / pictures.new_tensor(_DEVIATION)
        return pictures.permute(0, 3, 1, 2).contiguous()

    def _rows(self, prepared: Tensor) -> Tensor:
        answer = self._call(prepared)
        if answer.ndim < 2 or len(answer) != len(prepared) or answer.shape[1] != answer[0].numel():
            raise ValueError(
                f"{self.name} returned {tuple(answer.shape)} for {tuple(prepared.shape)}, expected (N, D): a file that ends in pooled features"
            )
        return _finite(answer.flatten(1).float().cpu(), self.name)

    def _call(self, *pictures: Tensor) -> Tensor:
        forward = getattr(self.module, "forward", None)
        asked = {one.name for one in forward.schema.arguments} if hasattr(forward, "schema") else set()
        more = {name: value for name, value in _GIVEN.items() if name in asked}
        try:
            # Inputs of changing sizes are no reason to compile again, nor to fail.
            with torch.inference_mode(), torch.jit.optimized_execution(False):
                answer = self.module(*(one.to(self.device) for one in pictures), **more)
        except (RuntimeError, TypeError, torch.jit.Error) as error:
            if isinstance(error, torch.cuda.OutOfMemoryError):
                raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            shapes = " and ".join(str(tuple(one.shape)) for one in pictures)
            bytes_given = (
                " (8 bit gives bytes; networks that begin with floats want other values)" if pictures[0].dtype == torch.uint8 else ""
            )
            raise ValueError(
                f"{self.name} failed on {shapes} {pictures[0].dtype}: {reason}. Check measures, values{bytes_given} and side"
            ) from error
        if not isinstance(answer, Tensor):
            raise ValueError(f"{self.name} returned {type(answer).__name__}, expected one tensor: a file that ends in features")
        return answer


def load_metric_network(path: str | Path, *, measures: str, values: str | None = None, side: int | None = None, **options) -> MetricNetwork:
    """Read TorchScript, a program that this machine runs, though it cannot call Python; or LPIPS from safetensors.

    Args:
        values, side: of `MetricNetwork`, None for what is USUAL. Other values than these are part of the name. options: more of `MetricNetwork`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no TorchScript, safetensors of anything but LPIPS, or options that are none.
    """
    path = Path(path)
    if measures not in MEASURES:
        raise ValueError(f"{path.name}: measures is '{measures}', expected one of {', '.join(MEASURES)}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: put a TorchScript file there")
    usual = USUAL[measures]
    values, side = usual[0] if values is None else values, usual[1] if side is None else side
    name = path.name if values == usual[0] else f"{path.name} ({values})"
    return MetricNetwork(module=_module(path, measures), name=name, measures=measures, values=values, side=side, **options)


def _module(path: Path, measures: str) -> Callable[..., Tensor]:
    suffix = path.suffix.lower()
    if suffix == ".safetensors" and measures == PAIRS:
        return load_lpips(path)
    if suffix in (".safetensors", ".onnx", ".pth", ".ckpt"):
        raise ValueError(
            f"{path.name} does not say how its network is built: save it with torch.jit.trace or torch.jit.script; safetensors can hold LPIPS alone"
        )
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path.name}: it cannot be read as TorchScript ({reason}): get it again, or save it with torch.jit") from None


def _portions(starts: range, size: int) -> Iterator[range]:
    return (starts[begin : begin + size] for begin in range(0, len(starts), size))


def _finite(answer: Tensor, name: str) -> Tensor:
    if not answer.isfinite().all():
        raise ValueError(f"{name} returned values that are no numbers: check which values it expects")
    return answer
