"""Views and time: what holds of every plan, equalities of the blended prediction, a naive twin, seams, and refusals."""

import random
from itertools import pairwise

import pytest
import torch
from motion4d.core.sampling.consistency import Consistency
from motion4d.core.sampling.loop import sample
from motion4d.core.sampling.noise import starting_noise
from motion4d.core.sampling.progressive import (
    Balance,
    StepCount,
    ViewTimePlan,
    add_piece,
    cut,
    fuse,
    over_time,
    plan_grid,
    progressive_denoiser,
)
from motion4d.core.sampling.schedules import cogvideox_ddim, wan_flow
from motion4d.core.sampling.windows import WindowPlan, plan_windows

T = torch.tensor(700.0)
LATENTS = starting_noise((12, 2, 30, 3, 4), 0)
SMALL = {"frame_window": 10, "frame_overlap": 4, "tile_frames": 5}


def mixing(part, timestep, window):
    """A model of clips: neighbours along the clip, the mean of the clip and that of all rows, all the same backwards."""
    beside = part[:, :, 1:-1] - (part[:, :, :-2] + part[:, :, 2:]) / 2
    return torch.sin(2 * part) + torch.nn.functional.pad(beside, (0, 0, 0, 0, 1, 1)) + part.mean((2, 3, 4), keepdim=True) + part.mean(0)


def random_plans(count):
    numbers = random.Random(0)
    for _ in range(count):
        window, frames = numbers.randint(1, 9), numbers.randint(1, 16)
        yield plan_grid(
            numbers.randint(1, 20), numbers.randint(1, 40), view_window=window, view_overlap=numbers.randrange(window),
            closed=numbers.random() < 0.5, frame_window=frames, frame_overlap=numbers.randrange(frames), tile_views=numbers.randint(1, 6),
            tile_frames=numbers.randint(1, 14), views_as=numbers.choice(["frames", "batch"]), anchor_first=numbers.random() < 0.3,
            tile_origins=numbers.randint(1, 5), tile_overlap=numbers.choice([0.0, 0.0, 0.3, 0.5]),
            balance=numbers.choice([Balance("alternate"), Balance("ramp", 0.3), Balance(start=numbers.random()), Balance(start=1.0)]),
        )  # fmt: skip


# --- what holds of every plan ---


def test_weights_sum_to_one_at_every_view_and_frame():
    for plan in random_plans(250):
        for step, progress in ((0, 0.0), (1, 0.4), (2, 0.7), (5, 1.0)):
            total = torch.zeros(plan.shape)
            for window, weights in plan.pieces(step, progress):
                assert (weights >= 0).all() and weights.any() and weights.dtype == torch.float32
                assert len(window.views.unique()) == len(window.views) and len(window.frames.unique()) == len(window.frames)
                total[window.views[:, None], window.frames] += weights
            assert torch.allclose(total, torch.ones(plan.shape), atol=1e-6)


@pytest.mark.parametrize("views_as", ["frames", "batch"])
def test_windows_are_the_same_objects_where_tiles_are_again_as_before(views_as):
    plan = plan_grid(12, 30, balance=Balance("ramp", 0.2), views_as=views_as, **SMALL)
    turns = [[id(window) for window, _ in plan.pieces(step, 0.3)] for step in range(24)]
    assert turns[:12] == turns[12:] and not set(turns[0]) & set(turns[1])  # tiles of 3 and 5 begin at 3 and 4 places
    assert len(plan.tiles["time"]) == 3 and len(plan.tiles["views"]) == 4
    assert len({one for turn in turns for one in turn}) == sum(map(len, (turns[0], turns[1], turns[2]))) + (
        sum(window.along == "views" for window, _ in plan.pieces(3))
    )
    still = plan_grid(12, 30, balance=Balance("ramp", 0.2), views_as=views_as, tile_origins=1, **SMALL)
    assert [id(window) for window, _ in still.pieces(0, 0.0)] == [id(window) for window, _ in still.pieces(7, 0.9)]


