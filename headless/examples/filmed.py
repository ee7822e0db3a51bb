"""What four calibrated cameras saw of somebody who walks: 2D poses as a detector finds them, wrong by a little, now and then by much, or not at all."""

import json
import math

import torch

from ...core.body.demo import demo_motion
from ...core.body.openpose import openpose_joints
from ...core.geometry.cameras import orbit_rig
from ...core.geometry.lens import distort_pixels
from ...core.geometry.rotations import matrix_to_rotvec
from ...core.types import CameraRig, Motion

ACTION, SECONDS, FPS = "walk", 2.0, 30.0
_SIZE = (720, 1280)
_AZIMUTHS = (20.0, 105.0, 200.0, 285.0)  # no two of them face each other
_LENS = (-0.12, 0.05, 0.001, -0.0005)  # OpenCV's k1, k2, p1, p2
_NOISE_PX, _WRONG, _WRONG_PX, _MISSING = 2.0, 0.03, 80.0, 0.08
CALIBRATION = "motion4d_cameras.toml"
POSES = tuple(f"motion4d_camera_{number}.json" for number in range(1, len(_AZIMUTHS) + 1))


def walker() -> Motion:
    """Who is filmed."""
    return demo_motion(ACTION, seconds=SECONDS, fps=FPS)


def cameras() -> CameraRig:
    """Those who film, without what their lenses bend."""
    return orbit_rig(_AZIMUTHS, elevation_deg=12.0, radius=4.2, image_size=_SIZE, focal_px=1150.0, target=(0.0, 0.9, 0.0))


def calibration_toml() -> str:
    """The cameras as Pose2Sim and anipose write them."""
    rig, lines = cameras(), []
    for number, (intrinsics, pose) in enumerate(zip(rig.intrinsics.double(), rig.world_to_camera.double(), strict=True), start=1):
        matrix = intrinsics.clone()
        matrix[:2, 2] -= 0.5  # OpenCV counts from the middle of the first pixel
        lines += [
            f"[camera_{number}]",
            f'name = "camera_{number}"',
            f"size = [{_SIZE[1]}, {_SIZE[0]}]",
            f"matrix = {_rounded(matrix.tolist())}",
            f"distortions = {list(_LENS)}",
            f"rotation = {_rounded(matrix_to_rotvec(pose[:, :3]).tolist())}",
            f"translation = {_rounded(pose[:, 3].tolist())}",
            "fisheye = false",
            "",
        ]
    return "\n".join(lines)


def _rounded(values):
    return [_rounded(one) for one in values] if isinstance(values, list) else round(values, 6) + 0.0


def poses_json(view: int) -> str:
    """What the detector finds in the film of one camera: POSE_KEYPOINT."""
    rig, body = cameras(), openpose_joints(walker())
    generator = torch.Generator().manual_seed(100 + view)
    straight = rig.project(body.joints)[0][view].double()
    pixels = distort_pixels(straight, rig.intrinsics[view], torch.tensor([*_LENS, *[0.0] * 10]))
    shape = pixels.shape[:2]
    pixels = pixels + _NOISE_PX * torch.randn(*shape, 2, generator=generator, dtype=torch.float64)
    angle = 2 * math.pi * torch.rand(shape, generator=generator, dtype=torch.float64)
    wrong = torch.rand(shape, generator=generator) < _WRONG
    pixels += torch.where(wrong[..., None], _WRONG_PX * torch.stack([angle.cos(), angle.sin()], -1), 0.0)
    seen = torch.rand(shape, generator=generator) >= _MISSING
    height, width = _SIZE
    seen &= ((pixels >= 0) & (pixels < torch.tensor([width, height]))).all(-1)
    trust = torch.where(seen, 0.6 + 0.4 * torch.rand(shape, generator=generator), 0.0)
    frames = []
    for points, scores in zip(torch.where(seen[..., None], pixels, 0.0).tolist(), trust.tolist(), strict=True):
        flat = [
            round(number, digits) for (x, y), score in zip(points, scores, strict=True) for number, digits in ((x, 1), (y, 1), (score, 2))
        ]
        frames.append({"people": [{"pose_keypoints_2d": flat}], "canvas_width": width, "canvas_height": height})
    return "[\n" + ",\n".join(json.dumps(frame, separators=(",", ":")) for frame in frames) + "\n]\n"
