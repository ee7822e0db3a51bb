"""The video that motion and a picture are to become: its length and size, checked before anything is computed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .conditions import MotionCondition, VideoCondition, check_size, fit_frames, hold, nearest_bucket, video_frames, video_latents
from .types import ImageSize, MotionTokens

TRAINED_LATENTS = 13  # latent frames of the clips that both models were trained on
GREY = 0.5


@dataclass(frozen=True, eq=False, kw_only=True)
class VideoPlan:
    """kind: "mvdit_7b" or "mvdit_17b". height, width: pixels."""

    kind: str
    motion: MotionCondition
    height: int
    width: int

    def encoded(self, picture: Tensor) -> Tensor:
        """What the VAE encodes as the reference: frames (T, H, W, 3) that show the picture all the time (7B), or once and then grey (17B)."""
        frames = video_frames(min(self.motion.frames, TRAINED_LATENTS))
        shown = picture.expand(frames, *picture.shape)
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
        """Length and size in words, with what is out of the ordinary."""
        frames = self.motion.frames
        lines = [f"{self.width} x {self.height}, {video_frames(frames)} frames ({frames} latent frames)"]
        if frames != TRAINED_LATENTS and self.kind == "mvdit_7b":
            lines.append(
                f"WARNING: cfg needs {TRAINED_LATENTS} latent frames ({video_frames(TRAINED_LATENTS)} frames) at a time, as many as the learned tokens "
                "for no motion: use Sample Long Video, or cfg 1"
            )
        elif frames != TRAINED_LATENTS:
            lines.append(
                f"WARNING: 17B was trained on {TRAINED_LATENTS} latent frames ({video_frames(TRAINED_LATENTS)} frames) at a time, and the layout of its "
                "keys depends on that: use Sample Long Video"
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
        frames: of the video, 0 for as many as the motion has. fit: what to do if they differ, see `conditions.fit_frames`.

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
