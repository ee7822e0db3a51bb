"""Estimators of poses: NLF from its file, MediaPipe from its package."""

from comfy_api.latest import io

from ...core.estimators.mediapipe import MediaPipe
from ...core.estimators.nlf import NOTICE, SOURCE, load_nlf
from .. import host, sockets

FOLDER, SUFFIXES = "nlf", (".torchscript",)
RELEASED = "nlf_l_multi_0.3.2.torchscript"
MEDIAPIPE = "MediaPipe (installed package)"


class LoadPoseEstimator(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        found = host.current().model_files(FOLDER, SUFFIXES)
        return io.Schema(
            node_id="Motion4D_LoadPoseEstimator",
            display_name="Load Pose Estimator",
            category="motion4d/load",
            description="What finds people and their 3D joints in video: NLF (several people, with rotations and shape; TorchScript file) or MediaPipe (one "
            f"person, no file, any machine). {NOTICE}",
            search_aliases=["nlf", "mediapipe", "pose estimation", "mocap", "motion capture", "torchscript", "nlfmodel"],
            inputs=[
                io.Combo.Input(
                    "estimator",
                    options=[*(found or [RELEASED]), MEDIAPIPE],
                    tooltip=f"A file of models/{FOLDER}, from {SOURCE}, or the package mediapipe 0.10.14 where it is installed.",
                ),
                io.Boolean.Input(
                    "bgr",
                    default=False,
                    tooltip="NLF only: hands the frames over as BGR, as the extraction script of MTVCrafter did; NLF was trained on RGB.",
                ),
            ],
            outputs=[sockets.Estimator.Output(display_name="estimator", tooltip="For Extract Motion.")],
        )

    @classmethod
    def execute(cls, estimator, bgr):
        if estimator == MEDIAPIPE:
            return io.NodeOutput(MediaPipe())
        here = host.current()
        try:
            path = here.model_file(FOLDER, estimator)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}. Get it from {SOURCE} and put it into models/{FOLDER}. {NOTICE}") from None
        return io.NodeOutput(load_nlf(path, device=here.device(), bgr=bgr))
