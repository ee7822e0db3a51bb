"""The image encoder against itself, against transformers, and against what the reference computed."""

import pytest
import torch
from motion4d.core.networks.clip_vision import DEVIATION, MEAN, CLIPVisionConfig, ImageEncoder, load_clip_vision
from motion4d.core.networks.tiny_side_models import CLIP_VISION_CONFIG, tiny_clip_vision

HEADS, WIDTH, BLOCKS = 4, 32, 3


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def state():
    """A small tower in the names of Wan's checkpoint, with something of the text tower beside it."""
    made = ImageEncoder(CLIPVisionConfig(width=WIDTH, heads=HEADS, layers=BLOCKS, mlp_dim=64, patch=14, positions=17)).state_dict()
    values = {key: draw(*tensor.shape, seed=seed) * 0.2 + ("norm" in key) for seed, (key, tensor) in enumerate(made.items())}
    result = {"textual.token_embedding.weight": torch.zeros(3, 2), "log_scale": torch.zeros(())}
    result["visual.head"] = draw(WIDTH, 16)
    for key, tensor in values.items():
        if key in ("cls_embedding", "pos_embedding"):
            tensor = tensor.view(1, -1, WIDTH)
        if ".attn.q." in key:
            tensor = torch.cat([values[key.replace(".q.", f".{part}.")] for part in "qkv"])
            key = key.replace(".q.", ".to_qkv.")
        if ".attn.k." not in key and ".attn.v." not in key:
            result[f"visual.{key}"] = tensor
    return result


@pytest.fixture(scope="module")
def encoder(state):
    return load_clip_vision(state, heads=HEADS)


@pytest.fixture(scope="module")
def twin(encoder):
    """The same tower, by transformers."""
    from transformers import CLIPVisionConfig as TwinConfig
    from transformers import CLIPVisionModelWithProjection

    sizes = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_hidden_layers": BLOCKS, "intermediate_size": 64, "image_size": 56}
    model = CLIPVisionModelWithProjection(TwinConfig(**sizes, patch_size=14, hidden_act="gelu", projection_dim=16)).eval()
    ours = encoder.state_dict()
    parts = {"norm1": "layer_norm1", "norm2": "layer_norm2", "attn.proj": "self_attn.out_proj", "mlp.0": "mlp.fc1", "mlp.2": "mlp.fc2"}
    parts |= {f"attn.{part}": f"self_attn.{part}_proj" for part in "qkv"}
    names = {"embeddings.class_embedding": "cls_embedding", "embeddings.position_embedding.weight": "pos_embedding"}
    names |= {"embeddings.patch_embedding.weight": "patch_embedding.weight"}
    for end in ("weight", "bias"):
        names |= {f"pre_layrnorm.{end}": f"pre_norm.{end}", f"post_layernorm.{end}": f"post_norm.{end}"}
        for block in range(BLOCKS):
            names |= {f"encoder.layers.{block}.{theirs}.{end}": f"transformer.{block}.{mine}.{end}" for mine, theirs in parts.items()}
    model.load_state_dict(
        {f"vision_model.{key}": ours[name] for key, name in names.items()} | {"visual_projection.weight": draw(16, WIDTH)}
    )
    return model


def close(one, other, tolerance=1e-5):
    assert one.shape == other.shape
    assert (one - other).abs().max() < tolerance


def test_it_is_what_transformers_computes(encoder, twin):
    images = draw(2, 56, 56, 3).sigmoid()
    with torch.no_grad():
        expected = twin(pixel_values=(images.movedim(3, 1) - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None])
        states = twin.vision_model(pixel_values=encoder.preprocess(images), output_hidden_states=True).hidden_states
    close(encoder.encode(images), states[-2])
    assert (encoder.encode(images) - states[-1]).abs().max() > 0.1
    assert expected.image_embeds.shape == (2, 16)


