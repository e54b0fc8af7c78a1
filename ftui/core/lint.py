"""lint(): what in a recipe a practitioner would change, and to what.

Figures are those of practitioners' guides: LoRA learns at about ten times the rate of full fine-tuning (2e-4
against 1e-5..5e-5), alpha is about twice the rank, one to three epochs do, and a goal has a usual number of
rows. Each check reads the recipe and the facts there are; one that lacks its facts finds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ftui.core.findings import NOTHING, ORDER, Facts, Finding, Severity
from ftui.core.goals import GOALS
from ftui.core.hardware import show_size
from ftui.core.objectives import PREFERENCE, needs, packs, suits
from ftui.core.recipe_fields import number
from ftui.core.schedule import as_steps

if TYPE_CHECKING:
    from ftui.core.recipe import Recipe

Check = Callable[["Recipe", Facts], Iterator[Finding]]

TOKENS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)


def lint(recipe: Recipe, facts: Facts = NOTHING) -> list[Finding]:
    """Every finding, errors first, then in the recipe's order of decisions."""
    found = [finding for check in CHECKS for finding in check(recipe, facts)]
    return sorted(found, key=lambda finding: ORDER.index(finding.severity))


def _data(recipe: Recipe, facts: Facts) -> Iterator[Finding]:
    yield from facts.problems
    data = recipe.data
    if not data.train:
        yield Finding(
            "data.train", "error", "no dataset named", "set it to a file such as datasets/tickets.jsonl"
        )
    if facts.rows == 0:
        yield Finding(
            "data.train", "error", "the dataset has no usable row", "open it in the Data pane to see why"
        )
    elif facts.rows and recipe.goal and facts.rows < GOALS[recipe.goal].rows[0]:
        enough = f"{recipe.goal} usually needs {GOALS[recipe.goal].rows[0]:,} or more"
        message = f"{facts.rows:,} rows are few for this goal: {enough}"
        yield Finding("data.train", "warning", message, "add rows, or expect to see their wording again")
    if data.train_on == "all" and recipe.training.objective in PREFERENCE:
        message = "of preferences only the replies are learned from"
        yield Finding("data.train_on", "hint", message, 'use "assistant"', {"data.train_on": "assistant"})
    if data.train_on == "all" and recipe.training.objective == "sft":
        message = "the questions are learned as well as the answers"
        yield Finding("data.train_on", "hint", message, 'use "assistant"', {"data.train_on": "assistant"})
    if data.train_on != "all" and recipe.training.objective == "pretrain":
        message = "raw text has no assistant turns: all of it is learned"
        yield Finding("data.train_on", "hint", message, 'say "all"', {"data.train_on": "all"})


def _validation(recipe: Recipe, facts: Facts) -> Iterator[Finding]:
    share, every = recipe.data.validation, recipe.evaluation.every
    if recipe.evaluation.early_stopping and (share == 0 or every == 0):
        message = "early stopping has nothing to go by: no validation loss is measured"
        fix = {"data.validation": 0.1} if share == 0 else {"evaluation.every": 0.1}
        yield Finding("evaluation.early_stopping", "error", message, "measure it", fix)
    elif share == 0:
        message = "no validation examples: nothing will show when the model starts to memorise"
        yield Finding("data.validation", "hint", message, "hold back a tenth", {"data.validation": 0.1})
    elif isinstance(share, float) and share > 0.5:
        message = f"{share:.0%} of the data is held back from training"
        yield Finding("data.validation", "warning", message, "a tenth is usual", {"data.validation": 0.1})
    elif facts.schedule and isinstance(share, float) and 0 < facts.schedule.validation_rows < 5:
        message = f"{facts.schedule.validation_rows} validation examples: their loss is mostly noise"
        yield Finding("data.validation", "hint", message, "hold back more, or read the replies instead")


