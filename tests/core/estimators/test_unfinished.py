"""An extraction that was broken off goes on where it stopped, and gives what it would have given."""

import pytest
import torch
from motion4d.core.estimators.extraction import EvenFrames, extract
from motion4d.core.estimators.people import FramePeople
from motion4d.core.estimators.unfinished import Unfinished
from motion4d.core.formats import read_video, write_video

SIZE = (32, 48)


class Interrupted(BaseException):
    pass


class Looker:
    """Its person is the mean of the picture; says which pictures it has looked at, and fails on the numbers of `fails`, once each."""

    name, identity, memory = "looker", "looker", None

    def __init__(self, fails=()):
        self.looked, self._fails, self.open = [], set(fails), False

    def batch(self, image_size):
        return 3

    def detect(self, frames, intrinsics):
        self.open = True
        return [self._person(frame.float().mean((0, 1))) for frame in frames]

    def _person(self, mean):
        number = len(self.looked)
        if number in self._fails:
            self._fails.remove(number)
            raise RuntimeError("out of memory")
        self.looked.append(mean.tolist())
        return FramePeople(joints=mean.expand(1, 24, 3) / 100, confidence=torch.ones(1, 24), boxes=torch.zeros(1, 4))

    def close(self):
        self.open = False


class Follower(Looker):
    """One whose person depends on all pictures since it was closed."""

    identity = "follower"

    def __init__(self, fails=()):
        super().__init__(fails)
        self._sum, self.memory = torch.zeros(3), None

    def _person(self, mean):
        if self.memory is None:
            self._sum, self.memory = torch.zeros(3), (object(), 0)
        self._sum = self._sum * 0.9 + mean
        self.memory = (self.memory[0], self.memory[1] + 1)
        super()._person(mean)
        return FramePeople(joints=self._sum.expand(1, 24, 3) / 1000, confidence=torch.ones(1, 24), boxes=torch.zeros(1, 4))

    def close(self):
        super().close()
        self.memory = None


def _film():
    """(50, H, W, 3) of four shots: two hard cuts, then a dissolve over 14 frames, all with a bright square that moves."""
    generator = torch.Generator().manual_seed(3)
    scenes = torch.randint(0, 220, (4, *SIZE, 3), generator=generator).float()
    weight = torch.cat([torch.zeros(8), torch.linspace(0, 1, 14), torch.ones(10)])[:, None, None, None]
    film = torch.cat([scenes[0].expand(9, -1, -1, -1), scenes[1].expand(9, -1, -1, -1), torch.lerp(scenes[2], scenes[3], weight)])
    for number, picture in enumerate(film):
        picture[4:12, number % 30 : number % 30 + 8] = 250.0
    return film.round().byte()


FILM = _film()
CLOCKS = {
    "as it is": lambda frames: list(frames),
    "doubled": lambda frames: EvenFrames(frames, source_fps=12.5, fps=25.0),
    "halved": lambda frames: EvenFrames(frames, source_fps=50.0, fps=25.0),
    "uneven": lambda frames: EvenFrames(frames, source_fps=25.0, times=(torch.arange(len(frames)) / 25 + (torch.arange(len(frames)) % 3) / 40).tolist()),
}  # fmt: skip


def _extract(frames, looker, unfinished=None, stop=None, **options):
    """`stop`: interrupt at this call of advance."""
    calls = []

    def advance(steps):
        calls.append(steps)
        if len(calls) == stop:
            raise Interrupted

    options = {"fps": 25.0, "image_size": SIZE, "film": "film"} | options
    found = extract(frames, looker, unfinished=unfinished, advance=advance, late=getattr(frames, "late", None), **options)
    assert sum(calls) == len(found.frames)
    return found


def _continued(found):
    return [note for note in found.notes if note.startswith("continued")]


def _same(found, whole):
    assert len(found.frames) == len(whole.frames) and found.shots == whole.shots
    assert all(torch.equal(a.joints, b.joints) for a, b in zip(found.frames, whole.frames, strict=True))
    assert (found.late is None and whole.late is None) or torch.equal(found.late, whole.late)
    assert [note for note in found.notes if note not in _continued(found)] == list(whole.notes)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("stop", [1, 2, 4, 13, 23])
