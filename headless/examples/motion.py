"""Examples about motion itself: maps, files and tokens."""

from collections.abc import Mapping
from typing import Any

from ..workflow import Workflow
from .files import VIDEO_FORMAT, models


def motion_to_bone_maps(infos: Mapping[str, Any]) -> Workflow:
    """A motion from a file (or the demo) as bone maps, skeleton, npz, BVH and GLB."""
    flow = Workflow(infos)
    flow.group("Motion", -20, 20, 340, 990)
    flow.group("Cameras and maps", 360, 20, 340, 990)
    flow.group("Videos", 740, 20, 680, 640)
    flow.group("Files for other programs", 740, 700, 680, 560)
    flow.add("2", "Motion4D_MakeDemoMotion", "Demo motion", (0, 80), action="tour", seconds=6.5)
    flow.add("1", "Motion4D_LoadMotion", "Motion", (0, 300), max_side=640, default=flow.out("2", "motion"))
    motion, fps = flow.out("1", "motion"), flow.out("1", "fps")
    flow.add("3", "Motion4D_PlaceOrbitCameras", "Cameras", (380, 80), motion=motion, azimuth=20.0, margin=1.02, width=512, height=512)
    shared = {"motion": motion, "cameras": flow.out("3", "cameras"), "background": flow.out("1", "frames")}
    flow.add("4", "Motion4D_RenderBoneMaps", "Bone maps", (380, 430), depth_range="sequence", **shared)
    flow.add("5", "Motion4D_DrawSkeleton", "Skeleton", (380, 790), **shared)
    for first, title, x, images in (("6", "bone_maps", 760, flow.out("4", "preview")), ("8", "skeleton", 1100, flow.out("5", "images"))):
        flow.add(first, "CreateVideo", f"Video of {title}", (x, 80), images=images, fps=fps, audio=flow.out("1", "audio"))
        video = flow.out(first, "VIDEO")
        save = {"video": video, "filename_prefix": f"motion4d/{title}"}
        flow.add(str(int(first) + 1), "SaveVideo", f"Save {title}", (x, 280), room=220, **save, **VIDEO_FORMAT)
    for number, (kind, y) in enumerate((("npz", 760), ("bvh", 920), ("glb", 1080)), start=10):
        flow.add(
            str(number), "Motion4D_SaveMotion", f"Save {kind}", (760, y), motion=motion, filename_prefix="motion4d/motion", format=kind
        )
    flow.add("13", "Motion4D_InspectMotion", "What is in it", (0, 740), room=130, motion=motion)
    flow.add("14", "Preview3D", "Look at it in 3D", (1100, 760), room=340, model_file=flow.out("12", "path"))
    flow.note(
        "## From a motion to bone maps\n\nRuns as it is, with a demo motion. For your own: choose a **file** in *Motion* (MTVCrafter or NLF pickle, AMASS, GVHMR, "
        "BVH) and, if it was taken from a video, that **video**: maps and skeleton are then drawn over it with the camera that filmed it.\n\n"
        "*Cameras* places one camera in front. More **views** make a turntable.",
        (-400, 80),
        (340, 330),
    )
    flow.note(
        "**depth** and **normals** of *Bone maps* are control pictures for other models; **preview** shows both side by side.",
        (-400, 440),
        (340, 120),
    )
    return flow


