"""The motion tokenizer from its checkpoint."""

from dataclasses import dataclass

from comfy_api.latest import io

from ...core.body.normalisation import MotionStatistics
from ...core.models import load_tokenizer
from ...core.networks.motion_tokenizer import MotionTokenizer
from ...core.skeletons import STANDARD
from ...core.specs import ModelSpec, load_spec
from .. import sockets
from .checkpoints import chosen_file, file_choice

SPEC = "4dmot"


@dataclass(frozen=True, eq=False)
class LoadedTokenizer:
    """A tokenizer with what its spec knows of it."""

    model: MotionTokenizer
    spec: ModelSpec

    @property
    def statistics(self) -> MotionStatistics:
        """Mean and standard deviation of its training data."""
        return MotionStatistics(**self.spec.statistics, skeleton=STANDARD[self.spec.skeleton])


class LoadMotionTokenizer(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        spec = load_spec(SPEC)
        return io.Schema(
            node_id="Motion4D_LoadMotionTokenizer",
            display_name="Load Motion Tokenizer",
            category="motion4d/load",
            description="4DMoT, the motion tokenizer of MTVCrafter: turns 24 SMPL joints over time into tokens for a video model, and back.",
            search_aliases=["4dmot", "mtvcrafter", "vqvae", "motion vq"],
            inputs=[
                file_choice(
                    SPEC,
                    tooltip=f"A file of models/{spec.folder}; the released one is {spec.files[0].name} of {spec.files[0].repository}.",
                )
            ],
            outputs=[sockets.Tokenizer.Output(display_name="tokenizer")],
        )

    @classmethod
    def execute(cls, file):
        spec = load_spec(SPEC)
        return io.NodeOutput(LoadedTokenizer(load_tokenizer(chosen_file(file, SPEC), spec), spec))
