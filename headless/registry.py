"""The nodes that a headless run has: the pack's own and the stand-ins for ComfyUI's."""

import asyncio

from ..nodes.host import Host, use
from .comfy_api import install


def load_nodes(host: Host) -> dict[str, type]:
    """{id: node class}. From now on the nodes of this process ask `host` for files, device and progress."""
    install()
    use(host)
    from ..nodes.extension import Motion4DExtension
    from .core_nodes import NODES

    own = asyncio.run(Motion4DExtension().get_node_list())
    return {node.GET_SCHEMA().node_id: node for node in [*own, *NODES]}
