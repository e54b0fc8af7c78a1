"""A model's tokenizer, and the tokens that end its replies. Cheap to import: no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import AutoTokenizer

from ftui.core.chat_templates import BUILT_IN
from ftui.core.errors import FtuiError
from ftui.core.text import one_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ftui.core.recipe import Model


def load_tokenizer(
    path: Path | str, wanted: Model, template_folder: Path | None = None
) -> PreTrainedTokenizerBase:
    """The model's tokenizer with the recipe's chat template. Raises FtuiError."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=wanted.trust_remote_code)
    except (OSError, ValueError, ImportError) as error:
        raise FtuiError(f"cannot load the tokenizer: {one_line(str(error), 160)}", "", str(path)) from None
    template = wanted.chat_template
    if template in BUILT_IN:
        tokenizer.chat_template = BUILT_IN[template]
    elif template:
        file = Path(template).expanduser()
        if not file.is_absolute() and template_folder:
            file = template_folder / file
        try:
            tokenizer.chat_template = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise FtuiError(
                f"no chat template {template!r}",
                f"give a file, or one of {', '.join(BUILT_IN)}",
                "model.chat_template",
            ) from None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token  # padding is masked by position, never by id
    return tokenizer


def stop_ids(path: Path) -> list[int]:
    """The ids that end generation, by the model's generation config or else its config; [] when none say."""
    for name in ("generation_config.json", "config.json"):
        try:
            ids = json.loads((path / name).read_bytes()).get("eos_token_id")
        except (OSError, ValueError, AttributeError):
            continue
        if ids is not None:
            return [ids] if isinstance(ids, int) else list(ids)
    return []
