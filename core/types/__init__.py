"""The values that travel between nodes: frozen, checked where they are made, never changed in place.

Units and axes are those of `core/__init__.py`. Two values are equal only if they are the same object.
"""

from .cameras import CameraRig as CameraRig
from .cameras import Keypoints as Keypoints
from .checks import ImageSize as ImageSize
from .cues import DrivingCues as DrivingCues
from .cues import Similarity as Similarity
from .maps import BoneMaps as BoneMaps
from .maps import DetailMaps as DetailMaps
from .maps import EdgeSamples as EdgeSamples
from .maps import PoseMaps as PoseMaps
from .motion import Frame as Frame
from .motion import Motion as Motion
from .motion import Skeleton as Skeleton
from .rigs import Animation as Animation
from .rigs import Rig as Rig
from .rigs import RigMesh as RigMesh
from .tokens import MotionTokens as MotionTokens
from .tokens import decoded_frames as decoded_frames
from .tokens import latent_frames as latent_frames
