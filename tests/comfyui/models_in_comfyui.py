"""Measures the models of the pack inside ComfyUI; run by `test_models.py`."""

# ruff: noqa: I001, TID251 - `inside` comes first: it makes ComfyUI's own modules and the pack importable

import importlib.util
import inspect
from pathlib import Path

from inside import HERE, POSITIONS, SEED, SIDE, THERE, WORK, case, difference, file_of, measure, message, model

import comfy.sample
import comfy.samplers
import comfy.sd
import comfy_extras.nodes_context_windows as context_nodes
import torch
from motion4d.core.conditions import MotionCondition, Strength, VideoCondition, known_mask
from motion4d.core.models import load_mvdit_7b, load_mvdit_17b
from motion4d.core.sampling.guidance import Guidance
from motion4d.core.sampling.latents import LATENT_SCALES
from motion4d.core.sampling.noise import starting_noise
from motion4d.core.sampling.recipes import RECIPES
from motion4d.core.sampling.run import run_recipe
from motion4d.core.sampling.windows import WindowPlan, plan_windows
from motion4d.core.specs import load_spec
from motion4d.core.tiny_models import tiny_metadata
from motion4d.headless.conditioning import conditioned
from motion4d.nodes.comfyui import cogvideox_model
from motion4d.nodes.comfyui.wan_motion import patch_of
from safetensors.torch import load_file, save_file

FRAMES, LONG, STEPS = 13, 25, 3
UNGUIDED, AS_TRAINED = Guidance(), Strength()


class Scene:
    """What a video is made under, for both hosts. known: 0 for 7B, 1 for 17B."""

    def __init__(self, kind: str, frames: int = FRAMES, videos: int = 1, **options):
        numbers = torch.Generator().manual_seed(frames)

        def randn(*shape):
            return torch.randn(shape, generator=numbers)

        self.kind, self.latents = kind, torch.zeros(videos, 16, frames, SIDE, SIDE)
        self.motion = MotionCondition(tokens=randn(frames * 24, 64), positions=POSITIONS, frames=frames)
        reference = randn(16, frames, SIDE, SIDE)
        self.condition = VideoCondition(motion=self.motion, reference=reference, known=int(kind == "mvdit_17b"), **options)
        self.without = self.condition.without_motion() if kind == "mvdit_7b" else self.condition
        self.image = type("Image", (), {"penultimate_hidden_states": randn(1, 257, 1280)})()
        texts = [[randn(1, 512, 4096), {}]], [[randn(1, 512, 4096), {}]]
        self.texts = (None, None) if kind == "mvdit_7b" else texts
        image = None if kind == "mvdit_7b" else self.image
        both = zip(self.texts, (self.condition, self.without), strict=True)
        self.positive, self.negative = (HERE.condition(text, one, image=image) for text, one in both)
        self.ours = [conditioned(text, one, image) for text, one in zip(self.texts, (self.condition, self.without), strict=True)]


def here(scene, guidance=UNGUIDED, *, recipe, steps=STEPS, patcher=None, **options):
    """The sampling of the pack in ComfyUI."""
    guider = HERE.guider(patcher or model(scene.kind), scene.positive, scene.negative, guidance)
    return HERE.sample(guider, scene.latents, RECIPES[recipe].with_steps(steps), seed=SEED, **options)


def there(scene, guidance=UNGUIDED, *, recipe, steps=STEPS, strength=AS_TRAINED, **options):
    """The same headless."""
    loaded = THERE.apply_motion(THERE.load_video_model(file_of(scene.kind), precision="as stored"), None, strength)
    guider = THERE.guider(loaded, *scene.ours, guidance)
    return THERE.sample(guider, scene.latents, RECIPES[recipe].with_steps(steps), seed=SEED, **options)


def stock(scene, *, steps=STEPS, cfg=3.0, patcher=None, sampler="ddim", positive=None, negative=None):
    """ComfyUI's KSampler on 7B with its own schedule, and its custom sampling on 17B with the released one."""
    patcher, positive, negative = patcher or model(scene.kind), positive or scene.positive, negative or scene.negative
    noise = comfy.sample.prepare_noise(scene.latents, SEED)
    if scene.kind == "mvdit_7b":
        return comfy.sample.sample(patcher, noise, steps, cfg, sampler, "simple", positive, negative, scene.latents, seed=SEED)
    euler, sigmas = comfy.samplers.sampler_object("euler"), RECIPES["17B"].with_steps(steps).sigmas()
    return comfy.sample.sample_custom(patcher, noise, cfg, euler, sigmas, positive, negative, scene.latents, seed=SEED)


