from dataclasses import replace

import numpy as np
import pytest
import torch
from motion4d.core.body.rig_framing import fit_cube, place_rig_cameras
from motion4d.core.formats import load_rig
from motion4d.core.formats.gltf_meshes import load_meshes
from motion4d.core.formats.rig_animation import rig_animation
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.kinematics import forward
from motion4d.core.maps.encodings import encode_normals, soft_mask
from motion4d.core.maps.mesh_views import render_meshes
from motion4d.core.types import CameraRig, Rig, RigMesh, Skeleton


def still_rig() -> Rig:
    """One joint at the origin."""
    skeleton = Skeleton(names=("root",), parents=(-1,), mirror=(0,), rest=torch.zeros(1, 3))
    return Rig(skeleton=skeleton, rest=torch.eye(4)[None], inverse_bind=torch.eye(4)[None], joint_nodes=(0,), document={}, binary=b"")


def mesh_of(vertices, faces, **fields) -> RigMesh:
    count = len(vertices)
    given = {
        "joints": torch.zeros(count, 0, dtype=torch.long), "weights": torch.zeros(count, 0), "inverse_bind": torch.eye(4)[None],
        "node_to_world": torch.eye(4), "base_color": torch.ones(4), "morphs": torch.zeros(0, count, 3), "morph_weights": torch.zeros(0), "node": 0,
        "name": "mesh",
    }  # fmt: skip
    return RigMesh(vertices=vertices, faces=faces, **(given | fields))


def sphere(rows=96, columns=192, radius=0.5) -> RigMesh:
    polar, around = torch.meshgrid(torch.linspace(0, torch.pi, rows + 1), torch.linspace(0, 2 * torch.pi, columns + 1), indexing="ij")
    normals = torch.stack([polar.sin() * around.sin(), polar.cos(), polar.sin() * around.cos()], -1).reshape(-1, 3)
    i, j = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    corner = (i * (columns + 1) + j).flatten()
    below = corner + columns + 1
    faces = torch.cat([torch.stack([corner, below, corner + 1], 1), torch.stack([corner + 1, below, below + 1], 1)])
    return mesh_of(radius * normals, faces, normals=normals)


def quad(size=2.0, **fields) -> RigMesh:
    """A square in the plane z = 0 that faces +Z, with its picture upright on it."""
    half = size / 2
    vertices = torch.tensor([[-half, half, 0], [half, half, 0], [half, -half, 0], [-half, -half, 0]])
    uv = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    return mesh_of(vertices, torch.tensor([[0, 3, 1], [1, 3, 2]]), **({"uv": uv} | fields))


def facing(pixels, *, distance=2.0, size=2.0, azimuth=0.0) -> CameraRig:
    """A camera in which the square `quad(size)` fills the picture of so many pixels exactly."""
    return orbit_rig([azimuth], radius=distance, image_size=(pixels, pixels), focal_px=pixels * distance / size)


@pytest.fixture
def fox(reference):
    rig = load_rig(reference("data", "fox.glb"))
    return rig, load_meshes(rig)


def test_depth_and_normals_of_a_sphere_are_the_analytic_ones():
    radius, distance = 0.5, 3.0
    cameras = orbit_rig([0.0, 130.0], elevation_deg=25.0, radius=distance, image_size=(120, 160), focal_px=300.0)
    maps = render_meshes(still_rig(), [sphere(radius=radius)], cameras).maps
    rays = torch.nn.functional.normalize(cameras.plucker(120, 160)[:, :3], dim=1).double()  # (V, 3, H, W)
    to_middle = -cameras.centers.double()
    along = torch.einsum("vchw,vc->vhw", rays, to_middle)
    square = along.square() - distance**2 + radius**2
    depth = along - square.clamp(min=0).sqrt()
    well_inside = square > 0.03
    assert maps.mask[:, 0][well_inside].all() and not maps.mask[:, 0][square < 0].any()
    assert (maps.depth[:, 0] - depth).abs()[well_inside].max() < 6e-4  # the chords of 1.9 degrees lie up to 0.3 mm inside
    points = cameras.centers.double()[:, :, None, None] + rays * depth[:, None]
    normals = torch.einsum("vij,vjhw->vihw", cameras.world_to_camera[..., :3].double(), points / radius).movedim(1, -1)
    assert (maps.normal[:, 0] - normals).abs()[well_inside].max() < 5e-3
    length = maps.normal.norm(dim=-1)
    torch.testing.assert_close(length, maps.mask.float(), atol=1e-6, rtol=0)


