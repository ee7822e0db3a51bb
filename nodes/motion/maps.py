"""Pictures of a motion that control other models."""

from comfy_api.latest import io

from ...core.geometry.cameras import own_camera
from ...core.maps.backgrounds import fit_background, maps_beside
from ...core.maps.bone_maps import DEPTH_MODES, encode_depth, encode_normals, render_bone_maps
from ...core.maps.drawing import STYLES, draw_skeleton
from .. import host, sockets
from ..images import grey_to_colour, to_images, to_masks


def _cameras_input():
    return sockets.CameraRig.Input(
        "cameras", optional=True, tooltip="Not needed for a motion in camera space: it is drawn with the camera that filmed it."
    )


def _background_input():
    return io.Image.Input(
        "background", optional=True, tooltip="Pictures to draw over, one for each frame or a single one; resized to the camera."
    )


class RenderBoneMaps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_RenderBoneMaps",
            display_name="Render Bone Maps",
            category="motion4d/maps",
            description="HVG's bone maps: an ellipsoid on every bone, with body proportions from anthropometry, as depth and surface normals seen by each "
            "camera. Views follow each other in the output batch.",
            search_aliases=["ellipsoid", "depth map", "normal map", "hvg", "body render"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="In world space with cameras, or in camera space."),
                _cameras_input(),
                io.Combo.Input(
                    "depth_range",
                    options=list(DEPTH_MODES),
                    default="root",
                    tooltip="root: metric, centred on the pelvis of the first frame, free of flicker. sequence: from the nearest to the farthest point of all frames.",
                ),
                io.Float.Input(
                    "span",
                    default=1.25,
                    min=0.1,
                    max=20.0,
                    step=0.05,
                    tooltip="root only: metres in front of and behind the pelvis that the grey levels cover.",
                ),
                io.Boolean.Input("virtual_leaves", default=True, tooltip="Draw the head above the last joint of the skeleton."),
                io.Float.Input(
                    "opacity", default=0.85, min=0.0, max=1.0, step=0.05, tooltip="Of the maps over the background, in the preview only."
                ),
                _background_input(),
            ],
            outputs=[
                sockets.BoneMaps.Output(display_name="bone_maps", tooltip="Raw maps: metres and unit vectors."),
                io.Image.Output(display_name="depth", tooltip="Near is bright, background black."),
                io.Image.Output(display_name="normals", tooltip="Camera space; facing the camera is (0.5, 0.5, 1), background black."),
                io.Mask.Output(display_name="mask", tooltip="1 on the body."),
                io.Image.Output(display_name="preview", tooltip="Depth and normals side by side, over the background if there is one."),
            ],
        )

    @classmethod
    def execute(cls, motion, depth_range, span, virtual_leaves, opacity, cameras=None, background=None):
        cameras = own_camera(motion) if cameras is None else cameras
        bar = host.current().progress(cameras.views * motion.frames)
        maps = render_bone_maps(motion, cameras, virtual_leaves=virtual_leaves, device=host.current().device(), advance=bar.advance)
        depth, normals = grey_to_colour(encode_depth(maps, span_m=span, mode=depth_range)), encode_normals(maps)
        behind = fit_background(background, cameras.image_size, motion.frames)
        preview = maps_beside(depth, normals, maps.mask, behind, opacity=opacity)
        return io.NodeOutput(maps, to_images(depth), to_images(normals), to_masks(maps.mask), to_images(preview))


class DrawSkeleton(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_DrawSkeleton",
            display_name="Draw Skeleton",
            category="motion4d/maps",
            description="The skeleton as seen by each camera, on black or over a video. Views follow each other in the output batch.",
            search_aliases=["pose", "stick figure", "openpose"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="In world space with cameras, or in camera space."),
                _cameras_input(),
                io.Combo.Input(
                    "style",
                    options=list(STYLES),
                    default="motion4d",
                    tooltip="motion4d: left and right in their own colours. mtvcrafter: the drawing of the reference implementation.",
                ),
                _background_input(),
            ],
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(cls, motion, style, cameras=None, background=None):
        cameras = own_camera(motion) if cameras is None else cameras
        behind = fit_background(background, cameras.image_size, motion.frames)
        bar = host.current().progress(cameras.views * motion.frames)
        return io.NodeOutput(to_images(draw_skeleton(motion, cameras, background=behind, style=style, advance=bar.advance)))
