"""Recipes of LLaMA-Factory and Axolotl become ftui's: the same run, and nothing dropped unsaid."""

from __future__ import annotations

import contextlib
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ftui.cli.main import main
from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe, load_recipe
from ftui.core.recipe_import import import_document
from ftui.runs.recipe_import import import_file

LLAMA_FACTORY = """
model_name_or_path: meta-llama/Meta-Llama-3-8B-Instruct
quantization_bit: 4
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
dataset: tickets,identity
template: llama3
cutoff_len: 2048
max_samples: 1000
output_dir: saves/llama3-8b/lora/tickets
save_steps: 500
report_to: none
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
val_size: 0.1
eval_strategy: steps
eval_steps: 200
"""
AXOLOTL = """
base_model: NousResearch/Llama-3.2-1B
load_in_4bit: true
adapter: qlora
datasets:
  - path: data/tickets.jsonl
    type: alpaca
val_set_size: 0.1
output_dir: ./outputs/qlora-out
sequence_len: 2048
sample_packing: true
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_linear: true
gradient_accumulation_steps: 4
micro_batch_size: 2
num_epochs: 2
optimizer: adamw_bnb_8bit
lr_scheduler: cosine
learning_rate: 0.0002
bf16: auto
flash_attention: true
warmup_steps: 10
evals_per_epoch: 4
saves_per_epoch: 1
wandb_project: tickets
special_tokens:
  pad_token: "<|end_of_text|>"
"""


def recipe_of(text: str) -> Recipe:
    return Recipe().with_values(import_document(yaml.safe_load(text)).values)


def remarks_of(text: str) -> dict[str, str]:
    return {remark.key: remark.kind for remark in import_document(yaml.safe_load(text)).remarks}


def test_a_llama_factory_recipe_keeps_what_decides_the_run():
    recipe = recipe_of(LLAMA_FACTORY)
    assert recipe.name == "tickets"
    assert (recipe.quantization.bits, recipe.adapter.method, recipe.adapter.targets) == (
        4,
        "lora",
        "all-linear",
    )
    assert (recipe.adapter.rank, recipe.adapter.alpha) == (8, 16)
    assert recipe.training.batch_size == 8
    assert recipe.training.learning_rate == pytest.approx(1e-4)  # a word to YAML
    assert (recipe.data.max_length, recipe.data.overlong, recipe.data.packing) == (2048, "truncate", False)
    assert (recipe.evaluation.every, recipe.checkpoints.every) == (200, 500)


def test_what_llama_factory_does_and_ftui_does_not_is_said():
    assert remarks_of(LLAMA_FACTORY) == {
        "dataset": "changed",
        "template": "changed",
        "max_samples": "dropped",
        "do_train": "needless",
    }


