"""The colours that tell the sides of a body apart, in every picture and figure, and colours that people write."""

import re

from ..types import Skeleton

Colour = tuple[int, int, int]

LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (Rec. 601)
LEFT, RIGHT, MIDDLE = (255, 138, 92), (64, 196, 232), (236, 234, 226)  # warm left, cool right, pale trunk


def side_colours(skeleton: Skeleton) -> list[Colour]:
    """(J) colour of each joint, and of the bone that ends in it, by its side of the body.

    Of two mirrored joints, whose names differ in the side only, the left one comes first in the alphabet.
    """
    names = [name.lower() for name in skeleton.names]
    pairs = zip(names, (names[other] for other in skeleton.mirror), strict=True)
    return [MIDDLE if name == other else LEFT if name < other else RIGHT for name, other in pairs]


def read_colour(text: str) -> tuple[float, float, float]:
    """Red, green and blue in 0..1 of "#rrggbb" or "#rgb"; ValueError if it is neither."""
    digits = text.strip().removeprefix("#")
    if not re.fullmatch(r"[0-9a-fA-F]{6}|[0-9a-fA-F]{3}", digits):
        raise ValueError(f"the colour is '{text}', expected #rrggbb, such as #ffffff for white")
    parts = [2 * digit for digit in digits] if len(digits) == 3 else [digits[at : at + 2] for at in (0, 2, 4)]
    return tuple(int(part, 16) / 255 for part in parts)
