"""Legs that follow a route: footprints, feet that roll over heel and ball without sliding, a pelvis within reach, and the leg angles between them.

Everything runs on a dense grid of times N (seconds) in float64, in the metres of the rest skeleton, on a level floor at y = 0.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..geometry.rotations import rotvec_to_matrix
from ..skeletons import SMPL24

Route = Callable[[Tensor], Tensor]
"""Times (N) -> (N, 3): x and z of the body in metres, heading about Y in radians."""

_X, _Y, _Z = torch.eye(3, dtype=torch.float64)
_REST = SMPL24.rest.double()
_HEEL = torch.tensor([0.0, -0.075, -0.045], dtype=torch.float64)  # from the ankle, on the floor
_REACH = 0.997  # of a straight leg: knees are never locked
_STRIKE, _PUSH_OFF = math.radians(20), math.radians(-44)  # pitch of a foot that lands from, or leaves for, a full step
_FULL_STEP = 1.1  # metres a foot travels in a swing of full pitch
_EVEN = 0.08  # seconds over which the height of the pelvis is evened out


def turn_about(axis: Tensor, angle: Tensor | float) -> Tensor:
    """Rotation (..., 3, 3) by `angle` (...) radians about a fixed axis (3)."""
    return rotvec_to_matrix(torch.as_tensor(angle, dtype=torch.float64)[..., None] * axis)


def ease(x: Tensor) -> Tensor:
    """0 to 1 with velocity and acceleration 0 at both ends (minimum jerk: Flash and Hogan, 1985)."""
    x = x.clamp(0, 1)
    return x**3 * (10 - 15 * x + 6 * x * x)


def smooth(values: Tensor, width: float, step: float) -> Tensor:
    """Average (N, ...) with a bell of half width `width` seconds over samples `step` seconds apart; the ends are held."""
    half = max(1, round(width / step))
    bell = torch.cos(torch.linspace(-math.pi / 2, math.pi / 2, 2 * half + 3, dtype=torch.float64)[1:-1]) ** 2
    rows = values.reshape(len(values), -1).T[:, None]
    padded = torch.nn.functional.pad(rows, (half, half), mode="replicate")
    return torch.nn.functional.conv1d(padded, (bell / bell.sum())[None, None])[:, 0].T.reshape(values.shape)


def _keyed(time: Tensor, keys: Sequence[tuple[float, float]]) -> Tensor:
    """Smooth curve through (time, value) keys that never overshoots them (Fritsch and Carlson, 1980); held outside."""
    t, v = torch.tensor(sorted(keys), dtype=torch.float64).T.contiguous()
    gap = t.diff()
    slope = v.diff() / gap
    same = slope[:-1] * slope[1:] > 0
    inner = torch.where(same, 2 * slope[:-1] * slope[1:] / torch.where(same, slope[:-1] + slope[1:], 1.0), 0.0)
    tangent = torch.nn.functional.pad(inner, (1, 1))
    i = torch.searchsorted(t, time, right=True).sub(1).clamp(0, len(gap) - 1)
    u = ((time - t[i]) / gap[i]).clamp(0, 1)
    return (
        v[i] * (1 + 2 * u) * (1 - u) ** 2
        + v[i + 1] * u * u * (3 - 2 * u)
        + gap[i] * (tangent[i] * u * (1 - u) ** 2 - tangent[i + 1] * u * u * (1 - u))
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Leg:
    """One foot over time: ankle (N, 3), turn (N, 3, 3) of the foot in the world, yaw (N), airborne (N) 0..1."""

    ankle: Tensor
    turn: Tensor
    yaw: Tensor
    airborne: Tensor


def plan_leg(route: Route, time: Tensor, swings: Sequence[tuple[float, float]], *, left: bool, half_width: float) -> Leg:
    """Plant a foot where the body passes in the middle of each stance, and carry it from one footprint to the next.

    Args:
        swings: (lift, land) seconds of each swing, in order, without overlap. half_width: metres from the route to the middle of the ankle.
    """
    side = 1.0 if left else -1.0
    edges = [-1e3, *(moment for swing in swings for moment in swing), 1e3]
    stances = list(zip(edges[::2], edges[1::2], strict=True))
    middle = torch.tensor([(max(a, time[0]) + min(b, time[-1])) / 2 for a, b in stances], dtype=torch.float64)
    prints = route(middle)
    yaw_of, ground = prints[:, 2], torch.stack([prints[:, 0], torch.zeros(len(prints), dtype=torch.float64), prints[:, 1]], -1)
    ankle, ball = _REST[7 if left else 8], _REST[10 if left else 11]
    foot = ball - ankle
    stand = torch.tensor([side * half_width, float(ankle[1]), float(ankle[2])], dtype=torch.float64)
    flat = ground + (turn_about(_Y, yaw_of) @ stand)
    reach = (flat[1:] - flat[:-1]).norm(dim=-1)
    effort = (reach / _FULL_STEP).clamp(max=1).tolist()
    pitch = _keyed(time, _pitch_keys(stances, effort))

    yaw = yaw_of[0].expand_as(time).clone()
    airborne = torch.zeros_like(time)
    turn = turn_about(_X, -pitch)
    planted = _planted_ball(flat[0], turn_about(_Y, yaw_of[0]), pitch, foot)
    ball_path = planted
    for number, (lift, land) in enumerate(swings):
        u = (time - lift) / (land - lift)
        after = _planted_ball(flat[number + 1], turn_about(_Y, yaw_of[number + 1]), pitch, foot)
        going, flying = u >= 0, (u > 0) & (u < 1)
        before = ball_path
        blend = ease(u)[:, None]
        height = (0.025 + 0.045 * effort[number]) * torch.sin(math.pi * u.clamp(0, 1) ** 0.75) ** 2
        ball_path = torch.where(going[:, None], (1 - blend) * before + blend * after + height[:, None] * _Y, before)
        yaw = torch.where(going, yaw_of[number] + (yaw_of[number + 1] - yaw_of[number]) * ease(u), yaw)
        airborne = torch.where(flying, torch.sin(math.pi * u.clamp(0, 1)), airborne)
    turn = turn_about(_Y, yaw) @ turn
    return Leg(ankle=ball_path - turn @ foot, turn=turn, yaw=yaw, airborne=airborne)


def _pitch_keys(stances: Sequence[tuple[float, float]], effort: Sequence[float]) -> list[tuple[float, float]]:
    """Keys of a foot's pitch: it lands on the heel, lies flat, rolls over the ball and levels out in the air."""
    keys = []
    for number, (start, end) in enumerate(stances):
        length = end - start
        if number > 0:
            strike = _STRIKE * effort[number - 1] ** 2
            keys += [(start, strike), (start + min(0.12, 0.2 * length), 0.0)]
        if number < len(effort):
            push, flight = _PUSH_OFF * max(effort[number], 0.3), stances[number + 1][0] - end
            keys += [
                (end - min(0.26, 0.4 * length), 0.0),
                (end - 0.02, 0.72 * push),
                (end + 0.12 * flight, push),
                (end + 0.6 * flight, 0.12 * push),
            ]
    return keys or [(0.0, 0.0), (1.0, 0.0)]


