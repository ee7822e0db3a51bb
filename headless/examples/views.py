"""Examples of windows over views and time: a person who moves, seen from all around; a still one turned around; a long video. Each by the released recipe
and by ComfyUI's own sampler."""

from collections.abc import Mapping
from typing import Any

from ..workflow import Link, Workflow
from .files import loader
from .mvdit import LINKS, NOTE, condition, decoded, models_7b, motion_part, results, sampled, video
from .native import custom_sampler

_AROUND = {
    "frame_window": 13, "frame_overlap": 3, "view_window": 6, "view_overlap": 2, "tile_views": 4, "tile_frames": 13,
}  # fmt: skip
_TURNED = _AROUND | {"view_window": 13, "view_overlap": 6}  # as many views as "no motion" has frames, so that cfg works
_LONG = _AROUND | {"view_window": 1, "view_overlap": 0, "tile_views": 1}
_STOCK = (
    "*SamplerCustomAdvanced* runs it: any solver, schedule, LoRA or guider of ComfyUI's does as well, because the windows are on the model. With *ddim* and *Released "
    "Sigmas* it is the released DDIM."
)
_OWN = (
    "For your own: choose a **file** in *Motion* and a **file** in *Picture of the person*; *Upright in the world* stands a filmed motion on a floor, so that cameras can "
    "go round it."
)


def multi_view_turntable(infos: Mapping[str, Any]) -> Workflow:
    """A motion and a picture become eight videos from all around, sampled together."""
    flow = Workflow(infos)
    made = _turntable(flow)
    sampled(flow, "18", flow.below("20"), model="16", given="20", cfg=1.0)
    _videos(flow, made, flow.out("18", "latent"), "turntable")
    flow.note(_about_turntable("*Sample MV-DiT* runs the released recipe."), NOTE[0], (380, 560))
    return flow


def multi_view_turntable_native(infos: Mapping[str, Any]) -> Workflow:
    """The same by ComfyUI's own sampler, from noise that the views share."""
    flow = Workflow(infos)
    made = _turntable(flow)
    _stock_sampler(flow, "20", cfg=1.0, kind="views")
    _videos(flow, made, flow.out("18", "output"), "turntable")
    flow.note(_about_turntable(f"{_STOCK} *Noise* starts all views alike, which helps them to agree."), NOTE[0], (380, 600))
    return flow


def novel_views(infos: Mapping[str, Any]) -> Workflow:
    """A still person turned around: one instant, eighteen views, windows over the views alone."""
    flow = Workflow(infos)
    made = _still(flow)
    sampled(flow, "18", flow.below("20"), model="16", given="20")
    _turn(flow, made, flow.out("18", "latent"))
    flow.note(_about_still("*Sample MV-DiT* runs the released recipe."), NOTE[0], (380, 540))
    return flow


def novel_views_native(infos: Mapping[str, Any]) -> Workflow:
    """The same by ComfyUI's own sampler, from noise that the windows share."""
    flow = Workflow(infos)
    made = _still(flow)
    shared = {"kind": "repeat_shuffle", "along": "views", "window": _TURNED["view_window"], "overlap": _TURNED["view_overlap"]}
    _stock_sampler(flow, "20", cfg=3.0, **shared)
    _turn(flow, made, flow.out("18", "output"))
    flow.note(_about_still(f"{_STOCK} *Noise* gives all windows the same noise in another order."), NOTE[0], (380, 580))
    return flow


def long_video(infos: Mapping[str, Any]) -> Workflow:
    """A video longer than the model knows, in windows over time that the model itself carries."""
    flow = Workflow(infos)
    made = _long(flow)
    sampled(flow, "18", flow.below("16"), model="16")
    _long_results(flow, made, flow.out("18", "latent"))
    flow.note(_about_long("*Sample MV-DiT* runs the released recipe."), *NOTE)
    return flow