def tokens_round_trip(infos: Mapping[str, Any]) -> Workflow:
    """A motion through the 4DMoT tokenizer and back, with the error it makes."""
    flow = Workflow(infos)
    flow.group("Motion", -20, 20, 340, 720)
    flow.group("Tokens", 360, 20, 340, 1040)
    flow.group("What the tokens keep", 740, 20, 680, 640)
    flow.group("The reconstruction", 740, 700, 680, 520)
    flow.add("2", "Motion4D_MakeDemoMotion", "Demo motion", (0, 80), action="walk", seconds=3.0)
    flow.add("1", "Motion4D_LoadMotion", "Motion", (0, 300), default=flow.out("2", "motion"))
    flow.add("3", "Motion4D_LoadMotionTokenizer", "Tokenizer", (380, 80), models=models("4dmot"))
    motion, tokenizer = flow.out("1", "motion"), flow.out("3", "tokenizer")
    flow.add("4", "Motion4D_FitMotionToTokenizer", "Move to where it was trained", (380, 200), room=130, motion=motion, tokenizer=tokenizer)
    flow.add(
        "5", "Motion4D_EncodeMotionTokens", "Motion to tokens", (380, 510), room=90, motion=flow.out("4", "motion"), tokenizer=tokenizer
    )
    flow.add(
        "6", "Motion4D_DecodeMotionTokens", "Tokens to motion", (380, 760), room=130,
        tokens=flow.out("5", "tokens"), tokenizer=tokenizer, placement=flow.out("4", "placement"), original=motion,
    )  # fmt: skip
    flow.add("7", "CreateVideo", "Video of both", (760, 80), images=flow.out("6", "overlay"), fps=flow.out("1", "fps"))
    save = {"video": flow.out("7", "VIDEO"), "filename_prefix": "motion4d/tokens_overlay"}
    flow.add("8", "SaveVideo", "Save overlay", (760, 280), room=220, **save, **VIDEO_FORMAT)
    made = flow.out("6", "motion")
    flow.add(
        "9", "Motion4D_SaveMotion", "Save reconstruction", (760, 760), motion=made, filename_prefix="motion4d/reconstruction", format="npz"
    )
    flow.add("10", "Motion4D_InspectCodebook", "Codebook", (1100, 80), room=130, tokenizer=tokenizer, tokens=flow.out("5", "tokens"))
    flow.add("11", "Motion4D_InspectMotion", "What came back", (760, 920), room=130, motion=made)
    flow.add("12", "Motion4D_PreviewMotion", "As a figure", (1100, 760), motion=made)
    flow.add("13", "Preview3D", "Look at it in 3D", (1100, 860), room=230, model_file=flow.out("12", "model_file"))
    flow.note(
        "## What do motion tokens keep?\n\nThe clip is moved to where the tokenizer was trained, turned into 4DMoT tokens and back. *Tokens to motion* gives the "
        "error in millimetres and draws original and reconstruction over each other.\n\nThe tokenizer is `4DMoT/mp_rank_00_model_states.pt` of "
        "[yanboding/MTVCrafter](https://huggingface.co/yanboding/MTVCrafter); put it into `models/motion_tokenizers`.",
        (-400, 80),
        (340, 330),
    )
    return flow


def clean_motion(infos: Mapping[str, Any]) -> Workflow:
    """A captured motion without its gaps, tremble and sliding feet, beside how it came."""
    flow = Workflow(infos)
    flow.group("Motion", -20, 20, 340, 960)
    flow.group("Cleaning and camera", 360, 20, 340, 1180)
    flow.group("Before and after", 740, 20, 680, 1000)
    flow.add("2", "Motion4D_MakeDemoMotion", "Demo motion", (0, 80), action="tour", seconds=6.5, tremble=15.0, gap=0.3)
    flow.add("1", "Motion4D_LoadMotion", "Captured motion", (0, 300), max_side=640, default=flow.out("2", "motion"))
    captured, fps = flow.out("1", "motion"), flow.out("1", "fps")
    flow.add("3", "Motion4D_CleanMotion", "Clean it", (380, 80), room=130, motion=captured)
    cleaned = flow.out("3", "motion")
    flow.add("4", "Motion4D_PlaceOrbitCameras", "Camera", (380, 640), motion=captured, azimuth=20.0, margin=1.02, width=640, height=640)
    flow.add("5", "PreviewImage", "Speed and jitter", (380, 980), room=160, images=flow.out("3", "plot"))
    for first, title, x, motion in (("6", "captured", 760, captured), ("9", "cleaned", 1100, cleaned)):
        drawing, video, saved = (str(int(first) + step) for step in range(3))
        shown = {"motion": motion, "cameras": flow.out("4", "cameras"), "background": flow.out("1", "frames")}
        flow.add(drawing, "Motion4D_DrawSkeleton", f"Skeleton, {title}", (x, 80), **shown)
        flow.add(
            video, "CreateVideo", f"Video, {title}", (x, 240), images=flow.out(drawing, "images"), fps=fps, audio=flow.out("1", "audio")
        )
        save = {"video": flow.out(video, "VIDEO"), "filename_prefix": f"motion4d/{title}"}
        flow.add(saved, "SaveVideo", f"Save {title}", (x, 440), room=220, **save, **VIDEO_FORMAT)
    flow.add("12", "Motion4D_SaveMotion", "Save the motion", (760, 880), motion=cleaned, filename_prefix="motion4d/cleaned", format="npz")
    flow.note(
        "## Clean a captured motion\n\nChoose a **file** in *Captured motion* and, if it was taken from a video, that **video**; without one a demo motion "
        "runs through that trembles and whose right hand is missing for a moment.\n\n*Clean it* tells jitter and foot slide before and after. If fast moves lose their edge, lower **smoothing**; if only the hands tremble, "
        "raise **hands** and **arms** and lower the others. Switch **foot_lock** off for dancers who glide.",
        (-400, 80),
        (340, 330),
    )
    return flow