def test_both_layouts_are_one_model(encoder, twin):
    images = draw(2, 70, 40, 3).sigmoid()
    theirs = dict(twin.state_dict())
    table = {"vision_model.embeddings.position_ids": torch.arange(17)[None]}
    alone = {key: tensor for key, tensor in theirs.items() if key != "visual_projection.weight"}
    for layout in (theirs, theirs | table, alone):
        assert torch.equal(load_clip_vision(layout, heads=HEADS).encode(images), encoder.encode(images))


def test_no_second_copy_of_the_weights(encoder, state):
    qkv = state["visual.transformer.1.attn.to_qkv.weight"]
    attention = encoder.transformer[1].attn
    for index, part in enumerate((attention.q, attention.k, attention.v)):
        assert part.weight.data_ptr() == qkv[index * WIDTH].data_ptr()


def test_pictures_are_stretched_without_smoothing(encoder):
    pictures = draw(2, 40, 100, 3).sigmoid()
    released = (pictures * 2 - 1).movedim(3, 1)
    resized = torch.nn.functional.interpolate(released, size=(56, 56), mode="bicubic", align_corners=False) * 0.5 + 0.5
    for channel in range(3):
        close(encoder.preprocess(pictures)[:, channel], (resized[:, channel] - MEAN[channel]) / DEVIATION[channel])
    grey = encoder.preprocess(torch.full((1, 33, 20, 3), 0.5))
    close(grey, ((0.5 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)).view(1, 3, 1, 1).expand(1, 3, 56, 56))


def test_pictures_of_a_batch_do_not_mix(encoder):
    pictures = draw(3, 56, 56, 3).sigmoid()
    for row, found in enumerate(encoder.encode(pictures).split(1)):
        close(found, encoder.encode(pictures[row : row + 1]))


def test_half_precision_weights_are_computed_wide(encoder, state):
    narrow = load_clip_vision({key: tensor.half() for key, tensor in state.items()}, heads=HEADS)
    wide = load_clip_vision({key: tensor.half().float() for key, tensor in state.items()}, heads=HEADS)
    pictures = draw(1, 56, 56, 3).sigmoid()
    assert torch.equal(narrow.encode(pictures), wide.encode(pictures))
    assert narrow.transformer[0].attn.q.weight.dtype == torch.float16


def test_what_does_not_fit_is_refused(encoder, state):
    with pytest.raises(ValueError, match="32 channels make no heads of 80"):
        load_clip_vision(state)
    with pytest.raises(ValueError, match="32 channels, 5 heads"):
        load_clip_vision(state, heads=5)
    fewer = {key: tensor for key, tensor in state.items() if ".mlp.2." not in key}
    with pytest.raises(ValueError, match=r"6 missing: transformer.0.mlp.2.weight, .*clip_vision_h"):
        load_clip_vision(fewer, heads=HEADS)
    with pytest.raises(ValueError, match=r"1 unexpected: lost;"):
        load_clip_vision(state | {"visual.lost": torch.zeros(1)}, heads=HEADS)
    with pytest.raises(ValueError, match=r"patch_embedding\.weight is missing in a checkpoint of 1 tensors"):
        load_clip_vision({"shared.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="images has shape"):
        encoder.encode(torch.zeros(1, 3, 56, 56))


def test_tiny_encoder_has_the_released_width():
    state = tiny_clip_vision(seed=2)
    assert all(torch.equal(tensor, state[key]) for key, tensor in tiny_clip_vision(seed=2).items())
    tiny = load_clip_vision(state)
    assert (
        (tiny.config.heads, tiny.config.side) == (CLIP_VISION_CONFIG["num_attention_heads"], CLIP_VISION_CONFIG["image_size"]) == (16, 224)
    )
    found = tiny.encode(draw(1, 90, 60, 3).sigmoid())
    assert found.shape == (1, 257, 1280) and 0.5 < found.std() < 2


def test_reference_picture(reference):
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "wan_side_models_tiny.safetensors"))
    weights = {f"visual.{key.removeprefix('sd.clip.')}": tensor.float() for key, tensor in golden.items() if key.startswith("sd.clip.")}
    with torch.no_grad():
        close(load_clip_vision(weights, heads=4)(golden["in.clip.image"]), golden["out.clip"], 5e-5)