@pytest.mark.parametrize("balance", [Balance(), Balance("alternate")])
def test_no_border_of_tiles_is_there_at_every_step(balance):
    plan = plan_grid(12, 48, balance=balance)
    for along in ("time", "views"):
        begin = [
            {int((window.views if along == "time" else window.frames)[0]) for window, _ in plan.pieces(step) if window.along == along}
            for step in range(16)
        ]
        begin = [one for one in begin if one]
        assert len(begin) == (16 if balance.kind == "constant" else 8)
        assert all(not one & following for one, following in pairwise(begin))
        for place in set.union(*begin):
            assert sum(place in one for one in begin) <= (len(begin) + 2) // 3


def test_moving_tiles_costs_nothing_where_rows_are_apart_and_one_tile_more_where_they_are_clips():
    for step in range(4):
        assert len(plan_grid(12, 48).pieces(step)) == 24
    counts = [sum(window.along == "views" for window, _ in plan_grid(12, 48, views_as="batch").pieces(step)) for step in range(4)]
    assert counts == [12, 15, 15, 15]
    for step in range(4):
        for window, _ in plan_grid(12, 30, views_as="batch", closed=False, **SMALL).pieces(step):
            assert window.views.diff().eq(1).all() and window.frames.diff().eq(1).all()


def test_tiles_that_overlap_cost_what_they_share():
    plan = plan_grid(12, 96, tile_overlap=1 / 3)
    assert all(len(plan.pieces(step)) == 1.5 * len(plan_grid(12, 96).pieces(step)) for step in range(4))


def test_pieces_have_the_sizes_that_were_asked_for():
    for window, _ in plan_grid(16, 48).pieces():
        assert (len(window.views), len(window.frames)) == ((3, 24) if window.along == "time" else (6, 12))
    for window, _ in plan_grid(7, 29).pieces():  # tiles that do not come out even
        assert (len(window.views), len(window.frames)) == ((3, 24) if window.along == "time" else (6, 12))


def test_cost_is_that_of_the_two_passes():
    plan = plan_grid(12, 48)
    along = [window.along for window, _ in plan.pieces()]
    assert along.count("time") == 3 * 4 and along.count("views") == 3 * 4
    alternate = plan_grid(12, 48, balance=Balance("alternate"))
    assert [{window.along for window, _ in alternate.pieces(step)} for step in range(3)] == [{"time"}, {"views"}, {"time"}]


def test_one_view_is_time_alone_and_one_frame_views_alone():
    for balance in (0.0, 0.5, 1.0, Balance("alternate"), Balance("ramp", 0.2)):
        for step in (0, 1):
            assert {window.along for window, _ in plan_grid(1, 50, balance=balance).pieces(step, 0.5)} == {"time"}
            assert {window.along for window, _ in plan_grid(9, 1, balance=balance).pieces(step, 0.5)} == {"views"}
            assert len(plan_grid(1, 1, balance=balance).pieces(step, 0.5)) == 1


def test_balances_are_what_they_say():
    assert [Balance().at(step, 0.3) for step in (0, 1)] == [0.5, 0.5]
    assert [Balance("alternate").at(step, 0.5) for step in range(4)] == [1, 0, 1, 0]
    assert [Balance("ramp", 0.3).at(0, at) for at in (-1.0, 0.0, 0.5, 1.0)] == pytest.approx([0.3, 0.3, 0.5, 0.7])
    assert Balance("ramp", 0.1, 0.3).at(9, 0.5) == pytest.approx(0.2)


def test_windows_on_a_circle_go_over_its_end_in_order():
    views = [window.views.tolist() for window, _ in plan_grid(12, 1).pieces()]
    assert views == [[0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 8, 9], [8, 9, 10, 11, 0, 1]]


def test_an_anchor_is_seen_first_and_counts_nothing():
    plan = plan_grid(12, 30, anchor_first=True, **SMALL)
    for window, weights in plan.pieces():
        held = window.frames if window.along == "time" else window.views
        assert (held == 0).sum() == 1
        if held[0] == 0 and held[1] != 1:
            assert not (weights[:, 0] if window.along == "time" else weights[0]).any()
    seen = fuse(lambda part, timestep, window: part[:, :, :1].expand_as(part), plan_grid(1, 30, anchor_first=True, **SMALL))
    outer = seen(LATENTS[:1], T)[:, :, 20:]
    assert torch.allclose(outer, LATENTS[:1, :, :1].expand_as(outer), atol=1e-6)


# --- pieces ---


