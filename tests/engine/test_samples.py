"""The fixed prompts are answered by the untrained model first: what it learns is seen against that."""

from __future__ import annotations

import pytest
import torch

from ftui.engine import milestones
from ftui.engine.train import main
from ftui.runs.rundir import EXIT_FINISHED, EXIT_STOPPED
from tests.engine.run_folder import events, losses, make_run

pytestmark = pytest.mark.usefixtures("trainer_in_process")
torch.set_num_threads(1)
PROMPTS = ["My tent is broken", "My stove is broken"]
VALUES = {
    "training": {"max_steps": 4},
    "adapter": {"dropout": 0.1},
    "evaluation": {"prompts": PROMPTS, "max_new_tokens": 4, "every": 2},
    "checkpoints": {"every": 2},
}


def asked(run, attempt: int) -> list[tuple[int, str]]:
    told = [event for event in events(run, "sample") if event["attempt"] == attempt]
    return [(event["step"], event["prompt"]) for event in told]


def interrupted(monkeypatch, run, at: int) -> None:
    """Trains until the answer number `at`, from 0, is under way, and stops there."""
    answer, begun = milestones.answer, 0

    def stopping(*arguments, tell, **options):
        nonlocal begun
        begun += 1
        if begun == at + 1:
            run.request("stop")
        return answer(*arguments, tell=tell, **options)

    with monkeypatch.context() as patched:
        patched.setattr(milestones, "answer", stopping)
        assert main([str(run.path)]) == EXIT_STOPPED
    run.clear("stop")


def test_the_untrained_model_answers_between_the_first_evaluation_and_the_first_step(tiny, tmp_path):
    run = make_run(tmp_path, tiny, VALUES)
    assert main([str(run.path)]) == EXIT_FINISHED
    assert asked(run, 1) == [(step, prompt) for step in (0, 2, 4) for prompt in PROMPTS]
    told = [event["type"] for event in events(run) if event["type"] in ("eval", "sample", "step")]
    assert told[:4] == ["eval", "sample", "sample", "step"]


def test_its_answers_change_nothing_in_what_is_learned(tiny, tmp_path):
    asking, silent = (
        make_run(tmp_path / "a", tiny, VALUES),
        make_run(tmp_path / "b", tiny, VALUES | {"evaluation": {}}),
    )
    for run in (asking, silent):
        assert main([str(run.path)]) == EXIT_FINISHED
    assert not events(silent, "sample")
    assert losses(asking) == losses(silent)


def test_a_stop_while_it_answers_is_heeded_and_the_resumed_run_asks_again(tiny, tmp_path, monkeypatch):
    whole, run = make_run(tmp_path / "whole", tiny, VALUES), make_run(tmp_path / "run", tiny, VALUES)
    assert main([str(whole.path)]) == EXIT_FINISHED
    interrupted(monkeypatch, run, 1)
    assert asked(run, 1) == [(0, PROMPTS[0])]
    assert not events(run, "step")
    assert main([str(run.path)]) == EXIT_FINISHED
    assert asked(run, 2) == asked(whole, 1)
    assert [event["step"] for event in events(run, "eval")] == [0, 2, 4]
    assert losses(run) == pytest.approx(losses(whole), rel=1e-6)


def test_a_run_resumed_later_does_not_call_a_trained_model_untrained(tiny, tmp_path, monkeypatch):
    run = make_run(tmp_path, tiny, VALUES)
    interrupted(monkeypatch, run, 3)  # the second prompt at step 2
    assert main([str(run.path)]) == EXIT_FINISHED
    assert asked(run, 2) == [(4, prompt) for prompt in PROMPTS]
