"""Videos written here and read back, by frame, in any order."""

import random
import struct
import tracemalloc
import weakref
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from motion4d.core.formats import video_writer
from motion4d.core.formats.video import read_video, write_video
from motion4d.core.formats.video_writer import rate_as_ratio


def pictures(count=40, height=48, width=64, seed=0):
    """Smooth moving colours, different in every frame; (T, H, W, 3) float."""
    time = torch.linspace(0, 1, count)[:, None, None]
    y, x = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    phases = torch.rand(3, generator=torch.Generator().manual_seed(seed))
    return torch.stack([0.5 + 0.45 * torch.sin(2 * (x + 0.5 * y * k + 9 * time + phase)) for k, phase in enumerate(phases)], -1)


def psnr(a, b):
    return -10 * torch.log10((a.float() - b.float()).square().mean() + 1e-12)


def encode(path, frames, codec="libx264", *, pixels="yuv420p", options=None, stamps=None, rate=30, unit=None):
    """Write (T, H, W, 3) uint8 with PyAV alone; stamps: the pts of each frame in `unit` seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options = pixels, options or {}
        if unit is not None:
            stream.codec_context.time_base = unit
        for number, pixels_rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels_rgb.numpy(), "rgb24")
            frame.pts = stamps[number] if stamps else number
            frame.time_base = unit or Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def decoded(path):
    """What PyAV decodes from the start."""
    with av.open(str(path)) as container:
        return [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """90 frames of h264 with B-frames and a keyframe every 24."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    encode(path, (pictures(90) * 255).byte(), options={"g": "24", "bf": "3", "b-adapt": "0", "sc_threshold": "0"})
    return path


# --- reading


def test_any_order_equals_decoding_from_the_start(clip):
    expected = decoded(clip)
    reader = read_video(clip)
    assert len(reader) == len(expected) == 90
    order = list(range(90)) + list(range(89, -1, -1)) + random.Random(0).choices(range(-90, 90), k=120)
    for number in order:
        assert torch.equal(reader[number], expected[number])
    assert all(torch.equal(frame, wanted) for frame, wanted in zip(reader, expected, strict=True))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("open_gop.mp4", "libx264", {"x264-params": "open-gop=1:keyint=8:min-keyint=8:bframes=3:b-adapt=0:scenecut=0"}),
        ("tiny_gop.mp4", "libx264", {"x264-params": "keyint=2:min-keyint=1:bframes=2:b-adapt=0"}),
        ("plain.mkv", "libx264", {"g": "12"}),
        ("plain.ts", "libx264", {"g": "12"}),
        ("hidden.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "20"}),
        ("vp9.webm", "libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "20", "cpu-used": "5"}),
        ("old.avi", "mpeg4", {"g": "12", "bf": "2"}),
        ("old.mp4", "mpeg4", {"g": "12", "bf": "2"}),
        ("stills.avi", "mjpeg", {}),
        ("film.mpg", "mpeg2video", {"g": "12", "bf": "2"}),
    ],
)
def test_every_codec_and_container_is_exact(tmp_path, name, codec, options):
    path = tmp_path / name
    encode(path, (pictures(50) * 255).byte(), codec, options=options, pixels="yuvj420p" if codec == "mjpeg" else "yuv420p")
    expected, reader = decoded(path), read_video(path)
    assert len(reader) == len(expected) == 50
    assert reader.fps == pytest.approx(30, rel=1e-3)
    for number in [*range(49, -1, -7), 3, 4, 5, 30, 29, 28, 0]:
        assert torch.equal(reader[number], expected[number]), number


def test_the_length_is_what_decodes_whatever_the_container_says(tmp_path, clip):
    """An AVI header with another frame count, and a Matroska duration of an hour."""
    encode(tmp_path / "lies.avi", (pictures(20) * 255).byte(), "mjpeg", pixels="yuvj420p")
    data = bytearray((tmp_path / "lies.avi").read_bytes())
    for tag, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):
        at = data.index(tag) + offset
        assert struct.unpack_from("<I", data, at)[0] == 20
        struct.pack_into("<I", data, at, 999)
    (tmp_path / "lies.avi").write_bytes(data)
    assert len(read_video(tmp_path / "lies.avi")) == 20
    assert sum(1 for _ in read_video(tmp_path / "lies.avi")) == 20
    encode(tmp_path / "lies.mkv", (pictures(20) * 255).byte())
    data = (tmp_path / "lies.mkv").read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # Duration, a double in milliseconds
    (tmp_path / "lies.mkv").write_bytes(data[:at] + struct.pack(">d", 3.6e6) + data[at + 8 :])
    assert len(read_video(tmp_path / "lies.mkv")) == 20


