"""Every node runs on real values, and says what is wrong with wrong ones."""

import math

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats import load_motion, load_rig, save_motion
from motion4d.core.geometry.cameras import motion_capture_intrinsics
from motion4d.core.specs import load_spec
from motion4d.core.tiny_models import tiny_checkpoint
from motion4d.core.types import Frame, Motion
from motion4d.nodes.loaders.motion import LoadMotion
from motion4d.nodes.loaders.tokenizer import LoadMotionTokenizer
from motion4d.nodes.motion.cameras import PlaceOrbitCameras, TakeCameraFromView
from motion4d.nodes.motion.demo import MakeDemoMotion
from motion4d.nodes.motion.files import PreviewMotion, SaveMotion
from motion4d.nodes.motion.inspection import InspectMotion
from motion4d.nodes.motion.maps import DrawSkeleton, EncodeBoneMaps, RenderBoneMaps, SaveDepthMaps
from motion4d.nodes.motion.placement import FitMotionToTokenizer
from motion4d.nodes.motion.tokens import DecodeMotionTokens, EditMotionTokens, EncodeMotionTokens, InspectCodebook

ORBIT = {
    "views": 2, "azimuth": 0.0, "arc": 360.0, "elevation": 5.0, "fov": 40.0, "margin": 1.15, "width": 96, "height": 128, "keep_own_camera": True,
}  # fmt: skip
FIT = {"fit_stature": True, "fill_gaps": True}
MAPS = {"depth_range": "root", "span": 1.25, "virtual_leaves": True, "opacity": 0.8}
LOAD = {"clip": 0, "person": 0, "fps": 0.0, "video": "none", "max_side": 256}


def run(node, **inputs) -> tuple:
    with torch.inference_mode():
        return node.execute(**inputs).result


@pytest.fixture(scope="module")
def walk() -> Motion:
    return demo_motion("walk", seconds=0.8, fps=20.0)


@pytest.fixture
def filmed(walk) -> Motion:
    """The walk three metres in front of a camera of 120 x 160 pixels, without rotations."""
    joints = walk.joints * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([0.0, 0.9, 3.0])
    size = (160, 120)
    return Motion(
        joints=joints, confidence=walk.confidence, skeleton=walk.skeleton, fps=20.0, frame=Frame.CAMERA,
        intrinsics=motion_capture_intrinsics(size), image_size=size,
    )  # fmt: skip


@pytest.fixture
def tokenizer(host):
    from safetensors.torch import save_file

    spec = load_spec("4dmot")
    path = host.models[0] / spec.folder / "tiny.safetensors"
    path.parent.mkdir(parents=True)
    save_file(tiny_checkpoint(spec), path)
    return run(LoadMotionTokenizer, file="tiny.safetensors")[0]


def test_demo_motion_has_the_length_asked_for():
    (motion,) = run(MakeDemoMotion, action="wave", seconds=1.5, fps=24.0, stature=1.2)
    assert (motion.frames, motion.fps) == (36, 24.0)
    assert motion.joints[..., 1].amax() < 1.5


def test_maps_of_two_views_follow_each_other_and_frame_the_body(host, walk):
    (rig,) = run(PlaceOrbitCameras, motion=walk, **ORBIT)
    maps, depth, normals, mask, preview, _ = run(RenderBoneMaps, motion=walk, cameras=rig, **MAPS)
    assert depth.shape == normals.shape == (2 * walk.frames, 128, 96, 3)
    assert preview.shape == (2 * walk.frames, 128, 192, 3)
    assert torch.equal(depth[walk.frames :, ..., 0], depth.unflatten(0, (2, -1))[1, ..., 0])
    assert torch.equal(mask.bool(), maps.mask.flatten(0, 1))
    border = torch.cat([mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1]], -1)
    assert border.sum() == 0 and (mask.mean((1, 2)) > 0.02).all()
    assert torch.equal(preview[..., :96, :], depth) and torch.equal(preview[..., 96:, :], normals)


def test_a_filmed_motion_is_drawn_by_its_own_camera_or_refused(host, filmed):
    (own,) = run(PlaceOrbitCameras, motion=filmed, **ORBIT)
    assert own.views == 1 and own.image_size == (128, 96)
    with pytest.raises(ValueError, match="keep_own_camera"):
        run(PlaceOrbitCameras, motion=filmed, **(ORBIT | {"keep_own_camera": False}))
    assert run(DrawSkeleton, motion=filmed, style="motion4d")[0].shape == (filmed.frames, 160, 120, 3)
    (foreign,) = run(
        TakeCameraFromView,
        camera_info={"position": {"x": 0, "y": 1, "z": 4}, "target": {"x": 0, "y": 1, "z": 0}},
        width=96,
        height=128,
        fov=40,
    )
    for node, options in ((RenderBoneMaps, MAPS), (DrawSkeleton, {"style": "motion4d"})):
        with pytest.raises(ValueError, match="other cameras"):
            run(node, motion=filmed, cameras=foreign, **options)


