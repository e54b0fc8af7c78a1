"""Run events: what a trainer says while it works, one JSON object a line in `events.jsonl`.

Every event has `v` (schema version), `seq` (from 1, increasing within a run across attempts), `t` (seconds
since the epoch), `attempt` (from 1) and `type`. A reader takes whole lines only and skips what it cannot read.

| type | fields |
|---|---|
| attempt | pid, versions{}, device, resumed_from (checkpoint path or ""), step (where it starts) |
| progress | stage ("download", "convert", "load", "encode", "evaluate", "sample", ...), done, total, unit, note |
| data | train_rows, eval_rows, train_tokens, trained_tokens, dropped{reason: count}, truncated, warnings{text: count} |
| data | train_pieces (what rows are cut into), first_dropped{reason: row}, alike (rows, if all are nearly the same) |
| model | parameters, trainable_parameters, quantized_fraction, dtype, attention, micro_batch, checkpointed_layers |
| plan | steps, epochs, batch_size, micro_batch, tokens_per_step, processes |
| step | step, steps, loss, learning_rate, grad_norm, epoch, num_tokens, tokens_per_second, step_time, data_time, ... |
| eval | step, eval_loss, eval_perplexity, eval_token_accuracy, eval_seconds |
| sample | step, prompt, reply, seconds |
| checkpoint | step, path, bytes, seconds, best |
| notice | level ("info" or "warning"), message, hint, step (where it is about one) |
| heartbeat | stage: the trainer is alive in a phase that has no steps |
| stopping | reason |
| end | outcome ("finished", "stopped", "failed"), step, message, hint, adapter (path or ""), adapter_step |

Preference objectives add to `step`, and with `eval_` before them to `eval`: rewards/chosen, rewards/rejected,
rewards/margins, rewards/accuracies (dpo, orpo), logps/chosen, logps/rejected, nll_loss (dpo, orpo), kl (kto).
Their loss is no likelihood, so there is no eval_perplexity. float16 adds `overflows` to `step`: updates left out
because a gradient was not finite.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

SCHEMA = 1

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_LARGEST_INT = 2**1000  # a larger one is no figure, and does not fit into a float
_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def encode(event: Mapping[str, Any]) -> bytes:
    """`event` as one line of strict JSON, newline included.

    JSON has no NaN: non-finite floats are written as the strings "NaN", "Infinity", "-Infinity", so a
    diverged loss is recorded rather than turned into null.
    """
    line = json.dumps(_plain(event), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return line.encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> dict[str, Any] | None:
    """The event on `line`, or None when it is torn, corrupt, or not an event object."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return None
    for key, value in event.items():
        if isinstance(value, str) and value in _NOT_FINITE:
            event[key] = _NOT_FINITE[value]
        elif isinstance(value, int) and abs(value) > _LARGEST_INT:
            event[key] = math.inf if value > 0 else -math.inf
    return event


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else _NAMES[str(value)]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