def test_an_edit_list_hides_frames(tmp_path, clip):
    """The first two seconds cut off without encoding again, as phones do it: frames before the cut are in the file and not in the video."""
    path = tmp_path / "trimmed.mp4"
    with av.open(str(clip)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        shift = None
        for packet in source.demux(video=0):
            if packet.size:
                shift = int(1 / packet.time_base) if shift is None else shift
                packet.stream, packet.pts, packet.dts = stream, packet.pts - shift, packet.dts - shift
                container.mux(packet)
    expected, reader = decoded(path), read_video(path)
    assert 0 < len(expected) < 90
    assert len(reader) == len(expected)
    for number in (0, 5, len(expected) - 1, 1):
        assert torch.equal(reader[number], expected[number])


def test_start_and_stop_choose_frames(clip):
    whole, part = read_video(clip), read_video(clip, start=30, stop=35)
    assert len(part) == 5
    assert all(torch.equal(frame, whole[30 + number]) for number, frame in enumerate(part))
    assert torch.equal(part[-1], whole[34])
    assert len(read_video(clip, start=80, stop=1000)) == 10
    with pytest.raises(IndexError):
        part[5]
    with pytest.raises(ValueError, match=r"clip\.mp4: frame 90 was asked for, it has 90"):
        read_video(clip, start=90)
    for start, stop in ((-1, None), (5, 5)):
        with pytest.raises(ValueError, match="expected 0 <= start < stop"):
            read_video(clip, start=start, stop=stop)


def test_frames_are_floats_in_the_order_asked_for(clip):
    reader = read_video(clip)
    chosen = reader.frames([7, 3, -1])
    assert chosen.shape == (3, 48, 64, 3)
    assert chosen.dtype == torch.float32
    for row, number in enumerate((7, 3, 89)):
        assert torch.equal(chosen[row], reader[number].float() / 255)
    assert reader.frames().shape == (90, 48, 64, 3)


def test_max_side_only_makes_smaller(clip):
    small = read_video(clip, max_side=32)
    assert (small.image_size, small.source_size) == ((24, 32), (48, 64))
    assert small[0].shape == (24, 32, 3)
    exact = torch.nn.functional.avg_pool2d(read_video(clip).frames([0])[0].permute(2, 0, 1), 2).permute(1, 2, 0)
    assert (small.frames([0])[0] - exact).abs().max() < 0.03
    assert read_video(clip, max_side=500).image_size == (48, 64)
    with pytest.raises(ValueError, match="max_side is 0"):
        read_video(clip, max_side=0)


def turn_header(data, matrix):
    """The track header of an MP4 with another display matrix."""
    at = data.index(b"tkhd")
    return (
        data[: at + 44]
        + struct.pack(">9i", *(int(value * (1 << (30 if number % 3 == 2 else 16))) for number, value in enumerate(matrix)))
        + data[at + 80 :]
    )


@pytest.mark.parametrize(
    ("matrix", "turns"),
    # Rows map (1, 0) and (0, 1) of the stored picture, y down: (0, 1, 0, -1, 0, 0, ...) takes right to down, which is clockwise.
    [
        ((0, 1, 0, -1, 0, 0, 0, 0, 1), -1),
        ((0, -1, 0, 1, 0, 0, 0, 0, 1), 1),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), 2),
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), 0),
    ],
)
def test_a_turned_phone_gives_upright_frames(tmp_path, clip, matrix, turns):
    path = tmp_path / "phone.mp4"
    path.write_bytes(turn_header(clip.read_bytes(), matrix))
    reader = read_video(path, start=40, stop=42)
    expected = torch.rot90(read_video(clip)[40], turns)
    assert torch.equal(reader[0], expected)
    assert reader.image_size == reader.source_size == tuple(expected.shape[:2])
    small = read_video(path, max_side=32)
    assert small[0].shape == (*small.image_size, 3)
    assert max(small.image_size) == 32


