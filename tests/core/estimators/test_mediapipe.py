import sys
from types import ModuleType

import pytest
import torch
from motion4d.core.estimators.extraction import extract
from motion4d.core.estimators.mediapipe import MediaPipe
from motion4d.core.estimators.unfinished import Unfinished
from motion4d.core.formats import load_motion, read_video


def test_a_version_without_the_legacy_solution_is_refused(monkeypatch):
    recent = ModuleType("mediapipe")
    recent.__version__ = "0.10.35"
    monkeypatch.setitem(sys.modules, "mediapipe", recent)
    with pytest.raises(ImportError, match=r"0\.10\.35 has no legacy solutions.*0\.10\.14"):
        MediaPipe()


def test_a_real_dance_lies_on_the_dancer_and_agrees_with_nlf(reference):
    pytest.importorskip("mediapipe", reason="MediaPipe is installed in an environment of its own")
    video = read_video(reference("data", "dance_b.mp4"), stop=30)
    estimator = MediaPipe()
    clip = extract(video, estimator, fps=video.fps, image_size=video.image_size)
    assert clip.counts == (1,) * 30 and clip.shots == ()
    found = torch.stack([people.joints[0] for people in clip.frames])
    theirs = load_motion(reference("data", "nlf_dance_motions.npz"), clip=1).joints[:30]
    pixels = [clip.camera.project(joints)[0][0] for joints in (found, theirs)]
    assert (pixels[0] - pixels[1]).norm(dim=-1).mean() < 20
    relative = [joints - joints[:, :1] for joints in (found, theirs)]
    assert (relative[0] - relative[1]).norm(dim=-1).mean() < 0.1
    again = extract(read_video(video.path, stop=3), estimator, fps=video.fps, image_size=video.image_size)
    torch.testing.assert_close(again.frames[0].joints, clip.frames[0].joints)


def test_a_real_dance_goes_on_where_it_was_interrupted(reference):
    pytest.importorskip("mediapipe", reason="MediaPipe is installed in an environment of its own")
    path, calls, unfinished, estimator = reference("data", "dance_b.mp4"), [], Unfinished(), MediaPipe()

    def run(advance=None):
        video = read_video(path, stop=30)
        return extract(video, estimator, fps=video.fps, image_size=video.image_size, film="dance", unfinished=unfinished, advance=advance)

    def interrupt(steps):
        calls.append(steps)
        if len(calls) == 10:
            raise InterruptedError

    whole = run()
    with pytest.raises(InterruptedError):
        run(interrupt)
    found = run()
    assert any("continued at frame 16" in note for note in found.notes)
    assert all(torch.equal(a.joints, b.joints) for a, b in zip(found.frames, whole.frames, strict=True))
