"""SIGKILL: whatever was being done, a resumed run repeats what the uninterrupted one would have done."""

from __future__ import annotations

import pytest
import torch

from ftui.engine import checkpoint
from ftui.engine.train import main
from ftui.runs.rundir import EXIT_FINISHED
from tests.engine.run_folder import events, kill, losses, make_run, start, wait_for

pytestmark = pytest.mark.usefixtures("trainer_in_process")
torch.set_num_threads(1)  # as the processes that are killed

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


def test_killed_twice_it_gives_the_same_losses(expected, tiny, tmp_path):
    run = make_run(tmp_path, tiny, VALUES)
    for step in (8, 23):
        process = start(run)
        wait_for(lambda step=step: step in losses(run), process, run)
        kill(process)
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    attempts = events(run, "attempt")
    assert [attempt["attempt"] for attempt in attempts] == [1, 2, 3]
    assert attempts[1]["step"] >= 6
    assert attempts[2]["step"] >= 21
    assert losses(run) == pytest.approx(expected, rel=1e-6)


def test_killed_while_saving_it_uses_the_checkpoint_before(expected, tiny, tmp_path):
    run = make_run(tmp_path, tiny, VALUES)
    process = start(run)
    wait_for(lambda: 8 in losses(run), process, run)
    kill(process)
    newest = checkpoint.newest(run.checkpoints)
    torn = newest.with_name(".saving-step-000099")
    newest.rename(torn)  # as a save leaves it when it is killed before its last rename
    (torn / "complete").unlink()
    before = checkpoint.newest(run.checkpoints)
    assert before is not None
    assert before.name < newest.name
    assert not torn.exists()
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    assert losses(run) == pytest.approx(expected, rel=1e-6)
