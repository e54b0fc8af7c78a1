"""The supervisor of a run, in this process: what it holds, and for how long."""

from __future__ import annotations

import os
import signal
import sys

from ftui.runs import supervise
from tests.runs_support import make_workspace
from tests.ui.run_builder import make_run


def test_an_ended_run_can_be_resumed_while_the_queue_is_looked_after(tmp_path, monkeypatch):
    workspace = make_workspace(tmp_path)
    workspace.runs.mkdir()
    rundir = make_run(workspace, "tickets", alive=False)
    rundir.proc_path.unlink()
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(supervise, "_LOCK_SECONDS", 0.0)
    free = []

    def kick(workspace):
        descriptor = supervise.hold(rundir)
        free.append((workspace.root, descriptor is not None))
        if descriptor is not None:
            os.close(descriptor)

    monkeypatch.setattr(supervise, "kick", kick)
    assert supervise.main([str(rundir.path), sys.executable, "-c", ""]) == 0
    assert rundir.read_exit()["outcome"] == "finished"
    assert free == [(workspace.root, True)]
