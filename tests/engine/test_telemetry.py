"""A run says that it is alive for as long as it can be believed, and no longer."""

from __future__ import annotations

import pytest

from ftui.engine import telemetry
from ftui.engine.telemetry import Reporter
from ftui.runs.rundir import EventWriter, RunDir
from tests.engine.run_folder import events
from tests.runs_support import until


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(telemetry, "_HEARTBEAT_SECONDS", 0.01)
    return RunDir(tmp_path)


def test_a_step_that_takes_long_is_no_stalled_run(run, monkeypatch):
    monkeypatch.setattr(telemetry, "_QUIET_SECONDS", 0.02)
    with EventWriter(run) as writer:
        reporter = Reporter(run, writer)
        reporter.show(stage="train")
        with reporter.alive():
            until(lambda: len(events(run, "heartbeat")) >= 2)
    assert {event["stage"] for event in events(run, "heartbeat")} == {"train"}


def test_one_that_never_ends_is_not_vouched_for(run, monkeypatch):
    monkeypatch.setattr(telemetry, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(telemetry, "_STUCK_SECONDS", 0.2)
    with EventWriter(run) as writer:
        reporter = Reporter(run, writer)
        with reporter.alive():
            until(lambda: events(run, "heartbeat"))
            until(lambda: telemetry.time.monotonic() - reporter._active > 0.3)
            silent = len(events(run, "heartbeat"))
            until(lambda: telemetry.time.monotonic() - reporter._active > 0.5)
            assert len(events(run, "heartbeat")) == silent
