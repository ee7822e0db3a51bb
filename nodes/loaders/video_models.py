"""The video models that motion drives, and the motion attention that makes a plain Wan2.1 one of them."""

import logging

from comfy_api.latest import io, ui

from ...core.precision import PRECISIONS
from ...core.sampling.recipes import recipes_of
from ...core.specs import ModelSpec, load_spec
from .. import host
from .checkpoints import chosen_file, file_choice

log = logging.getLogger(__name__)
MODELS = ("mvdit_7b", "mvdit_17b", "wan_i2v_14b")
ADAPTER = "mvdit_17b_adapter"
CONSENT = "Animate pictures of people only with their consent, and do not pass the result off as a recording."


class LoadMVDiT(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        notices = " ".join(f"{spec.title}: {spec.licence}. {spec.notice}" for spec in map(load_spec, MODELS[:2]))
        return io.Schema(
            node_id="Motion4D_LoadMVDiT",
            display_name="Load MV-DiT",
            category="motion4d/load",
            description="MV-DiT of MTVCrafter, which turns motion tokens and a picture into video: 7B (on CogVideoX) or 17B (on Wan2.1), told apart by what is "
            f"in the file. A plain Wan2.1 image-to-video model does as well, with Load Motion Adapter. {notices} {CONSENT}",
            search_aliases=["mtvcrafter", "mv-dit", "cogvideox", "wan", "motion video model"],
            inputs=[
                file_choice(
                    *MODELS,
                    tooltip="A file of models/diffusion_models: the released MV-DiT 7B or 17B, or Wan2.1 image-to-video 14B. Of a model in several files, "
                    "any one.",
                ),
                io.Combo.Input(
                    "precision",
                    options=list(PRECISIONS),
                    default=PRECISIONS[0],
                    tooltip="Of the weights in memory. `fp8 scaled` halves what bfloat16 takes and changes the result a little.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="For the pack's nodes and, in ComfyUI, for its own samplers and LoRA loaders."
                ),
                io.String.Output(display_name="info", tooltip="What the file holds, how it was released to be sampled, and its licence."),
            ],
        )

    @classmethod
    def execute(cls, file, precision):
        here = host.current()
        model = here.load_video_model(chosen_file(file, *MODELS), precision=precision)
        info = model_info(here.video_model(model))
        log.info("%s: %s", file, info)
        return io.NodeOutput(model, info, ui=ui.PreviewText(info))


def model_info(model: host.VideoModel) -> str:
    """Kind, sizes, recipes and licence of a loaded model, in lines."""
    spec = load_spec(model.kind)
    motion = "no motion attention: connect Load Motion Adapter to Apply Motion Attention"
    if model.motion_width is not None:
        motion = f"motion attention in {len(model.motion_blocks)} blocks, for tokens of {model.motion_width} channels"
    slots = f", {model.motion_slots} learned tokens for no motion" if model.motion_slots else ""
    released = "; ".join(f"{one.name}: {one.steps} steps of {one.solver}, cfg {one.guidance:g}" for one in recipes_of(model.kind))
    lines = [spec.title, f"latents of {model.channels} channels, {motion}{slots}", f"released recipes: {released}", *_terms(spec)]
    return "\n".join(lines)


def _terms(spec: ModelSpec) -> list[str]:
    return [f"licence: {spec.licence}", spec.notice, CONSENT]


class LoadMotionAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_LoadMotionAdapter",
            display_name="Load Motion Adapter",
            category="motion4d/load",
            description=f"The motion attention of MV-DiT 17B alone, to be put on a Wan2.1 image-to-video model by Apply Motion Attention. "
            f"{load_spec(ADAPTER).notice} {CONSENT}",
            search_aliases=["mtvcrafter adapter", "motion adapter", "mtv", "wan motion"],
            inputs=[
                file_choice(
                    ADAPTER,
                    tooltip=f"A file of models/{load_spec(ADAPTER).folder}: the adapter, or a whole 17B checkpoint, of which only the motion attention is "
                    "read.",
                )
            ],
            outputs=[io.ModelPatch.Output(display_name="adapter", tooltip="For Apply Motion Attention.")],
        )

    @classmethod
    def execute(cls, file):
        adapter = host.current().load_motion_adapter(chosen_file(file, ADAPTER))
        log.info("%s: %s", file, "\n".join(_terms(load_spec(ADAPTER))))
        return io.NodeOutput(adapter)