def test_an_interrupted_run_goes_on_where_it_stopped(clock, stop):
    whole = _extract(CLOCKS[clock](FILM), plain := Looker())
    unfinished, looker = Unfinished(), Looker()
    assert clock == "halved" or len(whole.shots) >= 3
    with pytest.raises(Interrupted):
        _extract(CLOCKS[clock](FILM), looker, unfinished, stop)
    before = len(looker.looked)
    found = _extract(CLOCKS[clock](FILM), looker, unfinished)
    _same(found, whole)
    assert looker.looked == plain.looked and 0 < before < len(plain.looked) and not looker.open
    (note,) = _continued(found)
    assert int(note.split()[3].rstrip(":")) >= stop - 1


def test_a_run_that_is_interrupted_again_and_again_comes_to_its_end():
    whole, unfinished, looker, runs = _extract(list(FILM), plain := Looker()), Unfinished(), Looker(), 0
    found = None
    while found is None:
        runs += 1
        try:
            found = _extract(list(FILM), looker, unfinished, stop=3)
        except Interrupted:
            assert runs < 60
        if runs == 10:
            with pytest.raises(Interrupted):  # before the first new picture
                _extract(list(FILM), looker, unfinished, stop=1)
    _same(found, whole)
    assert looker.looked == plain.looked and runs > 10


@pytest.mark.parametrize("number", [4, 17, 49])
def test_what_was_found_before_the_estimator_fails_is_kept(number):
    whole, unfinished, looker = _extract(list(FILM), Looker()), Unfinished(), Looker(fails=[number])
    with pytest.raises(RuntimeError, match="out of memory"):
        _extract(list(FILM), looker, unfinished)
    assert len(looker.looked) == number
    found = _extract(list(FILM), looker, unfinished, batch=1)
    _same(found, whole)
    assert len(looker.looked) == 50 + number % 3 and f"continued at frame {number - number % 3}:" in _continued(found)[0]


def test_nothing_is_taken_for_the_same_that_is_not():
    unfinished = Unfinished()
    changes = ({"film": "other"}, {"fps": 24.0}, {"intrinsics": torch.tensor([[50.0, 0, 24], [0, 50, 16], [0, 0, 1]])}, {"cuts": False})
    for change in changes:
        with pytest.raises(Interrupted):
            _extract(list(FILM), Looker(), unfinished, stop=20)
        looker = Looker()
        found = _extract(list(FILM), looker, unfinished, **change)
        assert not _continued(found) and len(looker.looked) == 50, change
        assert _continued(_extract(list(FILM), Looker(), unfinished))  # which another that has ended leaves alone
    with pytest.raises(Interrupted):
        _extract(CLOCKS["doubled"](FILM), Looker(), unfinished, stop=20)
    assert not _continued(_extract(CLOCKS["as it is"](FILM), Looker(), unfinished))
    other = Looker()
    other.identity = "other looker"
    assert not _continued(_extract(CLOCKS["doubled"](FILM), other, unfinished))
    assert _continued(_extract(CLOCKS["doubled"](FILM), Looker(), unfinished))


def test_what_has_ended_is_dropped_and_only_the_last_is_kept():
    unfinished = Unfinished()
    _extract(list(FILM), Looker(), unfinished)
    assert not _continued(_extract(list(FILM), Looker(), unfinished))
    for film in ("a", "b"):
        with pytest.raises(Interrupted):
            _extract(list(FILM), Looker(), unfinished, stop=9, film=film)
    with pytest.raises(Interrupted):  # before anything is found: there is nothing to keep
        extract(_nothing(), Looker(), fps=25.0, image_size=SIZE, film="c", unfinished=unfinished)
    assert not _continued(_extract(list(FILM), Looker(), unfinished, film="a"))
    assert _continued(_extract(list(FILM), Looker(), unfinished, film="b"))
    assert not _continued(_extract(list(FILM), Looker(), unfinished, film="b"))
    with pytest.raises(ValueError, match="film is None"):
        _extract(list(FILM), Looker(), unfinished, film=None)


def _nothing():
    raise Interrupted
    yield


