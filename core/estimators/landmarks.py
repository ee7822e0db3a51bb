"""MediaPipe's 33 landmarks as SMPL-24 joints in camera space.

The network gives each landmark twice: in the picture, and in metres around the middle of the hips, in axes like those of a camera (x right, y down, z away)
that looks at the person (BlazePose GHUM, Bazarevsky et al. 2020; Grishchenko et al. 2022). `lift` brings the two together, `smpl_joints` picks SMPL's joints:

- shoulders, elbows, wrists, knees and ankles are landmarks;
- hips: MediaPipe's lie about 0.22 m apart, near the surface, those of SMPL 0.13 m: at 0.6 of the way from their middle to the landmarks;
- pelvis, spine, neck and collars: in the frame of the trunk (from the middle of the hips to that of the shoulders; its left side turns from that of the hips to
  that of the shoulders on the way up) where they are in the rest pose of `SMPL24`, in lengths of the trunk;
- head: 0.67 of the way from the neck to the middle of the ears, which lie 4 cm above it (ANSUR II: tragion to top of head 13 cm);
- hands: the middle of the knuckles of index and little finger; feet: the ball of the foot, 0.72 of the way from heel to toes (ANSUR II).

None of these numbers is fitted to a clip.
"""

import torch
from torch import Tensor

from ..geometry.rotations import rotvec_to_matrix
from ..skeletons import SMPL24

_EAR_L, _EAR_R, _SHOULDER_L, _SHOULDER_R, _HIP_L, _HIP_R = 7, 8, 11, 12, 23, 24
_HIP_SHARE, _EAR_SHARE, _BALL_SHARE = 0.6, 0.67, 0.72
# SMPL joint: landmark
LANDMARK_OF = {
    "left_knee": 25, "right_knee": 26, "left_ankle": 27, "right_ankle": 28, "left_shoulder": 11, "right_shoulder": 12,
    "left_elbow": 13, "right_elbow": 14, "left_wrist": 15, "right_wrist": 16,
}  # fmt: skip
# SMPL joint: (landmark, landmark, share of the way from the first to the second)
_BETWEEN = {
    "left_hip": (_HIP_R, _HIP_L, (1 + _HIP_SHARE) / 2), "right_hip": (_HIP_L, _HIP_R, (1 + _HIP_SHARE) / 2),
    "left_foot": (29, 31, _BALL_SHARE), "right_foot": (30, 32, _BALL_SHARE), "left_hand": (17, 19, 0.5), "right_hand": (18, 20, 0.5),
}  # fmt: skip
_TRUNK = ("pelvis", "spine1", "spine2", "spine3", "neck", "left_collar", "right_collar")


def _trunk_shares() -> dict[str, tuple[float, float, float]]:
    """Where the joints of the trunk lie in the rest pose: to the left in half widths of the shoulders, up and to the front in lengths of the trunk."""
    rest = {name: SMPL24.rest[number].double() for number, name in enumerate(SMPL24.names)}
    low, high = ((rest[f"left_{part}"] + rest[f"right_{part}"]) / 2 for part in ("hip", "shoulder"))
    length, left = (high - low).norm(), torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    up = (high - low) / length
    front = torch.linalg.cross(left, up)
    half_width = rest["left_shoulder"][0]
    offsets = {name: rest[name] - low for name in _TRUNK}
    return {name: (float(x @ left / half_width), float(x @ up / length), float(x @ front / length)) for name, x in offsets.items()}


_TRUNK_SHARES = _trunk_shares()
_STEPS, _NEAR, _DAMPING = 12, 0.1, 1e-6


