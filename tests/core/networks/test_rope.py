"""Rotary tables: what turning means, and the reference's numbers."""

import pytest
import torch
from motion4d.core.networks.rope import RotaryTable, motion_rope, rotate, vision_rope

MEAN = torch.randn(24, 3, generator=torch.Generator().manual_seed(0)) * 300 + torch.tensor([0.0, 200.0, 1800.0])


def tokens(count, channels=64, seed=1):
    return torch.randn(2, 3, count, channels, generator=torch.Generator().manual_seed(seed))


def naive_table(rows, split):
    """Row by row, number by number, in float64."""
    table = []
    for row in rows:
        angles = [position * 10000.0 ** (-2 * i / size) for position, size in zip(row, split, strict=True) for i in range(size // 2)]
        table.append([angle for angle in angles for _ in range(2)])
    return torch.tensor(table, dtype=torch.float64)


def test_vision_table_equals_the_formula():
    rows = [(f, h, w) for f in range(3) for h in range(4) for w in range(5)]
    for split in ((16, 24, 24), (44, 42, 42)):
        angles, table = naive_table(rows, split), vision_rope(3, 4, 5, split=split)
        assert table.cos.shape == (60, sum(split))
        assert torch.allclose(table.cos.double(), angles.cos(), atol=1e-5)
        assert torch.allclose(table.sin.double(), angles.sin(), atol=1e-5)


def test_motion_table_equals_the_formula():
    centred = MEAN.double() - MEAN.double().mean(0)
    rows = [(f, *joint.tolist()) for f in range(4) for joint in centred]
    for split in ((16, 16, 16, 16), (44, 28, 28, 28)):
        angles, table = naive_table(rows, split), motion_rope(MEAN, 4, split=split)
        assert table.cos.shape == (96, sum(split))
        assert torch.allclose(table.cos.double(), angles.cos(), atol=2e-3)  # positions of 1000 mm in float32
        assert torch.allclose(table.sin.double(), angles.sin(), atol=2e-3)


def test_motion_table_does_not_know_where_the_person_stands():
    moved = motion_rope(MEAN + torch.tensor([500.0, -250.0, 1000.0]), 2)
    assert torch.allclose(moved.cos, motion_rope(MEAN, 2).cos, atol=2e-3)
    assert not torch.allclose(motion_rope(MEAN * 1.1, 2).cos, motion_rope(MEAN, 2).cos, atol=2e-2)


def test_turning_keeps_the_length_of_every_pair():
    x, table = tokens(24 * 5), motion_rope(MEAN, 5)
    turned = rotate(x, table)
    assert torch.allclose(turned.unflatten(-1, (-1, 2)).norm(dim=-1), x.unflatten(-1, (-1, 2)).norm(dim=-1), atol=1e-5)
    assert not torch.allclose(turned, x, atol=0.1)


def test_position_zero_turns_nothing():
    x = tokens(1)
    assert torch.equal(rotate(x, vision_rope(1, 1, 1)), x)


def test_attention_depends_on_the_distance_only():
    """q at i against k at j depends on i - j, along each axis of the grid."""
    q, k = tokens(1, seed=2)[0, 0, 0], tokens(1, seed=3)[0, 0, 0]
    grid = (7, 6, 5)
    table = vision_rope(*grid)
    queries, keys = rotate(q.expand(210, 64), table), rotate(k.expand(210, 64), table)
    scores = (queries @ keys.T).view(*grid, *grid)
    assert torch.allclose(scores[1:, 1:, 1:, 1:, 1:, 1:], scores[:-1, :-1, :-1, :-1, :-1, :-1], atol=1e-4)
    assert scores.std() > 0.1


def test_turning_twice_adds_the_angles():
    x, table = tokens(12), vision_rope(3, 2, 2)
    cos, sin = table.cos, table.sin
    double = RotaryTable(cos * cos - sin * sin, 2 * sin * cos)
    assert torch.allclose(rotate(rotate(x, table), table), rotate(x, double), atol=1e-5)
    back = RotaryTable(cos, -sin)
    assert torch.allclose(rotate(rotate(x, table), back), x, atol=1e-5)


def test_dtype_is_kept():
    x = tokens(4).to(torch.bfloat16)
    turned = rotate(x, vision_rope(1, 2, 2))
    assert turned.dtype == torch.bfloat16
    assert torch.equal(turned, rotate(x.float(), vision_rope(1, 2, 2)).to(torch.bfloat16))
    assert rotate(tokens(4).double(), vision_rope(1, 2, 2)).dtype == torch.float64


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: vision_rope(0, 2, 2),
        lambda: vision_rope(1, 2, 2, split=(16, 23, 25)),
        lambda: vision_rope(1, 2, 2, split=(16, 24)),
        lambda: motion_rope(torch.zeros(24, 2), 3),
        lambda: motion_rope(MEAN, 0),
        lambda: rotate(tokens(5), vision_rope(1, 2, 2)),
        lambda: RotaryTable(torch.zeros(4, 3), torch.zeros(4, 3)),
        lambda: RotaryTable(torch.zeros(4, 2), torch.zeros(3, 2)),
    ],
)
def test_bad_input_is_refused(wrong):
    with pytest.raises(ValueError):
        wrong()


def test_reference_tables(reference):
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "rope.safetensors"))
    small = motion_rope(golden["in.mean"], 13)
    large = motion_rope(golden["in.mean"], 13, split=(44, 28, 28, 28))
    half = small.to(torch.bfloat16)
    vision = vision_rope(3, 4, 6)
    for table, name in ((small, "motion_7b"), (large, "motion_17b"), (half, "motion_7b_bf16"), (vision, "vision_7b_3x4x6")):
        assert torch.equal(table.cos, golden[f"out.{name}.cos"]), name
        assert torch.equal(table.sin, golden[f"out.{name}.sin"]), name
    grid = vision_rope(13, 32, 32)
    for band, axis in ((slice(0, 16), "t"), (slice(16, 40), "h"), (slice(40, 64), "w")):
        view = grid.cos[:, band].view(13, 32, 32, -1)
        line = {"t": view[:, 5, 7], "h": view[3, :, 7], "w": view[3, 5, :]}[axis]
        assert torch.equal(line, golden[f"out.vision_7b_512.{axis}_cos"]), axis
    assert (rotate(golden["in.x"], small) - golden["out.x_rot_motion_7b"]).abs().max() < 5e-5


def test_reference_wan(reference):
    """Wan keeps its table as complex numbers in float64 and its tokens as (B, N, heads, channels)."""
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "rope.safetensors"))
    turned = rotate(golden["in.x_wan"].transpose(1, 2), vision_rope(3, 4, 6, split=(44, 42, 42))).transpose(1, 2)
    assert (turned - golden["out.x_wan_rot_3x4x6"]).abs().max() < 5e-5
