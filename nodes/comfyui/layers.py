"""ComfyUI's layers and attention, as the networks of core take them: so that its offloading, casting, LoRA and attention backends work."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from comfy.ldm.modules import attention as comfy_attention
from torch import Tensor


class Layers:
    """The `ops` of a network: layers of one of ComfyUI's namespaces, of one dtype, without memory until a checkpoint fills them.

    packed: the layers are those for quantised weights, which have no memory anyway and put what they load where they were made.
    """

    def __init__(self, operations: Any, dtype: torch.dtype | None = None, *, packed: bool = False):
        self._operations, self._dtype, self._device = operations, dtype, "cpu" if packed else "meta"

    def __getattr__(self, name: str) -> partial:
        return partial(getattr(self._operations, name), device=self._device, dtype=self._dtype)


class Attention:
    """The `attention` of a network: what ComfyUI was started with, or what a patch of the run puts in its place."""

    def __init__(self):
        self._options: dict[str, Any] | None = None

    @contextmanager
    def under(self, transformer_options: dict[str, Any]) -> Iterator[None]:
        """Heed the options of a run for the length of a `with` block."""
        before, self._options = self._options, transformer_options
        try:
            yield
        finally:
            self._options = before

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # Looked up at every call, because packs replace it. Attention in 8 bit gains nothing with few keys and is known to overflow there.
        return comfy_attention.optimized_attention(
            q,
            k,
            v,
            heads=q.shape[1],
            skip_reshape=True,
            skip_output_reshape=True,
            transformer_options=self._options,
            low_precision_attention=k.shape[2] == q.shape[2],
        )