@case
def ksampler_is_the_recipe():
    small, wan = Scene("mvdit_7b"), Scene("mvdit_17b")
    noise, sigmas = comfy.sample.prepare_noise(small.latents, SEED), RECIPES["7B DDIM"].sigmas()
    ddim = comfy.samplers.sampler_object("ddim")
    released = comfy.sample.sample_custom(
        model("mvdit_7b"), noise, 3.0, ddim, sigmas, small.positive, small.negative, small.latents, seed=SEED
    )
    recipe = here(small, Guidance(3.0), recipe="7B DDIM", steps=50)
    return {
        "7b_50_steps": difference(stock(small, steps=50), recipe),
        "7b_released_sigmas": difference(released, recipe),
        "7b_5_steps": difference(stock(small, steps=5), here(small, Guidance(3.0), recipe="7B DDIM", steps=5)),
        "17b_cfg_6": difference(stock(wan, steps=6, cfg=6.0), here(wan, Guidance(6.0), recipe="17B", steps=6)),
        "17b_cfg_1": difference(stock(wan, steps=6, cfg=1.0), here(wan, recipe="17B", steps=6)),
        "size": float(recipe.abs().max()),
    }


@case
def hosts_agree():
    small, wan = Scene("mvdit_7b"), Scene("mvdit_17b")
    pinned, carried = Scene("mvdit_17b", pinned=True), Scene("mvdit_7b", carried=torch.ones(16, 2, SIDE, SIDE))
    long_small, long_wan = Scene("mvdit_7b", LONG), Scene("mvdit_17b", LONG)
    plan, part = plan_windows(LONG, FRAMES, 3), Strength(0.7, 0.1, 0.6)
    runs = {
        "7b_dpm": (small, Guidance(3.0), {"recipe": "7B DPM"}),
        "7b_ddim": (small, Guidance(3.0), {"recipe": "7B DDIM"}),
        "7b_carried": (carried, Guidance(3.0), {"recipe": "7B DDIM"}),
        "7b_two_videos": (Scene("mvdit_7b", videos=2), Guidance(3.0), {"recipe": "7B DDIM"}),
        "17b_two_videos": (Scene("mvdit_17b", videos=2), Guidance(6.0), {"recipe": "17B"}),
        "7b_windows": (long_small, Guidance(3.0), {"recipe": "7B DPM", "windows": plan}),
        "7b_cfg_0": (small, Guidance(0.0), {"recipe": "7B DDIM"}),
        "17b": (wan, Guidance(6.0), {"recipe": "17B"}),
        "17b_interval": (wan, Guidance(6.0, 1.0, 0.2, 0.7), {"recipe": "17B"}),
        "17b_two_axes": (wan, Guidance(6.0, 2.0), {"recipe": "17B"}),
        "17b_motion_axis": (wan, Guidance(1.0, 2.0), {"recipe": "17B"}),
        "17b_pinned": (pinned, Guidance(), {"recipe": "17B distilled"}),
        "17b_windows": (long_wan, Guidance(6.0), {"recipe": "17B", "windows": plan}),
    }
    found = {name: difference(here(*run, **options), there(*run, **options)) for name, (*run, options) in runs.items()}
    for scene, recipe in ((small, "7B DDIM"), (wan, "17B")):
        patched = HERE.apply_motion(model(scene.kind), None, part)
        mine = here(scene, recipe=recipe, steps=8, patcher=patched)
        found[f"{scene.kind}_strength"] = difference(mine, there(scene, recipe=recipe, steps=8, strength=part))
    return found


