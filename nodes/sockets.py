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
