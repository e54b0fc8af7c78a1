"""Which files a person may want to open, and which they had open: looked for off the screen's thread."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ftui.runs.workspace import Workspace

DATASET_SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".txt")
RECIPE_SUFFIXES = (".toml",)
_PACKED = (".gz", ".zst")
_MOST_ENTRIES = 2_000  # looked at in one folder: a folder of a million files must not hang anything
_MOST_RECENT = 20
_NOT_DATA = {
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "requirements.txt",
    "LICENSE.txt",
    "robots.txt",
}


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file on offer. place: "workspace", "here" (this folder), "recent", or "" for a typed folder."""

    path: Path
    place: str
    bytes: int = 0
    modified: float = 0.0
    folder: bool = False


def dataset_files(workspace: Workspace, cwd: Path | None = None) -> list[FoundFile]:
    """Datasets of the workspace, those worked on lately, and likely files of this folder; each once."""
    cwd = cwd or _here()
    found = [
        *_in_folder(workspace.datasets, "workspace", DATASET_SUFFIXES),
        *_in_folder(workspace.root, "workspace", DATASET_SUFFIXES),
        *(file for path in recent(workspace) if (file := _file(path, "recent"))),
        *_in_folder(cwd, "here", DATASET_SUFFIXES),
        *_in_folder(cwd / "data", "here", DATASET_SUFFIXES),
        *_in_folder(cwd / "datasets", "here", DATASET_SUFFIXES),
    ]
    return _once(found)


def recipe_files(workspace: Workspace, cwd: Path | None = None) -> list[FoundFile]:
    """Recipes of the workspace, and TOML files of a `recipes` folder here."""
    cwd = cwd or _here()
    return _once(
        [
            *_in_folder(workspace.recipes, "workspace", RECIPE_SUFFIXES),
            *_in_folder(cwd / "recipes", "here", RECIPE_SUFFIXES),
        ]
    )


def typed_path(text: str) -> Path:
    """The path a person typed: `~` is home, and a `~name` that nobody has is part of a name."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises for a name nobody has


def folder_files(typed: str, suffixes: tuple[str, ...]) -> list[FoundFile]:
    """What is in the folder of a typed path: folders first, then files of these suffixes."""
    folder = typed_path(typed)
    if not typed.endswith("/"):
        folder = folder.parent
    folders = []
    for entry in _entries(folder):
        if not entry.name.startswith(".") and not entry.name.endswith(".ftui") and _is_folder(entry):
            folders.append(FoundFile(Path(entry.path), "", folder=True))
    return [*sorted(folders, key=lambda file: file.path.name), *_in_folder(folder, "", suffixes)]


def last_dataset(workspace: Workspace) -> Path | None:
    """The dataset to open first: the one worked on last, else the newest in the workspace; else None."""
    for path in recent(workspace):
        if path.is_file():
            return path
    own = _in_folder(workspace.datasets, "workspace", DATASET_SUFFIXES)
    return max(own, key=lambda file: file.modified).path if own else None


def recent(workspace: Workspace) -> list[Path]:
    """Datasets opened in this workspace, latest first."""
    paths = _read_recent().get(str(workspace.root), [])
    return [Path(path) for path in paths if isinstance(path, str)] if isinstance(paths, list) else []


def remember(workspace: Workspace, path: Path) -> None:
    """Puts `path` first among the recent ones. A cache that cannot be written is no reason to stop."""
    known = _read_recent()
    paths = [str(path), *(str(other) for other in recent(workspace) if other != path)]
    known[str(workspace.root)] = paths[:_MOST_RECENT]
    target = _recent_path()
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(known, indent=1), encoding="utf-8", errors="surrogateescape")
        part.replace(target)
    except (OSError, UnicodeError):
        return


def _here() -> Path:
    """The current folder; the root where it was deleted under us."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/")


def _recent_path() -> Path:
    if root := os.environ.get("FTUI_CACHE"):
        return Path(root) / "recent.json"
    from platformdirs import user_cache_path

    return user_cache_path("ftui", appauthor=False) / "recent.json"


def _read_recent() -> dict[str, object]:
    try:
        known = json.loads(_recent_path().read_text(encoding="utf-8", errors="surrogateescape"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _in_folder(folder: Path, place: str, suffixes: tuple[str, ...]) -> list[FoundFile]:
    found = [
        file
        for entry in _entries(folder)
        if _looks_right(entry.name, suffixes) and (file := _file(Path(entry.path), place))
    ]
    return sorted(found, key=lambda file: file.path.name)


def _looks_right(name: str, suffixes: tuple[str, ...]) -> bool:
    if name.startswith(".") or name in _NOT_DATA:
        return False
    lower = name.lower()
    for packed in _PACKED:
        lower = lower.removesuffix(packed)
    return lower.endswith(suffixes)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False)]
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _file(path: Path, place: str) -> FoundFile | None:
    try:
        status = path.stat()
    except OSError:
        return None
    if not path.is_file():
        return None
    return FoundFile(path, place, status.st_size, status.st_mtime)


def _once(files: Iterable[FoundFile]) -> list[FoundFile]:
    seen: set[str] = set()
    kept = []
    for file in files:
        real = os.path.realpath(file.path)
        if real not in seen:
            seen.add(real)
            kept.append(file)
    return kept
