"""A small TorchScript file with NLF's interface, so that everything can run where NLF is not at hand.

It takes what differs from the colour of a picture's first pixel for people, columns with nothing of them in between apart, and stands the rest pose into the box
of each. It learns nothing and follows no limb.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from ..formats.atomic import replacing
from ..skeletons import REST_STATURE, SMPL24

_DIFFERENT = 40  # of 255
_LEAST_SIDE = 4  # pixels of a box


class _TinyNLF(nn.Module):
    """Rest pose of stature 1.692 m, head up, in camera axes around the middle of its height."""

    def __init__(self, rest: Tensor, stature: float, different: int, least_side: int):
        super().__init__()
        self.register_buffer("rest", rest)
        self.stature, self.different, self.least_side = stature, different, least_side

    @torch.jit.export
    def detect_smpl_batched(
        self, images: Tensor, intrinsic_matrix: Tensor | None = None, default_fov_degrees: float = 55.0, model_name: str = "smpl"
    ) -> dict[str, list[Tensor]]:
        height, width = images.shape[2], images.shape[3]
        focal = max(height, width) / (2 * torch.tan(torch.deg2rad(torch.tensor(default_fov_degrees) / 2)))
        camera = torch.eye(3)
        camera[0, 0], camera[1, 1], camera[0, 2], camera[1, 2] = focal, focal, width / 2, height / 2
        if intrinsic_matrix is not None:
            camera = intrinsic_matrix[0].cpu()
        result: dict[str, list[Tensor]] = {}
        for key in ["joints3d_nonparam", "joints3d", "joint_uncertainties", "boxes", "pose", "betas", "trans"]:
            result[key] = []
        for image in images:
            boxes = self.boxes(image).to(images.device)
            people = len(boxes)
            depth = camera[1, 1] * self.stature / boxes[:, 3].clamp(min=1)
            x = (boxes[:, 0] + boxes[:, 2] / 2 - camera[0, 2]) / camera[0, 0] * depth
            y = (boxes[:, 1] + boxes[:, 3] / 2 - camera[1, 2]) / camera[1, 1] * depth
            place = torch.stack([x, y, depth], -1)[:, None]
            joints = (self.rest + place) * 1000
            result["joints3d_nonparam"].append(joints)
            result["joints3d"].append(joints)
            result["joint_uncertainties"].append(torch.full((people, 24), 30.0, device=images.device))
            result["boxes"].append(boxes)
            result["pose"].append(torch.tensor([torch.pi, 0.0, 0.0] + [0.0] * 69, device=images.device).expand(people, 72))
            result["betas"].append(torch.zeros(people, 10, device=images.device))
            result["trans"].append(place[:, 0])
        return result

    def boxes(self, image: Tensor) -> Tensor:
        """(P, 5) x, y, width, height, score 0.9, from left to right."""
        picture = image.to(torch.int32)
        mask = (picture - picture[:, :1, :1]).abs().amax(0) > self.different
        columns = mask.any(0).cpu()
        found: list[Tensor] = []
        start = -1
        for column in range(len(columns) + 1):
            filled = bool(columns[column]) if column < len(columns) else False
            if filled and start < 0:
                start = column
            if not filled and start >= 0:
                rows = torch.nonzero(mask[:, start:column].any(1))[:, 0]
                top, bottom = int(rows.min()), int(rows.max()) + 1
                if column - start >= self.least_side and bottom - top >= self.least_side:
                    found.append(torch.tensor([float(start), float(top), float(column - start), float(bottom - top), 0.9]))
                start = -1
        return torch.stack(found) if len(found) > 0 else torch.zeros(0, 5)


def write_tiny_nlf(path: str | Path) -> None:
    """Write the file, for `load_nlf`."""
    rest = SMPL24.rest * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([0.0, REST_STATURE / 2, 0.0])
    with replacing(Path(path)) as temporary:
        torch.jit.script(_TinyNLF(rest, REST_STATURE, _DIFFERENT, _LEAST_SIDE)).save(str(temporary))
