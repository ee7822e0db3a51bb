"""Motions authored in code, so that every example starts without a file: a walk, a wave, a turn, and a tour through all three."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..geometry.kinematics import forward
from ..skeletons import REST_STATURE, SMPL24
from ..types import Animation, Motion
from .gait import Leg, Route, ease, fit_pelvis, plan_leg, smooth, solve_leg, turn_about

ACTIONS = ("walk", "wave", "turn", "tour")

_X, _Y, _Z = torch.eye(3, dtype=torch.float64)
_GRID_HZ = 120.0  # authored at least this densely, so that a low frame rate samples the same motion
_MARGIN = 1.5  # seconds authored before and after, so that the ends know what lies beyond
_STRIDE, _STRIDE_LENGTH = 1.08, 1.14  # seconds and metres of two steps
_SWING = 0.38  # of a stride
_STAND, _TREAD = 0.095, 0.074  # metres from the route to each ankle, standing and walking

Swings = list[tuple[float, float]]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Plan:
    """What a motion does: its route, the swings of the left and right foot, the width of its stance, and how much it waves (N) at `time`."""

    route: Route
    left: Swings
    right: Swings
    half_width: float
    wave: Tensor


def demo_motion(action: str, *, seconds: float, fps: float = 30.0, stature: float = REST_STATURE) -> Motion:
    """Author a motion of SMPL24 in WORLD axes, with rotations and translation, on the floor around the origin.

    Feet stay where they are planted. "walk" comes towards +Z in whole strides, so its pose loops; "wave" (right hand) and "turn" (once round to the left)
    begin and end at rest; "tour" walks in, turns and waves.

    Args:
        seconds, fps: round(seconds * fps) frames, at least 1. stature: metres, 0.3 to 3.

    Raises:
        ValueError: an unknown action, or a number out of range.
    """
    if action not in ACTIONS:
        raise ValueError(f"action is '{action}', expected one of {', '.join(ACTIONS)}")
    for name, value, low, high in (("seconds", seconds, 0.0, 600.0), ("fps", fps, 0.0, 1000.0), ("stature", stature, 0.3, 3.0)):
        if not low < value <= high:
            raise ValueError(f"{name} is {value}, expected above {low:g} and at most {high:g}")
    dense = math.ceil(_GRID_HZ / fps)
    step, frames, margin = 1 / (fps * dense), max(1, round(seconds * fps)), round(_MARGIN * fps)
    time = (torch.arange((frames + 2 * margin) * dense, dtype=torch.float64) - margin * dense) * step
    rotations, root = _perform(_PLANS[action](seconds, time), time, step)
    chosen = slice(margin * dense, (margin + frames) * dense, dense)
    skeleton, scale = SMPL24, stature / REST_STATURE
    if scale != 1:
        skeleton = replace(SMPL24, rest=SMPL24.rest * scale)
    return forward(Animation(rotations=rotations[chosen].float(), translation=(scale * root[chosen]).float(), fps=float(fps), rig=skeleton))


def _plan_walk(seconds: float, time: Tensor) -> _Plan:
    strides = max(1, round(seconds / _STRIDE))
    stride = seconds / strides if seconds > 0.7 * _STRIDE else _STRIDE
    speed = _STRIDE_LENGTH / stride

    def route(t: Tensor) -> Tensor:
        return torch.stack([torch.zeros_like(t), speed * (t - seconds / 2), torch.zeros_like(t)], -1)

    lifts = [(number + 0.05) * stride for number in range(math.floor(float(time[0]) / stride) - 1, math.ceil(float(time[-1]) / stride) + 1)]
    left = [(lift, lift + _SWING * stride) for lift in lifts]
    return _Plan(route=route, left=left, right=_later(left, stride / 2), half_width=_TREAD, wave=torch.zeros_like(time))


def _later(swings: Swings, delay: float) -> Swings:
    return [(lift + delay, land + delay) for lift, land in swings]


def _plan_turn(seconds: float, time: Tensor) -> _Plan:
    return _Plan(**_turning(0.06 * seconds, 0.94 * seconds), half_width=_STAND, wave=torch.zeros_like(time))


def _turning(start: float, end: float) -> dict:
    """Once round on the spot in an even number of steps, the left foot first."""
    steps = 2 * max(3, round((end - start) / 0.9))
    pace = (end - start) / (steps + 0.3)

    def route(t: Tensor) -> Tensor:
        u = (t - start - 0.3 * pace) / (end - start - 0.6 * pace)
        still = torch.zeros_like(t)
        return torch.stack([still, still, 2 * math.pi * _trapezoid(u)], -1)

    lifts = [start + number * pace for number in range(steps)]
    swings = [(lift, lift + 0.92 * pace) for lift in lifts]
    return {"route": route, "left": swings[::2], "right": swings[1::2]}


def _trapezoid(u: Tensor, ramp: float = 0.2) -> Tensor:
    """0 to 1 over u in 0..1 at a steady pace with a smooth start and stop."""
    u = u.clamp(0, 1)
    pace = 1 / (1 - ramp)
    begin = pace * u * u / (2 * ramp)
    end = 1 - pace * (1 - u) ** 2 / (2 * ramp)
    return torch.where(u < ramp, begin, torch.where(u > 1 - ramp, end, pace * (u - ramp / 2)))


def _plan_wave(seconds: float, time: Tensor) -> _Plan:
    return _Plan(route=_stand, left=[], right=[], half_width=_STAND, wave=_raised(time, 0.04 * seconds, 0.96 * seconds))


def _stand(t: Tensor) -> Tensor:
    return torch.zeros(*t.shape, 3, dtype=torch.float64)


def _raised(time: Tensor, start: float, end: float) -> Tensor:
    """How far the arm is up: raised within 0.7 s of `start`, or a third of the time, and down again at `end`."""
    rise = min(0.75, (end - start) / 3)
    return ease((time - start) / rise) * ease((end - time) / rise)


def _plan_tour(seconds: float, time: Tensor) -> _Plan:
    stop, turned = 0.28 * seconds, 0.62 * seconds
    stride = _STRIDE * min(1.0, stop / 1.8)
    speed, slowing = _STRIDE_LENGTH / stride, 0.9 * stride
    turning = _turning(stop + 0.1 * stride, turned)

    def route(t: Tensor) -> Tensor:
        left = (stop - t).clamp(min=0)
        z = -torch.where(left < slowing, speed * left * left / (2 * slowing), speed * (left - slowing / 2))
        return torch.stack([torch.zeros_like(t), z, turning["route"](t)[:, 2]], -1)

    last = stop - 0.30 * stride
    count = math.ceil((last - float(time[0])) / stride) + 1
    right = [(last - number * stride, last - number * stride + _SWING * stride) for number in reversed(range(count))]
    left = _later(right, -stride / 2)
    return _Plan(
        route=route, left=left + turning["left"], right=right + turning["right"], half_width=0.08,
        wave=_raised(time, turned - 0.02 * seconds, 0.985 * seconds),
    )  # fmt: skip


_PLANS = {"walk": _plan_walk, "wave": _plan_wave, "turn": _plan_turn, "tour": _plan_tour}


def _perform(plan: _Plan, time: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """Local rotations (N, 24, 3, 3) and root (N, 3) of a plan."""
    course = plan.route(time)
    heading = smooth(course[:, 2], 0.12, step)
    legs = tuple(
        plan_leg(plan.route, time, swings, left=left, half_width=plan.half_width)
        for swings, left in ((plan.left, True), (plan.right, False))
    )
    stagger, pace, sway, swinging = _leg_signals(legs, course, heading, step)
    pelvis = turn_about(_Y, heading - 0.17 * stagger) @ turn_about(_Z, -0.055 * swinging) @ turn_about(_X, 0.08 * pace)
    across = torch.stack([heading.cos(), torch.zeros_like(heading), -heading.sin()], -1)
    ground = torch.stack([course[:, 0], torch.zeros_like(heading), course[:, 1]], -1)
    root = fit_pelvis(legs, ground + (sway + 0.018 * plan.wave)[:, None] * across, pelvis, step)

    rotations = torch.eye(3, dtype=torch.float64).repeat(len(time), 24, 1, 1)
    rotations[:, 0] = pelvis
    for leg, (hip, knee, ankle), left in zip(legs, ((1, 4, 7), (2, 5, 8)), (True, False), strict=True):
        thigh, shin = solve_leg(leg, root, pelvis, heading, left=left)
        rotations[:, hip], rotations[:, knee], rotations[:, ankle] = pelvis.mT @ thigh, thigh.mT @ shin, shin.mT @ leg.turn
    _add_trunk(rotations, time, stagger, pace, swinging, plan.wave)
    _add_arms(rotations, time, stagger, plan.wave)
    return rotations, root


def _leg_signals(legs: tuple[Leg, Leg], course: Tensor, heading: Tensor, step: float) -> tuple[Tensor, ...]:
    """What the body does with its legs, each (N): metres the left foot is ahead, the mean size of that, metres the weight moves to the left, and which foot
    is in the air (left 1, right -1)."""
    left, right = legs
    ahead = torch.stack([heading.sin(), heading.cos()], -1)
    across = torch.stack([heading.cos(), -heading.sin()], -1)
    stagger = ((left.ankle - right.ankle)[:, [0, 2]] * ahead).sum(-1)
    weights = 1.001 - torch.stack([left.airborne, right.airborne], -1)
    offsets = torch.stack([((leg.ankle[:, [0, 2]] - course[:, :2]) * across).sum(-1) for leg in legs], -1)
    support = (weights * offsets).sum(-1) / weights.sum(-1)
    pace = smooth(stagger.abs(), 0.5, step)
    return smooth(stagger, 0.10, step), pace, 0.4 * smooth(support, 0.2, step), smooth(left.airborne - right.airborne, 0.1, step)


def _add_trunk(rotations: Tensor, time: Tensor, stagger: Tensor, pace: Tensor, swinging: Tensor, wave: Tensor) -> None:
    """The shoulders turn against the pelvis and stay level; the head keeps looking ahead."""
    sway = 0.012 * torch.sin(2 * math.pi * 0.45 * time) * wave
    for joint in (3, 6, 9):
        rotations[:, joint] = (
            turn_about(_Y, 0.11 * stagger) @ turn_about(_Z, 0.022 * swinging + sway - 0.012 * wave) @ turn_about(_X, 0.012 + 0.08 * pace)
        )
    for joint in (12, 15):
        rotations[:, joint] = turn_about(_Y, -0.08 * stagger) @ turn_about(_Z, 0.03 * wave) @ turn_about(_X, torch.full_like(time, -0.02))


def _add_arms(rotations: Tensor, time: Tensor, stagger: Tensor, wave: Tensor) -> None:
    """Arms hang with bent elbows and swing against the legs; the right one waves."""
    beat = 2 * math.pi * 1.8 * time
    for side, (collar, shoulder, elbow, wrist) in ((1.0, (13, 16, 18, 20)), (-1.0, (14, 17, 19, 21))):
        up = wave if side < 0 else torch.zeros_like(wave)
        swing = (0.06 - side * 0.62 * stagger) * (1 - up)
        flex = (0.30 + 0.30 * swing) * (1 - up) + (1.30 + 0.36 * torch.sin(beat)) * up
        hang = 1.35 * (1 - up) + 0.02 * up
        rotations[:, collar] = turn_about(_Z, side * (0.14 * up - 0.03))
        rotations[:, shoulder] = (
            turn_about(_X, -swing)
            @ turn_about(_Y, -side * 0.40 * up)
            @ turn_about(_Z, -side * hang)
            @ turn_about(_X, 0.25 * (1 - up) - 1.35 * up)
        )
        rotations[:, elbow] = turn_about(_Y, -side * flex)
        rotations[:, wrist] = turn_about(_Y, -side * (0.12 * (1 - up) + 0.22 * torch.sin(beat - 0.7) * up))
