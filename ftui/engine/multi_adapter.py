"""One forward pass for a batch whose rows use different LoRA adapters, or none.

For every LoRA layer the rows' A and B matrices are stacked once; the pass then computes
`base(x) + bmm(bmm(x, A), B)`: two more operations a layer, however many adapters there are. Rows without an
adapter hold zeros. peft's own mixed batches cost about ten times as many operations and leave hooks behind
when a pass fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self


class NotStackable(Exception):
    """These adapters, or this model, cannot share a pass: let each side run alone."""


class AdapterRows:
    """Context in which row i of every batch goes through `adapters[i]` (None: the base alone).

    model: a model with peft LoRA layers in it, eval mode, nothing merged. adapters: peft adapter names.
    Raises NotStackable for DoRA and other variants, adapted embeddings, experts, and replaced modules; a
    forward pass inside raises it too where a layer's input has no row dimension.
    """

    def __init__(self, model: torch.nn.Module, adapters: Sequence[str | None], dtype: torch.dtype) -> None:
        from peft.tuners.lora import LoraLayer  # seconds to import, and the base alone needs none

        self._layers = [
            _StackedLayer(module, adapters, dtype)
            for module in model.modules()
            if isinstance(module, LoraLayer) or _replaced(module, adapters)
        ]

    def keep(self, rows: torch.Tensor) -> None:
        """Leaves only `rows` (indices, in order) in the batch."""
        for layer in self._layers:
            layer.keep(rows)

    def __enter__(self) -> Self:
        for layer in self._layers:
            layer.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for layer in self._layers:
            layer.remove()


class _StackedLayer:
    """One LoRA layer's matrices, stacked: A [rows, in, rank], B [rows, rank, out] with the scaling in it."""

    def __init__(self, module: Any, adapters: Sequence[str | None], dtype: torch.dtype) -> None:
        self._module = module
        self._previous: Any = None
        self.rows = len(adapters)
        here = [name if name in module.lora_A else None for name in adapters]
        used = [name for name in here if name is not None]
        _require_plain(module, [name for name in adapters if name is not None])
        self._a: torch.Tensor | None = None
        self._b: torch.Tensor | None = None
        if not used:
            return
        rank = max(module.lora_A[name].weight.shape[0] for name in used)
        first = module.lora_A[used[0]].weight
        self._a = torch.zeros(self.rows, first.shape[1], rank, dtype=dtype, device=first.device)
        out = module.lora_B[used[0]].weight.shape[0]
        self._b = torch.zeros(self.rows, rank, out, dtype=dtype, device=first.device)
        for row, name in enumerate(here):
            if name is not None:
                a, b = module.lora_A[name].weight.data, module.lora_B[name].weight.data
                self._a[row, :, : a.shape[0]] = a.T
                self._b[row, : b.shape[1]] = b.T * module.scaling[name]

    def keep(self, rows: torch.Tensor) -> None:
        self.rows = len(rows)
        if self._a is not None and self._b is not None:
            self._a, self._b = self._a[rows.to(self._a.device)], self._b[rows.to(self._b.device)]

    def install(self) -> None:
        self._previous = self._module.__dict__.get("forward")
        self._module.forward = self.forward

    def remove(self) -> None:
        if self._previous is None:
            del self._module.forward
        else:
            self._module.forward = self._previous

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        result: torch.Tensor = self._module.base_layer(x, *args, **kwargs)
        if self._a is None or self._b is None:
            return result
        if x.dim() != 3 or x.shape[0] != self.rows:
            raise NotStackable("a layer sees tokens without their rows")
        return result + torch.bmm(torch.bmm(x.to(self._a.dtype), self._a), self._b).to(result.dtype)


def _require_plain(module: Any, names: Sequence[str]) -> None:
    """Raises NotStackable unless `module` is y = Wx (+ b) with plain LoRA, unmerged, for all of `names`."""
    if module.merged:
        raise NotStackable("an adapter is merged into the base")
    for name in names:
        if name in module.lora_embedding_A:
            raise NotStackable("the embedding is adapted")
        if name not in module.lora_A:
            continue
        variant = name in getattr(module, "lora_variant", {}) or module.use_dora.get(name)
        linear = type(module.lora_A[name]) is torch.nn.Linear and type(module.lora_B[name]) is torch.nn.Linear
        if variant or not linear or module.lora_B[name].bias is not None or hasattr(module, "parameter_name"):
            raise NotStackable("not plain LoRA on a linear layer")


def _replaced(module: torch.nn.Module, adapters: Sequence[str | None]) -> bool:
    """Raises NotStackable when one of `adapters` brings its own copy of `module` (modules_to_save)."""
    from peft.utils.other import AuxiliaryTrainingWrapper

    if isinstance(module, AuxiliaryTrainingWrapper) and set(module._adapters) & set(adapters):
        raise NotStackable("an adapter replaces a whole module")
    return False
