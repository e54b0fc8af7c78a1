"""One base model in memory and the adapters on it, ready to answer."""

from __future__ import annotations

import gc
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from ftui.core.errors import FtuiError
from ftui.core.recipe import Model
from ftui.core.text import one_line
from ftui.engine.adapters import AdapterFolder, check_fits, is_for, unique_names
from ftui.engine.device import find_device
from ftui.engine.encode import Encoder
from ftui.engine.models import resolve_model
from ftui.engine.multi_adapter import AdapterRows
from ftui.engine.served_base import LoadedBase, Quantization, load_base
from ftui.engine.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ftui.engine.cache import Progress

_PROMPT_LEARNING = (
    "PROMPT_TUNING",
    "PREFIX_TUNING",
    "P_TUNING",
    "MULTITASK_PROMPT_TUNING",
    "ADAPTION_PROMPT",
)


@dataclass(slots=True)
class Adapter:
    """A loaded adapter. inner: peft's name of it. tokenizer: the base's, with its run's chat template."""

    folder: AdapterFolder
    inner: str
    tokenizer: Any


@dataclass(slots=True)
class ServedModel:
    """What `load` makes. `adapters` is by the names people use; `warnings` is for people, too.

    recurrent: some layers carry a state instead of keys and values; padding would get into it.
    """

    base: str
    folder: Path
    asked: Quantization | None
    quantization: Quantization
    model: Any
    tokenizer: Any
    device: torch.device
    dtype: torch.dtype
    stop_ids: frozenset[int]
    context: int | None
    recurrent: bool = False
    adapters: dict[str, Adapter] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _peft: Any = None
    _loads: int = 0

    @property
    def sides(self) -> list[str]:
        return ["base", *self.adapters]

    def adapter(self, side: str | None) -> Adapter | None:
        """The adapter `side` names; None for the base. Raises FtuiError for an unknown one."""
        if side is None or side == "base":
            return None
        if side not in self.adapters:
            raise FtuiError(f"no adapter {side!r} is loaded", f"there are {', '.join(self.sides)}")
        return self.adapters[side]

    def set_adapters(self, folders: Sequence[AdapterFolder], progress: Progress) -> None:
        """Makes `folders` the adapters that can answer, loading and unloading the difference.

        Raises FtuiError when one does not fit this base; then the ones before stay.
        """
        sizes = self._layer_sizes()
        for folder in folders:
            if str(folder.config.get("peft_type", "")).upper() in _PROMPT_LEARNING:
                raise FtuiError("prompt-tuning adapters cannot be served", "train a LoRA", str(folder.path))
            check_fits(folder, sizes, self.base)
        unused = list(self.adapters.values())
        wanted: dict[str, Adapter] = {}
        for number, (name, folder) in enumerate(zip(unique_names(folders), folders, strict=True)):
            progress("adapter", number, len(folders))
            kept = next((adapter for adapter in unused if adapter.folder == folder), None)
            if kept:
                unused.remove(kept)
            wanted[name] = kept or Adapter(folder, self._load_adapter(folder), self._tokenizer(folder))
        self.adapters = wanted
        self._unload_others()
        self.warnings = list(self._doubts())

    @contextmanager
    def rows(self, adapters: Sequence[str | None]) -> Iterator[AdapterRows | None]:
        """Row i of every batch inside goes through `adapters[i]` (peft names). Raises NotStackable."""
        if self._peft is None:
            yield None
            return
        # Disabled for what the rows do not cover: other adapters' replaced modules and embeddings.
        with self._peft.disable_adapter(), AdapterRows(self.model, adapters, self.dtype) as rows:
            yield rows

    def alone(self, adapter: str | None) -> AbstractContextManager[Any]:
        """Everything inside goes through `adapter` (peft's name), the way peft itself does it."""
        if self._peft is None:
            return nullcontext()
        if adapter is None:
            return self._peft.disable_adapter()  # type: ignore[no-any-return]
        self._peft.set_adapter(adapter, inference_mode=True)
        return nullcontext()

    def release(self) -> None:
        """Gives the memory back; nothing can be asked afterwards."""
        self.model = self._peft = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _load_adapter(self, folder: AdapterFolder) -> str:
        from peft import PeftModel  # seconds to import, and the base alone needs none

        inner, where = f"a{self._loads}", str(folder.path)
        self._loads += 1
        try:
            if self._peft is None:
                self._peft = PeftModel.from_pretrained(
                    self.model, where, adapter_name=inner, autocast_adapter_dtype=False
                )
            else:
                device = str(self.device)
                self._peft.load_adapter(where, inner, autocast_adapter_dtype=False, torch_device=device)
        except (ValueError, KeyError, RuntimeError, TypeError, NotImplementedError) as error:
            if self._peft is not None and inner in self._peft.peft_config:
                self._peft.delete_adapter(inner)
            reason = one_line(f"{type(error).__name__}: {error}", 160)
            raise FtuiError(f"cannot load the adapter: {reason}", "", where) from error
        self._peft.eval()
        return inner

    def _unload_others(self) -> None:
        """Unloads what is not in `adapters`. peft cannot live without any adapter: one may stay, unused."""
        if self._peft is None:
            return
        inside = [adapter.inner for adapter in self.adapters.values()]
        for inner in [name for name in self._peft.peft_config if name not in inside]:
            if inside:
                self._peft.set_adapter(inside[0], inference_mode=True)
            if len(self._peft.peft_config) > 1:
                self._peft.delete_adapter(inner)

    def _tokenizer(self, folder: AdapterFolder) -> Any:
        """The tokenizer that writes conversations the way the adapter's run did."""
        recipe, run = folder.recipe, folder.run
        if recipe is None or run is None or not recipe.model.chat_template:
            return self.tokenizer
        # The folder is resolved already: a revision means nothing to it.
        wanted = recipe.model.model_copy(update={"revision": ""})
        return load_tokenizer(self.folder, wanted, run.parent.parent)

    def _doubts(self) -> Iterator[str]:
        """What a person should know about the adapters loaded."""
        for name, adapter in self.adapters.items():
            folder = adapter.folder
            if not is_for(folder, self.base, self.folder):
                yield f"{name} was made for {folder.base}, not for {self.base}"
            if folder.recipe and (trained := Quantization.of(folder.recipe)) != self.quantization:
                yield f"{name} learned on {trained.bits}-bit weights, these are {self.quantization.bits}-bit"

    def _layer_sizes(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of every layer by the name it has without adapters; 0 where it does not say."""
        sizes: dict[str, tuple[int, int]] = {}
        for name, module in self.model.named_modules():
            inputs, outputs = getattr(module, "in_features", None), getattr(module, "out_features", None)
            if type(module).__name__ == "Conv1D":
                inputs, outputs = module.weight.shape
            plain = name.replace(".base_layer", "")
            if ".lora_" not in name and not any(sizes.get(plain, ())):
                sizes[plain] = (int(inputs or 0), int(outputs or 0))
        return sizes


def load(
    base: str,
    asked: Quantization | None,
    progress: Progress,
    revision: str = "",
    trust_remote_code: bool = False,
) -> ServedModel:
    """The base model named `base`, in memory, without adapters. Raises FtuiError or ModelError.

    asked: how its weights are quantized; None serves 16 bits where they fit.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = resolve_model(base, revision, progress)
    progress("load", 0, 0)
    device = find_device()
    tokenizer = load_tokenizer(folder, Model(trust_remote_code=trust_remote_code))
    loaded = load_base(folder, device, asked, trust_remote_code)
    return ServedModel(
        base=base,
        folder=folder,
        asked=asked,
        quantization=loaded.quantization,
        model=loaded.model,
        tokenizer=tokenizer,
        device=device.torch,
        dtype=loaded.dtype,
        stop_ids=_stop_ids(loaded, tokenizer),
        context=getattr(loaded.model.config.get_text_config(), "max_position_embeddings", None),
        recurrent=_is_recurrent(loaded.model),
    )


def _is_recurrent(model: Any) -> bool:
    kinds = getattr(model.config.get_text_config(), "layer_types", None) or ()
    attends = all(str(kind).endswith("attention") and kind != "linear_attention" for kind in kinds)
    return not attends or bool(getattr(model, "_is_stateful", False))


def _stop_ids(loaded: LoadedBase, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a reply: the generation config's, the tokenizer's, and known ends of a turn."""
    configured = loaded.model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return Encoder(tokenizer, stop_ids=[id_ for id_ in ids if id_ is not None]).closers
