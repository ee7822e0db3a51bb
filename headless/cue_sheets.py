"""A contact sheet of the driving cues of a video: `python -m motion4d.headless.cue_sheets VIDEO --motion FILE --reference PICTURE --output SHEET.png`.

It also prints where the masks come from, which frames were dropped and why, and with --segmenter how much the masks of bone maps agree with a segmenter's.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..core.cues import extract_cues
from ..core.cues.face_boxes import choose_faces
from ..core.cues.location_cue import draw_location
from ..core.cues.mediapipe_faces import mediapipe_faces
from ..core.cues.mediapipe_masks import KINDS, mediapipe_masks
from ..core.cues.motion_faces import faces_of_motion
from ..core.cues.person_masks import GROWTH, PersonMasks, mask_overlap, masks_of_motion
from ..core.formats import load_motion, read_video
from ..core.formats.pictures import read_picture, write_picture
from ..core.geometry.cameras import with_camera
from ..core.maps.comparison_strip import strip
from ..core.types import DrivingCues, Frame, Motion

_OUTLINE, _OTHER, _FACE = (0.1, 1.0, 0.3), (1.0, 0.2, 0.2), (1.0, 0.8, 0.1)
_HEIGHT = 240  # pixels of each picture
_CHOICES = ("none", *KINDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the sheet and print the report."""
    given = _parser().parse_args(arguments)
    try:
        _run(given)
    except (ValueError, FileNotFoundError, ImportError) as error:
        print(f"cue_sheets: {error}", file=sys.stderr)
        return 1
    return 0


def _run(given: argparse.Namespace) -> None:
    frames, fps, motion = _film_and_motion(given)
    size = tuple(frames.shape[1:3])
    reference, person = _reference(given)
    print("\n".join(["mask of the reference", PersonMasks(masks=person[None, None]).report()]))
    drawn = masks_of_motion(motion, len(frames), size, growth=given.grow)
    print("\n".join(["masks of bone maps", drawn.report()]))
    masks, other = drawn.chosen(), None
    if given.segmenter != "none":
        other = mediapipe_masks(frames, kind=given.segmenter)
        _print_overlap(mask_overlap(masks, other), f"MediaPipe {given.segmenter}")
        masks, other = (other, masks) if given.masks == "segmenter" else (masks, other)
    faces = faces_of_motion(motion, None, size)
    print(faces.report())
    cues = extract_cues(frames, masks, faces.boxes, person, fps=fps, reference_face=_reference_face(given, reference))
    print("\n".join(cues.notes))
    sheet = draw_sheet(frames, masks, faces.boxes, cues, reference, columns=given.columns, other=other)
    write_picture(sheet, given.output)
    print(given.output)


def _film_and_motion(given: argparse.Namespace) -> tuple[Tensor, float, Motion]:
    """Frames (T, H, W, 3) uint8, their rate, and the motion over them."""
    film, motion = read_video(given.video, max_side=given.max_side), load_motion(given.motion, clip=given.clip)
    if motion.frames != len(film):
        raise ValueError(f"{given.motion}, clip {given.clip}: the motion has {motion.frames} frames, {given.video} has {len(film)}")
    chosen = range(0, len(film), given.every)
    motion = motion.take(list(chosen))
    if motion.frame is Frame.CAMERA:
        motion = with_camera(motion, film.image_size)
    return torch.stack([film[number] for number in chosen]), film.fps / given.every, motion


