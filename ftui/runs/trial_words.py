"""A trial in words, the same in the Recipe pane and on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.core.duration import show_duration
from ftui.core.hardware import show_size

if TYPE_CHECKING:
    from ftui.runs.trial import Trial


def lines(trial: Trial) -> list[tuple[str, str]]:
    """(what, figures), those that are known."""
    found = [
        ("memory", _memory(trial)),
        ("micro-batch", _micro_batch(trial)),
        ("loss", " → ".join(f"{loss:.3f}" for loss in trial.losses)),
        ("eval loss", f"{trial.eval_loss:.3f}" if trial.eval_loss is not None else ""),
        ("speed", f"{trial.tokens_per_second:,.0f} tokens/s" if trial.tokens_per_second else ""),
        ("whole run", _whole_run(trial)),
        ("checkpoint", show_size(trial.checkpoint_bytes) if trial.checkpoint_bytes else ""),
        ("rows", _rows(trial)),
        *(("notice", notice) for notice in trial.notices),
        ("took", show_duration(trial.seconds)),
    ]
    return [(name, value) for name, value in found if value]


def _memory(trial: Trial) -> str:
    if trial.peak is None:
        return ""
    words = f"{show_size(trial.peak)} at its peak"
    if trial.memory:
        words += f" of {show_size(trial.memory)}"
    return f"{words}, {show_size(trial.expected)} expected" if trial.expected else words


def _micro_batch(trial: Trial) -> str:
    if trial.micro_batch is None:
        return ""
    layers = trial.checkpointed_layers
    return f"{trial.micro_batch} at once" + (f", {layers} layers recomputed" if layers else "")


def _whole_run(trial: Trial) -> str:
    """The steps tried are those on the longest rows: the others take less."""
    if not trial.steps or not trial.step_seconds:
        return ""
    return f"{trial.steps:,} steps, {show_duration(trial.steps * trial.step_seconds)} at most"


def _rows(trial: Trial) -> str:
    if trial.rows is None:
        return ""
    left = f", {trial.left_out:,} left out" if trial.left_out else ""
    tokens = f", {trial.trained_tokens:,} trained tokens" if trial.trained_tokens else ""
    return f"{trial.rows:,}{tokens}{left}"