def test_a_variable_frame_rate_is_noted(tmp_path, clip):
    stamps = [0, 10, 20, 100, 110, 200, 210, 400]
    encode(tmp_path / "phone.mp4", (pictures(8) * 255).byte(), stamps=stamps, unit=Fraction(1, 1000), options={"bf": "0"})
    reader = read_video(tmp_path / "phone.mp4")
    assert len(reader) == 8
    assert reader.variable_rate
    assert "variable frame rate" in reader.notes[0]
    assert reader.fps == pytest.approx(7 / 0.4)
    steady = read_video(clip)
    assert not steady.variable_rate
    assert steady.notes == ()
    assert steady.fps == 30


def test_reading_on_takes_no_more_memory_than_a_few_frames(tmp_path):
    path = tmp_path / "long.mp4"
    write_video((frame for frame in pictures(150, 120, 160)), path, 30)
    reader = read_video(path)
    next(iter(reader))
    tracemalloc.start()
    for _ in reader:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 120 * 160 * 3


def test_two_iterations_do_not_disturb_each_other(clip):
    reader = read_video(clip)
    for number, (first, second) in enumerate(zip(reader, reader, strict=True)):
        assert torch.equal(first, second)
        if number == 30:
            assert torch.equal(reader[3], decoded(clip)[3])
        if number == 40:
            break
    with reader:
        reader[0]
    assert torch.equal(reader[1], decoded(clip)[1])


def test_the_real_dance(reference):
    path = reference("data", "dance_a.mp4")
    reader = read_video(path)
    assert (len(reader), reader.fps, reader.image_size, reader.audio()) == (127, 30.0, (1080, 604), None)
    expected = decoded(path)
    assert len(expected) == 127
    for number in (126, 60, 61, 0):
        assert torch.equal(reader[number], expected[number])


# --- refusals


