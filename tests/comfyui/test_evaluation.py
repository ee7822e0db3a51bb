"""Evaluate Video through the real ComfyUI: a film, pictures and a network of its models folder."""

import json

import pytest
import torch
from motion4d.core.formats.video import read_video, write_video
from motion4d.core.metrics.images import psnr, ssim
from motion4d.headless.submit import Server, submit
from torch import Tensor, nn

pytestmark = pytest.mark.comfyui


class Apart(nn.Module):
    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return (one - other).abs().mean((1, 2, 3))


def test_films_are_measured_with_a_network(comfyui, generator, tmp_path):
    frames = torch.rand(6, 8, 12, 3, generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    noisy = (frames + 0.1 * torch.randn(frames.shape, generator=generator)).clamp(0, 1)
    for name, video in (("made", noisy), ("real", frames)):
        write_video(video, comfyui.base / "input" / f"{name}.mp4", 25.0)
    folder = comfyui.base / "models" / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    torch.jit.script(Apart()).save(str(folder / "apart.pt"))
    load = {"file": "apart.pt", "measures": "pairs: LPIPS", "values": "0..1", "side": 0, "clip_frames": 16, "clip_stride": 1}
    given = {"protocol": "as they are", "cut_to_shorter": False, "person": 0}
    flow = {name: {"class_type": "LoadVideo", "inputs": {"file": f"{name}.mp4"}} for name in ("made", "real")}
    flow["net"] = {"class_type": "Motion4D_LoadMetricNetwork", "inputs": load}
    flow["pictures"] = {"class_type": "Motion4D_TakeVideoFrames", "inputs": {"video": ["real", 0], "fps": 0.0, "max_side": 640}}
    flow["eval"] = {
        "class_type": "Motion4D_EvaluateVideo",
        "inputs": given | {"generated": ["made", 0], "reference": ["pictures", 0], "network_1": ["net", 0]},
    }
    flow["plot"] = {"class_type": "SaveImage", "inputs": {"images": ["eval", 1], "filename_prefix": "plot"}}
    flow["numbers"] = {"class_type": "PreviewAny", "inputs": {"source": ["eval", 2]}}
    submit(flow, Server(comfyui.url), tmp_path)
    (run,) = comfyui.json("/history?max_items=1").values()
    found = json.loads(run["outputs"]["numbers"]["text"][0])
    made, real = (torch.stack(list(read_video(comfyui.base / "input" / f"{name}.mp4"))) for name in ("made", "real"))
    assert found["psnr"] == pytest.approx(float(psnr(made, real).mean()), abs=0.05)
    assert found["ssim"] == pytest.approx(float(ssim(made, real).mean()), abs=0.01)
    assert found["lpips"] == {"apart.pt (0..1)": pytest.approx(found["l1"], rel=1e-4)}
    assert f"LPIPS {found['l1']:.4f} by apart.pt" in run["outputs"]["eval"]["text"][0]
    assert any(path.name.startswith("plot") for path in (comfyui.base / "output").iterdir())
