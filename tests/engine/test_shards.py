"""The frozen base shared out over processes: the same run, with a part of the base in each of them."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from transformers import MixtralConfig, MixtralForCausalLM

from ftui.engine.adapter import WEIGHTS
from ftui.engine.loop import Training
from ftui.engine.ranks import STORE, Ranks, join, listen
from ftui.engine.shards import Shards, Shared
from ftui.engine.train import main
from ftui.runs.evidence import trainer_of
from ftui.runs.launch import launch
from ftui.runs.rundir import EXIT_FAILED, EXIT_FINISHED, EXIT_STOPPED
from ftui.runs.state import judge, run_state
from tests.engine import forked_trainer
from tests.engine.preference_folder import labelled
from tests.engine.run_folder import chat_rows, events, losses, make_run
from tests.engine.test_processes import evaluations, workers_of
from tests.runs_support import end_everything, make_workspace, nothing_left, recipe, until
from tests.tiny import make_tiny_model, make_tiny_tokenizer

pytestmark = pytest.mark.usefixtures("trainer_in_process", "one_thread")
torch.set_num_threads(1)

VALUES = {
    "quantization": {"bits": 4},
    "adapter": {"dropout": 0.1},
    "data": {"packing": False},
    # Five examples, one at a time: the processes have three and two to do.
    "training": {"max_steps": 6, "batch_size": 5, "micro_batch": 1, "neftune_alpha": 5},
    "evaluation": {"every": 3, "prompts": ["My tent is broken.", "Hello"], "max_new_tokens": 6},
    "checkpoints": {"every": 3},
}
PACKED = VALUES | {
    "data": {"packing": True, "max_length": 160},
    "training": {"max_steps": 6, "batch_size": 3, "micro_batch": 1, "checkpointing": "all"},
}
SOME_RECOMPUTED = VALUES | {"training": VALUES["training"] | {"max_steps": 3, "checkpointing": 2}}


@pytest.fixture
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("shards") / "base", hidden=128, layers=4)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    path = tmp_path_factory.mktemp("shards") / "mixture"
    tokenizer = make_tiny_tokenizer()
    config = MixtralConfig(
        vocab_size=384,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        MixtralForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def alone(run):
    assert forked_trainer.attempt(run) == EXIT_FINISHED, events(run, "end")
    return run


def shared(run, before=None):
    """Trains `run` in two processes that share the base; their exit codes. before: called with the number of
    each, in it, before it trains."""
    store = listen(3)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ftui.engine.train", __name__])
    address = f"127.0.0.1:{store.port}"
    pair = [
        context.Process(target=_train, args=(str(run.path), number, address, before)) for number in (0, 1)
    ]
    for process in pair:
        process.start()
    try:
        for process in pair:
            process.join(forked_trainer.SECONDS)
    finally:
        for process in pair:
            process.kill()
    return [process.exitcode for process in pair]


def _train(path, number, address, before):
    output = os.open(os.path.join(path, "out.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    torch.set_num_threads(1)
    os.environ.update({"RANK": str(number), "WORLD_SIZE": "2", STORE: address, "ACCELERATE_USE_FSDP": "true"})
    if before:
        before(number)
    sys.exit(main([path]))


def said(run):
    return [event["message"] for event in events(run, "notice")]


def assert_the_same(run, other):
    assert losses(run) == pytest.approx(losses(other), rel=1e-4)
    assert evaluations(run) == pytest.approx(evaluations(other), rel=1e-4)
    samples = [[(one["step"], one["reply"]) for one in events(each, "sample")] for each in (run, other)]
    assert samples[0] == samples[1]
    mine, its = (load_file(each.adapter / WEIGHTS) for each in (run, other))
    assert mine.keys() == its.keys()
    for name, weight in mine.items():
        torch.testing.assert_close(weight, its[name], rtol=1e-4, atol=1e-4, msg=name)


def packed_bytes():
    """Bytes of all that this process has in uint8, as 4-bit weights and their scales are."""
    found = (one for one in gc.get_objects() if issubclass(type(one), torch.Tensor))
    storages = [one.untyped_storage() for one in found if one.dtype is torch.uint8]
    return sum({id(one._cdata): one.nbytes() for one in storages}.values())


def weigh(number):
    """Has the process write down what it keeps between steps, and how many layers were whole at once."""
    after_step, need = Training.after_step, Shards.need
    most = 0

    def weigh_after(self):
        after_step(self)
        layers = self.parts.shards.layers
        told = {"kept": packed_bytes(), "whole": sum(layer.bytes for layer in layers), "most": most}
        (self.rundir.path / f"kept-{number}.json").write_text(json.dumps(told))

    def count(self, layer):
        nonlocal most
        need(self, layer)
        most = max(most, sum(layer.is_whole for layer in self.layers))

    Training.after_step, Shards.need = weigh_after, count


@pytest.mark.parametrize("values", [VALUES, PACKED], ids=["one a row", "packed and recomputed"])
def test_two_that_share_the_base_train_as_one_and_each_keeps_half_of_it(base, tmp_path, values):
    run = make_run(tmp_path / "two", base, values)
    assert shared(run, weigh) == [EXIT_FINISHED] * 2, run.log_path.read_text()
    assert_the_same(run, alone(make_run(tmp_path / "one", base, values)))
    for number in (0, 1):
        told = json.loads((run.path / f"kept-{number}.json").read_text())
        assert told["whole"] > 300_000
        assert told["kept"] == pytest.approx(told["whole"] / 2, rel=0.1)
        assert told["most"] == 1
    assert any("each of 2 processes keeps its part of the base" in words for words in said(run))


@pytest.mark.parametrize("kind", ["16 bits", "experts in 4 bits"])
def test_other_bases_are_shared_as_well(base, mixture, tmp_path, kind):
    values = SOME_RECOMPUTED | {"quantization": {"bits": 16 if kind == "16 bits" else 4}}
    folder = base if kind == "16 bits" else mixture
    if kind != "16 bits":
        values |= {"adapter": {"targets": ["q_proj", "v_proj"]}}
    run = make_run(tmp_path / "two", folder, values)
    assert shared(run) == [EXIT_FINISHED] * 2, run.log_path.read_text()
    assert_the_same(run, alone(make_run(tmp_path / "one", folder, values)))


def test_replies_are_scored_and_preferences_learned_by_two_that_share_the_base(base, tmp_path):
    values = {
        "quantization": {"bits": 4},
        "training": {"objective": "kto", "max_steps": 4, "batch_size": 5, "beta": 0.3},
        "evaluation": {"every": 4},
    }
    run = make_run(tmp_path / "two", base, values, labelled(31))
    assert shared(run) == [EXIT_FINISHED] * 2, run.log_path.read_text()
    other = alone(make_run(tmp_path / "one", base, values, labelled(31)))
    assert_the_same(run, other)
    assert events(run, "step")[-1]["kl"] == pytest.approx(events(other, "step")[-1]["kl"], abs=1e-4)


def stop_at_five(number=0):
    gradients = Training.gradients

    def ask(self, sequences, counts):
        if self.progress.step == 5 and number == 0:
            self.rundir.request("stop")
        return gradients(self, sequences, counts)

    Training.gradients = ask


@pytest.mark.parametrize("first", ["shared", "alone"])
def test_a_run_goes_on_exactly_whether_the_base_is_shared_from_then_on_or_no_longer(base, tmp_path, first):
    run = make_run(tmp_path / "stopped", base, VALUES)
    if first == "shared":
        assert shared(run, stop_at_five) == [EXIT_STOPPED] * 2, run.log_path.read_text()
    else:
        assert forked_trainer.attempt(run, stop_at_five) == EXIT_STOPPED
    run.clear("stop")
    if first == "shared":
        alone(run)
    else:
        assert shared(run) == [EXIT_FINISHED] * 2, run.log_path.read_text()
    assert_the_same(run, alone(make_run(tmp_path / "whole", base, VALUES)))


def run_out_of_memory(number):
    """In the second process, in the middle of a forward."""
    need, calls = Shards.need, 0

    def fail_once(self, layer):
        nonlocal calls
        need(self, layer)
        if torch.is_grad_enabled() and number == 1:
            calls += 1
            if calls == 6:
                raise torch.OutOfMemoryError("CUDA out of memory")

    Shards.need = fail_once


def test_where_one_runs_out_of_memory_both_go_on_in_smaller_pieces(base, tmp_path):
    values = VALUES | {"training": {"max_steps": 3, "batch_size": 8, "micro_batch": 2}}
    run = make_run(tmp_path / "two", base, values)
    assert shared(run, run_out_of_memory) == [EXIT_FINISHED] * 2, run.log_path.read_text()
    assert "out of memory: the micro-batch is now 1, the effective batch stays" in said(run)
    values["training"] |= {"micro_batch": 1}
    assert_the_same(run, alone(make_run(tmp_path / "one", base, values)))


def _share_four(number, address, answers):
    """Uses four layers out of step with the other process; once there is no room for another's beside its own."""
    torch.set_num_threads(1)
    os.environ[STORE] = address
    ranks = Ranks(number, 2, number, 2)
    join(ranks)
    weights = [torch.full((64, 64), float(layer)) for layer in range(4)]
    layers = [Shared([weight], ranks, torch.device("cpu")) for weight in weights]
    shards, make_room, told = Shards(layers, ranks), Shared.make_room, []

    def fail_once(self):
        if any(layer.is_whole for layer in layers if layer is not self) and "no room" not in told:
            told.append("no room")
            raise torch.OutOfMemoryError("CUDA out of memory")
        make_room(self)

    if number == 0:
        Shared.make_room = fail_once
    for layer in ([2, 0, 3], [0, 1, 2, 3])[number]:
        try:
            shards.need(layer)
        except torch.OutOfMemoryError:
            told.append("out of memory")
        else:
            told.append(weights[layer].unique().tolist())
    shards.serve()
    answers.put((number, told))
    ranks.leave()


