"""THE list of the pack's nodes."""

from comfy_api.latest import ComfyExtension

from .loaders.body_model import LoadBodyModel
from .loaders.calibration import LoadCameraCalibration
from .loaders.cameras import LoadCameras
from .loaders.download import DownloadModel
from .loaders.estimators import LoadPoseEstimator
from .loaders.keypoints import LoadPoseKeypoints
from .loaders.metric_networks import LoadMetricNetwork
from .loaders.motion import LoadMotion
from .loaders.pictures import LoadReference
from .loaders.rigs import LoadRig
from .loaders.side_models import LoadImageEncoder, LoadTextEncoder, LoadVideoVAE
from .loaders.tokenizer import LoadMotionTokenizer
from .loaders.video_models import LoadMotionAdapter, LoadMVDiT
from .motion.alignment import AlignReferenceToPose, AlignViews, PasteViewsBack
from .motion.body import MakeBodyMesh, PoseBodyModel
from .motion.bridges import ConvertToKeypoints, ConvertToMotion, ConvertToPeople, ConvertToTokens
from .motion.bridges_out import ConvertMotionToNLF, ConvertMotionToOpenPose, ConvertMotionToSMPL, ConvertTokens, SaveSMPLParameters
from .motion.camera_files import ChangeLens, MakeCameraEmbedding, PreviewCameras, SaveCameras, SendCameraToView
from .motion.camera_paths import KeyCameras, MoveCamera
from .motion.cameras import PlaceOrbitCameras, TakeCameraFromView
from .motion.cleaning import CleanMotion
from .motion.comparison import CompareMotions
from .motion.cue_parts import AlignToReference, ExtractFaceCue, MakeLocationCue
from .motion.cues import ExtractDrivingCues, ExtractPoseCue
from .motion.curation import CurateClips
from .motion.cutting import CutMotion
from .motion.demo import MakeDemoMotion
from .motion.editing import ConvertSkeleton, ConvertSpace, EditMotion, RetargetMotion
from .motion.evaluation import EvaluateVideo
from .motion.extraction import ExtractMotion
from .motion.files import PreviewMotion, SaveMotion
from .motion.film_frames import TakeVideoFrames
from .motion.inspection import InspectMotion
from .motion.maps import DrawSkeleton, EncodeBoneMaps, RenderBoneMaps, SaveDepthMaps
from .motion.people import ComposeBoneMaps, GatherPeople, SelectPerson, SplitPeople
from .motion.person_masks import ColourPeople, CutOutPerson, MakePersonMasks
from .motion.placement import FitMotionToTokenizer
from .motion.pose_maps import DrawPoseMaps, ReadPoseMaps
from .motion.rig_views import PlaceRigCameras, RenderRigViews
from .motion.rigs import SolveSkeleton
from .motion.rigs_out import SaveAnimatedRig
from .motion.tokens import DecodeMotionTokens, EditMotionTokens, EncodeMotionTokens, InspectCodebook
from .motion.triangulation import CollectCameraKeypoints, TriangulateJoints
from .samplers.conditioning import ConditionVideoOnMotion
from .samplers.inspection import CompareVideos, InspectConsistency, ShowMotionAttention
from .samplers.long_video import InspectDrift, SampleLongVideo
from .samplers.motion import ApplyMotionAttention, GuideByMotionAndText
from .samplers.sampling import ReleasedSigmas, SampleMVDiT
from .samplers.views import EmptyMultiViewLatent, GatherViews, SeeMotionFromCameras, SplitViews, ViewGrid
from .samplers.windows import ApplyWindows, MultiViewNoise

NODES = [
    MakeDemoMotion,
    LoadMotion,
    LoadPoseEstimator,
    ExtractMotion,
    TakeVideoFrames,
    LoadPoseKeypoints,
    CollectCameraKeypoints,
    TriangulateJoints,
    SelectPerson,
    SplitPeople,
    GatherPeople,
    CurateClips,
    CutMotion,
    EditMotion,
    RetargetMotion,
    ConvertSpace,
    ConvertSkeleton,
    CleanMotion,
    LoadMotionTokenizer,
    FitMotionToTokenizer,
    EncodeMotionTokens,
    DecodeMotionTokens,
    EditMotionTokens,
    InspectCodebook,
    InspectMotion,
    CompareMotions,
    PlaceOrbitCameras,
    TakeCameraFromView,
    MoveCamera,
    KeyCameras,
    LoadCameras,
    LoadCameraCalibration,
    ChangeLens,
    SaveCameras,
    PreviewCameras,
    SendCameraToView,
    MakeCameraEmbedding,
    AlignViews,
    PasteViewsBack,
    AlignReferenceToPose,
    RenderBoneMaps,
    ComposeBoneMaps,
    EncodeBoneMaps,
    SaveDepthMaps,
    DrawSkeleton,
    SaveMotion,
    PreviewMotion,
    ConvertToMotion,
    ConvertToPeople,
    ConvertToKeypoints,
    ConvertToTokens,
    ConvertMotionToNLF,
    ConvertMotionToOpenPose,
    ConvertMotionToSMPL,
    SaveSMPLParameters,
    ConvertTokens,
    LoadBodyModel,
    PoseBodyModel,
    MakeBodyMesh,
    LoadRig,
    PlaceRigCameras,
    RenderRigViews,
    DrawPoseMaps,
    ReadPoseMaps,
    SolveSkeleton,
    SaveAnimatedRig,
    LoadReference,
    LoadMVDiT,
    LoadMotionAdapter,
    LoadTextEncoder,
    LoadImageEncoder,
    LoadVideoVAE,
    DownloadModel,
    ApplyMotionAttention,
    ConditionVideoOnMotion,
    SampleMVDiT,
    SampleLongVideo,
    GuideByMotionAndText,
    ReleasedSigmas,
    SeeMotionFromCameras,
    GatherViews,
    EmptyMultiViewLatent,
    ApplyWindows,
    MultiViewNoise,
    SplitViews,
    ViewGrid,
    InspectDrift,
    ShowMotionAttention,
    CompareVideos,
    InspectConsistency,
    LoadMetricNetwork,
    EvaluateVideo,
    ExtractDrivingCues,
    ExtractPoseCue,
    ExtractFaceCue,
    AlignToReference,
    MakeLocationCue,
    MakePersonMasks,
    CutOutPerson,
    ColourPeople,
]


class Motion4DExtension(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    async def get_node_list(self):
        return NODES
