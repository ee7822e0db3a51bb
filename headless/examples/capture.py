"""Examples that begin with a video of somebody."""

from collections.abc import Mapping
from typing import Any

from ..workflow import Link, Workflow
from .files import loader, save
from .mvdit import condition, decoded, models_7b, results, sampled, tokens_and_pictures

FILM = "motion4d_walk.mp4"
_ESTIMATOR = (
    "*Pose estimator* needs NLF, `nlf_l_multi_0.3.2.torchscript` of [isarandi/nlf](https://github.com/isarandi/nlf/releases) in `models/nlf` (its weights are for "
    "non-commercial research only; *Download Model* fetches it), or the package MediaPipe, which needs no file and finds one person."
)
_FILMED = (
    f"Choose your **video** in *Video*: one person, whole body in view. `{FILM}` (in `example_workflows/inputs`) is a film of a figure made by code; runs from the "
    "command line find it, ComfyUI wants it uploaded like any other."
)


def video_to_motion(infos: Mapping[str, Any]) -> Workflow:
    """Somebody in a video becomes a clean motion, drawn over the video and written for other programs."""
    flow = Workflow(infos)
    people(flow, (0, 80), fps=0.0)
    flow.frame("Video", "1", "2", "3", "4")
    person(flow, (380, 80), images=flow.out("4", "images"))
    flow.add("7", "PreviewImage", "Who is who", flow.below("6"), room=200, images=flow.out("5", "preview"))
    flow.add("8", "PreviewImage", "Speed and jitter", flow.below("7"), room=160, images=flow.out("6", "plot"))
    flow.frame("Person", "5", "6", "7", "8")
    motion = flow.out("6", "motion")
    flow.add("9", "Motion4D_PlaceOrbitCameras", "Camera of the video", (760, 80), motion=motion, width=640, height=640)
    flow.add(
        "10",
        "Motion4D_DrawSkeleton",
        "Skeleton",
        flow.below("9"),
        motion=motion,
        cameras=flow.out("9", "cameras"),
        background=flow.out("4", "images"),
    )
    sound = {"fps": flow.out("3", "fps"), "audio": flow.out("3", "audio")}
    flow.add("11", "CreateVideo", "Video of skeleton", flow.below("10"), images=flow.out("10", "images"), **sound)
    flow.add("12", "SaveVideo", "Save skeleton", flow.below("11"), room=220, **save(flow.out("11", "VIDEO"), "captured"))
    flow.frame("Does it lie on the person?", "9", "10", "11", "12")
    at = (1140, 80)
    for number, kind in enumerate(("npz", "bvh", "glb"), start=13):
        flow.add(str(number), "Motion4D_SaveMotion", f"Save {kind}", at, motion=motion, filename_prefix="motion4d/captured", format=kind)
        at = flow.below(str(number))
    flow.add("16", "Motion4D_InspectMotion", "What is in it", at, room=130, motion=motion)
    flow.add("17", "Preview3D", "Look at it in 3D", flow.below("16"), room=230, model_file=flow.out("15", "path"))
    flow.frame("Files for other programs", "13", "14", "15", "16", "17")
    flow.note(
        f"## From a video to motion\n\n{_FILMED}\n\n{_ESTIMATOR}\n\n*Person* follows everybody and takes the largest; *Clean it* bridges short gaps, takes the tremble out "
        "and holds planted feet. Their reports say who is seen when, what was filled, and jitter and foot slide before and after.\n\n**field_of_view** of *People* decides "
        "how far away people stand: 55 is what NLF assumes, phones have 65 to 75.",
        (-420, 80),
        (380, 520),
    )
    return flow


def animate_from_video(infos: Mapping[str, Any]) -> Workflow:
    """Somebody in a picture moves as somebody in a video does, with the sound of that video."""
    flow = Workflow(infos)
    people(flow, (-760, 80), fps=20.0)
    flow.frame("Video", "1", "2", "3", "4")
    person(flow, (-380, 80), selected="27", cleaned="28", images=flow.out("4", "images"))
    flow.frame("Person", "27", "28")
    given = {"motion": flow.out("28", "motion"), "images": flow.out("4", "images"), "audio": flow.out("3", "audio")}
    flow.add("29", "Motion4D_CutMotion", "Part", (0, 80), **given)
    motion = flow.out("29", "motion")
    flow.add("30", "Motion4D_PlaceOrbitCameras", "Camera of the video", flow.below("29"), motion=motion, width=512, height=512)
    flow.frame("Part", "29", "30")
    made = tokens_and_pictures(flow, motion, flow.out("30", "cameras"))
    made |= {"fps": flow.out("3", "fps"), "driving": flow.out("29", "images")}
    models_7b(flow)
    condition(flow, **made)
    sampled(flow, "18", flow.below("17"))
    decoded(flow, "19", flow.out("18", "latent"), flow.below("18"))
    results(flow, audio=flow.out("29", "audio"), prefix="animated", **made)
    flow.note(
        f"## A picture moves as somebody in a video does\n\n{_FILMED} Choose the person who is to move so in *Picture of the person*.\n\n{_ESTIMATOR}\n\nMV-DiT 7B, the VAE of "
        "CogVideoX-5B and the 4DMoT tokenizer are in [yanboding/MTVCrafter](https://huggingface.co/yanboding/MTVCrafter); licences and consent are in the help of *Load "
        "MV-DiT*.\n\n*People* works at 20 frames per second, as MTVCrafter was trained; *Part* takes 49 of them from **start** on, with their pictures and sound.",
        (-1180, 80),
        (380, 560),
    )
    return flow


def people(flow: Workflow, at: tuple[int, int], *, fps: float) -> None:
    """Nodes 1 to 4: a video, everybody in it, and its frames beside them."""
    flow.add("1", "LoadVideo", "Video", at, room=400, file=FILM)
    flow.add("2", "Motion4D_LoadPoseEstimator", "Pose estimator", flow.below("1"), **loader("nlf", input="estimator"))
    video = flow.out("1", "VIDEO")
    flow.add("3", "Motion4D_ExtractMotion", "People", flow.below("2"), room=130, estimator=flow.out("2", "estimator"), video=video, fps=fps)
    flow.add("4", "Motion4D_TakeVideoFrames", "Frames", flow.below("3"), room=90, video=video, fps=flow.out("3", "fps"), max_side=640)


def person(flow: Workflow, at: tuple[int, int], *, selected: str = "5", cleaned: str = "6", images: Link) -> None:
    """One of them, cleaned."""
    flow.add(selected, "Motion4D_SelectPerson", "Person", at, room=90, people=flow.out("3", "people"), images=images)
    flow.add(cleaned, "Motion4D_CleanMotion", "Clean it", flow.below(selected), room=130, motion=flow.out(selected, "motion"))
