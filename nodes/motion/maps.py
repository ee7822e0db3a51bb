"""Pictures of a motion that control other models."""

from comfy_api.latest import io, ui

from ...core.body.anthropometry import parse_radii
from ...core.formats.depth_maps import UNITS, save_depth_maps
from ...core.geometry.cameras import own_camera
from ...core.maps.backgrounds import fit_background, maps_beside
from ...core.maps.bone_maps import DEPTH_MODES, encode_depth, encode_normals, render_bone_maps
from ...core.maps.drawing import STYLES, draw_skeleton
from ...core.maps.encodings import person_masks, soft_mask
from ...core.maps.presets import PRESETS, encode_preset
from ...core.wording import counted
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
                io.Boolean.Input(
                    "fingertips", default=False, optional=True, tooltip="Draw the fingers of SMPL-X beyond their last joints, 22 mm long."
                ),
                io.Boolean.Input(
                    "soft_edges",
                    default=False,
                    optional=True,
                    tooltip="Pictures and masks made of these maps get soft edges, from four points in each pixel; takes about five times as long. The maps "
                    "themselves stay exact.",
                ),
                io.String.Input(
                    "radii",
                    default="",
                    optional=True,
                    multiline=True,
                    tooltip="Radii of bones in metres, each by the joint in which the bone ends: left_wrist 0.03, tail 0.015. Empty: from anthropometry, or from "
                    "their lengths where a skeleton is unknown.",
                ),
            ],
            outputs=[
                sockets.BoneMaps.Output(display_name="bone_maps", tooltip="Raw maps: metres and unit vectors."),
                io.Image.Output(display_name="depth", tooltip="Near is bright, background black."),
                io.Image.Output(display_name="normals", tooltip="Camera space; facing the camera is (0.5, 0.5, 1), background black."),
                io.Mask.Output(display_name="mask", tooltip="1 on the body."),
                io.Image.Output(display_name="preview", tooltip="Depth and normals side by side, over the background if there is one."),
                io.String.Output(display_name="report", tooltip="Views that show nobody, cameras inside the body."),
            ],
        )

    @classmethod
    def execute(
        cls, motion, depth_range, span, virtual_leaves, opacity, cameras=None, background=None, fingertips=False, soft_edges=False, radii=""
    ):
        cameras = own_camera(motion) if cameras is None else cameras
        bar = host.current().progress(cameras.views * motion.frames)
        maps = render_bone_maps(
            motion, cameras, virtual_leaves=virtual_leaves, fingertips=fingertips, radii=parse_radii(radii), samples=2 if soft_edges else 1,
            device=host.current().device(), advance=bar.advance,
        )  # fmt: skip
        depth, normals, mask = grey_to_colour(encode_depth(maps, span_m=span, mode=depth_range)), encode_normals(maps), soft_mask(maps)
        behind = fit_background(background, cameras.image_size, motion.frames)
        preview = maps_beside(depth, normals, mask, behind, opacity=opacity)
        report = "\n".join(
            [f"{counted(cameras.views, 'view')} of {counted(motion.frames, 'frame')}, {len(maps.parts[0])} ellipsoids", *maps.notes]
        )
        return io.NodeOutput(
            maps, to_images(depth), to_images(normals), to_masks(mask), to_images(preview), report, ui=ui.PreviewText(report)
        )


class EncodeBoneMaps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_EncodeBoneMaps",
            display_name="Encode Bone Maps",
            category="motion4d/maps",
            description="Bone maps as the pictures that an existing model was trained on: depth for VACE or Fun-Control, normals for ControlNet, or colours that tell "
            "bones or people apart; and a mask for each person.",
            search_aliases=[
                "vace depth",
                "fun control",
                "controlnet depth",
                "controlnet normal",
                "normalbae",
                "segmentation",
                "occlusion",
                "id map",
            ],
            inputs=[
                sockets.BoneMaps.Input("bone_maps", tooltip="Of Render Bone Maps or Compose Bone Maps."),
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="vace_depth",
                    tooltip="; ".join(f"{name}: {preset.suits}" for name, preset in PRESETS.items())
                    + ". The coloured pose figure of VACE, Fun-Control and ControlNet is the style openpose of Draw Skeleton.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="Views follow each other."),
                io.Mask.Output(display_name="mask", tooltip="1 on the bodies."),
                io.Mask.Output(
                    display_name="person_masks",
                    is_output_list=True,
                    tooltip="A list: where each person is seen, in the order of composition.",
                ),
                io.String.Output(display_name="report", tooltip="Which models the pictures suit, and what they mean."),
            ],
        )

    @classmethod
    def execute(cls, bone_maps, preset):
        pictures = encode_preset(bone_maps, preset)
        people = [to_masks(mask) for mask in person_masks(bone_maps)]
        report = f"{preset}: for {PRESETS[preset].suits}\n{PRESETS[preset].convention}"
        return io.NodeOutput(to_images(pictures), to_masks(soft_mask(bone_maps)), people, report, ui=ui.PreviewText(report))


class SaveDepthMaps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_SaveDepthMaps",
            display_name="Save Depth Maps",
            category="motion4d/maps",
            description="Depth of bone maps as 16-bit PNG pictures in the output folder, with a JSON file beside them that says how many metres a grey level is.",
            search_aliases=["16 bit depth", "metric depth", "export depth", "png sequence", "z depth"],
            inputs=[
                sockets.BoneMaps.Input("bone_maps", tooltip="Of Render Bone Maps or Compose Bone Maps."),
                io.String.Input(
                    "filename_prefix", default="motion4d/depth", tooltip="Folder and first part of the name inside the output folder."
                ),
                io.Combo.Input(
                    "unit",
                    options=list(UNITS),
                    default="millimetres",
                    tooltip="millimetres: up to 65.5 m. stretched: the finest scale from the nearest to the farthest point of all frames.",
                ),
                sockets.CameraRig.Input(
                    "cameras",
                    optional=True,
                    tooltip="The cameras of the maps: depth is written along their view axes (z), as most programs have it. Without, it is the distance from the "
                    "camera's centre.",
                ),
            ],
            outputs=[io.String.Output(display_name="path", tooltip="The JSON file, inside the output folder.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, bone_maps, filename_prefix, unit, cameras=None):
        here = host.current()
        path = here.output_file(filename_prefix, ".json")
        bar = here.progress(bone_maps.mask.shape[0] * bone_maps.mask.shape[1])
        save_depth_maps(bone_maps, path, unit=unit, rig=cameras, advance=bar.advance)
        entry = here.saved(path)
        return io.NodeOutput("/".join(part for part in (entry["subfolder"], entry["filename"]) if part), ui={"files": [entry]})


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
                    tooltip="motion4d: left and right in their own colours. mtvcrafter: the drawing of the reference implementation. "
                    "openpose: the coloured figure of DWPose, for VACE, Fun-Control and pose ControlNets.",
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
