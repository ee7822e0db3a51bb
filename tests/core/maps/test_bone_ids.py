"""Who is seen where: ids, exact geometry between cameras, moving cameras, soft edges, notes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from motion4d.core.body.anthropometry import HEAD_SECTION, HEAD_TOP, bone_sections, thickness_scale
from motion4d.core.body.demo import demo_motion
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.maps.bone_maps import render_bone_maps
from motion4d.core.maps.ellipsoids import body_ellipsoids, outline_bounds
from motion4d.core.maps.encodings import encode_depth, encode_normals, person_masks, soft_mask
from motion4d.core.maps.raster import fill_numpy, ray_lengths, trace_spans
from motion4d.core.skeletons import SMPL24, SMPLX55
from motion4d.core.types import BoneMaps, CameraRig, Frame, Motion, Skeleton

ENGINES = ("numpy", "torch")


def motion_of(joints, skeleton=SMPL24, confidence=None, **fields):
    confidence = torch.ones(joints.shape[:2]) if confidence is None else confidence
    return Motion(joints=joints, confidence=confidence, skeleton=skeleton, fps=30.0, frame=Frame.WORLD, **fields)


def wandering(frames, generator, skeleton=SMPL24, amount=0.05):
    return motion_of(skeleton.rest + amount * torch.randn(frames, len(skeleton.names), 3, generator=generator), skeleton)


def around(azimuths=(0.0,), size=(96, 80), radius=3.0):
    return orbit_rig(azimuths, radius=radius, image_size=size, focal_px=1.3 * size[0], target=(0.0, 0.86, 0.0))


def naive_ids(motion, rig):
    """Each ellipsoid by itself at every pixel, then the nearest: (V, T, H, W), and how much nearer it is than the next."""
    joints, sections, scale = motion.joints.double().numpy(), bone_sections(motion)[:, 0].numpy(), thickness_scale(motion)
    height, width = rig.image_size
    v, u = np.mgrid[:height, :width] + 0.5
    names = motion.skeleton.names
    pictures, margins = [], []
    for view in range(rig.views):
        pose, inverse = rig.world_to_camera[view].double().numpy(), np.linalg.inv(rig.intrinsics[view].double().numpy())
        rays = np.stack([u, v, np.ones_like(u)], -1) @ inverse.T
        for frame in joints:
            seen = frame @ pose[:, :3].T + pose[:, 3]
            bones = [(seen[parent], seen[child], radius) for (child, parent), radius in zip(motion.skeleton.bones, sections, strict=True)]
            neck, head = seen[names.index("neck")], seen[names.index("head")]
            along = (head - neck) / np.linalg.norm(head - neck)
            bones.append((head, head + scale * np.linalg.norm(HEAD_TOP) * along, scale * HEAD_SECTION[0]))
            depths = np.full((len(bones) + 1, height, width), np.inf)
            for number, (start, end, radius) in enumerate(bones):
                length, center = np.linalg.norm(end - start), (start + end) / 2
                outer = np.outer(end - start, end - start) / length**2
                quadric = outer / (length / 2 + 0.3 * radius) ** 2 + (np.eye(3) - outer) / radius**2
                a, b = np.einsum("hwi,ij,hwj->hw", rays, quadric, rays), rays @ quadric @ center
                square = b * b - a * (center @ quadric @ center - 1)
                depths[number] = np.where(square >= 0, (b - np.sqrt(np.maximum(square, 0))) / a, np.inf)
            two = np.sort(depths, 0)[:2]
            pictures.append(np.where(np.isfinite(two[0]), depths.argmin(0), -1))
            margins.append(
                np.where(np.isfinite(two[0]), np.where(np.isfinite(two[1]), two[1] - np.where(np.isfinite(two[0]), two[0], 0), 1.0), 1.0)
            )
    shape = (rig.views, motion.frames, height, width)
    return np.reshape(pictures, shape), np.reshape(margins, shape)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("skeleton", [SMPL24, SMPLX55], ids=["smpl24", "smplx55"])
def test_ids_are_those_of_each_ellipsoid_drawn_by_itself(engine, skeleton, generator):
    motion, rig = wandering(2, generator, skeleton, 0.02), around((10.0, 140.0), (150, 130))
    maps = render_bone_maps(motion, rig, engine=engine)
    truth, margin = naive_ids(motion, rig)
    clear = margin > 1e-4  # where two surfaces cross either may win
    assert np.array_equal(maps.ids.numpy()[clear], truth[clear]) and clear.mean() > 0.99
    assert torch.equal(maps.ids >= 0, maps.mask) and maps.ids.dtype == torch.int16
    assert maps.parts == ((*(skeleton.names[child] for child, _ in skeleton.bones), "crown"),)


def test_each_silhouette_fills_the_box_of_its_dual_conic(generator):
    """Every ellipsoid of the body alone: first and last row and column that it touches, to a pixel."""
    motion, rig = wandering(1, generator, SMPLX55, 0.01), around((35.0,), (400, 300))
    body = body_ellipsoids(motion, fingertips=True).seen_by(rig).images()
    count = body.present.shape[1]
    alone = replace(body, centers=body.centers[0][:, None], axes=body.axes[0][:, None], present=body.present[0][:, None])
    intrinsics = rig.intrinsics.double().expand(count, 3, 3)
    shape = (count, 400, 300)
    depth, normal, mask, ids = np.zeros(shape, "f4"), np.zeros((*shape, 3), "f4"), np.zeros(shape, bool), np.full(shape, -1, np.int16)
    spans = trace_spans(alone, intrinsics, torch.zeros(count, dtype=torch.long), 400, 300)
    fill_numpy(spans, ray_lengths(rig.intrinsics, 400, 300).numpy().ravel(), depth, normal, mask, ids)
    bounds, whole = outline_bounds(body, rig.intrinsics[:, None])
    assert not whole.any() and count == 54 + 1 + 10
    for number in range(count):
        rows, columns = np.nonzero(mask[number])
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(bounds[0, number].numpy() - box).max() <= 1, body.names[number]


def test_two_cameras_agree_on_the_place_of_a_surface_point(generator):
    """Points that one camera sees are put on pixel centres of others, which must see them as far away as they are."""
    motion, first = wandering(1, generator), around((0.0,), (160, 130))
    maps = render_bone_maps(motion, first)
    rows, columns = (part[:: len(part) // 60] for part in torch.nonzero(maps.mask[0, 0], as_tuple=True))
    inverse = torch.linalg.inv(first.intrinsics[0].double())
    rays = torch.stack([columns + 0.5, rows + 0.5, torch.ones(len(rows))], -1).double() @ inverse.T
    camera = rays / rays.norm(dim=-1, keepdim=True) * maps.depth[0, 0, rows, columns].double()[:, None]
    pose = first.world_to_camera[0].double()
    world = (camera - pose[:, 3]) @ pose[:, :3]
    second = around((25.0,), (160, 130))
    pixels = second.project(world)[0][0]
    shift = pixels.floor() + 0.5 - pixels
    lenses = second.intrinsics.repeat(len(world), 1, 1)
    lenses[:, :2, 2] += shift.float()
    others = render_bone_maps(
        motion, CameraRig(intrinsics=lenses, world_to_camera=second.world_to_camera.repeat(len(world), 1, 1), image_size=(160, 130))
    )
    view, place = torch.arange(len(world)), pixels.floor().long()
    found, ids = others.depth[view, 0, place[:, 1], place[:, 0]], others.ids[view, 0, place[:, 1], place[:, 0]]
    distance = (world - second.centers[0].double()).norm(dim=-1)
    outward = maps.normal[0, 0, rows, columns].double() @ pose[:, :3]
    facing = (outward * (world - second.centers[0].double())).sum(-1) / distance < -0.2
    same = (ids == maps.ids[0, 0, rows, columns]) & facing
    assert same.sum() > 30
    assert (found.double() - distance)[same].abs().max() < 1e-4


def test_normals_are_unit_vectors_that_face_the_camera(generator):
    motion, rig = wandering(2, generator, SMPLX55, 0.02), around((0.0, 200.0))
    maps = render_bone_maps(motion, rig, fingertips=True)
    v, u = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(80) + 0.5, indexing="ij")
    rays = torch.stack([u, v, torch.ones_like(u)], -1) @ torch.linalg.inv(rig.intrinsics[0]).T
    assert ((maps.normal * rays).sum(-1)[maps.mask] <= 1e-4).all()
    assert torch.allclose(maps.normal[maps.mask].norm(dim=-1), torch.ones(()), atol=1e-5)


def moving(frames, size=(96, 80)):
    """Two cameras that go round and zoom."""
    rigs = [around((10.0 * frame, 180.0 - 7.0 * frame), size, 3.0 - 0.1 * frame) for frame in range(frames)]
    lenses = torch.stack([rig.intrinsics * torch.tensor([[1 + 0.1 * t], [1 + 0.1 * t], [1.0]]) for t, rig in enumerate(rigs)], 1)
    return CameraRig(intrinsics=lenses, world_to_camera=torch.stack([rig.world_to_camera for rig in rigs], 1), image_size=size)


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_moving_camera_sees_in_each_frame_what_a_still_one_there_sees(engine, samples, generator, monkeypatch):
    motion, rig = wandering(4, generator), moving(4)
    same = replace(motion, joints=motion.joints[:1].expand(4, -1, -1).clone())  # every frame tells the same stature
    monkeypatch.setattr("motion4d.core.maps.bone_maps._CHUNK_PIXELS", 3 * 96 * 80 * (1 if samples == 1 else 5))
    maps = render_bone_maps(same, rig, engine=engine, samples=samples)
    for frame in range(4):
        still = render_bone_maps(same.cut(frame, frame + 1), rig.at(frame), engine=engine, samples=samples)
        for name in ("depth", "normal", "mask", "ids"):
            assert torch.equal(getattr(maps, name)[:, frame], getattr(still, name)[:, 0]), name
        assert torch.equal(encode_normals(maps)[:, frame], encode_normals(still)[:, 0])
    assert torch.allclose(maps.root_distance, (rig.centers[:, 0] - same.joints[0, 0]).norm(dim=-1), atol=1e-5)


def test_cameras_of_another_length_are_refused(generator):
    with pytest.raises(ValueError, match="5 frames, the motion has 3"):
        render_bone_maps(wandering(3, generator), moving(5))


@pytest.mark.parametrize("engine", ENGINES)
def test_soft_edges_are_those_of_pictures_twice_as_large(engine, generator):
    motion, rig = wandering(2, generator), around((0.0, 90.0))
    hard, soft = (render_bone_maps(motion, rig, engine=engine, samples=samples) for samples in (1, 2))
    for name in ("depth", "normal", "mask", "ids"):
        assert torch.equal(getattr(hard, name), getattr(soft, name))
    large = render_bone_maps(motion, rig.resized((192, 160)), engine=engine)

    def pooled(picture):
        return picture.unflatten(3, (80, 2)).unflatten(2, (96, 2)).float().mean((3, 5))

    assert torch.equal(soft_mask(soft), pooled(large.mask))
    assert torch.equal(soft_mask(hard), hard.mask.float())
    assert ((soft_mask(soft) % 1) > 0).any()
    edge = torch.zeros_like(hard.mask).flatten()
    edge[soft.edges.index] = True
    edge = edge.view_as(hard.mask)
    assert torch.equal(edge, pooled((large.ids != hard.ids.repeat_interleave(2, 2).repeat_interleave(2, 3)).float()) > 0)
    for encode in (encode_depth, encode_normals):
        assert torch.allclose(encode(soft)[edge], pooled(encode(large))[edge], atol=1e-6)
        assert torch.equal(encode(soft)[~edge], encode(hard)[~edge])
    sequence = encode_depth(soft, mode="sequence")
    assert sequence.min() == 0 and sequence.max() <= 1


def test_a_single_person_is_the_mask(generator):
    maps = render_bone_maps(wandering(1, generator), around(), samples=2)
    assert torch.equal(person_masks(maps)[0], soft_mask(maps))
    plain = BoneMaps(depth=maps.depth, normal=maps.normal, mask=maps.mask)
    assert plain.people == 1 and torch.equal(person_masks(plain)[0], maps.mask.float())
    with pytest.raises(ValueError, match="no ids that tell them apart"):
        person_masks(replace(plain, parts=(("a",), ("b",))))


def test_a_view_that_shows_nobody_is_empty_and_noted(generator):
    motion, rig = wandering(2, generator), around((0.0, 90.0))
    turned = rig.world_to_camera.clone()
    turned[1, [0, 2]] *= -1  # the second camera looks the other way
    maps = render_bone_maps(motion, replace(rig, world_to_camera=turned))
    assert maps.mask[0].any() and not maps.mask[1].any() and (maps.ids[1] == -1).all()
    assert len(maps.notes) == 1 and "view 1 shows nobody" in maps.notes[0]
    beside = render_bone_maps(replace(motion, joints=motion.joints + torch.tensor([40.0, 0, 0])), around())
    assert not beside.mask.any() and "view 0 shows nobody" in beside.notes[0]
    with pytest.raises(ValueError, match="looks away"):
        render_bone_maps(motion, replace(rig, world_to_camera=turned).take_views([1]))
    assert render_bone_maps(motion, rig).notes == ()


def test_a_camera_inside_the_body_is_noted_and_draws_the_rest():
    inside = torch.stack([SMPL24.rest, SMPL24.rest - torch.tensor([0.0, 0.0, 2.0])])
    rig = orbit_rig([0.0], radius=0.02, image_size=(60, 60), focal_px=40.0, target=(0.0, 1.12, 0.0))
    maps = render_bone_maps(motion_of(inside), rig)
    assert "inside the body in 1 of 2 frames" in maps.notes[0]
    assert torch.isfinite(maps.depth).all() and maps.mask[0, 1].any()


@pytest.mark.parametrize("engine", ENGINES)
def test_broken_bones_are_left_out(engine):
    """A missing end, a bone without length, a joint without place: neither drawn nor harmful."""
    joints, confidence = SMPL24.rest.repeat(3, 1, 1), torch.ones(3, 24)
    joints[0, 20], confidence[0, 20] = torch.nan, 0.0
    joints[1, 20] = joints[1, 18]
    joints[2], confidence[2] = torch.nan, 0.0
    maps = render_bone_maps(motion_of(joints, confidence=confidence), around(size=(200, 160)), engine=engine, samples=2)
    wrist, hand = maps.parts[0].index("left_wrist"), maps.parts[0].index("left_hand")
    assert not (maps.ids[0, 0] == wrist).any() and not (maps.ids[0, 0] == hand).any() and (maps.ids[0, 0] == wrist + 1).any()
    assert not (maps.ids[0, 1] == wrist).any() and (maps.ids[0, 1] == hand).any()
    assert not maps.mask[0, 2].any()
    assert all(torch.isfinite(part).all() for part in (maps.depth, maps.normal, encode_depth(maps), encode_normals(maps)))


def test_a_motion_that_shows_nothing_is_an_empty_picture():
    maps = render_bone_maps(motion_of(torch.full((2, 24, 3), torch.nan), confidence=torch.zeros(2, 24)), around(), samples=2)
    assert not maps.mask.any() and len(maps.edges.index) == 0 and not encode_depth(maps).any() and maps.root_distance is None


def test_fingertips_lengthen_the_fingers(generator):
    straight = wandering(1, generator, SMPLX55, 0.0)
    bare, tipped = (body_ellipsoids(straight, fingertips=tips) for tips in (False, True))
    assert tipped.names[: len(bare.names)] == bare.names and torch.equal(tipped.centers[:, : len(bare.names)], bare.centers)
    for name in tipped.names[len(bare.names) :]:
        finger = name.removesuffix("_tip")
        last, above = (SMPLX55.rest[SMPLX55.index(f"{finger}{number}")].double() for number in (3, 2))
        tip = tipped.centers[0, tipped.names.index(name)] * 2 - last
        along = torch.nn.functional.normalize(last - above, dim=0)
        assert torch.allclose(tip, last + 0.022 * along, atol=1e-6), name
        own, before = (tipped.axes[0, tipped.names.index(one), :, 0].norm() for one in (name, f"{finger}3"))
        assert own == pytest.approx(float(before))
    assert body_ellipsoids(wandering(1, generator), fingertips=True).names[-1] == "crown"


def test_fingertips_bend_with_the_last_joint():
    rotations = torch.eye(3).repeat(1, 55, 1, 1)
    last = SMPLX55.index("left_index3")
    rotations[0, last] = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # left becomes down
    motion = motion_of(SMPLX55.rest[None], SMPLX55, rotations=rotations)
    body = body_ellipsoids(motion, fingertips=True)
    tip = 2 * body.centers[0, body.names.index("left_index_tip")] - SMPLX55.rest[last]
    assert tip[1] < SMPLX55.rest[last, 1] - 0.021


def test_radii_may_be_given(generator):
    motion, rig = wandering(1, generator), around(size=(300, 240))
    plain = render_bone_maps(motion, rig)
    wrist = plain.parts[0].index("left_wrist")
    thick, none = (render_bone_maps(motion, rig, radii={"left_wrist": radius}) for radius in (0.08, 0.0))
    areas = [int((maps.ids == wrist).sum()) for maps in (none, plain, thick)]
    assert areas[0] == 0 < areas[1] < areas[2]
    same = render_bone_maps(motion, rig, radii=bone_sections(motion)[:, 0])
    assert torch.equal(same.depth, plain.depth)


def test_any_skeleton_is_drawn_by_its_own_radii():
    rest = torch.tensor([[0.0, 0.5, 0.0], [0.0, 0.9, 0.0], [0.0, 1.3, 0.0]])
    spider = Skeleton(names=("body", "leg", "claw"), parents=(-1, 0, 1), mirror=(0, 1, 2), rest=rest)
    maps = render_bone_maps(motion_of(rest[None], spider), around(size=(300, 240)), radii={"leg": 0.1, "claw": 0.02})
    widths = [int((maps.ids[0, 0] == bone).sum(1).max()) for bone in (0, 1)]
    focal = 1.3 * 300
    assert widths[0] == pytest.approx(2 * focal * 0.1 / 3.0, abs=1.5) and widths[1] == pytest.approx(2 * focal * 0.02 / 3.0, abs=1.5)


@pytest.mark.parametrize("samples", [0, 3])
def test_other_numbers_of_samples_are_refused(samples, generator):
    with pytest.raises(ValueError, match=f"samples is {samples}"):
        render_bone_maps(wandering(1, generator), around(), samples=samples)


def test_turned_sections_have_ids_too():
    motion = demo_motion("walk", seconds=0.1, fps=20.0)
    maps = render_bone_maps(motion, around((0.0, 120.0)))
    assert torch.equal(maps.ids >= 0, maps.mask) and len(maps.ids.unique()) > 15
