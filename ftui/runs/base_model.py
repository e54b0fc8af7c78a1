"""A base model's shape, where its config.json is on this machine. Nothing is downloaded or loaded."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.geometry import DEMO, Geometry, read_geometry

if TYPE_CHECKING:
    from ftui.runs.workspace import Workspace

_LARGEST = 4_000_000  # bytes of a config.json; real ones have some thousand


@dataclass(frozen=True, slots=True)
class BaseModel:
    """geometry is None when the model is not here, or not understood; `reason` then says which.

    config: its config.json, parsed; None when that is not here.
    """

    name: str
    geometry: Geometry | None
    reason: str = ""
    config: dict[str, Any] | None = None


def find_base(
    name: str, revision: str = "", *, workspace: Workspace | None = None, recipe_path: Path | None = None
) -> BaseModel:
    """The shape of the base a recipe names: `demo`, a directory, or a hub id that is in the hub's cache."""
    if name == "demo":
        return BaseModel(name, read_geometry(DEMO), config=dict(DEMO))
    if name.lower().endswith(".gguf"):
        return BaseModel(name, None, "unknown for a GGUF file until it is converted, at the first run")
    config = _local(name, workspace, recipe_path) or _cached(name, revision)
    if config is None:
        return BaseModel(name, None, "unknown until the model is on this machine")
    try:
        with config.open("rb") as file:
            document = json.loads(file.read(_LARGEST))
        if not isinstance(document, dict):
            raise ValueError("not an object")
    except (OSError, ValueError, RecursionError) as error:
        return BaseModel(name, None, f"unknown: cannot read {config.name} ({type(error).__name__})")
    try:
        return BaseModel(name, read_geometry(document), config=document)
    except FtuiError as error:
        return BaseModel(name, None, f"unknown: {error.message}", document)


def _local(name: str, workspace: Workspace | None, recipe_path: Path | None) -> Path | None:
    folder: Path | None = None
    with suppress(OSError, ValueError, RuntimeError):
        folder = workspace.find_local(recipe_path, name) if workspace else Path(name).expanduser()
        config = folder / "config.json" if folder else None
        return config if config and config.is_file() else None
    return None


def _cached(name: str, revision: str) -> Path | None:
    """config.json in the hub's own cache: models--ORG--NAME/snapshots/COMMIT, branches and tags in refs/."""
    home = os.environ.get("HF_HUB_CACHE") or (
        Path(os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser()) / "hub"
    )
    repository = Path(home) / f"models--{name.replace('/', '--')}"
    with suppress(OSError, ValueError):
        commit = revision or "main"
        ref = repository / "refs" / commit
        if ref.is_file():
            commit = ref.read_text().strip()
        config = repository / "snapshots" / commit / "config.json"
        return config if config.is_file() else None
    return None
