"""A run from its first event to its last: it learns, it says what it does, and it keeps what the recipe asks."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import resource
import shlex
import signal

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from ftui.cli.main import _exit_code
from ftui.cli.run_text import event_line
from ftui.engine import layout, loop, milestones, pack, rows, setup_data
from ftui.engine.loop import Training
from ftui.engine.ranks import Ranks
from ftui.engine.telemetry import Control
from ftui.engine.train import main
from ftui.runs.rundir import EXIT_FAILED, EXIT_FINISHED, EXIT_STOPPED
from tests.engine.run_folder import adapter_change, chat_rows, events, losses, make_run

pytestmark = pytest.mark.usefixtures("trainer_in_process")
torch.set_num_threads(1)


USER = {"role": "user", "content": "anyone?"}


def finished(run):
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    return run


def failed(run):
    assert main([str(run.path)]) == EXIT_FAILED
    (end,) = events(run, "end")
    assert end["outcome"] == "failed"
    return end


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """A run with everything in it."""
    values = {
        "quantization": {"bits": 4},
        "data": {"packing": True},
        "training": {"max_steps": 8},
        "evaluation": {"every": 0.5, "prompts": ["My tent is broken"], "max_new_tokens": 5},
        "checkpoints": {"every": 0.25, "keep": 2},
    }
    return finished(make_run(tmp_path_factory.mktemp("whole"), tiny, values))


def test_it_learns_and_every_figure_of_a_step_is_there(whole):
    steps = events(whole, "step")
    assert [event["step"] for event in steps] == list(range(1, 9))
    assert steps[-1]["loss"] < steps[0]["loss"]
    for event in steps:
        assert event["steps"] == 8
        assert event["grad_norm"] > 0
        for name in (
            "learning_rate",
            "epoch",
            "num_tokens",
            "tokens_per_second",
            "samples_per_second",
            "step_time",
            "memory_rss",
        ):
            assert event[name] > 0, name
        assert 0 <= event["mean_token_accuracy"] <= 1
        assert 0 < event["entropy"] <= math.log(384) + 1e-3
        assert event["padding_fraction"] == 0
        assert event["mfu"] is None
    assert [event["num_tokens"] for event in steps] == sorted(event["num_tokens"] for event in steps)


def test_events_tell_the_story_in_order(whole):
    kinds = [event["type"] for event in events(whole)]
    firsts = [
        kinds.index(kind)
        for kind in ("attempt", "data", "model", "plan", "eval", "step", "checkpoint", "end")
    ]
    assert firsts == sorted(firsts)
    assert kinds[-1] == "end"
    (data,) = events(whole, "data")
    assert data["train_rows"] + data["eval_rows"] == 40
    (model,) = events(whole, "model")
    assert model["quantized_fraction"] > 0.5
    end = events(whole, "end")[0]
    assert (end["outcome"], end["adapter"]) == ("finished", str(whole.adapter))


def test_the_validation_loss_is_measured_before_training_on_schedule_and_at_the_end(whole):
    evaluations = events(whole, "eval")
    assert [event["step"] for event in evaluations] == [0, 4, 8]
    assert evaluations[-1]["eval_loss"] < evaluations[0]["eval_loss"]
    assert evaluations[0]["eval_perplexity"] == pytest.approx(math.exp(evaluations[0]["eval_loss"]))


def test_checkpoints_are_saved_on_schedule_and_only_the_newest_kept(whole):
    assert [event["step"] for event in events(whole, "checkpoint")] == [2, 4, 6, 8]
    assert sorted(path.name for path in whole.checkpoints.glob("step-*")) == ["step-000006", "step-000008"]
    assert events(whole, "checkpoint")[-1]["best"]


def test_prompts_are_answered_before_the_first_step_and_at_every_scheduled_checkpoint(whole):
    samples = events(whole, "sample")
    assert [event["step"] for event in samples] == [0, 2, 4, 6, 8]
    assert all(
        event["prompt"] == "My tent is broken" and isinstance(event["reply"], str) for event in samples
    )


def test_the_adapter_loads_in_peft_with_its_tokenizer(whole, tiny):
    base = AutoModelForCausalLM.from_pretrained(tiny)
    ids = torch.arange(5, 20)[None]
    before = base(input_ids=ids).logits
    adapted = PeftModel.from_pretrained(base, whole.adapter)
    assert not torch.allclose(before, adapted(input_ids=ids).logits, atol=1e-4)
    assert adapted.peft_config["default"].base_model_name_or_path == str(tiny)
    assert AutoTokenizer.from_pretrained(whole.adapter).chat_template


def test_a_finished_run_leaves_no_encoded_data_behind(whole):
    assert not setup_data.cache(whole).exists()
    assert not [path for path in whole.path.iterdir() if path.name.startswith(".adapter")]


def test_the_manifest_records_template_and_base(whole):
    manifest = json.loads(whole.manifest_path.read_text())
    assert len(manifest["template_sha256"]) == 64
    assert len(manifest["base_fingerprint"]) == 64


def test_the_effective_batch_is_the_users_whatever_is_in_memory_at_once(tiny, tmp_path):
    runs = [
        losses(
            finished(
                make_run(tmp_path / str(size), tiny, {"training": {"micro_batch": size, "max_steps": 3}})
            )
        )
        for size in (4, 3, 1)
    ]
    for other in runs[1:]:
        assert other == pytest.approx(runs[0], rel=1e-5)


def test_packed_padding_free_and_padded_train_the_same_adapter(tiny, tmp_path, monkeypatch):
    """A step takes all rows, so that packing changes how they lie and not which they are."""
    keeps_apart = layout._keeps_apart

    def trained(name, *, packing, flat):
        monkeypatch.setattr(
            layout,
            "_keeps_apart",
            lambda model, one, cast: one.flat == flat and keeps_apart(model, one, cast),
        )
        values = {
            "data": {"packing": packing, "validation": 0},
            "training": {"max_steps": 4, "batch_size": 20, "micro_batch": 3},
        }
        run = finished(make_run(tmp_path / name, tiny, values, chat_rows(20)))
        assert events(run, "model")[0]["layout"] == ("flat" if flat else "padded")
        assert events(run, "plan")[0]["epochs"] == 4
        return run

    padded = trained("padded", packing=False, flat=False)
    assert events(padded, "step")[0]["padding_fraction"] > 0
    for other in (
        trained("packed", packing=True, flat=True),
        trained("padding-free", packing=False, flat=True),
    ):
        assert losses(other) == pytest.approx(losses(padded), rel=1e-5)
        assert adapter_change(other, padded) <= 1e-4


def test_out_of_memory_halves_the_micro_batch_and_changes_nothing_else(tiny, tmp_path, monkeypatch):
    values = {"training": {"max_steps": 4, "batch_size": 8}, "adapter": {"dropout": 0.1}}
    expected = losses(
        finished(
            make_run(
                tmp_path / "enough", tiny, {**values, "training": {**values["training"], "micro_batch": 2}}
            )
        )
    )
    collate = pack.collate

    def scarce(documents, **options):
        if len(documents) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return collate(documents, **options)

    monkeypatch.setattr(loop, "collate", scarce)
    run = finished(make_run(tmp_path / "scarce", tiny, values))
    assert losses(run) == pytest.approx(expected, rel=1e-6)
    notices = [event["message"] for event in events(run, "notice")]
    assert notices == [
        "out of memory: the micro-batch is now 4, the effective batch stays",
        "out of memory: the micro-batch is now 2, the effective batch stays",
    ]


def test_out_of_memory_with_one_example_recomputes_layers_then_gives_up_in_one_line(
    tiny, tmp_path, monkeypatch
):
    def never(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop, "collate", never)
    run = make_run(tmp_path, tiny)
    end = failed(run)
    assert end["message"].startswith("out of memory with one example")
    assert end["hint"]
    assert any("layers are now recomputed" in event["message"] for event in events(run, "notice"))


def test_memory_that_another_process_lacks_is_made_room_for_here_as_well(tiny, tmp_path, monkeypatch):
    values = {"training": {"max_steps": 3}}
    expected = losses(finished(make_run(tmp_path / "enough", tiny, values)))
    elsewhere = iter([(False, True)])

    def told(self, *flags):
        return next(elsewhere, flags) if len(flags) == 2 else flags

    monkeypatch.setattr(Ranks, "any", told)
    run = finished(make_run(tmp_path / "scarce", tiny, values))
    assert [event["message"] for event in events(run, "notice")] == [
        "out of memory: the micro-batch is now 2, the effective batch stays"
    ]
    assert losses(run) == pytest.approx(expected, rel=1e-5)


def poisoned(monkeypatch, when):
    """Makes the gradients of the steps in `when` not a number."""
    gradients = Training.gradients

    def poison(self, sequences, scale):
        result = gradients(self, sequences, scale)
        if self.progress.step + 1 in when:
            self.parameters[0].grad.fill_(math.nan)
        return result

    monkeypatch.setattr(Training, "gradients", poison)


def test_a_gradient_that_is_not_a_number_stops_the_run_before_the_update(tiny, tmp_path, monkeypatch):
    poisoned(monkeypatch, {3})
    run = make_run(tmp_path, tiny)
    end = failed(run)
    assert "gradient norm is nan at step 3" in end["message"]
    assert "learning_rate" in end["hint"]
    assert len(losses(run)) == 2


def test_with_on_nan_warn_the_update_is_left_out_and_training_goes_on(tiny, tmp_path, monkeypatch):
    poisoned(monkeypatch, {3})
    run = finished(make_run(tmp_path, tiny, {"training": {"on_nan": "warn"}}))
    (notice,) = events(run, "notice")
    assert "at step 3" in notice["message"]
    assert all(math.isfinite(loss) for loss in losses(run).values())
    assert math.isnan(events(run, "step")[2]["grad_norm"])


def test_a_lost_run_ends_even_with_on_nan_warn(tiny, tmp_path, monkeypatch):
    poisoned(monkeypatch, set(range(100)))
    end = failed(make_run(tmp_path, tiny, {"training": {"on_nan": "warn", "max_steps": 50}}))
    assert "10 steps in a row" in end["message"]


def test_a_real_full_disk_leaves_no_torn_checkpoint_and_ends_in_one_line(tiny, tmp_path):
    run = make_run(tmp_path, tiny, {"training": {"max_steps": 2}, "checkpoints": {"every": 1}})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # events fit, weights do not
    try:
        end = failed(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "the adapter could not be written" in end["message"]
    assert not list(run.path.glob(".adapter*"))
    assert any("could not be saved" in event["message"] for event in events(run, "notice"))
    assert not list(run.checkpoints.glob("*step*"))
    finished(run)


def test_early_stopping_keeps_the_best_weights(tiny, tmp_path):
    values = {
        "training": {"max_steps": 40, "learning_rate": 0.5, "scheduler": "constant"},
        "evaluation": {"every": 1, "early_stopping": 3},
    }
    run = finished(make_run(tmp_path, tiny, values))
    evaluations = {event["step"]: event["eval_loss"] for event in events(run, "eval") if event["step"]}
    best = min(evaluations, key=evaluations.get)
    assert max(evaluations) == best + 3
    kept = run.checkpoints / f"step-{best:06d}" / "adapter_model.safetensors"
    assert (run.adapter / "adapter_model.safetensors").read_bytes() == kept.read_bytes()


def test_a_checkpoint_can_be_asked_for_at_any_step(tiny, tmp_path):
    run = make_run(tmp_path, tiny)
    run.request("checkpoint")
    finished(run)
    assert [event["step"] for event in events(run, "checkpoint")] == [1, 6]
    assert not run.requests()


def stop_at(monkeypatch, step):
    """Asks for a stop while step `step` is under way."""
    gradients = Training.gradients

    def ask(self, sequences, scale):
        if self.progress.step + 1 == step:
            self.rundir.request("stop")
        return gradients(self, sequences, scale)

    monkeypatch.setattr(Training, "gradients", ask)


@pytest.mark.parametrize(
    "values",
    [
        {"adapter": {"dropout": 0.1}, "training": {"neftune_alpha": 5}},
        {"quantization": {"bits": 4}, "adapter": {"method": "dora"}, "data": {"packing": True}},
        {"adapter": {"method": "pissa"}},
        {"quantization": {"bits": 4}, "adapter": {"method": "pissa", "dropout": 0.1}},
        {"adapter": {"method": "full"}, "training": {"learning_rate": 1e-3}},
        {"adapter": {"rank": 64}, "training": {"optimizer": "adamw_8bit"}},
        {"quantization": {"bits": 4}, "model": {"dtype": "bfloat16"}},
    ],
    ids=["dropout and noise", "dora", "pissa", "4-bit pissa", "full", "8-bit optimizer", "bfloat16"],
)
def test_a_stop_saves_a_checkpoint_that_loads_and_resuming_goes_on_as_if_nothing_had_been(
    tiny, tmp_path, monkeypatch, values
):
    expected = losses(finished(make_run(tmp_path / "whole", tiny, values)))
    run = make_run(tmp_path / "stopped", tiny, values)
    with monkeypatch.context() as patched:
        stop_at(patched, 4)
        assert main([str(run.path)]) == EXIT_STOPPED
    (checkpoint,) = events(run, "checkpoint")
    assert checkpoint["step"] == 3
    if values["adapter" if "adapter" in values else "model"].get("method") != "full":
        PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny), checkpoint["path"])
    assert [event["type"] for event in events(run)][-3:] == ["stopping", "checkpoint", "end"]
    assert events(run, "end")[0]["hint"].endswith("goes on from step 3")
    run.clear("stop")
    finished(run)
    assert events(run, "attempt")[-1]["step"] == 3
    assert losses(run) == pytest.approx(expected, rel=1e-6)


def test_a_run_stopped_before_its_first_checkpoint_says_that_it_would_start_over(tiny, tmp_path):
    run = make_run(tmp_path, tiny)
    run.request("stop")
    assert main([str(run.path)]) == EXIT_STOPPED
    assert events(run, "end")[0]["hint"].endswith("starts it over from step 0")


def test_sigterm_is_a_graceful_stop(tiny, tmp_path, monkeypatch):
    run = make_run(tmp_path, tiny)
    check = Control.check

    def interrupted(self):
        if len(events(run, "step")) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        check(self)

    monkeypatch.setattr(Control, "check", interrupted)
    assert main([str(run.path)]) == EXIT_STOPPED
    assert events(run, "stopping")[0]["reason"] == "SIGTERM received"
    assert events(run, "end")[0]["step"] == 2


def test_a_resumed_run_trains_on_the_data_it_began_with(tiny, tmp_path, monkeypatch):
    expected = losses(finished(make_run(tmp_path / "whole", tiny)))
    run = make_run(tmp_path / "run", tiny)
    with monkeypatch.context() as patched:
        stop_at(patched, 4)
        main([str(run.path)])
    run.clear("stop")
    (tmp_path / "run" / "data.jsonl").write_text(json.dumps(chat_rows(1)[0]))
    monkeypatch.setattr(rows, "_encode_all", None)
    finished(run)
    assert losses(run) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("values", "where", "words"),
    [
        ({"training": {"objective": "dpo"}}, "training.objective", "dpo learns from pairs"),
        ({"training": {"objective": "kto"}}, "training.objective", "kto learns from replies labelled"),
        (
            {"adapter": {"method": "full"}, "quantization": {"bits": 4}},
            "adapter.method",
            "cannot be quantized",
        ),
        ({"model": {"dtype": "float16"}}, "model.dtype", "float16"),
        ({"model": {"attention": "flash_attention_2"}}, "model.attention", "flash-attn"),
        ({"model": {"chat_template": "no-such.jinja"}}, "model.chat_template", "no chat template"),
        ({"model": {"base": "/no/such/folder"}}, "/no/such/folder", "no such"),
        ({"training": {"optimizer": "paged_adamw_8bit"}}, "training.optimizer", "paged"),
        ({"logging": {"report_to": ["mlflow"]}}, "logging.report_to", "not installed"),
        ({"data": {"max_length": 8}}, "data.jsonl", "nothing to train on: longer than max_length"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_done_is_refused_in_one_line_that_says_where(
    tiny, tmp_path, monkeypatch, values, where, words
):
    end = failed(make_run(tmp_path, tiny, values))
    assert where in end["message"]
    assert words in end["message"]
    assert end["hint"]
    assert "Traceback" not in end["message"]


def test_deepspeed_is_refused_rather_than_trained_in_another_way(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    end = failed(make_run(tmp_path, tiny))
    assert "DeepSpeed" in end["message"]


def test_rows_left_out_are_counted_by_reason(tiny, tmp_path):
    question = {
        "messages": [
            USER,
            {"role": "assistant", "content": "yes", "weight": 0},
        ]
    }
    long = {
        "messages": [{"role": "user", "content": "why " * 200}, {"role": "assistant", "content": "because"}]
    }
    odd = [{"messages": [USER, {"role": "assistant", "content": "yes", "weight": "high"}]}] * 2
    run = finished(make_run(tmp_path, tiny, rows=[*chat_rows(20), question, long, {"foo": 1}, *odd]))
    (data,) = events(run, "data")
    unusable = "turn 2 has a loss weight of 'high': 0, or 1e-6 to 1000, is possible"
    assert data["dropped"].pop(unusable) == 2
    assert data["first_dropped"][unusable] == 24
    assert data["dropped"]["nothing left to train on"] == 1
    assert data["dropped"]["longer than max_length"] == 1
    assert sum(data["dropped"].values()) == 3


def test_raw_text_is_split_not_dropped_when_pretraining(tiny, tmp_path):
    values = {
        "training": {"objective": "pretrain", "max_steps": 2},
        "data": {"validation": 0, "packing": True},
    }
    run = finished(make_run(tmp_path, tiny, values, rows=[{"text": "the quick brown fox " * 200}]))
    (data,) = events(run, "data")
    assert data["train_rows"] == 1
    assert data["train_pieces"] > 5
    assert f"1 rows to train on (cut into {data['train_pieces']} pieces)" in event_line(data)
    assert data["dropped"] == {}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_rows_that_are_nearly_the_same_are_trained_on_never_all_held_back(tiny, tmp_path, share):
    for seed in (0, 1, 2):
        values = {"data": {"validation": share, "seed": seed}, "training": {"max_steps": 1}}
        run = finished(make_run(tmp_path / str(seed), tiny, values, rows=chat_rows(1) * 21))
        (data,) = events(run, "data")
        assert (data["train_rows"], data["eval_rows"]) == (21, 0)
        notices = [event["message"] for event in events(run, "notice")]
        assert "these 21 rows are nearly the same row: none can be held back for validation" in notices


def test_a_share_of_few_different_rows_holds_back_one_of_them_whole(tiny, tmp_path):
    few = chat_rows(8) * 6
    for seed in range(3):
        values = {"data": {"validation": 0.05, "seed": seed}, "training": {"max_steps": 1}}
        run = finished(make_run(tmp_path / str(seed), tiny, values, rows=few))
        (data,) = events(run, "data")
        assert data["eval_rows"] in (6, 12)
        assert data["train_rows"] + data["eval_rows"] == 48
        assert not [event for event in events(run, "notice") if "held back" in event["message"]]


CALLING = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}],
}


@pytest.mark.parametrize(
    ("row", "values", "words"),
    [
        ({"messages": [USER, CALLING]}, {}, "the chat template leaves out tool calls"),
        (
            {"messages": [USER, CALLING]},
            {"model": {"chat_template": "plain"}},
            "the chat template leaves out tool calls",
        ),
        (
            {"messages": [USER, {"role": "assistant", "content": "b", "weight": "high"}]},
            {},
            "loss weight of 'high'",
        ),
        (
            {"messages": [USER, {"role": "assistant", "content": "b", "weight": 0}]},
            {},
            "nothing left to train on",
        ),
        ({"messages": [USER]}, {}, "no-answer"),
        ({"prompt": "a", "completion": "b", "label": False}, {}, "labelled undesirable"),
        ({"messages": [USER, {"role": "assistant", "content": "\ud83d"}]}, {}, "half a character"),
    ],
)
def test_the_command_named_where_nothing_is_left_to_train_on_shows_why(
    tiny, tmp_path, capsys, row, values, words
):
    end = failed(make_run(tmp_path, tiny, values, rows=[row, {"foo": 1}, row]))
    assert "nothing to train on" in end["message"]
    (command,) = re.findall("`ftui (.*?)`", end["hint"])
    capsys.readouterr()
    _exit_code(shlex.split(command))
    assert words in "".join(capsys.readouterr())


def test_full_fine_tuning_writes_a_whole_model(tiny, tmp_path):
    run = finished(
        make_run(tmp_path, tiny, {"adapter": {"method": "full"}, "training": {"learning_rate": 1e-3}})
    )
    model = AutoModelForCausalLM.from_pretrained(run.adapter)
    assert model.config.model_type == "llama"
    steps = list(losses(run).values())
    assert steps[-1] < steps[0]


def test_a_disk_that_is_full_before_the_first_step_is_said_to_be(tiny, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(rows, "_encode_all", full)
    run = make_run(tmp_path, tiny)
    end = failed(run)
    assert end["message"] == "the disk is full"
    assert end["hint"] == f"free disk space, then `ftui runs resume {run.id}` starts it over from step 0"


def refuse_to_save(monkeypatch, failures):
    """Makes the checkpoints of the steps in `failures` fail, each with its system error."""
    from ftui.engine import checkpoint

    save = checkpoint.save

    def refuse(folder, progress, *arguments, **options):
        if number := failures.get(progress.step):
            with checkpoint.writing(folder):
                raise OSError(number, os.strerror(number))
        return save(folder, progress, *arguments, **options)

    monkeypatch.setattr(checkpoint, "save", refuse)


def test_a_failed_checkpoint_is_reported_and_training_goes_on(tiny, tmp_path, monkeypatch):
    refuse_to_save(monkeypatch, {3: errno.ENOSPC})
    run = finished(make_run(tmp_path, tiny, {"checkpoints": {"every": 3}}))
    assert [event["step"] for event in events(run, "checkpoint")] == [6]
    (notice,) = events(run, "notice")
    assert notice["message"] == "the checkpoint of step 3 could not be saved: the disk is full"
    assert notice["step"] == 3


def test_a_full_disk_is_told_of_once_until_that_changes(tiny, tmp_path, monkeypatch):
    full, quota = errno.ENOSPC, errno.EDQUOT
    refuse_to_save(monkeypatch, {2: full, 3: full, 4: quota, 5: quota, 7: quota, 8: quota})
    run = finished(make_run(tmp_path, tiny, {"training": {"max_steps": 9}, "checkpoints": {"every": 1}}))
    assert [event["step"] for event in events(run, "notice")] == [2, 4, 7]
    assert [event["step"] for event in events(run, "checkpoint")] == [1, 6, 9]


UNSAVED = "whose adapter could not be saved: the adapter"


@pytest.mark.parametrize(
    ("early", "evaluations", "refused", "step", "told"),
    [
        (2, [5, 4, 3], [6], 6, []),
        (2, [5, 3, 4], [], 4, ["lowest at step 4: the adapter is step 4's"]),
        (2, [5, 3, 6], [4], 2, [f"lowest at step 4, {UNSAVED} is step 2's"]),
        (2, [5, 3, 4], [4], 6, [f"lowest at step 4, {UNSAVED} is the last step's"]),
        (0, [5, 3, 6], [4], 6, [f"lowest at step 4, {UNSAVED} of step 2 is kept as step-000002"]),
        (0, [3, 4, 5], [2], 6, [f"lowest at step 2, {UNSAVED} is the last step's"]),
    ],
    ids=[
        "the last is best",
        "one before",
        "it was not saved",
        "the last is the best left",
        "it is kept beside",
        "none was saved",
    ],
)
def test_the_best_that_could_not_be_saved_is_named_and_the_best_there_is_becomes_the_adapter(
    tiny, tmp_path, monkeypatch, early, evaluations, refused, step, told
):
    refuse_to_save(monkeypatch, dict.fromkeys(refused, errno.ENOSPC))
    run = make_run(tmp_path, tiny, {"evaluation": {"every": 2, "early_stopping": early}})
    lost = iter([9.0, *map(float, evaluations)])
    monkeypatch.setattr(milestones, "evaluation", lambda *_: {"eval_loss": next(lost)})
    finished(run)
    assert events(run, "end")[-1]["adapter_step"] == step
    messages = [event["message"] for event in events(run, "notice") if "lowest" in event["message"]]
    assert messages == [f"the validation loss was {words}" for words in told]
    if step != 6:
        kept = run.checkpoints / f"step-{step:06d}" / "adapter_model.safetensors"
        assert (run.adapter / "adapter_model.safetensors").read_bytes() == kept.read_bytes()


def test_the_largest_seed_a_recipe_takes_trains(tiny, tmp_path):
    largest = {"training": {"max_steps": 2, "seed": 2**32 - 1}, "data": {"seed": 2**32 - 1}}
    assert len(losses(finished(make_run(tmp_path, tiny, largest)))) == 2
