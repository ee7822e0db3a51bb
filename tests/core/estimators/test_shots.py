"""Scenes are smooth random pictures under which a plain disc moves."""

import numpy as np
import pytest
import torch
from motion4d.core.estimators.shots import ShotDetector
from motion4d.core.formats import read_video


def _shots(frames):
    detector = ShotDetector()
    return [number for number, frame in enumerate(frames) if detector.push(torch.as_tensor(frame))]


def _scene(seed, frames, *, speed=1.0, size=(72, 96)):
    """(T, H, W, 3) float 0..255."""
    import cv2

    generator = np.random.default_rng(seed)
    back = cv2.resize(generator.uniform(20, 235, (5, 7, 3)).astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 255)
    film, colour = np.repeat(back[None], frames, 0), generator.uniform(0, 255, 3).tolist()
    for number, picture in enumerate(film):
        phase = speed * number / 6 + seed
        cv2.circle(picture, (int(48 + 30 * np.cos(phase)), int(36 + 20 * np.sin(phase))), 12, colour, -1)
    return film


def _bytes(*parts):
    return np.concatenate(parts).round().astype(np.uint8)


def _mixed(a, b):
    """From a to b (T, ...), neither of them pure."""
    share = (np.arange(1, len(a) + 1) / (len(a) + 1))[:, None, None, None]
    return a * (1 - share) + b * share


@pytest.mark.parametrize("seed", range(8))
def test_hard_cuts_are_found_at_their_frame(seed):
    assert _shots(_bytes(_scene(seed, 17), _scene(seed + 100, 30), _scene(seed + 200, 9))) == [17, 47]


@pytest.mark.parametrize("length", [6, 12, 30])
def test_a_dissolve_ends_with_a_new_shot(length):
    before, after = _scene(3, 20 + length), _scene(4, length + 20)
    found = _shots(_bytes(before[:20], _mixed(before[20:], after[:length]), after[length:]))
    assert len(found) == 1 and 20 < found[0] <= 20 + length + 8


@pytest.mark.parametrize("colour", [0.0, 255.0])
@pytest.mark.parametrize("length", [4, 12, 25])
def test_a_fade_out_and_in_is_one_new_shot_that_begins_out_of_the_plain(colour, length):
    before, after = _scene(5, 20 + length), _scene(6, length + 20)
    plain = np.full_like(before[:5], colour)
    out, back = _mixed(before[20:], np.full_like(before[20:], colour)), _mixed(np.full_like(after[:length], colour), after[:length])
    found = _shots(_bytes(before[:20], out, plain, back, after[length:]))
    assert len(found) == 1 and abs(found[0] - (20 + length + 5)) <= 3


def test_a_film_may_fade_in_from_black_and_end_in_it():
    scene = _scene(7, 40)
    black = np.zeros_like(scene[:10])
    assert _shots(_bytes(black, _mixed(black, scene[:10]), scene[10:30], _mixed(scene[30:], black), black)) == []


def test_light_that_comes_up_is_no_new_shot():
    scene = _scene(8, 40)
    assert _shots(_bytes(scene * np.linspace(0.35, 1.0, 40)[:, None, None, None])) == []


@pytest.mark.parametrize("speed", [0.0, 1.0, 6.0])
def test_movement_is_no_cut(speed):
    assert _shots(_bytes(_scene(9, 60, speed=speed))) == []


def _film(path):
    return list(read_video(path, max_side=160))


def test_real_dances_have_no_cut_inside_and_one_where_they_are_joined(reference):
    a, b = (_film(reference("data", name)) for name in ("dance_a.mp4", "dance_b.mp4"))
    assert _shots(a) == [] and _shots(b) == []
    assert _shots(a + b) == [len(a)]
    assert _shots(a[:50] + b[:60] + a[60:] + b[100:130]) == [50, 110, 177]


@pytest.mark.parametrize("length", [8, 20])
def test_a_dissolve_between_dances_is_found_while_they_dance(reference, length):
    a = np.stack([frame[:88, :88].numpy() for frame in _film(reference("data", "dance_a.mp4"))[: 40 + length]]).astype(float)
    b = np.stack([frame[:88, :88].numpy() for frame in _film(reference("data", "dance_b.mp4"))[: 40 + length]]).astype(float)
    (found,) = _shots(_bytes(a[:40], _mixed(a[40:], b[:length]), b[length:]))
    assert 40 < found <= 40 + length + 8
