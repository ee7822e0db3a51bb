"""Several people: following them, choosing one, taking them apart and putting them together."""

from comfy_api.latest import io, ui

from ...core.estimators.gathering import gather
from ...core.estimators.overview import draw_people
from ...core.estimators.selection import WAYS, describe_people, in_order, sam_track_masks, select
from ...core.estimators.tracking import motion_of, motions_of, track
from ...core.maps.bone_maps import DEPTH_MODES, encode_depth, encode_normals
from ...core.maps.composition import compose_bone_maps
from ...core.maps.encodings import soft_mask
from .. import sockets
from ..images import grey_to_colour, to_images, to_masks


def _people_input():
    return sockets.People.Input("people", tooltip="Of Extract Motion, Convert to People or Gather People.")


def _tracking_inputs():
    return [
        io.Float.Input(
            "absence",
            default=2.0,
            min=0.0,
            max=60.0,
            step=0.1,
            tooltip="Longest time in seconds that a person may go unseen and still be the same.",
        ),
        io.Boolean.Input(
            "relink_shots",
            default=False,
            tooltip="Also look for the same person after a cut, by the size of the body alone; off, every cut begins new people.",
        ),
    ]


class SelectPerson(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SelectPerson",
            display_name="Select Person",
            category="motion4d/motion",
            description="Follows everybody through the clip, through crossings and short absences, and makes a motion of one of them. Frames in which the person "
            "is absent are missing in the motion; Clean Motion bridges them.",
            search_aliases=["track people", "person tracking", "pick person", "multi person", "sam3 track", "swap"],
            inputs=[
                _people_input(),
                io.Combo.Input(
                    "how",
                    options=list(WAYS),
                    default="largest",
                    tooltip="largest: on average in the picture; longest: in most frames; index: by number, from left to right; mask: most joints inside the mask or "
                    "track_data; point: nearest to x and y.",
                ),
                io.Int.Input(
                    "index", default=0, min=0, max=99, tooltip="For index: the person's number, from 0; with track_data: its object."
                ),
                io.Int.Input("x", default=0, min=0, max=16384, tooltip="For point: pixels from the left of the picture."),
                io.Int.Input("y", default=0, min=0, max=16384, tooltip="For point: pixels from the top of the picture."),
                io.Int.Input("frame", default=0, min=0, max=999999, tooltip="Frame of the point, of a single mask, and of the preview."),
                *_tracking_inputs(),
                io.Mask.Input("mask", optional=True, tooltip="For mask: one for each frame of people, or one of a single frame."),
                sockets.SAM3Track.Input("track_data", optional=True, tooltip="For mask: ComfyUI's SAM 3 track of the same frames."),
                io.Image.Input("images", optional=True, tooltip="Frames of the video, for the preview to be drawn over."),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion", tooltip="In camera space, as many frames as the clip."),
                io.Int.Output(display_name="count", tooltip="People who are followed."),
                io.String.Output(display_name="report", tooltip="Who is present when."),
                io.Image.Output(display_name="preview", tooltip="One frame with the number of each person; the chosen one is yellow."),
            ],
        )

    @classmethod
    def execute(cls, people, how, index, x, y, frame, absence, relink_shots, mask=None, track_data=None, images=None):
        tracks = track(people, absence=absence, relink_shots=relink_shots)
        if how == "mask" and track_data is not None:
            mask = sam_track_masks(track_data, index)
        chosen = select(people, tracks, how, index=index, point=(x, y), frame=frame, masks=mask)
        preview = draw_people(people, tracks, frame, chosen=chosen, images=images)
        report = f"{describe_people(people, tracks)}\nchosen: person {in_order(people, tracks).index(chosen)}"
        return io.NodeOutput(motion_of(people, chosen), len(tracks), report, preview[None], ui=ui.PreviewText(report))


class SplitPeople(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SplitPeople",
            display_name="Split People",
            category="motion4d/motion",
            description="Follows everybody through the clip and gives one motion for each, from left to right. The nodes behind it run once for each person; "
            "Compose Bone Maps brings the pictures together again.",
            search_aliases=["all people", "multi person", "track people", "every person"],
            inputs=[
                _people_input(),
                io.Int.Input(
                    "most", default=0, min=0, max=99, tooltip="Keeps those who are present longest, this many; 0 keeps everybody."
                ),
                *_tracking_inputs(),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motions", is_output_list=True, tooltip="A list: what follows runs for each."),
                io.Int.Output(display_name="count", tooltip="Motions in the list."),
                io.String.Output(display_name="report", tooltip="Who is present when."),
            ],
        )

    @classmethod
    def execute(cls, people, most, absence, relink_shots):
        tracks = track(people, absence=absence, relink_shots=relink_shots)
        if not tracks:
            raise ValueError("people: nobody is seen long enough in this clip to be followed")
        kept = in_order(people, sorted(tracks, key=len, reverse=True)[: most or None])
        report = describe_people(people, kept)
        return io.NodeOutput(list(motions_of(people, kept)), len(kept), report, ui=ui.PreviewText(report))


