"""A TorchScript file with NLF's interface and outputs stands in for its weights: the number of people is the red of the first pixel of an image, and they
stand on the axis of the camera, at 3000 mm and 500 mm more for each further one."""

import pytest
import torch
from motion4d.core.estimators.extraction import extract
from motion4d.core.estimators.nlf import NLF, load_nlf, plain_executor
from motion4d.core.geometry.cameras import motion_capture_intrinsics
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.skeletons import SMPL24

# torch says so of the very format in which NLF is released.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.*deprecated:DeprecationWarning")
SIZE = (48, 64)


class _StandIn(torch.nn.Module):
    def __init__(self, rest: torch.Tensor, limit: int = 99):
        super().__init__()
        self.register_buffer("rest", rest)
        self.limit = limit
        self.calls = 0

    @torch.jit.export
    def detect_smpl_batched(
        self,
        images: torch.Tensor,
        intrinsic_matrix: torch.Tensor | None = None,
        default_fov_degrees: float = 55.0,
        model_name: str = "smpl",
    ) -> dict[str, list[torch.Tensor]]:
        self.calls += 1
        if len(images) > self.limit:
            raise RuntimeError("CUDA out of memory")
        keys = ["joints3d_nonparam", "joints3d", "joint_uncertainties", "boxes", "pose", "betas", "trans"]
        result: dict[str, list[torch.Tensor]] = {}
        for key in keys:
            result[key] = []
        focal = 0.0 if intrinsic_matrix is None else float(intrinsic_matrix[0, 0, 0])
        for image in images:
            count = int(image[0, 0, 0])
            order = torch.arange(count, dtype=torch.float32)
            root = torch.stack([torch.zeros(count), torch.zeros(count), 3000 + 500 * order], -1)
            result["joints3d_nonparam"].append(root[:, None] + self.rest * 1000)
            result["joints3d"].append(root[:, None] + self.rest * 1000 + 7)
            result["joint_uncertainties"].append(torch.arange(24, dtype=torch.float32).expand(count, 24) * 10)
            result["boxes"].append(torch.stack([order, order + 2, order + 10, order + 20, torch.full((count,), 0.8)], -1))
            pose = torch.linspace(-0.5, 0.5, 72).expand(count, 72).clone()
            if int(image[1, 0, 0]) == 9:
                pose[0] = torch.nan
            result["pose"].append(pose)
            result["betas"].append(torch.full((count, 10), focal))
            result["trans"].append(root / 1000)
        return result


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("nlf") / "nlf_l_multi_0.0.0.torchscript"
    torch.jit.script(_StandIn(SMPL24.rest - SMPL24.rest[:1])).save(str(path))
    return path


def _frames(*counts):
    frames = torch.zeros(len(counts), *SIZE, 3, dtype=torch.uint8)
    frames[:, 0, 0, 0] = torch.tensor(counts)
    return frames


def test_millimetres_boxes_and_rotations_are_converted(file):
    found = load_nlf(file).detect(_frames(2, 0, 1), motion_capture_intrinsics(SIZE))
    assert [people.count for people in found] == [2, 0, 1]
    two = found[0]
    torch.testing.assert_close(two.joints[1], SMPL24.rest - SMPL24.rest[:1] + torch.tensor([0, 0, 3.5]))
    torch.testing.assert_close(two.boxes, torch.tensor([[0.0, 2, 10, 22], [1, 3, 12, 24]]))
    torch.testing.assert_close(two.rotations[0], rotvec_to_matrix(torch.linspace(-0.5, 0.5, 72).reshape(24, 3)))
    torch.testing.assert_close(two.translation[0], torch.tensor([0.007, 0.007, 3.007]))


def test_confidence_is_the_score_and_halves_at_the_usual_uncertainty(file):
    (people,) = load_nlf(file).detect(_frames(1), motion_capture_intrinsics(SIZE))
    assert people.confidence[0, 0].item() == pytest.approx(0.8)
    assert people.confidence[0, 10].item() == pytest.approx(0.4)
    assert (people.confidence[0].diff() < 0).all()