def test_memory_is_bounded():
    for most, kept in ((20, False), (21, True)):
        unfinished = Unfinished(most=most)
        with pytest.raises(Interrupted):
            _extract(list(FILM), Looker(), unfinished, stop=20)  # after 21 people
        assert bool(_continued(_extract(list(FILM), Looker(), unfinished))) == kept


def test_an_estimator_that_follows_people_goes_on_from_what_it_remembers():
    whole, unfinished, follower = _extract(list(FILM), Follower()), Unfinished(), Follower()
    for stop in (5, 12):
        with pytest.raises(Interrupted):
            _extract(list(FILM), follower, unfinished, stop)
        assert follower.open
    found = _extract(list(FILM), follower, unfinished)
    _same(found, whole)
    assert _continued(found) and len(follower.looked) == 50 and not follower.open


def test_an_estimator_that_remembers_something_else_begins_anew():
    whole = _extract(list(FILM), Follower())
    failing, unfinished = Follower(fails=[10]), Unfinished()
    with pytest.raises(RuntimeError):  # in the middle of a batch: it has seen a picture that is not kept
        _extract(list(FILM), failing, unfinished)
    assert not failing.open
    _same(_extract(list(FILM), failing, unfinished), whole)
    for use in ("other film", "other estimator"):
        follower = Follower()
        with pytest.raises(Interrupted):
            _extract(list(FILM), follower, unfinished, stop=20)
        if use == "other film":
            _extract(list(FILM.flip(0)), follower, unfinished, film="flipped")
        else:
            follower = Follower()
        found = _extract(list(FILM), follower, unfinished)
        _same(found, whole)
        assert not _continued(found)
    with pytest.raises(Interrupted):  # left open, and then used without a place to keep work
        _extract(list(FILM), follower, unfinished, stop=20)
    _same(_extract(list(FILM), follower), whole)


@pytest.mark.parametrize("fps", [25.0, 10.0, 40.0])
def test_a_file_is_gone_on_with_from_the_nearest_keyframe(tmp_path, fps):
    path = tmp_path / "film.mp4"
    write_video(FILM.repeat_interleave(2, 1).repeat_interleave(2, 2), path, 25.0)

    def film():
        video = read_video(path)
        return EvenFrames(video, source_fps=video.fps, times=video.times, fps=fps)

    options = {"fps": fps, "image_size": (64, 96)}
    whole = _extract(film(), plain := Looker(), **options)
    for stop in (2, 14):
        unfinished, looker = Unfinished(), Looker()
        with pytest.raises(Interrupted):
            _extract(film(), looker, unfinished, stop, **options)
        _same(_extract(film(), looker, unfinished, **options), whole)
        assert looker.looked == plain.looked


def test_a_film_that_breaks_off_does_so_at_the_same_frame():
    class Broken(list):
        def __getitem__(self, number):
            if number == 31:
                raise ValueError("frame 31 cannot be decoded")
            return super().__getitem__(number)

        def __iter__(self):
            return (self[number] for number in range(len(self)))

    def film():
        return EvenFrames(Broken(FILM), source_fps=50.0, fps=25.0)  # which does not show frame 31

    whole, unfinished = _extract_broken(film()), Unfinished()
    assert len(whole.frames) == 16 and any("ends after 16 frames" in note for note in whole.notes)
    with pytest.raises(Interrupted):
        _extract(film(), Looker(), unfinished, stop=7)
    _same(_extract_broken(film(), unfinished), whole)


def _extract_broken(frames, unfinished=None):
    return extract(frames, Looker(), fps=25.0, image_size=SIZE, late=frames.late, film="film", unfinished=unfinished)


# --- repeated frames


@pytest.mark.parametrize(("source", "wanted"), [(12.5, 25.0), (24.0, 60.0), (25.0, 26.0), (30.0, 20.0)])
def test_a_frame_that_is_shown_several_times_is_looked_at_once(source, wanted):
    even = EvenFrames(FILM, source_fps=source, fps=wanted)
    naive = extract(list(even), every := Looker(), fps=wanted, image_size=SIZE, late=even.late)  # looks at every tick
    found = extract(even, once := Looker(), fps=wanted, image_size=SIZE, late=even.late)
    _same(found, naive)
    assert len(once.looked) == min(50, len(even)) and len(every.looked) == len(even)