def _planted_ball(ankle: Tensor, heading: Tensor, pitch: Tensor, foot: Tensor) -> Tensor:
    """(N, 3) ball of a foot whose flat print has its ankle at `ankle`: it turns about the heel with the toes up, about itself with the heel up."""
    raised = turn_about(_X, -pitch.clamp(min=0))
    return ankle + (heading @ (_HEEL + raised @ (foot - _HEEL))[..., None])[..., 0]


def fit_pelvis(legs: tuple[Leg, Leg], root: Tensor, turn: Tensor, step: float) -> Tensor:
    """Root (N, 3) at the greatest height from which both legs reach their ankles, evened out over time.

    Args:
        root: (N, 3), its height is ignored. turn: (N, 3, 3) of the pelvis. step: seconds between samples.
    """
    reach = _REACH * sum(_leg_lengths(0))
    highest = []
    for leg, hip in zip(legs, (1, 2), strict=True):
        offset = turn @ (_REST[hip] - _REST[0])
        apart = (leg.ankle - root - offset)[:, [0, 2]].square().sum(-1)
        highest.append(leg.ankle[:, 1] + (reach**2 - apart).clamp(min=0.2).sqrt() - offset[:, 1])
    height = torch.minimum(*highest)
    half = max(1, round(_EVEN / step))
    # The lowest height around each moment, evened out over the same span, never exceeds the height of the moment.
    padded = torch.nn.functional.pad(-height[None, None], (half, half), mode="replicate")
    height = smooth(-torch.nn.functional.max_pool1d(padded, 2 * half + 1, 1)[0, 0], _EVEN, step)
    return torch.stack([root[:, 0], height, root[:, 2]], -1)


def _leg_lengths(side: int) -> tuple[float, float]:
    hip, knee, ankle = _REST[[1 + side, 4 + side, 7 + side]]
    return float((knee - hip).norm()), float((ankle - knee).norm())


def solve_leg(leg: Leg, root: Tensor, turn: Tensor, heading: Tensor, *, left: bool) -> tuple[Tensor, Tensor]:
    """World turns (N, 3, 3) of thigh and shin that bring the ankle to its place, the knee pointing between the body's heading (N) and the foot's."""
    side = 0 if left else 1
    hip_rest, knee_rest, ankle_rest = _REST[[1 + side, 4 + side, 7 + side]]
    thigh, shin = _leg_lengths(side)
    hip = root + turn @ (hip_rest - _REST[0])
    line = leg.ankle - hip
    distance = line.norm(dim=-1, keepdim=True)
    down = line / distance
    distance = distance.clamp(max=0.9999 * (thigh + shin))
    yaw = (heading + leg.yaw) / 2 + (0.06 if left else -0.06)
    ahead = torch.stack([yaw.sin(), torch.zeros_like(yaw), yaw.cos()], -1)
    ahead = ahead - (ahead * down).sum(-1, keepdim=True) * down
    ahead = ahead / ahead.norm(dim=-1, keepdim=True)
    along = (thigh**2 - shin**2 + distance**2) / (2 * distance)
    knee = hip + along * down + (thigh**2 - along**2).clamp(min=0).sqrt() * ahead
    hinge = torch.linalg.cross(ahead, down)
    ankle = hip + distance * down
    return _limb_turn(knee_rest - hip_rest, knee - hip, hinge), _limb_turn(ankle_rest - knee_rest, ankle - knee, hinge)


def _limb_turn(rest: Tensor, bone: Tensor, hinge: Tensor) -> Tensor:
    """World turn (N, 3, 3) that carries a rest bone onto `bone` (N, 3) and the rest's left-right axis onto the hinge (N, 3)."""

    def frame(along: Tensor, across: Tensor) -> Tensor:
        y = along / along.norm(dim=-1, keepdim=True)
        x = across - (across * y).sum(-1, keepdim=True) * y
        x = x / x.norm(dim=-1, keepdim=True)
        return torch.stack([x, y, torch.linalg.cross(x, y)], -1)

    return frame(bone, hinge) @ frame(rest, _X).mT
