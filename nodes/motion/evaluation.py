"""How near a made video comes to the real one."""

from dataclasses import dataclass, replace

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ...core.cues.face_boxes import choose_faces, faces_of_bounding_boxes, faces_of_pose_keypoints
from ...core.formats.wires import face_from_pose_keypoints, from_pose_keypoints
from ...core.metrics.evaluation import Faces, cut_to_shorter, evaluate, steps
from ...core.metrics.images import check_frames
from ...core.metrics.keypoints import FACE_ONLY, FINE_FACES
from ...core.metrics.protocol import TIKTOK_SIDE, fit_square, fit_square_boxes, fit_square_keypoints
from ...core.types import ImageSize, Keypoints
from .. import host, sockets
from ..films import opened_film

AS_THEY_ARE, TIKTOK = "as they are", f"TikTok: square of {TIKTOK_SIDE} from the centre"
NETWORKS = tuple(f"network_{number}" for number in range(1, 6))
_SAME_RATE = 0.01  # relative difference
_MIXED = "one is a VIDEO, the other pictures: where these come from a film, let Take Video Frames read it, as other nodes turn its colours into others"


class EvaluateVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        video, points = [io.Video, io.Image], [sockets.Keypoints, sockets.PoseKeypoint]
        boxes = [sockets.BoundingBox, sockets.PoseKeypoint]
        return io.Schema(
            node_id="Motion4D_EvaluateVideo",
            display_name="Evaluate Video",
            category="motion4d/motion",
            description="Measures a made video against the real one, frame by frame: PSNR, SSIM and L1; with networks of your own LPIPS, FID, FID-VID, FVD and "
            "likeness of faces (FIS, FTS); with keypoints of both how well it follows the driver (PLC, FLC).",
            search_aliases=["metrics", "psnr", "ssim", "lpips", "fid", "fvd", "quality", "benchmark", "compare videos", "tiktok"],
            inputs=[
                io.MultiType.Input("generated", types=video, tooltip="The made video; a VIDEO is measured in the 8 bits that it holds."),
                io.MultiType.Input("reference", types=video, tooltip="The real one: its first frame belongs to the first of the made one."),
                io.Combo.Input(
                    "protocol",
                    options=[AS_THEY_ARE, TIKTOK],
                    tooltip="Both videos as they are, of one size, or as papers measure on TikTok videos: proportions kept, the square in the centre.",
                ),
                io.Boolean.Input(
                    "cut_to_shorter",
                    default=False,
                    tooltip="Leave out frames at the end that only one has; otherwise they must be as long.",
                ),
                io.Int.Input("person", default=0, min=0, max=99, tooltip="Which person of each frame's list, in POSE_KEYPOINT."),
                *(sockets.MetricNetwork.Input(name, optional=True, tooltip="Of Load Metric Network, of any kind.") for name in NETWORKS),
                io.MultiType.Input("generated_keypoints", types=points, optional=True, tooltip="Found in the made video."),
                io.MultiType.Input(
                    "driving_keypoints", types=points, optional=True, tooltip="Found in the driving video, in the same way."
                ),
                io.MultiType.Input("face_boxes", types=boxes, optional=True, tooltip="Faces in the made video, for a network of faces."),
                io.Image.Input("identity", optional=True, tooltip="A picture of the person that the made video should show."),
                io.MultiType.Input("identity_boxes", types=boxes, optional=True, tooltip="The face in that picture."),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="All numbers in words, and what was left out."),
                io.Image.Output(display_name="plot", tooltip="Each metric over the frames."),
                io.String.Output(display_name="numbers", tooltip="All numbers as JSON; null for what cannot be told."),
                io.Float.Output(display_name="psnr", tooltip="Decibels; infinite where all frames are identical."),
                io.Float.Output(display_name="ssim"),
                io.Float.Output(display_name="l1", tooltip="Of values in 0..1."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, generated, reference, protocol, cut_to_shorter, person, generated_keypoints=None, driving_keypoints=None, face_boxes=None,
        identity=None, identity_boxes=None, **networks,
    ):  # fmt: skip
        square = protocol == TIKTOK
        made, real = (_Video.read(video, name, square) for video, name in ((generated, "generated"), (reference, "reference")))
        frames = _matched(made, real, cut_to_shorter)
        lengths = len(frames[0]), cut_to_shorter
        points = _points(generated_keypoints, driving_keypoints, person, square=square, lengths=lengths)
        faces, notes = _faces(made, face_boxes, identity, identity_boxes, square=square, length=len(frames[0]))
        used = [networks[name] for name in NETWORKS if networks.get(name) is not None]
        bar = host.current().progress(steps(used))
        found = evaluate(*frames, networks=used, faces=faces, on_step=bar.advance, **points)
        found.lines.extend([f"measured {protocol}", *([_MIXED] if (made.fps is None) != (real.fps is None) else []), *notes])
        psnr = found.numbers["psnr"]
        return io.NodeOutput(
            found.text(), found.plot()[None], found.json(), float("inf") if psnr is None else psnr, found.numbers["ssim"], found.numbers["l1"],
            ui=ui.PreviewText(found.text()),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Video:
    """frames: (T, H, W, 3) to be measured, floating point in 0..1 or uint8. image_size: (H, W) of the video itself. fps: None of an IMAGE."""

    frames: Tensor
    image_size: ImageSize
    fps: float | None

    @classmethod
    def read(cls, video, name: str, square: bool) -> "_Video":
        if isinstance(video, Tensor):
            check_frames(name, video)
            return cls(fit_square(video, name=name) if square else video, tuple(video.shape[1:3]), None)
        with opened_film(video, 0.0) as film:
            frames = [fit_square(frame[None])[0] if square else frame for frame in film.frames]
            return cls(torch.stack(frames), film.image_size, film.fps)


def _matched(made: _Video, real: _Video, cut: bool) -> tuple[Tensor, Tensor]:
    """The frames of both, cut to the shorter where that is asked for; ValueError of films whose frames do not belong together."""
    if made.fps and real.fps and abs(made.fps / real.fps - 1) > _SAME_RATE:
        raise ValueError(
            f"generated has {made.fps:g} frames per second, reference {real.fps:g}: bring both to one rate with Take Video Frames first"
        )
    return cut_to_shorter(made.frames, real.frames) if cut else (made.frames, real.frames)


def _points(generated, driving, person: int, *, square: bool, lengths: tuple[int, bool]) -> dict[str, tuple[Keypoints, Keypoints]]:
    """What `evaluate` takes as body and face; a body's own facial points where only one video has finer ones."""
    if generated is None and driving is None:
        return {}
    if generated is None or driving is None:
        raise ValueError("there are keypoints of one video only: connect both generated_keypoints and driving_keypoints")
    bodies, faces = zip(*(_body_and_face(one, person) for one in (generated, driving)), strict=True)
    pairs = {"body": bodies, "face": bodies if None in faces else faces}
    known = {name: tuple(_moved(one, square, *lengths) for one in pair) for name, pair in pairs.items() if None not in pair}
    if not known:
        joints = " and of ".join(
            f"{one.pixels.shape[2]} joints" for pair in zip(bodies, faces, strict=True) for one in pair if one is not None
        )
        raise ValueError(f"the keypoints are of {joints}, which have nothing in common: detect both in the same way")
    return known


def _body_and_face(given, person: int) -> tuple[Keypoints | None, Keypoints | None]:
    """Either is None where it is not there; the face of keypoints that are of a body alone as well."""
    if not isinstance(given, Keypoints):
        return from_pose_keypoints(given, person=person), face_from_pose_keypoints(given, person=person)
    return None if given.pixels.shape[2] in FACE_ONLY else given, given if given.pixels.shape[2] in FINE_FACES else None


def _moved(keypoints: Keypoints, square: bool, length: int, cut_off: bool) -> Keypoints:
    """Into the square, without the frames that were cut off; ValueError of more frames than the videos have, where none were."""
    if keypoints.pixels.shape[1] > length and not cut_off:
        raise ValueError(
            f"there are keypoints of {keypoints.pixels.shape[1]} frames, the videos have {length}: detect them in these frames, or take cut_to_shorter"
        )
    cut = replace(keypoints, pixels=keypoints.pixels[:, :length], confidence=keypoints.confidence[:, :length])
    return fit_square_keypoints(cut) if square else cut


def _faces(made: _Video, boxes, identity, identity_boxes, *, square: bool, length: int) -> tuple[Faces | None, list[str]]:
    """Faces of the made video and of the identity, and how they were chosen; None without any input for them."""
    given = {"face_boxes": boxes, "identity": identity, "identity_boxes": identity_boxes}
    lacking = [name for name, one in given.items() if one is None]
    if len(lacking) == len(given):
        return None, []
    if lacking:
        raise ValueError(f"faces need {', '.join(given)}, and {' and '.join(lacking)} is not connected: connect all or none of them")
    check_frames("identity", identity)
    found = _chosen(boxes, len(made.frames), made.image_size)
    whom = _chosen(identity_boxes, len(identity), tuple(identity.shape[1:3]))
    places = fit_square_boxes(found.boxes, made.image_size) if square else found.boxes
    notes = [f"generated: {note}" for note in found.notes] + [f"identity: {note}" for note in whom.notes]
    return Faces(boxes=places[:length], identity=identity, identity_boxes=whom.boxes), notes


def _chosen(boxes, frames: int, image_size: ImageSize):
    """FaceBoxes of one person from BOUNDING_BOX or POSE_KEYPOINT."""
    poses = isinstance(boxes, list) and any(isinstance(one, dict) and "people" in one for one in boxes)
    candidates = faces_of_pose_keypoints(boxes, frames, image_size) if poses else faces_of_bounding_boxes(boxes, frames)
    return choose_faces(candidates, image_size)
