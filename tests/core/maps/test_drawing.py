import pytest
import torch
from motion4d.core.formats.stick_figure import stick_figure
from motion4d.core.geometry.cameras import motion_capture_intrinsics, orbit_rig, own_camera
from motion4d.core.maps.colours import LEFT, MIDDLE, RIGHT, side_colours
from motion4d.core.maps.drawing import draw_skeleton, overlay
from motion4d.core.skeletons import COCO17, SMPL24
from motion4d.core.types import Frame, Motion, Skeleton

STYLES = ("motion4d", "mtvcrafter")


def resting(frames=2, *, confidence=None, shift=(0.0, 0.0, 0.0)):
    joints = (SMPL24.rest + torch.tensor(shift)).expand(frames, 24, 3).clone()
    confidence = torch.ones(frames, 24) if confidence is None else confidence
    return Motion(joints=joints, confidence=confidence, skeleton=SMPL24, fps=30.0, frame=Frame.WORLD)


def front(size=(160, 200), azimuths=(0.0,)):
    return orbit_rig(azimuths, radius=3.0, image_size=size, focal_px=1.4 * size[0], target=(0, 0.86, 0))


def drawn(pictures, plain):
    """Pixels (V, T, H, W) that differ from a picture without a skeleton."""
    return (pictures - plain).abs().amax(-1) > 0.01


def empty(style, rig):
    return draw_skeleton(resting(1, confidence=torch.zeros(1, 24)), rig, style=style)


@pytest.mark.parametrize("style", STYLES)
def test_the_skeleton_lies_on_its_joints(style):
    rig, motion = front(azimuths=(0.0, 70.0)), resting(2)
    pictures = draw_skeleton(motion, rig, style=style)
    assert pictures.shape == (2, 2, 160, 200, 3) and pictures.dtype == torch.float32
    assert pictures.min() >= 0 and pictures.max() <= 1
    touched = drawn(pictures, empty(style, rig))
    pixels, _ = rig.project(motion.joints)
    for joint in (0, 4, 7, 12, 15, 18, 21, 22, 23):
        for view in range(2):
            column, row = pixels[view, 1, joint].floor().long()
            if 0 <= column < 200 and 0 <= row < 160:
                assert touched[view, 1, row - 1 : row + 2, column - 1 : column + 2].any()
    assert 0.002 < touched.float().mean() < 0.1


def test_left_is_warm_and_right_is_cool():
    rig, motion = front((320, 400)), resting(1)
    picture = draw_skeleton(motion, rig)[0, 0]
    pixels, _ = rig.project((motion.joints[0, [18, 19]] + motion.joints[0, [20, 21]]) / 2)
    left, right = (picture[int(row), int(column)] for column, row in pixels[0])
    assert left[0] > left[2] + 0.2 and right[2] > right[0] + 0.2


@pytest.mark.parametrize(
    ("left", "right"), [("left_arm", "right_arm"), ("LeftArm", "RightArm"), ("arm.L", "arm.R"), ("rig:lArm", "rig:rArm")]
)
def test_drawings_and_figures_colour_the_sides_alike_by_the_names_of_joints(left, right):
    names = ("hips", right, "tail", left)
    skeleton = Skeleton(names=names, parents=(-1, 0, 0, 0), mirror=(0, 3, 2, 1), rest=torch.eye(4)[:, :3])
    assert side_colours(skeleton) == [MIDDLE, RIGHT, MIDDLE, LEFT]
    figure = stick_figure(skeleton)
    for joint, (red, _, blue) in ((1, RIGHT), (3, LEFT)):
        shades = figure.colors[figure.joints == joint].astype(int)
        assert (shades[:, 3] == 255).all() and ((shades[:, 0] > shades[:, 2]) == (red > blue)).all()


@pytest.mark.parametrize("style", STYLES)
def test_missing_joints_are_not_drawn(style):
    rig = front()
    confidence = torch.ones(1, 24)
    confidence[0, [18, 20, 22]] = 0.0
    motion = resting(1, confidence=confidence)
    joints = motion.joints.clone()
    joints[0, [18, 20, 22]] = torch.nan
    motion = Motion(joints=joints, confidence=confidence, skeleton=SMPL24, fps=30.0, frame=Frame.WORLD)
    touched = drawn(draw_skeleton(motion, rig, style=style), empty(style, rig))[0, 0]
    whole = drawn(draw_skeleton(resting(1), rig, style=style), empty(style, rig))[0, 0]
    shoulder = int(rig.project(SMPL24.rest[16])[0][0, 0])
    assert whole[:, shoulder + 8 :].any() and not touched[:, shoulder + 8 :].any()
    assert torch.equal(whole[:, : shoulder - 8], touched[:, : shoulder - 8])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shift", [(0.0, 0.0, 2.97), (50.0, 0.0, 0.0), (0.4, 0.0, 2.9), (0.0, -0.9, 2.93)])
def test_people_beside_and_at_the_camera_do_no_harm(style, shift):
    rig = front()
    pictures = draw_skeleton(resting(1, shift=shift), rig, style=style)
    assert torch.isfinite(pictures).all()
    if shift[0] > 5:
        assert torch.equal(pictures, empty(style, rig))


