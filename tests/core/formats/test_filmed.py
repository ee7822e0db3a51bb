"""What a motion takes from its video, and that it says so."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from motion4d.core.formats import load_filmed_motion
from motion4d.core.formats.video import write_video
from motion4d.core.skeletons import SMPL24


@pytest.fixture
def motions(tmp_path) -> Path:
    """Two clips of millimetres in camera axes: one of 6 frames at 15 fps, one of 8 frames at a rate that nobody wrote down."""
    joints = 1000 * (SMPL24.rest.numpy() * [1, -1, -1] + [0, 0.9, 2])
    np.savez(tmp_path / "dance.npz", a_joints_mm=np.tile(joints, (6, 1, 1)), a_fps=np.float32(15), b_joints_mm=np.tile(joints, (8, 1, 1)))
    return tmp_path / "dance.npz"


@pytest.fixture
def video(tmp_path) -> Path:
    write_video(torch.rand(8, 48, 64, 3), tmp_path / "dance.mp4", 12)
    return tmp_path / "dance.mp4"


def test_the_chosen_clip_alone_decides_whether_the_video_gives_the_frame_rate(motions, video):
    known, unknown = (load_filmed_motion(motions, video=video, clip=clip).motion for clip in (0, 1))
    assert known.fps == 15 and unknown.fps == 12
    assert "12 fps taken from dance.mp4: dance.npz names none" in unknown.notes
    assert not any("taken from" in note for note in known.notes)
    given = load_filmed_motion(motions, video=video, clip=1, fps=50.0).motion
    assert given.fps == 50 and not any("taken from" in note for note in given.notes)


def test_a_video_of_uneven_frames_is_noted(motions, tmp_path):
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt, stream.options = 64, 48, "yuv420p", {"bf": "0"}
        stream.codec_context.time_base = Fraction(1, 1000)
        for stamp in (0, 10, 20, 100, 110, 200, 210, 400):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), stamp % 256, np.uint8), "rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    notes = load_filmed_motion(motions, video=tmp_path / "phone.mp4", clip=1).motion.notes
    assert "phone.mp4 has a variable frame rate, 17.500 fps on average" in notes


def test_a_file_is_read_once_and_its_contents_are_told(motions, video, monkeypatch):
    taken, read = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: taken.append(path) or read(path))
    loaded = load_filmed_motion(motions, video=video)
    assert taken == [motions]
    lines = loaded.contents.splitlines()
    assert lines[0].startswith("a (nlf): 6 frames") and lines[1].startswith("b (nlf): 8 frames")
    assert tuple(lines[2:]) == loaded.motion.notes
    assert loaded.frames.shape == (6, 48, 64, 3) and "both cut to 6" in lines[-1]
    assert loaded.motion.image_size == (48, 64)


def test_an_absent_clip_is_named_with_those_that_are_there(motions, video):
    with pytest.raises(ValueError, match=r"dance\.npz: there is no clip 2: the file has 2, from 0: a \(nlf\)"):
        load_filmed_motion(motions, video=video, clip=2)
