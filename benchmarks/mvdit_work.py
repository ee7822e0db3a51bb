"""How much arithmetic one look of the MV-DiT models takes, counted from the shapes: two operations for each product that is summed.

Norms, softmax, rotations, activations and sums are left out, as `torch.utils.flop_counter` leaves them out. N video tokens, D channels.
"""

from dataclasses import dataclass

from ..core.networks.mvdit_cogvideox import MVDiTCogVideoXConfig
from ..core.networks.wan_config import MVDiTWanConfig

WAN_PATCH = 2


@dataclass(frozen=True)
class Work:
    """Operations of one forward. self_attention: the products of queries, keys and values alone, which grow with N squared."""

    self_attention: int
    rest: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.self_attention + self.rest

    def times(self, rows: int) -> "Work":
        """Of a batch."""
        return Work(rows * self.self_attention, rows * self.rest)


def work_7b(config: MVDiTCogVideoXConfig, size: tuple[int, int, int], motion: int, *, kept: bool = False) -> Work:
    """Of one row of the 7B model.

    Args:
        size: F, H, W of the latents. motion: tokens. kept: keys and values of the motion are at hand.
    """
    frames, height, width = size
    tokens, channels = frames * (height // config.patch) * (width // config.patch), config.width
    square = 2 * tokens * channels**2  # a projection of all tokens
    block = (4 + 2 + 8) * square  # self-attention; queries and output of motion attention; feed-forward
    block += 4 * tokens * motion * channels
    block += 0 if kept else 2 * 2 * motion * channels**2
    block += 2 * 2 * config.time_dim * 6 * channels  # two norms modulated by the time
    patch = config.patch**2
    ends = 2 * tokens * channels * patch * (config.in_channels + config.out_channels)
    ends += 2 * config.time_dim * (channels + config.time_dim + 2 * channels)
    return Work(config.layers * 4 * tokens**2 * channels, config.layers * block + ends)


def work_17b(
    config: MVDiTWanConfig, size: tuple[int, int, int], motion: int, image: int, *, kept: bool = False, motion_kept: bool = False
) -> Work:
    """Of one row of the 17B model.

    Args:
        size: F, H, W of the latents. motion, image: tokens; the text is always filled up to `config.text_len`.
        kept: keys and values of text and image are at hand. motion_kept: those of the motion.
    """
    frames, height, width = size
    tokens, channels, text = frames * (height // WAN_PATCH) * (width // WAN_PATCH), config.dim, config.text_len
    square = 2 * tokens * channels**2
    block = (4 + 2) * square + 2 * 2 * tokens * channels * config.ffn_dim  # self-attention; queries and output of cross-attention
    block += 4 * tokens * (text + image) * channels
    injection = 2 * square + 4 * tokens * motion * channels
    injection += 0 if motion_kept else 2 * 2 * motion * channels**2
    injections = len(config.motion_blocks) if motion else 0
    patch = WAN_PATCH**2
    ends = 2 * tokens * channels * patch * (config.in_channels + config.out_channels)
    ends += 2 * channels * (config.freq_dim + channels + 6 * channels)  # time
    if not kept:
        block += 2 * 2 * (text + image) * channels**2
        ends += 2 * text * channels * (config.text_dim + channels)
        ends += 2 * image * config.image_dim * (config.image_dim + channels)
    return Work(config.layers * 4 * tokens**2 * channels, config.layers * block + injections * injection + ends)
