"""Preference learning as runs: the model comes to prefer what people chose, and runs stay exact and refusable."""

from __future__ import annotations

import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from ftui.core.example import Example, Message
from ftui.engine import reference, setup_data
from ftui.engine.encode import Encoder
from ftui.engine.objectives import units_for
from ftui.engine.preference_rows import continued
from ftui.engine.preference_rows import labelled as as_labelled
from ftui.engine.train import main
from ftui.runs.rundir import EXIT_FAILED, EXIT_FINISHED, EXIT_STOPPED
from tests.engine.preference_folder import labelled, pairs
from tests.engine.run_folder import chat_rows, events, kill, losses, make_run, start, wait_for
from tests.engine.stopping import stopped_after
from tests.tiny import make_tiny_tokenizer

pytestmark = pytest.mark.usefixtures("trainer_in_process")
torch.set_num_threads(1)

OBJECTIVES = ("dpo", "orpo", "kto")


def values(objective, **training):
    return {
        "training": {"objective": objective, "max_steps": 12, "batch_size": 6, "beta": 0.2, **training},
        "evaluation": {"every": 6},
    }


def rows(objective):
    return labelled(48) if objective == "kto" else pairs(40)


def finished(run):
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    return run


@pytest.fixture(scope="module", params=OBJECTIVES)
def whole(request, tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, finished(make_run(folder, tiny, values(request.param), rows(request.param)))


def test_it_comes_to_prefer_what_was_chosen_in_training_and_on_rows_held_back(whole):
    objective, run = whole
    first, last = events(run, "step")[0], events(run, "step")[-1]
    assert last["loss"] < first["loss"]
    assert last["rewards/margins"] > first["rewards/margins"]
    before, *_, after = events(run, "eval")
    assert after["eval_loss"] < before["eval_loss"]
    assert after["eval_rewards/margins"] > before["eval_rewards/margins"]
    assert after["eval_rewards/chosen"] > after["eval_rewards/rejected"]
    if objective != "kto":
        assert after["eval_rewards/accuracies"] > 0.9
    if objective != "orpo":
        assert before["eval_rewards/margins"] == pytest.approx(0, abs=1e-4)
    assert "eval_perplexity" not in after


def test_rows_are_counted_as_examples_not_as_sequences(whole):
    objective, run = whole
    (data,) = events(run, "data")
    assert data["train_rows"] + data["eval_rows"] + sum(data["dropped"].values()) == len(rows(objective))
    assert data["eval_rows"] > 0
    assert events(run, "plan")[0]["batch_size"] == 6


def test_the_adapter_loads(whole, tiny):
    _, run = whole
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny), run.adapter)


def test_the_model_before_training_is_asked_once_and_only_where_it_is_needed(whole):
    objective, run = whole
    told = [event for event in events(run, "progress") if event["stage"] == "reference"]
    assert bool(told) == (objective != "orpo")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_stopped_run_goes_on_as_if_nothing_had_been(objective, tiny, tmp_path, monkeypatch):
    some = values(objective, max_steps=6) | {"adapter": {"dropout": 0.1}, "evaluation": {"every": 0}}
    expected = losses(finished(make_run(tmp_path / "whole", tiny, some, rows(objective))))
    run = make_run(tmp_path / "stopped", tiny, some, rows(objective))
    stopped_after(run, 3, monkeypatch)
    if objective == "dpo":  # kto scores at every step; dpo only before the first
        monkeypatch.setattr(reference.Scorer, "score", None)
    finished(run)
    assert losses(run) == pytest.approx(expected, rel=1e-6)


def test_a_killed_run_gives_the_same_losses_and_scores_nothing_twice(tiny, tmp_path, monkeypatch):
    some = values("dpo", max_steps=10, micro_batch=2) | {
        "checkpoints": {"every": 2},
        "evaluation": {"every": 5},
    }
    expected = losses(finished(make_run(tmp_path / "whole", tiny, some, pairs(40))))
    run = make_run(tmp_path / "killed", tiny, some, pairs(40))
    process = start(run)
    wait_for(lambda: 5 in losses(run), process, run)
    kill(process)
    monkeypatch.setattr(reference.Scorer, "score", None)
    finished(run)
    assert events(run, "attempt")[1]["step"] >= 4
    assert losses(run) == pytest.approx(expected, rel=1e-6)


def test_scoring_that_was_cut_short_goes_on_where_it_was(tiny, tmp_path, monkeypatch):
    some = values("dpo", max_steps=2)
    expected = losses(finished(make_run(tmp_path / "whole", tiny, some, pairs(20))))
    run = make_run(tmp_path / "cut", tiny, some, pairs(20))
    monkeypatch.setattr(setup_data, "reference_logps", _stops_after(1, run))
    assert main([str(run.path)]) == EXIT_STOPPED
    kept = next((run.path / "cache" / "train").glob("reference-*"))
    with kept.open("ab") as file:
        file.write(b"\x00\x01")  # as a crash leaves it
    run.clear("stop")
    monkeypatch.undo()
    finished(run)
    assert losses(run) == pytest.approx(expected, rel=1e-6)


