"""Networks that metrics of videos rest on."""

from comfy_api.latest import io

from ...core.metrics.networks import MEASURES, TRUST, VALUES, load_metric_network
from .. import host, sockets

FOLDER, SUFFIXES = "metrics", (".pt", ".torchscript", ".safetensors")
EXPECTED = "lpips_vgg.safetensors"
USUAL = "usual"


class LoadMetricNetwork(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        found = host.current().model_files(FOLDER, SUFFIXES)
        return io.Schema(
            node_id="Motion4D_LoadMetricNetwork",
            display_name="Load Metric Network",
            category="motion4d/load",
            description="A network of your own for Evaluate Video: LPIPS, Inception V3 for FID, I3D or a 3D ResNet for FVD and FID-VID, or an embedding of faces. "
            f"TorchScript, or safetensors of LPIPS. {TRUST}",
            search_aliases=["lpips", "fid", "fvd", "inception", "i3d", "arcface", "torchscript", "metric"],
            inputs=[
                io.Combo.Input(
                    "file", options=found or [EXPECTED], tooltip=f"A file of models/{FOLDER}; the help page says how files are made."
                ),
                io.Combo.Input("measures", options=list(MEASURES), tooltip="What the network is for."),
                io.Combo.Input(
                    "values",
                    options=[USUAL, *VALUES],
                    tooltip="Values that the network was trained on; usual is 8 bit for pictures and -1..1 for all others.",
                ),
                io.Int.Input(
                    "side",
                    default=-1,
                    min=-1,
                    max=2048,
                    tooltip="Pictures are stretched to squares of so many pixels; 0 leaves them, -1 is usual: 224 for clips, 112 for faces, else as they are.",
                ),
                io.Int.Input("clip_frames", default=16, min=1, max=256, tooltip="Clips only: frames of a clip."),
                io.Int.Input("clip_stride", default=1, min=1, max=256, tooltip="Clips only: frames from the beginning of one to the next."),
            ],
            outputs=[sockets.MetricNetwork.Output(display_name="network", tooltip="For Evaluate Video.")],
        )

    @classmethod
    def execute(cls, file, measures, values, side, clip_frames, clip_stride):
        here = host.current()
        try:
            path = here.model_file(FOLDER, file)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}. Put a network of your own into models/{FOLDER}; the help page says how it is made") from None
        network = load_metric_network(
            path, measures=measures, values=None if values == USUAL else values, side=None if side < 0 else side, clip_frames=clip_frames,
            clip_stride=clip_stride, device=here.device(),
        )  # fmt: skip
        return io.NodeOutput(network)
