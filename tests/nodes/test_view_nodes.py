"""Nodes of several views, on tiny models in the headless host: from cameras to a grid of videos."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.spaces import to_camera
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.sampling.noise import starting_noise
from motion4d.headless.host import HeadlessHost
from motion4d.headless.tiny_models import write_tiny_models
from motion4d.nodes import host as door
from motion4d.nodes.loaders.side_models import LoadVideoVAE
from motion4d.nodes.loaders.tokenizer import LoadMotionTokenizer
from motion4d.nodes.loaders.video_models import LoadMVDiT
from motion4d.nodes.motion.placement import FitMotionToTokenizer
from motion4d.nodes.motion.tokens import EncodeMotionTokens
from motion4d.nodes.samplers.conditioning import ConditionVideoOnMotion
from motion4d.nodes.samplers.sampling import SampleMVDiT
from motion4d.nodes.samplers.views import LAYOUTS, EmptyMultiViewLatent, GatherViews, SeeMotionFromCameras, SplitViews, ViewGrid
from motion4d.nodes.samplers.windows import ApplyWindows, MultiViewNoise

VIEWS, FRAMES = 4, 13
WINDOWS = {
    "frame_window": 3, "frame_overlap": 1, "view_window": 3, "view_overlap": 1, "closed": "auto", "tile_views": 2, "tile_frames": 2,
    "balance": "constant", "balance_start": 0.5, "balance_end": 0.5, "views_as": "frames", "anchor_first": False,
}  # fmt: skip
SAMPLE = {"seed": 1, "recipe": "as released", "steps": 2, "cfg": 1.0, "guidance_start": 0.0, "guidance_end": 1.0}


def run(node, **inputs) -> tuple:
    with torch.inference_mode():
        return node.execute(**inputs).result


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    write_tiny_models(root / "models")
    ours = HeadlessHost(inputs=[root / "input"], output=root / "output", models=[root / "models"], quiet=True)
    before, door._announced = door._announced, ours
    yield ours
    door._announced = before


@pytest.fixture(scope="module")
def cameras():
    return orbit_rig([0.0, 90.0, 180.0, 270.0], radius=4.0, image_size=(64, 64), vertical_fov_deg=40.0, target=(0.0, 1.0, 0.0))


@pytest.fixture(scope="module")
def motion():
    return demo_motion("wave", seconds=FRAMES / 20, fps=20.0)


@pytest.fixture(scope="module")
def conditioned(motion, cameras):
    """The 7B model, and what was made for each view."""
    model = run(LoadMVDiT, file="MV-DiT/CogVideoX/diffusion_pytorch_model-00001-of-00002.safetensors", precision="as stored")[0]
    vae = run(LoadVideoVAE, file="CogVideoX-5b/vae/diffusion_pytorch_model.safetensors")[0]
    tokenizer = run(LoadMotionTokenizer, file="4DMoT/mp_rank_00_model_states.pt")[0]
    size = {"width": 32, "height": 32, "crop": "crop", "frames": 0, "fit": "refuse", "posterior": "mean", "seed": 0}
    made = []
    for number, one in enumerate(run(SeeMotionFromCameras, motion=motion, cameras=cameras)[0]):
        placed = run(FitMotionToTokenizer, motion=one, tokenizer=tokenizer, fit_stature=True, fill_gaps=True)[0]
        tokens = run(EncodeMotionTokens, motion=placed, tokenizer=tokenizer, length="pad")[0]
        picture = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(number))
        made.append(run(ConditionVideoOnMotion, model=model, tokens=tokens, reference=picture, vae=vae, **size)[:3])
    return model, [list(values) for values in zip(*made, strict=True)]


def test_from_cameras_to_views(conditioned):
    model, (positive, negative, latent) = conditioned
    together = run(GatherViews, positive=positive, latent=latent, negative=negative)
    assert together[2]["samples"].shape == (VIEWS, 16, 4, 4, 4) and together[3] == VIEWS
    windowed = run(ApplyWindows, model=model, **WINDOWS)[0]
    samples = run(SampleMVDiT, model=windowed, positive=together[0], negative=together[1], latent=together[2], **SAMPLE)[0]["samples"]
    assert samples.shape == (VIEWS, 16, 4, 4, 4) and samples.isfinite().all()
    plain = run(SampleMVDiT, model=model, positive=together[0], negative=together[1], latent=together[2], **SAMPLE)[0]["samples"]
    whole = WINDOWS | {"frame_window": 9, "view_window": 9, "tile_views": 9, "tile_frames": 9, "views_as": "batch"}
    same = run(ApplyWindows, model=windowed, **whole)[0]
    same = run(SampleMVDiT, model=same, positive=together[0], negative=together[1], latent=together[2], **SAMPLE)[0]["samples"]
    assert torch.equal(same, plain) and not torch.allclose(samples, plain, atol=1e-3)


def test_each_camera_sees_its_own_motion(motion, cameras):
    seen, views = run(SeeMotionFromCameras, motion=motion, cameras=cameras)
    assert views == len(seen) == VIEWS
    for view, one in enumerate(seen):
        assert torch.equal(one.joints, to_camera(motion, cameras, view=view).joints)
    with pytest.raises(ValueError, match="expected world space: use Convert Space"):
        run(SeeMotionFromCameras, motion=seen[0], cameras=cameras)
    away = orbit_rig([180.0], radius=4.0, image_size=(64, 64), target=(0.0, 1.0, 20.0))
    with pytest.raises(ValueError, match="view 0 looks away"):
        run(SeeMotionFromCameras, motion=motion, cameras=away)


def test_one_for_all_and_mismatches_when_gathering(conditioned):
    _, (positive, negative, latent) = conditioned
    shared = run(GatherViews, positive=positive, latent=latent[:1], negative=negative[:1])
    assert shared[2]["samples"].shape[0] == VIEWS
    assert run(GatherViews, positive=positive, latent=latent)[3] == VIEWS
    with pytest.raises(ValueError, match="latent: it has 2 entries, positive 4"):
        run(GatherViews, positive=positive, latent=latent[:2])
    short = {"samples": torch.zeros(1, 16, 3, 4, 4)}
    with pytest.raises(ValueError, match="latent: the views have shapes"):
        run(GatherViews, positive=positive[:2], latent=[latent[0], short])
    with pytest.raises(ValueError, match="that of view 0 has shape"):
        run(GatherViews, positive=positive[:1], latent=[{"samples": torch.zeros(2, 16, 3, 4, 4)}])
    with pytest.raises(ValueError, match="1 of 2 views have a noise mask"):
        run(GatherViews, positive=positive[:2], latent=[latent[0], latent[1] | {"noise_mask": torch.ones(1, 4, 4, 4)}])


def test_windows_that_cannot_be_are_refused_at_the_node(conditioned):
    for changed, words in (
        ({"frame_overlap": 3}, "frames: windows of 3 overlap by 3"),
        ({"view_overlap": 5}, "views: windows of 3 overlap by 5"),
        ({"tile_overlap": 0.6}, "tiles share 0.6 of their size"),
    ):
        with pytest.raises(ValueError, match=words):
            run(ApplyWindows, model=conditioned[0], **WINDOWS | changed)


def test_tiles_overlap_where_that_is_asked_for(conditioned):
    plans = [run(ApplyWindows, model=conditioned[0], **WINDOWS | given)[0].planner(VIEWS, 5) for given in ({}, {"tile_overlap": 0.5})]
    assert [[len(tiles.indices) for tiles in plan.tiles["time"]] for plan in plans] == [[2, 2], [4]]


@pytest.mark.parametrize(
    ("closed", "rig", "goes_round"), [("auto", True, False), ("auto", False, True), ("closed", False, True), ("open", False, False)]
)
def test_windows_go_round_where_the_cameras_do(conditioned, closed, rig, goes_round):
    half = orbit_rig([0.0, 30.0, 60.0, 90.0], radius=4.0, image_size=(64, 64), vertical_fov_deg=40.0)
    model = run(ApplyWindows, model=conditioned[0], cameras=half if rig else None, **WINDOWS | {"closed": closed})[0]
    assert model.planner(VIEWS, 5).views.closed == goes_round


def test_cameras_are_held_against_what_is_asked_of_them(conditioned, cameras):
    _, (positive, negative, latent) = conditioned
    together = run(GatherViews, positive=positive, latent=latent, negative=negative)
    from_file = replace(cameras, closed=False)  # a file does not tell that cameras form a circle
    windows = WINDOWS | {"closed": "closed"}
    assert run(ApplyWindows, model=conditioned[0], cameras=from_file, **windows)[0].planner(VIEWS, 5).views.closed
    half = orbit_rig([0.0, 30.0, 60.0, 90.0], radius=4.0, image_size=(64, 64))
    with pytest.raises(
        ValueError, match=r"closed: the cameras do not go round: the last of 4 stands 5\.66 m .* set closed to auto or open"
    ):
        run(ApplyWindows, model=conditioned[0], cameras=half, **windows)
    other = run(ApplyWindows, model=conditioned[0], cameras=cameras.take_views([0, 1, 2]), **WINDOWS)[0]
    with pytest.raises(ValueError, match="the latent has 4 views, the cameras of the windows are 3"):
        run(SampleMVDiT, model=other, positive=together[0], negative=together[1], latent=together[2], **SAMPLE)


@pytest.mark.parametrize(("layout", "shape"), list(zip(LAYOUTS, [(16, 4, 16, 24), (48, 4, 8, 12), (128, 2, 4, 6)], strict=True)))
def test_an_empty_latent_of_views(layout, shape):
    frames = 1 + (shape[1] - 1) * LAYOUTS[layout][2]
    latent, length = run(EmptyMultiViewLatent, views=3, width=192, height=128, frames=frames, layout=layout)
    assert latent["samples"].shape == (3, *shape) and length == shape[1]
    assert run(EmptyMultiViewLatent, views=3, width=192, height=128, frames=1, layout=layout)[1] == 1
    with pytest.raises(ValueError, match="1 more than a multiple"):
        run(EmptyMultiViewLatent, views=3, width=192, height=128, frames=frames + 1, layout=layout)
    with pytest.raises(ValueError, match="width is 200"):
        run(EmptyMultiViewLatent, views=3, width=200, height=128, frames=frames, layout=layout)


def test_views_are_taken_apart_and_shown_together():
    images = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 2, 2, 3)  # two views of three frames
    each, chosen, frames = run(SplitViews, images=images, views=2, view=1)
    assert [one[:, 0, 0, 0].tolist() for one in each] == [[0, 1, 2], [3, 4, 5]] and torch.equal(chosen, each[1]) and frames == 3
    grid = run(ViewGrid, images=images, views=2, columns=0)[0]
    assert grid.shape == (3, 2, 4, 3) and grid[1, 0, :, 0].tolist() == [1, 1, 4, 4]
    with pytest.raises(ValueError, match="6 pictures are not of 4 views"):
        run(ViewGrid, images=images, views=4, columns=0)
    with pytest.raises(ValueError, match="view is 2, there are 2"):
        run(SplitViews, images=images, views=2, view=2)


def test_noise_that_views_share():
    latent, given = {"samples": torch.zeros(3, 16, 9, 4, 4)}, {"along": "time", "window": 4, "overlap": 1}
    plain = run(MultiViewNoise, noise_seed=5, kind="independent", **given)[0]
    assert plain.seed == 5 and torch.equal(plain.generate_noise(latent), starting_noise((3, 16, 9, 4, 4), 5))
    shared = run(MultiViewNoise, noise_seed=5, kind="views", **given)[0].generate_noise(latent)
    assert torch.equal(shared[0], shared[2])
    shuffled = run(MultiViewNoise, noise_seed=5, kind="repeat_shuffle", **given)[0].generate_noise(latent)
    assert torch.equal(shuffled[:, :, :4].sort(2).values, shuffled[:, :, 3:7].sort(2).values)
    with pytest.raises(ValueError, match="overlap is 4, the window 4"):
        run(MultiViewNoise, noise_seed=5, kind="repeat_shuffle", **given | {"overlap": 4})
