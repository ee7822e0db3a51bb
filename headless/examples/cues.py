"""Examples of driving cues: the cues of any video, and ComfyUI's own models that are driven by pictures of somebody."""

from collections.abc import Mapping
from typing import Any

from ..workflow import Link, Workflow
from .capture import FILM
from .cue_inputs import FIGURE, MOTION
from .files import loader, save

_FRAMES = 77  # 4 n + 1, as both models were trained
_YOURS = (
    f"**Your own:** a *Video*, its *Motion* (the npz that the example *video_to_motion* saves of it), and a *Reference* that is cut out (PNG with transparency); "
    f"`{FILM}`, `{MOTION}` and `{FIGURE}` are in `example_workflows/inputs`. Instead of a motion, any masks do: connect those of *Remove Background* or SAM 3 to "
    "*Masks*, and face boxes to *Face*. A reference that is not cut out: *mediapipe selfie* as the source of *Its person*, or the mask of *Remove Background* there."
)


def driving_cues(infos: Mapping[str, Any]) -> Workflow:
    """Any video of somebody becomes the three driving cues of DirectAnimator, beside each other and each as a video."""
    flow = Workflow(infos)
    images, motion = _filmed(flow)
    reference(flow, (380, 80))
    flow.add(
        "8", "Motion4D_ExtractDrivingCues", "Driving cues", flow.below("23"), room=130, images=images, mask=flow.out("4", "mask"),
        motion=motion, reference_mask=flow.out("23", "mask"), reference=flow.out("6", "IMAGE"),
    )  # fmt: skip
    flow.frame("Reference and cues", "6", "7", "23", "8")
    shown = {"driving": images, "pose": flow.out("8", "pose"), "reconstructed": flow.out("8", "face")}
    flow.add(
        "9", "Motion4D_CompareVideos", "Side by side", (760, 80), height=384, captions="video, pose, face, location", **shown,
        generated=flow.out("8", "preview"),
    )  # fmt: skip
    _video(flow, "10", "cues", flow.out("9", "images"), flow.below("9"))
    flow.frame("Look", "9", "10", "11")
    at = (1140, 80)
    for number, kind in ((12, "pose"), (14, "face")):
        _video(flow, str(number), f"cue_{kind}", flow.out("8", kind), at)
        at = flow.below(str(number + 1))
    flow.frame("Videos", "12", "13", "14", "15")
    flow.note(
        f"## The driving cues of a video\n\nRuns as it is, without any model: the film is of a figure made by code.\n\n{_YOURS}\n\n*Masks* says in which frames there is nobody; "
        "*Driving cues* tells which frames were dropped and why, and how the person of the video was brought to the place of the reference. The pose cue is the grey, "
        "softened person; the face cue the enlarged face; the location cue says where both are in the reference, in coarse cells.",
        (-440, 80),
        (400, 480),
    )
    return flow


def cues_to_wan_animate(infos: Mapping[str, Any]) -> Workflow:
    """Somebody in a video is replaced by somebody of a picture: skeleton, face, background and mask for ComfyUI's Wan-Animate."""
    flow = Workflow(infos)
    images, motion = _filmed(flow, frames=_FRAMES)
    _picture(flow, (380, 80))
    flow.add("8", "Motion4D_DrawSkeleton", "Skeleton", flow.below("6"), motion=motion, style="openpose")
    flow.add(
        "9", "Motion4D_ExtractFaceCue", "Face", flow.below("8"), room=90, images=images, motion=motion, mask=flow.out("4", "mask"), width=512, height=512
    )  # fmt: skip
    flow.add("10", "Motion4D_CutOutPerson", "Film without its person", flow.below("9"), images=images, mask=flow.out("4", "mask"))
    flow.frame("Reference and cues", "6", "8", "9", "10")
    _models(flow, "wan_animate_14b", "Wan2.2 Animate")
    cues = {
        "reference_image": flow.out("6", "IMAGE"), "face_video": flow.out("9", "face"), "pose_video": flow.out("8", "images"),
        "background_video": flow.out("10", "images"), "character_mask": flow.out("10", "mask"),
    }  # fmt: skip
    flow.add(
        "17", "WanAnimateToVideo", "Conditioning", (1140, 80), **_given(flow), width=480, height=640, length=_FRAMES, batch_size=1,
        continue_motion_max_frames=5, video_frame_offset=0, **cues,
    )  # fmt: skip
    _sampled(flow, steps=20, cfg=1.0)
    flow.add(
        "19",
        "TrimVideoLatent",
        "Without the reference",
        flow.below("18"),
        samples=flow.out("18", "LATENT"),
        trim_amount=flow.out("17", "trim_latent"),
    )
    _made(flow, flow.out("19", "LATENT"), "wan_animate")
    flow.note(
        f"## Wan-Animate puts somebody into a video\n\n{_YOURS}\n\n*Conditioning* is ComfyUI's own. It takes the **skeleton** as pose_video, the **face** as face_video, the film "
        "without its person as background_video and the place that is free as character_mask. Take the last two away to animate the picture before its own background.\n\n"
        "Choose width and height (multiples of 16) of the proportions of your video, since everything is cropped to them, and a length of 4 n + 1; *Part* has as many frames.\n\n"
        "It needs Wan2.2-Animate, and the VAE, text and image encoders of Wan2.1.",
        (-440, 80),
        (400, 620),
    )
    return flow


