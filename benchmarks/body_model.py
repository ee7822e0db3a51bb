"""Time of posing a body model: `python -m motion4d.benchmarks.body_model [--frames 3000] [--file SMPL_NEUTRAL.npz]`.

Without a file the joints of our own rest skeleton are posed: the arithmetic is the same. With one, and smplx installed, its full mesh is timed beside it.
"""

import argparse
from collections.abc import Sequence

import torch

from ..core.body.models import chained_joints
from ..core.formats.body_models import load_body_model
from ..core.geometry.kinematics import forward
from ..core.geometry.rotations import rotvec_to_matrix
from ..core.skeletons import SMPL24
from ..core.types import Animation
from .measures import best_seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--repeat", type=int, default=50)
    parser.add_argument("--file")
    options = parser.parse_args(arguments)
    model = None if options.file is None else load_body_model(options.file)
    skeleton = SMPL24 if model is None else model.rest_skeleton()
    generator = torch.Generator().manual_seed(0)
    rotations = rotvec_to_matrix(0.3 * torch.randn(options.frames, len(skeleton.names), 3, generator=generator))
    path = torch.randn(options.frames, 3, generator=generator)
    animation = Animation(rotations=rotations, translation=path, fps=30.0, rig=skeleton)
    print(f"{options.frames} frames, {len(skeleton.names)} joints, {torch.get_num_threads()} threads, best of {options.repeat}")
    ways = {
        "joints, bone after bone": lambda: chained_joints(rotations, path, skeleton.rest, skeleton.parents),
        "joints of any tree, level by level": lambda: forward(animation),
    }
    for name, run in ways.items():
        print(f"  {name:36s} {1000 * best_seconds(run, options.repeat):8.2f} ms")
    apart = (chained_joints(rotations, path, skeleton.rest, skeleton.parents) - forward(animation).joints).abs().max()
    print(f"  largest difference between the two   {float(apart):.1e} m")
    if model is not None:
        print(f"  {'vertices, through smplx':36s} {1000 * best_seconds(lambda: model.vertices(rotations, path), 1):8.2f} ms")


if __name__ == "__main__":
    main()