def long_video_native(infos: Mapping[str, Any]) -> Workflow:
    """The same by ComfyUI's own sampler, from noise that the windows share."""
    flow = Workflow(infos)
    made = _long(flow)
    shared = {"kind": "repeat_shuffle", "along": "time", "window": _LONG["frame_window"], "overlap": _LONG["frame_overlap"]}
    _stock_sampler(flow, "17", cfg=3.0, **shared)
    _long_results(flow, made, flow.out("18", "output"))
    flow.note(_about_long(f"{_STOCK} *Noise* gives all windows the same noise in another order (FreeNoise)."), NOTE[0], (380, 500))
    return flow


def _about_turntable(sampler: str) -> str:
    return (
        "## A person who moves, from all around\n\n*Cameras* stand on a circle; *As each camera sees it* makes a motion for every one of them, and the nodes behind it run "
        "once for each view. *All views together* makes one latent of them, and *Windows over views and time* lets MV-DiT denoise it in overlapping pieces: a pass over time, "
        f"a pass over views, at alternate steps. {sampler}\n\nThe bone maps of the same cameras lie beside it, as depth for VACE; their **preset** has those of other models."
        f"\n\n**cfg** is 1: the model has *no motion* for 13 latent frames only, and windows of views are shorter. {_OWN}\n\nMV-DiT was not trained on views; the way is that "
        f"of HVG, and *Windows over views and time* goes on any video model. {LINKS}"
    )


def _about_still(sampler: str) -> str:
    return (
        "## A still person, turned around\n\nOne frame of a motion, eighteen cameras round it, one picture each. There is no time here, so the windows go round the views "
        "alone, and the last meets the first: each is one clip of 13 *frames* that rides around the person, the length that MV-DiT was trained on, so that **cfg** works. "
        f"{sampler}\n\n*Part* says which frame. {_OWN}\n\nMV-DiT was not trained on views; the way is that of HVG, and *Windows over views* goes on any video model. {LINKS}"
    )


def _about_long(sampler: str) -> str:
    return (
        "## A long video by any sampler\n\nThe model knows 49 frames, 13 latent ones. *Windows over time* lets whatever samples it denoise overlapping windows of them together, "
        f"in the memory of one window. {sampler}\n\nThe whole motion is used: set **frames** of *Part* for less.\n\nTake this where the sampler is ComfyUI's, where LoRAs and "
        f"other patches are on the model, or for models other than MV-DiT. The example *mvdit_long* has the same windows in one node, and clip by clip besides. {LINKS}"
    )


def _turntable(flow: Workflow) -> dict[str, Link]:
    made = _person_and_cameras(flow, views=8, frames=49, width=512, height=512)
    _views(flow, made, "Windows over views and time", **_AROUND, balance="alternate")
    return made


def _still(flow: Workflow) -> dict[str, Link]:
    made = _person_and_cameras(flow, views=18, frames=1, start=24, width=512, height=512)
    _views(flow, made, "Windows over views", length={"frames": 1, "fit": "trim"}, **_TURNED)  # tokens come in twos
    return made


