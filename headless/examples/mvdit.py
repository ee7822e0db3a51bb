"""Examples of MTVCrafter that run in both hosts: a motion and a picture become a video."""

from collections.abc import Mapping
from typing import Any

from ..workflow import Link, Workflow
from .files import loader, save

LINKS = (
    "Released models: [yanboding/MTVCrafter](https://huggingface.co/yanboding/MTVCrafter); licences and consent are in the help of *Load MV-DiT*. "
    "*Download Model* fetches each of them."
)
_PROMPT, _AVOID = "The character is dancing.", "bad hands, extra limbs, fused fingers, blurry, low quality"


def mvdit_7b(infos: Mapping[str, Any]) -> Workflow:
    """A motion and a picture become a video, as MTVCrafter 7B was released."""
    flow = Workflow(infos)
    made = motion_part(flow)
    models_7b(flow)
    condition(flow, **made)
    sampled(flow, "18", flow.below("17"))
    decoded(flow, "19", flow.out("18", "latent"), flow.below("18"))
    results(flow, **made)
    flow.note(
        _about("7B", "the VAE of CogVideoX-5B", "512 x 512 and 49 frames, 50 steps of DPM-Solver, cfg 3 between the motion and none"),
        *NOTE,
    )
    return flow


def mvdit_17b(infos: Mapping[str, Any]) -> Workflow:
    """A motion, a picture and a prompt become a video, as MTVCrafter 17B was released without its LoRA."""
    flow = Workflow(infos)
    made = motion_part(flow)
    flow.add("14", "Motion4D_LoadMVDiT", "MV-DiT 17B", (1140, 80), room=150, **loader("mvdit_17b"))
    flow.add("15", "Motion4D_LoadVideoVAE", "VAE", flow.below("14"), **loader("wan_vae"))
    flow.add("30", "Motion4D_LoadTextEncoder", "Text encoder", flow.below("15"), **loader("umt5_xxl"))
    flow.add("31", "Motion4D_LoadImageEncoder", "Image encoder", flow.below("30"), **loader("clip_vision_h"))
    prompts(flow, flow.out("30", "clip"), flow.below("31"))
    flow.frame("Models and text", "14", "15", "30", "31", "32", "33")
    condition(flow, **made, **text(flow), clip_vision=flow.out("31", "clip_vision"))
    sampled(flow, "18", flow.below("17"))
    decoded(flow, "19", flow.out("18", "latent"), flow.below("18"))
    results(flow, **made)
    flow.note(
        _about(
            "17B",
            "the VAE, text and image encoders of Wan2.1",
            "49 frames, the nearest released size to the picture's proportions, 50 steps, cfg 6",
        ),
        *NOTE,
    )
    return flow


def mvdit_7b_cfg_sweep(infos: Mapping[str, Any]) -> Workflow:
    """The same video with cfg 1, 2, 3 and 5 side by side, as in Fig. 7 of the paper."""
    flow = Workflow(infos)
    made = motion_part(flow)
    models_7b(flow)
    condition(flow, **made)
    panels, at = {}, (1880, 80)
    for number, cfg in enumerate((1.0, 2.0, 3.0, 5.0)):
        sample, decode = str(40 + 2 * number), str(41 + 2 * number)
        sampled(flow, sample, at, cfg=cfg, title=f"cfg {cfg:g}")
        decoded(flow, decode, flow.out(sample, "latent"), flow.below(sample))
        panels["generated" if not number else f"generated_{number + 1}"] = flow.out(decode, "IMAGE")
        at = flow.below(decode)
    flow.frame("Four times the same seed", *(str(number) for number in range(40, 48)))
    captions = "reference, pose, cfg 1, cfg 2, cfg 3, cfg 5"
    strip(flow, at=(2260, 80), captions=captions, reference=flow.out("17", "reference"), pose=made["pose"], **panels)
    video(flow, "21", "Side by side", flow.out("20", "images"), made["fps"], "mvdit_cfg_sweep", flow.below("20"))
    flow.frame("Video", "20", "21", "22")
    flow.note(
        "## What cfg does at 7B\n\nThe negative condition is the learned *no motion*. cfg 1 leaves it out and takes half the time; the release uses 3; higher values "
        f"follow the motion more strictly and wear the picture out.\n\n{LINKS}",
        *NOTE,
    )
    return flow


