"""The pictures of the README, of the help pages and of the example workflows, and the film that examples read: `python -m motion4d.headless.pictures` draws
all of them."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..core.body.cleaning import clean_motion
from ..core.body.demo import demo_motion
from ..core.body.flaws import with_flaws
from ..core.body.framing import frame_motion
from ..core.body.openpose import openpose_joints
from ..core.body.rig_framing import fit_cube, place_rig_cameras
from ..core.body.rig_matching import motion_on
from ..core.body.spaces import to_camera
from ..core.cues import align_foreground, extract_cues
from ..core.cues.cut_outs import colour_people, cut_out
from ..core.cues.location_cue import draw_location
from ..core.cues.motion_faces import faces_of_motion
from ..core.cues.person_masks import masks_of_motion
from ..core.estimators.gathering import gather
from ..core.estimators.overview import draw_people
from ..core.estimators.tracking import motions_of, track
from ..core.formats import load_rig
from ..core.formats.gltf_meshes import load_meshes
from ..core.formats.rig_animation import rig_animation
from ..core.formats.video_writer import write_video
from ..core.geometry.cameras import own_camera
from ..core.geometry.ik import solve_rotations
from ..core.geometry.kinematics import forward
from ..core.maps.bone_maps import encode_depth, encode_normals, render_bone_maps
from ..core.maps.composition import compose_bone_maps
from ..core.maps.drawing import draw_skeleton, overlay
from ..core.maps.mesh_views import render_meshes
from ..core.maps.pose_maps import draw_pose_maps
from ..core.maps.window_plots import draw_pieces
from ..core.sampling.progressive import plan_grid
from ..core.types import Animation, CameraRig, Motion, Rig
from . import EXAMPLE_INPUTS, EXAMPLES
from .examples.cue_inputs import FILM_FPS, FILM_SECONDS, figure, filmed_walk
from .examples.filmed import walker
from .examples.inputs import CHARACTER

IMAGES = EXAMPLES.parent / "web" / "docs" / "images"
_SIZE = (384, 224)
FILM = "motion4d_walk.mp4"
_QUALITY = 92
_BACKDROP = 0.92
_SOUND_HZ, _BEAT_SECONDS = 16000, 0.5


def chosen_frames(motion: Motion, *seconds: float) -> Motion:
    """The frames at these times, as a motion of their own."""
    return motion.take([min(round(second * motion.fps), motion.frames - 1) for second in seconds])


def row(pictures: Tensor) -> Tensor:
    """(N, H, W, 3) side by side -> (H, N W, 3)."""
    return torch.cat(list(pictures), 1)


def cameras(motion: Motion, *, views: int = 1, azimuth: float = 25.0) -> CameraRig:
    """Close around the motion, a little from above."""
    return frame_motion(motion, views=views, image_size=_SIZE, azimuth_deg=azimuth, elevation_deg=5.0, vertical_fov_deg=35.0, margin=1.04)


def depth_and_normals(motion: Motion, rig: CameraRig) -> tuple[Tensor, Tensor]:
    """Both maps as colour (V T, H, W, 3)."""
    maps = render_bone_maps(motion, rig)
    depth = encode_depth(maps, mode="sequence")[..., None].expand(*maps.depth.shape, 3)
    return depth.flatten(0, 1), encode_normals(maps).flatten(0, 1)


def skeletons(motion: Motion) -> Tensor:
    """(T, H, W, 3)."""
    return draw_skeleton(motion, cameras(motion))[0]


def in_place(motion: Motion) -> Motion:
    """Each frame over the same spot of the floor, so that pictures side by side have one size."""
    shift = motion.translation * torch.tensor([1.0, 0.0, 1.0])
    return replace(motion, joints=motion.joints - shift[:, None], translation=motion.translation - shift)


def before_and_after(motion: Motion) -> Tensor:
    """A frame of a trembling motion as it is and cleaned, each with the frames around it shining through: (2, H, W, 3)."""
    trembling = with_flaws(motion, tremble_m=0.02)
    middle, rig = round(1.8 * motion.fps), cameras(chosen_frames(motion, 1.8))
    around = [draw_skeleton(one.cut(middle - 2, middle + 3), rig)[0] for one in (trembling, clean_motion(trembling).motion)]
    return torch.stack([frames.amax(0) for frames in around])


def two_people(walk: Motion, wave: Motion) -> Tensor:
    """Two people with their numbers, and depth and normals of both: (3, H, W, 3)."""
    people = gather([in_place(chosen_frames(motion, 1.6)) for motion in (walk, wave)], spacing=0.45, image_size=_SIZE)
    tracks = track(people)
    maps = compose_bone_maps([render_bone_maps(motion, own_camera(motion)) for motion in motions_of(people, tracks)])
    depth = encode_depth(maps, mode="sequence")[0, 0, ..., None].expand(*_SIZE, 3)
    return torch.stack([draw_people(people, tracks, 0, chosen=tracks[0]), depth, encode_normals(maps)[0, 0]])


def before_backdrop(motion: Motion, rig: CameraRig) -> Tensor:
    """Figures before a plain backdrop: (T, H, W, 3)."""
    maps = render_bone_maps(motion, rig)
    return overlay(encode_normals(maps), torch.full((1, *rig.image_size, 3), _BACKDROP), maps.mask)[0]


def walking_film() -> tuple[Tensor, Tensor]:
    """Somebody who walks on the spot, (T, H, W, 3), and a beat to it, (1, 1, N)."""
    walk, rig = filmed_walk()
    since = (torch.arange(round(FILM_SECONDS * _SOUND_HZ)) / _SOUND_HZ) % _BEAT_SECONDS
    return before_backdrop(walk, rig), (0.4 * torch.exp(-40 * since) * torch.sin(2 * torch.pi * 440 * since))[None, None]


def window_weights() -> Tensor:
    """How 12 views and 60 frames are blended in each pass and in both together, below each other: (H, W, 3)."""
    plans = {name: plan_grid(12, 60, balance=share) for name, share in (("pass over time", 1.0), ("pass over views", 0.0), ("both", 0.5))}
    return torch.cat(
        [
            draw_pieces([(window.views, window.frames, weights) for window, weights in plan.pieces()], plan.shape, title=title)
            for title, plan in plans.items()
        ]
    )


def pictures() -> dict[Path, Tensor]:
    """Every picture (H, W, 3) in 0..1 by the file it goes to."""
    walk, wave = demo_motion("walk", seconds=3.0), demo_motion("wave", seconds=4.0)
    steps = in_place(chosen_frames(walk, 1.0, 1.3))
    greeting = in_place(chosen_frames(wave, 1.6, 1.9))
    strides = in_place(chosen_frames(walk, 1.0, 1.0 + 4 / walk.fps, 1.0 + 8 / walk.fps))
    depth, normals = depth_and_normals(steps, cameras(steps))
    waving = greeting.cut(0, 1)
    around = depth_and_normals(waving, cameras(waving, views=4, azimuth=0.0))[1]
    both = torch.stack([depth[0], normals[0], depth[1], normals[1]])
    lines = torch.cat([skeletons(steps), skeletons(greeting)])
    return {
        IMAGES / "bone_maps.jpg": row(both),
        IMAGES / "skeleton.jpg": row(lines),
        IMAGES / "turntable.jpg": row(around),
        IMAGES / "window_weights.jpg": window_weights(),
        EXAMPLES / "motion_to_bone_maps.jpg": row(torch.stack([lines[0], depth[0], normals[0]])),
        EXAMPLES / "tokens_round_trip.jpg": row(skeletons(strides)),
        EXAMPLES / "clean_motion.jpg": row(before_and_after(wave)),
        EXAMPLES / "two_people.jpg": row(two_people(walk, wave)),
        **film_examples(strides),
        **video_examples(walk, wave),
        **view_examples(walk, wave),
        **rig_examples(),
        **cue_examples(),
    }


def film_examples(walking: Motion) -> dict[Path, Tensor]:
    """Thumbnails of the examples that begin with a film: what is filmed, the motion over it, and another figure that moves so."""
    rig = cameras(walking)
    filmed = before_backdrop(walking, rig)
    drawn = draw_skeleton(walking, rig, background=filmed)[0]
    depth, normals = depth_and_normals(walking, rig)
    return {
        EXAMPLES / "video_to_motion.jpg": row(torch.stack([filmed[1], drawn[1], skeletons(walking)[1]])),
        EXAMPLES / "animate_from_video.jpg": row(torch.stack([filmed[1], drawn[1], normals[0], depth[1]])),
    }


def video_examples(walk: Motion, wave: Motion) -> dict[Path, Tensor]:
    """Thumbnails of the examples that make videos: what goes in, a figure and a motion; what comes out depends on weights."""
    waving = in_place(chosen_frames(wave, 0.8, 1.6, 1.9, 2.2))
    walking = in_place(chosen_frames(walk, 0.6, 0.9, 1.2, 1.5))
    shown = {}
    for name, motion in (("wave", waving), ("walk", walking)):
        depth, normals = depth_and_normals(motion, cameras(motion))
        shown[name] = {"depth": depth, "normals": normals, "lines": skeletons(motion)}
    layouts = {
        "mvdit_7b": (("wave", "normals", 0), ("wave", "lines", 1), ("wave", "normals", 1)),
        "mvdit_17b": (("walk", "normals", 0), ("walk", "lines", 1), ("walk", "normals", 1)),
        "mvdit_7b_cfg_sweep": (("wave", "normals", 0), *(("wave", "lines", frame) for frame in (1, 2, 3))),
        "mvdit_long": tuple(("walk", "normals", frame) for frame in range(4)),
        "mvdit_7b_native": (("wave", "depth", 0), ("wave", "lines", 2), ("wave", "depth", 2)),
        "mvdit_17b_native": (("walk", "depth", 0), ("walk", "lines", 2), ("walk", "depth", 2)),
        "mvdit_17b_fast": (("walk", "depth", 1), ("walk", "lines", 3), ("walk", "depth", 3)),
    }
    return {
        EXAMPLES / f"{example}.jpg": row(torch.stack([shown[motion][kind][frame] for motion, kind, frame in panels]))
        for example, panels in layouts.items()
    }


def view_examples(walk: Motion, wave: Motion) -> dict[Path, Tensor]:
    """Thumbnails of the examples of many views, and of the long video: normals, and depth where ComfyUI's own sampler is used."""
    waving = in_place(chosen_frames(wave, 0.8, 1.6, 1.9, 2.2))
    walking = in_place(chosen_frames(walk, 0.6, 0.9, 1.2, 1.5))
    still = waving.cut(1, 2)
    steps, lines = depth_and_normals(walking, cameras(walking)), skeletons(walking)
    around = [maps.unflatten(0, (4, 4)) for maps in depth_and_normals(waving, cameras(waving, views=4, azimuth=0.0))]
    turned = depth_and_normals(still, cameras(still, views=6, azimuth=0.0))
    shown = {}
    for suffix, kind in (("", 1), ("_native", 0)):
        shown[EXAMPLES / f"multi_view_turntable{suffix}.jpg"] = row(torch.stack([around[kind][view, view] for view in range(4)]))
        shown[EXAMPLES / f"novel_views{suffix}.jpg"] = row(turned[kind])
        shown[EXAMPLES / f"long_video{suffix}.jpg"] = row(torch.stack([steps[kind][0], lines[1], steps[kind][2], lines[3]]))
    return shown