@case
def motion_on_and_off():
    wan, small = Scene("mvdit_17b"), Scene("mvdit_7b")
    base = comfy.sd.load_diffusion_model(str(file_of("wan_i2v_14b")))
    adapter = HERE.load_motion_adapter(file_of("mvdit_17b_adapter"))
    half_on, on, late, off = (HERE.apply_motion(base, adapter, Strength(*part)) for part in ((0.5,), (1.0,), (1.0, 0.9, 1.0), (0.0,)))
    other = MotionCondition(tokens=wan.motion.tokens.flip(0), positions=POSITIONS, frames=FRAMES)
    turned = HERE.condition(wan.texts[0], VideoCondition(motion=other, reference=wan.condition.reference, known=1), image=wan.image)
    still = HERE.apply_motion(model("mvdit_7b"), None, Strength(0.0))
    plain, full, half = (stock(wan, patcher=patcher, cfg=1.0) for patcher in (base, on, half_on))
    return {
        "strength_0_is_the_base": torch.equal(stock(wan, patcher=off, cfg=1.0), plain),
        "base_untouched": torch.equal(stock(wan, patcher=base, cfg=1.0), plain),
        "applied_again_replaces": torch.equal(stock(wan, patcher=HERE.apply_motion(half_on, adapter, Strength()), cfg=1.0), full),
        "adapter_is_the_whole_model": difference(full, stock(wan, cfg=1.0)),
        "7b_strength_0_knows_no_motion": difference(stock(small, patcher=still), stock(small, patcher=still, positive=small.negative)),
        "motion": difference(full, plain),
        "another_motion": difference(stock(wan, patcher=on, positive=turned, cfg=1.0), full),
        "half": difference(half, full),
        "late": difference(stock(wan, patcher=late, cfg=1.0), plain),
        "7b_motion": difference(stock(small, cfg=1.0), stock(small, cfg=1.0, positive=small.negative)),
    }


def lora(name: str, layers: list[str]) -> dict:
    """A LoRA of some layers of a checkpoint, as files have them."""
    weights, numbers, made = load_file(file_of(name)), torch.Generator().manual_seed(5), {}
    for layer in layers:
        rows, columns = weights[f"{layer}.weight"].shape
        made[f"diffusion_model.{layer}.lora_up.weight"] = torch.randn(rows, 4, generator=numbers) / 5
        made[f"diffusion_model.{layer}.lora_down.weight"] = torch.randn(4, columns, generator=numbers) / 5
    return made


@case
def passes_are_left_out():
    import comfy_extras.nodes_easycache as easy

    small, long, wan, found = Scene("mvdit_7b"), Scene("mvdit_7b", LONG), Scene("mvdit_17b"), {}
    plan, passes = plan_windows(LONG, FRAMES, 3), []
    first = model("mvdit_7b").model.diffusion_model.transformer_blocks[0]
    hook = first.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    runs = {
        "guided": (small, Guidance(3.0), {}),
        "part": (small, Guidance(0.0, 1.0, 0.0, 0.5), {}),
        "windows": (long, Guidance(3.0), {"windows": plan}),
    }
    for name, (scene, guidance, options) in runs.items():
        options |= {"recipe": "7B DDIM", "steps": 10}
        exact, counted = here(scene, guidance, **options), []
        for reuse in (0.0, 1.0, 1e6):
            passes.clear()
            mine = here(scene, guidance, reuse=reuse, **options)
            counted.append(len(passes))
            found[f"{name}_{reuse:g}_as_headless"] = difference(mine, there(scene, guidance, reuse=reuse, **options))
            found[f"{name}_{reuse:g}_off"] = float((mine - exact).norm() / exact.norm())
        found[f"{name}_passes"] = counted
    hook.remove()
    eased = easy.EasyCacheNode.execute(model("mvdit_17b"), 10.0, 0.0, 1.0, False).result[0]
    calls, steps = [], {"recipe": "17B", "steps": 10}
    hook = model("mvdit_17b").model.diffusion_model.blocks[0].register_forward_pre_hook(lambda *_: calls.append(1))
    result = here(wan, Guidance(6.0), patcher=eased, **steps)
    hook.remove()
    exact = here(wan, Guidance(6.0), **steps)
    found |= {"easy_passes": len(calls), "easy_off": float((result - exact).norm() / exact.norm())}
    return found | {
        "refused": message(lambda: here(wan, recipe="17B", reuse=0.1)),
        "negative": message(lambda: here(small, recipe="7B DDIM", reuse=-1.0)),
    }


