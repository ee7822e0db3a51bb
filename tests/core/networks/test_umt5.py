"""The text encoder against itself, against transformers, and against what the reference computed."""

import pytest
import torch
from motion4d.core.networks.tiny_side_models import tiny_spiece, tiny_umt5, umt5_sizes
from motion4d.core.networks.umt5 import TEXT_LENGTH, UMT5, Tokenizer, UMT5Config, load_umt5, position_buckets
from motion4d.core.precision import dequantise

TEXTS = ["The character is dancing.", "", "a knight walks far away in silver armour"]


@pytest.fixture(scope="module")
def spiece():
    return tiny_spiece()


@pytest.fixture(scope="module")
def state():
    """A small encoder in the names of Wan's checkpoint."""
    config = UMT5Config(vocabulary=120, dim=24, attention_dim=32, ffn_dim=40, heads=4, layers=3)
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in UMT5(config).state_dict().items()}
    return {name: torch.randn(shape, generator=generator) * 0.2 + ("norm" in name) for name, shape in shapes.items()}


def in_names_of_transformers(state):
    names = {"token_embedding": "shared", "norm": "encoder.final_layer_norm"}
    parts = {f"attn.{part}": f"0.SelfAttention.{part}" for part in "qkvo"} | {"norm1": "0.layer_norm", "norm2": "1.layer_norm"}
    parts |= {f"ffn.{ours}": f"1.DenseReluDense.{theirs}" for ours, theirs in (("gate.0", "wi_0"), ("fc1", "wi_1"), ("fc2", "wo"))}
    parts |= {"pos_embedding.embedding": "0.SelfAttention.relative_attention_bias"}
    for block in range(3):
        names |= {f"blocks.{block}.{ours}": f"encoder.block.{block}.layer.{theirs}" for ours, theirs in parts.items()}
    return {f"{names[key.removesuffix('.weight')]}.weight": tensor for key, tensor in state.items()}


def close(one, other, tolerance=1e-5):
    assert one.shape == other.shape
    assert (one - other).abs().max() < tolerance


def test_both_layouts_are_one_model(state, spiece):
    one, other = load_umt5(state, spiece), load_umt5(in_names_of_transformers(state), spiece)
    for name, tensor in one.model.state_dict().items():
        assert tensor.data_ptr() == state[name].data_ptr() == other.model.state_dict()[name].data_ptr()
    for left, right in zip(one.encode(TEXTS), other.encode(TEXTS), strict=True):
        assert torch.equal(left, right)


def test_it_is_what_transformers_computes(state, spiece):
    """Also with padding and a mask, which the release has and we have not."""
    from transformers import UMT5Config as TwinConfig
    from transformers import UMT5EncoderModel

    sizes = {"vocab_size": 120, "d_model": 24, "d_kv": 8, "d_ff": 40, "num_layers": 3, "num_heads": 4}
    twin = UMT5EncoderModel(TwinConfig(**sizes, feed_forward_proj="gated-gelu")).eval()
    missing, unknown = twin.load_state_dict(in_names_of_transformers(state), strict=False)
    assert missing in ([], ["encoder.embed_tokens.weight"]) and not unknown
    encoder = load_umt5(state, spiece)
    texts = [*TEXTS, "dancing along the beach " * 12]
    for text, found in zip(texts, encoder.encode(texts), strict=True):
        ids = encoder.tokenizer(text)
        padded, mask = torch.zeros(1, 200, dtype=torch.long), torch.zeros(1, 200, dtype=torch.long)
        padded[0, : len(ids)], mask[0, : len(ids)] = torch.tensor(ids), 1
        with torch.no_grad():
            close(found, twin(input_ids=padded, attention_mask=mask).last_hidden_state[0, : len(ids)], 2e-5)


def test_buckets_are_mirrored_and_grow_with_the_distance():
    table = position_buckets(300)
    assert (table.diagonal() == 0).all()
    later, earlier = table[0, 1:], table[1:, 0]
    assert torch.equal(later, earlier + 16)
    assert torch.equal(earlier[:7], torch.arange(1, 8)) and (earlier.diff() >= 0).all() and earlier[127:].unique().tolist() == [15]
    assert torch.equal(table[5:, 5:], table[:-5, :-5])  # of the way alone


def test_tokens_are_those_of_transformers(spiece):
    from transformers.models.t5.tokenization_t5 import T5Tokenizer

    tokenizer = Tokenizer(spiece)
    pieces = [(tokenizer.pieces.id_to_piece(index), tokenizer.pieces.get_score(index)) for index in range(len(tokenizer))]
    twin = T5Tokenizer(vocab=pieces, extra_ids=0)
    for text in ("The character is dancing.", "two  children\tplay", "A knight, an old man; ", "zebra 漢 quiz", ""):
        assert tokenizer(text) == twin(text)["input_ids"]


def test_texts_are_cleaned_ended_and_cut(spiece):
    tokenizer = Tokenizer(spiece)
    assert tokenizer("  The\n\tcharacter   is dancing. ") == tokenizer("The character is dancing.")
    assert tokenizer("") == [1] and tokenizer("dancing")[-1] == 1 and 1 not in tokenizer("dancing")[:-1]
    long = tokenizer("dancing " * 600)
    assert len(long) == TEXT_LENGTH and long[-1] == 1
    assert long[:-1] == tokenizer("dancing " * 700)[: TEXT_LENGTH - 1]


