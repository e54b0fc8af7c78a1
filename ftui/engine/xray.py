"""The encoder server behind `python -m ftui.engine.encode`: JSON lines on stdio.

    -> {"id":1,"op":"xray","model":M,"example":{..},"train_on":..,"max_length":..,"overlong":..,
        "chat_template":..,"revision":..,"trust_remote_code":..,"objective":..}
    <- {"id":1,"event":"finished","tokens":[{"id","text","trained","role","special","truncated"}],
        "trained":n,"total":n,"truncated":n,"eos_trained":bool,"dropped":"","warnings":[..],
        "rejected":the same for the other reply of a preference pair, else null}
    -> {"id":2,"op":"lengths","model":M,"path":FILE,"only":..,"rows":bool}
    <- {"id":2,"event":"progress","stage":"encode","done":n,"total":0}*
       {"id":2,"event":"lengths","rows":[[row number,tokens],..],"refused":[[row number,why],..]}*  with "rows"
       {"id":2,"event":"finished","count","mean","p50","p90","p95","p99","max","over":{length:rows},"refused"}
    -> {"id":2,"op":"cancel"}      ends "lengths" with what was counted so far, and "cancelled": true
    <- {"id":..,"event":"error","kind":"input"|"model","message":..,"hint":..,"where":..}

Only "model" and "example", or "model" and "path", must be given. An "xray" asked for while lengths are being
counted is answered at once. Lives as long as its stdin.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ftui.core.errors import FtuiError, ModelError
from ftui.core.example import Example, Message
from ftui.core.objectives import PREFERENCE, counted_turns
from ftui.core.recipe import parse_recipe
from ftui.core.text import one_line
from ftui.engine.encode import OVERLONG, Encoder, Rendered
from ftui.engine.models import resolve_model
from ftui.engine.preference_rows import continued, is_pair, labelled, unsuited
from ftui.engine.requests import Requests
from ftui.engine.tokenizer import load_tokenizer, stop_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Tell = Callable[..., None]

_MARKS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
_ENDLESS = 1 << 40
_BATCH = 256


def token_view(example: Example, encoder: Encoder) -> dict[str, Any]:
    """Every token of `example` as training sees it: the reply to "xray".

    The texts of the tokens, put together, are the text that was tokenised: a character that takes several
    tokens shows at the first of them. A row that training leaves out is shown with nothing trained in it.
    """
    rendered = encoder.render(example)
    if isinstance(rendered, str):
        nothing = {"trained": 0, "eos_trained": False, "dropped": rendered}
        if example.label is False:  # refused for what it teaches: its tokens can be looked at all the same
            view = token_view(dataclasses.replace(example, label=None), encoder)
            for token in view["tokens"]:
                token["trained"], token["weight"] = False, 0.0
            return {**view, **nothing}
        return _no_view(rendered)
    ((ids, offsets),) = encoder.tokenise([rendered])
    kept = encoder.finish(rendered, ids, offsets)
    everything = [*kept.ids, *ids[len(kept.ids) :]] if len(kept.ids) < len(ids) else kept.ids
    roles = _roles(rendered, example, [start for start, _ in offsets])
    tokens, shown = [], 0
    for n, id_ in enumerate(everything):
        if n < len(offsets) and encoder.tokenizer.is_fast:
            end = max(shown, offsets[n][1])
            text, shown = rendered.text[shown:end], end
        else:  # an eos token that the template did not write, or a tokenizer without offsets
            text = str(encoder.tokenizer.decode([id_]))
        cut = n >= len(kept.ids) or (kept.dropped == OVERLONG and n >= encoder.max_length)
        tokens.append(
            {
                "id": id_,
                "text": text,
                "trained": bool(not kept.dropped and not cut and kept.weights[n]),
                "weight": kept.weights[n] if not kept.dropped and not cut else 0.0,
                "role": roles[n] if n < len(roles) else (roles[-1] if roles else ""),
                "special": id_ in encoder.special,
                "truncated": cut,
            }
        )
    return {
        "tokens": tokens,
        "trained": sum(token["trained"] for token in tokens),
        "total": len(tokens),
        "truncated": sum(token["truncated"] for token in tokens),
        "eos_trained": kept.closed and not kept.dropped,
        "dropped": kept.dropped,
        "warnings": list(kept.warnings),
    }


def _no_view(why: str) -> dict[str, Any]:
    """A row without tokens."""
    counts = {"trained": 0, "total": 0, "truncated": 0}
    return {"tokens": [], **counts, "eos_trained": False, "dropped": why, "warnings": []}


def _roles(rendered: Rendered, example: Example, starts: list[int]) -> list[str]:
    """Whose each token is: the role of the message whose words it holds, or "template"."""
    if rendered.raw:
        return ["text"] * len(starts)
    stretches: list[tuple[int, int, str]] = []
    cursor = 0
    exact = {span.message: span for span, _ in rendered.spans}
    for number, message in enumerate([*example.messages, *example.chosen]):
        if span := exact.get(number):
            stretches.append((span.start, span.end, message.role))
            cursor = span.end
            continue
        said = message.content.strip()
        at = rendered.text.find(said, cursor) if said else -1
        if at >= 0:
            stretches.append((at, at + len(said), message.role))
            cursor = at + len(said)
    return [next((role for a, b, role in stretches if a <= start < b), "template") for start in starts]


def lengths_view(lengths: list[int], max_length: int = 0) -> dict[str, Any]:
    """Length statistics: the reply to "lengths"."""
    if not lengths:
        return {"count": 0, "mean": 0, **dict.fromkeys(("p50", "p90", "p95", "p99", "max"), 0), "over": {}}
    array = np.asarray(lengths)
    marks = sorted({*_MARKS, max_length} - {0})
    return {
        "count": len(lengths),
        "mean": float(array.mean()),
        **{f"p{p}": int(np.percentile(array, p, method="higher")) for p in (50, 90, 95, 99)},
        "max": int(array.max()),
        "over": {str(mark): int((array > mark).sum()) for mark in marks},
    }


def parse_example(value: dict[str, Any]) -> Example:
    """An Example from its JSON object (`Example.to_dict`). Raises FtuiError."""

    def turns(name: str) -> tuple[Message, ...]:
        return tuple(Message(**turn) for turn in value.get(name) or ())

    try:
        return Example(
            messages=turns("messages"),
            tools=value.get("tools") or "",
            chosen=turns("chosen"),
            rejected=turns("rejected"),
            label=value.get("label"),
            text=value.get("text"),
        )
    except TypeError as error:
        raise FtuiError(f"not an example: {error}") from None


def learned_from(example: Example, objective: str) -> list[Example]:
    """The documents that `objective` makes of a row: one, a pair's two, or none when it cannot learn from it.

    Ordinary training takes the chosen reply; the rejected one is shown beside it.
    """
    if objective == "kto":
        return [reply for reply, _ in labelled(example)]
    if objective in PREFERENCE:
        return [continued(example, reply) for reply in (example.chosen, example.rejected) if is_pair(example)]
    other = dataclasses.replace(example, chosen=example.rejected, rejected=())
    return [example, other] if example.rejected else [example]


def _measured(
    numbered: Sequence[tuple[int, Example]], objective: str, encoder: Encoder
) -> tuple[list[tuple[int, int]], list[tuple[int, str]]]:
    """(row, tokens of its longest document), and (row, why it gives none)."""
    kinds = objective if objective in PREFERENCE else ""
    replies = [learned_from(one, kinds) if kinds else [one] for _, one in numbered]
    encoded = iter(list(encoder.encode_batch([reply for several in replies for reply in several])))
    counted, without = [], []
    for (number, _), several in zip(numbered, replies, strict=True):
        rows = [next(encoded) for _ in several]
        if rows and all(row.ids for row in rows):
            counted.append((number, max(len(row.ids) for row in rows)))
        else:
            without.append(
                (number, next((row.dropped for row in rows if not row.ids), unsuited(kinds or "dpo")))
            )
    return counted, without


class _Server:
    """Answers requests in order; keeps the tokenizer of the last model."""

    def __init__(self, say: Callable[[dict[str, Any]], None], requests: Requests) -> None:
        self._say = say
        self._requests = requests
        self._loaded: tuple[tuple[Any, ...], PreTrainedTokenizerBase, list[int]] | None = None

    def answer(self, request: dict[str, Any]) -> None:
        number = request.get("id")

        def tell(stage: str, done: int, total: int = 0) -> None:
            self._say({"id": number, "event": "progress", "stage": stage, "done": done, "total": total})

        try:
            operations = {"xray": self._xray, "lengths": self._lengths}
            operation = operations.get(str(request.get("op")))
            if operation is None:
                raise FtuiError(f"no such operation: {request.get('op')!r}")
            self._say({"id": number, "event": "finished", **operation(request, tell)})
        except FtuiError as error:
            self._fail(number, "model" if isinstance(error, ModelError) else "input", error)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad request must not end the server
            traceback.print_exc()
            self._fail(number, "model", FtuiError(one_line(f"{type(error).__name__}: {error}", 200)))

    def _fail(self, number: Any, kind: str, error: FtuiError) -> None:
        fields = {"message": error.message, "hint": error.hint, "where": error.where}
        self._say({"id": number, "event": "error", "kind": kind, **fields})

    def _encoder(self, request: dict[str, Any], tell: Tell, **policy: Any) -> Encoder:
        model = {
            name: request[name]
            for name in ("revision", "chat_template", "trust_remote_code")
            if request.get(name)
        }
        recipe = parse_recipe({"schema": 1, "model": {"base": str(request.get("model") or "demo"), **model}})
        key = tuple(sorted(recipe.model.model_dump().items()))
        if self._loaded is None or self._loaded[0] != key:
            path = resolve_model(recipe.model.base, recipe.model.revision, tell)
            self._loaded = (key, load_tokenizer(path, recipe.model), stop_ids(path))
        return Encoder(self._loaded[1], stop_ids=self._loaded[2], **policy)

    def _xray(self, request: dict[str, Any], tell: Tell) -> dict[str, Any]:
        objective = str(request.get("objective") or "sft")
        policy = {name: request[name] for name in ("train_on", "max_length", "overlong") if request.get(name)}
        policy["train_on"] = counted_turns(objective, policy.get("train_on", "assistant"))
        if objective == "pretrain":  # what is too long goes on as another document
            policy |= {"max_length": _ENDLESS, "overlong": "split"}
        encoder = self._encoder(request, tell, **policy)
        replies = learned_from(parse_example(request.get("example") or {}), objective)
        views = [token_view(reply, encoder) for reply in replies] or [_no_view(unsuited(objective))]
        return {**views[0], "rejected": views[1] if len(views) > 1 else None}

    def _lengths(self, request: dict[str, Any], tell: Tell) -> dict[str, Any]:
        from ftui.data.training import read_examples
        from ftui.engine.rows import batched

        encoder = self._encoder(request, tell, train_on="all", max_length=_ENDLESS, overlong="split")
        objective = str(request.get("objective") or "sft")
        number = request.get("id")
        lengths: list[int] = []
        refused = 0
        due = time.monotonic()
        cancelled = False
        for numbered in batched(read_examples(Path(request["path"]), request.get("only") or "all"), _BATCH):
            if cancelled := self._requests.cancelled(number):
                break
            counted, without = _measured(numbered, objective, encoder)
            lengths += [length for _, length in counted]
            refused += len(without)
            if request.get("rows"):
                self._say({"id": number, "event": "lengths", "rows": counted, "refused": without})
            if time.monotonic() >= due:
                tell("encode", len(lengths) + refused)
                due = time.monotonic() + 0.2
            for quick in self._requests.passing("xray"):
                self.answer(quick)
        report = lengths_view(lengths, int(request.get("max_length") or 0))
        return {**report, "refused": refused, **({"cancelled": True} if cancelled else {})}


def serve() -> None:
    """Answers until stdin ends. stdout carries the protocol only; what a library prints goes to stderr."""
    protocol = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    lock = threading.Lock()  # a line is told by one thread at a time

    def say(event: dict[str, Any]) -> None:
        line = json.dumps(event, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        with lock:
            while line:  # unbuffered: one write may take a part only
                line = line[protocol.write(line) :]

    requests = Requests(sys.stdin.buffer, say)
    server = _Server(say, requests)
    for request in requests:
        server.answer(request)
