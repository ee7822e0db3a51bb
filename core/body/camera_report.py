"""What cameras see of a motion."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..types import CameraRig, Frame, Motion
from ..wording import counted
from .framing import BODY_RADIUS

_ENTIRE = 0.98  # share of the joints in the picture, from which a view counts as whole


@dataclass(frozen=True, eq=False, kw_only=True)
class RigReport:
    """in_picture: (V, T) share of the joints seen by the motion that lie in the picture, NaN in frames without any. nearest: (V, T) metres from the camera
    to the nearest bone. behind: (V, T) share of the joints behind the camera."""

    in_picture: Tensor
    nearest: Tensor
    behind: Tensor

    @property
    def inside(self) -> Tensor:
        """(V, T) whether the camera is inside the body."""
        return self.nearest < BODY_RADIUS

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the views, in sentences; none where all is well."""
        found = []
        frames = self.nearest.shape[1]
        for view, (share, inside, behind) in enumerate(zip(self.in_picture, self.inside, self.behind, strict=True)):
            share = share[~share.isnan()]
            if inside.any():
                found.append(f"view {view}: the camera is inside the body in {int(inside.sum())} of {frames} frames: move it away")
            if (share == 0).all():
                away = "stands with its back to it" if (behind.nan_to_num() > 0.5).float().mean() > 0.5 else "looks past it"
                found.append(f"view {view}: the person is in none of the {frames} frames, the camera {away}: turn it towards the person")
            elif (share == 0).any():
                found.append(
                    f"view {view}: the person leaves the picture in {int((share == 0).sum())} of {frames} frames: let the camera follow"
                )
            elif share.mean() < _ENTIRE:
                found.append(f"view {view}: {100 * float(1 - share.mean()):.0f} % of the joints are outside the picture")
        return tuple(found)

    def text(self) -> str:
        """The report in lines."""
        share, near = self.in_picture[~self.in_picture.isnan()], self.nearest[torch.isfinite(self.nearest)]
        head = f"{counted(self.nearest.shape[0], 'view')}, {counted(self.nearest.shape[1], 'frame')}"
        if len(share) and len(near):
            head += f": {100 * float(share.mean()):.0f} % of the joints in the picture, nearest body {float(near.min()):.2f} m away"
        return "\n".join([head, *(f"warning: {line}" for line in self.warnings)])


def rig_report(motion: Motion, rig: CameraRig) -> RigReport:
    """Whether cameras stand outside the body and see the person, for every view and frame.

    Raises:
        ValueError: moving cameras and a motion of another length.
    """
    motion = motion.cpu()
    if motion.frame is Frame.CAMERA and rig.world_to_camera[..., :3].sub(torch.eye(3)).abs().max() > 1e-5:
        raise ValueError(
            "the motion is in the axes of the camera that filmed it, and these are other cameras: convert it with Convert Space first"
        )
    seen = motion.seen
    pixels, depth = rig.project(motion.joints)  # (V, T, J, 2), (V, T, J)
    height, width = rig.image_size
    inside = (depth > 0) & (pixels >= 0).all(-1) & (pixels[..., 0] <= width) & (pixels[..., 1] <= height)
    count = seen.sum(-1)  # (T)
    share, behind = ((part & seen).sum(-1) / count for part in (inside, depth <= 0))
    return RigReport(in_picture=share, nearest=_nearest_bones(motion, rig), behind=behind)


def _nearest_bones(motion: Motion, rig: CameraRig) -> Tensor:
    """(V, T) metres from each camera to the nearest bone or joint; infinite where nothing is seen."""
    centers = (rig.centers if rig.frames is not None else rig.centers[:, None]).double().cpu()[:, :, None]  # (V, T or 1, 1, 3)
    bones = motion.skeleton.bones
    child, parent = [bone[0] for bone in bones] or [0], [bone[1] for bone in bones] or [0]
    joints, seen = motion.joints.double(), motion.seen
    start, bone = joints[:, parent], joints[:, child] - joints[:, parent]  # (T, E, 3)
    along = ((centers - start) * bone).sum(-1) / bone.square().sum(-1).clamp(min=1e-12)
    gap = (start + along.clamp(0, 1)[..., None] * bone - centers).norm(dim=-1)
    gap = torch.where(seen[:, child] & seen[:, parent], gap, torch.inf)
    single = torch.where(seen, (joints - centers).norm(dim=-1), torch.inf)
    return torch.minimum(gap.amin(-1), single.amin(-1)).float()