def _reference(given: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """The picture (H, W, 3) on black, and its person (H, W): of a mask, by MediaPipe where it is used anyway, else what is not transparent."""
    picture, alpha = read_picture(given.reference)
    picture = picture if alpha is None else picture * alpha[..., None]
    if given.reference_mask is not None:
        return picture, read_picture(given.reference_mask)[0].mean(-1)
    if given.segmenter != "none":
        return picture, mediapipe_masks(picture[None], kind=given.segmenter)[0]
    if alpha is None:
        raise ValueError(f"{given.reference} has no transparency around its person: give --reference-mask, or --segmenter pose")
    return picture, alpha


def _reference_face(given: argparse.Namespace, reference: Tensor) -> Tensor | None:
    """(4) the one that is given, or, where MediaPipe is used anyway, the one that it finds."""
    if given.reference_face is not None or given.segmenter == "none":
        return None if given.reference_face is None else torch.tensor(given.reference_face)
    found = choose_faces(mediapipe_faces(reference[None]), tuple(reference.shape[:2]))
    return found.boxes[0] if found.there[0] else None


def _print_overlap(overlap: Tensor, name: str) -> None:
    known = overlap[~overlap.isnan()]
    worst = overlap.nan_to_num(2.0).argsort()[:5].tolist()
    print(f"IoU of bone maps and {name}: mean {known.mean():.3f}, median {known.median():.3f}, least in frames {worst}")


def draw_sheet(
    frames: Tensor, masks: Tensor, boxes: Tensor, cues: DrivingCues, reference: Tensor, *, columns: int, other: Tensor | None = None
) -> Tensor:
    """Rows of the film with mask and face, the pose cue, the face cue, and the location cue over the reference, for some frames: (H, W, 3) in 0..1.

    Args:
        frames: (T, H, W, 3) uint8. masks, other: (T, H, W), outlined in green and red. boxes: (T, 4). reference: (H', W', 3). columns: frames shown, evenly,
            and in between as many of the dropped ones as there is room for.
    """
    numbers = shown_frames(cues.kept, columns)
    rows = [[], [], [], []]
    for frame in numbers:
        film = frames[frame].float() / 255
        for mask, colour in ((other, _OTHER), (masks, _OUTLINE)):
            if mask is not None:
                film = torch.where(_outline(mask[frame])[..., None], torch.tensor(colour), film)
        film = _with_box(film, boxes[frame])
        name = f"{frame}" if cues.kept[frame] else f"{frame} dropped"
        one = slice(frame, frame + 1)
        placed = draw_location(reference, cues.body_location[one], cues.face_location[one])
        for row, words, picture in zip(
            rows, (name, "pose", "face", "location"), (film[None], cues.pose[one], cues.face[one], placed), strict=True
        ):
            row.append((words, picture))
    widest = max(picture.shape[2] / picture.shape[1] for row in rows for _, picture in row)
    parts = [strip([(words, _widened(picture, widest)) for words, picture in row], height=_HEIGHT)[0] for row in rows]
    width = max(part.shape[1] for part in parts)  # rounding makes them differ by some pixels
    return torch.cat([torch.nn.functional.pad(part, (0, 0, 0, width - part.shape[1])) for part in parts])


def _widened(pictures: Tensor, proportion: float) -> Tensor:
    """(1, H, W, 3) with black at both sides, so that W / H is the proportion."""
    more = max(0, round(proportion * pictures.shape[1]) - pictures.shape[2])
    return torch.nn.functional.pad(pictures, (0, 0, more // 2, more - more // 2))


def shown_frames(kept: Tensor, columns: int) -> list[int]:
    """Numbers of frames for a sheet: evenly spaced, up to a third of them dropped ones."""
    dropped = (~kept).nonzero()[:, 0]
    some = dropped[torch.linspace(0, len(dropped) - 1, min(len(dropped), columns // 3)).round().long()].tolist()
    even = torch.linspace(0, len(kept) - 1, min(columns, len(kept))).round().long().tolist()
    return sorted({*some, *even[:: max(1, -(-len(even) // max(1, columns - len(some))))]})


def _outline(mask: Tensor) -> Tensor:
    """(H, W) bool: the border of what is above 0.5."""
    inside = (mask > 0.5).float()[None, None]
    wide = torch.nn.functional.max_pool2d(inside, 5, 1, 2)
    return (wide - inside)[0, 0] > 0


def _with_box(picture: Tensor, box: Tensor) -> Tensor:
    if box.isnan().any():
        return picture
    picture, (height, width) = picture.clone(), picture.shape[:2]
    x0, y0, x1, y1 = (int(edge) for edge in box.clamp(min=0).minimum(torch.tensor([width, height, width, height]) - 1))
    for line in (picture[y0 : y0 + 2, x0:x1], picture[y1 : y1 + 2, x0:x1], picture[y0:y1, x0 : x0 + 2], picture[y0:y1, x1 : x1 + 2]):
        line[:] = torch.tensor(_FACE)
    return picture


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m motion4d.headless.cue_sheets", description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--motion", type=Path, required=True, help="of the person of the video, frame for frame")
    parser.add_argument("--clip", type=int, default=0, help="of a motion file of several (default 0)")
    parser.add_argument("--reference", type=Path, required=True, help="picture of a person")
    parser.add_argument(
        "--reference-mask", type=Path, help="picture, white on its person (default: MediaPipe's, or what is not transparent)"
    )
    parser.add_argument(
        "--reference-face", type=float, nargs=4, metavar=("X0", "Y0", "X1", "Y1"), help="pixels of its face; MediaPipe finds it"
    )
    parser.add_argument("--output", type=Path, required=True, help="the sheet, a PNG")
    parser.add_argument(
        "--segmenter", choices=_CHOICES, default="none", help="MediaPipe Pose or selfie, if installed, to compare bone maps with"
    )
    parser.add_argument("--masks", choices=("bone-maps", "segmenter"), default="bone-maps", help="which of them the cues are made with")
    parser.add_argument("--grow", type=float, default=GROWTH, help="share of the standing height by which bone maps grow")
    parser.add_argument("--max-side", type=int, default=512, help="of the frames in pixels")
    parser.add_argument("--every", type=int, default=1, help="take every so many frames")
    parser.add_argument("--columns", type=int, default=12, help="frames on the sheet")
    return parser


if __name__ == "__main__":
    sys.exit(main())