@pytest.mark.parametrize("views_as", ["frames", "batch"])
def test_a_cut_piece_is_what_the_window_says(views_as):
    grid = (torch.arange(12)[:, None] * 100 + torch.arange(30)).float().view(12, 1, 30, 1, 1).expand(12, 3, 30, 2, 2).contiguous()
    for window, weights in plan_grid(12, 30, views_as=views_as, **SMALL).pieces():
        part, turned = cut(grid, window, views_as), window.along == "views" and views_as == "frames"
        expected = (window.views[:, None] * 100 + window.frames).float()
        assert torch.equal(part[:, 1, :, 1, 0], expected.T if turned else expected) and part.is_contiguous()
        total = torch.zeros_like(grid)
        add_piece(total, part, window, weights, views_as)
        naive = torch.zeros(12, 30)
        naive[window.views[:, None], window.frames] = expected * weights
        assert torch.allclose(total[:, 2, :, 0, 1], naive)


def test_a_part_of_another_window_is_refused():
    window, weights = plan_grid(12, 30, **SMALL).pieces()[0]
    with pytest.raises(ValueError, match="its window 3 and 10: cut it by this window"):
        add_piece(torch.zeros(12, 2, 30, 1, 1), torch.zeros(10, 2, 3, 1, 1), window, weights)


# --- equalities ---


def test_an_identity_returns_its_input():
    for plan in random_plans(60):
        latents = starting_noise((plan.shape[0], 2, plan.shape[1], 2, 2), 1)
        assert torch.allclose(fuse(lambda part, timestep, window: part, plan)(latents, T, step=1, progress=0.3), latents, atol=1e-6)


def test_predictions_of_each_picture_alone_come_back_whole():
    for plan in random_plans(40):
        latents = starting_noise((plan.shape[0], 2, plan.shape[1], 2, 2), 1)
        found = fuse(lambda part, timestep, window: torch.sin(3 * part) * timestep, plan)(latents, torch.tensor(2.0))
        assert torch.allclose(found, torch.sin(3 * latents) * 2, atol=2e-6)


def test_one_window_is_no_window():
    whole = mixing(LATENTS[:, :, :9].contiguous(), T, None)
    for share in (0.0, 0.3, 0.5, 1.0):
        plan = plan_grid(12, 9, view_window=12, tile_views=12, balance=share, views_as="batch")
        calls = []
        found = fuse(lambda part, timestep, window, calls=calls: calls.append(window) or mixing(part, timestep, window), plan)
        assert torch.equal(found(LATENTS[:, :, :9], T), whole) and len(calls) == 1
    time = plan_grid(12, 9, tile_views=12, balance=1.0)
    assert torch.equal(fuse(mixing, time)(LATENTS[:, :, :9], T), whole)
    around = fuse(mixing, plan_grid(12, 1, view_window=12))(LATENTS[:, :, :1], T)
    assert torch.equal(around, mixing(LATENTS[:, :, :1].transpose(0, 2).contiguous(), T, None).transpose(0, 2))
    assert torch.equal(fuse(mixing, over_time(plan_windows(9, 13, 3), 12))(LATENTS[:, :, :9], T), whole)


@pytest.mark.parametrize("views_as", ["frames", "batch"])
@pytest.mark.parametrize("closed", [False, True])
def test_it_is_the_naive_blend(views_as, closed):
    plan = plan_grid(11, 23, closed=closed, views_as=views_as, balance=0.3, anchor_first=True, **SMALL)
    latents = starting_noise((11, 2, 23, 2, 2), 3)
    total, weight = torch.zeros(11, 2, 23, 2, 2, dtype=torch.float64), torch.zeros(11, 23, dtype=torch.float64)
    for along, share, first, second, tile in (("time", 0.3, plan.frames, 11, 3), ("views", 0.7, plan.views, 23, 5)):
        tiles = [list(range(start, start + tile)) for start in range(0, second, tile)]
        if (along == "time" and closed) or views_as == "frames":
            tiles[-1] = [place % second for place in tiles[-1]]
        elif tiles[-1][-1] >= second:
            tiles[-1] = list(range(second - tile, second))
        count = [sum(place in one for one in tiles) for place in range(second)]
        for indices, ramp in zip(first.indices, first.weights, strict=True):
            for one in tiles:
                held = indices.tolist() if 0 in indices else [0, *indices.tolist()]
                blend = ramp.tolist() if 0 in indices else [0.0, *ramp.tolist()]
                seen = (lambda v, f: (v, f)) if along == "time" else (lambda v, f: (f, v))
                rows = [torch.stack([latents[seen(t, h)[0], :, seen(t, h)[1]] for h in held], 1) for t in one]
                if along == "views" and views_as == "batch":  # rows are views: clips of the tile's frames
                    rows = [torch.stack([latents[h, :, t] for t in one], 1) for h in held]
                out = mixing(torch.stack(rows), T, None)
                for a, t in enumerate(one):
                    for b, h in enumerate(held):
                        v, f = seen(t, h)
                        value = out[b, :, a] if along == "views" and views_as == "batch" else out[a, :, b]
                        total[v, :, f] += share * blend[b] / count[t] * value.double()
                        weight[v, f] += share * blend[b] / count[t]
    assert torch.allclose(weight, torch.ones_like(weight), atol=1e-6)
    assert torch.allclose(fuse(mixing, plan)(latents, T).double(), total, atol=1e-5)