def mvdit_long(infos: Mapping[str, Any]) -> Workflow:
    """A motion of any length in windows that are denoised together, with a read-out of drift."""
    flow = Workflow(infos)
    made = motion_part(flow, action="tour", seconds=6.45, frames=0)
    models_7b(flow)
    condition(flow, **made)
    flow.add(
        "18", "Motion4D_SampleLongVideo", "Sample in windows", flow.below("17"), room=130, model=flow.out("14", "model"),
        positive=flow.out("17", "positive"), negative=flow.out("17", "negative"), latent=flow.out("17", "latent"),
    )  # fmt: skip
    decoded(flow, "19", flow.out("18", "latent"), flow.below("18"))
    results(flow, **made)
    flow.add(
        "23",
        "Motion4D_InspectDrift",
        "Does it drift?",
        (2280, 80),
        room=130,
        latent=flow.out("18", "latent"),
        images=flow.out("19", "IMAGE"),
    )
    flow.add("24", "PreviewImage", "Drift", flow.below("23"), room=230, images=flow.out("23", "plot"))
    flow.frame("Drift", "23", "24")
    flow.note(
        "## A video of any length\n\nThe model knows 49 frames. *Sample in windows* denoises overlapping windows of them together, so that there is no seam and no VAE "
        "between two clips; **mode** has the clip-by-clip ways as well. *Does it drift?* shows whether colour and contrast wander off.\n\n"
        "The whole motion is used: set **frames** of *Part* for less. Take the example *long_video* for the same windows around any sampler; take this one for clip by clip, "
        f"and where nothing but the released recipe is wanted.\n\n{LINKS}",
        *NOTE,
    )
    return flow


NOTE = ((-420, 80), (380, 420))  # place and size


def _about(size: str, side: str, recipe: str) -> str:
    return (
        f"## A motion and a picture become a video\n\nMV-DiT {size} as it was released: {recipe}.\n\nRuns as it is, with a demo motion and a figure as the picture. For your "
        "own: choose a **file** (and its **video**) in *Motion* and a **file** in *Picture of the person*; *Part* says where the 49 frames begin.\n\n"
        f"It needs MV-DiT {size}, {side} and the 4DMoT tokenizer. {LINKS}"
    )


def motion_part(flow: Workflow, *, action: str = "wave", seconds: float = 2.45, frames: int = 49) -> dict[str, Link]:
    """Nodes 1 to 13: a motion, its tokens, drawings of both, and the reference picture."""
    flow.add("2", "Motion4D_MakeDemoMotion", "Demo motion", (0, 80), action=action, seconds=seconds, fps=20.0)
    flow.add("1", "Motion4D_LoadMotion", "Motion", flow.below("2"), room=60, max_side=640, default=flow.out("2", "motion"))
    part = {"motion": flow.out("1", "motion"), "images": flow.out("1", "frames"), "frames": frames}
    flow.add("3", "Motion4D_CutMotion", "Part", flow.below("1"), **part)
    motion = flow.out("3", "motion")
    flow.add("4", "Motion4D_PlaceOrbitCameras", "Camera", flow.below("3"), motion=motion, azimuth=0.0, margin=1.1, width=512, height=512)
    flow.frame("Motion", "1", "2", "3", "4")
    made = tokens_and_pictures(flow, motion, flow.out("4", "cameras"))
    return made | {"fps": flow.out("1", "fps"), "driving": flow.out("3", "images")}


def tokens_and_pictures(flow: Workflow, motion: Link, cameras: Link) -> dict[str, Link]:
    """Nodes 5 to 13: the tokens of a motion, drawings of both, and the reference picture."""
    flow.add("5", "Motion4D_LoadMotionTokenizer", "Tokenizer", (380, 80), **loader("4dmot"))
    tokenizer = flow.out("5", "tokenizer")
    flow.add(
        "6", "Motion4D_FitMotionToTokenizer", "Move to where it was trained", flow.below("5"), room=130, motion=motion, tokenizer=tokenizer
    )
    flow.add(
        "7",
        "Motion4D_EncodeMotionTokens",
        "Motion to tokens",
        flow.below("6"),
        room=90,
        motion=flow.out("6", "motion"),
        tokenizer=tokenizer,
    )
    tokens = flow.out("7", "tokens")
    placed = {"tokens": tokens, "tokenizer": tokenizer, "placement": flow.out("6", "placement"), "original": motion}
    flow.add("8", "Motion4D_DecodeMotionTokens", "Tokens to motion", flow.below("7"), room=130, **placed)
    flow.frame("Tokens", "5", "6", "7", "8")
    flow.add("9", "Motion4D_DrawSkeleton", "Motion drawn", (760, 80), motion=motion, cameras=cameras)
    flow.add("10", "Motion4D_DrawSkeleton", "Tokens drawn", flow.below("9"), motion=flow.out("8", "motion"), cameras=cameras)
    flow.add("11", "Motion4D_CutMotion", "First frame", flow.below("10"), motion=motion, frames=1)
    flow.add("12", "Motion4D_RenderBoneMaps", "A figure", flow.below("11"), motion=flow.out("11", "motion"), cameras=cameras)
    flow.add("13", "Motion4D_LoadReference", "Picture of the person", flow.below("12"), room=30, default=flow.out("12", "normals"))
    flow.frame("Pictures", "9", "10", "11", "12", "13")
    return {
        "tokens": tokens, "picture": flow.out("13", "image"), "pose": flow.out("9", "images"), "reconstructed": flow.out("10", "images"),
    }  # fmt: skip


