"""Objects to and from files. Whatever a file holds, reading it raises ValueError or FileNotFoundError and nothing else."""

from .clips import ClipInfo
from .filmed import FilmedMotion, load_filmed_motion
from .glb_writer import save_animated_glb
from .gltf import load_rig
from .gltf_meshes import load_meshes
from .motion_files import WRITE_SUFFIXES, describe_motions, load_motion, motion_as_glb, save_motion
from .rig_animation import list_animations, load_animation, save_animation
from .video import read_video, write_video
