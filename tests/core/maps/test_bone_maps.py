import math

import numpy as np
import pytest
import torch
from motion4d.benchmarks.bone_maps import naive_bone_maps
from motion4d.core.geometry.cameras import motion_capture_intrinsics, orbit_rig, own_camera
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.maps.bone_maps import encode_depth, encode_normals, render_bone_maps
from motion4d.core.maps.ellipsoids import Ellipsoids, outline_bounds
from motion4d.core.maps.raster import fill_numpy, ray_lengths, trace_spans
from motion4d.core.skeletons import COCO17, REST_STATURE, SMPL24, SMPLX55
from motion4d.core.types import BoneMaps, CameraRig, Frame, Motion, Skeleton

ENGINES = ("numpy", "torch")


def motion_of(joints, skeleton=SMPL24, *, frame=Frame.WORLD, confidence=None, **fields):
    confidence = torch.ones(joints.shape[:2]) if confidence is None else confidence
    return Motion(joints=joints, confidence=confidence, skeleton=skeleton, fps=30.0, frame=frame, **fields)


def wandering(frames, generator, *, skeleton=SMPL24, amount=0.05):
    return motion_of(skeleton.rest + amount * torch.randn(frames, len(skeleton.names), 3, generator=generator), skeleton)


def front(size=(96, 80), *, azimuths=(0.0,), radius=3.0, focal=None, target=(0.0, 0.86, 0.0)):
    return orbit_rig(azimuths, radius=radius, image_size=size, focal_px=focal or 1.3 * size[0], target=target)


def stick(start, end):
    """One bone of an unknown skeleton: its radius is 0.16 of its length."""
    rest = torch.tensor([start, end], dtype=torch.float32)
    return Skeleton(names=("a", "b"), parents=(-1, 0), mirror=(0, 1), rest=rest)


def assert_twin(maps, naive, *, relative=1e-4, degrees=0.1):
    depth, normal = naive
    drawn, truth = maps.mask.numpy(), depth > 0
    assert (drawn != truth).sum() <= 1e-4 * truth.sum() + 1
    both = drawn & truth
    assert both.sum() > 100
    rays = normal.copy()
    assert (np.abs(maps.depth.numpy() / np.where(both, depth, 1) - 1)[both] < relative).all()
    angle = np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(maps.normal.double().numpy() - rays, axis=-1) / 2, 0, 1)))
    inner = both.copy()  # away from silhouettes: the neighbours are hit as well
    inner[..., 1:, :] &= truth[..., :-1, :]
    inner[..., :-1, :] &= truth[..., 1:, :]
    inner[..., :, 1:] &= truth[..., :, :-1]
    inner[..., :, :-1] &= truth[..., :, 1:]
    assert np.quantile(angle[inner], 0.999) < degrees


@pytest.mark.parametrize("engine", ENGINES)
def test_the_maps_agree_with_a_dense_renderer_in_double_precision(engine, generator):
    motion = wandering(2, generator)
    rig = orbit_rig([10.0, 140.0], elevation_deg=20.0, radius=2.6, image_size=(150, 130), focal_px=190.0, target=(0, 0.86, 0))
    assert_twin(render_bone_maps(motion, rig, engine=engine), naive_bone_maps(motion, rig))


@pytest.mark.parametrize("radius", [1.1, 9.0, 40.0])
def test_near_and_far_cameras_agree_with_the_dense_renderer(radius, generator):
    motion = wandering(1, generator)
    rig = front((120, 120), azimuths=(35.0,), radius=radius, focal=55.0 * radius)
    assert_twin(render_bone_maps(motion, rig), naive_bone_maps(motion, rig))


def test_skewed_pixels_and_an_offset_principal_point_agree_with_the_dense_renderer(generator):
    motion, rig = wandering(1, generator), front((90, 120))
    intrinsics = rig.intrinsics + torch.tensor([[0.0, 9.0, -14.0], [0.0, -25.0, 6.0], [0.0, 0.0, 0.0]])
    rig = CameraRig(intrinsics=intrinsics, world_to_camera=rig.world_to_camera, image_size=rig.image_size)
    assert_twin(render_bone_maps(motion, rig), naive_bone_maps(motion, rig))