def _lengths(recipe: Recipe, facts: Facts) -> Iterator[Finding]:
    length = recipe.data.max_length
    if facts.over and facts.rows:
        fate = "dropped" if recipe.data.overlong == "drop" else "cut off"
        share = f"{facts.over:,} rows ({facts.over / facts.rows:.1%})"
        message = f"{share} are longer than {length:,} tokens and {fate}"
        better = next((size for size in TOKENS if facts.longest and size >= facts.longest), None)
        fix = {"data.max_length": better} if better else {}
        hint = f"{better:,} keeps them all" if better else "split them in the Data pane"
        severity: Severity = "warning" if facts.over > facts.rows / 100 else "hint"
        yield Finding("data.max_length", severity, message, hint, fix)
    elif facts.p99 and length >= 8 * facts.p99 and not recipe.data.packing:
        message = f"99% of the rows have {facts.p99:,} tokens or fewer: memory is set aside for {length:,}"
        better = next((size for size in TOKENS if size >= (facts.longest or facts.p99)), length)
        yield Finding(
            "data.max_length", "hint", message, f"{better:,} is enough", {"data.max_length": better}
        )
    if recipe.data.overlong == "truncate" and recipe.training.objective == "sft":
        message = "a cut-off answer teaches the model not to end its own"
        yield Finding("data.overlong", "hint", message, "drop them", {"data.overlong": "drop"})


def _adapter(recipe: Recipe, facts: Facts) -> Iterator[Finding]:
    method, rank, alpha = recipe.adapter.method, recipe.adapter.rank, recipe.adapter.alpha
    if method == "full" and recipe.quantization.bits < 16:
        bits = recipe.quantization.bits
        message = f"full fine-tuning changes the weights, so they cannot be kept in {bits} bits"
        yield Finding("quantization.bits", "error", message, "use 16 bits", {"quantization.bits": 16})
    if method == "full":
        return
    scale = alpha / math.sqrt(rank) if method == "rslora" else alpha / rank
    if not 0.5 <= scale <= 8:
        usual = max(1, round(2 * math.sqrt(rank))) if method == "rslora" else 2 * rank
        how = "alpha / square root of rank" if method == "rslora" else "alpha / rank"
        message = f"the adapter counts {scale:.3g} times ({how}); about 2 is usual"
        yield Finding("adapter.alpha", "warning", message, f"set alpha to {usual}", {"adapter.alpha": usual})
    if rank > 256:
        message = f"rank {rank:,} is seldom better than 64, and costs memory"
        yield Finding(
            "adapter.rank", "hint", message, "try 64 first", {"adapter.rank": 64, "adapter.alpha": 128}
        )
    if recipe.adapter.dropout > 0.3:
        message = f"{recipe.adapter.dropout:.0%} of the adapter's inputs are dropped: it will learn slowly"
        yield Finding("adapter.dropout", "warning", message, "0.05 is usual", {"adapter.dropout": 0.05})


def _learning_rate(recipe: Recipe, facts: Facts) -> Iterator[Finding]:
    full, rate = recipe.adapter.method == "full", recipe.training.learning_rate
    low, high, usual = (1e-6, 1e-4, 2e-5) if full else (1e-5, 2e-3, 2e-4)
    if preferring := recipe.training.objective in PREFERENCE:
        low, high, usual = (1e-8, 1e-5, 1e-6) if full else (1e-7, 1e-4, 1e-5)
    if low <= rate <= high:
        return
    what = "full fine-tuning" if full else "an adapter"
    if preferring:
        what = f"{recipe.training.objective} with {what}"
    effect = (
        "likely to destroy what the model knows" if rate > high else "hardly learns in a run of this kind"
    )
    message = f"{number(rate)} is {'high' if rate > high else 'low'} for {what}: {effect}"
    hint = f"start from {number(usual)}"
    yield Finding("training.learning_rate", "warning", message, hint, {"training.learning_rate": usual})


