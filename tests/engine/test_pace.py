"""The time left as a run tells it: nothing at first, then with the evaluations to come, and at once when resumed."""

from __future__ import annotations

import json

import pytest
import torch

from ftui.engine.telemetry import Reporter
from ftui.engine.train import main
from ftui.runs.rundir import EXIT_FINISHED
from tests.engine.run_folder import events, make_run
from tests.engine.stopping import stopped_after

pytestmark = pytest.mark.usefixtures("trainer_in_process")
torch.set_num_threads(1)
VALUES = {"training": {"max_steps": 8}, "evaluation": {"every": 4}, "checkpoints": {"every": 4}}


@pytest.fixture
def told(monkeypatch):
    """(step, seconds left) as they are shown."""
    shown: list[tuple[int, float | None]] = []
    show = Reporter.show

    def keep(self, **fields):
        if "eta_seconds" in fields:
            shown.append((fields["step"], fields["eta_seconds"]))
        show(self, **fields)

    monkeypatch.setattr(Reporter, "show", keep)
    return shown


def test_the_time_left_is_told_once_it_is_known_and_covers_what_is_due_at_the_end(tiny, tmp_path, told):
    run = make_run(tmp_path, tiny, VALUES)
    assert main([str(run.path)]) == EXIT_FINISHED
    assert told[:2] == [(1, None), (2, None)]
    assert [step for step, left in told if left] == list(range(3, 9))
    evaluations = [event["eval_seconds"] for event in events(run, "eval")[:2]]
    save = events(run, "checkpoint")[0]["seconds"]
    assert told[-1][1] == pytest.approx(sum(evaluations) / 2 + save)  # at the last step only these are left


def test_a_resumed_run_knows_it_from_its_first_step(tiny, tmp_path, told, monkeypatch):
    run = make_run(tmp_path, tiny, VALUES)
    stopped_after(run, 5, monkeypatch)
    told.clear()
    assert main([str(run.path)]) == EXIT_FINISHED
    assert [step for step, left in told if left] == [6, 7, 8]
    assert "eta_seconds" in json.loads(run.status_path.read_text())