def models_7b(flow: Workflow) -> None:
    """Nodes 14 and 15."""
    flow.add("14", "Motion4D_LoadMVDiT", "MV-DiT 7B", (1140, 80), room=150, **loader("mvdit_7b"))
    flow.add("15", "Motion4D_LoadVideoVAE", "VAE", flow.below("14"), **loader("cogvideox_vae"))
    flow.frame("Models", "14", "15")


def prompts(flow: Workflow, clip: Link, at: tuple[int, int]) -> None:
    """Nodes 32 and 33: text and what to avoid."""
    flow.add("32", "CLIPTextEncode", "Prompt", at, room=70, clip=clip, text=_PROMPT)
    flow.add("33", "CLIPTextEncode", "Negative prompt", flow.below("32"), room=70, clip=clip, text=_AVOID)


def text(flow: Workflow) -> dict[str, Link]:
    """What nodes 32 and 33 give."""
    return {"positive": flow.out("32", "CONDITIONING"), "negative": flow.out("33", "CONDITIONING")}


def condition(
    flow: Workflow,
    *,
    tokens: Link,
    picture: Link,
    model: Link | None = None,
    vae: Link | None = None,
    length: Mapping[str, Any] | None = None,
    **more: Any,
) -> None:
    """Node 17, with what it needs of `more`. length: `frames` and `fit`, where they are not the defaults."""
    wanted = {name: more[name] for name in ("positive", "negative", "clip_vision") if name in more}
    flow.add(
        "17", "Motion4D_ConditionVideoOnMotion", "Condition on motion", (1520, 80), room=110, model=model or flow.out("14", "model"), tokens=tokens,
        reference=picture, vae=vae or flow.out("15", "vae"), **wanted, **(length or {}),
    )  # fmt: skip


def sampled(
    flow: Workflow, id: str, at: tuple[int, int], *, title: str = "Sample", model: str = "14", given: str = "17", **values: Any
) -> None:
    """A Sample MV-DiT of what the node `given` gives, by the model of the node `model`."""
    under = {name: flow.out(given, name) for name in ("positive", "negative", "latent")}
    flow.add(id, "Motion4D_SampleMVDiT", title, at, model=flow.out(model, "model"), **under, **values)


def decoded(flow: Workflow, id: str, latent: Link, at: tuple[int, int], *, vae: Link | None = None) -> None:
    """The pictures of a latent."""
    flow.add(id, "VAEDecode", "Latent to video", at, samples=latent, vae=vae or flow.out("15", "vae"))


def strip(flow: Workflow, *, at: tuple[int, int], **panels: Any) -> None:
    """Node 20: videos side by side."""
    flow.add("20", "Motion4D_CompareVideos", "Side by side", at, **panels)


def video(
    flow: Workflow, id: str, title: str, images: Link, fps: Link, prefix: str, at: tuple[int, int], audio: Link | None = None
) -> None:
    """A node that makes a video and the next one, which saves it."""
    sound = {} if audio is None else {"audio": audio}
    flow.add(id, "CreateVideo", title, at, images=images, fps=fps, **sound)
    after = str(int(id) + 1)
    flow.add(after, "SaveVideo", f"Save {title.lower()}", flow.below(id), room=220, **save(flow.out(id, "VIDEO"), prefix))


def results(
    flow: Workflow,
    *,
    fps: Link,
    audio: Link | None = None,
    prefix: str = "mvdit",
    driving: Link,
    pose: Link,
    reconstructed: Link,
    **_: Link,
) -> None:
    """Nodes 20 to 22 and 25 to 26: the video, and the strip of everything; frames the sampling too."""
    flow.frame("Sampling", *(step.id for step in flow.steps if step.at[0] == 1520))
    generated = flow.out("19", "IMAGE")
    video(flow, "25", "Video", generated, fps, prefix, (1900, 80), audio)
    panels = {
        "reference": flow.out("17", "reference"),
        "driving": driving,
        "pose": pose,
        "reconstructed": reconstructed,
        "generated": generated,
    }
    strip(flow, at=flow.below("26"), **panels)
    video(flow, "21", "Side by side", flow.out("20", "images"), fps, f"{prefix}_strip", flow.below("20"), audio)
    flow.frame("Videos", *(step.id for step in flow.steps if step.at[0] == 1900))
