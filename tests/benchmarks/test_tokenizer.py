"""The benchmark compares equal results."""

import pytest
import torch
from motion4d.benchmarks.tokenizer import main, motion, naive_decode, naive_encode, random_tokenizer


@pytest.mark.parametrize("frames", [8, 21, 49])
def test_the_loop_gives_what_the_batch_gives(frames):
    tokenizer, joints = random_tokenizer("small"), motion(frames)
    codes = tokenizer.encode(joints)
    tokens, indices = naive_encode(tokenizer, joints)
    assert torch.equal(codes.indices, indices) and torch.equal(codes.tokens, tokens)
    assert torch.allclose(tokenizer.decode(tokens), naive_decode(tokenizer, tokens), atol=2e-5)
    assert len(indices.unique()) > 5


def test_it_prints_time_and_memory(capsys):
    main(["--sizes", "small", "--frames", "17", "--repeat", "1"])
    printed = capsys.readouterr().out
    for part in ("17 frames, 120 tokens", "encoder convolutions", "encode and decode", "100.00% of the indices"):
        assert part in printed
