"""What the examples of driving cues read beside the film of somebody who walks: the motion in it, and a figure that is cut out."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from ...core.body.demo import demo_motion
from ...core.body.framing import frame_motion
from ...core.body.spaces import to_camera
from ...core.formats import save_motion
from ...core.formats.pictures import write_picture
from ...core.maps.bone_maps import encode_normals, render_bone_maps
from ...core.maps.encodings import soft_mask
from ...core.types import CameraRig, Motion
from .. import EXAMPLE_INPUTS

MOTION, FIGURE = "motion4d_walk.npz", "motion4d_figure.png"
FILM_FPS, FILM_SECONDS = 30.0, 3.0
_FILM_SIZE, _FIGURE_SIZE = (512, 384), (512, 384)


def filmed_walk() -> tuple[Motion, CameraRig]:
    """Who walks on the spot in the film, and the camera of the film."""
    walk = demo_motion("walk", seconds=FILM_SECONDS, fps=FILM_FPS)
    shift = walk.translation * torch.tensor([1.0, 0.0, 1.0])
    walk = replace(walk, joints=walk.joints - shift[:, None], translation=walk.translation - shift)
    return walk, frame_motion(walk, views=1, image_size=_FILM_SIZE, azimuth_deg=25.0, elevation_deg=5.0, vertical_fov_deg=35.0, margin=1.2)


def figure() -> torch.Tensor:
    """Somebody who stands, smaller than the walker and elsewhere in the picture: (H, W, 4) in 0..1, clear around."""
    wave = demo_motion("wave", seconds=2.0)
    rig = frame_motion(wave, views=1, image_size=_FIGURE_SIZE, azimuth_deg=0.0, vertical_fov_deg=35.0, margin=1.5)
    maps = render_bone_maps(wave.cut(0, 1), rig, samples=2)
    alpha = soft_mask(maps)[0, 0, ..., None]
    return torch.cat([encode_normals(maps)[0, 0] / alpha.clamp(min=1e-3), alpha], -1).clamp(0, 1)


def cue_inputs() -> dict[Path, bytes]:
    """What each file contains."""
    with tempfile.TemporaryDirectory() as folder:
        motion, picture = Path(folder, MOTION), Path(folder, FIGURE)
        save_motion(to_camera(*filmed_walk()), motion)
        write_picture(figure(), picture)
        return {EXAMPLE_INPUTS / path.name: path.read_bytes() for path in (motion, picture)}
