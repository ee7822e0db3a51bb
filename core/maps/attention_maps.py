"""Where the tokens of a video look for each joint of the motion (MTVCrafter, Fig. 11a), as heat over its frames."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..skeletons import SMPL24
from ..types import Skeleton, latent_frames
from .captions import caption_bar
from .comparison_strip import strip
from .resampling import resample

MIDDLE = "middle"
_MOST = 96  # panels
# Dark to pale through warm colours, evenly lighter.
_RAMP = ((13, 14, 20), (62, 18, 92), (140, 32, 105), (210, 65, 70), (246, 133, 40), (250, 205, 80), (253, 250, 205))
_DIMMED = 0.45  # of the brightness of the frames behind
_LEGEND = 28  # pixels


def attention_shares(maps: Tensor) -> Tensor:
    """Maps (blocks, J, F, h, w) -> the part of its motion attention that each video token gives to each joint; joints sum to 1.

    Raises:
        ValueError: no such layout, or values that are not finite and 0 or more.
    """
    if maps.ndim != 5 or 0 in maps.shape:
        raise ValueError(f"the attention maps are {tuple(maps.shape)}, expected (blocks, joints, F, h, w)")
    maps = maps.detach().cpu().float()
    if not (maps.isfinite().all() and (maps >= 0).all()):
        raise ValueError("the attention maps have values below 0 or that are no numbers: the model's weights are damaged")
    return maps / maps.sum(1, keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)


def chosen_joints(names: str, skeleton: Skeleton = SMPL24) -> list[int]:
    """Numbers of the joints in a list of names with commas; ValueError lists the names there are."""
    found = [skeleton.index(name.strip()) for name in names.split(",") if name.strip()]
    if not found:
        raise ValueError(f"no joint is named: give some of {', '.join(skeleton.names)}, with commas")
    return list(dict.fromkeys(found))


def chosen_blocks(wanted: str, present: Sequence[int]) -> list[int]:
    """Numbers of blocks in a list with commas, or MIDDLE for the one in the middle of those that have motion attention.

    Raises:
        ValueError: the model has no motion attention, or not in a block that is named.
    """
    if not present:
        raise ValueError("this model has no motion attention: connect it through Apply Motion Attention with an adapter")
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    blocks = [present[len(present) // 2] if word == MIDDLE else int(word) if word.isdecimal() else -1 for word in words]
    if not blocks or not set(blocks) <= set(present):
        raise ValueError(f"blocks are {wanted!r}, expected {MIDDLE}, or some of {', '.join(map(str, present))} with commas")
    return list(dict.fromkeys(blocks))


def check_drawing(count: int, *, blocks: Sequence[int], joints: Sequence[int], frames: Tensor | None) -> None:
    """Raise ValueError where `draw_attention` would, before there is attention over `count` latent frames to draw."""
    if len(blocks) * len(joints) > _MOST:
        raise ValueError(f"{len(blocks)} blocks x {len(joints)} joints are more than {_MOST} pictures: choose fewer of them")
    if frames is not None and len(frames) != 1 and latent_frames(len(frames)) != count:
        raise ValueError(
            f"{len(frames)} frames for attention over {count} latent frames: connect the {4 * count - 3} frames of this video, or one picture"
        )


def draw_attention(
    shares: Tensor,
    *,
    blocks: Sequence[int],
    joints: Sequence[int],
    frames: Tensor | None = None,
    height: int = 256,
    skeleton: Skeleton = SMPL24,
) -> Tensor:
    """Draw heat maps, a row for each block and a column for each joint, in one scale of colours with a legend below.

    Args:
        shares: (blocks, J, F, h, w) of `attention_shares`, of the blocks named.
        joints: numbers of those to show.
        frames: (T, H, W, 3) in 0..1, the video itself, or one picture, to lay the heat over; None for the heat alone.
        height: of a panel in pixels.

    Returns:
        (T, H, W, 3) in 0..1; without frames one picture for each latent frame.

    Raises:
        ValueError: frames of another length, or more panels than can be told apart.
    """
    if len(shares) != len(blocks):
        raise ValueError(f"there are attention maps of {len(shares)} blocks, {len(blocks)} are named: expected as many")
    if shares.shape[1] != len(skeleton.names):
        raise ValueError(f"the attention maps are of {shares.shape[1]} joints, the skeleton has {len(skeleton.names)}")
    check_drawing(shares.shape[2], blocks=blocks, joints=joints, frames=frames)
    background, clock = _behind(frames, shares.shape[2], height, shares.shape[3:])
    shown = shares[:, list(joints)]
    highest = float(shown.max())
    lines = []
    for number, row in zip(blocks, shown, strict=True):
        panels = []
        for joint, heat in zip(joints, row / highest, strict=True):
            heat = resample(heat[..., None], *background.shape[1:3])[..., 0]  # (F, H, W)
            panels.append((f"block {number}: {skeleton.names[joint]}", _overlaid(heat, background, clock)))
        lines.append(strip(panels, height=height))
    whole = torch.cat(lines, 1)
    even = 1 / len(skeleton.names)
    words = f"brightest: {highest:.1%} of a token's motion attention (an even share is {even:.1%})"
    legend = _legend(words, whole.shape[2])
    return torch.cat([whole, legend.expand(len(whole), -1, -1, -1)], 1)


def _behind(frames: Tensor | None, count: int, height: int, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Dimmed grey pictures (T or 1, H, W, 1) at the size of a panel, and which latent frame each picture of the result shows."""
    if frames is None:
        width = max(1, round(height * grid[1] / grid[0]))
        return torch.zeros(1, height, width, 1), torch.arange(count)
    width = max(1, round(height * frames.shape[2] / frames.shape[1]))
    grey = resample(frames.detach().cpu().float()[..., :3].mean(-1, keepdim=True), height, width)
    clock = torch.arange(count) if len(frames) == 1 else (torch.arange(len(frames)) + 3) // 4
    return _DIMMED * grey, clock.clamp(max=count - 1)


