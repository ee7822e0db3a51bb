"""The nodes of MTVCrafter on tiny random models, in the headless host."""

import functools
from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats.pictures import write_picture
from motion4d.core.sampling.recipes import RECIPES
from motion4d.core.specs import list_specs, load_spec
from motion4d.headless.host import HeadlessHost
from motion4d.headless.model_nodes import CLIPTextEncode, LoraLoaderModelOnly, UNETLoader
from motion4d.headless.tiny_models import write_tiny_models
from motion4d.nodes import host as door
from motion4d.nodes.loaders.download import DownloadModel, released_checkpoints
from motion4d.nodes.loaders.pictures import LoadReference
from motion4d.nodes.loaders.side_models import LoadImageEncoder, LoadTextEncoder, LoadVideoVAE
from motion4d.nodes.loaders.tokenizer import LoadMotionTokenizer
from motion4d.nodes.loaders.video_models import LoadMotionAdapter, LoadMVDiT
from motion4d.nodes.motion.cutting import CutMotion
from motion4d.nodes.motion.placement import FitMotionToTokenizer
from motion4d.nodes.motion.tokens import EncodeMotionTokens
from motion4d.nodes.samplers.conditioning import ConditionVideoOnMotion
from motion4d.nodes.samplers.long_video import CLIPS, FUSED, RELEASED, InspectDrift, SampleLongVideo
from motion4d.nodes.samplers.motion import ApplyMotionAttention, GuideByMotionAndText
from motion4d.nodes.samplers.sampling import ReleasedSigmas, SampleMVDiT

FILES = {
    "7b": "MV-DiT/CogVideoX/diffusion_pytorch_model-00001-of-00002.safetensors",
    "17b": "MV-DiT/Wan-2-1/diffusion_pytorch_model.safetensors",
    "wan": "wan2.1_i2v_480p_14B_fp8_scaled.safetensors",
    "adapter": "Wan2_1_MTV-Crafter_motion_adapter_bf16.safetensors",
    "7b vae": "CogVideoX-5b/vae/diffusion_pytorch_model.safetensors",
    "17b vae": "wan_2.1_vae.safetensors",
    "text": "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    "image": "clip_vision_h.safetensors",
    "lora": "lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors",
    "tokenizer": "4DMoT/mp_rank_00_model_states.pt",
}
CONDITION = {"width": 32, "height": 32, "crop": "crop", "frames": 0, "fit": "refuse", "posterior": "mean", "seed": 0}
SAMPLE = {"seed": 1, "recipe": "as released", "steps": 2, "cfg": -1.0, "guidance_start": 0.0, "guidance_end": 1.0}
LONG = {"seed": 1, "recipe": "as released", "steps": 2, "cfg": -1.0, "window": 13, "overlap": 3}
ALWAYS = {"start_percent": 0.0, "end_percent": 1.0}


