"""Measures windows over views and time inside ComfyUI; run by `test_windows.py`."""

# ruff: noqa: I001, TID251 - `inside` comes first: it makes ComfyUI's own modules and the pack importable

from functools import partial

from inside import HERE, POSITIONS, SEED, SIDE, THERE, case, difference, file_of, measure, message, model

import comfy.conds
import comfy.controlnet
import comfy.ldm.wan.model as wan_model
import comfy.model_management
import comfy.ops
import comfy.sample
import comfy.samplers
import comfy.sd
import comfy_extras.nodes_context_windows as context_nodes
import torch
from comfy.patcher_extension import WrappersMP
from motion4d.core.conditions import MotionCondition, VideoCondition
from motion4d.core.sampling.guidance import Guidance
from motion4d.core.sampling.progressive import Balance, plan_grid
from motion4d.core.sampling.recipes import RECIPES
from motion4d.core.sampling.windows import plan_windows
from motion4d.headless.conditioning import conditioned
from motion4d.nodes.comfyui.steps import WINDOWS

VIEWS, FRAMES, STEPS = 4, 5, 2
SMALL = {"view_window": 3, "view_overlap": 1, "frame_window": 3, "frame_overlap": 1, "tile_views": 2, "tile_frames": 2}


class Scene:
    """A person from several sides, for both hosts; each view has motion, pictures, text and image of its own."""

    def __init__(self, kind: str, views: int = VIEWS, frames: int = FRAMES):
        self.kind, self.latents = kind, torch.zeros(views, 16, frames, SIDE, SIDE)
        parts = [self._view(kind, frames, torch.Generator().manual_seed(view)) for view in range(views)]
        self.positive = HERE.gather_views([HERE.condition(text, one, image=image) for text, _, one, _, image in parts])
        self.negative = HERE.gather_views([HERE.condition(text, one, image=image) for _, text, _, one, image in parts])
        self.ours = [
            THERE.gather_views([conditioned(text, one, image) for text, _, one, _, image in parts]),
            THERE.gather_views([conditioned(text, one, image) for _, text, _, one, image in parts]),
        ]

    @staticmethod
    def _view(kind, frames, numbers):
        def randn(*shape):
            return torch.randn(shape, generator=numbers)

        motion = MotionCondition(tokens=randn(frames * 24, 64), positions=POSITIONS, frames=frames)
        condition = VideoCondition(motion=motion, reference=randn(16, frames, SIDE, SIDE), known=int(kind == "mvdit_17b"))
        if kind == "mvdit_7b":
            return None, None, condition, condition.without_motion(), None
        image = type("Image", (), {"__init__": lambda self, seen: vars(self).update(penultimate_hidden_states=seen)})
        return [[randn(1, 512, 4096), {}]], [[randn(1, 512, 4096), {}]], condition, condition, image(randn(1, 257, 1280))


OURS = {}


def planner(**options):
    return partial(plan_grid, **SMALL | options)


def here(scene, guidance, recipe, plan=None, *, patcher=None, steps=STEPS, **options):
    """Sample MV-DiT in ComfyUI."""
    patcher = patcher or (model(scene.kind) if plan is None else HERE.apply_windows(model(scene.kind), plan))
    guider = HERE.guider(patcher, scene.positive, scene.negative, guidance)
    return HERE.sample(guider, scene.latents, RECIPES[recipe].with_steps(steps), seed=SEED, **options)


def there(scene, guidance, recipe, plan=None, *, steps=STEPS, **options):
    """The same headless."""
    loaded = THERE.load_video_model(file_of(scene.kind), precision="as stored") if scene.kind not in OURS else OURS[scene.kind]
    OURS[scene.kind] = loaded
    loaded = loaded if plan is None else THERE.apply_windows(loaded, plan)
    return THERE.sample(THERE.guider(loaded, *scene.ours, guidance), scene.latents, RECIPES[recipe].with_steps(steps), seed=SEED, **options)


def euler(scene, patcher, *, cfg=1.0, steps=STEPS, seed=SEED, positive=None, noise=None, callback=None):
    """ComfyUI's custom sampling with euler and the released schedule of 17B."""
    noise = comfy.sample.prepare_noise(scene.latents, seed) if noise is None else noise
    sigmas, sampler = RECIPES["17B"].with_steps(steps).sigmas(), comfy.samplers.sampler_object("euler")
    given = positive or scene.positive, scene.negative
    return comfy.sample.sample_custom(patcher, noise, cfg, sampler, sigmas, *given, scene.latents, seed=seed, callback=callback)