def _length_of_run(recipe: Recipe, facts: Facts) -> Iterator[Finding]:
    training = recipe.training
    if training.epochs > 5 and not training.max_steps:
        message = f"{number(training.epochs)} passes over the same examples: the model will recite them"
        yield Finding(
            "training.epochs", "warning", message, "three are usually enough", {"training.epochs": 3}
        )
    steps = facts.schedule.steps if facts.schedule else training.max_steps
    # A share is at least one step, which a trial of a single step cannot help.
    if steps > 1 and as_steps(training.warmup, steps) >= steps and training.warmup:
        message = f"warming up for {as_steps(training.warmup, steps):,} steps in a run of {steps:,}"
        shorter = {"training.warmup": 0.1}
        yield Finding("training.warmup", "warning", message, "use a tenth of the run", shorter)
    if facts.schedule and steps < 10:
        message = f"the run is {steps} {'step' if steps == 1 else 'steps'} long: too few to learn much"
        if training.max_steps:
            yield Finding("training.max_steps", "warning", message, "raise it, or 0 to go by epochs")
        else:
            fix = _smaller_batch(recipe, facts)
            yield Finding("training.batch_size", "warning", message, "lower the batch size", fix)
    packed = recipe.data.packing and packs(training.objective)
    if packed and facts.schedule and 0 < facts.schedule.sequences < 4 * training.batch_size:
        size = f"packed, the data is {facts.schedule.sequences:,} sequences"
        message = f"{size} for batches of {training.batch_size:,}"
        yield Finding("data.packing", "warning", message, "turn packing off", {"data.packing": False})
    for field in ("evaluation.every", "checkpoints.every"):
        every = recipe.get(field)
        what = "the validation loss is measured" if field.startswith("eval") else "progress is saved"
        if every == 1 and (not steps or steps > 20):
            message = f"{what} after every single step: 1 is a number of steps, not the whole run"
            yield Finding(field, "warning", message, "use a share such as 0.1", {field: 0.1})


