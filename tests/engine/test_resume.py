"""SIGKILL: whatever was being done, a resumed run repeats what the uninterrupted one would have done."""

from __future__ import annotations

import os
import random
import signal
from functools import partial

import pytest
import torch

from ftui.engine import checkpoint
from ftui.engine.train import main
from ftui.runs.rundir import EXIT_FINISHED
from tests.engine.forked_trainer import attempt, die_at_step, die_in_save, start
from tests.engine.run_folder import events, losses, make_run, until

pytestmark = pytest.mark.usefixtures("trainer_in_process")
torch.set_num_threads(1)  # as the processes that are killed

KILLS = int(os.environ.get("FTUI_TEST_KILLS", "10"))
VALUES = {
    "quantization": {"bits": 4},
    "data": {"packing": True},
    "adapter": {"dropout": 0.1},
    "training": {"max_steps": 40, "neftune_alpha": 5, "batch_size": 3, "micro_batch": 2},
    "evaluation": {"every": 10},
    "checkpoints": {"every": 3, "keep": 2},
}


@pytest.fixture(scope="module")
def expected(tiny, tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("whole"), tiny, VALUES)
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    return losses(run)


def test_killed_from_outside_it_gives_the_same_losses(expected, tiny, tmp_path):
    """Wherever it happens to be: the kill comes from another process, as the kernel's does."""
    run = make_run(tmp_path, tiny, VALUES)
    for step in (8, 23):
        process = start(run)
        until(lambda step=step: step in losses(run), run, process.is_alive)
        process.kill()
        process.join()
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    attempts = events(run, "attempt")
    assert [attempt["attempt"] for attempt in attempts] == [1, 2, 3]
    assert attempts[1]["step"] >= 6
    assert attempts[2]["step"] >= 21
    assert losses(run) == pytest.approx(expected, rel=1e-6)


def test_killed_at_ten_random_steps_it_gives_the_same_losses(expected, tiny, tmp_path):
    """Each attempt dies at a step drawn from those it has still to do, before or after it is told."""
    run, draw = make_run(tmp_path, tiny, VALUES), random.Random(0)
    for number in range(KILLS):
        done = checkpoint.newest(run.checkpoints)
        first = 1 + (checkpoint.read_progress(done).step if done else 0)
        step = draw.randint(first, min(first + 6, 39))
        code = attempt(run, partial(die_at_step, told=draw.random() < 0.5), step)
        assert code == -signal.SIGKILL, (number, step, run.log_path.read_text())
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    assert len(events(run, "attempt")) == KILLS + 1
    assert losses(run) == pytest.approx(expected, rel=1e-6)


def test_killed_at_every_point_of_saving_it_uses_a_whole_checkpoint(tiny, tmp_path):
    """Every attempt saves once, then dies one call further into its second checkpoint than the one before."""
    values = VALUES | {"checkpoints": {"every": 1, "keep": 1}, "evaluation": {"every": 1}}
    run, point, whole = make_run(tmp_path / "killed", tiny, values), 0, 0
    while point < 40:
        point += 1
        code = attempt(run, die_in_save, point, 2)
        if code == EXIT_FINISHED:
            break
        assert code == -signal.SIGKILL, run.log_path.read_text()
        newest = checkpoint.newest(run.checkpoints)
        assert newest is not None
        assert checkpoint.read_progress(newest).step > whole
        whole = checkpoint.read_progress(newest).step
    assert 8 < point < 40  # the last attempt found no such call any more
    uninterrupted = make_run(tmp_path / "whole", tiny, values)
    assert main([str(uninterrupted.path)]) == EXIT_FINISHED
    assert losses(run) == pytest.approx(losses(uninterrupted), rel=1e-6)