@case
def hosts_agree():
    small, wan, still, long = Scene("mvdit_7b"), Scene("mvdit_17b"), Scene("mvdit_17b", frames=1), Scene("mvdit_17b", 1, 9)
    found = {}
    for views_as in ("frames", "batch"):
        plans = {
            "constant": planner(views_as=views_as),
            "ramp": planner(views_as=views_as, balance=Balance("ramp", 0.8)),
            "alternate": planner(views_as=views_as, balance=Balance("alternate")),
            "anchored": planner(views_as=views_as, anchor_first=True, closed=False),
        }
        for name in ("constant", "anchored") if views_as == "frames" else ("ramp", "alternate"):
            plan = plans[name]
            found[f"17b_{views_as}_{name}"] = difference(*(run(wan, Guidance(6.0), "17B", plan) for run in (here, there)))
        found[f"7b_{views_as}"] = difference(*(run(small, Guidance(), "7B DDIM", plans["ramp"]) for run in (here, there)))
        found[f"still_{views_as}"] = difference(*(run(still, Guidance(6.0), "17B", plans["constant"]) for run in (here, there)))
    found["two_axes"] = difference(*(run(wan, Guidance(6.0, 2.0), "17B", planner()) for run in (here, there)))
    found["one_view"] = difference(*(run(long, Guidance(6.0), "17B", planner()) for run in (here, there)))
    found["without_windows"] = difference(*(run(wan, Guidance(6.0), "17B") for run in (here, there)))
    return found


@case
def guided_7b_in_trained_windows():
    scene = Scene("mvdit_7b", 2, 25)
    plan = planner(frame_window=13, frame_overlap=3, balance=1.0, views_as="batch")
    return {"difference": difference(*(run(scene, Guidance(3.0), "7B DPM", plan) for run in (here, there)))}


@case
def stock_samplers():
    small, wan = Scene("mvdit_7b"), Scene("mvdit_17b")
    plan = planner(balance=Balance("alternate"))
    on_wan, on_small = (HERE.apply_windows(model(one.kind), plan) for one in (wan, small))
    mine = euler(wan, on_wan, cfg=6.0)
    noise = comfy.sample.prepare_noise(small.latents, SEED)
    ddim = comfy.samplers.sampler_object("ddim")
    sigmas = RECIPES["7B DDIM"].sigmas()
    released = comfy.sample.sample_custom(on_small, noise, 1.0, ddim, sigmas, small.positive, small.negative, small.latents, seed=SEED)
    ksampler = comfy.sample.sample(on_wan, noise, 2, 6.0, "euler", "simple", wan.positive, wan.negative, wan.latents, seed=SEED)
    return {
        "17b_euler": difference(mine, there(wan, Guidance(6.0), "17B", plan)),
        "7b_ddim": difference(released, there(small, Guidance(), "7B DDIM", plan, steps=50)),
        "ksampler_finite": bool(ksampler.isfinite().all()),
        "same_seed": torch.equal(mine, euler(wan, on_wan, cfg=6.0)),
        "other_seed": difference(mine, euler(wan, on_wan, cfg=6.0, seed=SEED + 1)),
        "windows_matter": difference(mine, euler(wan, model("mvdit_17b"), cfg=6.0)),
        "model_untouched": WINDOWS not in model("mvdit_17b").model_options["transformer_options"],
    }


@case
def one_window_is_no_window():
    wan, long = Scene("mvdit_17b"), Scene("mvdit_17b", 1, 9)
    whole = planner(view_window=8, frame_window=8, tile_views=8, tile_frames=8, views_as="batch")
    twice = HERE.apply_windows(HERE.apply_windows(model("mvdit_17b"), planner()), whole)
    cuts, plan = planner(frame_window=5, frame_overlap=2), plan_windows(9, 5, 2)
    return {
        "exact": torch.equal(euler(wan, HERE.apply_windows(model("mvdit_17b"), whole)), euler(wan, model("mvdit_17b"))),
        "applied_again_replaces": torch.equal(euler(wan, twice), euler(wan, model("mvdit_17b"))),
        "one_view": difference(here(long, Guidance(6.0), "17B", cuts), here(long, Guidance(6.0), "17B", windows=plan)),
        "one_view_replaced": difference(
            here(long, Guidance(6.0), "17B", planner(), windows=plan), here(long, Guidance(6.0), "17B", windows=plan)
        ),
    }


