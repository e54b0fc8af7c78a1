"""Shared by the tests of the Train and Chat panes: an app on a workspace, and waiting for what it shows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from textual import events
from textual._context import visible_screen_stack

from ftui.gpu import host, nvml
from ftui.ui.app import FtuiApp
from ftui.ui.settings import Settings
from ftui.ui.widgets import figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

    from ftui.runs.workspace import Workspace

GIB = 1024**3
GPU = nvml.Gpu(0, "NVIDIA RTX 4090", int(14.2 * GIB), 24 * GIB, 97, 71, 310.0, 450.0)


def app_on(workspace: Workspace, mode: str) -> FtuiApp:
    """The app with default settings, opening on a pane."""
    return FtuiApp(workspace, mode=mode, settings=Settings())


async def until(pilot: Pilot[Any], condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Lets the app work until `condition` is true; fails with what it said when it gives up.

    So late that a machine several times slower and busy with other tests does not get there.
    """
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        await pilot.pause(0.01)
    return answer


def burst(app: FtuiApp, *keys: str) -> None:
    """Types `keys` as a slow line delivers them: all are there before the first is looked at."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


def screen_text(app: FtuiApp) -> str:
    """All characters on the screen, line by line."""
    # As Textual does before it draws. Else a dialog looked at before its first drawing is remembered with
    # nothing behind it, in pictures too.
    visible_screen_stack.set(app._background_screens)
    return "\n".join(
        "".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()
    )


async def shown(pilot: Pilot[Any], *words: str) -> str:
    """The screen once all of `words` are on it; fails with what is missing, and the screen."""

    def missing() -> list[str]:
        text = screen_text(pilot.app)
        return [word for word in words if word not in text]

    try:
        await until(pilot, lambda: not missing())
    except AssertionError:
        pytest.fail(f"not shown: {missing()}\n{screen_text(pilot.app)}")
    return screen_text(pilot.app)


@pytest.fixture
def still_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose figures never change, for pictures: no GPU, 8 of 16 GB, 50% CPU; runs end at 14:22."""
    monkeypatch.setattr(figures, "finishing", lambda seconds: "" if seconds is None else "14:22")
    monkeypatch.setattr(nvml, "snapshot", tuple)
    monkeypatch.setattr(host, "snapshot", lambda _: host.HostSnapshot(8 * GIB, 16 * GIB, 50.0, 40 * GIB))