def test_a_texture_seen_straight_on_is_the_picture_itself(generator):
    picture = torch.randint(0, 256, (16, 16, 4), generator=generator, dtype=torch.uint8)
    for filtering in ("smooth", "nearest"):
        shown = render_meshes(still_rig(), [quad(texture=picture)], facing(16), filtering=filtering)
        assert shown.maps.mask.all()
        torch.testing.assert_close(shown.rgb[0, 0], picture[..., :3] / 255, atol=2e-6, rtol=0)
    larger = render_meshes(still_rig(), [quad(texture=picture)], facing(64), filtering="nearest").rgb[0, 0]
    torch.testing.assert_close(larger, (picture[..., :3] / 255).repeat_interleave(4, 0).repeat_interleave(4, 1), atol=2e-6, rtol=0)


def test_textures_blend_in_linear_light_between_texels():
    picture = torch.tensor([[[0, 0, 0, 255], [255, 255, 255, 255]]], dtype=torch.uint8)
    row = render_meshes(still_rig(), [quad(texture=picture, wrap=("clamp", "clamp"))], facing(8)).rgb[0, 0, 3, :, 0]
    light = torch.tensor([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    expected = torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    torch.testing.assert_close(row, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("wrap", "order"), [("repeat", [2, 0, 1, 2, 0, 1]), ("clamp", [0, 0, 1, 2, 2, 2]), ("mirror", [0, 0, 1, 2, 2, 1])])
def test_textures_wrap_as_their_sampler_says(wrap, order):
    levels = torch.tensor([0, 100, 200], dtype=torch.uint8)
    picture = torch.stack([*[levels] * 3, torch.full_like(levels, 255)], -1)[None]
    uv = torch.tensor([[-1 / 3, 0.0], [5 / 3, 0.0], [5 / 3, 1.0], [-1 / 3, 1.0]])
    row = render_meshes(still_rig(), [quad(texture=picture, uv=uv, wrap=(wrap, "repeat"))], facing(6), filtering="nearest").rgb[
        0, 0, 2, :, 0
    ]
    torch.testing.assert_close(row, levels[order] / 255, atol=1e-6, rtol=0)


def test_a_texture_finer_than_the_picture_shows_its_mean_light():
    board = ((torch.arange(256)[:, None] + torch.arange(256)) % 2 * 255).byte()
    picture = torch.stack([board, board, board, torch.full_like(board, 255)], -1)
    shown = render_meshes(still_rig(), [quad(texture=picture)], facing(16)).rgb
    assert (shown - (1.055 * 0.5 ** (1 / 2.4) - 0.055)).abs().max() < 4e-3  # half the light, not half the sRGB number


def test_vertex_colours_are_interpolated_in_perspective():
    colors = torch.tensor([[0.0, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1]])
    cameras = facing(64, azimuth=50.0)
    shown = render_meshes(still_rig(), [quad(colors=colors, double_sided=True)], cameras)
    rows, columns = shown.maps.mask[0, 0].nonzero().unbind(1)
    rays = cameras.plucker(64, 64)[0, :3, rows, columns].double()
    points = cameras.centers[0].double()[:, None] + rays * shown.maps.depth[0, 0, rows, columns].double()
    red = shown.rgb[0, 0, rows, columns, 0].double()
    light = torch.where(red <= 0.04045, red / 12.92, ((red + 0.055) / 1.055) ** 2.4)
    torch.testing.assert_close(light, (points[0] + 1) / 2, atol=2e-6, rtol=0)
    assert len(rows) > 1000


def test_what_is_below_the_cutoff_lets_the_next_surface_through():
    picture = torch.zeros(2, 2, 4, dtype=torch.uint8)
    picture[:, 0, 3] = 255
    front = quad(texture=picture, alpha_cutoff=0.5, node_to_world=shifted(0.5), name="front")
    back = quad(size=4.0, base_color=torch.tensor([0.0, 1.0, 0.0, 1.0]), name="back")
    maps = render_meshes(still_rig(), [front, back], facing(16), filtering="nearest").maps
    assert (maps.ids[0, 0, 8, :8] == 0).all() and (maps.ids[0, 0, 8, 8:] == 1).all()
    solid = render_meshes(still_rig(), [replace(front, alpha_cutoff=None), back], facing(16)).maps
    assert (solid.ids[0, 0, 8, 2:14] == 0).all()


def shifted(z: float) -> torch.Tensor:
    matrix = torch.eye(4)
    matrix[2, 3] = z
    return matrix


def test_the_inside_is_seen_only_of_double_sided_meshes_and_turned_to_the_camera():
    behind = facing(16, azimuth=180.0)
    assert not render_meshes(still_rig(), [quad()], behind).maps.mask.any()
    maps = render_meshes(still_rig(), [quad(double_sided=True)], behind).maps
    assert maps.mask.all()
    torch.testing.assert_close(encode_normals(maps)[0, 0, 4, 4], torch.tensor([0.5, 0.5, 1.0]), atol=1e-6, rtol=0)


def test_a_mirrored_mesh_keeps_its_outside():
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
    normals = torch.tensor([[0.0, 0.0, 1.0]]).expand(4, 3)
    shown = render_meshes(still_rig(), [quad(node_to_world=mirror, normals=normals)], facing(16)).maps
    assert shown.mask.all()
    torch.testing.assert_close(shown.normal[0, 0, 4, 4], torch.tensor([0.0, 0.0, -1.0]), atol=1e-6, rtol=0)


def test_soft_edges_are_the_share_of_the_points_inside_a_pixel():
    shape, cameras = quad(size=1.1), facing(20)
    shown = render_meshes(still_rig(), [shape], cameras, samples=2, background=(0.0, 0.0, 0.0))
    hard = render_meshes(still_rig(), [shape], cameras, background=(0.0, 0.0, 0.0))
    fine = render_meshes(still_rig(), [shape], facing(40), background=(0.0, 0.0, 0.0))
    share = fine.maps.mask[0, 0].float().reshape(20, 2, 20, 2).mean((1, 3))
    torch.testing.assert_close(soft_mask(shown.maps)[0, 0], share)
    torch.testing.assert_close(shown.rgb[0, 0, ..., 1], share)
    assert ((share > 0) & (share < 1)).any()
    for name in ("depth", "normal", "mask", "ids"):
        assert torch.equal(getattr(shown.maps, name), getattr(hard.maps, name))


def test_edge_samples_of_several_views_and_frames_are_in_their_places(fox):
    rig, meshes = fox
    animation = rig_animation(rig, 1)
    cameras = place_rig_cameras(fit_cube(rig, meshes), image_size=(48, 64))
    soft = soft_mask(render_meshes(rig, meshes, cameras, animation=animation, frames=[0, 9, 4], samples=2).maps)
    for view, (place, frame) in ((0, (1, 9)), (3, (2, 4))):
        alone = render_meshes(rig, meshes, cameras.take_views([view]), animation=animation, frames=[frame], samples=2)
        torch.testing.assert_close(soft[view, place], soft_mask(alone.maps)[0, 0])


def test_a_larger_world_gives_the_same_pictures():
    cameras = orbit_rig([30.0], radius=3.0, image_size=(60, 80), focal_px=90.0)
    far = replace(cameras, world_to_camera=cameras.world_to_camera * torch.tensor([1.0, 1, 1, 1024]))
    small, ball = still_rig(), sphere(24, 48)
    one = render_meshes(small, [ball], cameras)
    large = render_meshes(small, [replace(ball, vertices=ball.vertices * 1024)], far)
    assert torch.equal(one.rgb, large.rgb) and torch.equal(one.maps.mask, large.maps.mask)
    torch.testing.assert_close(one.maps.depth * 1024, large.maps.depth, rtol=1e-6, atol=0)


def test_the_fox_is_seen_where_its_joints_are(fox):
    """Nose in front, tail behind: joints project into the mask, the mask fills the cube's share of the picture, and no seam of the skin is open."""
    rig, meshes = fox
    cameras = place_rig_cameras(fit_cube(rig, meshes), image_size=(480, 832))
    shown = render_meshes(rig, meshes, cameras)
    mask = shown.maps.mask[:, 0]
    pixels, _ = cameras.project(rig.skeleton.rest[2:])
    rows, columns = pixels[..., 1].long(), pixels[..., 0].long()
    inside = torch.stack([mask[view, rows[view], columns[view]] for view in range(4)])
    assert inside.float().mean() > 0.9
    assert torch.equal(cameras.take_views([0, 1]).centers[:, 1], cameras.centers[:2, 1])
    side = mask[1].any(0).nonzero()[:, 0]
    assert 0.8 * 910 / 2.7 * 0.95 < side[-1] - side[0] < 0.8 * 910 / 2.6
    orange = shown.rgb[1, 0][mask[1]].median(0).values
    assert orange[0] > 0.7 and 0.3 < orange[1] < 0.7 and orange[2] < 0.3
    import cv2

    contours = cv2.findContours(mask[1].numpy().astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[1][0]
    assert len(contours) == 1  # one outline, no hole


def test_an_animation_moves_the_mesh_with_its_joints(fox):
    rig, meshes = fox
    animation = rig_animation(rig, 2, fps=8)  # running
    cameras = place_rig_cameras(fit_cube(rig, meshes, animation, margin=1.0), image_size=(120, 208))
    frames = range(0, len(animation.rotations), 2)
    shown = render_meshes(rig, meshes, cameras, animation=animation, frames=frames)
    mask = shown.maps.mask
    assert mask.shape[1] == len(frames) > 3 and not shown.notes
    assert not mask[..., [0, -1], :].any() and not mask[..., [0, -1]].any()  # margin 1 over all frames holds all of it
    pixels, _ = cameras.project(forward(animation).joints[list(frames), 2:])
    inside = [
        mask[view, frame, pixels[view, frame, :, 1].long(), pixels[view, frame, :, 0].long()]
        for view in range(4) for frame in range(len(frames))
    ]  # fmt: skip
    assert torch.stack(inside).float().mean() > 0.9
    assert (mask[:, 0] != mask[:, 1]).sum() > 100


def test_cameras_that_move_see_the_rest_pose_in_each_of_their_frames():
    still = orbit_rig([0.0, 40.0], radius=3.0, image_size=(24, 32), focal_px=30.0)
    moving = CameraRig(intrinsics=still.intrinsics[None], world_to_camera=still.world_to_camera[None], image_size=still.image_size)
    ball = sphere(12, 24)
    one, other = render_meshes(still_rig(), [ball], moving), render_meshes(still_rig(), [ball], still)
    assert torch.equal(one.rgb[0], other.rgb[:, 0]) and torch.equal(one.maps.depth[0], other.maps.depth[:, 0])


def test_what_cannot_be_drawn_is_refused(fox):
    rig, meshes = fox
    cameras = facing(16)
    for expected, call in (
        ("no meshes", lambda: render_meshes(rig, [], cameras)),
        ("filtering", lambda: render_meshes(rig, meshes, cameras, filtering="cubic")),
        ("samples is 3", lambda: render_meshes(rig, meshes, cameras, samples=3)),
        ("frame is 999", lambda: render_meshes(rig, meshes, cameras, animation=rig_animation(rig, 0), frames=[999])),
        ("no frame", lambda: render_meshes(rig, meshes, cameras, animation=rig_animation(rig, 0), frames=[])),
        ("not this rig's", lambda: render_meshes(still_rig(), [quad()], cameras, animation=rig_animation(rig, 0))),
    ):
        with pytest.raises(ValueError, match=expected):
            call()
    away = render_meshes(still_rig(), [quad()], facing(16, azimuth=180.0))
    assert "view 0 shows nothing" in away.notes[0]