def test_soft_edges_and_radii_change_the_pictures_and_not_the_maps(host, walk):
    (rig,) = run(PlaceOrbitCameras, motion=walk, **ORBIT)
    plain, soft = (run(RenderBoneMaps, motion=walk, cameras=rig, soft_edges=edges, **MAPS) for edges in (False, True))
    assert torch.equal(plain[0].depth, soft[0].depth) and set(plain[3].unique().tolist()) == {0.0, 1.0}
    assert len(soft[3].unique()) == 5 and not torch.equal(plain[1], soft[1])  # quarters of a pixel
    thick = run(RenderBoneMaps, motion=walk, cameras=rig, radii="left_wrist 0.1", **MAPS)
    assert thick[3].sum() > plain[3].sum() and "24 ellipsoids" in plain[5]
    with pytest.raises(ValueError, match="'tail', in which no bone ends"):
        run(RenderBoneMaps, motion=walk, cameras=rig, radii="tail 0.1", **MAPS)


def test_maps_are_encoded_for_a_model_and_saved_with_their_metres(host, walk):
    (rig,) = run(PlaceOrbitCameras, motion=walk, **ORBIT)
    maps = run(RenderBoneMaps, motion=walk, cameras=rig, **MAPS)[0]
    images, mask, people, report = run(EncodeBoneMaps, bone_maps=maps, preset="controlnet_normal")
    assert images.shape == (2 * walk.frames, 128, 96, 3) and len(people) == 1 and torch.equal(people[0], mask)
    assert "ControlNet 1.1 Normal" in report and "left is red" in report
    paths = [run(SaveDepthMaps, bone_maps=maps, filename_prefix="maps/depth", unit="millimetres", cameras=rig)[0] for _ in range(2)]
    assert paths == ["maps/depth_00001_.json", "maps/depth_00002_.json"]
    assert len(list((host.output / "maps" / "depth_00002_").iterdir())) == 2 * walk.frames
    assert [path.name for path in host.written()] == ["depth_00001_.json", "depth_00002_.json"]


def test_a_background_is_resized_and_shows_where_the_body_is_not(host, filmed):
    background = torch.full((filmed.frames + 3, 40, 30, 3), 0.25)
    _, depth, _, mask, preview, _ = run(RenderBoneMaps, motion=filmed, background=background, **MAPS)
    assert torch.allclose(preview[:, :, :120][mask == 0], torch.tensor(0.25))
    assert torch.allclose(preview[:, :, :120][mask == 1], 0.8 * depth[mask == 1] + 0.2 * 0.25, atol=1e-5)
    with pytest.raises(ValueError, match="one frame, or one for each"):
        run(RenderBoneMaps, motion=filmed, background=background[:3], **MAPS)


def test_a_world_motion_without_cameras_says_what_to_connect(host, walk):
    with pytest.raises(ValueError, match="place cameras around it"):
        run(DrawSkeleton, motion=walk, style="motion4d")


@pytest.mark.parametrize("format", ["npz", "bvh", "glb"])
def test_saved_motions_can_be_read_back(host, walk, format):
    (path,) = run(SaveMotion, motion=walk, filename_prefix="a/walk", format=format)
    assert path == f"a/walk_00001_.{format}"
    file = host.output / path
    if format == "glb":
        assert load_rig(file).skeleton.names == walk.skeleton.names
    else:
        assert torch.allclose(load_motion(file).joints, walk.joints, atol=1e-6 if format == "npz" else 1e-3)
    assert run(SaveMotion, motion=walk, filename_prefix="a/walk", format=format)[0] == f"a/walk_00002_.{format}"


def test_saving_outside_the_output_folder_is_refused(host, walk, tmp_path):
    with pytest.raises(ValueError):
        run(SaveMotion, motion=walk, filename_prefix="../escape", format="npz")
    assert not list(tmp_path.glob("escape*"))


def test_preview_is_a_glb_in_memory(host, walk):
    (file,) = run(PreviewMotion, motion=walk)
    assert file.format == "glb" and file.get_data().read(4) == b"glTF"
    assert not list(host.output.rglob("*"))


def test_load_motion_hands_on_the_default_until_a_file_is_chosen(host, walk):
    motion, fps, audio, frames, _ = run(LoadMotion, file="none", default=walk, **LOAD)
    assert motion is walk and fps == 20.0 and audio is None and frames is None
    with pytest.raises(ValueError, match="no motion file is chosen"):
        run(LoadMotion, file="none", **LOAD)
    with pytest.raises(ValueError, match="choose that in `file` too"):
        run(LoadMotion, file="none", default=walk, **(LOAD | {"video": "film.mp4"}))
    save_motion(walk, host.inputs[0] / "walk.npz")
    motion, fps, *_, contents = run(LoadMotion, file="walk.npz", default=None, **LOAD)
    assert torch.equal(motion.joints, walk.joints) and fps == 20.0 and "16 frames" in contents


