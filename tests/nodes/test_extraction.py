import io
import json
import sys
from fractions import Fraction

import pytest
import torch
from comfy_api.latest import InputImpl, Types
from motion4d.core.estimators.nlf import NLF
from motion4d.core.estimators.tiny_nlf import write_tiny_nlf
from motion4d.core.formats import write_video
from motion4d.nodes.loaders.estimators import MEDIAPIPE, LoadPoseEstimator
from motion4d.nodes.motion.curation import CurateClips
from motion4d.nodes.motion.extraction import ExtractMotion
from motion4d.nodes.motion.film_frames import TakeVideoFrames

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.*deprecated:DeprecationWarning")
SETTINGS = {"fps": 0.0, "field_of_view": 55.0, "batch": 0, "find_shots": True}


@pytest.fixture
def estimator(host):
    (host.models[0] / "nlf").mkdir()
    write_tiny_nlf(host.models[0] / "nlf" / "nlf_l_multi_0.3.2.torchscript")
    return LoadPoseEstimator.execute("nlf_l_multi_0.3.2.torchscript", False)[0]


@pytest.fixture
def film():
    """(24, 64, 96, 3) in 0..1: somebody who walks to the right, and is away in the last four frames."""
    film = torch.zeros(24, 64, 96, 3)
    for number in range(20):
        film[number, 10:60, 4 + 3 * number : 20 + 3 * number] = 0.9
    return film


@pytest.fixture
def file(film, tmp_path):
    path = tmp_path / "walk.mp4"
    write_video(film, path, 12.0, audio=(torch.rand(1, 2, 32000) - 0.5, 16000))
    return path


def _places(people):
    return torch.stack([frame.joints[0, 0, 0] for frame in people.frames if frame.count])


def test_a_file_an_image_and_components_give_the_same_motion(estimator, film, file):
    components = Types.VideoComponents(images=film, frame_rate=Fraction(12), audio=None)
    sources = (
        (InputImpl.VideoFromFile(str(file)), 0.0),
        (InputImpl.VideoFromFile(io.BytesIO(file.read_bytes())), 0.0),
        (InputImpl.VideoFromComponents(components), 0.0),
        (film, 12.0),
    )
    results = [ExtractMotion.execute(estimator, video, **(SETTINGS | {"fps": fps})) for video, fps in sources]
    for people, fps, _, _ in (one.result for one in results):
        assert fps == 12.0 and people.counts == (1,) * 20 + (0,) * 4 and people.image_size == (64, 96)
        torch.testing.assert_close(_places(people), _places(results[0][0]), atol=0.05, rtol=0)
    assert (_places(results[0][0]).diff() > 0).all()
    assert results[0][2]["waveform"].shape == (1, 2, 32000) and results[3][2] is None


def test_the_rate_is_converted_by_the_times_of_the_frames(estimator, file):
    people, fps, audio, report = ExtractMotion.execute(estimator, InputImpl.VideoFromFile(str(file)), **(SETTINGS | {"fps": 6.0})).result
    assert fps == 6.0 and len(people.frames) == 12 and audio["waveform"].shape[-1] == 32000
    assert "12 left out and 0 repeated" in report and "nobody is seen in 2 of 12 frames: 10-11" in report


def test_a_video_that_its_program_has_cut_is_read_between_the_cuts(estimator, file):
    video = InputImpl.VideoFromFile(str(file))
    video.get_active_trim_window = lambda: (0.5, 1.0)
    people, _, audio, _ = ExtractMotion.execute(estimator, video, **SETTINGS).result
    whole = ExtractMotion.execute(estimator, InputImpl.VideoFromFile(str(file)), **SETTINGS)[0]
    assert len(people.frames) == 12 and audio["waveform"].shape[-1] == 16000
    torch.testing.assert_close(_places(people), _places(whole)[6:18])


def test_the_field_of_view_decides_how_far_away_people_stand(estimator, film):
    near, far = (ExtractMotion.execute(estimator, film, **(SETTINGS | {"field_of_view": fov}))[0] for fov in (90.0, 30.0))
    assert far.frames[0].joints[0, 0, 2] > 2 * near.frames[0].joints[0, 0, 2]


def test_pictures_without_a_rate_are_taken_for_thirty_a_second(estimator, film):
    result = ExtractMotion.execute(estimator, film[:1], **SETTINGS)
    assert result[1] == 30.0 and "30 fps assumed" in result[3] and result[0].counts == (1,)


def test_nobody_is_an_error_that_says_so(estimator):
    with pytest.raises(ValueError, match="sees nobody"):
        ExtractMotion.execute(estimator, torch.zeros(3, 32, 32, 3), **SETTINGS)


class _Cancelled(Exception):
    pass


@pytest.fixture
def cancel(host, monkeypatch):
    """cancel(at): the next run is cancelled at this step."""

    class Bar:
        def __init__(self, at):
            self._left = at

        def advance(self, steps=1):
            self._left -= 1
            if self._left == 0:
                raise _Cancelled

    def cancelled(at, *arguments, **settings):
        with monkeypatch.context() as patch, pytest.raises(_Cancelled):
            patch.setattr(host, "progress", lambda total: Bar(at))
            ExtractMotion.execute(*arguments, **settings)

    return cancelled


