"""Rotations of any tree, with any twist: what was posed by rotations is reached, whatever the tree, its rest pose and its roots."""

import time

import pytest
import torch
from motion4d.core.geometry.ik import TWISTS, solve_rotations
from motion4d.core.geometry.kinematics import forward, rest_pose, world_rotations
from motion4d.core.geometry.rotations import align_vectors, matrix_to_rotvec, nearest_rotation, rotvec_to_matrix
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import Animation, Frame, Motion, Rig, Skeleton


def tree(parents, rest):
    return Skeleton(names=tuple(f"j{n}" for n in range(len(parents))), parents=parents, mirror=tuple(range(len(parents))), rest=rest)


def random_tree(generator, joints, *, roots=1, reach=4):
    parents = [-1] * roots + [max(0, j - 1 - int(torch.randint(reach, (1,), generator=generator))) for j in range(roots, joints)]
    offsets = 0.3 * torch.randn(joints, 3, generator=generator)
    rest = offsets.clone()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            rest[joint] += rest[parent]
    return tree(tuple(parents), rest)


def legs(attached, x, z, knee=0.35, length=0.3):
    """Parents and rest of a leg of three joints below joint `attached`, whose first number follows."""
    return [
        (attached, (x, 0.8, z)),
        (0, (x, 0.8 - length, z + 0.08)),
        (1, (x, 0.8 - 2 * length - 0.05, z - 0.04)),
        (2, (x, 0.02, z + 0.05)),
    ]


def quadruped():
    rows = [(-1, (0, 0.85, -0.4)), (0, (0, 0.87, -0.1)), (1, (0, 0.86, 0.2)), (2, (0, 0.95, 0.4)), (3, (0, 1.15, 0.6)), (4, (0, 1.15, 0.8))]
    for attached, x, z in ((0, 0.12, -0.42), (0, -0.12, -0.42), (2, 0.12, 0.22), (2, -0.12, 0.22)):
        first = len(rows)
        rows += [(attached if n == 0 else first + parent, place) for n, (parent, place) in enumerate(legs(attached, x, z))]
    for n in range(4):
        rows.append((0 if n == 0 else len(rows) - 1, (0, 0.85 - 0.05 * n, -0.55 - 0.15 * n)))
    return tree(tuple(p for p, _ in rows), torch.tensor([place for _, place in rows]).float())


def winged():
    rows = [(-1, (0, 1.0, 0)), (0, (0, 1.2, 0.05)), (1, (0, 1.4, 0.15))]
    for side in (1, -1):
        for n in range(6):
            rows.append((1 if n == 0 else len(rows) - 1, (side * (0.15 + 0.3 * n), 1.2 + 0.02 * n * n, -0.03 * n)))
        elbow = len(rows) - 4
        rows += [(elbow, (side * 0.8, 1.2, -0.4)), (elbow, (side * 0.9, 1.2, -0.45))]
    return tree(tuple(p for p, _ in rows), torch.tensor([place for _, place in rows]).float())


def mechanical():
    """A crane: a turntable, a straight boom, a closed pair of joints in one place, two jaws on a line, and a second machine beside it."""
    rows = [
        (-1, (0, 0, 0)),
        (0, (0, 0.5, 0)),
        (1, (0, 1.5, 0)),
        (2, (0, 1.5, 0)),
        (3, (1, 1.5, 0)),
        (4, (1.2, 1.5, 0)),
        (4, (0.8, 1.5, 0)),
        (-1, (3, 0, 0)),
        (7, (3, 1, 0)),
        (8, (3, 2, 0)),
    ]
    return tree(tuple(p for p, _ in rows), torch.tensor([place for _, place in rows]).float())


def chain(count):
    return tree(tuple(range(-1, count - 1)), torch.tensor([[0.0, 0.02 * n, 0.0] for n in range(count)]))


def turned_rig(skeleton, generator):
    """The same joints with rest frames turned every way."""
    count = len(skeleton.names)
    rest = torch.eye(4).repeat(count, 1, 1)
    rest[:, :3, :3] = nearest_rotation(torch.randn(count, 3, 3, generator=generator))
    rest[:, :3, 3] = skeleton.rest
    return Rig(skeleton=skeleton, rest=rest, inverse_bind=torch.linalg.inv(rest), joint_nodes=tuple(range(count)), document={}, binary=b"")


