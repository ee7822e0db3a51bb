"""Rigged characters as cameras see them."""

import re

from comfy_api.latest import io, ui

from ...core.body.rig_framing import AZIMUTHS, LENS, LITERAL_AZIMUTHS, MARGIN, RADIUS, fit_cube, place_rig_cameras
from ...core.body.skin_radii import radii_text, skin_radii
from ...core.formats.gltf_meshes import load_meshes
from ...core.maps.colours import read_colour
from ...core.maps.encodings import encode_depth, encode_normals, soft_mask
from ...core.maps.mesh_views import render_meshes
from ...core.maps.textures import FILTERS
from ...core.wording import counted
from .. import host, sockets
from ..images import grey_to_colour, to_images, to_masks

_SENSOR = 32.0  # mm


def _degrees(text: str) -> list[float]:
    """Azimuths from text such as "0, 90, 180, 270"."""
    try:
        return [float(part) for part in re.split(r"[,;\s]+", text.strip(" ,;\n"))]
    except ValueError:
        raise ValueError(f"azimuths is '{text}', expected degrees separated by commas, such as 0, 90, 180, 270") from None


class PlaceRigCameras(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_PlaceRigCameras",
            display_name="Place Rig Cameras",
            category="motion4d/cameras",
            description="Cameras around a character as AnimaX has them: the character scaled into a cube, cameras at 2.7 of its sides, a lens of 35 mm. The cameras "
            "stand in the character's own world, so that whatever they see needs no scaling back.",
            search_aliases=["animax cameras", "template views", "turntable", "multi view", "normalize scene"],
            inputs=[
                sockets.Rig.Input("rig", tooltip="Of Load Rig."),
                io.String.Input(
                    "azimuths",
                    default=", ".join(f"{azimuth:g}" for azimuth in AZIMUTHS),
                    tooltip="One camera for each, in degrees: 0 in front of the character, 90 at its left.",
                ),
                io.Boolean.Input(
                    "paper_literal",
                    default=False,
                    tooltip="Use 0, 90, 190 and 270 degrees, as the paper prints them, in place of `azimuths`; 190 is most likely meant to be 180.",
                ),
                io.Float.Input("elevation", default=0.0, min=-89.0, max=89.0, step=1.0, tooltip="Degrees above the horizon."),
                io.Float.Input(
                    "margin",
                    default=MARGIN,
                    min=0.1,
                    max=2.0,
                    step=0.05,
                    tooltip="Part of the cube that the character's longest side takes; less leaves room for motion.",
                ),
                io.Float.Input(
                    "distance", default=RADIUS, min=0.6, max=20.0, step=0.1, tooltip="From the cameras to the middle, in sides of the cube."
                ),
                io.Float.Input(
                    "lens", default=LENS * _SENSOR, min=5.0, max=300.0, step=1.0, tooltip="Focal length in mm on a sensor 32 mm wide."
                ),
                io.Int.Input("width", default=832, min=16, max=4096, step=8, tooltip="Width of the pictures in pixels."),
                io.Int.Input("height", default=480, min=16, max=4096, step=8, tooltip="Height of the pictures in pixels."),
                sockets.Animation.Input(
                    "animation",
                    optional=True,
                    tooltip="The cube holds all of its frames; set margin to 1 then. Without, the rest pose.",
                ),
            ],
            outputs=[
                sockets.CameraRig.Output(display_name="cameras", tooltip="In the world of the rig."),
                io.String.Output(display_name="report", tooltip="The cube: its middle and its scale."),
            ],
        )

    @classmethod
    def execute(cls, rig, azimuths, paper_literal, elevation, margin, distance, lens, width, height, animation=None):
        angles = LITERAL_AZIMUTHS if paper_literal else _degrees(azimuths)
        cube = fit_cube(rig, load_meshes(rig), animation, margin=margin)
        cameras = place_rig_cameras(
            cube, image_size=(height, width), azimuths_deg=angles, elevation_deg=elevation, radius=distance, lens=lens / _SENSOR
        )
        report = f"{counted(cameras.views, 'camera')}, {distance / cube.scale:.4g} units from the middle\n{cube}"
        return io.NodeOutput(cameras, report, ui=ui.PreviewText(report))


