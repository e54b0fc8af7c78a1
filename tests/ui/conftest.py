"""What every test of the screen stands on: settings, cache and a name of its own, never the user's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ftui.runs.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings and caches in the test's folder; the annotator is called mira; no editor."""
    monkeypatch.setenv("FTUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("FTUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FTUI_USER", "mira")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with nothing in it, called support-bot."""
    workspace = Workspace(tmp_path / "support-bot")
    workspace.ensure()
    workspace.datasets.mkdir()
    return workspace


@pytest.fixture
def write_rows(workspace: Workspace) -> Callable[..., Path]:
    """`write_rows(rows, name)`: a JSONL file in the workspace's datasets; a bytes row is written as it is."""

    def write(rows: Iterable[Any], name: str = "tickets.jsonl") -> Path:
        path = workspace.datasets / name
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    return write