def test_a_text_is_encoded_by_itself(state, spiece):
    encoder = load_umt5(state, spiece)
    together = encoder.encode(TEXTS)
    for text, found in zip(TEXTS, together, strict=True):
        assert found.shape == (len(encoder.tokenizer(text)), 24) and found.dtype == torch.float32
        assert torch.equal(found, encoder.encode([text])[0])
    assert encoder.encode([]) == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_scaled_8_bit_weights_are_made_plain(state, spiece, dtype):
    theirs = in_names_of_transformers(state)
    packed, plain = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}, {}
    for key, tensor in theirs.items():
        if "SelfAttention" in key or "Dense" in key:
            scale = tensor.abs().max() / 448
            packed[key] = (tensor / scale).to(torch.float8_e4m3fn)
            packed[key.replace("weight", "scale_weight")] = scale
            packed[key.replace("weight", "scale_input")] = torch.ones(())
            plain[key] = (packed[key].float() * scale).to(dtype)
        else:
            packed[key] = plain[key] = tensor
    encoder = load_umt5(dequantise(packed, dtype), spiece)
    assert encoder.model.blocks[0].attn.q.weight.dtype == dtype and encoder.model.norm.weight.dtype == torch.float32
    for found, expected in zip(encoder.encode(TEXTS), load_umt5(plain, spiece).encode(TEXTS), strict=True):
        assert torch.equal(found, expected)
    for name, tensor in encoder.model.state_dict().items():  # float8_e4m3fn rounds to 4 binary digits
        assert ((tensor.float() - state[name]).abs() <= state[name].abs() / 15 + state[name].abs().max() * 1e-5).all()


def test_half_precision_weights_do_not_overflow(state, spiece):
    """The feed-forward of UMT5 leaves the range of float16 where its weights do not."""
    large = {key: tensor * 300 if "ffn" in key else tensor for key, tensor in state.items()}
    hidden = []
    encoder = load_umt5({key: tensor.half() for key, tensor in large.items()}, spiece)
    encoder.model.blocks[0].ffn.fc2.register_forward_pre_hook(lambda module, args: hidden.append(args[0].abs().max()))
    found = encoder.encode(TEXTS[:1])[0]
    assert hidden[0] > torch.finfo(torch.float16).max and found.isfinite().all()
    assert (found - load_umt5(large, spiece).encode(TEXTS[:1])[0]).abs().max() < 0.05


def test_what_does_not_fit_is_refused(state, spiece):
    with pytest.raises(ValueError, match=r"holds no tokenizer: put spiece\.model"):
        load_umt5(state)
    with pytest.raises(ValueError, match="no sentencepiece model"):
        load_umt5(state, b"nonsense")
    with pytest.raises(ValueError, match=r"\d+ pieces, the model knows 8"):
        load_umt5(state | {"token_embedding.weight": torch.zeros(8, 24)}, spiece)
    one_bias = {key: tensor for key, tensor in state.items() if "pos_embedding" not in key or "blocks.0" in key}
    with pytest.raises(ValueError, match=r"2 missing: blocks.1.pos_embedding.*T5 without U is another model"):
        load_umt5(one_bias, spiece)
    with pytest.raises(ValueError, match=r"token_embedding\.weight is missing"):
        load_umt5({"visual.head": torch.zeros(1)}, spiece)
    with pytest.raises(ValueError, match="expected a list"):
        load_umt5(state, spiece).encode("The character is dancing.")


def test_tiny_encoder_is_of_a_size_that_comfyui_is_told():
    state = tiny_umt5(seed=3)
    assert all(torch.equal(tensor, state[key]) for key, tensor in tiny_umt5(seed=3).items())
    assert not torch.equal(tiny_umt5(seed=4)["shared.weight"], state["shared.weight"])
    sizes, encoder = umt5_sizes(state), load_umt5(state)
    assert (sizes["vocab_size"], sizes["d_kv"] * sizes["num_heads"]) == (len(encoder.tokenizer), len(encoder.model.blocks[0].attn.q.weight))
    one, other = encoder.encode(["The character is dancing.", "An old man walks."])
    assert one.shape[1] == 4096 and 0.5 < one.std() < 2 and not torch.equal(one[-1], other[-1])


def test_reference_tokens(reference):
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "wan_side_models_tiny.safetensors"))
    weights = {key.removeprefix("sd.t5."): tensor.float() for key, tensor in golden.items() if key.startswith("sd.t5.")}
    model = UMT5(UMT5Config.of(weights)).eval()
    model.load_state_dict(weights)
    rows = list(zip(golden["in.t5.ids"], golden["in.t5.mask"].bool(), golden["out.t5"], strict=True))
    assert [int(mask.sum()) for _, mask, _ in rows] == [13, 40]
    for ids, mask, expected in rows:
        with torch.no_grad():
            close(model(ids[mask][None])[0], expected[mask], 5e-5)