@case
def loras_are_seen():
    found = {}
    for kind, layers in {
        "mvdit_7b": ["transformer_blocks.0.attn0.to_k", "transformer_blocks.1.attn0.to_v"],
        "mvdit_17b": ["blocks.0.self_attn.q", "blocks.3.ffn.0"],
    }.items():
        scene, tensors, cfg = Scene(kind), lora(kind, layers), 1.0
        one, two = (comfy.sd.load_lora_for_models(model(kind), None, dict(tensors), strength, 0)[0] for strength in (1.0, 0.3))
        before = stock(scene, cfg=cfg)
        results = [stock(scene, cfg=cfg, patcher=patcher) for patcher in (one, two, one)]
        found |= {
            f"{kind}_changes": difference(results[0], before),
            f"{kind}_by_its_strength": difference(results[1], results[0]),
            f"{kind}_comes_back": torch.equal(results[2], results[0]),
            f"{kind}_leaves_the_model": torch.equal(stock(scene, cfg=cfg), before),
        }
        merged = THERE.load_video_model(file_of(kind), precision="as stored").with_lora(tensors, 1.0)
        recipe = RECIPES["7B DDIM" if kind == "mvdit_7b" else "17B"].with_steps(STEPS)
        headless = THERE.sample(THERE.guider(merged, *scene.ours, Guidance()), scene.latents, recipe, seed=SEED)
        found[f"{kind}_as_headless"] = difference(here(scene, recipe=recipe.name, patcher=one), headless)
    return found | {"hooked": hooked(tensors_of_7b())}


def tensors_of_7b() -> dict:
    """A LoRA that changes the keys of the motion."""
    return lora("mvdit_7b", ["transformer_blocks.0.attn0.to_k", "transformer_blocks.1.attn0.to_v"])


def hooked(tensors: dict) -> float:
    """A LoRA that hangs on the positive alone, and changes the weights between two calls, against one on the whole model."""
    import comfy.hooks

    scene, guidance = Scene("mvdit_7b"), Guidance(3.0)
    hooks = comfy.hooks.create_hook_lora(lora=dict(tensors), strength_model=1.0, strength_clip=0.0)
    positive = comfy.hooks.set_hooks_for_conditioning(scene.positive, hooks)
    patched, _ = comfy.sd.load_lora_for_models(model("mvdit_7b"), None, dict(tensors), 1.0, 0)
    both = HERE.sample(
        HERE.guider(model("mvdit_7b"), positive, scene.negative, guidance), scene.latents, RECIPES["7B DDIM"].with_steps(1), seed=SEED
    )
    one, other = (
        HERE.sample(HERE.guider(patcher, conditioning, None, Guidance()), scene.latents, RECIPES["7B DDIM"].with_steps(1), seed=SEED)
        for patcher, conditioning in ((patched, scene.positive), (model("mvdit_7b"), scene.negative))
    )
    return difference(both, other + guidance.scale * (one - other))


@case
def one_branch_without_guidance():
    rows, small, wan = [], Scene("mvdit_7b"), Scene("mvdit_17b")
    for kind in (small.kind, wan.kind):
        network = model(kind).model.diffusion_model
        network.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    found = {}
    for name, scene, recipe in (("7b", small, "7B DDIM"), ("17b", wan, "17B")):
        for cfg, motion in ((0.0, 1.0), (1.0, 1.0), (3.0, 1.0), (3.0, 2.0)):
            rows.clear()
            here(scene, Guidance(cfg, motion), recipe=recipe, steps=2)
            found[f"{name}_{cfg:g}_{motion:g}"] = list(rows)
    rows.clear()
    stock(small, cfg=1.0, steps=2)
    return found | {"ksampler_1": list(rows)}


@case
def nothing_is_kept():
    small, wan = Scene("mvdit_7b"), Scene("mvdit_17b")
    kept, counts = model("mvdit_7b").model.kept, {}
    original = type(kept).keep

    def counting(self, key, make):
        value = original(self, key, make)
        counts["largest"] = max(counts.get("largest", 0), len(self))
        return value

    type(kept).keep = counting
    try:
        stock(small)
        during = counts.pop("largest")
        stock(wan)
    finally:
        type(kept).keep = original
    patch = patch_of(model("mvdit_17b"))

    def broken(*_, **__):
        raise RuntimeError("stop")

    try:
        noise = comfy.sample.prepare_noise(small.latents, SEED)
        comfy.sample.sample(
            model("mvdit_7b"), noise, 2, 3.0, "ddim", "simple", small.positive, small.negative, small.latents, seed=SEED, callback=broken
        )
        stopped = False
    except RuntimeError:
        stopped = True
    return {"during_7b": during, "during_17b": counts["largest"], "after_7b": len(kept), "after_17b": len(patch.kept), "stopped": stopped}