def posed(rig, generator, *, frames=8, angle=0.8, dtype=torch.float64):
    """World joints of random turns away from rest, further roots moved by themselves, without the rotations that made them."""
    skeleton = rig.skeleton if isinstance(rig, Rig) else rig
    rest, rest_world = rest_pose(rig, torch.float64)
    turns = rotvec_to_matrix(angle * torch.randn(frames, len(rest), 3, generator=generator, dtype=torch.float64))
    world = world_rotations(turns, skeleton.parents) @ rest_world
    local = torch.stack([world[:, j] if p < 0 else world[:, p].mT @ world[:, j] for j, p in enumerate(skeleton.parents)], 1)
    others = skeleton.roots[1:]
    places = torch.randn(frames, len(others), 3, generator=generator, dtype=torch.float64) if others else None
    translation = torch.randn(frames, 3, generator=generator, dtype=torch.float64)
    joints = forward(Animation(rotations=local, translation=translation, fps=30.0, rig=rig, placed=others, places=places)).joints
    return plain(joints.to(dtype), skeleton), world


def plain(joints, skeleton, confidence=None):
    confidence = torch.ones(joints.shape[:2]) if confidence is None else confidence
    return Motion(joints=joints, confidence=confidence, skeleton=skeleton, fps=30.0, frame=Frame.WORLD)


