"""Rows for preference learning, and our side of a comparison: the objective on a tiny model, without a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ftui.core.recipe import parse_recipe
from ftui.engine.adapter import attach
from ftui.engine.device import Device
from ftui.engine.encode import Encoder
from ftui.engine.layout import choose_layout, choose_loss, choose_replies
from ftui.engine.model import choose_formats, load_model
from ftui.engine.objectives import Micro, Whole, make_objective, units_for
from ftui.engine.pack import by_capacity, collate
from ftui.engine.ranks import Ranks
from ftui.engine.reference import Scorer, reference_logps
from ftui.engine.rows import prepare
from ftui.engine.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

TOPICS = ("tent", "boots", "stove", "rope", "jacket", "map", "bottle", "lamp")


def pairs(count: int) -> list[dict[str, Any]]:
    """The chosen reply is always polite, the rejected one always rude; lengths differ."""
    rows = []
    for n in range(count):
        topic = TOPICS[n % len(TOPICS)]
        rows.append(
            {
                "prompt": [
                    {"role": "user", "content": f"My {topic} number {n} is broken" + " again" * (n % 4)}
                ],
                "chosen": [
                    {"role": "assistant", "content": f"sorry about the {topic}" + " indeed" * (n % 3)}
                ],
                "rejected": [{"role": "assistant", "content": f"so what, number {n}" + " no" * (n % 5)}],
            }
        )
    return rows


def labelled(count: int, bad_every: int = 2) -> list[dict[str, Any]]:
    """Each reply of `pairs`, one a row: every so-manieth is a bad one."""
    return [
        {
            "prompt": row["prompt"],
            "completion": row["rejected" if n % bad_every else "chosen"],
            "label": not n % bad_every,
        }
        for n, row in enumerate(pairs(count))
    ]


class Ours:
    """An objective on a tiny model with a LoRA: `loss(documents)` after `move()`."""

    def __init__(
        self, base: Path, folder: Path, objective: str, rows: list[dict[str, Any]], **training: Any
    ) -> None:
        import torch

        data = folder / "data.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.recipe = parse_recipe(
            {
                "schema": 1,
                "model": {"base": str(base), "dtype": "float32"},
                "quantization": {"bits": 16},
                "data": {"train": str(data), "validation": 0, "max_length": 256, "packing": False},
                "adapter": {"rank": 4, "alpha": 8},
                "training": {"objective": objective, **training},
            }
        )
        device = Device(torch.device("cpu"), "CPU")
        self.tokenizer = load_tokenizer(base, self.recipe.model, None)
        self.rows = prepare(
            folder / "cache",
            self.recipe,
            lambda: Encoder(self.tokenizer, max_length=256),
            units_for(objective),
            train=data,
            validation=None,
            tell=lambda done: None,
        ).train
        formats = choose_formats(self.recipe, device)
        self.base = load_model(base, self.recipe, device, formats, None)
        self.autocast = lambda: torch.autocast("cpu", enabled=False)
        self.layout = choose_layout(self.base, ["ftui", "sdpa"], self.autocast, packing=False)
        self.model = attach(self.base, self.recipe, folder / "start")
        loss = choose_loss(self.base, self.layout, self.autocast)
        self.scorer = Scorer(self.base, self.layout, choose_replies(loss), self.autocast)
        self.rows.reference = reference_logps(
            self.rows,
            folder / "cache" / "train",
            self.scorer,
            capacity=300,
            ranks=Ranks(),
            tell=lambda *_: None,
        )
        self.objective = make_objective(self.recipe, self.base, loss, choose_replies(loss), self.rows)

    def move(self) -> None:
        """Makes the adapter change something, as training would have."""
        import torch

        torch.manual_seed(3)
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if "lora_B.default" in name:
                    parameter.normal_(0, 0.05)

    def loss(self, units: list[int]) -> tuple[float, dict[str, float], dict[str, Any]]:
        """Loss, figures and gradients of units as one effective batch in two micro-batches."""
        import torch

        documents = [document for unit in units for document in self.objective.documents(unit)]
        counts = self.objective.counts(self.rows, documents)
        divergence = None
        if probes := self.objective.probes(documents):
            moved = torch.cat([*self.scorer.score(self.rows, by_capacity(probes, self.rows.lengths, 300))])
            divergence = (moved - torch.from_numpy(self.rows.reference[probes])).mean().clamp(min=0)
        whole, total, value = Whole(counts, divergence), 0, 0.0
        self.model.zero_grad()
        half = len(units) // 2
        for part in (units[:half], units[half:]):
            chosen = [document for unit in part for document in self.objective.documents(unit)]
            batch = collate([self.rows[n] for n in chosen], padded=not self.layout.flat)
            loss, sums = self.objective.measure(
                Micro(self.rows, chosen, batch, self.layout.arguments(batch)), whole
            )
            loss.backward()
            total, value = total + sums, value + float(loss.detach())
        named = dict(zip(self.objective.sums, total.tolist(), strict=True))
        return value, self.objective.figures(named, counts), gradients(self.model)


def gradients(model: Any) -> dict[str, Any]:
    return {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
