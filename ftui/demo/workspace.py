"""The demo workspace: an invented outdoor shop's support tickets, a recipe, and held-out questions."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import orjson

from ftui.assets import asset_dir
from ftui.core.errors import FtuiError

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.runs.workspace import Workspace

RECIPE = "demo"
HELD_OUT = "tickets-held-out.jsonl"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A held-out ticket and the triage card a person wrote for it."""

    question: str
    answer: str


def demo_root() -> Path:
    """Where `ftui demo` works when no directory is given: the platform's data folder."""
    from platformdirs import user_data_path

    return user_data_path("ftui") / "demo"


def make_demo_workspace(workspace: Workspace) -> None:
    """Fills `workspace` with the demo's files; what is already there is left as the user has it.

    Raises FtuiError where the folder cannot be written.
    """
    data = files("ftui.demo")
    try:
        workspace.ensure()
        golden = workspace.root / "golden"
        for folder in (workspace.datasets, workspace.recipes, golden):
            folder.mkdir(parents=True, exist_ok=True)
        for name, folder in (
            ("tickets.jsonl", workspace.datasets),
            ("tickets-flawed.jsonl", workspace.datasets),
            (HELD_OUT, golden),
        ):
            with as_file(data / name) as source:
                _copy(source, folder / name)
        _copy(asset_dir("recipes") / f"{RECIPE}.toml", workspace.recipes / f"{RECIPE}.toml")
    except OSError as error:
        raise FtuiError(
            f"cannot make the demo workspace: {error.strerror}",
            "give another folder with `ftui demo --dir DIR`",
            str(error.filename or workspace.root),
        ) from None


def held_out(workspace: Workspace) -> list[Ticket]:
    """The held-out tickets, in the file's order. Raises FtuiError where the file was damaged."""
    path = workspace.root / "golden" / HELD_OUT
    tickets = []
    try:
        for line in path.read_bytes().splitlines():
            question, answer = orjson.loads(line)["messages"][-2:]
            tickets.append(Ticket(question["content"], answer["content"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FtuiError(
            f"cannot read the held-out tickets: {error}",
            "delete the file and run `ftui demo` again",
            str(path),
        ) from None
    return tickets


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        part = target.with_name(target.name + ".part")
        shutil.copyfile(source, part)
        part.replace(target)
