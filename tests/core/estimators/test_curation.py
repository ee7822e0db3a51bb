import pytest
import torch
from motion4d.core.estimators.curation import Film, Limits, curate, curate_files
from motion4d.core.estimators.people import Detections, FramePeople
from motion4d.core.formats import read_video, write_video
from motion4d.core.geometry.cameras import motion_capture_intrinsics

SIZE = (256, 256)


def _people(count, confidence=0.9):
    return FramePeople(joints=torch.ones(count, 24, 3), confidence=torch.full((count, 24), confidence), boxes=torch.zeros(count, 4))


def _detections(counts, *, shots=(), confidence=0.9):
    frames = [_people(count, confidence) for count in counts]
    return Detections(frames=frames, fps=25.0, image_size=SIZE, intrinsics=motion_capture_intrinsics(SIZE), shots=shots)


def _sliding(frames, *, speed=2, seed=0, contrast=255.0):
    """A noise picture (checks of 8 pixels) that moves to the left by `speed` pixels a frame."""
    noise = torch.rand(SIZE[0] // 8, (SIZE[1] + speed * frames) // 8 + 1, generator=torch.Generator().manual_seed(seed))
    wide = (noise * contrast).repeat_interleave(8, 0).repeat_interleave(8, 1).to(torch.uint8)
    for number in range(frames):
        yield wide[:, speed * number :][:, : SIZE[1]][..., None].expand(-1, -1, 3).contiguous()


def _film(name, counts, **named):
    given = {key: named.pop(key) for key in ("shots", "confidence") if key in named}
    return Film(name=name, frames=_sliding(len(counts), **named), detections=_detections(counts, **given))


def test_films_are_split_at_shots_and_where_people_come_and_go():
    film = _film("a", [1] * 7 + [2] * 2 + [1] * 6 + [0] * 3 + [1] * 6 + [1] * 4, shots=(24,))
    pieces = curate([film], limits=Limits(frames=6, uncertain=0.0)).pieces
    assert [(piece.start, piece.stop) for piece in pieces] == [(0, 7), (7, 9), (9, 15), (15, 18), (18, 24), (24, 28)]
    assert [piece.refused is None for piece in pieces] == [True, False, True, False, True, False]
    assert "several" in pieces[1].refused and "nobody" in pieces[3].refused and "4 frames, at least 6" in pieces[5].refused


@pytest.mark.parametrize(("count", "refused"), [(9, 0), (10, 1), (25, 2)])
def test_the_least_certain_tenth_of_the_whole_set_goes(count, refused):
    films = [_film(str(number), [1] * 2, confidence=0.5 + 0.01 * ((7 * number) % count)) for number in range(count)]
    found = curate(films, limits=Limits(frames=2))
    out = [piece.film for piece in found.pieces if piece.refused is not None]
    assert len(out) == refused
    assert set(out) == {str(number) for number in range(count) if (7 * number) % count < refused}


def test_flow_is_in_pixels_at_a_longer_side_of_512():
    (piece,) = curate([_film("a", [1] * 8, speed=2)], limits=Limits(frames=5)).pieces
    assert piece.flow == pytest.approx(4.0, rel=0.15)


def test_what_stands_still_or_is_blurred_is_refused():
    limits = Limits(frames=5)
    still = Film(name="still", frames=[next(_sliding(1))] * 8, detections=_detections([1] * 8))
    faint = _film("faint", [1] * 8, contrast=12.0)
    found = curate([still, faint, _film("good", [1] * 8)], limits=limits)
    assert [piece.film for piece in found.kept] == ["good"]
    assert "optical flow is 0.00" in found.pieces[0].refused and "Laplacian" in found.pieces[1].refused


def test_scorers_judge_and_without_them_it_says_not_scored():
    limits, seen = Limits(frames=5), []

    def beauty(frame):
        seen.append(frame.shape)
        return 4.0

    plain = curate([_film("a", [1] * 8)], limits=limits)
    assert len(plain.kept) == 1 and "aesthetic not scored, text not scored" in plain.report()
    ugly = curate([_film("a", [1] * 8)], limits=limits, aesthetic=beauty, text=lambda _: 0.01)
    assert ugly.kept == () and "aesthetic score is below 5" in ugly.pieces[0].refused and ugly.pieces[0].text == pytest.approx(0.01)
    assert seen == [(*SIZE, 3)] * 5
    full = curate([_film("a", [1] * 8)], limits=limits, text=lambda _: 0.2)
    assert "text covers more than 0.05" in full.pieces[0].refused


class _Everybody:
    """One person in every frame."""

    name = identity = "everybody"
    memory = None

    def batch(self, image_size):
        return 8

    def detect(self, frames, intrinsics):
        return [_people(1) for _ in frames]

    def close(self):
        pass


def test_files_of_two_folders_keep_their_names_apart(tmp_path):
    paths = [tmp_path / folder / "a.mp4" for folder in ("second", "first", "broken")]
    for path in paths:
        path.parent.mkdir()
        write_video(_sliding(6), path, 10.0)
    paths[2].write_bytes(b"no video")
    found = curate_files(paths, _Everybody(), limits=Limits(frames=5, uncertain=0.0))
    assert [piece.film for piece in found.pieces] == ["second/a.mp4", "first/a.mp4", "broken/a.mp4"]
    assert "cannot be read" in found.pieces[2].refused and found.pieces[2].stop == 0
    assert [piece.film for piece in curate_files(paths[:1], _Everybody(), limits=Limits(frames=5)).pieces] == ["a.mp4"]


def test_senseless_sets_are_refused():
    with pytest.raises(ValueError, match="no films"):
        curate([])
    with pytest.raises(ValueError, match="end after 6"):
        curate([Film(name="a", frames=_sliding(6), detections=_detections([1] * 8))], limits=Limits(frames=5))
    with pytest.raises(ValueError, match="at least 1 frame"):
        Limits(frames=0)


def test_real_dances_are_sharp_and_move(reference):
    films = []
    for name, frames in (("dance_a.mp4", 50), ("dance_b.mp4", 50)):
        video = read_video(reference("data", name), stop=frames)
        films.append(Film(name=name, frames=video, detections=_detections([1] * frames)))
    found = curate(films)
    assert len(found.pieces) == 2 and all(piece.blur > 100 and piece.flow > 0.5 for piece in found.pieces)