def test_an_axolotl_recipe_keeps_what_decides_the_run():
    recipe = recipe_of(AXOLOTL)
    assert (recipe.quantization.bits, recipe.adapter.method, recipe.adapter.rank) == (4, "lora", 32)
    assert (recipe.training.batch_size, recipe.training.optimizer) == (8, "adamw_8bit")
    assert (recipe.data.train, recipe.data.packing) == ("data/tickets.jsonl", True)
    assert recipe.evaluation.every == pytest.approx(1 / 8)
    assert recipe.checkpoints.every == pytest.approx(1 / 2)
    assert recipe.logging.report_to == ["wandb"]
    assert remarks_of(AXOLOTL) == {"special_tokens": "dropped"}


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ("stage: dpo\npref_beta: 0.2", "training.objective", "dpo"),
        ("stage: dpo\npref_loss: orpo", "training.objective", "orpo"),
        ("stage: pt", "data.packing", True),
        ("finetuning_type: full", "adapter.method", "full"),
        ("use_dora: true", "adapter.method", "dora"),
        ("lora_target: q_proj, v_proj", "adapter.targets", ["q_proj", "v_proj"]),
        ("train_on_prompt: true", "data.train_on", "all"),
        ("eval_strategy: 'no'\neval_steps: 10", "evaluation.every", 0),
        ("eval_strategy: epoch\nnum_train_epochs: 1", "evaluation.every", 0.999),
        ("warmup_steps: 20\nwarmup_ratio: 0.1", "training.warmup", 20),
        ("quantization_bit: 3", "quantization.bits", 4),
    ],
)
def test_llama_factory_keys(given, field, value):
    assert recipe_of(f"model_name_or_path: x\n{given}").get(field) == value


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ("rl: kto", "training.objective", "kto"),
        ("datasets: [{path: a.txt, type: completion}]", "training.objective", "pretrain"),
        ("load_in_8bit: true\nadapter: lora", "quantization.bits", 8),
        ("learning_rate: 1e-5", "adapter.method", "full"),
        ("adapter: lora\npeft_use_rslora: true", "adapter.method", "rslora"),
        ("chat_template: chatml", "model.chat_template", "chatml"),
        ("datasets: [{path: json, data_files: [a.jsonl]}]", "data.train", "a.jsonl"),
        ("val_set_size: 200", "data.validation", 0.1),
        ("saves_per_epoch: 1", "checkpoints.every", 0.999),
    ],
)
def test_axolotl_keys(given, field, value):
    assert recipe_of(f"base_model: x\n{given}").get(field) == value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: mine", "not a recipe of LLaMA-Factory or Axolotl"),
        ("[1, 2]", "not a recipe of LLaMA-Factory or Axolotl"),
        ("model_name_or_path: x\nstage: ppo", "'ppo' has no equivalent"),
        ("base_model: x\nrl: grpo", "'grpo' has no equivalent"),
        ("base_model: x\nlora_r: many", "expected a number, got 'many'"),
        ("base_model: x\nlora_r: 1.5", "expected a whole number"),
        ("a: [1", "not YAML"),
        ("a: !!python/object:os.system x", "not YAML"),
    ],
)
def test_what_cannot_be_taken_over_is_one_line(tmp_path, text, complaint):
    file = tmp_path / "other.yaml"
    file.write_text(text)
    with pytest.raises(FtuiError, match=complaint):
        import_file(file)


def test_the_files_behind_llama_factory_names_are_found(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_info.json").write_text('{"tickets": {"file_name": "tickets.json"}}')
    file = tmp_path / "sft.yaml"
    file.write_text("model_name_or_path: x\ndataset: tickets\neval_dataset: elsewhere.jsonl\n")
    values = import_file(file).values
    assert values["data.train"] == str(tmp_path / "data" / "tickets.json")
    assert values["data.validation"] == "elsewhere.jsonl"


def test_a_yaml_bomb_is_answered_at_once(tmp_path):
    lines = [
        "a0: &a0 [x, x]",
        *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)),
        "base_model: x",
    ]
    file = tmp_path / "bomb.yaml"
    file.write_text("\n".join(lines))
    assert len(import_file(file).remarks) == 60


_KEYS = sorted({*yaml.safe_load(LLAMA_FACTORY), *yaml.safe_load(AXOLOTL), "stage", "rl", "warmup_steps"})
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(_KEYS), _VALUES))
def test_whatever_the_values_are_it_is_a_recipe_or_one_clear_line(document):
    with contextlib.suppress(FtuiError):
        Recipe().with_values(import_document(document).values)


def test_the_command_writes_a_recipe_and_lists_what_was_left(tmp_path, capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["recipe", "import", *map(str, arguments)])
        return (ended.value.code or 0, *capsys.readouterr())

    file, out = tmp_path / "sft.yaml", tmp_path / "tickets.toml"
    file.write_text(LLAMA_FACTORY)
    code, _, err = call(file, out)
    assert (code, "max_samples" in err) == (0, True)
    keys = yaml.safe_load(LLAMA_FACTORY)
    left = {remark.key for remark in import_file(file).remarks}
    assert f"from llama-factory: {len(keys.keys() - left)} keys taken over\n" in err
    assert load_recipe(out).training.batch_size == 8
    code, printed, _ = call(file, "--json")
    answer = json.loads(printed)
    assert (code, answer["recipe"]["adapter"]["rank"]) == (0, 8)
    said = {"key": "max_samples", "value": "1000", "message": "has no equivalent", "kind": "dropped"}
    assert said in answer["remarks"]
    code, _, err = call(file, out)
    assert (code, "already there" in err) == (2, True)