def _person_and_cameras(flow: Workflow, *, views: int, frames: int, start: int = 0, **size: int) -> dict[str, Link]:
    """Nodes 1 to 13: a motion, cameras around it, its tokens for each view, bone maps of all views, and the reference picture."""
    flow.add("2", "Motion4D_MakeDemoMotion", "Demo motion", (0, 80), action="wave", seconds=2.45, fps=20.0)
    flow.add("1", "Motion4D_LoadMotion", "Motion", flow.below("2"), room=60, max_side=640, default=flow.out("2", "motion"))
    flow.add("3", "Motion4D_CutMotion", "Part", flow.below("1"), motion=flow.out("1", "motion"), start=start, frames=frames)
    flow.add("30", "Motion4D_ConvertSpace", "Upright in the world", flow.below("3"), room=90, motion=flow.out("3", "motion"), space="world")
    motion = flow.out("30", "motion")
    flow.add("4", "Motion4D_PlaceOrbitCameras", "Cameras", flow.below("30"), motion=motion, views=views, elevation=10.0, margin=1.1, **size)
    flow.frame("Motion and cameras", "1", "2", "3", "4", "30")
    cameras = flow.out("4", "cameras")
    flow.add("5", "Motion4D_LoadMotionTokenizer", "Tokenizer", (380, 80), **loader("4dmot"))
    flow.add("8", "Motion4D_SeeMotionFromCameras", "As each camera sees it", flow.below("5"), motion=motion, cameras=cameras)
    tokenizer = flow.out("5", "tokenizer")
    placed = {"motion": flow.out("8", "motions"), "tokenizer": tokenizer}
    flow.add("6", "Motion4D_FitMotionToTokenizer", "Move to where it was trained", flow.below("8"), room=130, **placed)
    fitted = {"motion": flow.out("6", "motion"), "tokenizer": tokenizer}
    flow.add("7", "Motion4D_EncodeMotionTokens", "Motion to tokens", flow.below("6"), room=90, **fitted)
    flow.frame("Tokens of each view", "5", "6", "7", "8")
    flow.add("9", "Motion4D_CutMotion", "First frame", (760, 80), motion=motion, frames=1)
    flow.add("12", "Motion4D_RenderBoneMaps", "A figure", flow.below("9"), motion=flow.out("9", "motion"), cameras=cameras)
    flow.add("13", "Motion4D_LoadReference", "Picture of the person", flow.below("12"), room=30, default=flow.out("12", "normals"))
    flow.frame("Picture of the person", "9", "12", "13")
    flow.add("10", "Motion4D_RenderBoneMaps", "Bone maps of all views", flow.below("13", 120), motion=motion, cameras=cameras)
    flow.add("11", "Motion4D_EncodeBoneMaps", "As control pictures", flow.below("10"), bone_maps=flow.out("10", "bone_maps"))
    flow.frame("Control pictures", "10", "11")
    return {
        "tokens": flow.out("7", "tokens"), "picture": flow.out("13", "image"), "cameras": cameras, "control": flow.out("11", "images"),
        "fps": flow.out("1", "fps"),
    }  # fmt: skip


def _views(flow: Workflow, made: Mapping[str, Link], title: str, *, length: Mapping[str, Any] | None = None, **windows: Any) -> None:
    """Nodes 14 to 17 and 20: the model in windows, and the conditionings of all views. length: of their videos, where it is not the motion's."""
    models_7b(flow)
    model = flow.out("14", "model")
    flow.add("16", "Motion4D_ApplyWindows", title, flow.below("15", 120), model=model, cameras=made["cameras"], **windows)
    flow.frame("Windows", "16")
    condition(flow, tokens=made["tokens"], picture=made["picture"], length=length)
    given = {name: flow.out("17", name) for name in ("positive", "negative", "latent")}
    flow.add("20", "Motion4D_GatherViews", "All views together", flow.below("17"), **given)


def _stock_sampler(flow: Workflow, given: str, *, cfg: float, **noise: Any) -> None:
    """Nodes 18 and 40 to 43."""
    after = "20" if given == "20" else "16"
    flow.add("40", "Motion4D_MultiViewNoise", "Noise", flow.below(after), **noise)
    custom_sampler(
        flow, noise=flow.out("40", "noise"), model=flow.out("16", "model"), given=given, cfg=cfg, solver="ddim", recipe="7B DDIM"
    )


def _grids(flow: Workflow, pictures: Link, control: Link) -> None:
    """Nodes 21 and 31: all views of the result and of the control pictures."""
    views = flow.out("20", "views")
    flow.add("21", "Motion4D_ViewGrid", "All views", (1900, 80), images=pictures, views=views)
    flow.add("31", "Motion4D_ViewGrid", "Control pictures of all views", (2280, 80), images=control, views=views)