def _stops_after(pieces, run):
    def some(rows, folder, scorer, *, capacity, ranks, tell):
        def stop(done, total):
            if done >= pieces:
                run.request("stop")
            tell(done, total)

        return reference.reference_logps(rows, folder, scorer, capacity=60, ranks=ranks, tell=stop)

    return some


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_micro_batch_changes_nothing(objective, tiny, tmp_path):
    runs = [
        losses(
            finished(
                make_run(
                    tmp_path / str(n), tiny, values(objective, micro_batch=n, max_steps=3), rows(objective)
                )
            )
        )
        for n in (6, 2)
    ]
    assert runs[0] == pytest.approx(runs[1], rel=1e-4)


@pytest.mark.parametrize(
    "more",
    [
        {"adapter": {"method": "full"}, "training": {"learning_rate": 1e-3}},
        {"adapter": {"method": "pissa"}},
        {"quantization": {"bits": 4}, "adapter": {"method": "dora"}},
    ],
    ids=["full", "pissa", "4-bit dora"],
)
def test_before_the_first_step_every_method_is_its_own_reference(more, tiny, tmp_path):
    some = values("dpo", max_steps=4)
    some = {**some, **more, "training": {**some["training"], **more.get("training", {})}}
    run = finished(make_run(tmp_path, tiny, some, pairs(20)))
    first, *_, last = events(run, "step")
    assert first["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert last["loss"] < first["loss"]


def test_kto_takes_pairs_as_a_good_and_a_bad_reply(tiny, tmp_path):
    run = finished(make_run(tmp_path, tiny, values("kto", max_steps=2), pairs(20)))
    (data,) = events(run, "data")
    assert data["train_rows"] + data["eval_rows"] == 40
    assert "eval_rewards/margins" in events(run, "eval")[0]


def test_kto_says_how_it_makes_up_for_unequal_numbers(tiny, tmp_path):
    run = finished(make_run(tmp_path, tiny, values("kto", max_steps=1), labelled(40, bad_every=5)))
    assert any("undesirable replies count" in event["message"] for event in events(run, "notice"))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_rows_that_are_not_preferences_are_refused_before_the_model_loads(objective, tiny, tmp_path):
    run = make_run(tmp_path, tiny, values(objective), chat_rows(10))
    assert main([str(run.path)]) == EXIT_FAILED
    (end,) = events(run, "end")
    assert "training.objective" in end["message"]
    assert "learns from" in end["message"]
    assert end["hint"]
    assert not events(run, "model")


def test_single_rows_of_another_shape_are_left_out_and_counted(tiny, tmp_path):
    run = finished(make_run(tmp_path, tiny, values("dpo", max_steps=1), [*pairs(10), *chat_rows(3)]))
    (data,) = events(run, "data")
    assert data["dropped"]["dpo learns from pairs of a chosen and a rejected reply"] == 3


def test_a_pair_with_one_reply_too_long_is_left_out_whole(tiny, tmp_path):
    row = json.loads(json.dumps(pairs(1)[0]))
    row["rejected"][0]["content"] = "no " * 500
    run = finished(make_run(tmp_path, tiny, values("dpo", max_steps=1), [*pairs(10), row]))
    (data,) = events(run, "data")
    assert data["dropped"] == {"longer than max_length": 1}
    assert data["train_rows"] + data["eval_rows"] == 10


@pytest.mark.parametrize("side", ["chosen", "rejected", "prompt"])
@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_a_pair_with_a_loss_weight_that_cannot_be_is_refused_not_trained_at_one(objective, side):
    bad = Message("assistant", "d", odd_weight="high")
    good = Message("assistant", "e")
    prompt = (Message("user", "a"), *((bad, Message("user", "c")) if side == "prompt" else ()))
    one = Example(
        prompt, chosen=(bad if side == "chosen" else good,), rejected=(bad if side == "rejected" else good,)
    )
    (units,) = units_for(objective)(Encoder(make_tiny_tokenizer()), [one])
    refused = [unit.dropped for unit in units if unit.dropped]
    assert refused
    assert all(reason.startswith("turn 2 has a loss weight of 'high'") for reason in refused)


def test_only_the_replies_count_and_earlier_ones_in_the_prompt_do_not():
    prompt = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    example = Example(prompt, chosen=(Message("assistant", "d"),), rejected=(Message("assistant", "e"),))
    turns = continued(example, example.chosen).messages
    assert [turn.weight for turn in turns] == [None, 0, None, None]
    rated = Example((*prompt, Message("assistant", "d")), label=False)
    ((one, label),) = as_labelled(rated)
    assert label is False
    assert [turn.weight for turn in one.messages] == [None, 0, None, None]