def windowed(patcher, *, fix: bool):
    """ComfyUI's own context windows of 13 latent frames that overlap by 3, blended evenly."""
    execute = context_nodes.ContextWindowsManualNode.execute
    options = {"causal_window_fix": fix} if "causal_window_fix" in inspect.signature(execute).parameters else {}
    return execute(patcher, FRAMES, 3, "standard_static", 1, False, "flat", 2, False, **options).result[0], bool(options)


@case
def context_windows():
    small, wan = Scene("mvdit_7b", LONG), Scene("mvdit_17b", LONG)
    places = [torch.arange(start, start + FRAMES) for start in (0, 10, 12)]
    counts = torch.zeros(LONG)
    for indices in places:
        counts[indices] += 1
    plan = WindowPlan(places, [1 / counts[indices] for indices in places])
    on_small, _ = windowed(model("mvdit_7b"), fix=False)
    on_wan, _ = windowed(model("mvdit_17b"), fix=False)
    anchored, has_fix = windowed(model("mvdit_17b"), fix=True)
    found = {
        "7b": difference(stock(small, steps=25, patcher=on_small), here(small, Guidance(3.0), recipe="7B DDIM", steps=25, windows=plan)),
        "17b": difference(stock(wan, patcher=on_wan, cfg=6.0), here(wan, Guidance(6.0), recipe="17B", windows=plan)),
        "has_fix": has_fix,
    }
    if has_fix:
        found["17b_anchored"] = difference(stock(wan, patcher=anchored, cfg=1.0), by_hand(wan, places, counts))
        seven, _ = windowed(model("mvdit_7b"), fix=True)
        found["7b_anchored"] = message(lambda: stock(small, patcher=seven))
    return found


def by_hand(scene, places, counts):
    """Windows with the frame before them in front, each through the network alone, averaged."""
    network, scale = load_mvdit_17b(file_of("mvdit_17b")), LATENT_SCALES["mvdit_17b"]
    video = torch.cat([known_mask(scene.condition), scale.to_model(scene.condition.reference)])[None]
    context = network.prepare([scene.texts[0][0][0][0]], scene.image.penultimate_hidden_states)

    def predict(x, timestep, branch, window):
        total = torch.zeros_like(x)
        for indices in places:
            first = [int(indices[0]) - 1] if indices[0] > 0 else []
            seen = torch.tensor([*first, *indices.tolist()])
            motion = network.read_motion([scene.motion], like=x, window=seen)
            out = network(x[:, :, seen], timestep[None], condition=video[:, :, seen], motion=motion, context=context)
            total[:, :, indices] += out[:, :, len(first) :]
        return total / counts.view(1, 1, -1, 1, 1)

    noise = starting_noise(scene.latents.shape, SEED)
    return scale.from_model(run_recipe(RECIPES["17B"].with_steps(STEPS), noise, predict))


@case
def precisions():
    found, small, wan = {}, Scene("mvdit_7b"), Scene("mvdit_17b")
    for scene in (small, wan):
        exact = stock(scene, cfg=1.0)
        for precision in ("bfloat16", "float16", "float32", "fp8 scaled"):
            result = stock(scene, cfg=1.0, patcher=HERE.load_video_model(file_of(scene.kind), precision=precision))
            found[f"{scene.kind}_{precision}"] = difference(result, exact)
        packed = HERE.load_video_model(file_of(scene.kind), precision="fp8 scaled").model.diffusion_model
        layer = packed.transformer_blocks[0].attn1.to_q if scene is small else packed.blocks[0].self_attn.q
        found[f"{scene.kind}_packed"] = type(layer.weight).__name__
    return found | {"repackaged": repackaged(small), "repackaged_17b": repackaged(wan)}


def repackaged(scene) -> float:
    """A file whose weights are fp8 with scales already, against the same conversion made while loading."""
    from motion4d.core.networks.scaled_fp8 import quantise
    from motion4d.core.precision import becomes_fp8

    tensors = load_file(file_of(scene.kind))
    keys = [key for key, value in tensors.items() if becomes_fp8(key, value)]
    stored = {
        key: value if key in keys or key.endswith("scale_weight") else value.bfloat16() for key, value in quantise(tensors, keys).items()
    }
    path = WORK / f"{scene.kind}_fp8.safetensors"
    save_file(stored | {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}, path, metadata=tiny_metadata(load_spec(scene.kind)))
    from_file = stock(scene, cfg=1.0, patcher=HERE.load_video_model(path, precision="as stored"))
    return difference(from_file, stock(scene, cfg=1.0, patcher=HERE.load_video_model(file_of(scene.kind), precision="fp8 scaled")))


