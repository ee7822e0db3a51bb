"""The person at one place in every view, and the reference where the first pose is."""

from comfy_api.latest import io, ui

from ...core.maps.alignment import CENTERS, EXTENTS, align_views
from ...core.maps.alignment_preview import draw_boxes, draw_placement
from ...core.maps.body_place import cameras_of_pictures
from ...core.maps.colours import read_colour
from ...core.maps.reference_placement import FILLS, find_person, place_reference
from .. import host, sockets
from ..images import to_images, to_views

PIXELS = {"auto": None, "whole": True, "fractions": False}


def _cameras_input():
    return sockets.CameraRig.Input(
        "cameras", optional=True, tooltip="Not needed for a motion in camera space: the camera that filmed it is taken."
    )


def _background_input(what: str):
    return io.String.Input("background", default="#ffffff", tooltip=f"Colour as #rrggbb {what}.")


class AlignViews(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_AlignViews",
            display_name="Align Views",
            category="motion4d/cameras",
            description="HVG's view alignment: cameras, and crops of pictures, with the pelvis in the middle of every view. The crop is as large as the body needs in "
            "all views and frames, so that nobody leaves it; Paste Views Back puts results where the crops were.",
            search_aliases=["center person", "crop person", "stabilize", "pelvis", "hvg", "track crop", "multi view"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="The person to keep in the middle."),
                _cameras_input(),
                io.Combo.Input(
                    "center",
                    options=list(CENTERS),
                    default="per_frame",
                    tooltip="per_frame follows the pelvis; first_frame stays where it was in the first frame, so that the person moves through the crop.",
                ),
                io.Int.Input(
                    "smoothing",
                    default=5,
                    min=1,
                    max=101,
                    step=2,
                    tooltip="per_frame only: frames over which the path of the crop is smoothed; 1 keeps the pelvis exactly in the middle.",
                ),
                io.Combo.Input(
                    "extent",
                    options=list(EXTENTS),
                    default="auto",
                    tooltip="body: crops hold all of it. visible: what of it is in the pictures, as a half-length film never shows the legs. auto: visible for a motion in "
                    "camera space, which was filmed, body for one in the world.",
                ),
                io.Float.Input(
                    "margin", default=1.1, min=1.0, max=8.0, step=0.05, tooltip="1 fits the body tightly into the crop; more leaves room."
                ),
                io.Int.Input("width", default=576, min=16, max=4096, step=8, tooltip="Of the crops in pixels."),
                io.Int.Input("height", default=576, min=16, max=4096, step=8, tooltip="Of the crops in pixels."),
                io.Boolean.Input(
                    "resize",
                    default=True,
                    tooltip="Off: crops keep the pixels of the pictures, in the proportions of width and height and in steps of 16 pixels.",
                ),
                io.Combo.Input(
                    "pixels",
                    options=list(PIXELS),
                    default="auto",
                    tooltip="whole: crops begin between two pixels, and unresized ones are exact copies. fractions: they follow more smoothly. auto: whole where "
                    "nothing is resized.",
                ),
                _background_input("beyond the edges of the pictures and behind their transparency"),
                io.Image.Input(
                    "images", optional=True, tooltip="The pictures of all views to crop, view after view, one for each frame of the motion."
                ),
            ],
            outputs=[
                sockets.CameraRig.Output(display_name="cameras", tooltip="They see exactly the crops, and move where these move."),
                io.Image.Output(display_name="images", tooltip="The crops; empty where no pictures were given."),
                sockets.Alignment.Output(display_name="alignment", tooltip="For Paste Views Back."),
                io.Image.Output(display_name="preview", tooltip="The crops as boxes on the pictures, made small."),
                io.String.Output(display_name="report", tooltip="Size of the crops, and in which frames the pelvis was missing."),
            ],
        )

    @classmethod
    def execute(
        cls, motion, center, smoothing, extent, margin, width, height, resize, pixels, background, cameras=None, images=None
    ):  # fmt: skip
        cameras = cameras_of_pictures(motion, cameras, None if images is None else tuple(images.shape[1:3]))
        pictures = None if images is None else to_views(images, cameras.views, motion.frames, name="images")
        alignment = align_views(
            motion, cameras, center=center, smoothing=smoothing, extent=extent, margin=margin, size=(height, width), resize=resize,
            whole_pixels=PIXELS[pixels], background=read_colour(background),
        )  # fmt: skip
        crops = None
        if pictures is not None:
            bar = host.current().progress(cameras.views * motion.frames)
            crops = to_images(alignment.crop(pictures, advance=bar.advance))
        preview, report = to_images(draw_boxes(alignment, motion, cameras, pictures)), alignment.report()
        return io.NodeOutput(alignment.rig(cameras), crops, alignment, preview, report, ui=ui.PreviewText(report))


