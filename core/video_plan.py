"""The video that motion and a picture are to become: its length and size, checked before anything is computed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .conditions import GREY, MotionCondition, VideoCondition, hold, video_frames
from .specs import load_spec
from .types import ImageSize, MotionTokens, latent_frames

TRAINED_LATENTS = 13  # latent frames of the clips that both models were trained on
FITS = ("refuse", "pad", "trim")
VAES = {"mvdit_7b": "cogvideox_vae", "mvdit_17b": "wan_vae"}  # of each kind of model
SIDE_STEP = 16  # pixels: eight to a latent pixel, two of those to a token

# Sizes (height, width) of 17B by the label of their proportion, height over width; the label decides what is nearest.
# fmt: off
BUCKETS = {
    0.25: (256, 1024), 0.26: (256, 992), 0.27: (256, 960), 0.28: (256, 928), 0.32: (288, 896), 0.33: (288, 864), 0.35: (288, 832),
    0.4: (320, 800), 0.42: (320, 768), 0.48: (352, 736), 0.5: (352, 704), 0.52: (352, 672), 0.57: (384, 672), 0.6: (384, 640),
    0.68: (416, 608), 0.72: (416, 576), 0.78: (448, 576), 0.82: (448, 544), 0.88: (480, 544), 0.94: (480, 512), 1.0: (512, 512),
    1.07: (512, 480), 1.13: (544, 480), 1.21: (544, 448), 1.29: (576, 448), 1.38: (576, 416), 1.46: (608, 416), 1.67: (640, 384),
    1.75: (672, 384), 2.0: (704, 352), 2.09: (736, 352), 2.4: (768, 320), 2.5: (800, 320), 2.89: (832, 288), 3.0: (864, 288),
    3.11: (896, 288), 3.62: (928, 256), 3.75: (960, 256), 3.88: (992, 256), 4.0: (1024, 256),
}
# fmt: on


@dataclass(frozen=True, eq=False, kw_only=True)
class VideoPlan:
    """kind: "mvdit_7b" or "mvdit_17b". height, width: pixels."""

    kind: str
    motion: MotionCondition
    height: int
    width: int

    @property
    def encoded_frames(self) -> int:
        """T of `encoded`."""
        return video_frames(min(self.motion.frames, TRAINED_LATENTS))

    def encoded(self, picture: Tensor) -> Tensor:
        """What the VAE encodes as the reference: frames (T, H, W, 3) that show the picture all the time (7B), or once and then grey (17B)."""
        shown = picture.expand(self.encoded_frames, *picture.shape)
        return shown if self.kind == "mvdit_7b" else torch.cat([shown[:1], torch.full_like(shown[1:], GREY)])

    def conditions(self, latents: Tensor) -> tuple[VideoCondition, VideoCondition]:
        """The positive and the negative condition; 17B was trained with the motion in both.

        Args:
            latents: (C, F, h, w) of `encoded`. Where the video is longer their last frame goes on: the picture, or grey.
        """
        known = 0 if self.kind == "mvdit_7b" else 1
        positive = VideoCondition(motion=self.motion, reference=hold(latents, self.motion.frames), known=known)
        return positive, positive.without_motion() if self.kind == "mvdit_7b" else positive

    def report(self) -> str:
        """Length and size in words, with what is out of the ordinary and how it is sampled then."""
        frames = self.motion.frames
        lines = [f"{self.width} x {self.height}, {video_frames(frames)} frames ({frames} latent frames)"]
        if frames != TRAINED_LATENTS and self.kind == "mvdit_7b":
            lines.append(
                f"NOTE: the learned tokens for no motion are for {TRAINED_LATENTS} latent frames ({video_frames(TRAINED_LATENTS)} frames): sample this in "
                "windows of that length, or with cfg 1"
            )
        elif frames != TRAINED_LATENTS:
            lines.append(
                f"NOTE: 17B was trained on {TRAINED_LATENTS} latent frames ({video_frames(TRAINED_LATENTS)} frames) at a time: sample this in windows "
                "of that length"
            )
        return "\n".join(lines)


def plan_video(
    kind: str,
    tokens: MotionTokens,
    positions: Tensor,
    *,
    motion_width: int | None,
    picture: ImageSize,
    released: ImageSize = (512, 512),
    width: int = 0,
    height: int = 0,
    frames: int = 0,
    fit: str = "refuse",
) -> VideoPlan:
    """Check motion, length and size against a model.

    Args:
        kind: of the model. positions: (J, 3) mean joints of the tokenizer's training data, millimetres. motion_width: channels of the tokens
            that the model takes, None without motion attention.
        picture: (H, W) of the reference. width, height: pixels, both 0 for `released` (H, W) at 7B and the bucket of nearest proportion at 17B.
        frames: of the video, 0 for as many as the motion has. fit: what to do if they differ, see `fit_frames`.

    Raises:
        ValueError: what does not fit, with both numbers and the remedy.
    """
    if motion_width is None:
        raise ValueError("the model has no motion attention: connect Load Motion Adapter to Apply Motion Attention, and that to `model`")
    if tokens.tokens.shape[1] != motion_width:
        raise ValueError(
            f"the tokens have {tokens.tokens.shape[1]} channels, the model takes {motion_width}: encode the motion with the tokenizer that the "
            "model was trained with"
        )
    if tokens.joints != len(positions):
        raise ValueError(f"the tokens have {tokens.joints} joints, the model expects {len(positions)}: encode a motion of that skeleton")
    motion = MotionCondition.of(tokens, positions)
    motion = fit_frames(motion, video_latents(frames), fit) if frames else motion
    if bool(width) != bool(height):
        raise ValueError(f"width is {width} and height {height}: give both, or 0 for both to take the released size")
    if not width:
        height, width = nearest_bucket(*picture) if kind == "mvdit_17b" else released
    check_size(width, height)
    return VideoPlan(kind=kind, motion=motion, height=height, width=width)


def check_vae(kind: str, vae: str | None) -> None:
    """ValueError where a VAE is known to be that of another model: both have 16 channels, and the numbers would be wrong without a word.

    Args:
        kind: of the model. vae: "cogvideox_vae", "wan_vae", or None where it cannot be told.
    """
    if vae not in (None, VAES[kind]):
        given, expected = load_spec(vae).title, load_spec(VAES[kind]).title
        raise ValueError(f"vae: this is the {given}, {load_spec(kind).title} needs the {expected}: choose its file in Load Video VAE")


def fit_frames(motion: MotionCondition, frames: int, fit: str) -> MotionCondition:
    """A motion of as many latent frames as a video.

    Args:
        fit: "refuse" a motion of another length, "pad" a shorter one by holding its last latent frame, or "trim" the end of a longer one.

    Raises:
        ValueError: lengths differ and `fit` does not say what to do.
    """
    if fit not in FITS:
        raise ValueError(f"fit is {fit!r}, expected one of {', '.join(FITS)}")
    if motion.frames == frames:
        return motion
    needed = "pad" if motion.frames < frames else "trim"
    if fit != needed:
        remedy = f"make the video {video_frames(motion.frames)} frames long, or set fit to {needed}"
        raise ValueError(
            f"the motion has {motion.frames} latent frames, the video {frames} ({video_frames(frames)} frames), with fit {fit}: {remedy}"
        )
    return motion.window([min(index, motion.frames - 1) for index in range(frames)])


def video_latents(frames: int) -> int:
    """Latent frames of a video; ValueError unless it has 1, 5, 9, ... frames."""
    if frames < 1 or frames % 4 != 1:
        below = max(frames - 1, 0) // 4 * 4 + 1
        raise ValueError(f"a video of {frames} frames, expected one more than a multiple of 4: use {below} or {below + 4}")
    return latent_frames(frames)


def check_size(width: int, height: int) -> None:
    """ValueError with the nearest sizes unless both sides of a video, in pixels, are multiples of 16."""
    wrong = {name: side for name, side in (("width", width), ("height", height)) if side < SIDE_STEP or side % SIDE_STEP}
    if wrong:
        near = [f"{name} {' or '.join(str(side) for side in _nearest_sides(value))}" for name, value in wrong.items()]
        given = " and ".join(f"{name} {side}" for name, side in wrong.items())
        raise ValueError(f"{given}: expected multiples of {SIDE_STEP}: use {', '.join(near)}")


def _nearest_sides(side: int) -> list[int]:
    below = side // SIDE_STEP * SIDE_STEP
    return [SIDE_STEP] if side < SIDE_STEP else [below, below + SIDE_STEP]


def nearest_bucket(height: int, width: int) -> tuple[int, int]:
    """The size (height, width) that 17B was released with for a picture: of the nearest proportion, sides multiples of 32.

    Raises:
        ValueError: a side below 1.
    """
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {width} x {height}, expected sides of at least 1")
    return BUCKETS[min(BUCKETS, key=lambda ratio: abs(ratio - height / width))]
