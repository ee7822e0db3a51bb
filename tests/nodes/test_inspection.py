"""Videos side by side with the words that were asked for, and the attention of tiny random models drawn over their video."""

import pytest
import torch
from motion4d.core.conditions import MotionCondition, VideoCondition
from motion4d.core.maps.attention_maps import attention_shares, describe_attention, draw_attention
from motion4d.core.maps.comparison_strip import strip
from motion4d.core.sampling.consistency import Consistency
from motion4d.core.sampling.guidance import Guidance
from motion4d.core.sampling.progressive import plan_grid
from motion4d.core.skeletons import SMPL24
from motion4d.core.specs import load_spec
from motion4d.core.tiny_models import tiny_checkpoint, tiny_metadata
from motion4d.headless.side_models import ImageTokens
from motion4d.nodes.samplers.inspection import CompareVideos, InspectConsistency, ShowMotionAttention
from safetensors.torch import save_file

JOINTS = "left_wrist, right_ankle"


def compare(**inputs):
    return CompareVideos.execute(**({"height": 32, "show_captions": True, "captions": ""} | inputs)).result[0]


def clip(frames, seed=0, channels=3):
    return torch.rand(frames, 24, 16, channels, generator=torch.Generator().manual_seed(seed))


def test_inputs_stand_in_the_order_of_the_paper_under_their_names(host):
    reference, generated = clip(1), clip(4, seed=1)
    whole = compare(generated=generated, reference=reference, pose=None)
    assert torch.equal(whole, strip([("reference", reference), ("generated", generated)], height=32))


def test_captions_replace_names_from_the_left(host):
    videos = {"generated": clip(2), "generated_2": clip(2, seed=1), "generated_3": clip(2, seed=2)}
    panels = [*zip(("cfg 1", "cfg 2", "generated 3"), videos.values(), strict=True)]
    assert torch.equal(compare(captions="cfg 1, cfg 2", **videos), strip(panels, height=32))
    assert torch.equal(compare(show_captions=False, **videos), strip(panels, height=32, labels=False))


def test_transparency_is_left_out(host):
    pictures = clip(2, channels=4)
    assert torch.equal(compare(driving=pictures), compare(driving=pictures[..., :3]))


