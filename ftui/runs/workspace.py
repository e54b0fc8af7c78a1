"""A workspace: the directory that holds recipes, datasets, runs and adapters as plain files."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ftui.core.errors import FtuiError

MARKER = "ftui.toml"
_MARKER_TEXT = """\
# This directory is an ftui workspace: recipes/, datasets/, runs/ and adapters/ are plain files.
# Sources in datasets/ are never written; your decisions live beside them in NAME.ftui/.
schema = 1
"""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The paths of a workspace. Opening one writes nothing; `ensure` is called before the first write.

    here: whether a recipe may also name files from the current directory.
    """

    root: Path
    here: bool = True

    @property
    def recipes(self) -> Path:
        return self.root / "recipes"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def adapters(self) -> Path:
        return self.root / "adapters"

    @property
    def golden(self) -> Path:
        return self.root / "golden"

    @property
    def votes(self) -> Path:
        return self.root / "votes.jsonl"

    @property
    def marker(self) -> Path:
        return self.root / MARKER

    @property
    def name(self) -> str:
        return self.root.name

    def ensure(self) -> None:
        """Makes the directory and its `ftui.toml` if missing. Raises FtuiError where it may not write."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with self.marker.open("x", encoding="utf-8") as file:
                file.write(_MARKER_TEXT)
        except FileExistsError:
            if not self.root.is_dir():
                raise FtuiError(
                    "not a directory", "give a directory as the workspace", str(self.root)
                ) from None
        except OSError as error:
            raise FtuiError(
                f"cannot write to the workspace: {error.strerror}",
                "choose another with --workspace DIR",
                str(self.root),
            ) from None

    def resolve_data(self, recipe_path: Path | None, value: str) -> Path:
        """The absolute path of a file a recipe names.

        Looks in the workspace, beside the recipe, in the workspace the recipe lies in, then in the current
        directory; the first that exists wins. Raises FtuiError naming the places looked at.
        """
        if not value:
            raise FtuiError(
                "no dataset named",
                'set data.train, for example data.train = "datasets/tickets.jsonl"',
                "data.train",
            )
        found = self.find_local(recipe_path, value)
        if found is not None:
            return found
        if Path(value).is_absolute() or value.startswith("~"):
            raise FtuiError("no such file", "check the path", value)
        looked = ", ".join(str(place) for place in self._places(recipe_path))
        raise FtuiError("no such file", f"looked in {looked}", value)

    def find_local(self, recipe_path: Path | None, value: str) -> Path | None:
        """The absolute path of an existing file or directory a recipe may mean by `value`, or None."""
        try:
            given = Path(value).expanduser()
            for place in self._places(recipe_path):
                if (place / given).exists():
                    return (place / given).resolve()
        except (OSError, ValueError, RuntimeError):
            return None  # a NUL, an over-long name, or `~nobody`: not a file
        return None

    def _places(self, recipe_path: Path | None) -> list[Path]:
        places = [self.root]
        if recipe_path is not None:
            folder = recipe_path.parent.resolve()
            home = _marked_parent(folder)
            places += [folder, home] if home else [folder]
        if self.here:
            with contextlib.suppress(OSError):  # the current directory may have been deleted
                places.append(Path.cwd())
        return list(dict.fromkeys(places))


def find_workspace(explicit: Path | None, cwd: Path) -> Workspace:
    """The workspace meant: `explicit`, else the nearest parent of `cwd` with an ftui.toml, else
    $FTUI_WORKSPACE, else the platform's data directory. Writes nothing. Raises FtuiError for a file.
    """
    if explicit is not None:
        root = explicit.expanduser()
        root = root if root.is_absolute() else cwd / root
        if root.exists() and not root.is_dir():
            raise FtuiError("not a directory", "give a directory as the workspace", str(explicit))
        return Workspace(root.resolve())
    if marked := _marked_parent(cwd):
        return Workspace(marked.resolve())
    if from_environment := os.environ.get("FTUI_WORKSPACE"):
        return find_workspace(Path(from_environment), cwd)
    return Workspace(Path(platformdirs.user_data_dir("ftui", appauthor=False)))


def _marked_parent(folder: Path) -> Path | None:
    """The nearest folder with an ftui.toml, `folder` and those it lies in."""
    return next((place for place in (folder, *folder.parents) if (place / MARKER).is_file()), None)
