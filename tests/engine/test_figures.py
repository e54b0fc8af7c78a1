"""What a run says in figures and samples is so: nothing is waited for to say it, and nothing breaks the run."""

from __future__ import annotations

import math
import traceback

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ftui.core.errors import ModelError
from ftui.core.recipe import load_recipe
from ftui.engine import milestones
from ftui.engine.checkpoint import Progress
from ftui.engine.flops import Flops
from ftui.engine.loop import Training
from ftui.engine.train import main
from ftui.runs.rundir import EXIT_FAILED, EXIT_FINISHED
from tests.engine.preference_folder import pairs
from tests.engine.run_folder import events, losses, make_run
from tests.engine.test_model import FAMILIES
from tests.tiny import CHATML, make_tiny_model

pytestmark = pytest.mark.usefixtures("trainer_in_process")
torch.set_num_threads(1)


def finished(run):
    assert main([str(run.path)]) == EXIT_FINISHED, events(run, "end")
    return run


class Waits(TorchDispatchMode):
    """Remembers where a tensor's value is asked for, at which a GPU's queue would have to run empty."""

    def __init__(self):
        super().__init__()
        self.places = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if any(
            part in str(function) for part in ("_local_scalar_dense", "nonzero", "masked_select", "unique")
        ):
            self.places.append(f"{function} in {traceback.extract_stack()[-3]}")
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        ({"data": {"packing": True}}, None),
        ({"quantization": {"bits": 4}, "adapter": {"dropout": 0.1}, "training": {"neftune_alpha": 5}}, None),
        ({"training": {"objective": "dpo"}}, pairs(12)),
    ],
    ids=["packed", "noise and dropout", "dpo"],
)
def test_a_step_waits_for_the_device_once(tiny, tmp_path, monkeypatch, values, rows):
    waits, gradients = Waits(), Training.gradients

    def watched(self, *arguments):
        with waits, monkeypatch.context() as patched:
            patched.setattr(torch.Tensor, "item", None)
            patched.setattr(torch.Tensor, "numpy", None)
            return gradients(self, *arguments)

    monkeypatch.setattr(Training, "gradients", watched)
    some = {**values, "training": {**values.get("training", {}), "max_steps": 3, "micro_batch": 2}}
    finished(make_run(tmp_path, tiny, some, rows))
    assert waits.places == []


def test_the_time_spent_on_data_is_part_of_the_step(tiny, tmp_path):
    run = finished(make_run(tmp_path, tiny))
    assert all(0 < event["data_time"] < event["step_time"] for event in events(run, "step"))


def test_a_pair_is_one_sample(tiny, tmp_path):
    values = {"training": {"objective": "dpo", "max_steps": 2, "batch_size": 4}}
    run = finished(make_run(tmp_path, tiny, values, pairs(12)))
    for event in events(run, "step"):
        assert event["samples_per_second"] * event["step_time"] == pytest.approx(4)


def test_the_same_recipe_gives_the_same_run_to_the_last_bit(tiny, tmp_path):
    values = {
        "quantization": {"bits": 4},
        "data": {"packing": True},
        "adapter": {"dropout": 0.1},
        "training": {"neftune_alpha": 5},
        "evaluation": {"every": 3},
    }
    runs = [finished(make_run(tmp_path / name, tiny, values)) for name in ("one", "other")]
    assert losses(runs[0]) == losses(runs[1])
    weights = [(run.adapter / "adapter_model.safetensors").read_bytes() for run in runs]
    assert weights[0] == weights[1]


def test_the_arithmetic_of_experts_counts_those_a_token_goes_through():
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(FAMILIES["mixtral"]).requires_grad_(False)
    experts = sum(p.numel() for name, p in model.named_parameters() if "experts" in name)
    config = model.config
    linears = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not model.lm_head
    )
    share = config.num_experts_per_tok / config.num_local_experts
    assert Flops.of_model(model).body == pytest.approx(4 * (linears + share * experts))


def test_a_prompt_the_template_refuses_is_said_before_training(tmp_path):
    refusing = (
        "{% if messages[0]['role'] != 'system' %}{{ raise_exception('say who you are') }}{% endif %}" + CHATML
    )
    base = make_tiny_model(tmp_path / "base", chat_template=refusing)
    rows = [
        {"messages": [{"role": r, "content": f"{r} {n}"} for r in ("system", "user", "assistant")]}
        for n in range(20)
    ]
    run = make_run(tmp_path / "run", base, {"evaluation": {"prompts": ["hello"]}}, rows)
    assert main([str(run.path)]) == EXIT_FAILED
    (end,) = events(run, "end")
    assert "evaluation.prompts" in end["message"]
    assert "say who you are" in end["message"]
    assert not losses(run)


def test_a_sample_there_is_no_memory_for_does_not_end_the_run(tiny, tmp_path, monkeypatch):
    def scarce(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(milestones, "answer", scarce)
    run = finished(make_run(tmp_path, tiny, {"evaluation": {"prompts": ["hello"]}}))
    assert "no sample" in events(run, "notice")[0]["message"]


def test_float16_that_overflows_for_ever_ends_the_run(tiny, tmp_path):
    class Overflowing(Training):
        def __init__(self):
            self.progress = Progress()
            self.parts = type("Parts", (), {"scaler": torch.amp.GradScaler("cpu")})
            self.recipe = load_recipe(make_run(tmp_path, tiny).recipe_path)

    training = Overflowing()
    assert all(training.is_usable(1.0, math.inf) for _ in range(20))
    training.is_usable(1.0, 0.5)
    assert all(training.is_usable(1.0, math.nan) for _ in range(31))
    with pytest.raises(ModelError, match="overflow float16") as caught:
        training.is_usable(1.0, math.nan)
    assert "float32" in caught.value.hint


def test_tokens_the_model_has_no_embedding_for_are_refused_by_name(tmp_path):
    from transformers import AutoTokenizer

    base = make_tiny_model(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(base)
    rows = [
        {"messages": [{"role": "user", "content": f"a {n}"}, {"role": "assistant", "content": f"<new> {n}"}]}
        for n in range(12)
    ]
    assert main([str((run := make_run(tmp_path / "run", base, rows=rows)).path)]) == EXIT_FAILED
    assert "'<new>'" in events(run, "end")[0]["message"]
    finished(make_run(tmp_path / "without", base))