def _overlaid(heat: Tensor, background: Tensor, clock: Tensor) -> Tensor:
    """(T, H, W, 3): heat (F, H, W) in 0..1 in its colours, over the background as far as there is little of it."""
    pictures = torch.empty(len(clock), *heat.shape[1:], 3)
    for number, latent in enumerate(clock.tolist()):
        value = heat[latent, ..., None]
        behind = background[min(number, len(background) - 1)]
        pictures[number] = torch.maximum(_colours(value[..., 0]), behind * (1 - value))
    return pictures


def _colours(values: Tensor) -> Tensor:
    """(...) in 0..1 -> (..., 3) of the ramp."""
    ramp = torch.tensor(_RAMP) / 255
    place = values.clamp(0, 1) * (len(ramp) - 1)
    below = place.floor().long().clamp(max=len(ramp) - 2)
    return torch.lerp(ramp[below], ramp[below + 1], (place - below)[..., None])


def _legend(words: str, width: int) -> Tensor:
    """(_LEGEND, width, 3): the scale of colours, and what its end stands for."""
    scale = max(1, width // 4)
    ramp = _colours(torch.linspace(0, 1, scale)).expand(_LEGEND, scale, 3)
    return torch.cat([ramp, caption_bar(words, _LEGEND, width - scale)], 1)


def describe_attention(shares: Tensor, *, blocks: Sequence[int], joints: Sequence[int], skeleton: Skeleton = SMPL24) -> str:
    """For each block and joint, in lines: the mean and the highest share, and where the highest is."""
    even = 1 / shares.shape[1]
    lines = [f"part of the motion attention of a video token that goes to a joint; an even share of {shares.shape[1]} joints is {even:.2%}"]
    for number, row in zip(blocks, shares, strict=True):
        for joint in joints:
            heat = row[joint]
            frame, y, x = (int(index) for index in torch.unravel_index(heat.argmax(), heat.shape))
            across, down = (x + 0.5) / heat.shape[2], (y + 0.5) / heat.shape[1]
            place = f"latent frame {frame}, {across:.0%} across and {down:.0%} down"
            lines.append(
                f"block {number}, {skeleton.names[joint]}: {float(heat.mean()):.2%} on average, {float(heat.max()):.2%} at most ({place})"
            )
    return "\n".join(lines)