@case
def side_models_agree():
    frames = torch.rand(17, 32, 48, 3, generator=torch.Generator().manual_seed(0))
    found = {}
    for name in ("wan_vae", "cogvideox_vae"):
        mine, theirs = HERE.load_video_vae(file_of(name)), THERE.load_video_vae(file_of(name))
        mean, sample = HERE.encode_video(mine, frames), HERE.encode_video(mine, frames, seed=3)
        pictures = HERE.decode_video(mine, mean)
        nodes = comfyui_nodes()
        found |= {
            f"{name}_mean": difference(mean, THERE.encode_video(theirs, frames)),
            f"{name}_sample": difference(sample, THERE.encode_video(theirs, frames, seed=3)),
            f"{name}_is_sampled": difference(sample, mean),
            f"{name}_decoded": difference(pictures, THERE.decode_video(theirs, mean)),
            f"{name}_node": difference(nodes.VAEDecode().decode(mine, {"samples": mean[None]})[0], pictures),
            f"{name}_tiled": difference(nodes.VAEDecodeTiled().decode(mine, {"samples": mean[None]}, 256, 64, 64, 8)[0], pictures),
            f"{name}_encode_node": difference(nodes.VAEEncode().encode(mine, frames)[0]["samples"][0], mean),
        }
    mine, theirs = HERE.load_text_encoder(file_of("umt5_xxl")), THERE.load_text_encoder(file_of("umt5_xxl"))
    words = "The character is dancing."
    text, ours = mine.encode_from_tokens_scheduled(mine.tokenize(words))[0][0], theirs.encode(words)
    found |= {"text": difference(text[:, : ours.shape[1]], ours), "text_filling": float(text[:, ours.shape[1] :].abs().max())}
    picture = torch.rand(60, 40, 3, generator=torch.Generator().manual_seed(1))
    images = [host.encode_image(host.load_image_encoder(file_of("clip_vision_h")), picture) for host in (HERE, THERE)]
    return found | {"image": difference(*(image.penultimate_hidden_states for image in images))}


def comfyui_nodes():
    """ComfyUI's module called nodes."""
    import nodes

    return nodes


@case
def vaes_are_told_apart():
    from types import SimpleNamespace

    from motion4d.nodes.samplers.conditioning import ConditionVideoOnMotion

    wan, ours = comfy.sd.VAE(sd=load_file(file_of("wan_vae"))), HERE.load_video_vae(file_of("cogvideox_vae"))
    kinds = [HERE.vae_kind(vae) for vae in (wan, ours, SimpleNamespace(first_stage_model=torch.nn.Identity()), object())]
    stock_one = "cogvideox_vae"
    if importlib.util.find_spec("comfy.ldm.cogvideo") is not None:
        from comfy.ldm.cogvideo.vae import AutoencoderKLCogVideoX

        with torch.device("meta"):
            stock_one = HERE.vae_kind(SimpleNamespace(first_stage_model=AutoencoderKLCogVideoX()))
    size = {"width": 32, "height": 32, "crop": "crop", "frames": 0, "fit": "refuse", "posterior": "mean", "seed": 0}
    nothing = {"tokens": None, "reference": torch.zeros(1, 8, 8, 3)}
    refused = [
        message(lambda given=given: ConditionVideoOnMotion.execute(**given, **nothing, **size))
        for given in ({"model": model("mvdit_7b"), "vae": wan}, {"model": model("mvdit_17b"), "vae": ours})
    ]
    return {"kinds": kinds, "stock": stock_one, "refused": refused}