class GatherPeople(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_GatherPeople",
            display_name="Gather People",
            category="motion4d/motion",
            description="Motions that were made apart as the people of one clip before one camera: to compose scenes, and to follow people anew whose order "
            "in a file changes from frame to frame (load each person of the file and gather them).",
            search_aliases=["combine motions", "merge people", "two people", "scene", "untracked people"],
            inputs=[
                sockets.Motion.Input("motion_0", tooltip="SMPL's 24 joints, in world or camera space; the leftmost, with spacing."),
                sockets.Motion.Input("motion_1", optional=True, tooltip="In the same space and at the same frame rate."),
                sockets.Motion.Input("motion_2", optional=True, tooltip="In the same space and at the same frame rate."),
                sockets.Motion.Input("motion_3", optional=True, tooltip="In the same space and at the same frame rate."),
                io.Float.Input(
                    "spacing",
                    default=0.0,
                    min=0.0,
                    max=20.0,
                    step=0.05,
                    tooltip="World space only: metres from one to the next; 0 leaves everybody in place.",
                ),
                io.Int.Input("width", default=768, min=16, max=4096, step=8, tooltip="Pixels of the picture, where no cameras are given."),
                io.Int.Input("height", default=768, min=16, max=4096, step=8, tooltip="Pixels of the picture, where no cameras are given."),
                sockets.CameraRig.Input(
                    "cameras", optional=True, tooltip="World space only: the first of them looks on; without, one is placed in front."
                ),
            ],
            outputs=[sockets.People.Output(display_name="people", tooltip="For Select Person and Split People.")],
        )

    @classmethod
    def execute(cls, motion_0, spacing, width, height, motion_1=None, motion_2=None, motion_3=None, cameras=None):
        motions = [motion for motion in (motion_0, motion_1, motion_2, motion_3) if motion is not None]
        return io.NodeOutput(gather(motions, spacing=spacing, rig=cameras, image_size=(height, width)))


class ComposeBoneMaps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ComposeBoneMaps",
            display_name="Compose Bone Maps",
            category="motion4d/maps",
            description="Bone maps of several people, seen by the same cameras, as one: at every pixel the body that is nearest. Encode Bone Maps tells them apart "
            "again.",
            search_aliases=["merge bone maps", "several people", "occlusion", "z buffer"],
            is_input_list=True,
            inputs=[
                sockets.BoneMaps.Input("bone_maps", tooltip="Of one person, or the list that Render Bone Maps makes after Split People."),
                io.Combo.Input(
                    "depth_range",
                    options=list(DEPTH_MODES),
                    default="root",
                    tooltip="root: metric, centred between the people in the first frame; sequence: from the nearest to the farthest point of all frames.",
                ),
                io.Float.Input(
                    "span",
                    default=1.25,
                    min=0.1,
                    max=20.0,
                    step=0.05,
                    tooltip="root only: metres in front of and behind that middle that the grey levels cover.",
                ),
                sockets.BoneMaps.Input("more_bone_maps", optional=True, tooltip="Of one more person, or of several."),
            ],
            outputs=[
                sockets.BoneMaps.Output(display_name="bone_maps", tooltip="Raw maps: metres and unit vectors."),
                io.Image.Output(display_name="depth", tooltip="Near is bright, background black."),
                io.Image.Output(display_name="normals", tooltip="Camera space; facing the camera is (0.5, 0.5, 1), background black."),
                io.Mask.Output(display_name="mask", tooltip="1 on the bodies."),
            ],
        )

    @classmethod
    def execute(cls, bone_maps, depth_range, span, more_bone_maps=()):
        maps = compose_bone_maps([one for one in (*bone_maps, *more_bone_maps) if one is not None])
        depth, normals = grey_to_colour(encode_depth(maps, span_m=span[0], mode=depth_range[0])), encode_normals(maps)
        return io.NodeOutput(maps, to_images(depth), to_images(normals), to_masks(soft_mask(maps)))
