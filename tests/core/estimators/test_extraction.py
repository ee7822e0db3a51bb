import pytest
import torch
from motion4d.core.estimators.extraction import EvenFrames, extract
from motion4d.core.estimators.people import FramePeople
from motion4d.core.estimators.tracking import motion_of, track
from motion4d.core.formats import read_video, write_video

SIZE = (8, 12)


class Blobs:
    """One person for each frame whose first pixel is red, standing at a depth of as many centimetres as its green; says how it was used."""

    name = identity = "blobs"
    memory = None

    def __init__(self, batch=3):
        self.sizes, self.closed, self._batch = [], 0, batch

    def batch(self, image_size):
        return self._batch

    def detect(self, frames, intrinsics):
        self.sizes.append(len(frames))
        return [self._person(frame[0, 0]) if frame[0, 0, 0] else FramePeople.none() for frame in frames]

    def _person(self, pixel):
        joints = torch.zeros(1, 24, 3)
        joints[..., 2] = int(pixel[1]) / 100
        return FramePeople(joints=joints, confidence=torch.ones(1, 24), boxes=torch.zeros(1, 4))

    def close(self):
        self.closed += 1


def _film(*greens):
    film = torch.zeros(len(greens), *SIZE, 3, dtype=torch.uint8)
    film[..., 0], film[..., 1] = 255, torch.tensor(greens)[:, None, None]
    return film


def _depths(clip):
    return [round(float(people.joints[0, 0, 2]) * 100) for people in clip.frames]


def test_every_frame_is_seen_once_in_its_order_and_the_estimator_is_closed():
    blobs, steps = Blobs(), []
    clip = extract(iter(_film(*range(1, 9))), blobs, fps=25.0, image_size=SIZE, advance=steps.append)
    assert _depths(clip) == list(range(1, 9)) and blobs.sizes == [3, 3, 2] and blobs.closed == 1 and steps == [1] * 8
    assert clip.fps == 25 and clip.intrinsics[0, 2] == 6 and clip.shots == ()
    assert extract(iter(_film(1, 2)), blobs, fps=25.0, image_size=SIZE, batch=1).counts == (1, 1) and blobs.sizes[-2:] == [1, 1]


def test_frames_are_let_go_of():
    alive, most = [0], [0]

    class Frame(torch.Tensor):
        def __del__(self):
            alive[0] -= 1

    def film():
        for number in range(60):
            alive[0] += 1
            most[0] = max(most[0], alive[0])
            yield _film(number + 1)[0].as_subclass(Frame)

    extract(film(), Blobs(4), fps=25.0, image_size=SIZE)
    assert most[0] <= 10


def test_what_was_read_before_a_failure_is_kept():
    def breaks_off():
        yield from _film(1, 2, 3, 4)
        raise ValueError("frame 4 cannot be decoded")

    clip = extract(breaks_off(), Blobs(), fps=25.0, image_size=SIZE)
    assert _depths(clip) == [1, 2, 3, 4]
    assert any("ends after 4 frames" in note and "cannot be decoded" in note for note in clip.notes)


def test_a_film_of_which_nothing_can_be_read_is_refused():
    def fails():
        raise ValueError("frame 0 cannot be decoded")
        yield

    with pytest.raises(ValueError, match="frame 0 cannot"):
        extract(fails(), Blobs(), fps=25.0, image_size=SIZE)
    with pytest.raises(ValueError, match="no frames"):
        extract([], Blobs(), fps=25.0, image_size=SIZE)


def test_a_film_without_anybody_is_refused():
    with pytest.raises(ValueError, match="sees nobody in any of the 5 frames"):
        extract(torch.zeros(5, *SIZE, 3, dtype=torch.uint8), Blobs(), fps=25.0, image_size=SIZE)


def test_frames_of_another_size_are_refused():
    with pytest.raises(ValueError, match="expected"):
        extract(_film(1)[:, :4], Blobs(), fps=25.0, image_size=SIZE)
    with pytest.raises(ValueError, match="expected"):
        extract(_film(1).float(), Blobs(), fps=25.0, image_size=SIZE)


def test_interruption_ends_the_work_at_once():
    class Stop(Exception):
        pass

    def advance(_):
        raise Stop

    blobs = Blobs()
    with pytest.raises(Stop):
        extract(_film(*range(1, 30)), blobs, fps=25.0, image_size=SIZE, advance=advance)
    assert blobs.sizes == [3] and blobs.closed == 1


def test_shots_are_those_of_the_film():
    generator = torch.Generator().manual_seed(0)
    scenes = [torch.randint(1, 255, (1, 1, *SIZE), generator=generator)[0, 0, None, ..., None].expand(10, *SIZE, 3) for _ in range(3)]
    film = torch.cat(scenes).to(torch.uint8)
    assert extract(film, Blobs(), fps=25.0, image_size=SIZE).shots == (10, 20)
    assert extract(film, Blobs(), fps=25.0, image_size=SIZE, cuts=False).shots == ()


