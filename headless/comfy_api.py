"""The stand-in for `comfy_api`: enough of ComfyUI's node API to import and run the pack's nodes where ComfyUI is not."""

import importlib.util
import sys
from abc import ABC, abstractmethod
from importlib.machinery import ModuleSpec
from types import ModuleType

from . import comfy_io, comfy_media, comfy_ui


class ComfyExtension(ABC):
    """What a pack hands to the host: a list of nodes."""

    async def on_load(self) -> None:  # noqa: B027 - optional, as in the host
        """Called once before the nodes are asked for."""

    @abstractmethod
    async def get_node_list(self) -> list[type[comfy_io.ComfyNode]]:
        """The pack's nodes."""


def install() -> bool:
    """Make `comfy_api` importable; False, and nothing changes, where the real one is loaded or can be."""
    if "comfy_api" in sys.modules or importlib.util.find_spec("comfy_api") is not None:
        return is_installed()
    package, latest = _package("comfy_api"), _package("comfy_api.latest")
    for name, part in (("io", comfy_io), ("ui", comfy_ui)):
        setattr(latest, name, part)
        setattr(latest, name.upper(), part)
    for name in ("Input", "InputImpl", "Types"):
        setattr(latest, name, getattr(comfy_media, name))
    latest.ComfyExtension = ComfyExtension
    package.latest = latest
    return True


def is_installed() -> bool:
    """Whether this process runs on the stand-in."""
    return getattr(sys.modules.get("comfy_api"), "STAND_IN", False)


def _package(name: str) -> ModuleType:
    module = ModuleType(name, "Stand-in of motion4d.headless.")
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    module.STAND_IN = True
    sys.modules[name] = module
    return module