def test_both_engines_draw_the_same_picture(generator):
    motion = wandering(3, generator, skeleton=SMPLX55, amount=0.01)
    rig = front((130, 90), azimuths=(0.0, 60.0))
    first, second = (render_bone_maps(motion, rig, engine=engine) for engine in ENGINES)
    assert torch.equal(first.mask, second.mask)
    assert torch.allclose(first.depth, second.depth, rtol=1e-6)
    assert torch.allclose(first.normal, second.normal, atol=1e-4)


def test_a_round_bone_seen_end_on_is_a_sphere_s_cap():
    """A camera on the axis of a spheroid sees the pole: depth and normal there are known in closed form."""
    skeleton = stick((0, 0, -0.5), (0, 0, 0.5))
    rig = orbit_rig([0.0], radius=3.0, image_size=(81, 81), focal_px=200.0)
    maps = render_bone_maps(motion_of(skeleton.rest[None], skeleton), rig)
    half = 0.5 + 0.3 * 0.16
    assert maps.depth[0, 0, 40, 40] == pytest.approx(3.0 - half, abs=1e-5)
    assert torch.allclose(maps.normal[0, 0, 40, 40], torch.tensor([0.0, 0.0, -1.0]), atol=1e-5)


def test_a_sphere_is_met_where_a_sphere_is_met():
    """Hits, distances, normals and the rectangle around the outline, from the formulas of the sphere."""
    radius = 0.143
    sphere = Ellipsoids(
        centers=torch.tensor([[[0.3, -0.2, 2.0]]], dtype=torch.float64),
        axes=radius * torch.eye(3, dtype=torch.float64)[None, None],
        present=torch.ones(1, 1, dtype=torch.bool),
    )
    intrinsics = torch.tensor([[[100.0, 0, 50.5], [0, 100.0, 40.5], [0, 0, 1]]], dtype=torch.float64)
    depth, normal, mask = np.zeros((1, 81, 101), "f4"), np.zeros((1, 81, 101, 3), "f4"), np.zeros((1, 81, 101), bool)
    spans = trace_spans(sphere, intrinsics, torch.zeros(1, dtype=torch.long), 81, 101)
    ids = np.full((1, 81, 101), -1, np.int16)
    fill_numpy(spans, ray_lengths(intrinsics, 81, 101).numpy().ravel(), depth, normal, mask, ids)
    assert ((ids == 0) == mask).all() and ((ids == -1) == ~mask).all()
    v, u = np.mgrid[:81, :101] + 0.5
    ray = np.stack([(u - 50.5) / 100, (v - 40.5) / 100, np.ones_like(u)], -1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    along = ray @ np.array([0.3, -0.2, 2.0])
    square = along**2 - (0.3**2 + 0.2**2 + 4.0 - radius**2)
    assert (mask[0] == (square > 0)).all() and mask.sum() > 100
    distance = along - np.sqrt(np.maximum(square, 0))
    assert np.allclose(depth[0][mask[0]], distance[mask[0]], rtol=1e-6)
    outward = (distance[..., None] * ray - np.array([0.3, -0.2, 2.0])) / radius
    assert np.allclose(normal[0][mask[0]], outward[mask[0]], atol=2e-4)
    bounds, whole = outline_bounds(sphere, intrinsics[:, None])
    assert not whole.any()
    rows, columns = np.nonzero(mask[0])
    assert np.abs(bounds[0, 0].numpy() - [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).max() < 1


def widest(mask, row):
    return int(mask[row].sum())


@pytest.mark.parametrize(
    ("start", "end", "radius"),
    [
        ("left_elbow", "left_wrist", 0.036),
        ("left_knee", "left_ankle", 0.050),
        ("left_hip", "left_knee", 0.082),
        ("left_wrist", "left_hand", 0.029),
    ],
)
def test_silhouettes_are_as_wide_as_the_table_at_three_metres(start, end, radius):
    """The bone stands alone, upright and centred, before a camera 3 m away: its picture is 2 f r / 3 wide, to a pixel."""
    focal, length = 1500.0, 0.25
    child, parent = SMPL24.index(end), SMPL24.index(start)
    joints, confidence = SMPL24.rest[None].clone(), torch.zeros(1, 24)
    joints[0, parent], joints[0, child] = torch.tensor([0.0, length / 2, 0]), torch.tensor([0.0, -length / 2, 0])
    confidence[0, [parent, child]] = 1.0
    natural = float((SMPL24.rest[child] - SMPL24.rest[parent]).norm())
    scale = length / natural  # the only bone there is tells the stature
    rig = orbit_rig([0.0], radius=3.0, image_size=(300, 300), focal_px=focal)
    maps = render_bone_maps(motion_of(joints, confidence=confidence), rig)
    assert widest(maps.mask[0, 0], 150) == pytest.approx(2 * focal * radius * scale / 3.0, abs=1.5)


def isolated(names, rotations=None, *, move=None):
    """The rest pose of 1.692 m with its other joints missing, but all of them telling the stature in a second frame."""
    confidence = torch.zeros(2, 24)
    confidence[0, [SMPL24.index(name) for name in names]] = 1.0
    confidence[1] = 1.0
    joints = SMPL24.rest.expand(2, 24, 3).clone()
    if move is not None:
        joints = joints - move
    return motion_of(joints, confidence=confidence, rotations=rotations)


@pytest.mark.parametrize(
    ("ends", "radius"), [(("left_elbow", "left_wrist"), 0.036), (("left_knee", "left_ankle"), 0.050), (("neck", "head"), 0.0857)]
)
def test_a_person_of_mean_stature_has_the_radii_of_the_table(ends, radius):
    """Forearm, calf and head of the rest pose at 3 m, across the bone, to one pixel."""
    focal = 1500.0
    start, end = (SMPL24.rest[SMPL24.index(name)] for name in ends)
    middle = (start + end) / 2
    if ends == ("neck", "head"):
        along = torch.nn.functional.normalize(end - start, dim=0)
        middle = end + 0.5 * math.hypot(0.17, 0.02) * along  # between the head joint and the crown
    rig = orbit_rig([0.0], radius=3.0, image_size=(400, 400), focal_px=focal, target=middle.tolist())
    mask = render_bone_maps(isolated(ends), rig).mask[0, 0]
    across = mask[:, 200] if ends[0] == "left_elbow" else mask[200]
    middle_run = int(across.sum())
    assert middle_run == pytest.approx(2 * focal * radius / 3.0, abs=1.5)


def test_the_oriented_head_is_as_broad_and_as_long_as_the_table():
    focal, identity = 1500.0, torch.eye(3).expand(2, 24, 3, 3)
    middle = SMPL24.rest[15] + torch.tensor([0.0, 0.085, 0.01])
    for azimuth, half in ((0.0, 0.0755), (90.0, 0.0973)):
        rig = orbit_rig([azimuth], radius=3.0, image_size=(400, 400), focal_px=focal, target=middle.tolist())
        mask = render_bone_maps(isolated(["head"], identity), rig).mask[0, 0]
        assert int(mask[200].sum()) == pytest.approx(2 * focal * half / 3.0, abs=2.0)


def test_oriented_sections_turn_with_the_body():
    """A trunk is broad from the front and flat from the side; turned by 90 degrees it is the other way round."""
    quarter = rotvec_to_matrix(torch.tensor([0.0, math.pi / 2, 0.0]))
    rotations = torch.eye(3).repeat(2, 24, 1, 1)
    rotations[:, 0] = quarter
    ends = ["spine1", "spine2"]
    plain, turned = isolated(ends, torch.eye(3).expand(2, 24, 3, 3)), None
    joints = (SMPL24.rest - SMPL24.rest[0]) @ quarter.T + SMPL24.rest[0]
    turned = motion_of(joints.expand(2, 24, 3).clone(), confidence=plain.confidence, rotations=rotations)

    def area(motion, azimuth):
        return int(render_bone_maps(motion, front((300, 300), azimuths=(azimuth,), focal=900.0)).mask[0, 0].sum())

    front_view, side_view = area(plain, 0.0), area(plain, 90.0)
    assert front_view > 1.2 * side_view
    assert area(turned, 90.0) == pytest.approx(front_view, rel=0.01)
    assert area(turned, 0.0) == pytest.approx(side_view, rel=0.01)


def test_ellipsoids_stay_on_their_bones_when_the_rest_pose_points_elsewhere(generator):
    motion = wandering(1, generator)
    turned = motion_of(motion.joints, rotations=rotvec_to_matrix(torch.randn(1, 24, 3, generator=generator)))
    rig = front((200, 200))
    first, second = (render_bone_maps(m, rig, virtual_leaves=False).mask for m in (motion, turned))
    assert (first & second).sum() > 0.85 * (first | second).sum()


def test_normals_face_the_camera(generator):
    rig = front((120, 120), azimuths=(0.0, 77.0))
    maps = render_bone_maps(wandering(2, generator), rig)
    rows, columns = torch.meshgrid(torch.arange(120) + 0.5, torch.arange(120) + 0.5, indexing="ij")
    rays = torch.einsum("vij,jhw->vhwi", torch.linalg.inv(rig.intrinsics), torch.stack([columns, rows, torch.ones_like(rows)]))
    toward = (maps.normal * rays[:, None]).sum(-1)[maps.mask]
    assert toward.max() < 1e-3
    assert torch.allclose(maps.normal.norm(dim=-1)[maps.mask], torch.ones(int(maps.mask.sum())), atol=1e-5)
    assert (maps.normal[~maps.mask] == 0).all() and (maps.depth[~maps.mask] == 0).all() and (maps.depth[maps.mask] > 0).all()


def points_of(maps, rig, view):
    rows, columns = torch.nonzero(maps.mask[view, 0], as_tuple=True)
    pixels = torch.stack([columns + 0.5, rows + 0.5, torch.ones(len(rows))]).double()
    rays = torch.linalg.inv(rig.intrinsics[view].double()) @ pixels
    seen = rays / rays.norm(dim=0) * maps.depth[view, 0, rows, columns]
    pose = rig.world_to_camera[view].double()
    turn = pose[:, :3]
    return turn.T @ (seen - pose[:, 3:]), turn.T @ maps.normal[view, 0, rows, columns].double().T


def test_surface_points_of_one_camera_lie_on_the_surface_another_sees(generator):
    """What two neighbouring cameras both see has the same place and the same normal in the world."""
    motion = wandering(1, generator)
    rig = front((300, 240), azimuths=(0.0, 8.0))
    maps = render_bone_maps(motion, rig)
    points, normals = points_of(maps, rig, 0)
    pixels, _ = rig.project(points.T.float())
    column, row = pixels[1].floor().long().T
    depth = rig.to_camera(points.T.float())[1].norm(dim=-1)
    hit = maps.mask[1, 0, row, column]
    other = maps.depth[1, 0, row, column]
    # Both see the same surface where it is not hidden and not steep.
    turn = rig.world_to_camera[1, :, :3].double()
    facing = (turn @ normals)[2] < -0.6
    same = hit & facing & ((other - depth).abs() < 0.02)
    assert same.sum() > 0.8 * (hit & facing).sum()
    assert (other - depth).abs()[same].median() < 0.002
    agreement = ((turn @ normals).T * maps.normal[1, 0, row, column].double()).sum(-1)[same]
    assert agreement.quantile(0.05) > 0.98


def test_turning_scene_and_camera_together_changes_nothing(generator):
    motion, rig = wandering(1, generator), front((110, 90), azimuths=(25.0,))
    turn, shift = rotvec_to_matrix(torch.tensor([0.4, -1.3, 2.0])), torch.tensor([3.0, -1.0, 0.5])
    pose = rig.world_to_camera[0]
    moved = torch.cat([pose[:, :3] @ turn.T, pose[:, 3:] - pose[:, :3] @ turn.T @ shift[:, None]], 1)[None]
    other = CameraRig(intrinsics=rig.intrinsics, world_to_camera=moved, image_size=rig.image_size)
    first = render_bone_maps(motion, rig)
    second = render_bone_maps(motion_of(motion.joints @ turn.T + shift), other)
    assert (first.mask != second.mask).sum() <= 3
    both = first.mask & second.mask
    assert (first.depth - second.depth)[both].abs().median() < 1e-5
    assert (first.depth - second.depth)[both].abs().quantile(0.99) < 1e-3


def test_the_nearest_surface_wins():
    """Two bones one behind the other: the picture is the nearer of the pictures of each."""
    rest = torch.tensor([[0.0, -0.4, 0.3], [0.0, 0.4, 0.3], [-0.4, 0.1, -0.3], [0.4, 0.1, -0.3]])
    skeleton = Skeleton(names=tuple("abcd"), parents=(-1, 0, -1, 2), mirror=(0, 1, 2, 3), rest=rest)
    rig = orbit_rig([20.0], radius=3.0, image_size=(100, 100), focal_px=150.0)

    def drawn(*shown):
        confidence = torch.zeros(2, 4)
        confidence[0, list(shown)], confidence[1] = 1.0, 1.0
        return render_bone_maps(motion_of(rest.expand(2, 4, 3).clone(), skeleton, confidence=confidence), rig)

    both, first, second = drawn(0, 1, 2, 3), drawn(0, 1), drawn(2, 3)
    crossing = first.mask[:, 0] & second.mask[:, 0]
    assert crossing.sum() > 50
    infinite = torch.where(
        torch.stack([first.mask[:, 0], second.mask[:, 0]]), torch.stack([first.depth[:, 0], second.depth[:, 0]]), torch.inf
    )
    nearest = infinite.min(0)
    assert torch.equal(both.depth[:, 0], torch.where(nearest.values.isinf(), 0.0, nearest.values))
    chosen = torch.where(nearest.indices[..., None] == 0, first.normal[:, 0], second.normal[:, 0])
    assert torch.equal(both.normal[:, 0][both.mask[:, 0]], chosen[both.mask[:, 0]])


def test_several_views_are_the_single_views(generator):
    motion, azimuths = wandering(3, generator), (0.0, 50.0, 200.0)
    together = render_bone_maps(motion, front(azimuths=azimuths))
    for view, azimuth in enumerate(azimuths):
        alone = render_bone_maps(motion, front(azimuths=(azimuth,)))
        assert torch.equal(together.depth[view], alone.depth[0]) and torch.equal(together.normal[view], alone.normal[0])
        assert together.root_distance[view] == alone.root_distance[0]


def test_frames_do_not_depend_on_their_neighbours(generator):
    motion = wandering(5, generator)
    whole = render_bone_maps(motion, front())
    # The stature, and with it the thickness, comes from the whole clip; every frame of this clip has the same bones.
    same = motion_of(motion.joints[2:3].expand(5, 24, 3))
    assert torch.equal(render_bone_maps(same, front()).depth[:, 0], render_bone_maps(same, front()).depth[:, 4])
    assert whole.depth.shape == (1, 5, 96, 80) and whole.normal.shape == (1, 5, 96, 80, 3)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("direction", [(0, 1, 0), (0, -1, 0), (1e-4, -1, 0), (1, 0, 0), (0, 0, 1)])
def test_a_bone_may_point_anywhere(engine, direction):
    """Also against the Y axis, where the smallest turn is not unique."""
    along = torch.nn.functional.normalize(torch.tensor(direction, dtype=torch.float32), dim=0)
    skeleton = stick((0, 0, 0), along.tolist())
    centred = skeleton.rest - along / 2
    rig = orbit_rig([30.0], elevation_deg=20.0, radius=4.0, image_size=(120, 120), focal_px=200.0)
    maps = render_bone_maps(motion_of(centred[None], skeleton), rig, engine=engine)
    flipped = render_bone_maps(motion_of(-centred[None], skeleton), rig, engine=engine)
    assert maps.mask.sum() > 200
    assert (maps.mask != flipped.mask).sum() <= 2
    both = maps.mask & flipped.mask
    assert torch.allclose(maps.depth[both], flipped.depth[both], atol=1e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_ellipsoid_that_holds_the_camera_is_left_out(engine):
    skeleton = Skeleton(
        names=tuple("abcd"),
        parents=(-1, 0, -1, 2),
        mirror=(0, 1, 2, 3),
        rest=torch.tensor([[0.0, -1, 2.9], [0, 1, 3.0], [0, -1, 0], [0, 1, 0]]),
    )
    rig = orbit_rig([0.0], radius=3.0, image_size=(60, 60), focal_px=80.0)
    maps = render_bone_maps(motion_of(skeleton.rest[None], skeleton), rig, engine=engine)
    assert maps.mask.any()
    assert maps.depth[maps.mask].min() > 2.0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_limb_beside_the_camera_is_cut_by_the_near_plane(engine):
    """A bone that passes the camera's plane is drawn from 5 cm on, as the dense renderer draws it."""
    joints, confidence = SMPL24.rest[None].clone(), torch.ones(1, 24)
    joints[0, 18], joints[0, 20] = (
        torch.tensor([0.12, 0.9, 2.5]),
        torch.tensor([0.14, 0.85, 3.3]),
    )  # the forearm reaches past the camera at z = 3
    rig = front((90, 120), focal=70.0)
    motion = motion_of(joints, confidence=confidence)
    maps, naive = render_bone_maps(motion, rig, engine=engine), naive_bone_maps(motion, rig)
    assert_twin(maps, naive)
    seen = maps.depth[0, 0][maps.mask[0, 0]]
    assert seen.min() < 0.3 and seen.min() >= 0.05


def test_people_beside_the_camera_leave_an_empty_picture():
    maps = render_bone_maps(motion_of(SMPL24.rest[None] + torch.tensor([40.0, 0, 0])), front())
    assert not maps.mask.any() and not maps.depth.any() and not maps.normal.any()
    assert not encode_depth(maps).any() and not encode_depth(maps, mode="sequence").any() and not encode_normals(maps).any()


def test_frames_behind_the_camera_are_empty_and_a_motion_behind_it_is_refused():
    there, behind = SMPL24.rest, SMPL24.rest + torch.tensor([0.0, 0, 9.0])
    maps = render_bone_maps(motion_of(torch.stack([there, behind])), front())
    assert maps.mask[:, 0].any() and not maps.mask[:, 1].any()
    with pytest.raises(ValueError, match="view 0 looks away"):
        render_bone_maps(motion_of(behind[None]), front())


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (13, 5), (97, 31)])
def test_odd_sizes_are_drawn(size, generator):
    motion = wandering(2, generator)
    rig = orbit_rig([0.0, 90.0], radius=2.5, image_size=size, focal_px=2.0 * max(size), target=(0, 1.1, 0))
    maps = render_bone_maps(motion, rig)
    naive = naive_bone_maps(motion, rig)
    assert maps.depth.shape == (2, 2, *size)
    assert np.array_equal(maps.mask.numpy(), naive[0] > 0) and np.allclose(maps.depth.numpy(), naive[0], rtol=1e-4)
    assert maps.mask.any()


def test_missing_joints_drop_their_bones_and_no_others(generator):
    motion = wandering(1, generator)
    joints, confidence = motion.joints.clone(), motion.confidence.clone()
    joints[0, 20], confidence[0, 20] = torch.nan, 0.0  # a wrist: forearm and hand go
    rig = front((200, 200))
    whole, less = render_bone_maps(motion, rig), render_bone_maps(motion_of(joints, confidence=confidence), rig)
    pixels, _ = rig.project(motion.joints[0])
    elbow, knee = pixels[0, 18].long(), ((pixels[0, 4] + pixels[0, 7]) / 2).long()
    beyond = ((pixels[0, 18] + 3 * pixels[0, 20]) / 4).long()
    assert whole.mask[0, 0, beyond[1], beyond[0]] and not less.mask[0, 0, beyond[1], beyond[0]]
    assert less.mask[0, 0, elbow[1], elbow[0] - 2] and less.mask[0, 0, knee[1], knee[0]]
    assert torch.isfinite(less.depth).all()


def test_bones_shorter_than_five_millimetres_are_left_out():
    for length, drawn in ((0.004, False), (0.006, True)):
        skeleton = stick((0, 0, 0), (0, length, 0))
        rig = orbit_rig([0.0], radius=0.1, image_size=(50, 50), focal_px=500.0)
        assert bool(render_bone_maps(motion_of(skeleton.rest[None], skeleton), rig).mask.any()) is drawn


def test_the_head_is_a_leaf_that_can_be_left_off():
    motion, rig = motion_of(SMPL24.rest[None]), front((300, 300), focal=300.0)
    whole, headless = render_bone_maps(motion, rig), render_bone_maps(motion, rig, virtual_leaves=False)
    top = [int(maps.mask[0, 0].any(1).nonzero()[0]) for maps in (whole, headless)]
    pixels, _ = rig.project(torch.tensor([[0.0, REST_STATURE, 0.08], [0.0, 1.53, 0.0]]))
    assert abs(top[0] - pixels[0, 0, 1]) < 5 and top[1] > pixels[0, 1, 1] - 4
    assert torch.equal(whole.mask & headless.mask, headless.mask)


def test_the_head_tilts_with_the_neck():
    joints = SMPL24.rest[None].clone()
    joints[0, 15] = joints[0, 12] + torch.tensor([0.09, 0.02, 0.0])
    maps = render_bone_maps(motion_of(joints), front((300, 300), focal=300.0))
    pixels, _ = front((300, 300), focal=300.0).project(joints[0, 15] + torch.tensor([0.15, 0.03, 0.0]))
    assert maps.mask[0, 0, int(pixels[0, 1]), int(pixels[0, 0])]


@pytest.mark.parametrize("skeleton", [SMPLX55, COCO17], ids=["smplx55", "coco17"])
def test_other_skeletons_are_drawn(skeleton, generator):
    joints = SMPLX55.rest if skeleton is SMPLX55 else torch.rand(17, 3, generator=generator) + torch.tensor([-0.5, 0.4, -0.5])
    maps = render_bone_maps(motion_of(joints[None], skeleton), front((200, 200)))
    assert maps.mask.sum() > 1000


def test_a_camera_motion_is_drawn_by_its_own_camera_only(generator):
    size = (120, 80)
    joints = SMPL24.rest[None] * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([0.0, 0.86, 3.0])
    motion = motion_of(joints, frame=Frame.CAMERA, intrinsics=motion_capture_intrinsics(size), image_size=size)
    maps = render_bone_maps(motion, own_camera(motion))
    pixels, _ = own_camera(motion).project(motion.joints[0])
    column, row = pixels[0, 9].long()
    assert maps.mask[0, 0, row, column] and maps.depth[0, 0, row, column] == pytest.approx(float(joints[0, 9].norm()), abs=0.2)
    assert maps.root_distance[0] == pytest.approx(float(joints[0, 0].norm()))
    with pytest.raises(ValueError, match="other cameras"):
        render_bone_maps(motion, front(size))


def test_the_root_distance_is_that_of_the_first_frame_that_shows_the_root(generator):
    motion = wandering(3, generator)
    joints, confidence = motion.joints.clone(), motion.confidence.clone()
    rig = front(azimuths=(0.0, 90.0))
    expected = (joints[0, 0] - rig.centers).norm(dim=-1)
    assert torch.allclose(render_bone_maps(motion, rig).root_distance, expected, atol=1e-5)
    confidence[:2, 0] = 0.0
    expected = (joints[2, 0] - rig.centers).norm(dim=-1)
    assert torch.allclose(render_bone_maps(motion_of(joints, confidence=confidence), rig).root_distance, expected, atol=1e-5)
    confidence[:, 0] = 0.0
    assert render_bone_maps(motion_of(joints, confidence=confidence), rig).root_distance is None


def test_progress_counts_every_image_and_may_stop_the_work(generator):
    motion, counts = wandering(7, generator), []
    render_bone_maps(motion, front(azimuths=(0.0, 90.0)), advance=counts.append)
    assert sum(counts) == 14

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_bone_maps(motion, front(), advance=stop)


def test_large_clips_are_drawn_in_parts(generator, monkeypatch):
    motion, rig = wandering(6, generator), front(azimuths=(0.0, 120.0))
    whole = render_bone_maps(motion, rig)
    monkeypatch.setattr("motion4d.core.maps.bone_maps._CHUNK_PIXELS", 2 * 96 * 80)
    parts = render_bone_maps(motion, rig)
    assert torch.equal(whole.depth, parts.depth) and torch.equal(whole.normal, parts.normal) and torch.equal(whole.mask, parts.mask)


def test_an_unknown_engine_is_refused(generator):
    with pytest.raises(ValueError, match="engine is 'cuda'"):
        render_bone_maps(wandering(1, generator), front(), engine="cuda")


def made_maps(depths, root=None):
    """Maps of one view and one row whose depths are given; 0 is background."""
    depth = torch.tensor(depths)[None]
    normal = torch.zeros(*depth.shape, 3)
    normal[..., 2] = -1.0
    return BoneMaps(depth=depth, normal=normal * (depth > 0)[..., None], mask=depth > 0, root_distance=root)


def test_depth_is_encoded_around_the_root():
    maps = made_maps([[[0.0, 3.0, 1.75, 4.25, 1.0, 9.0]]], torch.tensor([3.0]))
    expected = torch.tensor([0.0, 0.55, 1.0, 0.1, 1.0, 0.1])
    assert torch.allclose(encode_depth(maps)[0, 0, 0], expected, atol=1e-6)
    assert torch.allclose(encode_depth(maps, span_m=2.5)[0, 0, 0, 2], torch.tensor(0.1 + 0.9 * 0.75), atol=1e-6)


def test_depth_is_encoded_over_a_sequence():
    maps = made_maps([[[0.0, 3.0]], [[2.0, 5.0]]])
    for mode in ("sequence", "root"):  # no root is known: both are the same
        assert torch.allclose(encode_depth(maps, mode=mode)[0, :, 0], torch.tensor([[0.0, 0.7], [1.0, 0.1]]), atol=1e-6)
    flat = encode_depth(made_maps([[[0.0, 3.0]]]), mode="sequence")
    assert torch.allclose(flat[0, 0, 0], torch.tensor([0.0, 0.55]), atol=1e-6)


def test_walking_towards_the_camera_brightens_and_standing_does_not_flicker():
    near = torch.stack([SMPL24.rest + torch.tensor([0.0, 0.0, z]) for z in (0.0, 0.0, 0.4)])
    maps = render_bone_maps(motion_of(near), front())
    grey = encode_depth(maps)
    assert torch.equal(grey[0, 0], grey[0, 1])
    mean = [grey[0, frame][maps.mask[0, frame]].mean() for frame in range(3)]
    assert mean[2] > mean[0] + 0.1
    assert grey.min() == 0 and grey.max() <= 1 and grey[maps.mask].min() >= 0.1


def test_encodings_leave_the_maps_alone(generator):
    maps = render_bone_maps(wandering(1, generator), front())
    before = maps.depth.clone(), maps.normal.clone()
    encode_depth(maps), encode_depth(maps, mode="sequence"), encode_normals(maps)
    assert torch.equal(before[0], maps.depth) and torch.equal(before[1], maps.normal)


def test_normals_are_coloured_as_opengl_does():
    maps = made_maps([[[2.0, 2.0, 2.0, 0.0]]])
    normal = torch.tensor([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0]])  # facing, right, up, background
    colours = encode_normals(BoneMaps(depth=maps.depth, normal=normal[None, None, None], mask=maps.mask))
    expected = torch.tensor([[0.5, 0.5, 1.0], [1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.0, 0.0, 0.0]])
    assert torch.allclose(colours[0, 0, 0], expected)


@pytest.mark.parametrize("fields", [{"mode": "frame"}, {"span_m": 0.0}, {"span_m": float("nan")}])
def test_an_impossible_encoding_is_refused(fields):
    with pytest.raises(ValueError, match="expected"):
        encode_depth(made_maps([[[1.0]]]), **fields)
