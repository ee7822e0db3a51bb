import pytest
import torch
from motion4d.core.geometry.cameras import look_at, orbit_rig
from motion4d.core.maps.mesh_raster import homogeneous, rasterise

SIZE = (36, 52)


@pytest.fixture
def camera():
    return orbit_rig([20.0], elevation_deg=10.0, radius=3.0, image_size=SIZE, focal_px=50.0)


def hits_of(camera, points, faces, two_sided=True, size=SIZE, keep=None):
    pixels = homogeneous(points, camera.intrinsics[0], camera.world_to_camera[0])
    return rasterise(pixels, faces, torch.full((len(faces),), two_sided), size, keep=keep)


def soup(generator, count=60, spread=1.0):
    points = spread * (torch.rand(3 * count, 3, generator=generator, dtype=torch.float64) * 2 - 1)
    points = points.reshape(count, 3, 3) * 0.4 + points.reshape(count, 3, 3).mean(1, keepdim=True)
    return points.reshape(-1, 3), torch.arange(3 * count).reshape(-1, 3)


def by_rays(camera, points, faces, two_sided):
    """A naive twin: every ray against every triangle (Möller and Trumbore, 1997). z (inf), face and shares (3) at each pixel."""
    pose, height, width = camera.world_to_camera[0].double(), *SIZE
    a, b, c = (points @ pose[:, :3].mT + pose[:, 3])[faces].unbind(1)
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    rays = torch.stack([u, v, torch.ones_like(u)], -1).reshape(-1, 1, 3).double() @ torch.linalg.inv(camera.intrinsics[0].double()).mT
    e1, e2 = b - a, c - a
    rays = rays.expand(-1, len(faces), 3)
    p = torch.linalg.cross(rays, e2[None])
    det = (e1 * p).sum(-1)
    u = (-a * p).sum(-1) / det
    q = torch.linalg.cross(-a, e1)[None]
    v, z = (rays * q).sum(-1) / det, (e2 * q).sum(-1) / det
    good = (u >= 0) & (v >= 0) & (u + v <= 1) & (z > 0) & ((det > 0) | torch.tensor(two_sided))
    z, face = torch.where(good, z, torch.inf).min(1)
    u, v = (part.gather(1, face[:, None])[:, 0] for part in (u, v))
    return z, face, torch.stack([1 - u - v, u, v], 1)


@pytest.mark.parametrize("two_sided", [True, False])
def test_every_pixel_is_what_its_ray_meets_first(camera, generator, two_sided):
    points, faces = soup(generator)
    hits = hits_of(camera, points, faces, two_sided)
    z, face, shares = by_rays(camera, points, faces, two_sided)
    seen = torch.isfinite(z).nonzero()[:, 0]
    assert torch.equal(hits.pixel, seen) and len(seen) > 200
    assert torch.equal(hits.face, face[seen])
    torch.testing.assert_close(hits.z, z[seen], rtol=1e-9, atol=0)
    torch.testing.assert_close(hits.shares, shares[seen], rtol=0, atol=1e-9)


def test_triangles_that_cross_the_plane_of_the_camera_are_cut_there(generator):
    camera = orbit_rig([0.0], radius=0.3, image_size=SIZE, focal_px=30.0)
    points, faces = soup(generator, count=40, spread=0.8)
    hits, (depth, _, _) = hits_of(camera, points, faces), by_rays(camera, points, faces, True)
    crossing = (camera.to_camera(points)[0, :, 2].reshape(-1, 3) > 0).sum(1)
    assert ((crossing > 0) & (crossing < 3)).any()
    near = 1e-4 * float(camera.to_camera(points)[0, :, 2].max())
    assert hits.pixel.tolist() == torch.isfinite(depth).nonzero()[:, 0].tolist() and (depth > near).all()
    torch.testing.assert_close(hits.z, depth[hits.pixel], rtol=1e-9, atol=0)


@pytest.mark.parametrize("shift", [0.0, 0.5, 0.25])
def test_triangles_that_share_edges_take_each_pixel_once(shift):
    """A grid whose edges and corners run through pixel centres exactly: every pixel inside belongs to one triangle, drawn alone or together."""
    steps = torch.arange(9, dtype=torch.float64) * 4 + 2 + shift
    v, u = torch.meshgrid(steps, steps, indexing="ij")
    pixels = torch.stack([u, v, torch.ones_like(u)], -1).reshape(-1, 3)
    pixels = (
        pixels * torch.linspace(1.0, 3.0, len(pixels), dtype=torch.float64)[:, None].exp2().floor()
    )  # powers of two keep the edges exact
    row, column = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    corner = (9 * row + column).flatten()
    faces = torch.cat([torch.stack([corner, corner + 9, corner + 1], 1), torch.stack([corner + 1, corner + 9, corner + 10], 1)])
    count = torch.zeros(40 * 40, dtype=torch.long)
    for face in faces:
        hits = rasterise(pixels, face[None], torch.tensor([False]), (40, 40))
        count[hits.pixel] += 1
    covered = count.reshape(40, 40)
    inside = (torch.arange(40) + 0.5 > steps[0]) & (torch.arange(40) + 0.5 < steps[-1])
    assert (covered[inside][:, inside] == 1).all() and covered.max() == 1
    together = rasterise(pixels, faces, torch.zeros(len(faces), dtype=torch.bool), (40, 40))
    assert together.pixel.tolist() == (count > 0).nonzero()[:, 0].tolist()


def test_a_closed_surface_seen_from_anywhere_has_no_holes(generator):
    """Two sheets over each pixel, one towards the camera and one away from it: counted triangle by triangle they are as many."""
    points = torch.tensor([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]], dtype=torch.float64)
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    for eye in torch.randn(12, 3, generator=generator, dtype=torch.float64):
        pose = look_at(4 * torch.nn.functional.normalize(eye, dim=0)[None], torch.zeros(3, dtype=torch.float64))[0]
        intrinsics = torch.tensor([[40.0, 0, 26], [0, 40, 18], [0, 0, 1]])
        sheets = torch.zeros(2, SIZE[0] * SIZE[1], dtype=torch.long)
        pixels = homogeneous(points, intrinsics, pose)
        for face in faces:
            for side, order in enumerate((face, face.flip(0))):
                sheets[side, rasterise(pixels, order[None], torch.tensor([False]), SIZE).pixel] += 1
        assert sheets.max() == 1 and torch.equal(sheets[0], sheets[1]) and sheets[0].sum() > 100


def test_hits_that_are_not_kept_show_what_is_behind_them(camera, generator):
    points, faces = soup(generator)
    first = hits_of(camera, points, faces)
    gone = first.face.unique()[::2]
    kept = torch.ones(len(faces), dtype=torch.bool)
    kept[gone] = False
    expected = hits_of(camera, points, faces[kept])
    hits = hits_of(camera, points, faces, keep=lambda face, shares: kept[face])
    assert torch.equal(hits.pixel, expected.pixel) and torch.equal(hits.face, kept.nonzero()[:, 0][expected.face])


def test_nothing_is_seen_of_what_is_behind_or_without_area(camera):
    line = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]], dtype=torch.float64)
    assert len(hits_of(camera, line, torch.tensor([[0, 1, 2]])).pixel) == 0
    behind = camera.centers[0].double() * 2 + torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=torch.float64)
    assert len(hits_of(camera, behind, torch.tensor([[0, 1, 2]])).pixel) == 0
    assert len(hits_of(camera, line, torch.zeros(0, 3, dtype=torch.long)).pixel) == 0
