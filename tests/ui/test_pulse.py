"""The pulse tells every pane what runs and GPUs do, quietly, whatever the disk says."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ftui.core.errors import FtuiError
from ftui.gpu import nvml
from ftui.runs import state
from ftui.ui import pulse
from ftui.ui.pulse import PulseMessage
from tests.ui.panes import app_on, screen_text, shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import make_run, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.runs.workspace import Workspace

pytestmark = pytest.mark.usefixtures("still_machine")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "support-bot")


async def test_nothing_is_posted_while_nothing_changes(workspace, monkeypatch):
    monkeypatch.setattr(pulse, "PERIOD_SECONDS", 0.01)
    looks, posted = [], []
    monkeypatch.setattr(state, "list_runs", lambda *_: looks.append(1) or [])
    app = app_on(workspace, "train")
    post = app.post_message

    def count(message):
        posted.extend([message] if isinstance(message, PulseMessage) else [])
        return post(message)

    app.post_message = count
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(looks) > 20)
    assert len(posted) == 1


async def test_an_unreadable_folder_is_said_and_the_known_runs_stay(workspace, monkeypatch):
    monkeypatch.setattr(pulse, "PERIOD_SECONDS", 0.05)
    make_run(workspace, "tickets-r16")
    list_runs, broken = state.list_runs, []

    def sometimes(place, gpus):
        if broken:
            raise FtuiError("cannot read the runs: Permission denied", "", str(place.runs))
        return list_runs(place, gpus)

    monkeypatch.setattr(state, "list_runs", sometimes)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "tickets-r16")
        broken.append(1)
        await until(pilot, lambda: pilot.app.pulse.trouble)
        await shown(pilot, "cannot read the runs")
        assert "tickets-r16" in screen_text(pilot.app)
        broken.clear()
        await until(pilot, lambda: not pilot.app.pulse.trouble)


async def test_a_fault_of_ours_is_said_and_the_pulse_goes_on(workspace, monkeypatch):
    monkeypatch.setattr(pulse, "PERIOD_SECONDS", 0.05)
    make_run(workspace, "tickets-r16")
    list_runs, broken = state.list_runs, [True]

    def faulty(place, gpus):
        if broken:
            raise ValueError("not as it should be")
        return list_runs(place, gpus)

    monkeypatch.setattr(state, "list_runs", faulty)
    async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
        await shown(pilot, "ValueError: not as it should be")
        broken.clear()
        await shown(pilot, "tickets-r16")


async def test_every_pane_shows_the_strip(workspace):
    make_run(workspace, "tickets-r16")
    for mode in ("train", "chat"):
        async with app_on(workspace, mode).run_test(size=(120, 36)) as pilot:
            await shown(pilot, "tickets-r16", "8.0/16 GB")


async def test_a_driver_that_hangs_stops_no_news_of_the_runs(workspace, monkeypatch):
    monkeypatch.setattr(pulse, "PERIOD_SECONDS", 0.05)
    release = threading.Event()
    monkeypatch.setattr(nvml, "snapshot", lambda: release.wait(120) and ())
    try:
        async with app_on(workspace, "train").run_test(size=(120, 36)) as pilot:
            make_run(workspace, "tickets-r16")
            await shown(pilot, "tickets-r16")
            make_run(workspace, "tickets-r32")
            await shown(pilot, "tickets-r32")
    finally:
        release.set()
