"""Masks of the people of a film, and the pictures that video models ask for in their place."""

import torch
from comfy_api.latest import io, ui

from ...core.body.gaps import frame_ranges
from ...core.cues.clip_values import check_frames
from ...core.cues.cut_outs import COLOURS, GROUNDS, colour_people, cut_out
from ...core.cues.mask_people import separate_people
from ...core.cues.mediapipe_masks import mediapipe_masks
from ...core.cues.person_masks import (
    CHOICES,
    GROWTH,
    PersonMasks,
    masks_for_frames,
    masks_of_bone_maps,
    masks_of_motion,
    masks_of_track,
)
from .. import host, sockets

SOURCES = ("auto", "mask", "track_data", "bone_maps", "motion", "mediapipe pose", "mediapipe selfie")


class MakePersonMasks(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_MakePersonMasks",
            display_name="Make Person Masks",
            category="motion4d/cues",
            description="One mask for each frame and person, from whatever tells where people are: masks of any segmenter or of Remove Background, a SAM 3 track, bone "
            "maps, a motion, or MediaPipe. They are checked against the frames, and the report says in which frames there is nobody.",
            search_aliases=["segment person", "background removal", "SAM 3", "silhouette", "matting", "selfie segmentation"],
            inputs=[
                io.Image.Input("images", tooltip="Frames of the film."),
                io.Combo.Input(
                    "source",
                    options=list(SOURCES),
                    default="auto",
                    tooltip="auto: the first of mask, track_data, bone_maps and motion that is connected, else mediapipe pose. mediapipe pose segments the one person it "
                    "follows, mediapipe selfie everybody near the camera; both need the package MediaPipe.",
                ),
                io.Combo.Input(
                    "person",
                    options=list(CHOICES),
                    default="largest",
                    tooltip="Whose mask the first output is. largest: over all frames; index: by number; all: everybody together.",
                ),
                io.Int.Input("index", default=0, min=0, max=99, tooltip="For index: the person's number, as in the report."),
                io.Boolean.Input(
                    "separate",
                    default=True,
                    tooltip="Take people apart that a mask shows together: parts that do not touch are followed from frame to frame. For mask and mediapipe.",
                ),
                io.Float.Input(
                    "grow",
                    default=GROWTH,
                    min=-0.1,
                    max=0.2,
                    step=0.005,
                    tooltip="Bodies of bone_maps and motion have neither clothes nor hair: they grow by this share of the person's height. Other sources stay as they are.",
                ),
                io.Mask.Input("mask", optional=True, tooltip="Of any segmenter, 1 on people, one for each frame."),
                sockets.SAM3Track.Input("track_data", optional=True, tooltip="ComfyUI's SAM 3 track of the same frames."),
                sockets.BoneMaps.Input(
                    "bone_maps",
                    optional=True,
                    tooltip="Of the camera of the film; of several people, each is seen where nobody is before them.",
                ),
                sockets.Motion.Input("motion", optional=True, tooltip="The motion of the person of the film, frame for frame."),
                sockets.CameraRig.Input(
                    "cameras", optional=True, tooltip="The camera of the film, for motion; not needed for captured ones."
                ),
            ],
            outputs=[
                io.Mask.Output(display_name="mask", tooltip="Of the person chosen."),
                io.Mask.Output(display_name="masks", is_output_list=True, tooltip="One mask for each person: what follows runs for each."),
                io.Int.Output(display_name="count", tooltip="People there are."),
                io.String.Output(
                    display_name="report", tooltip="Where the masks come from, how large people are, and the frames that have none."
                ),
            ],
        )

    @classmethod
    def execute(cls, images, source, person, index, separate, grow, mask=None, track_data=None, bone_maps=None, motion=None, cameras=None):
        given = {"mask": mask, "track_data": track_data, "bone_maps": bone_maps, "motion": motion}
        if source == "auto":
            source = next((name for name, value in given.items() if value is not None), "mediapipe pose")
        if source in given and given[source] is None:
            raise ValueError(f"source is {source}, but nothing is connected to {source}")
        found = _people(images, source, given, separate, grow, cameras)
        report = f"masks of {source}\n{found.report()}"
        return io.NodeOutput(found.chosen(person, index), list(found.masks), len(found.masks), report, ui=ui.PreviewText(report))