def cues_to_scail2(infos: Mapping[str, Any]) -> Workflow:
    """Somebody of a picture moves as somebody in a video: the raw pixels in the place of the reference, and who is who, for ComfyUI's SCAIL-2."""
    flow = Workflow(infos)
    images, motion = _filmed(flow, frames=_FRAMES)
    reference(flow, (380, 80))
    mask = flow.out("23", "mask")
    flow.add(
        "11", "Motion4D_ExtractFaceCue", "Face", flow.below("23"), room=90, images=images, motion=motion, mask=flow.out("4", "mask")
    )  # fmt: skip
    flow.add(
        "8", "Motion4D_AlignToReference", "To the place of the reference", flow.below("11"), room=90, reference_mask=mask, masks=flow.out("4", "mask"),
        face_mask=flow.out("11", "face_mask"), images=images, reference=flow.out("6", "IMAGE"),
    )  # fmt: skip
    flow.add("9", "Motion4D_ColourPeople", "Who is who in the video", flow.below("8"), masks=flow.out("8", "masks"), ground="black")
    flow.add("10", "Motion4D_ColourPeople", "Who is who in the reference", flow.below("9"), masks=mask, ground="white")
    flow.frame("Reference and cues", "6", "7", "23", "11", "8", "9", "10")
    _models(flow, "scail2_14b", "SCAIL-2")
    cues = {
        "pose_video": flow.out("8", "images"), "pose_video_mask": flow.out("9", "images"), "reference_image": flow.out("6", "IMAGE"),
        "reference_image_mask": flow.out("10", "images"),
    }  # fmt: skip
    flow.add(
        "17", "WanSCAILToVideo", "Conditioning", (1140, 80), **_given(flow), width=384, height=512, length=_FRAMES, batch_size=1, replacement_mode=False,
        pose_strength=1.0, pose_start=0.0, pose_end=1.0, video_frame_offset=0, previous_frame_count=5, **cues,
    )  # fmt: skip
    _sampled(flow, steps=40, cfg=5.0)
    _made(flow, flow.out("18", "LATENT"), "scail2")
    flow.note(
        f"## SCAIL-2 moves somebody as in a video\n\n{_YOURS}\n\n*Conditioning* is ComfyUI's own. SCAIL-2 looks at the pixels of the video; *To the place of the reference* brings "
        "them to the place and size of the reference's person, by the *Face* where the film shows half a body. The colours say who is who: **black** ground in the video and **white** in the reference animate the "
        "picture; for *replacement_mode* exchange the two grounds, and leave the video where it is.\n\nWidth and height are multiples of 32, in the proportions of the "
        "reference; the length is 4 n + 1.\n\nIt needs SCAIL-2, and the VAE, text and image encoders of Wan2.1.",
        (-440, 80),
        (400, 620),
    )
    return flow


def _filmed(flow: Workflow, *, frames: int = 0) -> tuple[Link, Link]:
    """Nodes 1 to 5: a film, its motion and its frames, a part of both if `frames`, and the masks of the person. Returns images and motion."""
    flow.add("1", "LoadVideo", "Video", (0, 80), room=400, file=FILM)
    flow.add("2", "Motion4D_LoadMotion", "Motion", flow.below("1"), room=60, file=MOTION)
    flow.add("3", "Motion4D_TakeVideoFrames", "Frames", flow.below("2"), room=60, video=flow.out("1", "VIDEO"), fps=flow.out("2", "fps"))
    images, motion = flow.out("3", "images"), flow.out("2", "motion")
    if frames:
        flow.add("5", "Motion4D_CutMotion", "Part", flow.below("3"), images=images, motion=motion, frames=frames)
        images, motion = flow.out("5", "images"), flow.out("5", "motion")
    flow.add("4", "Motion4D_MakePersonMasks", "Masks", flow.below("5" if frames else "3"), room=90, images=images, motion=motion)
    flow.frame("Video", "1", "2", "3", *(["5"] if frames else []), "4")
    return images, motion