def test_without_room_for_a_layer_of_anothers_a_process_still_gives_its_part():
    store = listen(3)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ftui.engine.train", __name__])
    answers = context.Queue()
    address = f"127.0.0.1:{store.port}"
    pair = [context.Process(target=_share_four, args=(number, address, answers)) for number in (0, 1)]
    for process in pair:
        process.start()
    try:
        found = dict(answers.get(timeout=forked_trainer.SECONDS) for _ in pair)
    finally:
        for process in pair:
            process.kill()
    assert found[0] == ["no room", "out of memory", [0.0], [3.0]]
    assert found[1] == [[0.0], [1.0], [2.0], [3.0]]


def fail_in_the_second(number):
    def fail(self, sequences, counts):
        raise ValueError("no luck")

    if number == 1:
        Training.gradients = fail


def fail_while_probing(number):
    def fail(self, layer):
        raise ValueError("no luck")

    if number == 1:
        Shards.need = fail


@pytest.mark.parametrize("before", [fail_in_the_second, fail_while_probing])
def test_when_one_fails_the_other_does_not_wait_for_its_part(base, tmp_path, before):
    run = make_run(tmp_path, base, VALUES)
    assert shared(run, before) == [EXIT_FAILED] * 2
    (end,) = events(run, "end")
    assert end["message"] == "another process of the run has ended"