@pytest.mark.parametrize("balance", [0.5, Balance("alternate"), Balance("ramp", 0.3)])
@pytest.mark.parametrize("schedule", [wan_flow, cogvideox_ddim])
def test_blending_predictions_is_blending_the_next_latents(schedule, balance):
    plan, latents = plan_grid(7, 17, balance=balance, **SMALL), starting_noise((7, 2, 17, 2, 2), 4)
    one, other = schedule(4), schedule(4)
    by_prediction, by_latents = latents, latents
    for step, timestep in enumerate(one.timesteps):
        prediction = fuse(mixing, plan)(by_prediction, timestep, step=step, progress=step / 4)
        by_prediction = one.step(prediction, timestep, by_prediction, return_dict=False)[0]

        def advanced(part, timestep, window, step=step):
            if hasattr(other, "_step_index"):
                other._step_index = step
            return other.step(mixing(part, timestep, window), timestep, part, return_dict=False)[0]

        by_latents = fuse(advanced, plan)(by_latents, timestep, step=step, progress=step / 4)
    assert (by_prediction - by_latents).abs().max() < 2e-5 * by_latents.abs().max()
    assert (by_prediction - latents).abs().max() > 0.1


@pytest.mark.parametrize(("overlap", "tile", "balance"), [(3, 3, 0.5), (2, 4, 0.5), (2, 3, 0.0), (4, 2, 0.7), (2, 2, Balance("alternate"))])
def test_turning_a_circle_of_views_turns_the_result(overlap, tile, balance):
    plan = plan_grid(12, 30, view_overlap=overlap, tile_views=tile, balance=balance, **SMALL)
    straight = fuse(mixing, plan)(LATENTS, T)
    for shift in range(6 - overlap, 12, 6 - overlap):
        turned = fuse(mixing, plan)(LATENTS.roll(shift, 0), T)
        assert torch.allclose(turned, straight.roll(shift, 0), atol=2e-6)
    assert not torch.allclose(fuse(mixing, plan)(LATENTS.roll(1, 0), T), straight.roll(1, 0), atol=1e-2)


@pytest.mark.parametrize(("overlap", "closed"), [(3, True), (3, False), (0, True)])
def test_views_backwards_give_the_result_backwards(overlap, closed):
    plan = plan_grid(12, 30, view_overlap=overlap, closed=closed, **SMALL)
    assert torch.allclose(fuse(mixing, plan)(LATENTS.flip(0), T), fuse(mixing, plan)(LATENTS, T).flip(0), atol=2e-6)


def test_the_order_of_windows_changes_nothing():
    plan = plan_grid(12, 30, **SMALL)
    shuffled = [
        WindowPlan([one.indices[place] for place in order], [one.weights[place] for place in order])
        for one, order in ((plan.frames, [*range(1, len(plan.frames.indices)), 0]), (plan.views, [1, 2, 0]))
    ]
    other = ViewTimePlan(*shuffled, tile_frames=5)
    assert torch.allclose(fuse(mixing, other)(LATENTS, T), fuse(mixing, plan)(LATENTS, T), atol=2e-6)


