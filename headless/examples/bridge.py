"""An example of motion that goes to other packs and comes from them."""

from collections.abc import Mapping
from typing import Any

from ..workflow import Workflow
from .files import VIDEO_FORMAT

_SIDE = 640


def motion_bridge(infos: Mapping[str, Any]) -> Workflow:
    """A motion as NLF poses, SMPL parameters and OpenPose keypoints of other packs, and back."""
    flow = Workflow(infos)
    flow.add("2", "Motion4D_MakeDemoMotion", "Demo motion", (0, 80), action="wave", seconds=2.5)
    flow.add("1", "Motion4D_LoadMotion", "Motion", flow.below("2"), max_side=_SIDE, default=flow.out("2", "motion"))
    motion, fps = flow.out("1", "motion"), flow.out("1", "fps")
    size = {"width": _SIDE, "height": _SIDE}
    flow.add("3", "Motion4D_PlaceOrbitCameras", "Camera of 55 degrees", flow.below("1"), motion=motion, fov=55.0, margin=1.1, **size)
    flow.frame("Motion", "1", "2", "3")

    seen = {"motion": motion, "cameras": flow.out("3", "cameras")}
    flow.add("4", "Motion4D_ConvertMotionToNLF", "To NLF poses", (380, 80), room=130, **seen)
    flow.add("5", "Motion4D_ConvertMotionToOpenPose", "To OpenPose", flow.below("4"), **seen)
    flow.add("6", "Motion4D_ConvertMotionToSMPL", "To SMPL parameters", flow.below("5"), room=130, motion=motion)
    flow.add("7", "Motion4D_SaveSMPLParameters", "To a file of GVHMR", flow.below("6"), motion=motion)
    flow.frame("To other packs", "4", "5", "6", "7")

    flow.add("8", "Motion4D_ConvertToMotion", "From NLF poses", (760, 80), room=130, pose_data=flow.out("4", "nlf_poses"), fps=fps, **size)
    flow.add("9", "Motion4D_ConvertToKeypoints", "From OpenPose", flow.below("8"), room=130, pose_keypoint=flow.out("5", "pose_keypoint"))
    flow.add(
        "10", "Motion4D_ConvertToMotion", "From SMPL parameters", flow.below("9"), room=130, pose_data=flow.out("6", "smpl_params"), fps=fps
    )
    flow.frame("From other packs", "8", "9", "10")

    flow.add("11", "Motion4D_DrawSkeleton", "What came back from NLF", (1140, 80), motion=flow.out("8", "motion"), style="mtvcrafter")
    flow.add("12", "CreateVideo", "Video", flow.below("11"), images=flow.out("11", "images"), fps=fps)
    save = {"video": flow.out("12", "VIDEO"), "filename_prefix": "motion4d/bridge"}
    flow.add("13", "SaveVideo", "Save video", flow.below("12"), room=220, **save, **VIDEO_FORMAT)
    bvh = {"motion": flow.out("10", "motion"), "filename_prefix": "motion4d/bridge", "format": "bvh"}
    flow.add("14", "Motion4D_SaveMotion", "Save what came back from SMPL", flow.below("13"), **bvh)
    flow.add("15", "Motion4D_InspectMotion", "What is in it", flow.below("14"), room=130, motion=flow.out("10", "motion"))
    flow.frame("What came back", "11", "12", "13", "14", "15")
    flow.note(
        "## Motion to other packs and back\n\nRuns as it is: each of the four ways goes out and comes back. Put nodes of other packs in between, or instead: *From NLF poses* "
        "takes NLFPRED, SAM 3D Body's MHR_POSE_DATA, Kimodo's and SMPL_PARAMS alike, and tells in its report what it found.\n\n*To NLF poses* makes BVH, AMASS and edited "
        "motion drive MTV Crafter and SCAIL; *To OpenPose* drives ControlNets. None of these types knows a frame rate: **fps** goes beside it.",
        (-420, 80),
        (380, 380),
    )
    return flow
