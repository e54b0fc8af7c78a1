"""How fast ftui trains, against a plain torch loop and TRL's SFTTrainer, on the same tokens in the same order.

    pip install trl                     # the peer; without it the other three are compared
    python -m tests.bench.train [--steps 20] [--batch 8] [--bits 16|4] [--geometry smollm2|tiny] [--json OUT]

Four contenders, each in a process of its own so that its peak memory is its own, take turns of a few steps: one
works while the others wait, and a slow minute of the machine hits them all.

* raw     torch and peft, padded batches, the model's own loss: what one would write in an afternoon
* trl     SFTTrainer as it comes, but for gradient checkpointing, which nobody uses here
* padded  ftui's trainer made to pad, batches not grouped by length
* packed  ftui's trainer as it comes: the same documents laid end to end, no padding

The model has SmolLM2-135M's geometry and random weights; documents have lognormal lengths and about a third of
their tokens are trained. LoRA rank 16 on every linear layer, AdamW, float32 on a CPU and bfloat16 on a GPU.
Tokens a second count no padding. The comparison is refused (exit 1) unless the first 20 losses of all
contenders agree within 1e-3; limits: padded >= 1.0 x trl and >= 0.95 x raw, packed >= 1.5 x trl,
telemetry below 0.5 % of a step.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np

CONTENDERS = ("padded", "packed", "raw", "trl")
GEOMETRY = {
    # hidden, intermediate, layers, heads, key-value heads, vocabulary
    "smollm2": (576, 1536, 30, 9, 3, 49152),
    "tiny": (64, 128, 2, 4, 2, 512),
    "1b": (2048, 8192, 16, 32, 8, 128256),
    "8b": (4096, 14336, 32, 32, 8, 128256),
}
TURN = 4  # steps before the next contender has its turn
AGREEING = 20
RATE = 2e-4
TELEMETRY = 0.005  # of a step
LIMITS = {"padded/trl": 1.0, "padded/raw": 0.95, "packed/trl": 1.5}


def main() -> int:
    options = _options()
    if options.child:
        return child(options)
    with tempfile.TemporaryDirectory(prefix="ftui-bench-") as folder:
        work = Path(folder)
        make_model(work / "model", options.geometry)
        make_rows(work / "rows.jsonl", options)
        names = [name for name in CONTENDERS if name != "trl" or _has_trl()]
        results = race(names, options, work)
    return report(results, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=24, help="timed steps of each contender, after two more")
    parser.add_argument("--batch", type=int, default=8, help="documents an optimizer step")
    parser.add_argument("--mean", type=float, default=110, help="median tokens of a document")
    parser.add_argument("--sigma", type=float, default=0.7, help="of the lognormal lengths")
    parser.add_argument("--max-length", type=int, default=1024)
    parser.add_argument("--bits", type=int, choices=(4, 16), default=16)
    parser.add_argument("--geometry", choices=tuple(GEOMETRY), default="smollm2")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


# -- the parent: turns and results -----------------------------------------------------------------


def race(names: list[str], options: argparse.Namespace, work: Path) -> dict[str, dict[str, Any]]:
    """Lets the contenders take turns; {name: figures}."""
    running = {}
    for name in names:  # one after the other: the first writes down the batches that all train on
        command = [sys.executable, "-m", "tests.bench.train", "--child", name, "--work", str(work)]
        for option in ("steps", "batch", "mean", "sigma", "max_length", "bits", "geometry"):
            command += [f"--{option.replace('_', '-')}", str(getattr(options, option))]
        running[name] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(work / f"{name}.log").open("wb")
        )
        if _answer(running[name], name, work) != "ready":
            raise SystemExit(f"{name} did not start")
        print(f"{name} is ready", file=sys.stderr)
    results: dict[str, dict[str, Any]] = {name: {"losses": [], "seconds": []} for name in names}
    total = options.steps + 2
    for begin in range(0, total, TURN):
        for name in names:
            for _ in range(min(TURN, total - begin)):
                _say(running[name], "step", name, work)
                step = json.loads(_answer(running[name], name, work))
                results[name]["losses"].append(step["loss"])
                results[name]["seconds"].append(step["seconds"])
        print(f"{min(begin + TURN, total)} of {total} steps", file=sys.stderr)
    for name, process in running.items():
        _say(process, "end", name, work)
        results[name] |= json.loads(_answer(process, name, work))
        process.wait()
    batches = json.loads((work / "batches.json").read_text())["steps"]
    tokens = [sum(len(ids) for ids, _ in documents) for documents in batches]
    trained = [sum(sum(w > 0 for w in weights[1:]) for _, weights in documents) for documents in batches]
    padded = [len(documents) * max(len(ids) for ids, _ in documents) for documents in batches]
    for result in results.values():
        # The first two steps warm caches and allocators up: not timed.
        seconds = sum(result["seconds"][2:])
        count = slice(2, len(result["seconds"]))
        result["tokens_per_second"] = sum(tokens[count]) / seconds
        result["trained_tokens_per_second"] = sum(trained[count]) / seconds
        result["step_seconds"] = seconds / options.steps
        result["padding_if_padded"] = 1 - sum(tokens[count]) / sum(padded[count])
    return results


def _say(process: subprocess.Popen[bytes], word: str, name: str, work: Path) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(f"{word}\n".encode())
        process.stdin.flush()
    except BrokenPipeError:
        raise SystemExit(_ended(process, name, work)) from None


def _answer(process: subprocess.Popen[bytes], name: str, work: Path) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    if not line:
        raise SystemExit(_ended(process, name, work))
    return line.strip()


def _ended(process: subprocess.Popen[bytes], name: str, work: Path) -> str:
    log = (work / f"{name}.log").read_text()[-3000:]
    return f"{name} ended with {process.wait()}:\n{log}"


def report(results: dict[str, dict[str, Any]], options: argparse.Namespace) -> int:
    apart = {
        name: max(
            abs(a - b)
            for a, b in zip(result["losses"][:AGREEING], results["raw"]["losses"][:AGREEING], strict=True)
        )
        for name, result in results.items()
    }
    speed = {name: result["tokens_per_second"] for name, result in results.items()}
    ratios = {
        pair: speed[pair.split("/")[0]] / speed[pair.split("/")[1]]
        for pair in LIMITS
        if pair.split("/")[1] in speed
    }
    agree = all(difference <= 1e-3 for difference in apart.values())
    telemetry = results["packed"].get("telemetry_share", 0.0)
    missed = [pair for pair, ratio in ratios.items() if ratio < LIMITS[pair]]
    missed += ["telemetry"] if telemetry >= TELEMETRY else []
    machine = describe_machine()
    print(f"{machine['device']} · torch {machine['torch']} · {options.geometry} · {options.bits}-bit base")
    print(f"{'':8} {'tokens/s':>9} {'trained/s':>9} {'s/step':>7} {'peak MB':>8} {'loss apart':>10}")
    for name in ("raw", "trl", "padded", "packed"):
        if name not in results:
            print(f"{name:8} not installed")
            continue
        figures = results[name]
        print(
            f"{name:8} {figures['tokens_per_second']:9,.0f} {figures['trained_tokens_per_second']:9,.0f}"
            f" {figures['step_seconds']:7.2f} {figures['peak_bytes'] / 1e6:8,.0f} {apart[name]:10.1e}"
        )
    for pair, ratio in ratios.items():
        print(f"{pair:12} {ratio:5.2f}x  (limit {LIMITS[pair]:g}){'  MISSED' if pair in missed else ''}")
    if "telemetry_share" in results["packed"]:
        late = "  MISSED" if "telemetry" in missed else ""
        print(f"telemetry costs {telemetry:.2%} of a step  (limit {TELEMETRY:.1%}){late}")
    if not agree:
        print("REFUSED: the losses differ, so these are not the same training")
    if options.json:
        short = {
            name: {key: value for key, value in result.items() if key not in ("losses", "seconds")}
            for name, result in results.items()
        }
        settings = {
            key: value for key, value in vars(options).items() if key not in ("json", "child", "work")
        }
        body = {
            "machine": machine, "settings": settings, "results": short, "ratios": ratios,
            "loss_apart": apart, "missed": missed,
        }  # fmt: skip
        options.json.write_text(json.dumps(body, indent=2) + "\n")
    return 1 if missed or not agree else 0


def describe_machine() -> dict[str, Any]:
    import platform
    from importlib.metadata import version

    import torch

    cuda = torch.cuda.is_available()
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    names = ("transformers", "peft", "bitsandbytes", *(("trl",) if _has_trl() else ()))
    return {
        "device": torch.cuda.get_device_name(0) if cuda else f"{os.cpu_count()} x {cpu}",
        "torch": torch.__version__,
        **{name: version(name) for name in names},
    }


def _has_trl() -> bool:
    import importlib.util

    return importlib.util.find_spec("trl") is not None


# -- what they train -------------------------------------------------------------------------------


def make_model(folder: Path, geometry: str) -> None:
    """A Llama of the named geometry with random weights and a small real tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.tiny import make_tiny_tokenizer

    hidden, intermediate, layers, heads, kv, vocab = GEOMETRY[geometry]
    tokenizer = make_tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv, max_position_embeddings=8192,
        tie_word_embeddings=geometry in ("smollm2", "tiny", "1b"), bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(config)
    model.to(torch.bfloat16 if torch.cuda.is_available() else torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_rows(path: Path, options: argparse.Namespace) -> None:
    """Conversations with lognormal lengths: about two thirds question, one third answer."""
    random = np.random.default_rng(0)
    words = "tent boots stove rope jacket map bottle lamp order parcel late torn return refund size".split()
    count = (options.steps + 2) * options.batch + options.batch
    with path.open("w") as file:
        for _ in range(count):
            tokens = min(
                options.max_length * 0.7, max(16.0, random.lognormal(np.log(options.mean), options.sigma))
            )
            length = int(tokens / 2.2)  # words; measured with this tokenizer
            said = [str(word) for word in random.choice(words, max(6, length))]
            cut = max(3, len(said) * 2 // 3)
            turns = [("user", said[:cut]), ("assistant", said[cut:] or ["yes"])]
            messages = [{"role": role, "content": " ".join(part)} for role, part in turns]
            file.write(json.dumps({"messages": messages}) + "\n")


# -- the contenders --------------------------------------------------------------------------------


class Turns:
    """The child's side of the pipe: waits for its turn, tells what a step took."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)  # what libraries print stays out of it

    def ready(self) -> None:
        self._out.write("ready\n")

    def wait(self) -> bool:
        """True for a step, False for the end."""
        return sys.stdin.readline().strip() == "step"

    def tell(self, **figures: Any) -> None:
        self._out.write(json.dumps(figures) + "\n")


def child(options: argparse.Namespace) -> int:
    turns = Turns()
    train = {"padded": train_ftui, "packed": train_ftui, "raw": train_raw, "trl": train_trl}[options.child]
    extra = train(options, turns)
    turns.tell(peak_bytes=peak_bytes(), **(extra or {}))
    return 0


def peak_bytes() -> int:
    """Peak device memory, or on a CPU peak resident memory of this process."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _settle() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def train_ftui(options: argparse.Namespace, turns: Turns) -> dict[str, Any]:
    """ftui's own trainer, its loop driven a step at a time."""
    from ftui.core.recipe import parse_recipe
    from ftui.engine import setup
    from ftui.engine.device import find_device
    from ftui.engine.layout import Layout
    from ftui.engine.loop import Training
    from ftui.engine.pack import Order, Steps
    from ftui.engine.ranks import Ranks
    from ftui.engine.telemetry import Control
    from ftui.engine.train import quiet_libraries
    from ftui.runs.rundir import EventWriter, RunDir

    quiet_libraries()
    work, steps = options.work, options.steps + 2
    rundir = RunDir(work / f"run-{options.child}")
    rundir.path.mkdir()
    recipe = parse_recipe(
        {
            "schema": 1,
            "name": "bench",
            "model": {"base": str(work / "model")},
            "quantization": {"bits": options.bits},
            "data": {"train": str(work / "rows.jsonl"), "validation": 0, "packing": False,
                     "max_length": options.max_length},
            "adapter": {"rank": 16, "alpha": 32},
            "training": {"max_steps": steps, "batch_size": options.batch, "micro_batch": options.batch,
                         "learning_rate": RATE, "scheduler": "constant", "warmup": 0, "checkpointing": "none"},
            "evaluation": {"every": 0},
            "checkpoints": {"every": 0},
        }
    )  # fmt: skip
    rundir.recipe_path.write_text(recipe.to_toml())
    rundir.manifest_path.write_text(json.dumps({"data": {"train": {"path": recipe.data.train}}}))
    with EventWriter(rundir) as writer:
        control = Control(rundir)
        reporter = TimedReporter(rundir, writer)
        parts = setup.prepare(rundir, recipe, find_device(), Ranks(), reporter.inner, control)
        parts.steps = Steps(Order(parts.rows.train.lengths, options.batch))
        if options.child == "padded":
            parts.base.set_attn_implementation("sdpa")
            parts.layout = Layout("sdpa", flat=False)
            _write_batches(work / "batches.json", parts, steps)
        training = Training(rundir, parts, reporter.inner, control)
        turns.ready()
        while turns.wait():
            begun = time.perf_counter()
            training.step()
            loss = training.interval._steps[-1]
            training.after_step() if parts.progress.step < steps else None
            _settle()
            turns.tell(loss=loss.sums["nll"] / loss.counts["weight"], seconds=time.perf_counter() - begun)
        spent = sum(reporter.spent)
        return {"telemetry_share": spent / max(1e-9, spent + sum(reporter.steps))} if reporter.steps else {}


class TimedReporter:
    """A reporter whose work on step events is timed: what telemetry costs."""

    def __init__(self, rundir: Any, writer: Any) -> None:
        from ftui.engine.telemetry import Reporter

        outer = self
        self.spent: list[float] = []
        self.steps: list[float] = []

        class Timed(Reporter):
            def emit(self, kind: str, **fields: Any) -> None:
                begun = time.perf_counter()
                super().emit(kind, **fields)
                if kind == "step":
                    outer.spent.append(time.perf_counter() - begun)
                    outer.steps.append(fields["step_time"])

            def beat(self, stage: str) -> None:
                begun = time.perf_counter()
                super().beat(stage)
                outer.spent.append(time.perf_counter() - begun)

        self.inner = Timed(rundir, writer)


def _write_batches(path: Path, parts: Any, steps: int) -> None:
    """The documents of every step, for the other contenders."""
    rows = parts.rows.train
    listed = [
        [[array.tolist() for array in rows[number]] for sequence in parts.steps.sequences(step) for number in sequence]
        for step in range(steps)
    ]  # fmt: skip
    path.write_text(json.dumps({"steps": listed}))


def _load_peer(options: argparse.Namespace) -> Any:
    """The base with a LoRA adapter as a peer would make it, starting from the very weights ftui starts from."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    cuda = torch.cuda.is_available()
    dtype = torch.bfloat16 if cuda else torch.float32
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(
        options.work / "model",
        dtype=dtype,
        quantization_config=quantization if options.bits == 4 else None,
        **({"device_map": {"": 0}} if cuda else {}),
    )
    model.config.use_cache = False
    model.requires_grad_(False)
    torch.manual_seed(0)
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def _documents(options: argparse.Namespace) -> list[list[tuple[list[int], list[int]]]]:
    """(token ids, labels) of the documents of every step."""
    batches = json.loads((options.work / "batches.json").read_text())["steps"]
    return [
        [
            (ids, [token if weight > 0 else -100 for token, weight in zip(ids, weights, strict=True)])
            for ids, weights in documents
        ]
        for documents in batches
    ]


def train_raw(options: argparse.Namespace, turns: Turns) -> None:
    """A plain loop: pad, forward, cross-entropy of the model, backward, clip, step."""
    import torch
    from torch.nn.functional import cross_entropy
    from torch.nn.utils.rnn import pad_sequence

    model = _load_peer(options).train()
    device = next(model.parameters()).device
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0, fused=True)
    batches = _documents(options)
    turns.ready()
    step = 0
    while turns.wait():
        begun = time.perf_counter()
        documents = [(torch.tensor(ids), torch.tensor(labels)) for ids, labels in batches[step]]
        ids = pad_sequence([ids for ids, _ in documents], batch_first=True).to(device)
        mask = pad_sequence([torch.ones_like(ids) for ids, _ in documents], batch_first=True).to(device)
        labels = pad_sequence([l for _, l in documents], batch_first=True, padding_value=-100).to(device)  # noqa: E741
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            logits = model(input_ids=ids, attention_mask=mask).logits
        loss = cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        value = loss.item()
        _settle()
        turns.tell(loss=value, seconds=time.perf_counter() - begun)
        step += 1


def train_trl(options: argparse.Namespace, turns: Turns) -> None:
    """TRL's SFTTrainer on the same documents in the same order."""
    import torch
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    cuda = torch.cuda.is_available()
    rows = [document for batch in _documents(options) for document in batch]
    state: dict[str, Any] = {"begun": 0.0, "seconds": 0.0, "pending": False}

    class InTurn(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, trainer_state: Any, control: Any, **kwargs: Any) -> None:
            turns.ready()
            self.next(control)

        def on_step_end(self, args: Any, trainer_state: Any, control: Any, **kwargs: Any) -> None:
            _settle()
            state["seconds"], state["pending"] = time.perf_counter() - state["begun"], True

        def on_log(
            self, args: Any, trainer_state: Any, control: Any, logs: Any = None, **kwargs: Any
        ) -> None:
            if state["pending"] and "loss" in (logs or {}):
                # Logging is part of a step here as it is in ftui.
                state["pending"] = False
                turns.tell(loss=logs["loss"], seconds=time.perf_counter() - state["begun"])
                self.next(control)

        def next(self, control: Any) -> None:
            if turns.wait():
                state["begun"] = time.perf_counter()
            else:
                control.should_training_stop = True

    class InOrder(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return SequentialSampler(dataset if dataset is not None else self.train_dataset)

    arguments = SFTConfig(
        output_dir=str(options.work / "trl"),
        per_device_train_batch_size=options.batch,
        max_steps=options.steps + 2,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=1.0,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        bf16=cuda,
        use_cpu=not cuda,
        gradient_checkpointing=False,
        max_length=None,
        optim="adamw_torch_fused",
        dataloader_pin_memory=cuda,
        disable_tqdm=True,
    )
    trainer = InOrder(
        model=_load_peer(options),
        args=arguments,
        train_dataset=Dataset.from_list([{"input_ids": ids, "labels": labels} for ids, labels in rows]),
        processing_class=AutoTokenizer.from_pretrained(options.work / "model"),
        callbacks=[InTurn()],
    )
    trainer.train()


if __name__ == "__main__":
    sys.exit(main())