@case
def original_layouts():
    from motion4d.core.networks import clip_vision, state_dicts, umt5

    text = load_file(file_of("umt5_xxl"))
    (WORK / "original").mkdir(exist_ok=True)
    (WORK / "original" / "spiece.model").write_bytes(bytes(text.pop("spiece_model").numpy()))
    torch.save(state_dicts.renamed(text, umt5._TRANSFORMERS_NAMES), WORK / "original" / "text.pth")
    image = clip_vision.in_our_names(load_file(file_of("clip_vision_h")))
    image = {
        f"visual.{key}": value for key, value in image.items() if ".attn.q." not in key and ".attn.k." not in key and ".attn.v." not in key
    }
    whole = clip_vision.in_our_names(load_file(file_of("clip_vision_h")))
    for key in [key for key in whole if ".attn.q." in key]:
        image[f"visual.{key.replace('.q.', '.to_qkv.')}"] = torch.cat([whole[key.replace(".q.", f".{part}.")] for part in "qkv"])
    torch.save(image, WORK / "original" / "image.pth")
    picture, words = torch.rand(50, 50, 3, generator=torch.Generator().manual_seed(2)), "a knight"
    images = [
        HERE.encode_image(HERE.load_image_encoder(path), picture) for path in (WORK / "original" / "image.pth", file_of("clip_vision_h"))
    ]
    texts = [HERE.load_text_encoder(path) for path in (WORK / "original" / "text.pth", file_of("umt5_xxl"))]
    texts = [one.encode_from_tokens_scheduled(one.tokenize(words))[0][0] for one in texts]
    return {"text": difference(*texts), "image": difference(*(one.penultimate_hidden_states for one in images))}


@case
def attention_maps():
    found = {}
    for kind, blocks in (("mvdit_7b", (1,)), ("mvdit_17b", (0, 4))):
        scene = Scene(kind)
        video = torch.randn(scene.latents.shape, generator=torch.Generator().manual_seed(3))
        look = {"progress": 0.4, "blocks": blocks, "seed": SEED}
        maps = HERE.motion_attention(HERE.guider(model(kind), scene.positive, None, Guidance()), video, **look)
        loaded = THERE.load_video_model(file_of(kind), precision="as stored")
        ours = THERE.motion_attention(THERE.guider(loaded, scene.ours[0], None, Guidance()), video, **look)
        found |= {f"{kind}_shape": list(maps.shape), f"{kind}_sum": float((maps.sum(1) * FRAMES - 1).abs().max())}
        found[f"{kind}_as_headless"] = difference(maps, ours)
    return found


@case
def custom_advanced_takes_the_guider():
    import comfy_extras.nodes_custom_sampler as custom

    wan, recipe = Scene("mvdit_17b"), RECIPES["17B"].with_steps(STEPS)
    guider = HERE.guider(model("mvdit_17b"), wan.positive, wan.negative, Guidance(6.0))
    noise, euler = custom.Noise_RandomNoise(SEED), comfy.samplers.sampler_object("euler")
    advanced = custom.SamplerCustomAdvanced
    run = advanced.execute if hasattr(advanced, "execute") else advanced().sample
    out = run(noise, guider, euler, recipe.sigmas(), {"samples": wan.latents})
    stock_guider = comfy.samplers.CFGGuider(model("mvdit_17b"))
    stock_guider.set_conds(wan.positive, wan.negative)
    stock_guider.set_cfg(6.0)
    theirs = HERE.sample(stock_guider, wan.latents, recipe, seed=SEED)
    mine = here(wan, Guidance(6.0), recipe="17B")
    return {"advanced": difference(out[0]["samples"], mine), "stock_guider": difference(theirs, mine)}


