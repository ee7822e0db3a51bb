"""Windows over views and time without ComfyUI: the same as plain loops over the bare network, cell by cell."""

from functools import partial

import pytest
import torch
from motion4d.core.conditions import MotionCondition, VideoCondition, known_mask
from motion4d.core.networks.rope import motion_rope
from motion4d.core.sampling.guidance import Guidance
from motion4d.core.sampling.latents import LATENT_SCALES
from motion4d.core.sampling.noise import starting_noise
from motion4d.core.sampling.progressive import Balance, plan_grid
from motion4d.core.sampling.recipes import RECIPES
from motion4d.core.sampling.run import progress_of, run_recipe
from motion4d.core.sampling.windows import plan_windows
from motion4d.core.specs import load_spec
from motion4d.core.tiny_models import tiny_checkpoint, tiny_metadata
from motion4d.headless.host import HeadlessHost
from motion4d.headless.side_models import ImageTokens
from safetensors.torch import save_file

VIEWS, FRAMES, SIDE, SEED = 4, 5, 4, 3
POSITIONS = load_spec("4dmot").statistics["mean_mm"]
SMALL = {"view_window": 3, "view_overlap": 1, "frame_window": 3, "frame_overlap": 1, "tile_views": 2, "tile_frames": 2}
WHOLE = {"view_window": 8, "frame_window": 8, "tile_views": 8, "tile_frames": 8, "views_as": "batch"}
TWO_STEPS = RECIPES["17B"].with_steps(2)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    return HeadlessHost(inputs=[root / "input"], output=root / "output", models=[root], quiet=True)


@pytest.fixture(scope="module")
def models(host, tmp_path_factory):
    """Tiny models by their kind."""
    folder, made = tmp_path_factory.mktemp("models"), {}
    for kind in ("mvdit_7b", "mvdit_17b"):
        tensors = {key: value.contiguous() for key, value in tiny_checkpoint(load_spec(kind)).items()}
        save_file(tensors, folder / f"{kind}.safetensors", metadata=tiny_metadata(load_spec(kind)))
        made[kind] = host.load_video_model(folder / f"{kind}.safetensors", precision="as stored")
    return made


def parts(kind, views=VIEWS, frames=FRAMES):
    """(text, condition, image) of each view."""
    made = []
    for number in range(views):
        generator = torch.Generator().manual_seed(number)
        tokens = torch.randn(frames * 24, 64, generator=generator)
        motion = MotionCondition(tokens=tokens, positions=POSITIONS, frames=frames)
        reference = torch.randn(16, frames, SIDE, SIDE, generator=generator)
        condition = VideoCondition(motion=motion, reference=reference, known=int(kind == "mvdit_17b"))
        text, image = torch.randn(1, 6, 4096, generator=generator), ImageTokens(torch.randn(1, 257, 1280, generator=generator))
        made.append((text, condition, image))
    return made


def gathered(host, kind, given):
    if kind == "mvdit_7b":
        return host.gather_views([host.condition(None, condition) for _, condition, _ in given])
    return host.gather_views([host.condition([[text, {}]], condition, image=image) for text, condition, image in given])


def empty(views=VIEWS, frames=FRAMES):
    return torch.zeros(views, 16, frames, SIDE, SIDE)


def sample(host, model, given, latents, planner=None, recipe=TWO_STEPS, **options):
    model = model if planner is None else host.apply_windows(model, planner)
    guider = host.guider(model, gathered(host, model.kind, given), None, Guidance())
    return host.sample(guider, latents, recipe, seed=SEED, **options)


@torch.no_grad()
def by_hand(model, given, latents, plan, recipe):
    """Every piece of every step, its clips one at a time through the bare 17B network."""
    network, scale, steps = model.module, LATENT_SCALES["mvdit_17b"], []
    masks = torch.stack([known_mask(condition) for _, condition, _ in given])
    pictures = torch.cat([masks, scale.to_model(torch.stack([condition.reference for _, condition, _ in given]))], 1)
    contexts = [network.prepare([text[0]], image.penultimate_hidden_states) for text, _, image in given]
    tokens = torch.stack([condition.motion.tokens.view(latents.shape[2], 24, -1) for _, condition, _ in given])  # (V, F, J, C)

    def clip(x, cells, timestep):
        """cells: (view, frame) of each frame of the clip."""
        taken = [torch.stack([held[view, :, frame] for view, frame in cells], 1)[None] for held in (x, pictures)]
        moved = torch.cat([tokens[view, frame] for view, frame in cells])[None]
        places = motion_rope(POSITIONS, len(cells), split=network.config.motion_split)
        out = network(taken[0], timestep[None], condition=taken[1], motion=moved, motion_rope=places, context=contexts[cells[0][0]])
        return dict(zip(cells, out[0].unbind(1), strict=True))

    def predict(x, timestep, branch, window):
        steps.append(timestep)
        total = torch.zeros_like(x)
        for piece, weights in plan.pieces(len(steps) - 1, progress_of(timestep, recipe)):
            views, frames = piece.views.tolist(), piece.frames.tolist()
            if piece.along == "views" and plan.views_as == "frames":
                clips = [[(view, frame) for view in views] for frame in frames]
            else:
                clips = [[(view, frame) for frame in frames] for view in views]
            for cells in clips:
                for (view, frame), found in clip(x, cells, timestep).items():
                    total[view, :, frame] += weights[views.index(view), frames.index(frame)] * found
        return total

    return scale.from_model(run_recipe(recipe, starting_noise(latents.shape, SEED), predict))