def test_more_captions_than_pictures_or_no_pictures_are_refused(host):
    with pytest.raises(ValueError, match="2 words for 1 connected"):
        compare(captions="a, b", pose=clip(1))
    with pytest.raises(ValueError, match="connect at least one"):
        compare()


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """checkpoints(spec) -> the path of a tiny random checkpoint, written once."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def write(name):
        path = folder / f"{name}.safetensors"
        if not path.exists():
            spec = load_spec(name)
            save_file({key: value.contiguous() for key, value in tiny_checkpoint(spec).items()}, path, tiny_metadata(spec))
        return path

    return write


@pytest.fixture(params=["mvdit_7b", "mvdit_17b"])
def seen(request, host, checkpoints):
    """Inputs of the node: a model, a conditioning of three latent frames, and a video of noise."""
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randn(3 * 24, 64, generator=generator)
    motion = MotionCondition(tokens=tokens, positions=load_spec("4dmot").statistics["mean_mm"], frames=3)
    known = 0 if request.param == "mvdit_7b" else 1
    condition = VideoCondition(motion=motion, reference=torch.randn(16, 3, 4, 8, generator=generator), known=known)
    text, image = None, None
    if known:
        text = [[torch.randn(1, 6, 4096, generator=generator), {}]]
        image = ImageTokens(torch.randn(1, 257, 1280, generator=generator))
    return {
        "model": host.load_video_model(checkpoints(request.param), precision="as stored"),
        "positive": host.condition(text, condition, image=image),
        "latent": {"samples": torch.randn(1, 16, 3, 4, 8, generator=generator)},
        "blocks": "middle", "joints": JOINTS, "progress": 0.5, "seed": 0,
    }  # fmt: skip


def look(inputs, **changed):
    with torch.inference_mode():
        return ShowMotionAttention.execute(**inputs | changed).result


def test_heat_of_the_block_in_the_middle_is_drawn_and_told(host, seen):
    blocks = host.video_model(seen["model"]).motion_blocks
    middle = blocks[len(blocks) // 2]
    images, report = look(seen)
    guider = host.guider(seen["model"], seen["positive"], None, Guidance())
    maps = host.motion_attention(guider, seen["latent"]["samples"], progress=0.5, blocks=[middle], seed=0)
    assert maps.shape == (1, 24, 3, 2, 4)
    shares, joints = attention_shares(maps), [SMPL24.index(name) for name in JOINTS.split(", ")]
    assert torch.equal(images, draw_attention(shares, blocks=[middle], joints=joints))
    assert report == describe_attention(shares, blocks=[middle], joints=joints)
    assert f"block {middle}, left_wrist" in report


def test_the_look_depends_on_noise_progress_and_block(host, seen):
    reports = {look(seen, **changed)[1] for changed in ({}, {"seed": 1}, {"progress": 0.9}, {"blocks": "0"})}
    assert len(reports) == 4
    assert look(seen)[1] == look(seen)[1]


def test_heat_lies_over_the_decoded_video(host, seen):
    frames = torch.rand(9, 32, 64, 3, generator=torch.Generator().manual_seed(5))
    assert len(look(seen, frames=frames)[0]) == 9 and len(look(seen)[0]) == 3


def test_blocks_joints_and_frames_that_do_not_fit_are_refused_before_the_model_runs(host, seen, monkeypatch):
    monkeypatch.setattr(type(host), "motion_attention", lambda *given, **options: pytest.fail("the model ran"))
    with pytest.raises(ValueError, match="expected middle, or some of 0"):
        look(seen, blocks="77")
    with pytest.raises(ValueError, match="no joint 'tail'"):
        look(seen, joints="tail")
    with pytest.raises(ValueError, match="13 frames for attention over 3 latent frames"):
        look(seen, frames=torch.zeros(13, 32, 64, 3))


def test_a_model_without_motion_attention_is_sent_to_the_node_that_gives_it(host, seen, checkpoints):
    plain = host.load_video_model(checkpoints("wan_i2v_14b"), precision="as stored")
    with pytest.raises(ValueError, match="Apply Motion Attention"):
        look(seen, model=plain)


# --- seams between windows ---

WINDOWS = {"frame_window": 6, "frame_overlap": 2, "view_window": 4, "view_overlap": 1, "closed": True, "tile_views": 2, "tile_frames": 5}


def inspect(**inputs):
    return InspectConsistency.execute(**(WINDOWS | {"views": 1, "frames_per_latent": 4} | inputs)).result


def test_seams_of_latents_and_of_their_frames(host):
    latents = torch.randn(8, 4, 11, 6, 6, generator=torch.Generator().manual_seed(0))
    seams, report, heat = inspect(latent={"samples": latents})
    expected = Consistency.of(latents.transpose(1, 2), plan_grid(8, 11, **WINDOWS))
    assert seams == expected.seams and report == f"latent: {expected.text()}" and heat.shape[0] == 1 and heat.shape[3] == 3
    overlapping = Consistency.of(latents.transpose(1, 2), plan_grid(8, 11, **WINDOWS, tile_overlap=0.5))
    assert inspect(latent={"samples": latents}, tile_overlap=0.5)[1] == f"latent: {overlapping.text()}" != report
    cut = latents.clone()
    cut[:, :, 5:] += 4
    assert inspect(latent={"samples": cut})[0] > 1.5 * seams
    frames = torch.rand(8 * 41, 6, 6, 4)
    _, report, heat = inspect(latent={"samples": latents}, images=frames, views=8)
    assert len(heat) == 2 and "\nimages: mean absolute difference over 8 views and 11 frames" in report
    assert "over 8 views and 41 frames" in inspect(images=frames, views=8, frames_per_latent=1)[1]


def test_what_cannot_be_inspected_is_refused(host):
    with pytest.raises(ValueError, match="connect latent, images or both"):
        inspect()
    with pytest.raises(ValueError, match="set views to how many"):
        inspect(images=torch.zeros(7, 4, 4, 3), views=2)
    with pytest.raises(ValueError, match="frames: windows of 6 overlap by 6"):
        inspect(latent={"samples": torch.zeros(2, 4, 3, 2, 2)}, frame_overlap=6)
    latent = {"samples": torch.zeros(2, 4, 3, 2, 2)}
    with pytest.raises(ValueError, match="images: they are of 2 views and 2 latent frames, the latent of 2 and 3: set views"):
        inspect(latent=latent, images=torch.zeros(10, 4, 4, 3), views=2)
    with pytest.raises(ValueError, match="of 1 views and 5 latent frames, the latent of 2 and 3"):
        inspect(latent=latent, images=torch.zeros(17, 4, 4, 3))
