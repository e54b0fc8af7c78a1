"""Runs a training in this process until a step, then stops it as a person would."""

from __future__ import annotations

from ftui.engine.loop import Training
from ftui.engine.train import main
from ftui.runs.rundir import EXIT_STOPPED


def stopped_after(run, steps, monkeypatch):
    """Runs it until `steps` steps are done, then stops it gracefully."""
    gradients = Training.gradients

    def ask(self, *arguments):
        if self.progress.step == steps:
            self.rundir.request("stop")
        return gradients(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "gradients", ask)
        assert main([str(run.path)]) == EXIT_STOPPED
    run.clear("stop")