def lift(world: Tensor, pixels: Tensor, weight: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Bring the landmarks of P poses into camera space.

    First the pose as a rigid body: the rotation and translation that bring its projections nearest to the picture, by Gauss-Newton from the translation of
    linear least squares; the network sees a crop, as if the camera looked at the person. Then each landmark goes to where it is in the picture, at its depth.

    Args:
        world: (P, N, 3) metres. pixels: (P, N, 2). weight: (P, N), at least 0. intrinsics: (3, 3).

    Returns:
        (P, N, 3) metres, which project onto `pixels`, and (P, N, 3) of the rigid body.
    """
    world, weight = world.double(), weight.double()
    rays = (torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1).double() @ torch.linalg.inv(intrinsics.double()).mT)[..., :2]
    body = _fitted(world + _linear_translation(world, rays, weight)[:, None], rays, weight)
    depth = body[..., 2:].clamp(min=_NEAR)
    return torch.cat([rays * depth, depth], -1).float(), body.float()


def _solve(matrix: Tensor, vector: Tensor) -> Tensor:
    """Weighted least squares through the normal equations: (P, M, K), (P, M) -> (P, K)."""
    normal = matrix.mT @ matrix
    damping = _DAMPING * normal.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None] + 1e-12
    identity = torch.eye(normal.shape[-1], dtype=normal.dtype)
    return torch.linalg.solve(normal + damping * identity, (matrix.mT @ vector[..., None]))[..., 0]


def _linear_translation(world: Tensor, rays: Tensor, weight: Tensor) -> Tensor:
    """(P, 3): X + t on the ray x means X_x + t_x = x (X_z + t_z), and the same for y."""
    zero, one = torch.zeros_like(weight), torch.ones_like(weight)
    rows = torch.cat([torch.stack([one, zero, -rays[..., 0]], -1), torch.stack([zero, one, -rays[..., 1]], -1)], 1)
    wanted = (rays * world[..., 2:] - world[..., :2]).mT.flatten(1)
    weights = weight.repeat(1, 2)
    return _solve(rows * weights[..., None], wanted * weights)


def _fitted(points: Tensor, rays: Tensor, weight: Tensor) -> Tensor:
    """Turn and move points (P, N, 3) until they project onto rays as well as they can."""
    for _ in range(_STEPS):
        x, y, z = points[..., 0], points[..., 1], points[..., 2].clamp(min=_NEAR)
        zero = torch.zeros_like(z)
        to_x, to_y = torch.stack([1 / z, zero, -x / z**2], -1), torch.stack([zero, 1 / z, -y / z**2], -1)  # d projection / d point
        center = points.mean(1, keepdim=True)
        arm = points - center
        # d point / d turn = -[arm]x, so that the row g gives g . (turn x arm) = turn . (arm x g).
        rows = torch.cat([torch.cat([torch.linalg.cross(arm, g), g], -1) for g in (to_x, to_y)], 1)
        left = torch.cat([rays[..., 0] - x / z, rays[..., 1] - y / z], 1)
        weights = weight.repeat(1, 2)
        step = _solve(rows * weights[..., None], left * weights)
        length = step[:, :3].norm(dim=-1, keepdim=True)
        step = step * (0.5 / length.clamp(min=0.5))  # at most half a radian at a time
        points = arm @ rotvec_to_matrix(step[:, :3]).mT + center + step[:, None, 3:]
    return points


def smpl_joints(points: Tensor) -> Tensor:
    """Landmarks (P, 33, 3) in camera space -> joints (P, 24, 3)."""
    joints = {name: points[:, landmark] for name, landmark in LANDMARK_OF.items()}
    joints |= {name: torch.lerp(points[:, a], points[:, b], share) for name, (a, b, share) in _BETWEEN.items()}
    joints |= _trunk_joints(points)
    joints["head"] = torch.lerp(joints["neck"], (points[:, _EAR_L] + points[:, _EAR_R]) / 2, _EAR_SHARE)
    return torch.stack([joints[name] for name in SMPL24.names], 1)


def smpl_confidence(visibility: Tensor) -> Tensor:
    """(P, 33) -> (P, 24): that of the least visible landmark a joint is made of."""
    hips, shoulders = (_HIP_L, _HIP_R), (_SHOULDER_L, _SHOULDER_R)
    sources = {name: (landmark,) for name, landmark in LANDMARK_OF.items()} | {name: (a, b) for name, (a, b, _) in _BETWEEN.items()}
    sources |= dict.fromkeys(_TRUNK, (*hips, *shoulders)) | {"head": (*shoulders, _EAR_L, _EAR_R), "pelvis": hips}
    sources |= {"left_collar": shoulders, "right_collar": shoulders, "neck": shoulders}
    return torch.stack([visibility[:, list(sources[name])].amin(1) for name in SMPL24.names], 1).clamp(0, 1)


def _trunk_joints(points: Tensor) -> dict[str, Tensor]:
    left, right = points[:, [_HIP_L, _SHOULDER_L]], points[:, [_HIP_R, _SHOULDER_R]]  # (P, 2, 3), hips and shoulders
    low, high = ((left + right) / 2).unbind(1)
    length = (high - low).norm(dim=-1, keepdim=True).clamp(min=1e-6)
    up = (high - low) / length
    hip_side, shoulder_side = (_across(side, up) for side in (left - right).unbind(1))
    half_width = (left - right)[:, 1].norm(dim=-1, keepdim=True) / 2
    found = {}
    for name, (across, height, forward) in _TRUNK_SHARES.items():
        side = _across(torch.lerp(hip_side, shoulder_side, min(max(height, 0.0), 1.0)), up)
        front = torch.linalg.cross(side, up)
        found[name] = low + length * (height * up + forward * front) + half_width * across * side
    return found


def _across(side: Tensor, up: Tensor) -> Tensor:
    """`side` made square to `up`, of length 1."""
    side = side - (side * up).sum(-1, keepdim=True) * up
    return side / side.norm(dim=-1, keepdim=True).clamp(min=1e-6)