@pytest.mark.parametrize("kind", ["file", "bytes", "image"])
def test_a_cancelled_run_goes_on_where_it_was_and_another_does_not(host, estimator, film, file, cancel, kind):
    def video():
        return {"file": str(file), "bytes": io.BytesIO(file.read_bytes())}[kind]

    def source():
        return film.clone() if kind == "image" else InputImpl.VideoFromFile(video())

    settings = SETTINGS | {"fps": 12.0}
    whole = ExtractMotion.execute(estimator, source(), **settings)[0]
    cancel(9, estimator, source(), **settings)
    other = ExtractMotion.execute(estimator, source(), **(settings | {"field_of_view": 40.0}))[3]
    again = LoadPoseEstimator.execute("nlf_l_multi_0.3.2.torchscript", False)[0]  # the same, loaded anew
    people, _, _, report = ExtractMotion.execute(again, source(), **settings).result
    assert "continued at frame 10" in report and "continued" not in other
    assert all(torch.equal(a.joints, b.joints) for a, b in zip(people.frames, whole.frames, strict=True))
    assert "continued" not in ExtractMotion.execute(estimator, source(), **settings)[3]

    cancel(9, estimator, source(), **settings)
    bgr = LoadPoseEstimator.execute("nlf_l_multi_0.3.2.torchscript", True)[0]
    assert "continued" not in ExtractMotion.execute(bgr, source(), **settings)[3]
    if kind == "image":
        film[23, 63, 95, 2] = 0.001
    else:
        write_video(film.flip(0), file, 12.0)
    assert "continued" not in ExtractMotion.execute(estimator, source(), **settings)[3]


def test_a_piece_of_a_video_is_not_taken_for_another_piece(estimator, file, cancel):
    def piece(start):
        video = InputImpl.VideoFromFile(str(file))
        video.get_active_trim_window = lambda: (start, 1.0)
        return video

    cancel(5, estimator, piece(0.0), **SETTINGS)
    assert "continued" not in ExtractMotion.execute(estimator, piece(0.5), **SETTINGS)[3]
    assert "continued at frame 6" in ExtractMotion.execute(estimator, piece(0.0), **SETTINGS)[3]


def test_estimators_are_loaded_by_name(host, estimator):
    assert isinstance(estimator, NLF) and "nlf_l_multi_0.3.2" in estimator.name
    assert LoadPoseEstimator.GET_SCHEMA().inputs[0].options == ["nlf_l_multi_0.3.2.torchscript", MEDIAPIPE]
    with pytest.raises(FileNotFoundError, match=r"models/nlf.*non-commercial"):
        LoadPoseEstimator.execute("nlf_l_multi_0.2.2.torchscript", False)


def test_without_its_package_mediapipe_says_how_to_install_it(host, monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ImportError, match=r"pip install mediapipe==0\.10\.14"):
        LoadPoseEstimator.execute(MEDIAPIPE, False)


def test_a_folder_of_videos_is_curated_into_a_manifest(host, estimator, film, file):
    folder = host.inputs[0] / "set"
    folder.mkdir()
    (folder / "b_walk.mp4").write_bytes(file.read_bytes())
    (folder / "c_broken.mp4").write_bytes(b"no video")
    write_video(torch.zeros(6, 64, 96, 3), folder / "a_empty.mp4", 12.0)
    (host.inputs[0] / "elsewhere.mp4").write_bytes(file.read_bytes())
    limits = {"frames": 10, "uncertain": 0.1, "flow": 1.0, "blur": 0.0}
    report, manifest, kept = CurateClips.execute(estimator, "set", **limits, filename_prefix="clips").result
    pieces = json.loads(open(manifest, encoding="utf-8").read())
    assert kept == 1 and [piece["film"] for piece in pieces] == ["a_empty.mp4", "b_walk.mp4", "b_walk.mp4", "c_broken.mp4"]
    assert (pieces[1]["start"], pieces[1]["stop"], pieces[1]["refused"]) == (0, 20, None) and pieces[1]["flow"] > 1
    assert "sees nobody" in pieces[0]["refused"] and "nobody is in it" in pieces[2]["refused"] and "cannot be read" in pieces[3]["refused"]
    assert "not scored" in report
    with pytest.raises(ValueError, match="folder: there are no videos in 'none'"):
        CurateClips.execute(estimator, "none", **limits, filename_prefix="clips")


def test_the_frames_of_a_video_are_those_that_the_motion_was_seen_in(estimator, film, file):
    video = InputImpl.VideoFromFile(str(file))
    people, fps, _, _ = ExtractMotion.execute(estimator, video, **(SETTINGS | {"fps": 6.0})).result
    images, report = TakeVideoFrames.execute(video, fps, 640).result
    assert images.shape == (12, 64, 96, 3) == (len(people.frames), *people.image_size, 3)
    torch.testing.assert_close(images, film[::2], atol=0.1, rtol=0)
    assert "12 frames of 96x64 at 6 fps" in report and "12 left out" in report
    smaller, _ = TakeVideoFrames.execute(film, 12.0, 64).result
    assert smaller.shape == (24, 43, 64, 3) and torch.equal(TakeVideoFrames.execute(film, 12.0, 640).result[0], (film * 255).round() / 255)


def test_frames_after_damage_are_left_out_of_both(estimator, file):
    kept = _damaged(file)
    people = ExtractMotion.execute(estimator, InputImpl.VideoFromFile(str(kept)), **SETTINGS)[0]
    images, report = TakeVideoFrames.execute(InputImpl.VideoFromFile(str(kept)), 0.0, 640).result
    assert len(images) == len(people.frames) < 24 and "reading failed" in report


def _damaged(file):
    """A copy whose last packet is noise."""
    import av

    with av.open(str(file)) as container:
        last = [packet for packet in container.demux(container.streams.video[0]) if packet.size][-1]
        begin, size = last.pos, last.size
    data = bytearray(file.read_bytes())
    data[begin + 4 : begin + size] = (b"\xa5\x17\x3c" * size)[: size - 4]
    damaged = file.with_name("damaged.mp4")
    damaged.write_bytes(data)
    return damaged