def test_half_precision_is_blended_in_full():
    latents = LATENTS.bfloat16()
    found = fuse(lambda part, timestep, window: part, plan_grid(12, 30, **SMALL))(latents, T)
    assert found.dtype == torch.bfloat16 and torch.equal(found, latents)


# --- a long video of several rows ---


def test_windows_over_time_take_all_rows_together():
    plan = plan_windows(30, 13, 3)
    pieces = over_time(plan, 4).pieces(3, 0.9)
    assert [window.frames.tolist() for window, _ in pieces] == [indices.tolist() for indices in plan.indices]
    assert all(window.views.tolist() == [0, 1, 2, 3] for window, _ in pieces)
    for (_, weights), ramp in zip(pieces, plan.weights, strict=True):
        assert torch.allclose(weights, ramp.expand(4, -1))
    ((window, weights),) = over_time(plan_windows(1, 13, 3), 4).pieces()
    assert cut(LATENTS[:4, :, :1], window, "batch").shape[:3] == (4, 2, 1) and weights.tolist() == [[1.0]] * 4


# --- the denoiser of a whole grid ---


def test_the_denoiser_of_a_grid_sees_pieces_of_views_and_frames():
    frames, views, seen = plan_windows(30, 10, 4), plan_windows(12, 6, 2, closed=True), []
    grid = LATENTS.transpose(1, 2)

    def denoise(part, timestep, window):
        seen.append(window)
        assert torch.equal(part, grid[window.views][:, window.frames])
        return part * (2 if window.conditional else 3)

    fused = progressive_denoiser(denoise, frames, views, tile_frames=5)
    assert torch.allclose(fused(grid, T), grid * 2, atol=2e-6) and torch.allclose(fused(grid, T, False), grid * 3, atol=2e-6)
    assert {window.along for window in seen} == {"time", "views"}
    first = list(map(id, seen))
    fused(grid, torch.tensor(500.0))
    seen.clear()
    fused(grid, T), fused(grid, T, False)  # the next run starts with the first step again
    assert first == list(map(id, seen))
    with pytest.raises(ValueError, match="latents has shape"):
        fused(torch.zeros(12, 30, 2, 2), T)


def test_sampling_a_grid_guides_every_piece_and_counts_its_steps():
    frames, views, calls = plan_windows(30, 10, 4), plan_windows(12, 6, 2, closed=True), []
    start = LATENTS.transpose(1, 2)

    def denoise(part, timestep, window):
        calls.append((float(timestep), window.along, window.conditional))
        return torch.sin(part) * (1.5 if window.conditional else 1.0)

    fused = progressive_denoiser(denoise, frames, views, balance=Balance("alternate"))
    found = sample(fused, start, wan_flow(3), guidance=2.0)
    whole = sample(lambda z, t, conditional: torch.sin(z) * (1.5 if conditional else 1.0), start, wan_flow(3), guidance=2.0)
    assert torch.allclose(found, whole, atol=1e-5)
    at = dict.fromkeys(timestep for timestep, *_ in calls)
    passes = [{along for timestep, along, _ in calls if timestep == one} for one in at]
    assert passes == [{"time"}, {"views"}, {"time"}]
    assert {conditional for *_, conditional in calls} == {True, False}
    calls.clear()
    sample(fused, start, wan_flow(3))  # the next run starts with the first step again
    assert {along for timestep, along, _ in calls if timestep == calls[0][0]} == {"time"}


def test_steps_are_counted_by_changes_of_the_timestep():
    steps = StepCount()
    found = [steps.at(timestep) for timestep in (800.0, 800.0, 400.0, torch.tensor(400.0), 0.0, 800.0, 200.0)]
    assert found == [(0, 0), (0, 0), (1, 0.5), (1, 0.5), (2, 1), (0, 0), (1, 0.75)]
    assert StepCount().at(0.0) == (0, 0.0)


# --- seams ---


