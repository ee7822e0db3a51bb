"""What a video is made under: motion tokens, a picture, and text."""

import weakref

import torch
from comfy_api.latest import io, ui

from ...core.maps.reference import FITS as CROPS
from ...core.maps.reference import fit_picture
from ...core.specs import load_spec
from ...core.types import MotionTokens
from ...core.video_plan import FITS, SIDE_STEP, VideoPlan, check_vae, plan_video
from .. import host, sockets
from .sampling import SEED_MAX

POSTERIORS = ("mean", "sample")


class LastReference:
    """The latents of the picture that was encoded last: for several views of one person it is the same again and again."""

    def __init__(self):
        self._vae, self._asked, self._picture, self._latents = None, None, None, None

    def latents(self, vae, plan: VideoPlan, picture: torch.Tensor, seed: int | None) -> torch.Tensor:
        """(C, F, h, w) of what the plan encodes of a picture (H, W, 3); seed: of a sample of the posterior, None for its mean."""
        asked = (plan.kind, plan.encoded_frames, seed)
        same = self._vae is not None and self._vae() is vae and self._asked == asked and torch.equal(self._picture, picture)
        if not same:
            self._latents = host.current().encode_video(vae, plan.encoded(picture), seed=seed)
            self._vae, self._asked, self._picture = weakref.ref(vae), asked, picture.clone()
        return self._latents


_LAST = LastReference()  # of this run of the program


class ConditionVideoOnMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        side = {"default": 0, "min": 0, "max": 4096, "step": SIDE_STEP}
        return io.Schema(
            node_id="Motion4D_ConditionVideoOnMotion",
            display_name="Condition Video on Motion",
            category="motion4d/sampling",
            description="Brings motion tokens, the picture of a person and, at 17B, text together into what MV-DiT is sampled under, and checks that they fit before "
            "anything is computed.",
            search_aliases=["mtvcrafter conditioning", "image to video", "animate picture", "motion conditioning", "wan image to video"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="MV-DiT 7B or 17B, or Wan2.1 with Apply Motion Attention: says which conditioning is needed."
                ),
                sockets.MotionTokens.Input("tokens", tooltip="From Encode Motion Tokens."),
                io.Image.Input("reference", tooltip="The picture of the person; of several the first."),
                io.Vae.Input("vae", tooltip="Of CogVideoX-5B for 7B, of Wan2.1 for 17B."),
                io.Int.Input(
                    "width",
                    **side,
                    tooltip="Of the video; 0 for both sides takes the released size: 512 x 512 at 7B, at 17B the one nearest to the picture's proportions.",
                ),
                io.Int.Input("height", **side, tooltip="Of the video; see `width`."),
                io.Combo.Input(
                    "crop",
                    options=list(CROPS),
                    default=CROPS[0],
                    tooltip="How the picture is brought to that size: `crop` keeps its proportions (as in the paper), `stretch` does not (as in the release).",
                ),
                io.Int.Input(
                    "frames", default=0, min=0, max=99999, tooltip="Length of the video, 1, 5, 9, ... 49, ...; 0 takes that of the motion."
                ),
                io.Combo.Input(
                    "fit",
                    options=list(FITS),
                    default=FITS[0],
                    tooltip="Where the motion has another length than `frames`: refuse it, pad a shorter one by holding its end, or trim a longer one.",
                ),
                io.Combo.Input(
                    "posterior",
                    options=list(POSTERIORS),
                    default=POSTERIORS[0],
                    tooltip="Which latents of the picture: the mean that the VAE gives (as 17B was released), or a random sample (as 7B was released; needs Load "
                    "Video VAE).",
                ),
                io.Int.Input("seed", default=0, min=0, max=SEED_MAX, control_after_generate=True, tooltip="Of that sample."),
                io.Conditioning.Input(
                    "positive", optional=True, tooltip="17B: the prompt, from CLIP Text Encode with UMT5-XXL; 7B takes no text."
                ),
                io.Conditioning.Input(
                    "negative", optional=True, tooltip="17B: what to avoid; without it the prompt is used, which is right for cfg 1 only."
                ),
                io.ClipVision.Input(
                    "clip_vision", optional=True, tooltip="17B: the image encoder CLIP ViT-H, which looks at the picture as it is used."
                ),
                io.ClipVisionOutput.Input(
                    "clip_vision_output",
                    optional=True,
                    tooltip="17B: in place of `clip_vision`, from CLIP Vision Encode; of another picture too.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="With the motion."),
                io.Conditioning.Output(
                    display_name="negative", tooltip="7B: the learned absence of motion; 17B: the negative prompt with the same motion."
                ),
                io.Latent.Output(display_name="latent", tooltip="Empty, of the size of the video."),
                io.Image.Output(display_name="reference", tooltip="The picture as it is used."),
                io.String.Output(
                    display_name="report", tooltip="Size and length, with a warning where the model was not trained for them."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, model, tokens, reference, vae, width, height, crop, frames, fit, posterior, seed,
        positive=None, negative=None, clip_vision=None, clip_vision_output=None,
    ):  # fmt: skip
        here = host.current()
        known = here.video_model(model)
        check_vae(known.kind, here.vae_kind(vae))
        size = {"width": width, "height": height, "frames": frames, "fit": fit}
        plan = planned(known, tokens, tuple(reference.shape[1:3]), **size)
        picture = fit_picture(reference[0, ..., :3], plan.height, plan.width, crop)
        image = None
        if known.kind == "mvdit_7b":
            positive = negative = None  # it takes no text
        else:
            check_text_and_image(positive, clip_vision, clip_vision_output)
            image = clip_vision_output if clip_vision_output is not None else here.encode_image(clip_vision, picture)
        latents = _LAST.latents(vae, plan, picture, seed if posterior == "sample" else None)
        with_motion, without = plan.conditions(latents)
        return io.NodeOutput(
            here.condition(positive, with_motion, image=image),
            here.condition(positive if negative is None else negative, without, image=image),
            {"samples": torch.zeros(1, known.channels, *with_motion.reference.shape[1:])},
            picture[None],
            plan.report(),
            ui=ui.PreviewText(plan.report()),
        )


def planned(model: host.VideoModel, tokens: MotionTokens, picture: tuple[int, int], **size) -> VideoPlan:
    """The plan of a video, with what the specs of tokenizer and model know."""
    recipe = load_spec(model.kind).recipe
    positions = load_spec(tokens.spec).statistics["mean_mm"]
    released = recipe["height"], recipe["width"]
    return plan_video(model.kind, tokens, positions, motion_width=model.motion_width, picture=picture, released=released, **size)


def check_text_and_image(positive, clip_vision, clip_vision_output) -> None:
    """ValueError unless 17B has its prompt and its look at the picture."""
    if positive is None:
        raise ValueError("positive: MV-DiT 17B reads a prompt: connect CLIP Text Encode with UMT5-XXL")
    if clip_vision is None and clip_vision_output is None:
        raise ValueError("clip_vision: MV-DiT 17B looks at the picture through CLIP ViT-H: connect Load Image Encoder")
