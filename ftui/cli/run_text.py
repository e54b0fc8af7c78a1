"""Runs in words: one line an event, one line a run. Everything that came from a file is sanitized here."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from ftui.core.hardware import show_size
from ftui.core.text import one_line, sanitize
from ftui.runs.figures import whole
from ftui.runs.lifecycle import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ftui.runs.compare import Comparison, Outcome
    from ftui.runs.state import RunSummary

_WIDTH = 200
_EXPLAINED = ("failed", "crashed", "stalled", "queued")


def event_line(event: Mapping[str, Any], left: float | None = None) -> str:
    """What an event says to a person; "" for one that is only for machines. left: seconds to the run's end."""
    describe = _EVENTS.get(str(event.get("type")))
    if describe is None:
        return ""
    ending = f"  {span_text(left)} left" if left is not None else ""
    return sanitize(f"{describe(event)}{ending}"[:_WIDTH], lines=False)


def run_table(runs: Sequence[RunSummary]) -> str:
    """The runs list as aligned columns."""
    rows = [("RUN", "STATE", "STEP", "LOSS", "EVAL", "TOK/S", "LEFT", "STARTED")]
    for run in runs:
        rows.append(
            (
                one_line(run.id, 40),
                run.state,
                steps_text(run.step, run.steps),
                number_text(run.loss),
                number_text(run.eval_loss),
                rate_text(run.tokens_per_second) if run.state == "running" else "",
                span_text(run.eta_seconds),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started)) if run.started else "",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row, run in zip(rows, (None, *runs), strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if run and run.reason and (run.state in _EXPLAINED or run.reason.startswith(UNREADABLE)):
            lines.append(f"    {one_line(run.reason, _WIDTH)}")
    return "\n".join(lines)


def comparison_table(found: Comparison) -> str:
    """A column a run: what came of it, then what was different."""
    outcomes = found.outcomes
    rows: list[tuple[str, ...]] = [
        ("", *(one_line(outcome.run, 32) for outcome in outcomes)),
        ("state", *(outcome.state for outcome in outcomes)),
        ("steps", *(str(outcome.steps or "") for outcome in outcomes)),
        ("loss, last 10", *(number_text(outcome.loss) for outcome in outcomes)),
        ("eval loss", *(number_text(outcome.eval_loss) for outcome in outcomes)),
        ("perplexity", *(number_text(outcome.perplexity) for outcome in outcomes)),
        ("best eval", *(_best_text(outcome) for outcome in outcomes)),
        ("tokens/s", *(rate_text(outcome.tokens_per_second) for outcome in outcomes)),
        ("peak memory", *(show_size(o.peak_memory) if o.peak_memory else "" for o in outcomes)),
        ("time", *(span_text(outcome.seconds) for outcome in outcomes)),
    ]
    rows += [
        (one.field, *(one_line("-" if value is None else str(value), 32) for value in one.values))
        for one in found.differences
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    if not found.differences:
        lines.append("same recipe, same data" if found.same_data else "same recipe")
    elif found.same_data:
        lines.append("same data")
    return "\n".join(lines)


def _best_text(outcome: Outcome) -> str:
    if outcome.best_eval_loss is None:
        return ""
    return f"{number_text(outcome.best_eval_loss)} at {outcome.best_step}"


def run_line(run: RunSummary) -> str:
    """A run's state and figures on one line."""
    parts = [one_line(run.id, 60), run.state]
    if run.stage:
        parts.append(one_line(run.stage, 40))
    if run.step is not None:
        parts.append(f"step {steps_text(run.step, run.steps)}")
    if run.loss is not None:
        parts.append(f"loss {number_text(run.loss)}")
    if run.eval_loss is not None:
        parts.append(f"eval {number_text(run.eval_loss)}")
    if run.eta_seconds is not None:
        parts.append(f"{span_text(run.eta_seconds)} left")
    if run.reason:
        parts.append(one_line(run.reason, _WIDTH))
    return "  ".join(parts)


def steps_text(step: int | None, steps: int | None) -> str:
    return "" if step is None else f"{step}/{steps}" if steps else str(step)


def number_text(value: float | None) -> str:
    """Four decimals, NaN and infinity by name, "" for None."""
    if value is None:
        return ""
    return f"{value:.4f}" if math.isfinite(value) and abs(value) < 1e6 else f"{value:.3g}"


def rate_text(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return f"{value / 1000:.1f}k" if value >= 10_000 else f"{value:.0f}"


def span_text(seconds: float | None) -> str:
    """A duration as two units: "1h 04m", "6m 12s", "9s"; "" for None."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    total = int(seconds)
    hours, minutes = divmod(total // 60, 60)
    if hours >= 48:
        return f"{hours // 24}d {hours % 24:02d}h"
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {total % 60:02d}s" if minutes else f"{total}s"


def _figure(event: Mapping[str, Any], name: str) -> float | None:
    value = event.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _step(event: Mapping[str, Any]) -> str:
    step, steps = whole(event.get("step")), whole(event.get("steps"))
    parts = [f"step {steps_text(step or 0, steps or None)}"]
    if (loss := _figure(event, "loss")) is not None:
        parts.append(f"loss {number_text(loss)}")
    if preferred := _preferred(event, ""):
        parts.append(preferred)
    if (rate := _figure(event, "learning_rate")) is not None:
        parts.append(f"lr {rate:.2e}")
    if (norm := _figure(event, "grad_norm")) is not None:
        parts.append(f"grad {norm:.3g}")
    if speed := rate_text(_figure(event, "tokens_per_second")):
        parts.append(f"{speed} tok/s")
    return "  ".join(parts)


def _eval(event: Mapping[str, Any]) -> str:
    perplexity = _figure(event, "eval_perplexity")
    more = f"  perplexity {perplexity:.3g}" if perplexity is not None else ""
    if preferred := _preferred(event, "eval_"):
        more = f"{more}  {preferred}"
    return f"  evaluated at step {event.get('step')}: loss {number_text(_figure(event, 'eval_loss'))}{more}"


def _preferred(event: Mapping[str, Any], prefix: str) -> str:
    """By how much chosen replies are preferred, and how often; "" where nothing was to be preferred."""
    margin = _figure(event, f"{prefix}rewards/margins")
    if margin is None:
        return ""
    often = _figure(event, f"{prefix}rewards/accuracies")
    share = f" ({often:.0%} right)" if often is not None else ""
    return f"margin {margin:.3g}{share}"


def _data(event: Mapping[str, Any]) -> str:
    dropped = event.get("dropped")
    reasons = dropped.items() if isinstance(dropped, dict) else ()
    first = event.get("first_dropped")
    begins = (
        {reason: f" (from row {row})" for reason, row in first.items()} if isinstance(first, dict) else {}
    )
    left_out = ", ".join(f"{count} {reason}{begins.get(reason, '')}" for reason, count in reasons if count)
    pieces, count = event.get("train_pieces"), event.get("train_rows")
    cut = f" (cut into {pieces} pieces)" if pieces is not None and pieces != count else ""
    rows = f"data: {count} rows to train on{cut}, {event.get('eval_rows')} held back"
    warnings = event.get("warnings")
    noted = warnings.items() if isinstance(warnings, dict) else ()
    parts = [rows, f"left out: {left_out}" if left_out else ""]
    parts.append(f"cut off at max_length: {event['truncated']}" if event.get("truncated") else "")
    parts += [f"in {count} rows {what}" for what, count in noted]
    return "; ".join(part for part in parts if part)


def _model(event: Mapping[str, Any]) -> str:
    trained, total = _figure(event, "trainable_parameters"), _figure(event, "parameters")
    share = f", {trained / total:.2%} of them trained" if trained is not None and total else ""
    size = f"{(total or 0) / 1e6:.0f}M" if (total or 0) >= 1e7 else f"{total or 0:,.0f}"
    packed = _figure(event, "quantized_fraction")
    frozen = f", {packed:.0%} of the frozen ones quantized" if packed else ""
    return f"model: {size} parameters{share}{frozen}"


def _notice(event: Mapping[str, Any]) -> str:
    hint = f" ({event['hint']})" if event.get("hint") else ""
    return f"{event.get('level', 'info')}: {event.get('message', '')}{hint}"


def _sample(event: Mapping[str, Any]) -> str:
    return f"  asked {one_line(str(event.get('prompt')), 60)!r}: {one_line(str(event.get('reply')), 120)}"


def _attempt(event: Mapping[str, Any]) -> str:
    number, source = event.get("attempt"), event.get("resumed_from")
    return f"attempt {number}, going on from step {event.get('step')}" if source else f"attempt {number}"


def _end(event: Mapping[str, Any]) -> str:
    message = f": {event['message']}" if event.get("message") else ""
    return f"{event.get('outcome')} at step {event.get('step')}{message}"


_EVENTS = {
    "attempt": _attempt,
    "data": _data,
    "model": _model,
    "step": _step,
    "eval": _eval,
    "sample": _sample,
    "checkpoint": lambda event: f"  saved a checkpoint at step {event.get('step')}",
    "notice": _notice,
    "stopping": lambda event: f"stopping: {event.get('reason') or 'asked to'}",
    "end": _end,
}
