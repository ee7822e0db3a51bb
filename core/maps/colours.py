"""The colours that tell the sides of a body apart, in every picture and figure."""

from ..types import Skeleton

Colour = tuple[int, int, int]

LEFT, RIGHT, MIDDLE = (255, 138, 92), (64, 196, 232), (236, 234, 226)  # warm left, cool right, pale trunk


def side_colours(skeleton: Skeleton) -> list[Colour]:
    """(J) colour of each joint, and of the bone that ends in it, by its side of the body.

    Of two mirrored joints, whose names differ in the side only, the left one comes first in the alphabet.
    """
    names = [name.lower() for name in skeleton.names]
    pairs = zip(names, (names[other] for other in skeleton.mirror), strict=True)
    return [MIDDLE if name == other else LEFT if name < other else RIGHT for name, other in pairs]