def seams(plan, jump=3.3, *, spread=0.0, steps=6):
    """A grid from a model of pictures that vary by `spread` around noise whose neighbours differ by 1, plus or minus jump / 2 in every other window.

    Without spread every step decides all anew, and the result is what the last one says.
    """
    target, order = starting_noise((plan.shape[0], 4, plan.shape[1], 8, 8), 6) * 0.8862, {}

    def denoise(part, timestep, window):
        sigma, mean = float(timestep) / 1000, cut(target, window, plan.views_as) + jump / 2 * (-1) ** order.setdefault(window, len(order))
        trust = spread**2 * (1 - sigma) / (spread**2 * (1 - sigma) ** 2 + sigma**2)
        return (part - mean - trust * (part - (1 - sigma) * mean)) / sigma  # velocity of a flow

    scheduler, latents = wan_flow(steps), starting_noise(target.shape, 7)
    for step, timestep in enumerate(scheduler.timesteps):
        prediction = fuse(denoise, plan)(latents, timestep, step=step, progress=step / steps)
        latents = scheduler.step(prediction, timestep, latents, return_dict=False)[0]
    return Consistency.of(latents.transpose(1, 2), plan)


@pytest.mark.parametrize("axis", ["frames", "views"])
def test_seams_are_gone_where_windows_overlap(axis):
    def found(overlap):
        if axis == "frames":
            return seams(plan_grid(1, 96, frame_overlap=overlap), 3.3).time
        return seams(plan_grid(24, 1, view_overlap=overlap), 3.3).views

    fused, disjoint = found(6 if axis == "frames" else 2), found(0)
    print(f"\n{axis}: fused x{fused.ratio:.2f}, disjoint x{disjoint.ratio:.2f}")
    assert fused.ratio <= 1.2 and disjoint.ratio >= 3


@pytest.mark.parametrize("views_as", ["frames", "batch"])
def test_seams_are_gone_on_both_axes_where_tiles_move(views_as):
    moved, still = (seams(plan_grid(12, 96, tile_origins=count, views_as=views_as), spread=1.0, steps=8) for count in (4, 1))
    print(f"\n{moved.text()}\ntiles that stay: x{still.seams:.2f}")
    assert moved.seams <= 1.2 and still.seams >= 1.4


def test_tiles_that_overlap_leave_no_seams_where_the_last_step_decides():
    alone, shared = (seams(plan_grid(12, 96, tile_overlap=overlap)) for overlap in (0.0, 1 / 3))
    print(f"\nside by side x{alone.seams:.2f}, overlapping x{shared.seams:.2f}")
    assert shared.seams <= 1.2 and alone.seams >= 1.6


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_equalities_hold_where_tiles_have_moved(step):
    plan = plan_grid(12, 30, view_overlap=3, **SMALL)
    straight = fuse(mixing, plan)(LATENTS, T, step=step)
    assert torch.allclose(fuse(mixing, plan)(LATENTS.roll(3, 0), T, step=step), straight.roll(3, 0), atol=2e-6)
    assert not torch.allclose(straight, fuse(mixing, plan)(LATENTS, T), atol=1e-2)
    whole = plan_grid(12, 9, view_window=12, tile_views=12, views_as="batch")
    assert torch.equal(fuse(mixing, whole)(LATENTS[:, :, :9], T, step=step), mixing(LATENTS[:, :, :9].contiguous(), T, None))


# --- refusals ---


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"view_overlap": 6}, "views: windows of 6 overlap by 6, expected 0 to 5"),
        ({"frame_overlap": 24}, "frames: windows of 24 overlap by 24, expected 0 to 23"),
        ({"tile_views": 0}, "tiles of 0 views and 12 frames"),
        ({"tile_origins": 0}, "tiles begin at 0 places in turn, expected 1"),
        ({"tile_overlap": 0.6}, "tiles share 0.6 of their size, expected 0 to 0.5"),
        ({"views_as": "clips"}, "expected frames or batch"),
        ({"balance": 1.5}, "balance goes from 1.5"),
        ({"balance": -0.1}, "balance goes from -0.1"),
    ],
)
def test_bad_plans_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        plan_grid(12, 48, **given)
    with pytest.raises(ValueError, match="balance is 'sometimes'"):
        Balance("sometimes")


def test_latents_of_other_views_or_frames_are_refused():
    fused = fuse(mixing, plan_grid(12, 30))
    with pytest.raises(ValueError, match="cover 12 views, the latents have 11: plan them"):
        fused(LATENTS[:11], T)
    with pytest.raises(ValueError, match="cover 30 latent frames, the latents have 29"):
        fused(LATENTS[:, :, :29], T)
    with pytest.raises(ValueError, match="latents has shape"):
        fused(LATENTS[0], T)