def test_load_motion_checks_and_fingerprints_its_files(host, walk):
    assert "not in the input folders" in LoadMotion.validate_inputs(file="absent.npz", video="none")
    assert "leads out" in LoadMotion.validate_inputs(file="../outside.npz", video="none")
    save_motion(walk, host.inputs[0] / "walk.npz")
    assert LoadMotion.validate_inputs(file="walk.npz", video="none") is True
    before = LoadMotion.fingerprint_inputs(file="walk.npz", video="none", clip=0)
    save_motion(walk.cut(0, 5), host.inputs[0] / "walk.npz")
    assert LoadMotion.fingerprint_inputs(file="walk.npz", video="none", clip=0) != before


def test_a_motion_comes_with_its_video_frame_by_frame(host, filmed):
    import numpy as np
    from motion4d.core.formats import write_video

    np.savez(host.inputs[0] / "nlf.npz", clip0=filmed.joints.numpy() * 1000)
    shades = torch.linspace(0, 1, 10)[:, None, None, None].expand(10, 160, 120, 3)
    write_video(shades, host.inputs[0] / "film.mp4", 24.0)
    motion, fps, _, frames, contents = run(LoadMotion, file="nlf.npz", **(LOAD | {"video": "film.mp4", "max_side": 80}))
    assert motion.frames == len(frames) == 10 and frames.shape[1:] == (80, 60, 3)
    assert fps == pytest.approx(24.0) and motion.image_size == (160, 120)
    assert torch.allclose(frames.mean((1, 2, 3)), torch.linspace(0, 1, 10), atol=0.02)
    assert torch.allclose(motion.joints, filmed.joints[:10], atol=1e-6)
    assert "both cut to 10" in contents


def test_a_video_of_another_shape_is_not_the_one_the_motion_was_taken_from(host, filmed):
    from motion4d.core.formats import write_video

    save_motion(filmed, host.inputs[0] / "filmed.npz")
    write_video(torch.rand(3, 160, 160, 3), host.inputs[0] / "square.mp4", 24.0)
    with pytest.raises(ValueError, match=r"120x160, square\.mp4 has 160x160"):
        run(LoadMotion, file="filmed.npz", **(LOAD | {"video": "square.mp4"}))


def test_a_world_motion_points_to_the_clip_that_lies_on_the_video(host, walk):
    import numpy as np
    from motion4d.core.formats import write_video

    zeros = np.zeros((5, 3), "f4")
    world = {"body_pose": np.zeros((5, 63), "f4"), "betas": np.zeros((5, 10), "f4"), "global_orient": zeros, "transl": zeros}
    seen = {
        "global_orient_incam": zeros,
        "transl_incam": zeros + np.float32(3),
        "K_fullimg": np.eye(3)[None].repeat(5, 0) * 500,
        "img_width": 64,
        "img_height": 48,
    }
    np.savez(host.inputs[0] / "gvhmr.npz", **world, **seen)
    write_video(torch.rand(5, 48, 64, 3), host.inputs[0] / "film.mp4", 24.0)
    assert "clip 1 is the one that lies on the video" in run(LoadMotion, file="gvhmr.npz", **(LOAD | {"video": "film.mp4"}))[-1]
    motion, *_, contents = run(LoadMotion, file="gvhmr.npz", **(LOAD | {"video": "film.mp4", "clip": 1}))
    assert motion.frame is Frame.CAMERA and "lies on the video" not in contents


def test_motion_to_tokens_and_back_ends_where_it_began(host, walk, tokenizer):
    placed, placement, report = run(FitMotionToTokenizer, motion=walk, tokenizer=tokenizer, **FIT)
    assert placed.frame is Frame.CAMERA and "sigma" in report
    tokens, report = run(EncodeMotionTokens, motion=placed, tokenizer=tokenizer, length="pad")
    assert tokens.frames == walk.frames == 16 and tokens.latent_frames == 4 and "96 tokens" in report
    motion, error, overlay, _ = run(DecodeMotionTokens, tokens=tokens, tokenizer=tokenizer, placement=placement, original=walk)
    assert motion.frame is Frame.WORLD and motion.frames == walk.frames
    assert error == pytest.approx(float((motion.joints - walk.joints).norm(dim=-1).mean()) * 1000, rel=1e-4)
    assert overlay.shape[0] == walk.frames
    alone, error, *_ = run(DecodeMotionTokens, tokens=tokens, tokenizer=tokenizer)
    assert math.isnan(error) and alone.frame is Frame.CAMERA
    with pytest.raises(ValueError, match="placement"):
        run(DecodeMotionTokens, tokens=tokens, tokenizer=tokenizer, original=walk)