def _inspected(
    flow: Workflow, latent: Link, at: tuple[int, int], *, id: str = "27", title: str = "Can windows be seen?", **given: Any
) -> None:
    """A node that inspects consistency, and the next one, which shows its heat map."""
    flow.add(id, "Motion4D_InspectConsistency", title, at, room=130, latent=latent, **given)
    after = str(int(id) + 1)
    flow.add(after, "PreviewImage", "Differences", flow.below(id), room=230, images=flow.out(id, "heat_map"))
    flow.frame("Consistency", id, after)


def _videos(flow: Workflow, made: Mapping[str, Link], latent: Link, prefix: str) -> None:
    """Nodes 19 and 21 to 33: a video of all views, one of each, one of their control pictures, and the inspection."""
    decoded(flow, "19", latent, flow.below("18"))
    flow.frame("Sampling", *(step.id for step in flow.steps if step.at[0] == 1520))
    pictures = flow.out("19", "IMAGE")
    _grids(flow, pictures, made["control"])
    video(flow, "22", "All views as a video", flow.out("21", "images"), made["fps"], prefix, flow.below("21"))
    views = flow.out("20", "views")
    flow.add("24", "Motion4D_SplitViews", "One by one", flow.below("23"), images=pictures, views=views)
    video(flow, "25", "Video of each view", flow.out("24", "each_view"), made["fps"], f"{prefix}_view", flow.below("24"))
    flow.frame("Videos", "21", "22", "23", "24", "25", "26")
    video(flow, "32", "Control video", flow.out("31", "images"), made["fps"], f"{prefix}_control", flow.below("31"))
    flow.frame("Control pictures of all views", "31", "32", "33")
    _inspected(flow, latent, flow.below("33", 120), images=pictures, views=views, **_AROUND)


def _turn(flow: Workflow, made: Mapping[str, Link], latent: Link) -> None:
    """Nodes 19 and 21 to 35: the turn as a video and as a sheet, control pictures of all views, and the inspection."""
    decoded(flow, "19", latent, flow.below("18"))
    flow.frame("Sampling", *(step.id for step in flow.steps if step.at[0] == 1520))
    pictures = flow.out("19", "IMAGE")
    _grids(flow, pictures, made["control"])
    flow.add(
        "24", "SaveImage", "Save all views", flow.below("21"), room=250, images=flow.out("21", "images"), filename_prefix="motion4d/views"
    )
    video(flow, "22", "Ride around", pictures, 9.0, "views", flow.below("24"))
    flow.frame("Pictures and video", "21", "22", "23", "24")
    saved = {"images": flow.out("31", "images"), "filename_prefix": "motion4d/views_control"}
    flow.add("34", "SaveImage", "Save control pictures", flow.below("31"), room=250, **saved)
    flow.frame("Control pictures of all views", "31", "34")
    given = {"images": pictures, "views": flow.out("20", "views"), "frames_per_latent": 1}
    _inspected(flow, latent, flow.below("34", 120), **given, **_TURNED)


def _long(flow: Workflow) -> dict[str, Link]:
    """Nodes 1 to 17: a long motion and its conditioning, and the model in windows."""
    made = motion_part(flow, action="tour", seconds=6.45, frames=0)
    models_7b(flow)
    condition(flow, **made)
    flow.add("16", "Motion4D_ApplyWindows", "Windows over time", flow.below("17"), model=flow.out("14", "model"), **_LONG)
    return made


def _long_results(flow: Workflow, made: Mapping[str, Link], latent: Link) -> None:
    """Nodes 19 to 28: the video, the strip, and both inspections."""
    decoded(flow, "19", latent, flow.below("18"))
    results(flow, prefix="long", **made)
    pictures = flow.out("19", "IMAGE")
    flow.add("23", "Motion4D_InspectDrift", "Does it drift?", (2280, 80), room=130, latent=latent, images=pictures)
    flow.add("24", "PreviewImage", "Drift", flow.below("23"), room=230, images=flow.out("23", "plot"))
    flow.frame("Drift", "23", "24")
    _inspected(flow, latent, flow.below("24", 120), images=pictures, **_LONG)
