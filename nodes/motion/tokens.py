"""Motion to tokens and back, and work on the tokens themselves."""

import math

from comfy_api.latest import io, ui

from ...core.body.normalisation import denormalise, normalise, undo_placement
from ...core.body.tokens import LENGTHS, OPERATIONS, describe_tokens, edit_tokens, fit_motion_length, tokens_of
from ...core.maps.comparison import compare_motions, draw_comparison
from ...core.maps.plots import plot_histogram
from ...core.networks.codebook import inspect_codebook
from ...core.networks.motion_tokenizer import windows
from .. import host, sockets
from ..images import to_images


class EncodeMotionTokens(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_EncodeMotionTokens",
            display_name="Encode Motion Tokens",
            category="motion4d/tokens",
            description="4DMoT tokens of a motion: one for each joint and four frames. Fit the motion to the tokenizer first.",
            search_aliases=["4dmot", "mtvcrafter", "tokenize motion", "vq encode"],
            inputs=[
                sockets.Motion.Input("motion", tooltip="24 SMPL joints in camera space, from Fit Motion to Tokenizer."),
                sockets.Tokenizer.Input("tokenizer", tooltip="From Load Motion Tokenizer."),
                io.Combo.Input(
                    "length",
                    options=list(LENGTHS),
                    default="pad",
                    tooltip="Clips of 8k or 8k + 1 frames come back from their tokens at their own length. Others are padded by holding the last frame, trimmed, or refused.",
                ),
            ],
            outputs=[
                sockets.MotionTokens.Output(display_name="tokens"),
                io.String.Output(
                    display_name="report", tooltip="Number of tokens, codes used, and the commitment loss: above 0.1 the codes fit badly."
                ),
            ],
        )

    @classmethod
    def execute(cls, motion, tokenizer, length):
        fitted = fit_motion_length(motion, length)
        joints = normalise(fitted, tokenizer.statistics)[None]
        bar = host.current().progress(windows(fitted.frames))
        with host.on_device(tokenizer.model) as device:
            codes = tokenizer.model.encode(joints.to(device), advance=bar.advance)
        tokens = tokens_of(
            codes, frames=min(motion.frames, fitted.frames), joints=joints.shape[2], spec=tokenizer.spec.name, fps=motion.fps
        )
        report = describe_tokens(tokens)
        return io.NodeOutput(tokens, report, ui=ui.PreviewText(report))


class DecodeMotionTokens(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_DecodeMotionTokens",
            display_name="Decode Motion Tokens",
            category="motion4d/tokens",
            description="The motion that tokens stand for and, with the original, how far it is off: in millimetres and drawn over each other.",
            search_aliases=["4dmot", "mtvcrafter", "reconstruct motion", "vq decode"],
            inputs=[
                sockets.MotionTokens.Input("tokens", tooltip="From Encode Motion Tokens or Edit Motion Tokens."),
                sockets.Tokenizer.Input("tokenizer", tooltip="The tokenizer that made the tokens."),
                sockets.Placement.Input(
                    "placement", optional=True, tooltip="From Fit Motion to Tokenizer: moves the result back to where the motion was."
                ),
                sockets.Motion.Input(
                    "original", optional=True, tooltip="The motion before it was fitted, to compare with; needs `placement`."
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion"),
                io.Float.Output(
                    display_name="error_mm",
                    tooltip="Mean distance to the original over all joints, in millimetres; NaN without an original.",
                ),
                io.Image.Output(display_name="overlay", tooltip="The reconstruction in colours over the original in grey."),
                io.String.Output(display_name="report"),
            ],
        )

    @classmethod
    def execute(cls, tokens, tokenizer, placement=None, original=None):
        bar = host.current().progress(tokens.latent_frames // 2)
        with host.on_device(tokenizer.model) as device:
            joints = tokenizer.model.decode(tokens.tokens[None].to(device), joints=tokens.joints, advance=bar.advance)
        motion = denormalise(joints[0].cpu(), tokenizer.statistics, fps=tokens.fps).cut(0, tokens.frames)
        motion = motion if placement is None else undo_placement(motion, placement)
        difference = None if original is None else compare_motions(original, motion)
        report = describe_tokens(tokens) if difference is None else difference.text()
        error = math.nan if difference is None else difference.mean_mm
        return io.NodeOutput(motion, error, to_images(draw_comparison(motion, original)), report, ui=ui.PreviewText(report))


class EditMotionTokens(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_EditMotionTokens",
            display_name="Edit Motion Tokens",
            category="motion4d/tokens",
            description="Trim a clip of tokens, put two clips one after the other, blend them, or take some joints from another clip.",
            search_aliases=["cut tokens", "join tokens", "mix motion", "swap joints"],
            inputs=[
                sockets.MotionTokens.Input("tokens", tooltip="The clip to change."),
                io.Combo.Input(
                    "operation",
                    options=list(OPERATIONS),
                    default="trim",
                    tooltip="All but trim need `other`.",
                ),
                io.Int.Input("start", default=0, min=0, max=99999, tooltip="trim: first latent frame to keep; one stands for four frames."),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=99999,
                    tooltip="trim: number of latent frames to keep, at least 2; 0 keeps all that follow.",
                ),
                io.Float.Input("weight", default=0.5, min=0.0, max=1.0, step=0.01, tooltip="blend: share of the other clip."),
                io.String.Input(
                    "joints",
                    default="left_shoulder, left_elbow, left_wrist, left_hand",
                    tooltip="swap_joints: names of SMPL joints, with commas.",
                ),
                sockets.MotionTokens.Input("other", optional=True, tooltip="The second clip, made by the same tokenizer."),
                sockets.Tokenizer.Input(
                    "tokenizer", optional=True, tooltip="blend: replaces every mixture by the nearest code, which the decoder knows."
                ),
            ],
            outputs=[sockets.MotionTokens.Output(display_name="tokens")],
        )

    @classmethod
    def execute(cls, tokens, operation, start, frames, weight, joints, other=None, tokenizer=None):
        return io.NodeOutput(
            edit_tokens(
                tokens, operation, other=other, start=start, count=frames, weight=weight,
                names=[name.strip() for name in joints.split(",") if name.strip()],
                quantise=None if tokenizer is None else tokenizer.model.quantise,
            )
        )  # fmt: skip


class InspectCodebook(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_InspectCodebook",
            display_name="Inspect Codebook",
            category="motion4d/tokens",
            description="How a tokenizer's codebook is used by some tokens, and how alike its codes are: usage classes, perplexity, cosine similarities.",
            search_aliases=["codebook usage", "perplexity", "vq statistics"],
            inputs=[
                sockets.Tokenizer.Input("tokenizer", tooltip="From Load Motion Tokenizer."),
                sockets.MotionTokens.Input("tokens", optional=True, tooltip="Whose use of the codes to count."),
            ],
            outputs=[
                io.String.Output(display_name="report"),
                io.Image.Output(display_name="plot", tooltip="Pairs of codes by cosine similarity."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, tokenizer, tokens=None):
        bar = host.current().progress(tokenizer.model.config.codebook_size)
        with host.on_device(tokenizer.model):
            codebook = tokenizer.model.vq.codebook
            found = inspect_codebook(codebook, None if tokens is None else tokens.indices, advance=bar.advance)
        plot = plot_histogram(
            found.cosine_histogram, found.cosine_edges, title="Cosine similarity of codes", x_label="cosine", y_label="pairs"
        )
        return io.NodeOutput(found.text(), plot[None], ui=ui.PreviewText(found.text()))