@case
def refusals():
    small, wan, long = Scene("mvdit_7b"), Scene("mvdit_17b"), Scene("mvdit_7b", LONG)
    base = comfy.sd.load_diffusion_model(str(file_of("wan_i2v_14b")))
    adapter = HERE.load_motion_adapter(file_of("mvdit_17b_adapter"))
    bare = [[torch.zeros(1, 1, 1), {}]]
    wide = MotionCondition(tokens=torch.zeros(FRAMES * 24, 32), positions=POSITIONS, frames=FRAMES)
    foreign = HERE.condition(None, VideoCondition(motion=wide, reference=small.condition.reference))
    text = HERE.condition([[torch.zeros(1, 5, 77), {}]], wan.condition, image=wan.image)
    blind = HERE.condition(wan.texts[0], wan.condition)
    state = load_file(file_of("wan_i2v_14b"))
    lacking = {key: value for key, value in state.items() if key != "blocks.2.ffn.0.weight"}
    save_file(lacking, WORK / "lacking.safetensors")
    video = {key: value for key, value in state.items() if not key.startswith("img_emb") and "_img." not in key}
    video["patch_embedding.weight"] = video["patch_embedding.weight"][:, :16].contiguous()
    save_file(video, WORK / "t2v.safetensors")
    text_to_video = comfy.sd.load_diffusion_model(str(WORK / "t2v.safetensors"))
    broken = load_file(file_of("mvdit_7b"))
    broken["proj_out.bias"] = broken["proj_out.bias"] * float("nan")
    save_file(broken, WORK / "broken.safetensors")

    def load(name):
        return lambda: HERE.load_video_model(WORK / f"{name}.safetensors", precision="as stored")

    return {
        "length": message(lambda: stock(small, positive=long.positive, negative=long.negative)),
        "no condition": message(lambda: stock(small, positive=bare)),
        "no negative": message(lambda: HERE.guider(model("mvdit_7b"), small.positive, None, Guidance(3.0))),
        "unconditional length": message(lambda: stock(long)),
        "width": message(lambda: stock(small, positive=foreign)),
        "text": message(lambda: stock(wan, positive=text)),
        "image": message(lambda: stock(wan, positive=blind)),
        "no motion attention": message(lambda: here(wan, recipe="17B", patcher=base)),
        "recipe": message(lambda: here(small, recipe="17B")),
        "adapter on 7B": message(lambda: HERE.apply_motion(model("mvdit_7b"), adapter, Strength())),
        "no adapter": message(lambda: HERE.apply_motion(base, None, Strength())),
        "text to video": message(lambda: HERE.apply_motion(text_to_video, adapter, Strength())),
        "text to video file": message(load("t2v")),
        "missing key": message(load("lacking")),
        "NaN": message(load("broken")),
        "VAE for a model": message(load("wan_vae")),
        "model for a VAE": message(lambda: HERE.load_video_vae(file_of("mvdit_7b"))),
        "adapter for a model": message(load("mvdit_17b_adapter")),
        "model for an adapter": message(lambda: HERE.load_motion_adapter(file_of("mvdit_7b"))),
        "frames": message(lambda: HERE.encode_video(HERE.load_video_vae(file_of("wan_vae")), torch.zeros(6, 32, 32, 3))),
    }


@case
def extra_tokens_are_refused():
    import comfy.conds
    from comfy.model_base import WAN21

    wan = Scene("mvdit_17b")

    def sampled(**changes):
        positive = HERE.condition(wan.texts[0], wan.condition, image=wan.image)
        values = positive[0][1]
        values["model_conds"] = values["model_conds"] | changes.pop("conds", {})
        values |= changes
        return message(lambda: stock(wan, positive=positive, cfg=1.0))

    frames = {"time_dim_concat": comfy.conds.CONDRegular(torch.zeros(1, 36, 2, SIDE, SIDE))}
    found = {"frames": sampled(conds=frames), "tokens": ""}
    if "context_latents" in inspect.getsource(WAN21.extra_conds):
        # ComfyUI reads these with the channels of the model's input.
        context = {"context_latents": comfy.conds.CONDList([torch.zeros(1, 36, 1, SIDE, SIDE)])}
        found["tokens"] = sampled(conds=context)
    return found


@case
def files_are_listed():
    import folder_paths

    root = Path(folder_paths.get_folder_paths("diffusion_models")[-1])
    (root / "sharded").mkdir(parents=True, exist_ok=True)
    for name in ("model.safetensors.index.json", "model-00001-of-00001.safetensors", "config.json"):
        (root / "sharded" / name).write_text("{}")
    return {"files": HERE.model_files("diffusion_models", (".safetensors", ".safetensors.index.json"))}


@case
def network_is_ours():
    """The network of 7B in ComfyUI's layers gives the numbers of the one in torch's."""
    scene = Scene("mvdit_7b")
    ours, theirs = load_mvdit_7b(file_of("mvdit_7b")), model("mvdit_7b").model
    x = torch.randn(2, 16, FRAMES, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    rows = (scene.motion, scene.motion.without_motion())
    reference = scene.condition.reference[None].expand(2, -1, -1, -1, -1)
    sigma = theirs.model_sampling.sigma(torch.tensor([400.0])).expand(2)
    raw = x * (1 + sigma[0] ** 2) ** 0.5
    denoised = theirs.apply_model(raw, sigma, c_concat=reference, motion4d=rows)
    predicted = (raw / (sigma[0] ** 2 + 1) - denoised) * (sigma[0] ** 2 + 1) ** 0.5 / sigma[0]
    expected = ours(torch.cat([x, reference], 1).transpose(1, 2), torch.tensor([400.0, 400.0]), ours.read_motion(rows, like=x))
    return {"prediction": difference(predicted, expected.transpose(1, 2)), "dtype": str(cogvideox_model.MVDiT7B.__mro__[1].__name__)}


measure()
