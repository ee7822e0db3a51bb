"""Stand-ins for ComfyUI's nodes around models: its loaders, encoders and decoders, and the loader of LoRAs."""

from comfy_api.latest import io
from torch import Tensor

from ..core.checkpoints import CHECKPOINT_SUFFIXES, check_finite, read_checkpoint
from ..core.networks.video_vae import SIDE
from ..nodes import host


def _files(folder: str) -> list[str]:
    return host.current().model_files(folder, CHECKPOINT_SUFFIXES)


def _file(folder: str, name: str):
    return host.current().model_file(folder, name)


def square(images: Tensor) -> Tensor:
    """The middle of pictures (B, H, W, C), as high as wide."""
    height, width = images.shape[1:3]
    return _middle(images, min(height, width), min(height, width))


def whole_frames(frames: Tensor) -> Tensor:
    """What makes whole latents of frames (T, H, W, C): the first 4 k + 1, and of each the middle, its sides multiples of 8."""
    height, width = (size // SIDE * SIDE for size in frames.shape[1:3])
    return _middle(frames[: len(frames) - (len(frames) - 1) % 4], height, width)


def _middle(images: Tensor, height: int, width: int) -> Tensor:
    top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
    return images[:, top : top + height, left : left + width]


class CLIPTextEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CLIPTextEncode",
            display_name="CLIP Text Encode (Prompt)",
            category="model/conditioning",
            description="Encodes a text with a text encoder, as what a video model is conditioned on.",
            inputs=[
                io.String.Input("text", multiline=True, dynamic_prompts=True, tooltip="The text to be encoded."),
                io.Clip.Input("clip", tooltip="The text encoder."),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, text, clip):
        return io.NodeOutput([[clip.encode(text), {}]])


class CLIPVisionEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CLIPVisionEncode",
            display_name="CLIP Vision Encode",
            category="model/conditioning",
            inputs=[
                io.ClipVision.Input("clip_vision"),
                io.Image.Input("image"),
                io.Combo.Input("crop", options=["center", "none"]),
            ],
            outputs=[io.ClipVisionOutput.Output()],
        )

    @classmethod
    def execute(cls, clip_vision, image, crop):
        return io.NodeOutput(clip_vision.encode(square(image) if crop == "center" else image))


class VAEDecode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VAEDecode",
            display_name="VAE Decode",
            category="model/latent",
            description="Decodes latents back into pictures.",
            inputs=[
                io.Latent.Input("samples", tooltip="The latent to be decoded."),
                io.Vae.Input("vae", tooltip="The VAE model used for decoding the latent."),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, samples, vae):
        return io.NodeOutput(vae.decode_batch(samples["samples"]))


class VAEEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VAEEncode",
            display_name="VAE Encode",
            category="model/latent",
            inputs=[io.Image.Input("pixels"), io.Vae.Input("vae")],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, pixels, vae):
        return io.NodeOutput({"samples": vae.encode(whole_frames(pixels))[None]})


class LoraLoaderModelOnly(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LoraLoaderModelOnly",
            display_name="Load LoRA",
            category="model/loaders",
            description="Puts a LoRA on a video model; several can be linked one after another.",
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input("lora_name", options=_files("loras")),
                io.Float.Input("strength_model", default=1.0, min=-100.0, max=100.0, step=0.01),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model, lora_name, strength_model):
        if strength_model == 0:
            return io.NodeOutput(model)
        path = _file("loras", lora_name)
        state = read_checkpoint(path)
        check_finite(state, str(path))
        return io.NodeOutput(model.with_lora(state, strength_model))


class UNETLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="UNETLoader",
            display_name="Load Diffusion Model",
            category="model/loaders",
            inputs=[
                io.Combo.Input("unet_name", options=_files("diffusion_models")),
                io.Combo.Input("weight_dtype", options=["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"], advanced=True),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, unet_name, weight_dtype):
        precision = "as stored" if weight_dtype == "default" else "fp8 scaled"
        return io.NodeOutput(host.current().load_video_model(_file("diffusion_models", unet_name), precision=precision))


class CLIPLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CLIPLoader",
            display_name="Load CLIP",
            category="model/loaders",
            description="wan: umt5 xxl; the other types are for models that run in ComfyUI only.",
            inputs=[
                io.Combo.Input("clip_name", options=_files("text_encoders")),
                io.Combo.Input("type", options=["wan"]),
                io.Combo.Input("device", options=["default", "cpu"], optional=True, advanced=True),
            ],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def execute(cls, clip_name, type, device="default"):
        return io.NodeOutput(host.current().load_text_encoder(_file("text_encoders", clip_name)))


class CLIPVisionLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CLIPVisionLoader",
            display_name="Load CLIP Vision",
            category="model/loaders",
            inputs=[io.Combo.Input("clip_name", options=_files("clip_vision"))],
            outputs=[io.ClipVision.Output()],
        )

    @classmethod
    def execute(cls, clip_name):
        return io.NodeOutput(host.current().load_image_encoder(_file("clip_vision", clip_name)))


class VAELoader(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VAELoader",
            display_name="Load VAE",
            category="model/loaders",
            inputs=[io.Combo.Input("vae_name", options=_files("vae"))],
            outputs=[io.Vae.Output()],
        )

    @classmethod
    def execute(cls, vae_name):
        return io.NodeOutput(host.current().load_video_vae(_file("vae", vae_name)))


NODES = [
    *(CLIPTextEncode, CLIPVisionEncode, VAEDecode, VAEEncode, LoraLoaderModelOnly),
    *(UNETLoader, CLIPLoader, CLIPVisionLoader, VAELoader),
]