def _smaller_batch(recipe: Recipe, facts: Facts) -> dict[str, int]:
    batch, steps = recipe.training.batch_size, facts.schedule.steps if facts.schedule else 1
    while batch > 1 and steps < 20:
        batch, steps = max(1, batch // 2), steps * 2
    return {"training.batch_size": batch} if batch < recipe.training.batch_size else {}


def _training(recipe: Recipe, facts: Facts) -> Iterator[Finding]:
    training, micro = recipe.training, recipe.training.micro_batch
    if not suits(training.objective, facts.shape):
        better = "kto" if suits("kto", facts.shape) else "sft"
        wanted = f"{training.objective} learns from {needs(training.objective)}"
        message = f"{wanted}; this dataset's rows are {facts.shape}"
        hint = f'use "{better}", or name another dataset'
        yield Finding("training.objective", "error", message, hint, {"training.objective": better})
    if not packs(training.objective) and recipe.data.packing:
        message = f"{training.objective} does not pack: a batch is {training.batch_size:,} examples"
        yield Finding("data.packing", "hint", message, "say so", {"data.packing": False})
    if isinstance(micro, int) and micro > training.batch_size:
        message = f"a micro-batch of {micro} is larger than the whole batch of {training.batch_size}"
        yield Finding(
            "training.micro_batch", "warning", message, "let ftui find it", {"training.micro_batch": "auto"}
        )
    if training.neftune_alpha > 15:
        message = f"noise of {number(training.neftune_alpha)} drowns the embeddings"
        yield Finding(
            "training.neftune_alpha", "warning", message, "5 is usual", {"training.neftune_alpha": 5}
        )
    if training.max_grad_norm == 0:
        message = "gradients are not clipped: one bad batch can wreck the run"
        yield Finding("training.max_grad_norm", "hint", message, "clip at 1", {"training.max_grad_norm": 1})
    if recipe.model.trust_remote_code:
        message = "the model's own Python code will run on this machine"
        yield Finding("model.trust_remote_code", "warning", message, "read it first, and pin model.revision")
    if "wandb" in recipe.logging.report_to:
        message = "wandb sends the curves to its servers unless it is set offline"
        yield Finding("logging.report_to", "hint", message, "tensorboard stays on this machine")


def _quantization(recipe: Recipe, facts: Facts) -> Iterator[Finding]:
    if recipe.quantization.bits == 8 and recipe.adapter.method != "full":
        message = "8 bits take twice the memory of 4 and train slower"
        yield Finding("quantization.bits", "hint", message, "use 4 (nf4)", {"quantization.bits": 4})
    if recipe.quantization.bits == 4 and recipe.quantization.type == "fp4":
        message = "fp4 fits trained weights worse than nf4 at the same size"
        yield Finding("quantization.type", "hint", message, "use nf4", {"quantization.type": "nf4"})
    for note in facts.estimate.notes if facts.estimate else ():
        hint = (
            "4 bits pack them as well"
            if recipe.quantization.bits == 8
            else "16 bits adapt them too, if they fit"
        )
        yield Finding("quantization.bits", "hint", note, hint)


def _machine(recipe: Recipe, facts: Facts) -> Iterator[Finding]:
    if facts.hardware is None or facts.hardware.device == "cuda":
        return
    if recipe.model.attention in ("flash_attention_2", "varlen"):
        message = f"{recipe.model.attention} needs a GPU, and there is none"
        yield Finding("model.attention", "error", message, "let ftui choose", {"model.attention": "auto"})
    if recipe.model.dtype == "float16" or recipe.quantization.compute_dtype == "float16":
        field = "model.dtype" if recipe.model.dtype == "float16" else "quantization.compute_dtype"
        yield Finding(field, "error", "float16 does not train on a CPU", "let ftui choose", {field: "auto"})
    if recipe.model.dtype == "bfloat16" and not facts.hardware.bfloat16:
        message = "this CPU emulates bfloat16: tens of times slower"
        yield Finding("model.dtype", "warning", message, "let ftui choose", {"model.dtype": "auto"})
    if recipe.training.optimizer == "paged_adamw_8bit":
        message = "a paged optimizer pages between a GPU and the host, and there is no GPU"
        yield Finding(
            "training.optimizer", "error", message, "let ftui choose", {"training.optimizer": "auto"}
        )
    if recipe.launch.processes > 1:
        message = f"{recipe.launch.processes} processes share one CPU: none gets faster"
        yield Finding("launch.processes", "hint", message, "use 1", {"launch.processes": 1})
    if facts.estimate and facts.estimate.parameters > 1e9:
        size = f"{facts.estimate.parameters / 1e9:.1f}B"
        message = f"no GPU here: a step of a {size} model takes minutes"
        yield Finding("model.base", "warning", message, "use a GPU, or a base of about 100M such as demo")


def _memory(recipe: Recipe, facts: Facts) -> Iterator[Finding]:
    estimate = facts.estimate
    if estimate is None or estimate.memory is None:
        return
    micro = recipe.training.micro_batch
    if isinstance(micro, int) and estimate.load.micro_batch < min(micro, recipe.training.batch_size):
        message = f"{micro} examples at once do not fit; {estimate.load.micro_batch} will be tried"
        yield Finding(
            "training.micro_batch", "hint", message, "let ftui find it", {"training.micro_batch": "auto"}
        )
    have = f"{show_size(estimate.memory)} on {facts.hardware.name if facts.hardware else 'the device'}"
    hint, fix = _lighter(recipe)
    if (processes := recipe.launch.processes) > 1:
        hint += f"; {processes} processes are faster, not larger: each holds the whole model but with FSDP"
    field = next(iter(fix), "model.base")
    if estimate.total > estimate.memory:
        message = f"needs about {show_size(estimate.total)}, and there are {have}"
        yield Finding(field, "error", message, hint, fix)
    elif not estimate.roomy:
        message = f"needs about {show_size(estimate.total)} of {have}: close to the limit"
        yield Finding(field, "warning", message, hint, fix)


def _lighter(recipe: Recipe) -> tuple[str, dict[str, object]]:
    """The next thing to give up for memory, the cheapest first."""
    training = recipe.training
    if training.micro_batch != "auto" and training.micro_batch > 1:
        return "fewer examples at once, the same batch", {"training.micro_batch": "auto"}
    if training.checkpointing not in ("auto", "all"):
        return "recompute as many layers as needed", {"training.checkpointing": "auto"}
    if recipe.quantization.bits > 4 and recipe.adapter.method != "full":
        return "4-bit weights", {"quantization.bits": 4}
    if recipe.adapter.method == "full":
        return "an adapter on 4-bit weights", {"adapter.method": "lora", "quantization.bits": 4}
    if recipe.data.max_length > 512:
        return "shorter examples", {"data.max_length": max(512, recipe.data.max_length // 2)}
    return "choose a smaller base", {}


CHECKS: tuple[Check, ...] = (
    _data,
    _validation,
    _lengths,
    _quantization,
    _adapter,
    _learning_rate,
    _length_of_run,
    _training,
    _machine,
    _memory,
)