def run(node, **inputs) -> tuple:
    with torch.inference_mode():
        return node.execute(**inputs).result


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_tiny_models(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def here(models, tmp_path_factory):
    """One host for the whole module, so that models are loaded once."""
    root = tmp_path_factory.mktemp("run")
    ours = HeadlessHost(inputs=[root / "input"], output=root / "output", models=[root / "models", models], quiet=True)
    ours.inputs[0].mkdir()
    before, door._announced = door._announced, ours
    yield ours
    door._announced = before


@pytest.fixture(scope="module")
def loaded(here):
    """Every model, by a short name."""
    return {
        "7b": run(LoadMVDiT, file=FILES["7b"], precision="as stored")[0],
        "17b": run(LoadMVDiT, file=FILES["17b"], precision="as stored")[0],
        "7b vae": run(LoadVideoVAE, file=FILES["7b vae"])[0],
        "17b vae": run(LoadVideoVAE, file=FILES["17b vae"])[0],
        "text": run(LoadTextEncoder, file=FILES["text"])[0],
        "image": run(LoadImageEncoder, file=FILES["image"])[0],
        "tokenizer": run(LoadMotionTokenizer, file=FILES["tokenizer"])[0],
    }


def encode(tokenizer, action="wave", frames=49, length="pad"):
    motion = demo_motion(action, seconds=frames / 20, fps=20.0)
    placed = run(FitMotionToTokenizer, motion=motion, tokenizer=tokenizer, fit_stature=True, fill_gaps=True)[0]
    return run(EncodeMotionTokens, motion=placed, tokenizer=tokenizer, length=length)[0]


@pytest.fixture(scope="module")
def tokens(loaded):
    return {name: encode(loaded["tokenizer"], name) for name in ("wave", "walk")}


@pytest.fixture(scope="module")
def picture():
    return torch.rand(1, 48, 40, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def prompts(loaded):
    return {name: run(CLIPTextEncode, text=text, clip=loaded["text"])[0] for name, text in (("positive", "dance"), ("negative", "blurry"))}


@pytest.fixture(scope="module")
def conditioned(loaded, tokens, picture, prompts):
    """conditioned(kind, tokens, ...) -> inputs of a sampler, without the model; made once for the same arguments."""

    @functools.cache
    def condition(kind, given=None, **changed):
        text = prompts | {"clip_vision": loaded["image"]} if kind == "17b" else {}
        inputs = {"model": loaded[kind], "tokens": given or tokens["wave"], "reference": picture, "vae": loaded[f"{kind} vae"]}
        made = run(ConditionVideoOnMotion, **inputs | CONDITION | text | changed)
        return dict(zip(("positive", "negative", "latent"), made[:3], strict=True))

    return condition


@pytest.fixture(scope="module")
def sampled(loaded, conditioned):
    """sampled(kind, ...) -> latents of the waving clip; made once for the same arguments."""

    @functools.cache
    def sample(kind, **changed):
        return run(SampleMVDiT, model=loaded[kind], **conditioned(kind), **SAMPLE | changed)[0]["samples"]

    return sample


# --- loaders ---


@pytest.mark.parametrize("kind, words", [("7b", "CogVideoX licence"), ("17b", "17B: 50 steps of flow, cfg 6")])
def test_the_info_of_a_model_tells_recipe_licence_and_consent(loaded, kind, words):
    info = run(LoadMVDiT, file=FILES[kind], precision="as stored")[1]
    assert words in info and "NLF and SMPL" in info and "consent" in info and "tokens of 64 channels" in info


@pytest.mark.parametrize(
    "node, file, words",
    [
        (LoadMVDiT, "gone.safetensors", ["diffusion_models", "yanboding/MTVCrafter", "CogVideoX licence"]),
        (LoadMotionAdapter, "gone.safetensors", ["model_patches", "Kijai/WanVideo_comfy", "Apache-2.0"]),
        (LoadTextEncoder, "gone.safetensors", ["text_encoders", "Comfy-Org/Wan_2.1_ComfyUI_repackaged"]),
        (LoadImageEncoder, "gone.safetensors", ["clip_vision", "Comfy-Org/Wan_2.1_ComfyUI_repackaged"]),
        (LoadVideoVAE, "gone.safetensors", ["vae", "THUDM/CogVideoX-5b", "CogVideoX licence"]),
    ],
)
def test_a_missing_file_is_told_with_folder_repository_and_licence(node, file, words):
    more = {"precision": "as stored"} if node is LoadMVDiT else {}
    with pytest.raises(FileNotFoundError) as caught:
        run(node, file=file, **more)
    for word in ["gone.safetensors", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "node, file",
    [(LoadMVDiT, "text"), (LoadTextEncoder, "image"), (LoadImageEncoder, "7b vae"), (LoadVideoVAE, "17b"), (LoadMotionAdapter, "wan")],
)
def test_a_file_of_another_kind_is_refused(models, here, node, file):
    folder = node.GET_SCHEMA().inputs[0].tooltip.split("models/")[1].split(":")[0].split()[0].rstrip(".,")
    wrong = next(path for path in models.rglob("*.safetensors") if path.as_posix().endswith(FILES[file]))
    target = here.models[0] / folder / f"wrong_{file.replace(' ', '_')}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.hardlink_to(wrong)
    with pytest.raises(ValueError, match="expected"):
        run(node, file=target.name, **({"precision": "as stored"} if node is LoadMVDiT else {}))


def test_download_only_tells_until_it_is_switched_on(here):
    path, report = run(DownloadModel, file=f"wan_vae | {FILES['17b vae']}", download=True)
    assert path.endswith(FILES["17b vae"]) and "is there" in report  # the tiny one: nothing is fetched over it
    path, report = run(DownloadModel, file="wan_vae | Wan2.1_VAE.pth", download=False)
    assert path == str(here.models[0] / "vae" / "Wan2.1_VAE.pth") and "switch `download` on" in report and "https://" in report
    assert not list(here.models[0].rglob("Wan2.1_VAE.pth*"))
    known = run(DownloadModel, file=f"step_distilled_lora | {FILES['lora']}", download=False)[1]
    assert "0.74 GB" in known and "terms" in known
    assert "00002-of-00002" in run(DownloadModel, file=f"mvdit_7b | {FILES['7b']}", download=False)[1]


def test_every_checkpoint_can_be_chosen_once():
    named = [file.name for _, files in released_checkpoints().values() for file in files]
    assert sorted(named) == sorted(file.name for name in list_specs() for file in load_spec(name).files)


def test_the_reference_is_the_file_or_the_default(here, picture):
    assert torch.equal(run(LoadReference, file="none", default=picture)[0], picture)
    with pytest.raises(ValueError, match="no picture is chosen"):
        run(LoadReference, file="none")
    colours = torch.zeros(4, 6, 4)
    colours[:2, :, 3] = 1
    write_picture(colours, here.inputs[0] / "person.png")
    (read,) = run(LoadReference, file="person.png", default=picture)
    assert read.shape == (1, 4, 6, 3) and (read[0, :2] == 0).all() and (read[0, 2:] == 1).all()


def test_a_cut_motion_has_the_frames_asked_for():
    walk, pictures = demo_motion("walk", seconds=3.0, fps=20.0), torch.rand(60, 2, 2, 3)
    sound = {"waveform": torch.arange(3000.0)[None, None], "sample_rate": 1000}
    cut, images, audio = run(CutMotion, motion=walk, start=5, frames=49, images=pictures, audio=sound)
    assert audio["sample_rate"] == 1000 and torch.equal(audio["waveform"], sound["waveform"][..., 250:2700])
    assert torch.equal(cut.joints, walk.joints[5:54]) and torch.equal(images, pictures[5:54])
    assert run(CutMotion, motion=walk, start=50, frames=49)[0].frames == 10
    assert run(CutMotion, motion=walk, start=0, frames=0)[0].frames == 60
    with pytest.raises(ValueError, match="60 frames"):
        run(CutMotion, motion=walk, start=60, frames=1)


# --- conditioning ---


def test_7b_reads_a_video_of_the_picture_and_a_negative_without_motion(here, loaded, tokens, picture):
    inputs = {"model": loaded["7b"], "tokens": tokens["wave"], "reference": picture, "vae": loaded["7b vae"]}
    positive, negative, latent, used, report = run(ConditionVideoOnMotion, **inputs, **CONDITION)
    given, without = here.condition_of(positive), here.condition_of(negative)
    assert used.shape == (1, 32, 32, 3) and report == "32 x 32, 49 frames (13 latent frames)"
    assert torch.equal(given.reference, here.encode_video(loaded["7b vae"], used.expand(49, -1, -1, -1)))
    assert torch.equal(given.motion.tokens, tokens["wave"].tokens) and without.motion.tokens is None
    assert latent["samples"].shape == (1, 16, 13, 4, 4) and not latent["samples"].any()


def test_views_of_one_picture_share_what_is_encoded_and_nothing_else_does(here, loaded, tokens, picture):
    def reference(**changed):
        inputs = {"model": loaded["7b"], "tokens": tokens["wave"], "reference": picture, "vae": loaded["7b vae"]}
        made = run(ConditionVideoOnMotion, **inputs | CONDITION | changed)
        return here.condition_of(made[0]).reference, made[3]

    first, same, other = reference(), reference(tokens=tokens["walk"]), reference(reference=picture.flip(2))
    assert same[0].data_ptr() == first[0].data_ptr()
    assert torch.equal(other[0], here.encode_video(loaded["7b vae"], other[1].expand(49, -1, -1, -1)))
    assert not torch.equal(other[0], first[0]) and torch.equal(reference()[0], first[0])
    samples = [reference(posterior="sample", seed=seed)[0] for seed in (1, 2, 1)]
    assert torch.equal(samples[0], samples[2]) and not torch.equal(samples[0], samples[1])
    assert reference(width=64, height=64)[0].shape[-2:] == (8, 8)


def test_17b_reads_the_picture_once_and_moves_in_both_conditions(here, loaded, conditioned):
    made = conditioned("17b")
    positive, negative = (here.condition_of(made[name]) for name in ("positive", "negative"))
    assert positive.known == 1 and positive.motion is negative.motion
    assert not torch.equal(made["positive"][0][0], made["negative"][0][0])  # the texts
    shown = [made[name][0][1]["clip_vision_output"].penultimate_hidden_states for name in ("positive", "negative")]
    assert shown[0].shape == (1, 257, 1280) and torch.equal(*shown)


def test_17b_without_its_prompt_or_its_look_is_refused(conditioned):
    with pytest.raises(ValueError, match=r"positive: .*prompt"):
        conditioned("17b", positive=None)
    with pytest.raises(ValueError, match=r"clip_vision: .*CLIP"):
        conditioned("17b", clip_vision=None)


def test_a_sample_of_the_posterior_depends_on_the_seed_alone(here, conditioned):
    first, second, other = (here.condition_of(conditioned("7b", posterior="sample", seed=seed)["positive"]).reference for seed in (3, 3, 4))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_lengths_and_sizes_are_refused_before_anything_is_encoded(loaded, conditioned):
    class Untouched:
        """A VAE that must not be asked."""

    short = encode(loaded["tokenizer"], frames=45, length="trim")
    for changed, words in (
        ({"given": short, "frames": 49}, "11 latent frames, the video 13 .*pad"),
        ({"width": 40, "height": 40}, "multiples of 16"),
        ({"width": 32, "height": 0}, "height 0"),
    ):
        with pytest.raises(ValueError, match=words):
            conditioned("7b", vae=Untouched(), **changed)
    assert conditioned("7b", given=short, frames=49, fit="pad")["latent"]["samples"].shape[2] == 13


@pytest.mark.parametrize("kind, other", [("7b", "17b"), ("17b", "7b")])
def test_the_vae_of_another_model_is_refused_before_anything_is_encoded(loaded, conditioned, tour, kind, other):
    wrong = replace(loaded[f"{other} vae"], module=None)  # which cannot be asked
    with pytest.raises(ValueError, match=r"vae: this is the .* VAE, .* needs the"):
        conditioned(kind, vae=wrong)
    with pytest.raises(ValueError, match=r"vae: this is the .* VAE, .* needs the"):
        run(SampleLongVideo, model=loaded[kind], **conditioned(kind, tour), mode=RELEASED, **LONG, vae=wrong, clip_vision=loaded["image"])


# --- motion attention ---


@pytest.fixture(scope="module")
def adapted(loaded, here):
    base = run(UNETLoader, unet_name=FILES["wan"], weight_dtype="default")[0]
    adapter = run(LoadMotionAdapter, file=FILES["adapter"])[0]
    return base, run(ApplyMotionAttention, model=base, strength=1.0, **ALWAYS, adapter=adapter)[0]


def test_a_plain_wan_with_the_adapter_is_the_whole_17b(adapted, conditioned, sampled):
    joined = run(SampleMVDiT, model=adapted[1], **conditioned("17b"), **SAMPLE)[0]["samples"]
    assert torch.allclose(sampled("17b"), joined, atol=1e-5)


def test_a_plain_wan_asks_for_the_adapter(adapted, conditioned):
    with pytest.raises(ValueError, match="Load Motion Adapter"):
        conditioned("17b", model=adapted[0])
    with pytest.raises(ValueError, match="adapter"):
        run(ApplyMotionAttention, model=adapted[0], strength=1.0, **ALWAYS)


@pytest.mark.parametrize("kind", ["7b", "17b"])
def test_motion_changes_the_video_and_strength_0_takes_it_away(loaded, tokens, conditioned, sampled, kind):
    waving, walking = conditioned(kind), conditioned(kind, tokens["walk"])
    alone = SAMPLE | {"cfg": 1.0}
    moved = [sampled(kind, cfg=1.0), run(SampleMVDiT, model=loaded[kind], **walking, **alone)[0]["samples"]]
    assert (moved[0] - moved[1]).abs().amax() > 1e-3
    still = run(ApplyMotionAttention, model=loaded[kind], strength=0.0, **ALWAYS)[0]
    same = [run(SampleMVDiT, model=still, **made, **alone)[0]["samples"] for made in (waving, walking)]
    assert torch.equal(*same) and not torch.allclose(same[0], moved[0], atol=1e-3)


def test_a_lora_changes_the_copy_it_is_put_on(adapted, conditioned):
    made, fast = conditioned("17b"), SAMPLE | {"recipe": "17B distilled", "steps": 1}
    changed = run(LoraLoaderModelOnly, model=adapted[1], lora_name=FILES["lora"], strength_model=1.0)[0]
    before = run(SampleMVDiT, model=adapted[1], **made, **fast)[0]["samples"]
    assert not torch.allclose(before, run(SampleMVDiT, model=changed, **made, **fast)[0]["samples"], atol=1e-3)
    assert torch.equal(before, run(SampleMVDiT, model=adapted[1], **made, **fast)[0]["samples"])


# --- sampling ---


@pytest.mark.parametrize("kind", ["7b", "17b"])
def test_the_seed_alone_decides(loaded, conditioned, sampled, kind):
    first, second = sampled(kind), run(SampleMVDiT, model=loaded[kind], **conditioned(kind), **SAMPLE)[0]["samples"]
    assert first.shape == (1, 16, 13, 4, 4) and first.isfinite().all()
    assert torch.equal(first, second) and not torch.allclose(first, sampled(kind, seed=6))


@pytest.mark.parametrize("kind, released", [("7b", 3.0), ("17b", 6.0)])
def test_cfg_is_the_recipes_unless_given_and_a_guider_takes_its_place(loaded, conditioned, sampled, kind, released):
    made, model = conditioned(kind), loaded[kind]
    assert torch.equal(sampled(kind), sampled(kind, cfg=released))
    pair = {name: made[name] for name in ("positive", "negative")}
    guider = run(GuideByMotionAndText, model=model, **pair, cfg=released, motion=1.0, **ALWAYS)[0]
    assert torch.equal(sampled(kind), run(SampleMVDiT, model=model, **made, **SAMPLE | {"cfg": 1.0}, guider=guider)[0]["samples"])
    assert torch.equal(sampled(kind, cfg=1.0), sampled(kind, guidance_start=1.0, guidance_end=1.0))


def test_cfg_0_is_the_negative_alone(loaded, conditioned, sampled):
    made = conditioned("7b")
    swapped = made | {"positive": made["negative"]}
    negative = run(SampleMVDiT, model=loaded["7b"], **swapped, **SAMPLE | {"cfg": 1.0})[0]["samples"]
    assert torch.equal(negative, sampled("7b", cfg=0.0))


def test_guidance_along_the_motion_is_another_axis(loaded, conditioned, sampled):
    made, model = conditioned("17b"), loaded["17b"]
    guider = run(GuideByMotionAndText, model=model, positive=made["positive"], negative=made["negative"], cfg=1.0, motion=2.0, **ALWAYS)[0]
    guided = run(SampleMVDiT, model=model, **made, **SAMPLE, guider=guider)[0]["samples"]
    assert not torch.allclose(guided, sampled("17b", cfg=1.0), atol=1e-3) and not torch.allclose(guided, sampled("17b"), atol=1e-3)


def test_reuse_is_off_until_it_is_asked_for(loaded, conditioned, sampled):
    exact, reused = (sampled("7b", steps=6, reuse=reuse) for reuse in (0.0, 3.0))
    assert torch.equal(exact, sampled("7b", steps=6)) and not torch.equal(reused, exact)
    for mode in (FUSED, CLIPS):
        long = run(SampleLongVideo, model=loaded["7b"], **conditioned("7b"), mode=mode, **LONG | {"steps": 6}, reuse=3.0)[0]["samples"]
        assert torch.allclose(long, reused, atol=1e-5)


def test_a_recipe_of_the_other_model_is_refused(loaded, conditioned):
    with pytest.raises(ValueError, match="recipe: 17B is for mvdit_17b, the model is mvdit_7b: choose one of 7B DPM, 7B DDIM"):
        run(SampleMVDiT, model=loaded["7b"], **conditioned("7b"), **SAMPLE | {"recipe": "17B"})


def test_7b_makes_other_lengths_without_cfg_only(loaded, conditioned):
    made = conditioned("7b", frames=33, fit="trim")
    with pytest.raises(ValueError, match="13 latent frames, not for 9"):
        run(SampleMVDiT, model=loaded["7b"], **made, **SAMPLE)
    assert run(SampleMVDiT, model=loaded["7b"], **made, **SAMPLE | {"cfg": 1.0})[0]["samples"].shape[2] == 9


def test_released_sigmas_are_those_of_the_release():
    (flow,) = run(ReleasedSigmas, recipe="17B distilled", steps=0)
    expected = [1.0, 0.97574, 0.94627, 0.90971, 0.86313, 0.80179, 0.71732, 0.59362, 0.3951, 0.02441, 0.0]
    assert torch.allclose(flow, torch.tensor(expected), atol=1e-5)
    for name in RECIPES:
        sigmas = run(ReleasedSigmas, recipe=name, steps=4)[0]
        assert len(sigmas) == 5 and sigmas[-1] == 0 and (sigmas.diff() < 0).all()


# --- long videos ---


@pytest.fixture(scope="module")
def tour(loaded):
    return encode(loaded["tokenizer"], "walk", frames=89)


@pytest.mark.parametrize("kind, mode", [("7b", FUSED), ("7b", CLIPS), ("17b", FUSED), ("17b", RELEASED)])
def test_a_long_video_has_its_length_and_begins_as_a_clip(loaded, conditioned, tour, kind, mode):
    made = conditioned(kind, tour)
    side = {"vae": loaded[f"{kind} vae"], "clip_vision": loaded["image"]} if mode == RELEASED else {}
    latent, report = run(SampleLongVideo, model=loaded[kind], **made, mode=mode, **LONG, **side)
    assert latent["samples"].shape == (1, 16, 23, 4, 4) and latent["samples"].isfinite().all()
    assert "window 2, latent frames 10 to 22" in report
    if mode == CLIPS:
        clip = run(SampleMVDiT, model=loaded[kind], **conditioned(kind, tour, frames=49, fit="trim"), **SAMPLE)[0]["samples"]
        assert torch.allclose(latent["samples"][:, :, :10], clip[:, :, :10], atol=1e-5)


@pytest.mark.parametrize("kind", ["7b", "17b"])
def test_one_window_is_plain_sampling(loaded, conditioned, sampled, kind):
    made = conditioned(kind)
    for mode in (FUSED, CLIPS):
        assert torch.allclose(sampled(kind), run(SampleLongVideo, model=loaded[kind], **made, mode=mode, **LONG)[0]["samples"], atol=1e-5)


def test_the_released_way_says_what_it_goes_through(loaded, conditioned, tour):
    for kind, side, words in (("7b", {}, "vae: "), ("17b", {"vae": loaded["17b vae"]}, "clip_vision: ")):
        with pytest.raises(ValueError, match=words):
            run(SampleLongVideo, model=loaded[kind], **conditioned(kind, tour), mode=RELEASED, **LONG, **side)


def test_windows_that_were_not_trained_are_refused_or_told(loaded, conditioned, tour):
    other = LONG | {"window": 9}
    with pytest.raises(ValueError, match="13 latent frames"):
        run(SampleLongVideo, model=loaded["7b"], **conditioned("7b", tour), mode=FUSED, **other)
    report = run(SampleLongVideo, model=loaded["17b"], **conditioned("17b", tour), mode=FUSED, **other)[1]
    assert report.startswith("WARNING: 17B was trained on 13")


def test_drift_is_seen_where_it_is(generator):
    latents = torch.randn(1, 4, 33, 8, 8, generator=generator)
    latents[:, :, 23:] += 2
    report, plot = run(InspectDrift, latent={"samples": latents}, window=13, overlap=3)
    lines = report.splitlines()
    assert [line.split("latents ")[1].split()[0] for line in lines[1:]][:1] == ["0.00"] and float(
        lines[3].split("latents ")[1].split()[0]
    ) > 1
    assert plot.ndim == 4 and plot.shape[3] == 3
    with pytest.raises(ValueError, match="frames for 33 latent frames"):
        run(InspectDrift, latent={"samples": latents}, window=13, overlap=3, images=torch.zeros(10, 8, 8, 3))
