"""What every test of the screen stands on: settings, cache and a name of its own, never the user's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Input, TextArea

from ftui.runs.workspace import Workspace
from ftui.ui.pulse import EMPTY_PULSE
from tests.ui.panes import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from textual.pilot import Pilot


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


@pytest.fixture(autouse=True)
def still_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text cursors do not blink: a picture of one would depend on the moment it is taken."""
    for widget in (Input, TextArea):
        monkeypatch.setattr(widget.cursor_blink, "_default", False)


@pytest.fixture
def snap_compare(snap_compare: Callable[..., bool]) -> Callable[..., bool]:
    """Pictures are taken once the strip has the machine's figures, however slow the machine is."""

    def compare(app: Any, *, run_before: Callable[[Pilot[Any]], Any], **more: Any) -> bool:
        async def ready(pilot: Pilot[Any]) -> None:
            await run_before(pilot)
            await until(pilot, lambda: app.pulse is not EMPTY_PULSE)
            await pilot.pause()

        return snap_compare(app, run_before=ready, **more)

    return compare


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