def tiny_vace():
    """Wan VACE with random weights."""
    torch.manual_seed(3)
    sizes = {"dim": 128, "ffn_dim": 64, "num_heads": 1, "num_layers": 2, "text_dim": 4096, "text_len": 512}
    network = wan_model.VaceWanModel(model_type="t2v", vace_layers=2, vace_in_dim=96, operations=comfy.ops.disable_weight_init, **sizes)
    state = {key: torch.randn(value.shape) / 50 for key, value in network.state_dict().items()}
    return comfy.sd.load_diffusion_model_state_dict(state)


@case
def vace_is_cut_along_its_axes():
    vace, numbers, seen = tiny_vace(), torch.Generator().manual_seed(1), []
    scene = Scene("mvdit_17b")
    latents, text = torch.randn(scene.latents.shape, generator=numbers), torch.randn(1, 8, 4096, generator=numbers)
    views = [
        [[text, {"vace_frames": [torch.cat([one[None], one[None]], 1)], "vace_mask": [torch.ones(1, 64, FRAMES, SIDE, SIDE)]}]]
        for one in latents
    ]
    gathered = HERE.gather_views(views)
    noise = vace.model.process_latent_in(latents)

    def look(_, arguments, named):
        held = named["vace_context"]
        seen.append(
            [
                list(arguments[0].shape),
                list(held.shape),
                difference(arguments[0], held[:, 0, :16]),
                difference(arguments[0], held[:, 0, 16:32]),
            ]
        )

    def sampled(plan, positive):
        patcher = vace if plan is None else HERE.apply_windows(vace, plan)
        sampler, sigmas = comfy.samplers.sampler_object("euler"), torch.tensor([1.0, 0.0])
        return comfy.sample.sample_custom(patcher, noise, 1.0, sampler, sigmas, positive, positive, scene.latents, seed=SEED)

    hook = vace.model.diffusion_model.register_forward_pre_hook(look, with_kwargs=True)
    found = {}
    for views_as in ("frames", "batch"):
        seen.clear()
        sampled(planner(views_as=views_as), gathered)
        found[views_as] = {"apart": max(max(one[2:]) for one in seen), "sizes": sorted({tuple(one[0]) for one in seen}), "calls": len(seen)}
    hook.remove()
    whole = planner(view_window=8, frame_window=8, tile_views=8, tile_frames=8, views_as="batch")
    found["whole"] = torch.equal(sampled(whole, gathered), sampled(None, gathered))
    found["vace_matters"] = difference(sampled(whole, gathered), sampled(whole, views[0]))
    return found


@case
def masks_and_areas():
    wan = Scene("mvdit_17b")
    patcher = HERE.apply_windows(model("mvdit_17b"), planner())

    def with_(**added):
        return [[text, values | added] for text, values in wan.positive]

    plain = euler(wan, patcher)
    ones, half = torch.ones(1, SIDE, SIDE), torch.zeros(VIEWS, FRAMES, SIDE, SIDE)
    half[:, :, :, :2] = 1
    left = [*with_(mask=half, mask_strength=1.0), *with_(mask=1 - half, mask_strength=1.0)]
    area = with_(area=(SIDE, SIDE, 0, 0), strength=1.0)
    return {
        "ones": difference(euler(wan, patcher, positive=with_(mask=ones, mask_strength=1.0)), plain),
        "halves": difference(euler(wan, patcher, positive=left), plain),
        "area": difference(euler(wan, patcher, positive=area), plain),
        "time_area": message(lambda: euler(wan, patcher, positive=with_(area=(2, SIDE, SIDE, 1, 0, 0)))),
    }


