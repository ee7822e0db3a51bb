"""Examples of rigged characters: one that goes out as pose maps and comes back, one that real cameras move."""

from collections.abc import Mapping
from typing import Any

from ..workflow import Link, Workflow
from .files import save
from .filmed import ACTION, CALIBRATION, FPS, POSES, SECONDS
from .inputs import CHARACTER

_VIEWS = 4
_BUNDLED = "The files named here are made by code and come with the pack, in `example_workflows/inputs`: choose your own instead."


def animate_my_rig(infos: Mapping[str, Any]) -> Workflow:
    """A rigged character and a motion become pose maps, and what is read from them becomes an animation of the character."""
    flow = Workflow(infos)
    flow.add("1", "Motion4D_LoadRig", "Character", (0, 80), room=130, file=CHARACTER)
    rig = flow.out("1", "rig")
    flow.add("2", "Motion4D_LoadMotion", "Motion, or its own animation", flow.below("1"), default=flow.out("1", "motion"))
    own = {"motion": flow.out("2", "motion"), "rig": rig, "size": "fit", "aim": "directions"}
    flow.add("3", "Motion4D_SolveSkeleton", "Onto the character", flow.below("2"), room=130, **own)
    flow.frame("Character and motion", "1", "2", "3")
    moved, fps = flow.out("3", "motion"), flow.out("2", "fps")

    around = {"rig": rig, "animation": flow.out("3", "animation"), "margin": 1.0, "lens": 60.0, "width": 480, "height": 480}
    flow.add("4", "Motion4D_PlaceRigCameras", "Four cameras around it", (380, 80), room=90, **around)
    cameras = flow.out("4", "cameras")
    flow.add("5", "Motion4D_RenderRigViews", "What a video model is shown", flow.below("4"), room=90, rig=rig, cameras=cameras)
    flow.add("6", "PreviewImage", "The character at rest", flow.below("5"), room=230, images=flow.out("5", "images"))
    flow.add("7", "Motion4D_DrawPoseMaps", "Pose maps", flow.below("6"), room=90, motion=moved, cameras=cameras)
    flow.frame("Out: pictures of four views", "4", "5", "6", "7")

    given = {"images": flow.out("7", "images"), "pose_maps": flow.out("7", "pose_maps")}
    flow.add("8", "Motion4D_ReadPoseMaps", "Joints in the pictures", (760, 80), room=130, **given)
    seen = {"keypoints": flow.out("8", "keypoints"), "cameras": cameras, "rig": rig, "bone_lengths": "rest pose", "fps": fps}
    flow.add("9", "Motion4D_TriangulateJoints", "Joints in space", flow.below("8"), room=130, **seen)
    back = {"motion": flow.out("9", "motion"), "rig": rig, "cameras": cameras}
    flow.add("10", "Motion4D_SolveSkeleton", "Turns of its joints", flow.below("9"), room=130, **back)
    flow.frame("Back: an animation", "8", "9", "10")

    compared(flow, "11", (1140, 80), title="How far is it off?", motion=flow.out("10", "animation"), reference=moved)
    saved(flow, "13", flow.below("12", 120), flow.out("10", "animation"), "my_rig")
    grid(flow, "15", (1520, 80), "Pose maps", flow.out("7", "images"), fps, "pose_maps")
    filmed(flow, "18", flow.below("17", 120), rig, flow.out("10", "animation"), fps, "my_rig")
    flow.note(
        f"## A character goes out as pose maps and comes back\n\nRuns as it is, with a mannequin that waves. {_BUNDLED}\n\nFor your own: choose any rigged GLB, glTF or VRM as "
        "**file** of *Character*, and **clip** for one of its animations; or choose a **file** in *Motion, or its own animation*. Joints go by their names, Mixamo's and SMPL's "
        "are known.\n\n*Pose maps* are what AnimaX lets a video model draw. Put the model between *Pose maps* and *Joints in the pictures*, or load its video: any size, all frames "
        "of the first view, then all of the second, and so on.\n\n*How far is it off?* compares the animation that came back with the one that went out. Switch on **detail** "
        "of *Pose maps* for characters with fingers, and connect **detail_images**.",
        (-420, 80),
        (380, 560),
    )
    return flow


