"""Pose maps: joints as colours that video models draw, and that can be read back."""

import torch
from comfy_api.latest import io, ui

from ...core.geometry.cameras import own_camera
from ...core.maps.pose_map_report import drawing_report, overlay_keypoints, reading_report
from ...core.maps.pose_maps import ORDERS, auto_radius, crowded_groups, draw_pose_maps, read_again
from .. import host, sockets
from ..images import to_images, to_masks, to_views


class DrawPoseMaps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_DrawPoseMaps",
            display_name="Draw Pose Maps",
            category="motion4d/maps",
            description="AnimaX's pose maps: every joint a disc in a colour of its own over grey bones, seen by each camera, for any skeleton of up to 200 joints. Read "
            "Pose Maps finds the joints again in a video of them. Views follow each other in the output batch.",
            search_aliases=["animax", "joint colours", "keypoint map", "skeleton map", "pose control", "palette"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="Of Load Rig or any other; in world space with cameras, or in camera space."),
                sockets.CameraRig.Input(
                    "cameras",
                    optional=True,
                    tooltip="Not needed for a motion in camera space: it is drawn with the camera that filmed it.",
                ),
                io.Float.Input(
                    "radius",
                    default=0.0,
                    min=0.0,
                    max=64.0,
                    step=0.5,
                    tooltip="Of the discs, in pixels; 0 chooses 4 to 6 by how close joints come. Smaller ones do not survive a video encoder.",
                ),
                io.Float.Input(
                    "bone_width", default=5.0, min=0.0, max=64.0, step=0.5, tooltip="Of the grey lines, in pixels; 0 draws none."
                ),
                io.Combo.Input(
                    "order",
                    options=list(ORDERS),
                    default=ORDERS[0],
                    tooltip="depth: near joints cover far ones. bpy: the first joints of the skeleton cover the others, as bpy-renderer draws.",
                ),
                io.Boolean.Input(
                    "detail",
                    default=False,
                    tooltip="Draw crowded joints, such as fingers, into pictures of their own, many times larger, and leave them out of the others.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The pose maps, on white."),
                sockets.PoseMaps.Output(display_name="pose_maps", tooltip="The pictures with their colours and sizes, for Read Pose Maps."),
                io.Mask.Output(display_name="mask", tooltip="1 on discs and bones."),
                io.Image.Output(display_name="detail_images", tooltip="Crowded joints, group beside group; white where there are none."),
                io.String.Output(
                    display_name="report", tooltip="Sizes, joints that share their place in the pictures, groups of the detail."
                ),
            ],
        )

    @classmethod
    def execute(cls, motion, radius, bone_width, order, detail, cameras=None):
        cameras = own_camera(motion) if cameras is None else cameras
        bar = host.current().progress(cameras.views * motion.frames)
        maps = draw_pose_maps(
            motion, cameras, radius=radius or auto_radius(motion, cameras), bone_width=bone_width, order=order,
            detail=crowded_groups(motion.skeleton) if detail else (), advance=bar.advance,
        )  # fmt: skip
        large = torch.ones(1, 1, 1, 1, 3).expand_as(maps.images) if maps.detail is None else maps.detail.images
        mask = (maps.images < 1).any(-1)
        report = drawing_report(maps)
        return io.NodeOutput(to_images(maps.images), maps, to_masks(mask), to_images(large), report, ui=ui.PreviewText(report))


class ReadPoseMaps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ReadPoseMaps",
            display_name="Read Pose Maps",
            category="motion4d/motion",
            description="Finds the joints in pictures of pose maps, to a fraction of a pixel, also after a video encoder or a VAE. For Triangulate Joints.",
            search_aliases=["animax", "localize joints", "keypoints from pose map", "colour tracking", "pose video to motion"],
            inputs=[
                io.Image.Input(
                    "images", tooltip="All frames of the first view, then all of the second, and so on, as large as drawn or scaled."
                ),
                sockets.PoseMaps.Input(
                    "pose_maps",
                    tooltip="Of Draw Pose Maps, from the same skeleton and cameras; one frame of it is enough. Tells colours and sizes.",
                ),
                io.Int.Input(
                    "views", default=0, min=0, max=64, tooltip="How many cameras the pictures are of; 0 takes those of the pose maps."
                ),
                io.Boolean.Input(
                    "temporal", default=True, tooltip="Prefer smooth paths and doubt what jumps; off reads each frame for itself."
                ),
                io.Image.Input(
                    "detail_images",
                    optional=True,
                    tooltip="Pictures of the crowded joints, where the pose maps were drawn with detail; without them those joints are missing.",
                ),
            ],
            outputs=[
                sockets.Keypoints.Output(display_name="keypoints", tooltip="Pixels and confidence; covered and missing joints have none."),
                io.Image.Output(display_name="overlay", tooltip="A cross at every joint that was found; the less sure, the smaller."),
                io.String.Output(
                    display_name="report",
                    tooltip="What each view shows, joints found nowhere, and how far off they are where that is known.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images, pose_maps, views, temporal, detail_images=None):
        views = views or len(pose_maps.images)
        pictures = _views_of(images, views, "images")
        large = None if detail_images is None or pose_maps.detail is None else _views_of(detail_images, views, "detail_images")
        bar = host.current().progress(len(images) * (1 if large is None else 2))
        keypoints = read_again(pictures, pose_maps, detail_images=large, temporal=temporal, advance=bar.advance)
        report = reading_report(keypoints, pose_maps)
        crosses = overlay_keypoints(pictures, keypoints, pose_maps.palette)
        return io.NodeOutput(keypoints, to_images(crosses), report, ui=ui.PreviewText(report))


def _views_of(images: torch.Tensor, views: int, name: str) -> torch.Tensor:
    if len(images) % views:
        raise ValueError(
            f"{name}: {len(images)} pictures are not of {views} views with as many frames each: set views to the number of cameras"
        )
    return to_views(images, views, len(images) // views, name=name)