def test_a_body_that_could_not_be_fitted_is_left_out(file):
    frames = _frames(2, 1, 2)
    frames[:2, 0, 0, 1] = 9
    found = load_nlf(file).detect(frames, motion_capture_intrinsics(SIZE))
    assert [people.count for people in found] == [1, 0, 2]
    torch.testing.assert_close(found[0].joints[0], found[2].joints[1])
    assert found[0].rotations.isfinite().all() and found[1].rotations.shape == (0, 24, 3, 3)


def test_the_camera_reaches_the_model(file):
    (people,) = load_nlf(file).detect(_frames(1), torch.tensor([[123.0, 0, 30], [0, 123, 20], [0, 0, 1]]))
    assert (people.shape == 123).all()


def test_frames_are_rgb_unless_bgr_is_asked_for(file):
    frames = _frames(1)
    frames[0, 0, 0] = torch.tensor([1, 0, 3], dtype=torch.uint8)
    assert load_nlf(file).detect(frames, motion_capture_intrinsics(SIZE))[0].count == 1
    assert load_nlf(file, bgr=True).detect(frames, motion_capture_intrinsics(SIZE))[0].count == 3


def test_the_executor_is_left_as_it_was():
    state = torch._C._jit_set_profiling_executor(True), torch._C._jit_set_profiling_mode(False)
    try:
        with pytest.raises(KeyError), plain_executor():
            inside = torch._C._jit_set_profiling_executor(False), torch._C._jit_set_profiling_mode(False)
            raise KeyError
        assert inside == (False, False)
        assert (torch._C._jit_set_profiling_executor(True), torch._C._jit_set_profiling_mode(False)) == (True, False)
    finally:
        torch._C._jit_set_profiling_executor(state[0]), torch._C._jit_set_profiling_mode(state[1])


def test_frames_that_do_not_fit_into_memory_go_in_halves():
    module = torch.jit.script(_StandIn(SMPL24.rest, limit=2))
    found = NLF(module).detect(_frames(1, 2, 0, 3, 1), motion_capture_intrinsics(SIZE))
    assert [people.count for people in found] == [1, 2, 0, 3, 1]
    with pytest.raises((RuntimeError, torch.jit.Error), match="out of memory"):
        NLF(torch.jit.script(_StandIn(SMPL24.rest, limit=0))).detect(_frames(1), motion_capture_intrinsics(SIZE))


class _Failing(torch.nn.Module):
    @torch.jit.export
    def detect_smpl_batched(self, images: torch.Tensor, intrinsic_matrix: torch.Tensor | None = None) -> dict[str, list[torch.Tensor]]:
        return {"joints3d_nonparam": [images[0, 99].float()]}


class _Foreign(torch.nn.Module):
    @torch.jit.export
    def detect_smpl_batched(self, images: torch.Tensor, intrinsic_matrix: torch.Tensor | None = None) -> dict[str, list[torch.Tensor]]:
        return {"poses3d": [images.float()]}


def test_a_failure_names_who_replaced_torch_jit_script(monkeypatch):
    def script(*_):
        raise AssertionError

    script.__module__ = "other_pack.patches"
    failing = torch.jit.script(_Failing())
    monkeypatch.setattr(torch.jit, "script", script)
    with pytest.raises(ValueError, match=r"failed on .*replaced by other_pack\.patches"):
        NLF(failing).detect(_frames(1), motion_capture_intrinsics(SIZE))


def test_files_that_are_not_nlf_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="non-commercial"):
        load_nlf(tmp_path / "none.torchscript")
    broken = tmp_path / "broken.torchscript"
    broken.write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match="cannot be read as TorchScript"):
        load_nlf(broken)
    other = tmp_path / "other.torchscript"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(other))
    with pytest.raises(ValueError, match="not of NLF"):
        load_nlf(other)
    with pytest.raises(ValueError, match="joints3d_nonparam"):
        NLF(torch.jit.script(_Foreign())).detect(_frames(1), motion_capture_intrinsics(SIZE))


def test_a_clip_is_extracted_with_people_who_come_and_go(file):
    clip = extract(iter(_frames(0, 1, 2, 1, 0)), load_nlf(file), fps=25.0, image_size=SIZE, cuts=False)
    assert clip.counts == (0, 1, 2, 1, 0)
    assert any("nobody is seen in 2 of 5 frames: 0, 4" in note for note in clip.notes)
