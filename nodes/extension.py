"""THE list of the pack's nodes."""

from comfy_api.latest import ComfyExtension

from .loaders.motion import LoadMotion
from .loaders.tokenizer import LoadMotionTokenizer
from .motion.cameras import PlaceOrbitCameras, TakeCameraFromView
from .motion.demo import MakeDemoMotion
from .motion.files import PreviewMotion, SaveMotion
from .motion.inspection import InspectMotion
from .motion.maps import DrawSkeleton, RenderBoneMaps
from .motion.placement import FitMotionToTokenizer
from .motion.tokens import DecodeMotionTokens, EditMotionTokens, EncodeMotionTokens, InspectCodebook

NODES = [
    MakeDemoMotion,
    LoadMotion,
    LoadMotionTokenizer,
    FitMotionToTokenizer,
    EncodeMotionTokens,
    DecodeMotionTokens,
    EditMotionTokens,
    InspectCodebook,
    InspectMotion,
    PlaceOrbitCameras,
    TakeCameraFromView,
    RenderBoneMaps,
    DrawSkeleton,
    SaveMotion,
    PreviewMotion,
]


class Motion4DExtension(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    async def get_node_list(self):
        return NODES