@pytest.mark.parametrize(
    ("views_as", "balance"), [("frames", Balance()), ("batch", Balance("ramp", 0.9, 0.2)), ("frames", Balance("alternate"))]
)
def test_windows_are_plain_loops_over_the_bare_network(host, models, views_as, balance):
    planner, given = partial(plan_grid, **SMALL, views_as=views_as, balance=balance), parts("mvdit_17b")
    mine = sample(host, models["mvdit_17b"], given, empty(), planner)
    expected = by_hand(models["mvdit_17b"], given, empty(), planner(VIEWS, FRAMES), TWO_STEPS)
    torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-4)


def test_a_still_picture_is_turned_around_by_views_alone(host, models):
    planner, given = partial(plan_grid, **SMALL), parts("mvdit_17b", frames=1)
    mine = sample(host, models["mvdit_17b"], given, empty(frames=1), planner)
    plan = planner(VIEWS, 1)
    assert {window.along for window, _ in plan.pieces()} == {"views"}
    torch.testing.assert_close(mine, by_hand(models["mvdit_17b"], given, empty(frames=1), plan, TWO_STEPS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["mvdit_7b", "mvdit_17b"])
def test_one_window_is_no_window(host, models, kind):
    recipe = RECIPES["7B DDIM" if kind == "mvdit_7b" else "17B"].with_steps(2)
    given = parts(kind)
    whole = sample(host, models[kind], given, empty(), partial(plan_grid, **WHOLE), recipe)
    assert torch.equal(whole, sample(host, models[kind], given, empty(), recipe=recipe))


@pytest.mark.parametrize("kind", ["mvdit_7b", "mvdit_17b"])
def test_one_view_is_the_long_video(host, models, kind):
    recipe = RECIPES["7B DDIM" if kind == "mvdit_7b" else "17B"].with_steps(2)
    given, plan = parts(kind, 1, 9), plan_windows(9, 4, 2)
    planner = partial(plan_grid, **SMALL | {"frame_window": 4, "frame_overlap": 2})
    by_plan = sample(host, models[kind], given, empty(1, 9), recipe=recipe, windows=plan)
    assert torch.equal(sample(host, models[kind], given, empty(1, 9), planner, recipe), by_plan)
    assert torch.equal(sample(host, models[kind], given, empty(1, 9), partial(plan_grid), recipe, windows=plan), by_plan)


def test_seven_knows_its_views_apart(host, models):
    recipe, planner, given = RECIPES["7B DDIM"].with_steps(2), partial(plan_grid, **SMALL), parts("mvdit_7b")
    mine = sample(host, models["mvdit_7b"], given, empty(), planner, recipe)
    turned = sample(host, models["mvdit_7b"], given[::-1], empty(), planner, recipe)
    assert (mine - turned).abs().max() > 1e-3 and torch.equal(mine, sample(host, models["mvdit_7b"], given, empty(), planner, recipe))


def test_the_model_that_was_given_stays_as_it_is(host, models):
    windowed = host.apply_windows(models["mvdit_17b"], partial(plan_grid))
    assert models["mvdit_17b"].planner is None and windowed.module is models["mvdit_17b"].module


def test_what_does_not_fit_is_refused_before_the_first_step(host, models):
    model, planner, given = models["mvdit_17b"], partial(plan_grid, **SMALL), parts("mvdit_17b")
    rows = []
    hook = model.module.register_forward_pre_hook(lambda *_: rows.append(1))
    with pytest.raises(ValueError, match="positive: it has 4 views, the latent 3"):
        sample(host, model, given, empty(3), planner)
    with pytest.raises(ValueError, match=r"latents \(C, F, h, w\) of \(16, 5, 4, 4\), the video of \(16, 9, 4, 4\)"):
        sample(host, model, given, empty(frames=9), planner)
    with pytest.raises(ValueError, match="views: windows of 3 overlap by 3"):
        sample(host, model, given, empty(), partial(planner, view_overlap=3))
    with pytest.raises(ValueError, match=r"latents have shape \(4, 16, 4, 4\)"):
        sample(host, model, given, empty()[:, :, 0], planner)
    small = models["mvdit_7b"]
    positive = gathered(host, "mvdit_7b", parts("mvdit_7b"))
    negative = gathered(host, "mvdit_7b", [(text, one.without_motion(), image) for text, one, image in parts("mvdit_7b")])
    guider = host.guider(host.apply_windows(small, planner), positive, negative, Guidance(3.0))
    with pytest.raises(ValueError, match="are for 13 latent frames, not for 3"):
        host.sample(guider, empty(), RECIPES["7B DDIM"].with_steps(2), seed=SEED)
    carried = [
        (text, VideoCondition(motion=one.motion, reference=one.reference, known=1, pinned=True), image) for text, one, image in given
    ]
    with pytest.raises(ValueError, match="carried over in several views"):
        sample(host, model, carried, empty(), planner)
    with pytest.raises(ValueError, match="one clip is looked at as a whole"):
        whole = host.guider(host.apply_windows(model, planner), gathered(host, "mvdit_17b", given[:1]), None, Guidance())
        host.motion_attention(whole, empty(1), progress=0.5, blocks=(0,), seed=0)
    hook.remove()
    assert not rows
