"""Recipes of other trainers, in ftui's fields: which trainer's it is, and who reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ftui.core import import_axolotl, import_llama_factory
from ftui.core.errors import FtuiError
from ftui.core.import_reading import Imported, Kind, Reading


def import_document(document: Any, find_data: Callable[[str], str] = str) -> Imported:
    """A LLaMA-Factory or Axolotl document in ftui's fields.

    find_data: turns the name of a dataset into the path of its file. Raises FtuiError for a document of
    neither kind, an objective that is not there, or a value that makes no sense.
    """
    known: tuple[tuple[Kind, str, Any], ...] = (
        ("llama-factory", "model_name_or_path", import_llama_factory),
        ("axolotl", "base_model", import_axolotl),
    )
    for kind, mark, trainer in known:
        if isinstance(document, Mapping) and mark in document:
            reading = Reading({str(key): value for key, value in document.items()}, find_data)
            for take_over in trainer.PARTS:
                take_over(reading)
            return reading.finish(kind, trainer.NEEDLESS)
    raise FtuiError(
        "not a recipe of LLaMA-Factory or Axolotl", "one has `model_name_or_path`, the other `base_model`"
    )