TREES = {
    "random": lambda g: random_tree(g, 30),
    "roots": lambda g: random_tree(g, 20, roots=4),
    "quadruped": lambda g: quadruped(),
    "winged": lambda g: winged(),
    "mechanical": lambda g: mechanical(),
    "one": lambda g: chain(1),
    "two": lambda g: chain(2),
    "long": lambda g: random_tree(g, 500, reach=40),
    "person": lambda g: SMPL24,
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize("name", TREES)
def test_any_tree_is_reached(name, dtype, generator):
    skeleton = TREES[name](generator)
    motion, _ = posed(skeleton, generator, dtype=dtype, frames=3 if name == "long" else 8, angle=0.5)
    size = max(float((skeleton.rest.amax(0) - skeleton.rest.amin(0)).max()), 1.0)
    found = solve_rotations(motion, skeleton)
    reached = forward(found).joints
    assert found.placed == skeleton.roots[1:] and reached.dtype == dtype
    assert (reached - motion.joints).norm(dim=-1).max() < (1e-6 if dtype == torch.float64 else 2e-5) * size
    assert found.residual.max() < (1e-6 if dtype == torch.float64 else 2e-5) * size


@pytest.mark.parametrize("twist", TWISTS)
@pytest.mark.parametrize("name", ["random", "roots", "quadruped", "winged", "mechanical", "two", "person"])
def test_every_twist_reaches_the_joints_of_a_rig_with_turned_frames(name, twist, generator):
    skeleton = TREES[name](generator)
    rig = turned_rig(skeleton, generator)
    motion, _ = posed(rig, generator)
    found = solve_rotations(motion, rig, twist=twist)
    assert (forward(found).joints - motion.joints).norm(dim=-1).max() < 1e-6
    identity = torch.eye(3, dtype=torch.float64)
    assert torch.allclose(found.rotations @ found.rotations.mT, identity.expand_as(found.rotations), atol=1e-9)


@pytest.mark.parametrize("method", ["direct", "fabrik"])
def test_bones_that_point_the_other_way_are_reached(method, generator):
    skeleton = chain(6)
    for direction in (-1.0, 1.0):
        joints = (skeleton.rest.double() * torch.tensor([1.0, direction, 1.0])).expand(3, 6, 3)
        found = solve_rotations(plain(joints, skeleton), skeleton, method=method)
        assert (forward(found).joints - joints).norm(dim=-1).max() < 1e-6


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("twist", TWISTS)
def test_the_unit_of_length_changes_nothing(scale, twist, generator):
    """Also of noisy joints; and far from the origin."""
    skeleton = quadruped()
    motion, _ = posed(skeleton, generator, angle=0.4)
    noisy = motion.joints + 0.01 * torch.randn(motion.joints.shape, generator=generator, dtype=torch.float64)
    before = solve_rotations(plain(noisy, skeleton), skeleton, twist=twist)
    larger = tree(skeleton.parents, skeleton.rest.double() * scale)
    after = solve_rotations(plain(noisy * scale, larger), larger, twist=twist)
    assert torch.allclose(after.rotations, before.rotations, atol=1e-5)
    assert torch.allclose(after.residual, before.residual * scale, atol=1e-6 * scale)


def hips_above_a_root_bone(generator, frames=10):
    """A person whose skeleton hangs on a bone from the floor, and a crouch that the bone does not follow."""
    person = SMPL24.rest
    skeleton = tree((-1, *(p + 1 for p in SMPL24.parents)), torch.cat([torch.zeros(1, 3), person]))
    turns = rotvec_to_matrix(0.5 * torch.randn(frames, 25, 3, generator=generator, dtype=torch.float64))
    turns[:, 0] = torch.eye(3)
    hips = person[0].double() - torch.linspace(0, 0.3, frames, dtype=torch.float64)[:, None] * torch.tensor([0.0, 1.0, 0.2])
    animation = Animation(
        rotations=turns, translation=torch.zeros(frames, 3).double(), fps=30.0, rig=skeleton, placed=(1,), places=hips[:, None]
    )
    return skeleton, animation


@pytest.mark.parametrize("twist", TWISTS)
def test_hips_that_leave_their_root_bone_are_moved_by_themselves(twist, generator):
    skeleton, animation = hips_above_a_root_bone(generator)
    motion = forward(animation)
    assert motion.rotations is None
    found = solve_rotations(plain(motion.joints, skeleton), skeleton, twist=twist)
    assert found.placed == (1,) and found.residual.max() < 1e-6
    assert torch.allclose(found.places, animation.places, atol=1e-12)
    assert torch.allclose(found.rotations[:, 0], animation.rotations[:, 0], atol=1e-9)


def test_hips_that_keep_their_distance_are_carried(generator):
    skeleton, _ = hips_above_a_root_bone(generator)
    motion, _ = posed(skeleton, generator)
    found = solve_rotations(motion, skeleton)
    assert found.placed == () and found.residual.max() < 1e-6
    # The root turns with the hips, although the one bone from it shows no turn about itself.
    turn = rotvec_to_matrix(torch.tensor([0.0, 1.2, 0.0], dtype=torch.float64))
    facing = solve_rotations(plain((skeleton.rest.double() @ turn.T)[None], skeleton), skeleton)
    assert torch.allclose(facing.rotations[0, 0], turn, atol=1e-6)


@pytest.mark.parametrize("unseen", [(0,), (1,), ()])
def test_two_joints_on_the_floor_in_one_place_are_one_for_the_hips_above_them(unseen, generator):
    person, moving = hips_above_a_root_bone(generator)
    skeleton = tree((-1, *(p + 1 for p in person.parents)), torch.cat([torch.zeros(1, 3), person.rest]))
    joints = forward(moving).joints
    confidence = torch.ones(10, 26)
    confidence[:, unseen] = 0
    found = solve_rotations(plain(torch.cat([torch.zeros_like(joints[:, :1]), joints], 1), skeleton, confidence), skeleton)
    assert found.placed[-1] == 2 and found.residual.nan_to_num().max() < 1e-6
    assert torch.allclose(found.places[:, -1:], moving.places, atol=1e-12)


def test_hips_stand_for_a_root_that_is_never_seen(generator):
    skeleton, animation = hips_above_a_root_bone(generator)
    confidence = torch.ones(10, 25)
    confidence[:, 0] = 0
    found = solve_rotations(plain(forward(animation).joints, skeleton, confidence), skeleton)
    assert found.placed == (1,) and found.residual.nan_to_num().max() < 1e-6
    assert torch.allclose(found.translation, animation.places[:, 0] - SMPL24.rest[0].double(), atol=1e-6)


def test_a_second_root_that_is_never_seen_keeps_its_distance(generator):
    skeleton = mechanical()
    motion, _ = posed(skeleton, generator)
    confidence = motion.confidence.clone()
    confidence[:, 7:] = 0
    found = solve_rotations(plain(motion.joints, skeleton, confidence), skeleton)
    assert torch.allclose(forward(found).joints[:, 7], motion.joints[:, 0] + torch.tensor([3.0, 0, 0]).double(), atol=1e-6)
    assert found.residual[:, 7:].isnan().all() and found.residual[:, :7].max() < 1e-6


@pytest.mark.parametrize("twist", TWISTS)
def test_what_is_missing_does_not_pull(twist, generator):
    """Two of three children settle a joint; one leaves the turn about it to the prior; none leaves it as the parent carries it."""
    motion, _ = posed(SMPL24, generator)
    confidence = motion.confidence.clone()
    confidence[2, 15] = confidence[2, 13] = confidence[3, [12, 13]] = confidence[4, [12, 13, 14]] = 0
    joints = torch.where(confidence[..., None] > 0, motion.joints, torch.nan)
    found = solve_rotations(plain(joints, SMPL24, confidence), SMPL24, twist=twist)
    off = (forward(found).joints - motion.joints).norm(dim=-1)
    assert torch.isfinite(found.rotations).all()
    assert off[2, [12, 14, 17, 19, 21]].max() < 1e-6 and off[3, [14, 17]].max() < 1e-6
    assert off[[0, 1, 5, 6, 7]].max() < 1e-6
    if twist == "inherit":
        assert torch.allclose(found.rotations[4, 9], torch.eye(3, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("aim", ["positions", "directions"])
def test_directions_are_kept_on_a_body_of_other_proportions(aim, generator):
    motion, _ = posed(SMPL24, generator, angle=0.4)
    scale = 0.7 + 0.6 * torch.rand(24, generator=generator)
    rest = SMPL24.rest.clone()
    for joint, parent in SMPL24.bones:
        rest[joint] = rest[parent] + (SMPL24.rest[joint] - SMPL24.rest[parent]) * scale[joint]
    other = tree(SMPL24.parents, rest)
    reached = forward(solve_rotations(motion, other, aim=aim)).joints
    limbs = [4, 5, 7, 8, 10, 11, 18, 19, 20, 21, 22, 23]
    above = [SMPL24.parents[joint] for joint in limbs]
    cosine = torch.nn.functional.cosine_similarity(
        reached[:, limbs] - reached[:, above], motion.joints[:, limbs] - motion.joints[:, above], dim=-1
    )
    off = torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))
    assert off.max() < 1e-4 if aim == "directions" else off.max() > 5


@pytest.mark.parametrize("method", ["direct", "fabrik"])
def test_bones_of_other_lengths_end_near_what_is_asked(method, generator):
    motion, _ = posed(SMPL24, generator, angle=0.4)
    noisy = motion.joints + 0.01 * torch.randn(motion.joints.shape, generator=generator, dtype=torch.float64)
    found = solve_rotations(plain(noisy, SMPL24), SMPL24, method=method)
    assert found.residual.mean() < 0.02
    assert torch.allclose(found.residual, (forward(found).joints - noisy).norm(dim=-1), atol=1e-6)


@pytest.mark.parametrize("name", ["person", "quadruped", "random"])
def test_the_fit_is_nowhere_further_off_than_one_pass(name, generator):
    skeleton = TREES[name](generator)
    motion, _ = posed(skeleton, generator, angle=0.5)
    noisy = plain(motion.joints + 0.02 * torch.randn(motion.joints.shape, generator=generator, dtype=torch.float64), skeleton)
    once, fitted = (solve_rotations(noisy, skeleton, twist=twist).residual.square().sum(-1) for twist in ("inherit", "optimise"))
    assert (fitted <= once * (1 + 1e-9)).all()
    assert fitted.mean() < 0.9 * once.mean()


def error_in_degrees(found, world):
    skeleton = found.skeleton
    inner = [joint for joint, below in enumerate(skeleton.children) if below]  # the turn of a leaf leaves no trace in positions
    return float(
        torch.rad2deg(matrix_to_rotvec(world_rotations(found.rotations, skeleton.parents).mT @ world)[:, inner].norm(dim=-1)).mean()
    )


def test_each_twist_has_motions_that_it_gets_back_best(generator):
    seconds = torch.arange(60, dtype=torch.float64) / 30

    def errors(skeleton, turns):
        world = world_rotations(turns, skeleton.parents)
        motion = forward(Animation(rotations=turns, translation=torch.zeros(60, 3).double(), fps=30.0, rig=skeleton))
        return {twist: error_in_degrees(solve_rotations(plain(motion.joints, skeleton), skeleton, twist=twist), world) for twist in TWISTS}

    # An arm of two hinges, bent at rest, that is twisted as it is raised.
    rest = torch.tensor([[0.0, 1, 0], [0.2, 1, 0], [-0.2, 1, 0.1], [0.5, 1, 0], [0.72, 1, 0.15]])
    arm = tree((-1, 0, 0, 1, 3), rest)
    turns = torch.eye(3, dtype=torch.float64).repeat(60, 5, 1, 1)
    turns[:, 1] = rotvec_to_matrix(torch.stack([1.4 * torch.sin(2 * seconds), 0 * seconds, 0.8 * seconds], -1))
    turns[:, 3] = rotvec_to_matrix(torch.stack([0 * seconds, -0.6 - 0.5 * torch.sin(3 * seconds), 0 * seconds], -1))
    found = errors(arm, turns)
    assert found["lookahead"] < 1 < 10 < found["inherit"]

    # A limb that is raised and led round a cone without a spin: on the way it gathers a turn about itself, which the smallest swing from rest never has.
    limb = tree((-1, 0, 0, 1, 3), torch.tensor([[0.0, 1, 0], [0.2, 1, 0], [-0.2, 1, 0.1], [0.2, 0.7, 0], [0.2, 0.4, 0]]))
    down = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    raised = rotvec_to_matrix(torch.tensor([-1.0, 0.0, 0.0], dtype=torch.float64)) @ down
    way = rotvec_to_matrix(4 * seconds[:, None] * torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)) @ raised
    turns = torch.eye(3, dtype=torch.float64).repeat(60, 5, 1, 1)
    turns[0, 1] = align_vectors(down, way[0])
    for frame in range(1, 60):
        turns[frame, 1] = align_vectors(way[frame - 1], way[frame]) @ turns[frame - 1, 1]
    found = errors(limb, turns)
    assert found["temporal"] < 1 < 20 < found["inherit"]

    # A spine that shares a turn evenly among its bones.
    rest = torch.tensor(
        [[0.0, 1, 0], [0.1, 0.9, 0], [-0.1, 0.9, 0], [0, 1.15, 0], [0, 1.3, 0], [0, 1.45, 0], [0.2, 1.5, 0], [-0.2, 1.5, 0], [0, 1.6, 0.02]]
    )
    spine = tree((-1, 0, 0, 0, 3, 4, 5, 5, 5), rest)
    turns = torch.eye(3, dtype=torch.float64).repeat(60, 9, 1, 1)
    turns[:, [3, 4, 5]] = rotvec_to_matrix(torch.stack([0 * seconds, 0.5 * torch.sin(2 * seconds), 0 * seconds], -1))[:, None]
    found = errors(spine, turns)
    assert found["optimise"] < 0.2 * found["inherit"] and found["inherit"] > 5


def test_temporal_twist_holds_noisy_children_of_a_line_still(generator):
    rest = torch.tensor([[0.0, 1, 0], [0.5, 1, 0], [-0.5, 1, 0], [-0.3, 1, 0]])
    skeleton = tree((-1, 0, 0, 0), rest)
    joints = rest.double() + 1e-3 * torch.randn(40, 4, 3, generator=generator, dtype=torch.float64)
    found = solve_rotations(plain(joints, skeleton), skeleton, twist="temporal")
    assert torch.rad2deg(matrix_to_rotvec(found.rotations[:, 0]).norm(dim=-1)).max() < 5


@pytest.mark.parametrize(("option", "message"), [({"method": "jump"}, "direct, fabrik"), ({"aim": "up"}, "positions, directions")])
def test_unknown_options_are_refused(option, message, generator):
    with pytest.raises(ValueError, match=message):
        solve_rotations(posed(SMPL24, generator)[0], SMPL24, **option)


def test_a_long_clip_takes_a_moment(generator):
    motion, _ = posed(SMPL24, generator, frames=3000)
    start = time.process_time()
    solve_rotations(motion, SMPL24)
    assert time.process_time() - start < 2  # seconds of this process; about 0.1
