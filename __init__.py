"""ComfyUI-Motion4D: 4D human motion for ComfyUI. Nothing is imported before ComfyUI asks for the nodes."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """ComfyUI's entry point (V3): returns the extension that lists the nodes."""
    from .nodes.extension import Motion4DExtension

    return Motion4DExtension()
