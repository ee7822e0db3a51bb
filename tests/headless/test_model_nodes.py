"""The stand-ins for ComfyUI's nodes around models, on small random checkpoints in the models folders."""

import pytest
import torch
from motion4d.core.specs import load_spec
from motion4d.core.tiny_models import tiny_checkpoint, tiny_metadata
from motion4d.headless import model_nodes
from motion4d.headless.executor import Executor
from motion4d.headless.graph import validate
from safetensors.torch import save_file

FOLDERS = {"umt5_xxl": "text_encoders", "clip_vision_h": "clip_vision", "wan_vae": "vae", "cogvideox_vae": "vae"}


@pytest.fixture(scope="module")
def states():
    """states(spec) -> tensors of a small checkpoint, made once."""
    made = {}
    return lambda name: made.setdefault(name, tiny_checkpoint(load_spec(name)))


@pytest.fixture
def put(host, states):
    """put(spec) -> the name and the path of a small checkpoint in its models folder."""

    def write(name):
        spec = load_spec(name)
        path = host.models[0] / spec.folder / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        save_file({key: value.contiguous() for key, value in states(name).items()}, path, tiny_metadata(spec))
        return path.name, path

    return write


def made(node, **inputs):
    return node.execute(**inputs).args[0]


@pytest.fixture
def frames(generator):
    return torch.rand(5, 32, 48, 3, generator=generator)


@pytest.mark.parametrize("name", ["wan_vae", "cogvideox_vae"])
def test_a_video_is_encoded_and_decoded_as_the_host_does_it(host, put, frames, name):
    file, path = put(name)
    vae, own = made(model_nodes.VAELoader, vae_name=file), host.load_video_vae(path)
    samples = made(model_nodes.VAEEncode, pixels=frames, vae=vae)
    expected = host.encode_video(own, frames)
    assert host.vae_kind(vae) == host.vae_kind(own) == name and host.vae_kind(object()) is None
    assert expected.shape == (16, 2, 4, 6) and torch.equal(samples["samples"], expected[None])
    decoded = made(model_nodes.VAEDecode, samples=samples, vae=vae)
    assert torch.equal(decoded, host.decode_video(own, expected))
    assert decoded.shape == (5, 32, 48, 3) and decoded.min() >= 0 and decoded.max() <= 1
    # A batch comes out one video after the other, a picture as one frame.
    both = {"samples": torch.cat([samples["samples"], samples["samples"].flip(4)])}
    torch.testing.assert_close(made(model_nodes.VAEDecode, samples=both, vae=vae)[:5], decoded)
    assert made(model_nodes.VAEDecode, samples=both, vae=vae).shape == (10, 32, 48, 3)
    assert made(model_nodes.VAEDecode, samples={"samples": expected[None, :, 0]}, vae=vae).shape == (1, 32, 48, 3)