def cameras_to_animation(infos: Mapping[str, Any]) -> Workflow:
    """2D poses in the films of four calibrated cameras become an animation of a rigged character."""
    flow = Workflow(infos)
    flow.add("1", "Motion4D_LoadCameraCalibration", "Cameras", (0, 80), room=130, file=CALIBRATION)
    collected, at = {"calibration": flow.out("1", "calibration")}, flow.below("1")
    for view, name in enumerate(POSES, start=1):
        node = str(view + 1)
        flow.add(node, "Motion4D_LoadPoseKeypoints", f"Poses in film {view}", at, room=60, file=name)
        collected[f"pose_keypoint_{view}"], at = flow.out(node, "pose_keypoint"), flow.below(node)
    flow.frame("Films", *(str(number) for number in range(1, len(POSES) + 2)))

    flow.add("6", "Motion4D_CollectCameraKeypoints", "All cameras together", (380, 80), room=130, **collected)
    seen = {"keypoints": flow.out("6", "keypoints"), "cameras": flow.out("6", "cameras"), "skeleton": "openpose18", "fps": FPS}
    flow.add("7", "Motion4D_TriangulateJoints", "Joints in space", flow.below("6"), room=130, **seen)
    flow.add("8", "PreviewImage", "How well the cameras agree", flow.below("7"), room=230, images=flow.out("7", "plot"))
    flow.frame("Motion", "6", "7", "8")

    flow.add("9", "Motion4D_ConvertSkeleton", "A whole body", (760, 80), motion=flow.out("7", "motion"), skeleton="smpl24")
    flow.add("10", "Motion4D_CleanMotion", "Clean it", flow.below("9"), room=130, motion=flow.out("9", "motion"))
    flow.add("11", "Motion4D_LoadRig", "Character", flow.below("10"), room=130, file=CHARACTER)
    rig = flow.out("11", "rig")
    onto = {"motion": flow.out("10", "motion"), "rig": rig, "cameras": flow.out("6", "cameras"), "twist": "optimise"}
    flow.add("12", "Motion4D_SolveSkeleton", "Turns of its joints", flow.below("11"), room=130, **onto)
    flow.frame("Character", "9", "10", "11", "12")

    flow.add("13", "Motion4D_MakeDemoMotion", "Who was filmed", (1140, 80), action=ACTION, seconds=SECONDS, fps=FPS)
    flow.frame("The truth", "13")
    truth = flow.out("13", "motion")
    compared(flow, "14", flow.below("13", 120), title="Joints in space: how far off?", motion=flow.out("7", "motion"), reference=truth)
    compared(flow, "16", flow.below("15", 120), title="Character: how far off?", motion=flow.out("12", "animation"), reference=truth)
    saved(flow, "18", (1520, 80), flow.out("12", "animation"), "cameras")
    filmed(flow, "20", flow.below("19", 120), rig, flow.out("12", "animation"), FPS, "cameras")
    flow.note(
        f"## Films of several cameras move a character\n\nRuns as it is: somebody made by code walks in front of four cameras with bent lenses; of what a detector found, every "
        f"12th keypoint is missing, every 30th is far off, and all tremble by 2 pixels. {_BUNDLED}\n\nFor your own: choose the **file** of your calibration in *Cameras* (OpenCV, Pose2Sim, "
        "anipose or COLMAP; set **up** to `auto` if its world does not stand upright) and replace *Poses in film 1* to *4* by DWPose, SDPose or OpenPose on each film, in the order of the "
        "calibration. Two cameras at right angles are enough, eight are the most. Films that start at other moments: **start_frames**.\n\nChoose your **file** in *Character*. If it "
        "has other proportions than the person, set **size** to fit and **aim** to directions in *Turns of its joints*.\n\n*Who was filmed* is known here only because it was made by "
        "code: remove it, or load motion capture in its place, with **alignment** rigid.",
        (-420, 80),
        (380, 680),
    )
    return flow


def compared(flow: Workflow, id: str, at: tuple[int, int], *, title: str, **given: Link) -> None:
    """A node that compares, and the next one, which shows its plot."""
    plot = str(int(id) + 1)
    flow.add(id, "Motion4D_CompareMotions", title, at, room=230, **given)
    flow.add(plot, "PreviewImage", "Over time", flow.below(id), room=230, images=flow.out(id, "plot"))
    flow.frame("Error" if title.startswith("How") else title.split(":")[0], id, plot)


def saved(flow: Workflow, id: str, at: tuple[int, int], animation: Link, prefix: str) -> None:
    """The animated character as a GLB, and the next node, which shows it."""
    view = str(int(id) + 1)
    flow.add(id, "Motion4D_SaveAnimatedRig", "Save the character", at, room=90, animation=animation, filename_prefix=f"motion4d/{prefix}")
    flow.add(view, "Preview3D", "Look at it in 3D", flow.below(id), room=230, model_file=flow.out(id, "path"))
    flow.frame("Animated character", id, view)


def grid(flow: Workflow, id: str, at: tuple[int, int], title: str, images: Link, fps: Link, prefix: str) -> None:
    """Three nodes: all views side by side as a video."""
    video, file = (str(int(id) + step) for step in (1, 2))
    flow.add(id, "Motion4D_ViewGrid", f"{title} side by side", at, images=images, views=_VIEWS, columns=2)
    flow.add(video, "CreateVideo", f"Video, {title.lower()}", flow.below(id), images=flow.out(id, "images"), fps=fps)
    flow.add(file, "SaveVideo", f"Save {title.lower()}", flow.below(video), room=220, **save(flow.out(video, "VIDEO"), prefix))
    flow.frame(title, id, video, file)


def filmed(flow: Workflow, id: str, at: tuple[int, int], rig: Link, animation: Link, fps: Link | float, prefix: str) -> None:
    """Four nodes: the animated character as a video from one side."""
    picture, video, file = (str(int(id) + step) for step in (1, 2, 3))
    place = {"azimuths": "30", "elevation": 8.0, "margin": 1.0, "lens": 70.0, "width": 384, "height": 384}
    flow.add(id, "Motion4D_PlaceRigCameras", "A camera", at, room=60, rig=rig, animation=animation, **place)
    shown = {"rig": rig, "cameras": flow.out(id, "cameras"), "animation": animation}
    flow.add(picture, "Motion4D_RenderRigViews", "Its pictures", flow.below(id), room=60, **shown)
    flow.add(video, "CreateVideo", "Video, character", flow.below(picture), images=flow.out(picture, "images"), fps=fps)
    flow.add(file, "SaveVideo", "Save the video", flow.below(video), room=220, **save(flow.out(video, "VIDEO"), prefix))
    flow.frame("Video of the character", id, picture, video, file)