def test_when_one_is_killed_the_run_fails_and_says_which(base, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    workspace = make_workspace(tmp_path)
    data = workspace.datasets / "tickets.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in chat_rows(30)))
    wanted = {"model.base": str(base), "data.packing": False, "training.max_steps": 100_000}
    run = launch(workspace, recipe(**wanted, **{"launch.processes": 2}))
    try:
        until(lambda: losses(run), 120)
        (worker,) = workers_of(trainer_of(run).pid)
        worker.kill()
        until(lambda: run_state(run) == "failed", 60)
        assert judge(run).reason == "process 2 of 2 was ended by SIGKILL"
        assert any("each of 2 processes keeps" in words for words in said(run))
        until(lambda: nothing_left(run))
    finally:
        end_everything(workspace)


def test_accelerate_starts_them(base, tmp_path):
    run = make_run(tmp_path, base, {"quantization": {"bits": 4}, "training": {"max_steps": 2}})
    command = [sys.executable, "-m", "accelerate.commands.launch", "--use_fsdp", "--num_processes", "2"]
    done = subprocess.run(
        [*command, "-m", "ftui.engine.train", str(run.path)],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len(losses(run)) == 2
    assert any("each of 2 processes keeps" in words for words in said(run))


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"adapter": {"method": "full"}}, "adapter.method: FSDP"),
        ({"adapter": {"method": "dora"}}, "adapter.method: FSDP"),
        ({"adapter": {"method": "pissa"}}, "adapter.method: FSDP"),
        ({"quantization": {"bits": 8}}, "quantization.bits: a base in 8 bits"),
    ],
)
def test_what_needs_whole_weights_is_refused(base, tmp_path, monkeypatch, values, where):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    run = make_run(tmp_path, base, values)
    assert main([str(run.path)]) == EXIT_FAILED
    (end,) = events(run, "end")
    assert where in end["message"]
    assert "without FSDP" in end["hint"]