def _people(images, source, given, separate, grow, cameras) -> PersonMasks:
    clip = len(images), tuple(images.shape[1:3])
    if source == "track_data":
        return masks_of_track(given[source], *clip)
    if source == "bone_maps":
        return masks_of_bone_maps(given[source], *clip, growth=grow)
    if source == "motion":
        advance = host.current().progress(clip[0]).advance
        return masks_of_motion(given[source], *clip, rig=cameras, growth=grow, advance=advance)
    if source != "mask":
        advance = host.current().progress(clip[0]).advance
        given = {source: mediapipe_masks(images[..., :3], kind=source.split()[-1], advance=advance)}
    masks, notes = masks_for_frames(given[source], *clip)
    return PersonMasks(masks=separate_people(masks) if separate else masks[None], notes=notes)


class ColourPeople(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ColourPeople",
            display_name="Colour People",
            category="motion4d/cues",
            description=f"Masks as one picture for each frame, in which each person has a colour of its own, up to {len(COLOURS)}: what SCAIL-2 tells people apart by. "
            "The same order of people gives the same colours in the film and in the reference.",
            search_aliases=["color mask", "SCAIL-2 mask", "identity mask", "pose_video_mask", "reference_image_mask"],
            is_input_list=True,
            inputs=[
                io.Mask.Input("masks", tooltip="One mask, or the list of Make Person Masks."),
                io.Combo.Input(
                    "ground",
                    options=list(GROUNDS),
                    default="black",
                    tooltip="Behind people. SCAIL-2 animating a reference: black for the film, white for the reference; replacing somebody: the other way round.",
                ),
                io.Mask.Input("more_masks", optional=True, tooltip="People who come after the others."),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="Full colours with hard edges, as many as frames.")],
        )

    @classmethod
    def execute(cls, masks, ground, more_masks=()):
        people = [one for one in (*masks, *more_masks) if one is not None]
        if not people:
            raise ValueError("masks is an empty list: expected one mask for each person; connect those of Make Person Masks")
        if len({tuple(one.shape) for one in people}) > 1:
            raise ValueError(f"masks are {', '.join(str(tuple(one.shape)) for one in people)}: expected the same frames for each person")
        return io.NodeOutput(colour_people(torch.stack(people), ground=ground[0]))


class CutOutPerson(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_CutOutPerson",
            display_name="Cut Out Person",
            category="motion4d/cues",
            description="The film without its person, and the place that is free for another: background_video and character_mask of Wan-Animate.",
            search_aliases=["background video", "character mask", "blockify mask", "replace person", "draw mask on image"],
            inputs=[
                io.Image.Input("images", tooltip="Frames of the film."),
                io.Mask.Input("mask", tooltip="Of the person, one for each frame."),
                io.Boolean.Input(
                    "in_cells",
                    default=True,
                    tooltip="Free every cell of the person's box that the person touches, so that the outline does not tell of the body that was there.",
                ),
                io.Int.Input("rows", default=20, min=1, max=256, tooltip="Cells from top to bottom of the person's box."),
                io.Int.Input("columns", default=10, min=1, max=256, tooltip="Cells from left to right of it."),
                io.Combo.Input("ground", options=list(GROUNDS), default="black", tooltip="What stands where the person was."),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The film without its person."),
                io.Mask.Output(display_name="mask", tooltip="1 where the person was."),
                io.String.Output(display_name="report", tooltip="How much is free, and the frames in which nothing is."),
            ],
        )

    @classmethod
    def execute(cls, images, mask, in_cells, rows, columns, ground):
        notes = check_frames(images, name="images")
        masks, resized = masks_for_frames(mask, len(images), tuple(images.shape[1:3]))
        film, free = cut_out(images, masks, in_cells=in_cells, cells=(rows, columns), ground=ground)
        report = "\n".join([_freed(free), *notes, *resized])
        return io.NodeOutput(film, free, report, ui=ui.PreviewText(report))


def _freed(masks: torch.Tensor) -> str:
    """How much of the frames is free in masks (T, H, W) of 0 and 1, and the frames in which nothing is."""
    empty = ~masks.flatten(1).any(1)
    frames = f"; nobody in frames {frame_ranges(empty)}, which stay as they are" if empty.any() else ""
    return f"{100 * float(masks.mean()):.1f} % of the film is free{frames}"
