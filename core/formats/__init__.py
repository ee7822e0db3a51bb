"""Objects to and from files. Whatever a file holds, reading it raises ValueError or FileNotFoundError and nothing else."""

from .clips import ClipInfo
from .filmed import FilmedMotion, load_filmed_motion
from .glb_writer import save_animated_glb
from .gltf import load_rig
from .motion_files import WRITE_SUFFIXES, describe_motions, load_motion, motion_as_glb, save_motion
from .video import read_video, write_video
