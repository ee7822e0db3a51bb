"""Text encoder, image encoder and Wan's autoencoder give the numbers of ComfyUI's stock classes, on the same tiny checkpoints."""

import json
import subprocess

import pytest
import torch
from motion4d.core.networks.clip_vision import load_clip_vision
from motion4d.core.networks.tiny_side_models import CLIP_VISION_CONFIG, tiny_clip_vision, tiny_umt5, tiny_wan_vae, umt5_sizes
from motion4d.core.networks.umt5 import load_umt5
from motion4d.core.networks.wan_vae import load_wan_vae
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.comfyui

TEXTS = ["The character is dancing.", "", "An old man walks along the beach; two children follow him."]
SCRIPT = """
import json, sys
folder, sys.argv = sys.argv[1], sys.argv[:1]
from comfy.cli_args import args
args.cpu = True
import torch, comfy.clip_vision, comfy.sd
from safetensors.torch import load_file, save_file
told = json.load(open(folder + "/told.json"))
comfy.sd.detect_te_model = lambda state: comfy.sd.TEModel.T5_XXL
options = {"umt5xxl_model_config": told["text"]}
encoder = comfy.sd.load_text_encoder_state_dicts([load_file(folder + "/text.safetensors")], clip_type=comfy.sd.CLIPType.WAN, model_options=options)
result = {f"text{i}": encoder.encode_from_tokens(encoder.tokenize(text)) for i, text in enumerate(told["texts"])}
given = load_file(folder + "/given.safetensors")
vision = comfy.clip_vision.ClipVisionModel(folder + "/image.json")
vision.load_sd(load_file(folder + "/image.safetensors"))
result["image"] = vision.encode_image(given["pictures"]).penultimate_hidden_states
vae = comfy.sd.VAE(sd=load_file(folder + "/vae.safetensors"))
result["mean"], result["frames"] = vae.encode(given["frames"]), vae.decode(given["latents"])
save_file({key: tensor.detach().contiguous() for key, tensor in result.items()}, folder + "/result.safetensors")
"""


@pytest.fixture(scope="module")
def checkpoints():
    return {"text": tiny_umt5(), "image": tiny_clip_vision(), "vae": tiny_wan_vae()}


@pytest.fixture(scope="module")
def given():
    generator = torch.Generator().manual_seed(0)
    pictures = (torch.rand(2, 224, 224, 3, generator=generator) * 255).round() / 255
    frames, latents = torch.rand(13, 48, 32, 3, generator=generator), torch.randn(1, 16, 4, 6, 4, generator=generator)
    return {"pictures": pictures, "frames": frames, "latents": latents}


@pytest.fixture(scope="module")
def theirs(checkpoints, given, comfy_folder, comfy_python, tmp_path_factory):
    folder = tmp_path_factory.mktemp("side_models")
    for name, tensors in (checkpoints | {"given": given}).items():
        save_file(tensors, folder / f"{name}.safetensors")
    told = {"text": umt5_sizes(checkpoints["text"]), "texts": TEXTS}
    (folder / "image.json").write_text(json.dumps(CLIP_VISION_CONFIG), encoding="utf-8")
    (folder / "told.json").write_text(json.dumps(told), encoding="utf-8")
    answer = subprocess.run([comfy_python, "-c", SCRIPT, str(folder)], cwd=comfy_folder, capture_output=True, text=True, timeout=180)
    assert answer.returncode == 0, answer.stderr[-4000:]
    return load_file(folder / "result.safetensors")


def close(one, other):
    assert one.shape == other.shape
    assert (one - other).abs().max() < 1e-4


def test_texts(checkpoints, theirs):
    for index, found in enumerate(load_umt5(checkpoints["text"]).encode(TEXTS)):
        expected = theirs[f"text{index}"][0]
        close(found, expected[: len(found)])
        assert not expected[len(found) :].any()


def test_pictures(checkpoints, given, theirs):
    close(load_clip_vision(checkpoints["image"]).encode(given["pictures"]), theirs["image"])


def test_videos(checkpoints, given, theirs):
    vae = load_wan_vae(checkpoints["vae"])
    close(vae.posterior(given["frames"].movedim(3, 0)[None] * 2 - 1)[0], theirs["mean"])
    close((vae.decode(given["latents"])[0].movedim(0, 3) + 1) / 2, theirs["frames"][0])