class RenderRigViews(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_RenderRigViews",
            display_name="Render Rig Views",
            category="motion4d/maps",
            description="The meshes of a rigged character, at rest or in an animation, as each camera sees them: colours without light, depth, normals and masks. "
            "Views follow each other in the output batch.",
            search_aliases=["template views", "render mesh", "rasterize", "animax", "render glb", "depth of mesh", "unlit"],
            inputs=[
                sockets.Rig.Input("rig", tooltip="Of Load Rig."),
                sockets.CameraRig.Input("cameras", tooltip="Of Place Rig Cameras, or any others in the world of the rig; they may move."),
                io.Int.Input(
                    "frame",
                    default=-1,
                    min=-1,
                    max=99999,
                    tooltip="Which frame of the animation; -1 draws all of them. Without an animation: the rest pose.",
                ),
                io.Boolean.Input(
                    "soft_edges", default=True, tooltip="Four points in each pixel instead of one; takes about four times as long."
                ),
                io.Combo.Input(
                    "textures",
                    options=list(FILTERS),
                    default=FILTERS[0],
                    tooltip="nearest keeps the hard squares of small painted textures.",
                ),
                io.String.Input("background", default="#ffffff", tooltip="Colour as #rrggbb behind the character, in the images only."),
                sockets.Animation.Input("animation", optional=True, tooltip="Of Load Rig or Solve Skeleton, on this rig."),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="Base colours: textures and vertex colours without any light."),
                io.Image.Output(
                    display_name="depth", tooltip="Near is bright, from the nearest to the farthest point of all views and frames."
                ),
                io.Image.Output(display_name="normals", tooltip="Camera space; facing the camera is (0.5, 0.5, 1), background black."),
                io.Mask.Output(display_name="mask", tooltip="1 on the character."),
                sockets.BoneMaps.Output(
                    display_name="maps", tooltip="Raw depth and normals of the meshes, for Encode Bone Maps and Save Depth Maps."
                ),
                io.String.Output(
                    display_name="radii", tooltip="How thick the bones are, told by the skin; connect it to radii of Render Bone Maps."
                ),
                io.String.Output(
                    display_name="report", tooltip="What was drawn, textures that could not be read, views that show nothing."
                ),
            ],
        )

    @classmethod
    def execute(cls, rig, cameras, frame, soft_edges, textures, background, animation=None):
        meshes, frames, count = load_meshes(rig), None, cameras.frames or 1
        if animation is not None:
            count = len(animation.rotations)
            if frame >= 0:  # cameras that follow the animation stand where they are in this frame
                frames, cameras, count = [frame], cameras.at(frame) if cameras.frames == count else cameras, 1
        bar = host.current().progress(cameras.views * count)
        views = render_meshes(
            rig, meshes, cameras, animation=animation, frames=frames, samples=2 if soft_edges else 1, filtering=textures,
            background=read_colour(background), device=host.current().device(), advance=bar.advance,
        )  # fmt: skip
        maps, drawn = views.maps, views.rgb.shape[1]
        faces = sum(len(mesh.faces) for mesh in meshes)
        report = "\n".join(
            [
                f"{counted(cameras.views, 'view')} of {counted(drawn, 'frame')}, {faces} triangles in {counted(len(meshes), 'mesh')}",
                *views.notes,
            ]
        )
        depth = grey_to_colour(encode_depth(maps, mode="sequence"))
        return io.NodeOutput(
            to_images(views.rgb), to_images(depth), to_images(encode_normals(maps)), to_masks(soft_mask(maps)), maps,
            radii_text(rig, skin_radii(rig, meshes)), report, ui=ui.PreviewText(report),
        )  # fmt: skip