def test_the_near_arm_hides_the_far_one():
    """From the left side the left arm lies before the right one."""
    rig, motion = orbit_rig([90.0], radius=3.0, image_size=(300, 300), focal_px=500.0, target=(0, 1.3, 0)), resting(1)
    picture = draw_skeleton(motion, rig)[0, 0]
    pixels, _ = rig.project(motion.joints[0, 20])
    wrist = picture[int(pixels[0, 1]), int(pixels[0, 0])]
    assert wrist[0] > wrist[2] + 0.1


@pytest.mark.parametrize("style", STYLES)
def test_a_background_shows_where_nothing_is_drawn(style, generator):
    rig, motion = front(azimuths=(0.0, 90.0)), resting(3)
    frames = torch.rand(3, 160, 200, 3, generator=generator)
    pictures = draw_skeleton(motion, rig, background=frames, style=style)
    changed = drawn(pictures, frames[None])
    assert 0.002 < changed.float().mean() < 0.1
    assert (pictures - frames).abs()[~changed].max() <= 0.51 / 255 + 0.01
    one = draw_skeleton(motion, rig, background=frames[:1], style=style)
    assert torch.equal(one[:, 0], pictures[:, 0])
    views = draw_skeleton(motion, rig, background=frames.expand(2, 3, 160, 200, 3), style=style)
    assert torch.equal(views, pictures)


@pytest.mark.parametrize("shape", [(3, 160, 100, 3), (2, 160, 200, 3), (160, 200, 3), (3, 160, 200, 4), (3, 3, 160, 200, 3)])
def test_a_background_that_does_not_fit_is_refused(shape):
    with pytest.raises(ValueError, match="background"):
        draw_skeleton(resting(3), front(), background=torch.zeros(shape))


def test_frames_given_are_not_drawn_on():
    frames = torch.full((2, 160, 200, 3), 0.5)
    draw_skeleton(resting(2), front(), background=frames)
    assert (frames == 0.5).all()


def test_styles_that_do_not_exist_or_fit_are_refused():
    with pytest.raises(ValueError, match="style is 'crayon'"):
        draw_skeleton(resting(), front(), style="crayon")
    other = Motion(joints=torch.zeros(1, 17, 3), confidence=torch.ones(1, 17), skeleton=COCO17, fps=30.0, frame=Frame.WORLD)
    with pytest.raises(ValueError, match="SMPL's 24 joints"):
        draw_skeleton(other, front(), style="mtvcrafter")


def test_a_foreign_camera_is_refused():
    size = (80, 80)
    motion = Motion(
        joints=SMPL24.rest[None] + torch.tensor([0.0, 0, 3]), confidence=torch.ones(1, 24), skeleton=SMPL24, fps=30.0, frame=Frame.CAMERA,
        intrinsics=motion_capture_intrinsics(size), image_size=size,
    )  # fmt: skip
    assert draw_skeleton(motion, own_camera(motion)).shape == (1, 1, 80, 80, 3)
    with pytest.raises(ValueError, match="other cameras"):
        draw_skeleton(motion, front())


def test_every_picture_is_reported():
    counts = []
    draw_skeleton(resting(3), front(azimuths=(0.0, 90.0)), advance=counts.append)
    assert counts == [1] * 6


@pytest.mark.parametrize(("key", "size"), [("out.image_512", (512, 512)), ("out.control_96x64", (96, 64))])
def test_the_reference_style_is_the_reference_s_drawing(key, size, reference):
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "draw_pose.safetensors"))
    motion = Motion(
        joints=golden["in.joints_mm"] / 1000, confidence=torch.ones(1, 24), skeleton=SMPL24, fps=30.0, frame=Frame.CAMERA,
        intrinsics=motion_capture_intrinsics(size), image_size=size,
    )  # fmt: skip
    picture = draw_skeleton(motion, own_camera(motion), style="mtvcrafter")[0, 0]
    truth = golden[key]
    truth = truth.float() / 255 if truth.dtype == torch.uint8 else (truth[0, 0].movedim(0, -1) + 1) / 2
    error = (picture - truth).square().mean()
    assert error < 1e-4  # 40 dB; OpenCV's versions may round a pixel differently


def test_an_overlay_is_the_picture_inside_the_mask_and_the_background_outside(generator):
    images, background = torch.rand(2, 3, 4, 5, 3, generator=generator), torch.rand(3, 4, 5, 3, generator=generator)
    mask = torch.rand(2, 3, 4, 5, generator=generator) > 0.5
    full = overlay(images, background, mask)
    assert torch.equal(full[mask], images[mask]) and torch.equal(full[~mask], background.expand_as(images)[~mask])
    assert torch.equal(overlay(images, background, mask, opacity=0.0), background.expand_as(images))
    half = overlay(images, background[:1], mask, opacity=0.5)
    assert torch.allclose(half[mask], ((images + background[:1]) / 2)[mask])


def test_an_overlay_that_does_not_fit_is_refused():
    images, mask = torch.zeros(1, 2, 4, 5, 3), torch.ones(1, 2, 4, 5)
    for background in (torch.zeros(3, 4, 5, 3), torch.zeros(2, 4, 6, 3), torch.zeros(4, 5, 3)):
        with pytest.raises(ValueError, match="background"):
            overlay(images, background, mask)
    with pytest.raises(ValueError, match="opacity"):
        overlay(images, torch.zeros(2, 4, 5, 3), mask, opacity=1.5)
    with pytest.raises(ValueError, match="mask"):
        overlay(images, torch.zeros(2, 4, 5, 3), mask[:, :1])
