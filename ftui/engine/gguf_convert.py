"""Any GGUF file transformers understands, as a safetensors folder."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.engine.gguf_file import GgufFile

_FLOAT32, _FLOAT16 = 0, 1
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")


def convert_gguf(source: GgufFile, folder: Path) -> None:
    """Writes the model and tokenizer of `source` into `folder`.

    Weights stored in blocks become bfloat16: the blocks have lost more than that rounding does. Raises
    FtuiError for an architecture or tokenizer transformers cannot convert.
    """
    where = str(source.path)
    if _SHARD.search(source.path.stem):
        raise FtuiError(
            "a GGUF model in several files", "join them with llama.cpp's gguf-split --merge", where
        )
    known = _known_architectures()
    if source.architecture not in known:
        raise FtuiError(
            f"cannot train GGUF architecture {one_line(source.architecture, 40) or 'unknown'}",
            "get the model's original safetensors folder",
            where,
        )
    try:
        _convert(source, folder)
    except (ValueError, KeyError, NotImplementedError, AttributeError, RuntimeError, ImportError) as error:
        reason = one_line(f"{type(error).__name__}: {error}", 160)
        raise FtuiError(
            f"cannot convert the GGUF file: {reason}", "get the model's original safetensors folder", where
        ) from error


def _convert(source: GgufFile, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    at: dict[str, Any] = {"gguf_file": source.path.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(source.path.parent, **at)
    kinds = {tensor.kind for tensor in source.tensors}
    if kinds <= {_FLOAT32}:
        dtype = torch.float32
    else:
        dtype = torch.float16 if kinds <= {_FLOAT32, _FLOAT16} else torch.bfloat16
    model: Any = AutoModelForCausalLM.from_pretrained(source.path.parent, dtype=dtype, **at)
    # The marks of a quantized model would make saving refuse; the weights are plain by now.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _known_architectures() -> set[str]:
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    known = set(GGUF_SUPPORTED_ARCHITECTURES)
    try:  # since transformers 5.2x
        from transformers.integrations.gguf import GGUF_CONFIG_ARCHS

        known |= set(GGUF_CONFIG_ARCHS)
    except ImportError:
        pass
    return known
