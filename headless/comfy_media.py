"""Stand-ins for `comfy_api.latest.Input`, `InputImpl` and `Types`: videos and 3D files, read and written by `core.formats`."""

import io as streams
import shutil
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from ..core.formats.atomic import replacing
from ..core.formats.video import read_video, write_video

# x264's own default, which ComfyUI leaves as it is.
_CRF = 23


class VideoContainer(str, Enum):  # noqa: UP042 - as in the host
    AUTO = "auto"
    MP4 = "mp4"

    @classmethod
    def as_input(cls):
        return [one.value for one in cls]

    @classmethod
    def get_extension(cls, value):
        return "mp4" if cls(value) is cls.AUTO else cls(value).value


class VideoCodec(str, Enum):  # noqa: UP042
    AUTO = "auto"
    H264 = "h264"

    @classmethod
    def as_input(cls):
        return [one.value for one in cls]


@dataclass
class VideoComponents:
    """images: (T, H, W, 3) in 0..1. audio: {"waveform": (1, C, N), "sample_rate": Hz} or None."""

    images: Tensor
    frame_rate: Fraction
    audio: dict | None = None
    metadata: dict | None = None


class VideoInput:
    """A video that knows its components; the concrete ones say how to get them."""

    def get_components(self) -> VideoComponents:
        raise NotImplementedError

    def get_dimensions(self):
        """(width, height) in pixels."""
        height, width = self.get_components().images.shape[1:3]
        return width, height

    def get_frame_rate(self):
        return self.get_components().frame_rate

    def get_frame_count(self):
        return len(self.get_components().images)

    def get_duration(self):
        """Seconds."""
        return float(self.get_frame_count() / self.get_frame_rate())

    def get_bit_depth(self):
        return 8

    def get_color_space(self):
        return "sRGB"

    def save_to(self, path, format=VideoContainer.AUTO, codec=VideoCodec.AUTO, metadata=None, bit_depth=None, crf=None, color_space=None):
        """Write H.264 in mp4; ValueError for what only ComfyUI writes. `metadata` is left out."""
        VideoContainer(format), VideoCodec(codec)
        if (bit_depth or 8) > 8 or color_space not in (None, "auto", "sRGB"):
            raise ValueError("the headless runner writes 8-bit sRGB video: run this workflow in ComfyUI for other depths and colour spaces")
        parts = self.get_components()
        audio = (parts.audio["waveform"], parts.audio["sample_rate"]) if parts.audio else None
        # Whole numbers, rounded down as ComfyUI does: both then encode the same pictures.
        pictures = ((frame * 255).clamp(0, 255).byte() for frame in parts.images)
        write_video(pictures, path, float(parts.frame_rate), crf=_CRF if crf is None else crf, audio=audio)


class VideoFromFile(VideoInput):
    """A video file; frames are decoded when they are asked for."""

    def __init__(self, file):
        self._file = file

    def get_stream_source(self):
        return self._file

    def get_components(self):
        video = read_video(self._file)
        audio = video.audio()
        sound = {"waveform": audio[0], "sample_rate": audio[1]} if audio else None
        return VideoComponents(images=video.frames(), frame_rate=Fraction(video.fps).limit_denominator(1001), audio=sound)

    def get_dimensions(self):
        height, width = read_video(self._file).image_size
        return width, height


class VideoFromComponents(VideoInput):
    """A video made of images, sound and a frame rate."""

    def __init__(self, components, bit_depth=8):
        self._components, self._bit_depth = components, bit_depth

    def get_components(self):
        return self._components

    def get_bit_depth(self):
        return self._bit_depth

    def save_to(self, path, *options, bit_depth=None, **named):
        super().save_to(path, *options, bit_depth=bit_depth or self._bit_depth, **named)


class File3D:
    """A 3D file on disk or in memory."""

    def __init__(self, source, file_format=""):
        self._source = source
        self.format = file_format or (Path(source).suffix.lstrip(".").lower() if isinstance(source, str) else "")

    @property
    def is_disk_backed(self):
        return isinstance(self._source, str)

    def get_source(self):
        return self._source if self.is_disk_backed else self.get_data()

    def get_data(self):
        if self.is_disk_backed:
            return streams.BytesIO(Path(self._source).read_bytes())
        self._source.seek(0)
        return self._source

    def get_bytes(self):
        return self.get_data().read()

    def save_to(self, path):
        with replacing(path) as temporary:
            if self.is_disk_backed:
                shutil.copyfile(self._source, temporary)
            else:
                temporary.write_bytes(self.get_bytes())
        return str(path)


class Input:
    Video = VideoInput
    Image = Mask = Tensor
    Audio = Latent = dict


class InputImpl:
    VideoFromFile = VideoFromFile
    VideoFromComponents = VideoFromComponents


class MESH:
    """Vertices (B, N, 3) and faces (B, F, 3)."""

    def __init__(self, vertices: Tensor, faces: Tensor):
        self.vertices, self.faces = vertices, faces


class Types:
    VideoCodec = VideoCodec
    VideoContainer = VideoContainer
    VideoComponents = VideoComponents
    File3D = File3D
    MESH = MESH
