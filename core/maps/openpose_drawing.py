"""The OpenPose figure on which pose ControlNets, VACE and Fun-Control were trained."""

import numpy as np

from ..body.openpose import openpose_joints
from ..skeletons import OPENPOSE18
from ..types import Motion

# Colours of the joints; the limb of the same number has the same. Both are those of OpenPose's 18-keypoint rendering, which DWPose's keeps.
_COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85), (0, 255, 170),
    (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16),
    (0, 15), (15, 17),
)  # fmt: skip
_HALF_WIDTH = 4  # pixels, of limbs and joints at every size of the picture
_LIMB_LIGHT = 0.6


def openpose_figure(motion: Motion) -> Motion:
    """The motion on OPENPOSE18's joints, which `draw_openpose` draws; ValueError for one that is neither those nor SMPL's."""
    return motion if motion.skeleton.names == OPENPOSE18.names else openpose_joints(motion)


def draw_openpose(canvas: np.ndarray, pixels: np.ndarray, shown: np.ndarray) -> None:
    """Draw the joints (18, 2) pixels that are `shown` (18) as ControlNet's annotators draw DWPose's body: limbs as ellipses, darkened, then joints as discs.

    canvas: (H, W, 3) uint8, RGB.
    """
    import cv2

    shown = shown & (np.abs(np.nan_to_num(pixels)) < 1 << 14).all(-1)
    limbs = np.zeros_like(canvas)
    drawn = np.zeros(canvas.shape[:2], np.uint8)
    for (a, b), colour in zip(_LIMBS, _COLOURS, strict=False):
        if not (shown[a] and shown[b]):
            continue
        center, (x, y) = (pixels[a] + pixels[b]) / 2, pixels[a] - pixels[b]
        axes = (int(np.hypot(x, y) / 2), _HALF_WIDTH)
        polygon = cv2.ellipse2Poly((int(center[0]), int(center[1])), axes, int(np.degrees(np.arctan2(y, x))), 0, 360, 1)
        cv2.fillConvexPoly(limbs, polygon, colour)
        cv2.fillConvexPoly(drawn, polygon, 1)
    canvas[drawn > 0] = (limbs[drawn > 0] * _LIMB_LIGHT).astype(np.uint8)
    for joint in np.flatnonzero(shown):
        cv2.circle(canvas, (int(pixels[joint, 0]), int(pixels[joint, 1])), _HALF_WIDTH, _COLOURS[joint], thickness=-1)