def _picture(flow: Workflow, at: tuple[int, int]) -> None:
    flow.add("6", "LoadImage", "Reference", at, room=320, image=FIGURE)


def reference(flow: Workflow, at: tuple[int, int]) -> None:
    """Nodes 6, 7 and 23: a picture, and the mask of its person."""
    _picture(flow, at)
    flow.add("7", "InvertMask", "What is not clear", flow.below("6"), mask=flow.out("6", "MASK"))
    flow.add(
        "23", "Motion4D_MakePersonMasks", "Its person", flow.below("7"), room=90, images=flow.out("6", "IMAGE"), mask=flow.out("7", "MASK")
    )


def _models(flow: Workflow, spec: str, title: str) -> None:
    """Nodes 14, 15 and 30 to 34: the model, what it needs beside it, and the texts."""
    flow.add("14", "UNETLoader", title, (760, 80), **loader(spec, input="unet_name"))
    flow.add("16", "ModelSamplingSD3", "Shift", flow.below("14"), model=flow.out("14", "MODEL"), shift=5.0)
    flow.add("15", "VAELoader", "VAE", flow.below("16"), **loader("wan_vae", input="vae_name"))
    flow.add("30", "Motion4D_LoadTextEncoder", "Text encoder", flow.below("15"), **loader("umt5_xxl"))
    flow.add("31", "Motion4D_LoadImageEncoder", "Image encoder", flow.below("30"), **loader("clip_vision_h"))
    at = flow.below("31")
    for number, words, title in (
        ("32", "The character is dancing.", "Prompt"),
        ("33", "bad hands, extra limbs, blurry, low quality", "To avoid"),
    ):
        flow.add(number, "CLIPTextEncode", title, at, room=60, text=words, clip=flow.out("30", "clip"))
        at = flow.below(number)
    flow.add(
        "34", "CLIPVisionEncode", "What the reference shows", at, clip_vision=flow.out("31", "clip_vision"), image=flow.out("6", "IMAGE"), crop="none"
    )  # fmt: skip
    flow.frame("Models and text", "14", "15", "16", "30", "31", "32", "33", "34")


def _given(flow: Workflow) -> dict[str, Link]:
    return {
        "positive": flow.out("32", "CONDITIONING"), "negative": flow.out("33", "CONDITIONING"), "vae": flow.out("15", "VAE"),
        "clip_vision_output": flow.out("34", "CLIP_VISION_OUTPUT"),
    }  # fmt: skip


def _sampled(flow: Workflow, *, steps: int, cfg: float) -> None:
    """Node 18."""
    given = {name: flow.out("17", name) for name in ("positive", "negative")}
    flow.add(
        "18", "KSampler", "KSampler", flow.below("17"), room=240, model=flow.out("16", "MODEL"), **given, latent_image=flow.out("17", "latent"),
        steps=steps, cfg=cfg, sampler_name="euler", scheduler="simple",
    )  # fmt: skip


def _made(flow: Workflow, latent: Link, name: str) -> None:
    """Nodes 20 to 22: the video."""
    flow.add("20", "VAEDecode", "Decode", (1520, 80), samples=latent, vae=flow.out("15", "VAE"))
    flow.frame("Sample", "17", "18", *(["19"] if latent.step == "19" else []))
    _video(flow, "21", name, flow.out("20", "IMAGE"), flow.below("20"))
    flow.frame("Video made", "20", "21", "22")


def _video(flow: Workflow, number: str, name: str, images: Link, at: tuple[int, int]) -> None:
    """This node and the next: pictures as a video at the rate of the film."""
    flow.add(number, "CreateVideo", f"Video of {name}", at, images=images, fps=flow.out("2", "fps"))
    flow.add(str(int(number) + 1), "SaveVideo", f"Save {name}", flow.below(number), room=220, **save(flow.out(number, "VIDEO"), name))
