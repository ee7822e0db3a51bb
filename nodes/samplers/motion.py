"""Motion attention on a model, and guidance along its axes."""

from comfy_api.latest import io

from ...core.conditions import Strength
from ...core.sampling.guidance import Guidance
from .. import host

PART = {"min": 0.0, "max": 1.0, "step": 0.01}


class ApplyMotionAttention(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_ApplyMotionAttention",
            display_name="Apply Motion Attention",
            category="motion4d/sampling",
            description="Puts the motion attention of an adapter on a Wan2.1 image-to-video model, and sets how strongly and in which part of the sampling "
            "motion acts; without an adapter it sets the strength of an MV-DiT model. Strength 0 is the model without motion.",
            search_aliases=["motion strength", "mtvcrafter", "motion adapter", "motion attention"],
            inputs=[
                io.Model.Input("model", tooltip="MV-DiT 7B or 17B, or a Wan2.1 image-to-video model from any loader."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="Factor on what motion attention adds: 1 as trained, 0 for none.",
                ),
                io.Float.Input("start_percent", default=0.0, **PART, tooltip="Where in the sampling motion sets in, 0 being pure noise."),
                io.Float.Input(
                    "end_percent", default=1.0, **PART, tooltip="Where in the sampling motion ends, 1 being the finished video."
                ),
                io.ModelPatch.Input(
                    "adapter", optional=True, tooltip="From Load Motion Adapter; needed where the model has no motion attention of its own."
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="A copy with motion attention; the model given stays as it is.")],
        )

    @classmethod
    def execute(cls, model, strength, start_percent, end_percent, adapter=None):
        return io.NodeOutput(host.current().apply_motion(model, adapter, Strength(strength, start_percent, end_percent)))


class GuideByMotionAndText(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_GuideByMotionAndText",
            display_name="Guide by Motion and Text",
            category="motion4d/sampling",
            description="Classifier-free guidance along two axes: the positive against the negative condition, and the positive with its motion against the "
            "positive without, each with its own scale and both for a part of the sampling.",
            search_aliases=["cfg guider", "motion cfg", "dual cfg", "guidance interval"],
            inputs=[
                io.Model.Input("model", tooltip="MV-DiT 7B or 17B."),
                io.Conditioning.Input("positive", tooltip="From Condition Video on Motion."),
                io.Conditioning.Input("negative", tooltip="From Condition Video on Motion."),
                io.Float.Input(
                    "cfg",
                    default=6.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Positive against negative: the text's guidance at 17B (released with 6), the motion's at 7B (released with 3); 1 switches it off.",
                ),
                io.Float.Input(
                    "motion",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="With motion against without; 1 switches it off. At 17B the model was not trained for it; it costs one more pass at every step.",
                ),
                io.Float.Input("start_percent", default=0.0, **PART, tooltip="Where in the sampling guidance sets in, 0 being pure noise."),
                io.Float.Input(
                    "end_percent", default=1.0, **PART, tooltip="Where in the sampling guidance ends, 1 being the finished video."
                ),
            ],
            outputs=[io.Guider.Output(display_name="guider", tooltip="For Sample MV-DiT and, in ComfyUI, Sampler Custom (Advanced).")],
        )

    @classmethod
    def execute(cls, model, positive, negative, cfg, motion, start_percent, end_percent):
        guidance = Guidance(scale=cfg, motion=motion, start=start_percent, end=end_percent)
        return io.NodeOutput(host.current().guider(model, positive, negative, guidance))
