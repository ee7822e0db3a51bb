"""Sizes of the Wan-based model, shared by the whole model and by the adapter that brings its motion attention to a foreign Wan."""

from dataclasses import dataclass

from .wan_blocks import KEY_LAYOUTS, vision_split


@dataclass(frozen=True)
class MVDiTWanConfig:
    """Sizes of the model; the defaults are the released one's.

    in_channels: noise, mask and masked video together. text_len: tokens that every text is padded to. image_dim: width of the image
    encoder's tokens. motion_dim: width of motion tokens, filled up with zeros to `dim`. motion_every: blocks 0, motion_every, ... have
    motion attention; 0 for none, the plain Wan2.1. key_layout: see `wan_blocks.MotionAttention`.
    """

    dim: int = 5120
    heads: int = 40
    ffn_dim: int = 13824
    layers: int = 40
    in_channels: int = 36
    out_channels: int = 16
    text_dim: int = 4096
    text_len: int = 512
    freq_dim: int = 256
    image_dim: int = 1280
    motion_dim: int = 3072
    motion_every: int = 4
    key_layout: str = "released"

    def __post_init__(self):
        sizes = {name: value for name, value in vars(self).items() if name != "key_layout"}
        if small := {name: value for name, value in sizes.items() if value < (name != "motion_every")}:
            raise ValueError(f"MVDiTWanConfig: {small}, expected at least 1 (0 for motion_every: no motion attention)")
        if self.dim % self.heads or self.head_dim % 2 or self.head_dim < 6:
            raise ValueError(f"MVDiTWanConfig: dim {self.dim} for {self.heads} heads, expected an even number of channels, 6 or more, each")
        if self.freq_dim % 2:
            raise ValueError(f"MVDiTWanConfig: freq_dim is {self.freq_dim}, expected an even number")
        if self.motion_dim > self.dim:
            raise ValueError(f"MVDiTWanConfig: motion_dim {self.motion_dim} is above dim {self.dim}, and motion is only filled up")
        if self.key_layout not in KEY_LAYOUTS:
            raise ValueError(f"MVDiTWanConfig: key_layout is {self.key_layout!r}, expected one of {', '.join(KEY_LAYOUTS)}")

    @property
    def motion_blocks(self) -> tuple[int, ...]:
        """Numbers of the blocks that have motion attention."""
        return tuple(range(0, self.layers, self.motion_every)) if self.motion_every else ()

    @property
    def head_dim(self) -> int:
        """Channels of a head."""
        return self.dim // self.heads

    @property
    def motion_split(self) -> tuple[int, int, int, int]:
        """Channels for t, x, y, z that `motion_rope` needs: time as in the video's table, the rest in three parts; (44, 28, 28, 28)."""
        time = vision_split(self.head_dim)[0]
        third, rest = divmod(self.head_dim - time, 3)
        if rest or third % 2:
            raise ValueError(f"heads of {self.head_dim} channels leave {self.head_dim - time} for x, y and z, expected a multiple of 6")
        return time, third, third, third