# --- even clock


@pytest.mark.parametrize("fps", [25.0, 29.97, 120.0])
def test_an_even_film_is_left_as_it_is(fps):
    even = EvenFrames(range(50), source_fps=fps)
    assert list(even) == list(range(50)) and len(even) == 50 and even.notes == () and even.fps == fps


@pytest.mark.parametrize(
    ("source", "wanted", "frames"), [(30.0, 20.0, 127), (25.0, 50.0, 31), (15.0, 16.0, 299), (60.0, 23.976, 100), (30.0, 30.0, 1)]
)
def test_each_tick_shows_the_frame_that_is_nearest_in_time(source, wanted, frames):
    even = EvenFrames(range(frames), source_fps=source, fps=wanted)
    shown = torch.tensor(list(even))
    assert abs(len(shown) / wanted - frames / source) < 1 / wanted and len(shown) == len(even)
    ticks = torch.arange(len(shown), dtype=torch.float64) / wanted
    distance = (ticks[:, None] - torch.arange(frames, dtype=torch.float64) / source).abs()
    torch.testing.assert_close(distance.gather(1, shown[:, None])[:, 0], distance.amin(1))
    assert bool(even.notes) == (source != wanted) == (even.late is not None)
    if even.late is not None:
        torch.testing.assert_close(even.late, shown.double() / source - ticks)


def test_uneven_times_are_placed_on_the_clock():
    even = EvenFrames("abcd", source_fps=10.0, times=[5.0, 5.1, 5.4, 5.42])
    assert "".join(even) == "abbccd"
    assert "variable" in even.notes[0] and "0 left out and 2 repeated" in even.notes[0]


@pytest.mark.parametrize(("source", "wanted"), [(30.0, 20.0), (15.0, 20.0), (12.5, 25.0)])
def test_a_steady_move_stays_steady_at_another_rate(source, wanted):
    """The frame nearest in time is up to half a frame off; the motion is not."""
    film = _film(*range(50, 110, 2))  # two centimetres a frame
    even = EvenFrames(film, source_fps=source, fps=wanted)
    clip = extract(even, Blobs(), fps=even.fps, image_size=SIZE, cuts=False, late=even.late)
    (one,) = track(clip)
    depth = motion_of(clip, one).joints[:, 0, 2]
    inside = torch.arange(len(depth)) / wanted <= (len(film) - 1) / source
    wanted_depth = 0.5 + 0.02 * source * torch.arange(len(depth)) / wanted
    torch.testing.assert_close(depth[inside], wanted_depth[inside], atol=2e-3, rtol=0)
    assert int((~inside).sum()) <= 2


def test_lateness_goes_with_the_frames_that_were_read():
    def broken():
        yield from _film(10, 11, 12)
        raise ValueError("torn")

    clip = extract(broken(), Blobs(), fps=20.0, image_size=SIZE, late=torch.zeros(8, dtype=torch.float64))
    assert len(clip.frames) == len(clip.late) == 3


def test_senseless_clocks_are_refused():
    with pytest.raises(ValueError, match="fps"):
        EvenFrames("ab", source_fps=25.0, fps=0.0)
    with pytest.raises(ValueError, match="one time"):
        EvenFrames("ab", source_fps=25.0, times=[0.0])
    with pytest.raises(ValueError, match="one time"):
        EvenFrames("", source_fps=25.0)


def test_a_file_knows_the_times_of_its_frames(tmp_path):
    path = tmp_path / "film.mp4"
    write_video(_film(*range(10, 30)).repeat_interleave(4, 1).repeat_interleave(4, 2), path, 25.0)
    video = read_video(path, start=5)
    torch.testing.assert_close(torch.tensor(video.times), (torch.arange(20) / 25)[5:], atol=1e-3, rtol=0)
    even = EvenFrames(video, source_fps=video.fps, times=video.times, fps=12.5)
    assert len(list(even)) == 8


def test_a_damaged_last_frame_costs_only_the_frames_that_need_it(tmp_path):
    path = tmp_path / "film.mp4"
    noise = torch.randint(0, 255, (30, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    noise[:, 0, 0] = 255
    write_video(noise, path, 25.0)
    last, size = max((packet.pos, packet.size) for packet in _packets(path))
    data = bytearray(path.read_bytes())
    data[last : last + size] = bytes(size)
    path.write_bytes(data)
    clip = extract(read_video(path), Blobs(), fps=25.0, image_size=(64, 64), cuts=False)
    assert 25 <= len(clip.frames) < 30
    assert any(f"ends after {len(clip.frames)} frames" in note and "film.mp4" in note for note in clip.notes)


def _packets(path):
    import av

    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]
