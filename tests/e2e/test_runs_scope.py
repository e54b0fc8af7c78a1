"""Runs in a systemd scope of the user's manager: used where it keeps them alive, never in the way elsewhere."""

from __future__ import annotations

import os

import pytest

from ftui.runs import scope
from tests.runs_support import nothing_left, start, until, until_state

# What systemd-run does as far as a run can see: it becomes the command, with the same pid.
_WORKS = """#!/bin/sh
echo "$@" >> "{log}"
while [ "$1" != "--" ]; do shift; done
shift
exec "$@"
"""
_NO_MANAGER = """#!/bin/sh
echo "$@" >> "{log}"
echo "Failed to connect to bus: No medium found" >&2
exit 1
"""
# The manager answers, and refuses when it comes to it.
_REFUSES = """#!/bin/sh
echo "$@" >> "{log}"
case "$*" in *" true") exit 0;; esac
echo "Failed to start transient scope unit" >&2
exit 1
"""


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """Puts a systemd-run in front of the machine's own and returns how it was called, a line a call."""

    def install(script, *, linger=True):
        log, folder = tmp_path / "calls", tmp_path / "bin"
        folder.mkdir()
        log.touch()
        (folder / "systemd-run").write_text(script.format(log=log))
        (folder / "systemd-run").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        lingering = tmp_path / "linger"
        lingering.mkdir()
        monkeypatch.setattr(scope, "_LINGER", lingering)
        if linger:
            (lingering / scope.user_name()).touch()
        return lambda: log.read_text().splitlines()

    return install


def test_with_linger_a_run_is_started_in_a_scope_and_its_record_says_so(workspace, systemd):
    calls = systemd(_WORKS)
    rundir = start(workspace, 2)
    until_state(rundir, "finished")
    assert rundir.read_proc()["started_in"] == "systemd-scope"
    probe, run = calls()
    assert probe == "--user --scope --quiet --collect -- true"
    assert run.startswith("--user --scope --quiet --collect -- ")
    assert str(rundir.path) in run
    until(lambda: nothing_left(rundir))
    until_state(start(workspace, 1), "finished")
    assert len(calls()) == 3, "asked once whether it works"


def test_without_linger_a_scope_would_end_sooner_and_is_not_used(workspace, systemd):
    calls = systemd(_WORKS, linger=False)
    rundir = start(workspace, 1)
    until_state(rundir, "finished")
    assert rundir.read_proc()["started_in"] == "session"
    assert calls() == []


@pytest.mark.parametrize("script", [_NO_MANAGER, _REFUSES])
def test_where_systemd_does_not_work_the_run_starts_all_the_same(workspace, systemd, script):
    systemd(script)
    rundir = start(workspace, 2)
    until_state(rundir, "finished")
    assert rundir.read_proc()["started_in"] == "session"
    assert rundir.read_proc()["attempt"] == 1


def test_a_machine_without_systemd_is_asked_nothing(workspace, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert not scope.scopes_work()
    until_state(start(workspace, 1), "finished")
