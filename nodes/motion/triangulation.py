"""Several calibrated cameras to a motion."""

from comfy_api.latest import io, ui

from ...core.formats.wires import from_pose_keypoints
from ...core.geometry.keypoint_views import gather_views
from ...core.geometry.lens import undistort
from ...core.geometry.triangulation import LENGTHS, triangulate
from ...core.maps.triangulation_plots import plot_triangulation
from ...core.skeletons import STANDARD
from ...core.wording import counted
from .. import sockets

_MOST = 8


class CollectCameraKeypoints(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_CollectCameraKeypoints",
            display_name="Collect Camera Keypoints",
            category="motion4d/cameras",
            description="2D poses of one person, found in the films of two to eight calibrated cameras, as keypoints of all of them: scaled to the cameras' pictures, "
            "from the same moment on, and freed of the lenses' distortion. For Triangulate Joints.",
            search_aliases=["multi camera", "multiview keypoints", "openpose", "dwpose", "synchronise cameras", "undistort"],
            inputs=[
                sockets.Calibration.Input("calibration", tooltip="The cameras, of Load Camera Calibration, in the order of the poses."),
                io.Int.Input(
                    "person", default=0, min=0, max=99, tooltip="Which person of each frame's list; film one person alone if you can."
                ),
                io.Float.Input(
                    "least_confidence",
                    default=0.3,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="A keypoint below this confidence counts as not seen.",
                ),
                io.String.Input(
                    "start_frames",
                    default="",
                    tooltip="For each camera the frame of its film that shows the same moment, such as 0, 12, 5; empty if all films start together.",
                ),
                *(
                    sockets.PoseKeypoint.Input(
                        f"pose_keypoint_{view}",
                        optional=view > 2,
                        tooltip=f"2D poses in the film of camera {view}, of DWPose, OpenPose or SDPose.",
                    )
                    for view in range(1, _MOST + 1)
                ),
            ],
            outputs=[
                sockets.Keypoints.Output(display_name="keypoints", tooltip="OpenPose's 18 joints in each camera."),
                sockets.CameraRig.Output(display_name="cameras", tooltip="The pinhole cameras that the keypoints belong to."),
                io.String.Output(display_name="report", tooltip="What each camera sees, and what was done to its keypoints."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, calibration, person, least_confidence, start_frames, pose_keypoint_1, pose_keypoint_2, **more):
        wires = [pose_keypoint_1, pose_keypoint_2, *(more.get(f"pose_keypoint_{view}") for view in range(3, _MOST + 1))]
        chosen = [view for view, wire in enumerate(wires) if wire is not None]
        if chosen[-1] >= calibration.rig.views:
            raise ValueError(
                f"pose_keypoint_{chosen[-1] + 1} is connected, but the calibration has {calibration.rig.views} cameras "
                f"({', '.join(calibration.names[:_MOST])}): connect one film for each camera, in their order, or choose the calibration of these films"
            )
        cameras = calibration.take_views(chosen)
        views = [from_pose_keypoints(wires[view], person=person) for view in chosen]
        starts = _whole_numbers(start_frames)
        gathered, notes = gather_views(views, image_size=cameras.rig.image_size, starts=starts, least_confidence=least_confidence)
        keypoints = undistort(gathered, cameras)
        shares = keypoints.seen.float().mean((1, 2)).tolist()
        lines = [f"{name}: {share:.0%} of the joints" for name, share in zip(cameras.names, shares, strict=True)]
        report = "\n".join([counted(keypoints.pixels.shape[1], "frame"), *lines, *notes])
        return io.NodeOutput(keypoints, cameras.rig, report, ui=ui.PreviewText(report))


def _whole_numbers(text: str) -> tuple[int, ...]:
    words = text.replace(",", " ").split()
    if not all(word.isdigit() and len(word) < 10 for word in words):
        raise ValueError(f"start_frames is '{text[:60]}', expected whole numbers such as 0, 12, 5, or nothing")
    return tuple(map(int, words))


class TriangulateJoints(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_TriangulateJoints",
            display_name="Triangulate Joints",
            category="motion4d/motion",
            description="A motion in metres from the keypoints of two or more cameras: one robust fit of the whole clip that keeps bones at their lengths, fills what no "
            "two cameras see, and tells how far off it is.",
            search_aliases=["multi camera", "multiview", "3d pose", "bundle adjustment", "pose2sim", "anipose", "reconstruct joints"],
            inputs=[
                sockets.Keypoints.Input("keypoints", tooltip="Of Collect Camera Keypoints or of Read Pose Maps."),
                sockets.CameraRig.Input("cameras", tooltip="One for each view of the keypoints, in their order; still or moving."),
                io.Combo.Input(
                    "skeleton",
                    options=list(STANDARD),
                    default="openpose18",
                    tooltip="The joints of the keypoints; a connected rig takes its place.",
                ),
                io.Combo.Input(
                    "bone_lengths",
                    options=list(LENGTHS),
                    default=LENGTHS[0],
                    tooltip="estimate: one length for each bone, found along with the motion; rest pose: those of the rig or skeleton; none: free.",
                ),
                io.Float.Input(
                    "smoothness",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Weight against sudden accelerations, the same at every frame rate and size; 0 leaves it out.",
                ),
                io.Float.Input("fps", default=30.0, min=1.0, max=1000.0, step=0.01, tooltip="Frames per second of the films."),
                sockets.Rig.Input("rig", optional=True, tooltip="A rigged character whose joints the keypoints are, in its order."),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion", tooltip="Joints in world space; confidence 0 where they were filled."),
                io.String.Output(
                    display_name="report", tooltip="Reprojection, expected error, bone lengths, and what is wrong with a view."
                ),
                io.Image.Output(
                    display_name="plot",
                    tooltip="Distance from the keypoints of each view, and the share of triangulated joints, over time.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, keypoints, cameras, skeleton, bone_lengths, smoothness, fps, rig=None):
        joints = STANDARD[skeleton] if rig is None else rig.skeleton
        result = triangulate(keypoints, cameras, joints, bone_lengths=bone_lengths, smoothness=smoothness, fps=fps)
        report = result.text()
        return io.NodeOutput(result.motion, report, plot_triangulation(result)[None], ui=ui.PreviewText(report))
