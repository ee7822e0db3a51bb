"""Motion as tokens, and their clock."""

from dataclasses import dataclass

from torch import Tensor

from ..shapes import check_shapes
from .checks import check_fps


def latent_frames(frames: int) -> int:
    """Latent frames that a clip of `frames` is encoded in."""
    return (frames + 3) // 4


def decoded_frames(latents: int) -> int:
    """Frames that tokens of `latents` latent frames decode to: four for each, but of an odd number the first gives one."""
    return 4 * latents - 3 * (latents % 2)


@dataclass(frozen=True, eq=False, kw_only=True)
class MotionTokens:
    """4DMoT tokens of one clip.

    indices: (L) codebook rows, L = latent frames x joints, frame-major. tokens: (L, C) the quantised vectors. frames: of the clip; the tokens decode
    to at least as many.
    joints: J. spec: name of the model spec that made them. commit_loss: mean squared distance from the encoder output to its codes.
    """

    indices: Tensor
    tokens: Tensor
    frames: int
    joints: int
    spec: str
    commit_loss: float
    fps: float = 30.0

    def __post_init__(self):
        sizes = check_shapes("MotionTokens", indices=(self.indices, "L"), tokens=(self.tokens, "L C"))
        if self.joints < 1 or sizes["L"] == 0 or sizes["L"] % self.joints:
            raise ValueError(f"MotionTokens: {sizes['L']} tokens are no whole number of frames of {self.joints} joints")
        check_fps("MotionTokens", self.fps)

    @property
    def latent_frames(self) -> int:
        """L / J."""
        return len(self.indices) // self.joints