def test_what_is_no_video_is_refused(tmp_path, clip):
    data = clip.read_bytes()
    png = av.VideoFrame(16, 16, "rgb24")
    with av.open(str(tmp_path / "still.png"), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width = stream.height = 16
        stream.pix_fmt = "rgb24"
        container.mux(stream.encode(png))
        container.mux(stream.encode(None))
    with av.open(str(tmp_path / "sound.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:3,\n{clip}\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.txt").write_text(f"ffconcat version 1.0\nfile '{clip}'\n")
    for name, content in (("empty.mp4", b""), ("text.mp4", b"not a video" * 50), ("cut.mp4", data[: len(data) // 2]), ("short.mp4", data[:-3]),
                          ("head.mp4", data[:40]), ("zeros.mp4", bytes(5000))):  # fmt: skip
        (tmp_path / name).write_bytes(content)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 10
    for name in names:
        with pytest.raises(ValueError, match=rf"^{name}: "):
            read_video(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_video(tmp_path / "nowhere.mp4")
    with pytest.raises(FileNotFoundError):
        read_video(tmp_path)


def test_a_video_cut_off_behind_its_index_says_so(tmp_path):
    write_video(pictures(30), tmp_path / "whole.mp4", 30)
    data = (tmp_path / "whole.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(ValueError, match=r"cut\.mp4: it is cut off"):
        read_video(tmp_path / "cut.mp4")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_videos_raise_value_errors_only(tmp_path, data):
    source = tmp_path / "whole.mp4"
    if not source.exists():
        encode(source, (pictures(12, 32, 32) * 255).byte())
    content = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    try:
        reader = read_video(path, max_side=64)
        for frame in (*reader, reader[len(reader) // 2]):
            assert frame.shape == (*reader.image_size, 3)
        reader.audio()
    except ValueError as error:
        assert "damaged.mp4" in str(error)


# --- writing


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (2, 2), (1, 1), (33, 16)])
def test_h264_keeps_the_pictures(tmp_path, size):
    frames = pictures(6, *size)
    if min(size) <= 2:  # four pixels share one colour
        frames = frames.mean((1, 2, 3), keepdim=True).expand_as(frames)
    write_video(frames, tmp_path / "v.mp4", 24, crf=10)
    reader = read_video(tmp_path / "v.mp4")
    assert (len(reader), reader.fps) == (6, 24)
    padded = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert reader.image_size == padded
    found = reader.frames()[:, : size[0], : size[1]]
    assert psnr(found, frames) > 35
    write_video((frames * 255).round().to(torch.uint8), tmp_path / "bytes.mp4", 24, crf=10)
    assert (tmp_path / "bytes.mp4").read_bytes() == (tmp_path / "v.mp4").read_bytes()


def test_padding_repeats_the_edge(tmp_path):
    frames = pictures(3, 31, 45)
    write_video(frames, tmp_path / "v.mp4", 24, crf=1)
    found = read_video(tmp_path / "v.mp4").frames()
    assert (found[:, 31] - found[:, 30]).abs().mean() < 0.02
    assert (found[:, :, 45] - found[:, :, 44]).abs().mean() < 0.02


def test_flat_colours_survive(tmp_path):
    """The colour matrix of the file is that of the pixels: with another one red and green are off by ten and more."""
    colors = torch.tensor(
        [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [128, 128, 128], [200, 40, 90], [30, 180, 220]]
    )
    picture = colors.reshape(2, 4, 3).repeat_interleave(32, 0).repeat_interleave(32, 1).to(torch.uint8)
    write_video(picture.expand(5, -1, -1, -1), tmp_path / "v.mp4", 25, crf=4)
    found = read_video(tmp_path / "v.mp4")[2][16::32, 16::32].reshape(-1, 3).int()
    assert (found - colors).abs().max() <= 3
    with av.open(str(tmp_path / "v.mp4")) as container:
        frame, tags = next(container.decode(video=0)), container.streams.video[0].codec_context
        assert (tags.colorspace, tags.color_primaries, tags.color_trc, tags.color_range, frame.format.name) == (1, 1, 1, 1, "yuv420p")


def test_crf_trades_size_for_quality(tmp_path):
    frames = pictures(10, 96, 96) + 0.05 * torch.randn(10, 96, 96, 3, generator=torch.Generator().manual_seed(1))
    sizes, quality = [], []
    for crf in (5, 18, 40):
        write_video(frames, tmp_path / f"{crf}.mp4", 30, crf=crf)
        sizes.append((tmp_path / f"{crf}.mp4").stat().st_size)
        quality.append(psnr(read_video(tmp_path / f"{crf}.mp4").frames(), frames.clamp(0, 1)))
    assert sizes == sorted(sizes, reverse=True)
    assert quality == sorted(quality, reverse=True)


@pytest.mark.parametrize(
    ("fps", "ratio"),
    [
        (30, (30, 1)),
        (29.97, (30000, 1001)),
        (23.976, (24000, 1001)),
        (59.94, (60000, 1001)),
        (12.5, (25, 2)),
        (15.0, (15, 1)),
        (100 / 3, (100, 3)),
        (29.5, (59, 2)),
    ],
)
def test_frame_rates_are_ratios(tmp_path, fps, ratio):
    assert rate_as_ratio(fps) == Fraction(*ratio)
    write_video(pictures(7, 16, 16), tmp_path / "v.mp4", fps)
    reader = read_video(tmp_path / "v.mp4")
    assert reader.fps == pytest.approx(ratio[0] / ratio[1], rel=1e-6)
    assert not reader.variable_rate


def test_depth_round_trips_exactly(tmp_path):
    depth = torch.randint(0, 65536, (5, 31, 45), generator=torch.Generator().manual_seed(0)).to(torch.uint16)
    write_video(depth, tmp_path / "depth.mkv", 30, depth=True)
    reader = read_video(tmp_path / "depth.mkv")
    assert reader.image_size == (31, 45)
    assert torch.equal(reader.gray16().int(), depth.int())
    assert torch.equal(reader.gray16([3, 1]).int(), depth[[3, 1]].int())
    write_video(depth.double() / 65535, tmp_path / "float.mkv", 30, depth=True)
    assert (tmp_path / "float.mkv").read_bytes() == (tmp_path / "depth.mkv").read_bytes()
    write_video((depth.double() / 65535).float(), tmp_path / "single.mkv", 30, depth=True)
    assert torch.equal(read_video(tmp_path / "single.mkv").gray16().int(), depth.int())


def test_gray16_refuses_other_videos(clip):
    with pytest.raises(ValueError, match=r"clip\.mp4: its pixels are yuv420p"):
        read_video(clip).gray16()


@pytest.mark.parametrize(("suffix", "decoder", "tolerance"), [(".mov", "prores", 0.012), (".webm", "libvpx-vp9", 0.03)])
def test_alpha_survives(tmp_path, suffix, decoder, tolerance):
    ramp = torch.linspace(0, 1, 64).expand(4, 48, 64)
    frames = torch.cat([pictures(4), ramp[..., None]], -1)
    path = tmp_path / f"v{suffix}"
    write_video(frames, path, 30, crf=8, alpha=True)
    found = []
    with av.open(str(path)) as container:
        codec = av.CodecContext.create(decoder, "r")
        codec.extradata = container.streams.video[0].codec_context.extradata
        codec.width, codec.height = 64, 48
        for packet in container.demux(video=0):
            for frame in codec.decode(packet if packet.size else None):
                pixels = frame.to_ndarray(format="rgba", src_colorspace=1, dst_colorspace=1, src_color_range=1, dst_color_range=2)
                found.append(torch.from_numpy(pixels))
    assert len(found) == 4
    assert (torch.stack(found)[..., 3].float() / 255 - ramp).abs().max() < tolerance
    assert len(read_video(path)) == 4
    assert psnr(torch.stack(found)[..., :3].float() / 255, frames[..., :3]) > 30


@pytest.mark.parametrize(("rate", "channels", "suffix"), [(44100, 2, ".mp4"), (48000, 1, ".mkv"), (24000, 1, ".webm"), (12345, 2, ".mp4")])
def test_sound_comes_along(tmp_path, rate, channels, suffix):
    """A rising tone longer than the video is cut to it and keeps its place in time."""
    time = torch.arange(3 * rate) / rate
    wave = 0.4 * torch.sin(2 * torch.pi * (300 + 400 * time) * time) * (time > 0.5)
    frames, alpha = pictures(30, 32, 32), suffix == ".webm"
    if alpha:
        frames = torch.cat([frames, torch.ones(30, 32, 32, 1)], -1)
    path = tmp_path / f"v{suffix}"
    write_video(frames, path, 15, audio=(wave.expand(1, channels, -1), rate), alpha=alpha)
    with av.open(str(path)) as container:
        assert container.duration / 1e6 == pytest.approx(2, abs=0.1)
        assert container.streams.audio[0].codec_context.name == ("opus" if suffix == ".webm" else "aac")
    found, found_rate = read_video(path).audio()
    assert found.shape[:2] == (1, channels)
    assert found.shape[2] / found_rate == pytest.approx(2, abs=0.03)
    expected = torch.nn.functional.interpolate(wave[None, None, : 2 * rate], size=2 * found_rate, mode="linear")[0, 0]
    spectra = [torch.fft.rfft(track, 4 * found_rate) for track in (found[0, 0], expected)]
    lag = torch.fft.irfft(spectra[0] * spectra[1].conj()).argmax().item()
    assert min(lag, 4 * found_rate - lag) / found_rate < 0.001
    assert found[..., : int(0.45 * found_rate)].abs().max() < 0.05
    assert found[..., int(0.6 * found_rate) :].abs().max() == pytest.approx(0.4, abs=0.1)
    part, _ = read_video(path, start=15, stop=30).audio()
    assert part.shape[2] / found_rate == pytest.approx(1, abs=0.03)
    assert torch.equal(part, found[..., found_rate:][..., : part.shape[2]])


def test_silent_videos_have_no_audio(clip):
    assert read_video(clip).audio() is None


@pytest.mark.parametrize(
    ("frames", "path", "options", "message"),
    [
        (torch.zeros(0, 4, 4, 3), "v.mp4", {}, "no frames"),
        (iter([]), "v.mp4", {}, "no frames"),
        (torch.zeros(2, 4, 4), "v.mp4", {}, r"expected \(T, H, W, 3\)"),
        (torch.zeros(2, 4, 4, 4), "v.mp4", {}, r"expected \(H, W, 3\)"),
        (torch.zeros(2, 0, 4, 3), "v.mp4", {}, r"expected \(H, W, 3\)"),
        (torch.full((2, 4, 4, 3), float("nan")), "v.mp4", {}, "frame 0 has NaN"),
        (torch.full((2, 4, 4, 3), float("inf")), "v.mp4", {}, "frame 0 has NaN"),
        (torch.zeros(2, 4, 4, 3, dtype=torch.int64), "v.mp4", {}, "int64"),
        ([torch.zeros(4, 4, 3), torch.zeros(4, 6, 3)], "v.mp4", {}, "frame 1 is"),
        ([torch.zeros(4, 4, 3), torch.full((4, 4, 3), float("nan"))], "v.mp4", {}, "frame 1 has NaN"),
        (torch.zeros(2, 4, 4, 3), "v.gif", {}, "'.gif', expected .mp4 or .mov or .mkv"),
        (torch.zeros(2, 4, 4, 3), "v.mp4", {"fps": 0}, "fps is 0"),
        (torch.zeros(2, 4, 4, 3), "v.mp4", {"fps": float("nan")}, "fps is nan"),
        (torch.zeros(2, 4, 4, 3), "v.mp4", {"crf": 60}, "crf is 60"),
        (torch.zeros(2, 4, 4, 3), "v.mp4", {"depth": True}, "depth cannot be written as '.mp4'"),
        (torch.zeros(2, 4, 4, 4), "v.mp4", {"alpha": True}, "expected .webm or .mov"),
        (torch.zeros(2, 4, 4, 4), "v.mov", {"alpha": True, "depth": True}, "do not go together"),
        (torch.zeros(2, 4, 4, 3), "v.mov", {"alpha": True}, r"expected \(H, W, 4\)"),
        (torch.full((2, 4, 4), 3.2), "v.mkv", {"depth": True}, "scale depth to 0..1"),
        (torch.zeros(2, 4, 4, 3), "v.mkv", {"depth": True}, r"expected \(T, H, W\)"),
        (torch.zeros(2, 4, 4, 3), "v.mp4", {"audio": (torch.zeros(1, 99, 5), 48000)}, "audio has the shape"),
        (torch.zeros(2, 4, 4, 3), "v.mp4", {"audio": (torch.full((1, 1, 50), float("nan")), 48000)}, "audio has NaN"),
        (torch.zeros(2, 4, 4, 3), "v.mp4", {"audio": (torch.zeros(1, 1, 5), 0)}, "sample rate 0"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, frames, path, options, message):
    fps = options.pop("fps", 30)
    with pytest.raises(ValueError, match=message):
        write_video(frames, tmp_path / path, fps, **options)
    assert list(tmp_path.iterdir()) == []


def test_frames_too_large_for_the_encoder_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"v\.mp4: libx264 cannot write 20000x2"):
        write_video(torch.zeros(1, 2, 20000, 3), tmp_path / "v.mp4", 30)
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_fails_leaves_the_old_file(tmp_path):
    def failing():
        yield torch.zeros(16, 16, 3)
        raise RuntimeError("interrupted")

    path = tmp_path / "v.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="interrupted"):
        write_video(failing(), path, 30)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_encoder_names_the_remedy():
    with pytest.raises(ValueError, match="no encoder libnothing: pip install"):
        video_writer._encoder("libnothing")


def test_frames_are_taken_one_at_a_time(tmp_path):
    """Of a long source only the frames at hand are alive."""
    made, alive = [], []

    def source():
        for number in range(60):
            frame = torch.full((32, 32, 3), number / 60)
            made.append(weakref.ref(frame))
            alive.append(sum(reference() is not None for reference in made))
            yield frame

    write_video(source(), tmp_path / "v.mp4", 30)
    assert len(read_video(tmp_path / "v.mp4")) == 60
    assert max(alive) <= 4
