"""One socket type for each dataclass of core/types.py that travels between nodes."""

from comfy_api.latest import io

Motion = io.Custom("MOTION4D_MOTION")
CameraRig = io.Custom("MOTION4D_CAMERAS")
BoneMaps = io.Custom("MOTION4D_BONE_MAPS")
MotionTokens = io.Custom("MOTION4D_TOKENS")
Tokenizer = io.Custom("MOTION4D_TOKENIZER")
Placement = io.Custom("MOTION4D_PLACEMENT")
People = io.Custom("MOTION4D_PEOPLE")
Estimator = io.Custom("MOTION4D_ESTIMATOR")
Load3DCamera = io.Custom("LOAD3D_CAMERA")
Keypoints = io.Custom("MOTION4D_KEYPOINTS")
Calibration = io.Custom("MOTION4D_CALIBRATION")
BodyModel = io.Custom("MOTION4D_BODY_MODEL")
Alignment = io.Custom("MOTION4D_ALIGNMENT")
Rig = io.Custom("MOTION4D_RIG")
Animation = io.Custom("MOTION4D_ANIMATION")
MetricNetwork = io.Custom("MOTION4D_METRIC_NETWORK")
PoseMaps = io.Custom("MOTION4D_POSE_MAPS")

# Types of other packs, known by their names alone; what is in them is in core/formats/wires.
NLFPred = io.Custom("NLFPRED")
MTVCrafterMotion = io.Custom("MTVCRAFTERMOTION")
SMPLParams = io.Custom("SMPL_PARAMS")
PoseKeypoint = io.Custom("POSE_KEYPOINT")
WanCameraEmbedding = io.Custom("WAN_CAMERA_EMBEDDING")
SAM3Track = io.Custom("SAM3_TRACK_DATA")
BoundingBox = io.Custom("BOUNDING_BOX")
POSE_DATA = (NLFPred, io.Custom("MHR_POSE_DATA"), io.Custom("KIMODO_POSE_DATA"), SMPLParams)
