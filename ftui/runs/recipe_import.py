"""Reads a LLaMA-Factory or Axolotl YAML from disk, and finds the dataset files it names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.recipe_import import import_document

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.core.import_reading import Imported

_MOST_BYTES = 1 << 20  # such a file is some kilobytes


def import_file(path: Path) -> Imported:
    """The other trainer's recipe at `path` in ftui's fields. Raises FtuiError with the line of what is wrong."""
    try:
        document = _parse(path)
        folder = (
            path.parent / str(document.get("dataset_dir") or "data") if isinstance(document, dict) else path
        )
        return import_document(document, lambda name: _dataset(folder, name))
    except FtuiError as error:
        where = f"{path}: {error.where}" if error.where and error.where != str(path) else str(path)
        raise FtuiError(error.message, error.hint, where) from None


def _parse(path: Path) -> Any:
    import yaml

    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise FtuiError(f"cannot be read: {error.strerror}", "") from None
    if len(text) > _MOST_BYTES:
        raise FtuiError("too long for a recipe", "give the YAML that the trainer was started with")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise FtuiError(f"not YAML: {problem}", "", f"line {mark.line + 1}" if mark else "") from None


def _dataset(folder: Path, name: str) -> str:
    """The file LLaMA-Factory's `dataset_info.json` knows under `name`; `name` itself where it knows none."""
    try:
        known = json.loads((folder / "dataset_info.json").read_bytes())
        file = known[name]["file_name"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return name
    return str(folder / file) if isinstance(file, str) else name
