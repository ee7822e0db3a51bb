"""A look at motion attention during one pass: where the video attends to each joint."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..conditions import MotionCondition


class MotionLook:
    """An observer for the networks: keeps what some blocks attend to.

    Raises:
        ValueError: blocks without motion attention, or nothing to attend to.
    """

    def __init__(self, motion: MotionCondition, blocks: Sequence[int], *, motion_blocks: Sequence[int], slots: int | None):
        """blocks: numbers of those to look at, among `motion_blocks`. slots: learned tokens that stand for no motion, None without."""
        if unknown := sorted(set(blocks) - set(motion_blocks)):
            raise ValueError(f"blocks {unknown} have no motion attention: choose among {', '.join(map(str, motion_blocks)) or 'none'}")
        if motion.tokens is None and slots is None:
            raise ValueError("the conditioning has no motion to attend to: connect motion tokens to Condition Video on Motion")
        self._frames, self._blocks = motion.frames, blocks
        self._seen: dict[int, Tensor] = {}

    def __call__(self, number: int, probabilities: Tensor) -> None:
        """Called by a block with (B, N, L), of which the first row is kept."""
        if number in self._blocks:
            self._seen[number] = probabilities[0].float().cpu()

    def shares(self, video: Sequence[int]) -> Tensor:
        """(blocks, joints, F, h / 2, w / 2) share of attention, mean over the latent frames of the motion.

        Args:
            video: F, h, w of the latents.
        """
        frames, height, width = video
        found = torch.stack([self._seen[number] for number in self._blocks]).unflatten(2, (self._frames, -1)).mean(2)  # (blocks, N, J)
        return found.transpose(1, 2).unflatten(2, (frames, height // 2, width // 2))