def test_a_sample_of_the_posterior_is_around_its_mean_and_seeded(host, put, frames):
    vae = host.load_video_vae(put("cogvideox_vae")[1])
    mean = host.encode_video(vae, frames)
    first, again, other = (host.encode_video(vae, frames, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    _, logvar = vae.module.posterior(frames.movedim(-1, 0)[None] * 2 - 1)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close((first - mean) / (logvar[0] / 2).exp(), noise, atol=1e-3, rtol=1e-3)


def test_what_makes_no_whole_latents_is_left_out(host, put, frames):
    vae = host.load_video_vae(put("wan_vae")[1])
    larger = torch.zeros(8, 35, 52, 4)
    larger[:5, 1:33, 2:50, :3] = frames
    samples = made(model_nodes.VAEEncode, pixels=larger, vae=vae)["samples"]
    assert torch.equal(samples, made(model_nodes.VAEEncode, pixels=frames, vae=vae)["samples"])
    with pytest.raises(ValueError, match="8 frames"):
        host.encode_video(vae, larger[:, :32, :48])


def test_a_text_becomes_a_conditioning_of_its_tokens(host, put):
    file, path = put("umt5_xxl")
    clip = made(model_nodes.CLIPLoader, clip_name=file, type="wan")
    short, long = (made(model_nodes.CLIPTextEncode, text=text, clip=clip) for text in ("a", "a dancer on a roof in the rain"))
    ((text, values),) = long
    assert text.shape[0] == 1 and text.shape[2] == 4096 and values == {}
    assert text.shape[1] > short[0][0].shape[1]
    assert torch.equal(text, host.load_text_encoder(path).encode("a dancer on a roof in the rain"))


def test_a_text_encoder_without_vocabulary_takes_the_one_beside_it(host, put, states, tmp_path):
    _, path = put("umt5_xxl")
    whole = host.load_text_encoder(path).encode("a dancer")
    state = {key: value.contiguous() for key, value in states("umt5_xxl").items() if key != "spiece_model"}
    bare = tmp_path / "released.safetensors"
    save_file(state, bare)
    with pytest.raises(ValueError, match=r"released\.safetensors: .*spiece\.model"):
        host.load_text_encoder(bare)
    (tmp_path / "spiece.model").write_bytes(bytes(states("umt5_xxl")["spiece_model"].numpy()))
    assert torch.equal(host.load_text_encoder(bare).encode("a dancer"), whole)


def test_a_picture_is_stretched_or_cropped(host, put, generator):
    file, path = put("clip_vision_h")
    encoder = made(model_nodes.CLIPVisionLoader, clip_name=file)
    picture = torch.rand(1, 20, 30, 3, generator=generator)
    stretched = made(model_nodes.CLIPVisionEncode, clip_vision=encoder, image=picture, crop="none").penultimate_hidden_states
    assert stretched.shape == (1, 257, 1280)
    assert torch.equal(stretched, host.encode_image(host.load_image_encoder(path), picture[0]).penultimate_hidden_states)
    cropped = made(model_nodes.CLIPVisionEncode, clip_vision=encoder, image=picture, crop="center").penultimate_hidden_states
    assert torch.equal(cropped, encoder.encode(picture[:, :, 5:25]).penultimate_hidden_states)
    assert not torch.equal(cropped, stretched)


def test_a_lora_is_merged_into_a_copy(host, put):
    (model_file, _), (lora, lora_path) = put("mvdit_17b"), put("step_distilled_lora")
    model = made(model_nodes.UNETLoader, unet_name=model_file, weight_dtype="default")
    key = "blocks.0.self_attn.q.weight"
    before = model.module.state_dict()[key].clone()
    merged = made(model_nodes.LoraLoaderModelOnly, model=model, lora_name=lora, strength_model=0.5)
    assert not torch.equal(merged.module.state_dict()[key], before) and torch.equal(model.module.state_dict()[key], before)
    assert made(model_nodes.LoraLoaderModelOnly, model=model, lora_name=lora, strength_model=0.0) is model
    assert lora_path.parent.name == "loras"


def test_a_lora_with_nan_is_refused_by_name(host, put, states):
    (model_file, _), (lora, path) = put("mvdit_17b"), put("step_distilled_lora")
    name = next(iter(states("step_distilled_lora")))
    save_file(states("step_distilled_lora") | {name: torch.full_like(states("step_distilled_lora")[name], torch.nan)}, path)
    model = made(model_nodes.UNETLoader, unet_name=model_file, weight_dtype="default")
    with pytest.raises(ValueError, match=f"{lora} has NaN or infinite values in {name}"):
        made(model_nodes.LoraLoaderModelOnly, model=model, lora_name=lora, strength_model=0.5)


def test_a_workflow_of_stand_ins_runs(host, put):
    file, _ = put("wan_vae")
    nodes = {node.GET_SCHEMA().node_id: node for node in model_nodes.NODES}
    flow = {"1": {"class_type": "VAELoader", "inputs": {"vae_name": file}}}
    assert [problem.kind for problem in validate(flow, nodes)] == ["prompt_no_outputs"]
    flow["1"]["inputs"]["vae_name"] = "absent.safetensors"

    class Show(nodes["VAELoader"]):
        @classmethod
        def define_schema(cls):
            schema = super().define_schema()
            schema.is_output_node = True
            return schema

    assert [problem.kind for problem in validate(flow, nodes | {"VAELoader": Show})] == ["value_not_in_list"]
    flow["1"]["inputs"]["vae_name"] = file
    assert validate(flow, nodes | {"VAELoader": Show}) == []
    assert Executor(nodes | {"VAELoader": Show}).run(flow).executed == ["1"]


@pytest.mark.parametrize(("load", "name", "wanted"), [
    ("load_text_encoder", "wan_vae", "a UMT5 text encoder"),
    ("load_image_encoder", "umt5_xxl", "a CLIP vision encoder"),
    ("load_video_vae", "clip_vision_h", "a CogVideoX VAE or a Wan2.1 VAE"),
])  # fmt: skip
def test_another_kind_of_model_is_refused_by_name(host, put, load, name, wanted):
    _, path = put(name)
    with pytest.raises(ValueError, match=rf"{path.name} is a .*, expected {wanted}"):
        getattr(host, load)(path)


@pytest.mark.parametrize(
    ("load", "name"), [("load_text_encoder", "umt5_xxl"), ("load_image_encoder", "clip_vision_h"), ("load_video_vae", "wan_vae")]
)
def test_damaged_weights_are_refused(host, states, tmp_path, load, name):
    state = {key: value.clone() for key, value in states(name).items()}
    key = next(key for key, value in state.items() if value.is_floating_point())
    state[key].view(-1)[-1] = float("nan")
    save_file(state, tmp_path / "broken.safetensors")
    with pytest.raises(ValueError, match=r"broken\.safetensors has NaN"):
        getattr(host, load)(tmp_path / "broken.safetensors")