def test_tokens_of_any_length_come_back_at_it_or_are_refused(host, walk, tokenizer):
    placed, *_ = run(FitMotionToTokenizer, motion=walk.cut(0, 13), tokenizer=tokenizer, **FIT)
    tokens, _ = run(EncodeMotionTokens, motion=placed, tokenizer=tokenizer, length="pad")
    assert run(DecodeMotionTokens, tokens=tokens, tokenizer=tokenizer)[0].frames == 13
    tokens, _ = run(EncodeMotionTokens, motion=placed, tokenizer=tokenizer, length="trim")
    assert run(DecodeMotionTokens, tokens=tokens, tokenizer=tokenizer)[0].frames == 9
    with pytest.raises(ValueError, match="does not come back"):
        run(EncodeMotionTokens, motion=placed, tokenizer=tokenizer, length="refuse")
    with pytest.raises(ValueError, match="Fit Motion to Tokenizer"):
        run(EncodeMotionTokens, motion=walk, tokenizer=tokenizer, length="pad")


def test_gaps_are_bridged_and_reported_or_refused(host, walk, tokenizer):
    joints, confidence = walk.joints.clone(), walk.confidence.clone()
    joints[5], confidence[5] = torch.nan, 0.0
    holed = Motion(joints=joints, confidence=confidence, skeleton=walk.skeleton, fps=walk.fps, frame=walk.frame)
    placed, _, report = run(FitMotionToTokenizer, motion=holed, tokenizer=tokenizer, **FIT)
    assert "24 joint" in report and "5" in report
    whole, *_ = run(FitMotionToTokenizer, motion=walk, tokenizer=tokenizer, **FIT)
    offset = placed.joints[4, 0] - whole.joints[4, 0]
    assert (placed.joints[5] - offset - whole.joints[5]).norm(dim=-1).mean() < 0.01
    run(EncodeMotionTokens, motion=placed, tokenizer=tokenizer, length="pad")
    placed, *_ = run(FitMotionToTokenizer, motion=holed, tokenizer=tokenizer, **(FIT | {"fill_gaps": False}))
    with pytest.raises(ValueError, match="fill_gaps"):
        run(EncodeMotionTokens, motion=placed, tokenizer=tokenizer, length="pad")


def test_token_edits(host, walk, tokenizer):
    placed, *_ = run(FitMotionToTokenizer, motion=walk, tokenizer=tokenizer, **FIT)
    a, _ = run(EncodeMotionTokens, motion=placed, tokenizer=tokenizer, length="pad")
    b, _ = run(EncodeMotionTokens, motion=placed.cut(0, 8), tokenizer=tokenizer, length="pad")
    edit = {"start": 0, "frames": 0, "weight": 1.0, "joints": "left_wrist, left_hand"}
    assert torch.equal(run(EditMotionTokens, tokens=a, operation="trim", **(edit | {"start": 1, "frames": 2}))[0].indices, a.indices[24:72])
    joined = run(EditMotionTokens, tokens=a, operation="concatenate", other=b, **edit)[0]
    assert torch.equal(joined.indices, torch.cat([a.indices, b.indices]))
    half = run(EditMotionTokens, tokens=a, operation="trim", **(edit | {"frames": 2}))[0]
    assert torch.equal(run(EditMotionTokens, tokens=half, operation="blend", other=b, **edit)[0].indices, b.indices)
    swapped = run(EditMotionTokens, tokens=half, operation="swap_joints", other=b, **edit)[0]
    changed = [walk.skeleton.index(name) for name in ("left_wrist", "left_hand")]
    assert torch.equal(swapped.tokens.unflatten(0, (2, 24))[:, changed], b.tokens.unflatten(0, (2, 24))[:, changed])
    with pytest.raises(ValueError, match="other"):
        run(EditMotionTokens, tokens=a, operation="concatenate", **edit)


def test_a_missing_tokenizer_says_where_to_get_it(host):
    with pytest.raises(FileNotFoundError, match="yanboding/MTVCrafter"):
        run(LoadMotionTokenizer, file="4DMoT/mp_rank_00_model_states.pt")


def test_reports_say_what_is_inside(host, walk, filmed, tokenizer):
    report, plot = run(InspectMotion, motion=walk)
    assert "16 frames at 20 fps" in report and "world space" in report and plot.shape[0] == 1
    assert "sigma" in run(InspectMotion, motion=filmed, tokenizer=tokenizer)[0]
    report, plot = run(InspectCodebook, tokenizer=tokenizer)
    assert "codes" in report and plot.ndim == 4
