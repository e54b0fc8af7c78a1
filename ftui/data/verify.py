"""Is a dataset still what was written down about it: in an export's manifest, or in a run's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ftui.core.errors import FtuiError
from ftui.data.training import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

Difference = Literal["", "file", "decisions"]


def verified(path: Path) -> dict[str, Any]:
    """The dataset's fingerprint for a run's manifest, checked against the export that wrote the file.

    `export` is added where a manifest beside the file names it: its path, and the fingerprint of the dataset
    that was exported. Raises FtuiError when the file is not the one that was exported.
    """
    found = fingerprint(path)
    for manifest in _manifests(path):
        document = _read(manifest)
        for file in document.get("files", ()):
            if Path(file["path"]).name != path.name:
                continue
            if file["sha256"] != found["sha256"]:
                raise FtuiError(
                    f"this file is not what was exported: SHA-256 {found['sha256'][:12]}, "
                    f"{manifest.name} says {file['sha256'][:12]}",
                    f"export it again, or delete {manifest.name} to train on the file as it is",
                    str(path),
                )
            return {**found, "export": {"manifest": str(manifest), "source": document.get("source", {})}}
    return found


def difference(record: Mapping[str, Any]) -> Difference:
    """What changed since `record`, a fingerprint, was taken: the file itself, or only what was decided.

    Raises FtuiError when the file cannot be read any more.
    """
    now = fingerprint(Path(record["path"]))
    if now["sha256"] != record["sha256"]:
        return "file"
    return "decisions" if now["journal_sha256"] != record["journal_sha256"] else ""


def _manifests(path: Path) -> list[Path]:
    """Where an export that wrote `path` left its manifest: clean.train.jsonl belongs to clean.manifest.json."""
    name, found = path.name, []
    while "." in name.lstrip("."):
        name = name.rpartition(".")[0]
        manifest = path.with_name(f"{name}.manifest.json")
        if manifest.is_file():
            found.append(manifest)
    return found


def _read(path: Path) -> dict[str, Any]:
    """An export's manifest; nothing for a file of another kind that happens to be named so."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or "ftui" not in document:
        return {}
    files = document.get("files")
    whole = isinstance(files, list) and all(
        isinstance(file, dict) and isinstance(file.get("path"), str) and isinstance(file.get("sha256"), str)
        for file in files
    )
    return document if whole else {}