class PasteViewsBack(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_PasteViewsBack",
            display_name="Paste Views Back",
            category="motion4d/cameras",
            description="Puts the crops of Align Views, or what a model made of them, back where they were in the pictures. Crops that were neither resized nor "
            "changed give the pictures back to the bit.",
            search_aliases=["uncrop", "paste crop", "stitch", "composite person"],
            inputs=[
                io.Image.Input(
                    "crops",
                    tooltip="At the size they had or any other of the same proportions; their transparency lets the originals through.",
                ),
                sockets.Alignment.Input("alignment", tooltip="From Align Views."),
                io.Float.Input(
                    "feather",
                    default=8.0,
                    min=0.0,
                    max=512.0,
                    step=0.5,
                    tooltip="Pixels of the originals over which the edges of the crops fade in.",
                ),
                io.Image.Input(
                    "originals",
                    optional=True,
                    tooltip="The pictures that the crops were cut from, or one picture for all; without them the colour of Align Views surrounds the crops.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Of the crops, or one for all: 1 where they cover the originals, for example on the person.",
                ),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="In the size of the originals, view after view.")],
        )

    @classmethod
    def execute(cls, crops, alignment, feather, originals=None, mask=None):
        grid = alignment.views, alignment.frames
        crops = to_views(crops, *grid, name="crops")
        originals = None if originals is None else to_views(originals, *grid, name="originals", repeat=True)
        masks = None if mask is None else to_views(mask, *grid, name="mask", repeat=True)
        bar = host.current().progress(alignment.views * alignment.frames)
        return io.NodeOutput(to_images(alignment.paste(crops, originals, masks=masks, feather=feather, advance=bar.advance)))


class AlignReferenceToPose(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_AlignReferenceToPose",
            display_name="Align Reference to Pose",
            category="motion4d/cameras",
            description="HVG's temporal alignment: moves the reference picture by whole pixels so that its person stands where the first pose of a view stands, in a "
            "picture as large as the view.",
            search_aliases=["place reference", "shift image", "temporal alignment", "hvg", "first frame"],
            inputs=[
                io.Image.Input("reference", tooltip="The picture of the person; the first of a batch."),
                sockets.Motion.Input("motion", tooltip="The first frame in which the view shows the pelvis is the pose."),
                _cameras_input(),
                io.Int.Input("view", default=0, min=0, max=999, tooltip="The camera that the reference belongs to, from 0."),
                io.Combo.Input(
                    "find_by",
                    options=["auto", "point"],
                    default="auto",
                    tooltip="auto: the person of the reference is found by reference_motion, else by reference_mask, else by the transparency of the picture. point: "
                    "its pelvis is at x and y.",
                ),
                io.Int.Input("x", default=0, min=0, max=16384, tooltip="For point: pixels from the left of the reference."),
                io.Int.Input("y", default=0, min=0, max=16384, tooltip="For point: pixels from the top of the reference."),
                io.Boolean.Input(
                    "match_height",
                    default=False,
                    tooltip="Also scale the reference so that its person is as tall as that of the motion, both standing upright.",
                ),
                io.Combo.Input(
                    "fill",
                    options=list(FILLS),
                    default="edge",
                    tooltip="Beyond the reference its edge goes on, or there is the background colour.",
                ),
                _background_input("behind the transparency of the reference, and beyond it"),
                io.Mask.Input(
                    "reference_mask",
                    optional=True,
                    tooltip="1 on the person of the reference; the middle of the box around it counts. The mask of Load Image is the other way round.",
                ),
                sockets.Motion.Input(
                    "reference_motion", optional=True, tooltip="Extracted from the reference, in camera space; its pelvis counts."
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The reference in its place."),
                io.Mask.Output(display_name="padding", tooltip="1 where there is nothing of the reference."),
                io.Image.Output(display_name="preview", tooltip="The first pose over the reference."),
                io.Int.Output(display_name="shift_x", tooltip="Pixels to the right by which it was moved."),
                io.Int.Output(display_name="shift_y", tooltip="Pixels down by which it was moved."),
                io.String.Output(display_name="report"),
            ],
        )

    @classmethod
    def execute(
        cls, reference, motion, view, find_by, x, y, match_height, fill, background, cameras=None, reference_mask=None, reference_motion=None
    ):  # fmt: skip
        cameras, picture = cameras_of_pictures(motion, cameras, None), reference[0]
        mask = None if reference_mask is None else reference_mask[0]
        person = find_person(picture, motion=reference_motion, mask=mask, point=(x, y) if find_by == "point" else None)
        placed = place_reference(
            picture, motion, cameras, person=person, view=view, match_height=match_height, fill=fill, background=read_colour(background)
        )
        preview, report = draw_placement(placed, motion, cameras, view), placed.report()
        return io.NodeOutput(
            placed.picture[None], placed.padding[None].float(), preview[None], *placed.shift, report, ui=ui.PreviewText(report)
        )
