"""Videos written frame by frame: h264 for looking at, 16-bit FFV1 for depth, VP9 or ProRes 4444 with alpha."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .atomic import replacing

_BT709, _LIMITED = 1, 1  # colour tags: a player that knows them shows what was written
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 6: "5.1", 8: "7.1"}


@dataclass(frozen=True)
class _Coding:
    """How pictures become packets: encoder, its pixels, ours, and whether both sides have to be even."""

    encoder: str
    pixels: str
    source: str
    options: dict[str, str]
    even: bool = False


def write_video(
    frames: Iterable[Tensor] | Tensor,
    path: str | Path,
    fps: float,
    *,
    crf: float = 18,
    audio: tuple[Tensor, int] | None = None,
    depth: bool = False,
    alpha: bool = False,
) -> None:
    """Write a video; the file appears when it is complete.

    Args:
        frames: (T, H, W, 3) float in 0..1 (cut off beyond) or uint8, or an iterable of such frames, which is never held as a whole. With
            `depth` (T, H, W) uint16, or float in 0..1 which is stored as multiples of 1 / 65535. With `alpha` (T, H, W, 4).
        path: .mp4, .mov or .mkv (h264, 4:2:0: an odd side gets one more row or column, a copy of the last). With `depth` .mkv (lossless 16-bit
            FFV1). With `alpha` .webm (VP9, sides made even as above) or .mov (ProRes 4444).
        fps: 29.97 and its kind mean 30000 / 1001.
        crf: 0 (lossless) .. 51, for h264 and VP9; 18 is hard to tell from the original.
        audio: waveform (1, C, N) in -1..1 and samples per second, cut to the length of the video.

    Raises:
        ValueError: no frames, frames of different sizes, other shapes, NaN, a suffix that does not fit, or an encoder that PyAV lacks.
    """
    import av

    path = Path(path)
    coding, rate = _coding(path.suffix.lower(), crf, depth=depth, alpha=alpha), rate_as_ratio(fps)
    pictures = _pictures(frames, {"rgb24": 3, "rgba": 4, "gray16le": 0}[coding.source])
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"{path.name}: there are no frames to write; expected at least 1")
    options = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if path.suffix.lower() in (".mp4", ".mov") else {})
    with replacing(path) as temporary:
        try:
            with av.open(str(temporary), "w", container_options=options) as container:
                stream = _video_stream(container, coding, rate, first)
                sound = None if audio is None else _Sound(container, path.suffix.lower(), *audio)
                for number, picture in enumerate(chain([first], pictures)):
                    container.mux(stream.encode(_video_frame(picture, coding, number, rate)))
                    if sound is not None:
                        sound.write(until=float((number + 1) / rate))
                container.mux(stream.encode(None))
                if sound is not None:
                    sound.finish()
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):  # a full disk is no fault of the frames
                raise
            height, width = first.shape[:2]
            raise ValueError(f"{path.name}: {coding.encoder} cannot write {width}x{height} at {rate} fps ({error.strerror})") from error


def rate_as_ratio(fps: float) -> Fraction:
    """Frames per second as a ratio: 29.97 is 30000 / 1001, 12.5 is 25 / 2."""
    if not (math.isfinite(fps) and 0.001 <= fps <= 1000):
        raise ValueError(f"fps is {fps}, expected 0.001..1000")
    broadcast = Fraction(math.ceil(fps) * 1000, 1001)
    if fps % 1 and abs(float(broadcast) - fps) < 0.005:
        return broadcast
    return Fraction(fps).limit_denominator(1001)


def _coding(suffix: str, crf: float, *, depth: bool, alpha: bool) -> _Coding:
    if depth and alpha:
        raise ValueError("depth and alpha do not go together: write two videos")
    if not 0 <= crf <= 51:
        raise ValueError(f"crf is {crf}, expected 0..51")
    h264 = _Coding("libx264", "yuv420p", "rgb24", {"crf": str(crf)}, even=True)
    known = {".mp4": h264, ".mov": h264, ".mkv": h264}
    if depth:
        known = {".mkv": _Coding("ffv1", "gray16le", "gray16le", {"level": "3", "slicecrc": "1", "g": "1"})}
    elif alpha:
        vp9 = {"crf": str(crf), "b": "0", "auto-alt-ref": "0", "row-mt": "1", "cpu-used": "3"}
        known = {
            ".webm": _Coding("libvpx-vp9", "yuva420p", "rgba", vp9, even=True),
            ".mov": _Coding("prores_ks", "yuva444p10le", "rgba", {"profile": "4444"}),
        }
    if suffix not in known:
        kind = "depth" if depth else "a video with alpha" if alpha else "a video"
        raise ValueError(f"{kind} cannot be written as '{suffix}', expected {' or '.join(known)}")
    return known[suffix]


# --- pictures


def _pictures(frames: Iterable[Tensor] | Tensor, channels: int) -> Iterator[np.ndarray]:
    """Frames as (H, W, C) uint8, or (H, W) uint16 where channels is 0, all of one size."""
    wanted = f"H, W, {channels}" if channels else "H, W"
    if isinstance(frames, (Tensor, np.ndarray)) and frames.ndim != (4 if channels else 3):
        raise ValueError(f"frames have the shape {tuple(frames.shape)}, expected (T, {wanted})")
    size = None
    for number, frame in enumerate(frames):
        frame = torch.as_tensor(frame).detach().cpu()
        fits = frame.ndim == (3 if channels else 2) and (not channels or frame.shape[2] == channels) and frame.numel() > 0
        if not fits:
            raise ValueError(f"frame {number} has the shape {tuple(frame.shape)}, expected ({wanted})")
        if size not in (None, frame.shape):
            raise ValueError(f"frame {number} is {tuple(frame.shape[:2])}, the ones before it {tuple(size[:2])}: make all frames one size")
        size = frame.shape
        yield _whole_numbers(frame, number, torch.uint8 if channels else torch.uint16)


def _whole_numbers(frame: Tensor, number: int, wanted: torch.dtype) -> np.ndarray:
    if frame.dtype == wanted:
        return frame.numpy()
    if not frame.is_floating_point():
        raise ValueError(f"frame {number} is {frame.dtype}, expected float in 0..1 or {wanted}")
    if not torch.isfinite(frame).all():
        raise ValueError(f"frame {number} has NaN or infinite values")
    if wanted == torch.uint8:
        return (frame.float().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    if frame.min() < 0 or frame.max() > 1:
        raise ValueError(f"depth frame {number} reaches from {frame.min():.4g} to {frame.max():.4g}: scale depth to 0..1, or give uint16")
    return (frame.double() * 65535).round().numpy().astype(np.uint16)


def _video_stream(container, coding: _Coding, rate: Fraction, first: np.ndarray):
    stream = container.add_stream(_encoder(coding.encoder), rate=rate)
    height, width = first.shape[:2]
    stream.width, stream.height = (width + width % 2, height + height % 2) if coding.even else (width, height)
    stream.pix_fmt, stream.options = coding.pixels, coding.options
    context = stream.codec_context
    if coding.source != "gray16le":
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
    # PyAV's own default and so ComfyUI's: from the same frames both programs write the same packets.
    context.thread_type = "SLICE"
    return stream


def _encoder(name: str) -> str:
    import av

    try:
        av.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        raise ValueError(f"this build of PyAV has no encoder {name}: pip install --force-reinstall av (its wheels have it)") from None
    return name


def _video_frame(picture: np.ndarray, coding: _Coding, number: int, rate: Fraction):
    import av

    height, width = picture.shape[:2]
    if coding.even and (height % 2 or width % 2):
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=coding.source)
    if coding.pixels != coding.source:
        frame = frame.reformat(format=coding.pixels, dst_colorspace=_BT709, dst_color_range=_LIMITED)
    frame.pts, frame.time_base = number, 1 / rate
    return frame


# --- sound


class _Sound:
    """A waveform fed to its encoder along with the pictures, so that both lie close together in the file."""

    def __init__(self, container, suffix: str, waveform: Tensor, rate: int):
        wave = torch.as_tensor(waveform).detach().cpu().float()
        wave = wave[0] if wave.ndim == 3 and len(wave) == 1 else wave
        if wave.ndim != 2 or len(wave) not in _LAYOUTS:
            raise ValueError(
                f"audio has the shape {tuple(waveform.shape)}, expected (1, C, N) with {', '.join(map(str, _LAYOUTS))} channels"
            )
        if not torch.isfinite(wave).all() or not 1000 <= rate <= 384000:
            raise ValueError(f"audio has NaN or infinite values, or its sample rate {rate} is not in 1000..384000")
        self._wave, self._rate, self._at, self._container = np.ascontiguousarray(wave.numpy()), int(rate), 0, container
        opus = suffix == ".webm"
        self._stream = container.add_stream(
            _encoder("libopus" if opus else "aac"), rate=48000 if opus or rate not in _AAC_RATES else self._rate
        )
        self._stream.layout = _LAYOUTS[len(wave)]
        self._stream.bit_rate = 96000 * len(wave)

    def write(self, *, until: float) -> None:
        """Encode on to a time in seconds."""
        import av

        end = min(round(until * self._rate), self._wave.shape[1])
        if end <= self._at:
            return
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(self._wave[:, self._at : end]), format="fltp", layout=self._stream.layout.name
        )
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._at, Fraction(1, self._rate)
        self._container.mux(self._stream.encode(frame))
        self._at = end

    def finish(self) -> None:
        """Encode what the encoder holds back."""
        self._container.mux(self._stream.encode(None))