@case
def memory_and_names():
    wan, shapes, calls = Scene("mvdit_17b"), [], []

    def prepare(executor, patcher, shape, *args, **kwargs):
        shapes.append(list(shape))
        return executor(patcher, shape, *args, **kwargs)

    def apply(executor, x, *args, **kwargs):
        options = args[4]
        calls.append([x.shape[0], [str(one) for one in options["uuids"]]])
        return executor(x, *args, **kwargs)

    patcher = HERE.apply_windows(model("mvdit_17b"), planner())
    patcher.add_wrapper_with_key(WrappersMP.PREPARE_SAMPLING, "look", prepare)
    patcher.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "look", apply)
    euler(wan, patcher, cfg=6.0, steps=2)
    plan = planner()(VIEWS, FRAMES)
    names = {name for _, some in calls for name in some}
    pieces, windows = len(plan.pieces(0, 0.0)), len({window for step in (0, 1) for window, _ in plan.pieces(step)})
    kept = patcher.model_options["transformer_options"][WINDOWS]
    return {
        "shape": shapes[0],
        "calls": len(calls),
        "pieces": pieces,
        "windows": windows,
        "names": len(names),
        "forgotten": kept._plan is None,
    }


@case
def interruption():
    wan, passes = Scene("mvdit_17b"), []
    patcher = HERE.apply_windows(model("mvdit_17b"), planner())

    def stop(*_):
        passes.append(1)
        comfy.model_management.interrupt_current_processing(True)

    try:
        euler(wan, patcher, callback=stop)
        stopped = False
    except comfy.model_management.InterruptProcessingException:
        stopped = True
    comfy.model_management.interrupt_current_processing(False)
    kept = patcher.model_options["transformer_options"][WINDOWS]
    return {
        "stopped": stopped,
        "steps": len(passes),
        "forgotten": kept._plan is None,
        "runs_again": bool(euler(wan, patcher).isfinite().all()),
    }


@case
def refusals():
    wan, three, long = Scene("mvdit_17b"), Scene("mvdit_17b", 3), Scene("mvdit_17b", 4, 9)
    patcher, small = HERE.apply_windows(model("mvdit_17b"), planner()), Scene("mvdit_7b")
    execute = context_nodes.ContextWindowsManualNode.execute
    both = execute(patcher, 3, 1, "standard_static", 1, False, "flat", 2, False).result[0]
    flat = type("Flat", (), {"latents": torch.zeros(VIEWS, 16, SIDE, SIDE), "positive": wan.positive, "negative": wan.negative})
    control = [[text, values | {"control": comfy.controlnet.ControlBase()}] for text, values in wan.positive]
    audio = [
        [text, values | {"model_conds": values["model_conds"] | {"audio_embed": comfy.conds.CONDRegular(torch.zeros(1, 5, 3))}}]
        for text, values in wan.positive
    ]
    vace, text = tiny_vace(), torch.zeros(1, 8, 4096)
    short = [[text, {"vace_frames": [torch.zeros(1, 32, 3, SIDE, SIDE)], "vace_mask": [torch.ones(1, 64, 3, SIDE, SIDE)]}]]
    two = [[text, {"vace_frames": [torch.zeros(2, 32, FRAMES, SIDE, SIDE)], "vace_mask": [torch.ones(2, 64, FRAMES, SIDE, SIDE)]}]]
    look = {"progress": 0.4, "blocks": (0,), "seed": SEED}
    on_vace = HERE.apply_windows(vace, planner())
    return {
        "axes": message(lambda: euler(flat, on_vace)),
        "views": message(lambda: euler(wan, patcher, positive=three.positive)),
        "length": message(lambda: euler(wan, patcher, positive=long.positive)),
        "context windows": message(lambda: euler(wan, both)),
        "control": message(lambda: euler(wan, patcher, positive=control)),
        "audio": message(lambda: euler(wan, patcher, positive=audio)),
        "vace length": message(lambda: euler(wan, on_vace, positive=short)),
        "vace views": message(lambda: euler(wan, on_vace, positive=two)),
        "overlap": message(lambda: euler(wan, HERE.apply_windows(model("mvdit_17b"), planner(view_overlap=3)))),
        "unconditional": message(lambda: here(small, Guidance(3.0), "7B DDIM", planner())),
        "attention": message(lambda: HERE.motion_attention(HERE.guider(patcher, wan.positive, None, Guidance()), wan.latents, **look)),
    }


measure()
