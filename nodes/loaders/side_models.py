"""The models beside a video model: text encoder, image encoder and VAE. In ComfyUI its own loaders do as well."""

from comfy_api.latest import io

from ...core.specs import load_spec
from .. import host
from .checkpoints import chosen_file, file_choice

TEXT_ENCODER, IMAGE_ENCODER, VAES = "umt5_xxl", "clip_vision_h", ("cogvideox_vae", "wan_vae")


class LoadTextEncoder(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_LoadTextEncoder",
            display_name="Load Text Encoder",
            category="motion4d/load",
            description="UMT5-XXL, which reads the prompt for MV-DiT 17B (7B takes no text). In ComfyUI its own Load CLIP with type wan does as well.",
            search_aliases=["umt5", "t5", "clip loader", "wan text encoder"],
            inputs=[
                file_choice(
                    TEXT_ENCODER,
                    tooltip=f"A file of models/{load_spec(TEXT_ENCODER).folder}: UMT5-XXL as released with Wan2.1 or as repackaged for ComfyUI, fp8 too.",
                )
            ],
            outputs=[io.Clip.Output(display_name="clip", tooltip="For CLIP Text Encode.")],
        )

    @classmethod
    def execute(cls, file):
        return io.NodeOutput(host.current().load_text_encoder(chosen_file(file, TEXT_ENCODER)))


class LoadImageEncoder(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_LoadImageEncoder",
            display_name="Load Image Encoder",
            category="motion4d/load",
            description="CLIP ViT-H, through which MV-DiT 17B looks at the reference picture (7B needs none). In ComfyUI its own Load CLIP Vision does as well.",
            search_aliases=["clip vision", "vit-h", "open clip", "image encoder"],
            inputs=[
                file_choice(
                    IMAGE_ENCODER,
                    tooltip=f"A file of models/{load_spec(IMAGE_ENCODER).folder}: CLIP ViT-H as released with Wan2.1 or as repackaged for ComfyUI.",
                )
            ],
            outputs=[io.ClipVision.Output(display_name="clip_vision", tooltip="For Condition Video on Motion.")],
        )

    @classmethod
    def execute(cls, file):
        return io.NodeOutput(host.current().load_image_encoder(chosen_file(file, IMAGE_ENCODER)))


class LoadVideoVAE(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_LoadVideoVAE",
            display_name="Load Video VAE",
            category="motion4d/load",
            description="The VAE of CogVideoX-5B (for MV-DiT 7B) or of Wan2.1 (for 17B), told apart by what is in the file. In ComfyUI its own Load VAE does as "
            f"well where it knows the file. {load_spec(VAES[0]).notice}",
            search_aliases=["cogvideox vae", "wan vae", "autoencoder"],
            inputs=[
                file_choice(
                    *VAES,
                    tooltip=f"A file of models/{load_spec(VAES[0]).folder}: the VAE of CogVideoX-5B for 7B, that of Wan2.1 for 17B.",
                )
            ],
            outputs=[io.Vae.Output(display_name="vae", tooltip="For Condition Video on Motion and VAE Decode.")],
        )

    @classmethod
    def execute(cls, file):
        return io.NodeOutput(host.current().load_video_vae(chosen_file(file, *VAES)))