def rig_examples() -> dict[Path, Tensor]:
    """Thumbnails of the examples of rigged characters: pose maps of two views between the character as it stands and as it waves; a walk as cameras see it, and the character."""
    rig = load_rig(EXAMPLE_INPUTS / CHARACTER)
    animation = rig_animation(rig, 0)
    views = rig_cameras(rig, animation, azimuths=(20.0, 110.0))
    waving = forward(animation).cut(20, 21)
    maps = draw_pose_maps(waving, views, radius=5, bone_width=4).images[:, 0]
    shown = torch.stack([posed(rig, animation, views, 0), *maps, posed(rig, animation, views, 20)])
    walking = chosen_frames(walker(), 1.0)
    walked = solve_rotations(motion_on(walking, rig.skeleton, fit_size=False), rig)
    around = rig_cameras(rig, walked, azimuths=(25.0, 115.0, 205.0))
    seen = draw_skeleton(openpose_joints(walking), around)[:, 0]
    return {
        EXAMPLES / "animate_my_rig.jpg": row(shown),
        EXAMPLES / "cameras_to_animation.jpg": row(torch.stack([*seen, posed(rig, walked, around, 0)])),
    }


def cue_examples() -> dict[Path, Tensor]:
    """Thumbnails of the examples of driving cues: the film, and what is made of it."""
    walk, rig = filmed_walk()
    walk = to_camera(chosen_frames(walk, 0.5, 0.7, 0.9), rig)
    film, size, person = before_backdrop(walk, own_camera(walk)), rig.image_size, figure()
    masks = masks_of_motion(walk, walk.frames, size).chosen()
    faces, target = faces_of_motion(walk, None, size).boxes, person[..., 3]
    cues = extract_cues(film, masks, faces, target)
    reference = person[..., :3] * target[..., None] + _BACKDROP * (1 - target[..., None])
    located = draw_location(reference, cues.body_location, cues.face_location)
    free = cut_out(film, masks)[0]
    lines = draw_skeleton(walk, own_camera(walk), style="openpose")[0]
    moved = align_foreground(target, masks).warp(masks, size)
    return {
        EXAMPLES / "driving_cues.jpg": row(torch.stack([film[1], cues.pose[1], cues.face[1], located[1]])),
        EXAMPLES / "cues_to_wan_animate.jpg": row(torch.stack([reference, lines[1], cues.face[1], free[1]])),
        EXAMPLES / "cues_to_scail2.jpg": row(
            torch.stack([film[1], colour_people(moved[None])[1], reference, colour_people(target[None, None], ground="white")[0]])
        ),
    }


def rig_cameras(rig: Rig, animation: Animation, *, azimuths: tuple[float, ...]) -> CameraRig:
    """Close around a character in all frames of an animation."""
    cube = fit_cube(rig, load_meshes(rig), animation, margin=1.0)
    return place_rig_cameras(cube, image_size=_SIZE, azimuths_deg=azimuths, elevation_deg=5.0, lens=4.2)


def posed(rig: Rig, animation: Animation, views: CameraRig, frame: int) -> Tensor:
    """The character in the first view: (H, W, 3)."""
    return render_meshes(rig, load_meshes(rig), views.take_views([0]), animation=animation, frames=[frame], samples=2).rgb[0, 0]


def main() -> None:
    """Draw and write them."""
    import cv2

    for path, picture in pictures().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = (picture * 255).round().clamp(0, 255).byte().numpy()[..., ::-1]
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        print(path)
    film, beat = walking_film()
    EXAMPLE_INPUTS.mkdir(parents=True, exist_ok=True)
    write_video(film, EXAMPLE_INPUTS / FILM, FILM_FPS, crf=23, audio=(beat, _SOUND_HZ))
    print(EXAMPLE_INPUTS / FILM)


if __name__ == "__main__":
    main()
