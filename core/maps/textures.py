"""Looking up pictures on surfaces: filtering, wrapping and smaller copies, in linear light."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

FILTERS = ("smooth", "nearest")
_DEEPEST = 12  # halvings of a texture


def to_linear(colors: Tensor) -> Tensor:
    """sRGB (IEC 61966-2-1) in 0..1 -> linear light."""
    return torch.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def to_srgb(colors: Tensor) -> Tensor:
    """Linear light -> sRGB, both in 0..1; what is outside is clipped."""
    colors = colors.clamp(0, 1)
    return torch.where(colors <= 0.0031308, colors * 12.92, 1.055 * colors ** (1 / 2.4) - 0.055)


class Texture:
    """A picture (h, w, 4) uint8, sRGB and alpha, with smaller copies of itself made when they are first needed."""

    def __init__(self, picture: Tensor, wrap: tuple[str, str], filtering: str):
        self.levels, self.wrap, self.filtering = [picture], wrap, filtering
        levels = torch.arange(256, device=picture.device) / 255
        self._light = torch.stack([to_linear(levels)] * 3 + [levels], 1)  # (256, 4)

    def look_up(self, uv: Tensor, texels: Tensor) -> Tensor:
        """Linear colour and alpha (P, 4).

        Args:
            uv: (P, 2) from the upper left corner. texels: (P) of the whole picture that one pixel of the screen covers; from 2 on, smooth filtering takes
                a copy of about one texel for each pixel, which keeps fine patterns from flickering.
        """
        if self.filtering == "nearest":
            height, width = self.levels[0].shape[:2]
            place = (uv * uv.new_tensor([width, height])).floor().long()
            return self._fetch(0, place[:, 0], place[:, 1])
        level = (texels.clamp(min=1).log2() / 2).round().clamp(max=_DEEPEST).long()
        colors = torch.empty(len(uv), 4, device=uv.device)
        for number in level.unique().tolist():
            rows = (level == number).nonzero()[:, 0]
            colors[rows] = self._between(self._level(number), uv[rows])
        return colors

    def _level(self, number: int) -> int:
        """Number of the copy halved so many times, or of the smallest."""
        while len(self.levels) <= number and max(self.levels[-1].shape[:2]) > 1:
            light = torch.stack([self._light[self.levels[-1][..., c].long(), c] for c in range(4)])
            halved = avg_pool2d(light, [min(2, side) for side in light.shape[1:]], ceil_mode=True, count_include_pad=False)
            coded = torch.cat([to_srgb(halved[:3]), halved[3:]])
            self.levels.append((coded * 255).round().byte().permute(1, 2, 0).contiguous())
        return min(number, len(self.levels) - 1)

    def _between(self, level: int, uv: Tensor) -> Tensor:
        height, width = self.levels[level].shape[:2]
        place = uv * uv.new_tensor([width, height]) - 0.5
        corner = place.floor()
        (x, y), (right, down) = corner.long().unbind(1), (place - corner).float()[..., None].unbind(1)
        upper = self._fetch(level, x, y) * (1 - right) + self._fetch(level, x + 1, y) * right
        lower = self._fetch(level, x, y + 1) * (1 - right) + self._fetch(level, x + 1, y + 1) * right
        return upper * (1 - down) + lower * down

    def _fetch(self, level: int, x: Tensor, y: Tensor) -> Tensor:
        picture = self.levels[level]
        texel = picture[_wrapped(y, picture.shape[0], self.wrap[1]), _wrapped(x, picture.shape[1], self.wrap[0])].long()
        return torch.stack([self._light[texel[:, c], c] for c in range(4)], 1)


def _wrapped(place: Tensor, size: int, mode: str) -> Tensor:
    if mode == "clamp":
        return place.clamp(0, size - 1)
    if mode == "mirror":
        place = place % (2 * size)
        return torch.where(place < size, place, 2 * size - 1 - place)
    return place % size
