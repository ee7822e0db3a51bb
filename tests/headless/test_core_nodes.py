from fractions import Fraction

import pytest
import torch
from comfy_api.latest import InputImpl, Types
from motion4d.headless import core_nodes
from motion4d.headless.executor import Executor, NodeFailure
from motion4d.headless.graph import validate


@pytest.fixture
def pictures(generator):
    """(6, 48, 64, 3): smooth colours, which video keeps."""
    small = torch.rand(6, 3, 3, 4, generator=generator)
    return torch.nn.functional.interpolate(small, size=(48, 64), mode="bilinear").movedim(1, -1).contiguous()


def run(host, flow):
    nodes = {node.GET_SCHEMA().node_id: node for node in core_nodes.NODES}
    assert validate(flow, nodes) == []
    return Executor(nodes).run(flow)


def flow(**entries):
    return {name.lstrip("n"): {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in entries.items()}


def test_an_inverted_mask_is_the_rest(generator):
    mask = torch.rand(2, 4, 6, generator=generator)
    inverted = core_nodes.InvertMask.execute(mask).args[0]
    assert torch.allclose(mask + inverted, torch.ones(2, 4, 6)) and torch.allclose(core_nodes.InvertMask.execute(inverted).args[0], mask)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tiff"])
def test_a_picture_goes_through_unchanged(host, pictures, suffix):
    picture = (pictures[0] * 255).round() / 255
    # Rounding down must meet the very number that was stored.
    core_nodes.write_picture(picture + 1e-4, host.inputs[0] / f"a{suffix}")
    result = run(host, flow(n1=("LoadImage", {"image": f"a{suffix}"}), n2=("SaveImage", {"images": ["1", 0], "filename_prefix": "sub/b"})))
    assert result.ui["2"]["images"] == [{"filename": "b_00001_.png", "subfolder": "sub", "type": "output"}]
    read, alpha = core_nodes.read_picture(host.output / "sub" / "b_00001_.png")
    assert alpha is None
    tolerance = 8 / 255 if suffix == ".webp" else 1 / 255
    assert torch.allclose(read, picture, atol=tolerance + 1e-6)


def test_transparency_becomes_a_mask(host, pictures):
    alpha = torch.zeros(48, 64, 1)
    alpha[:10] = 1
    core_nodes.write_picture(torch.cat([pictures[0], alpha], dim=-1), host.inputs[0] / "a.png")
    image, mask = core_nodes.LoadImage.execute("a.png").args
    assert image.shape == (1, 48, 64, 3) and torch.equal(mask, 1 - alpha[None, ..., 0])
    core_nodes.write_picture(pictures[0], host.inputs[0] / "b.png")
    assert torch.equal(core_nodes.LoadImage.execute("b.png").args[1], torch.zeros(1, 64, 64))


def test_every_picture_of_a_batch_gets_its_number(host, pictures):
    names = [entry["filename"] for entry in core_nodes.SaveImage.execute(pictures, "walk").ui["images"]]
    assert names == [f"walk_{number:05}_.png" for number in range(1, 7)]


def test_a_file_that_is_no_picture_is_refused(host):
    (host.inputs[0] / "a.png").write_bytes(b"no picture")
    (host.inputs[0] / "b.png").write_bytes(b"")
    for name in ("a.png", "b.png"):
        with pytest.raises(ValueError, match=name):
            core_nodes.LoadImage.execute(name)


def test_a_video_goes_through_with_its_rate_and_sound(host, pictures):
    sound = {"waveform": torch.sin(torch.arange(14700) / 20)[None, None], "sample_rate": 44100}
    parts = Types.VideoComponents(images=pictures, frame_rate=Fraction(30000, 1001), audio=sound)
    InputImpl.VideoFromComponents(parts).save_to(host.inputs[0] / "a.mp4", crf=0)
    loaded = core_nodes.LoadVideo.execute("a.mp4").args[0]
    assert loaded.get_dimensions() == (64, 48)
    images, audio, fps, depth, space = core_nodes.GetVideoComponents.execute(loaded).args
    assert loaded.get_components().frame_rate == Fraction(30000, 1001)
    assert fps == pytest.approx(30000 / 1001) and (depth, space) == (8, "sRGB")
    assert images.shape == pictures.shape and (images - pictures).abs().mean() < 0.02
    assert audio["waveform"].shape[:2] == (1, 1) and audio["sample_rate"] == 44100


@pytest.mark.parametrize(
    ("settings", "suffix"),
    [({"format": "auto", "codec": "auto"}, "mp4"), ({"format": "mp4", "format.codec": "h264"}, "mp4"), ({"format": "mkv"}, "mkv")],
)
def test_a_workflow_writes_a_video(host, pictures, settings, suffix):
    core_nodes.write_picture(pictures[0], host.inputs[0] / "a.png")
    result = run(
        host,
        flow(
            n1=("LoadImage", {"image": "a.png"}),
            n2=("CreateVideo", {"images": ["1", 0], "fps": 12}),
            n3=("SaveVideo", {"video": ["2", 0], "filename_prefix": "clip", **settings}),
        ),
    )
    assert result.ui["3"]["images"] == [{"filename": f"clip_00001_.{suffix}", "subfolder": "", "type": "output"}]
    video = InputImpl.VideoFromFile(host.output / f"clip_00001_.{suffix}")
    assert (video.get_frame_count(), video.get_frame_rate(), video.get_dimensions()) == (1, 12, (64, 48))


def test_a_finer_crf_makes_a_larger_file(host, generator):
    noise = torch.rand(4, 64, 64, 3, generator=generator)
    video = InputImpl.VideoFromComponents(Types.VideoComponents(images=noise, frame_rate=Fraction(10)))
    sizes = []
    for crf in (10.0, 40.0):
        settings = {"codec": "h264", "encoding": {"encoding": "re-encode", "crf": crf, "color_space": "auto"}}
        core_nodes.SaveVideo.execute(video, "noise", {"format": "mp4", "codec": settings})
        sizes.append(host.written()[-1].stat().st_size)
    assert sizes[0] > 2 * sizes[1]


@pytest.mark.parametrize("room", [0, 1000, -1])
@pytest.mark.parametrize("what", ["mp4", "mkv", "png"])
def test_a_full_disk_leaves_no_unfinished_file(host, generator, what, room):
    """room: bytes that fit onto the disk; -1: all but one."""
    resource = pytest.importorskip("resource", reason="Windows cannot limit the size of files")
    noise = torch.rand(1, 96, 96, 3, generator=generator)  # of several frames x264 makes, under load, now and then some bytes more or less
    video = InputImpl.VideoFromComponents(Types.VideoComponents(images=noise, frame_rate=Fraction(10)))

    def save():
        if what == "png":
            return core_nodes.SaveImage.execute(noise[:1], "x")
        return core_nodes.SaveVideo.execute(video, "x", {"format": what, "codec": {"codec": "auto"}})

    save()
    (whole,) = host.output.iterdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room if room >= 0 else whole.stat().st_size - 1, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(host.output.iterdir()) == [whole]


@pytest.mark.parametrize("settings", [{"format": "webm", "format.codec": "auto"}, {"format": "mp4", "format.codec": "av1"}])
def test_what_only_comfyui_writes_is_refused_and_leaves_nothing(host, pictures, settings):
    core_nodes.write_picture(pictures[0], host.inputs[0] / "a.png")
    entries = flow(
        n1=("LoadImage", {"image": "a.png"}),
        n2=("CreateVideo", {"images": ["1", 0], "fps": 12}),
        n3=("SaveVideo", {"video": ["2", 0], "filename_prefix": "x", **settings}),
    )
    with pytest.raises(NodeFailure, match="ComfyUI only"):
        run(host, entries)
    assert list(host.output.iterdir()) == []


def test_a_preview_shows_and_writes_nothing(host, pictures):
    core_nodes.write_picture(pictures[0], host.inputs[0] / "a.png")
    result = run(
        host, flow(n1=("LoadImage", {"image": "a.png"}), n2=("PreviewImage", {"images": ["1", 0]}), n3=("PreviewAny", {"source": ["1", 0]}))
    )
    assert set(result.ui) == {"2", "3"} and list(host.output.iterdir()) == []
    assert core_nodes.Preview3D.execute("motion4d/a.glb").ui.as_dict() == {"result": ["motion4d/a.glb", None, None]}


def test_a_file_outside_the_input_folder_is_refused_before_the_run(host, tmp_path):
    nodes = {node.GET_SCHEMA().node_id: node for node in core_nodes.NODES}
    (tmp_path / "a.mp4").write_bytes(b"")
    for name in ("../a.mp4", str(tmp_path / "a.mp4"), "absent.mp4"):
        entries = flow(n1=("LoadVideo", {"file": name}), n2=("SaveVideo", {"video": ["1", 0], "filename_prefix": "x", "format": "auto"}))
        assert [problem.kind for problem in validate(entries, nodes)] == ["custom_validation_failed"]
