"""The chat server: one base model and its adapters behind JSON lines on stdio.

    -> {"id":1,"op":"load","base":M,"adapters":[path,...]}
    <- {"id":1,"event":"progress","stage":..,"done":..,"total":..}*  {"id":1,"event":"ready","sides":[..],..}
    -> {"id":2,"op":"generate","sides":[{"adapter":null|name,"messages":[..],"sampling":{..}},...]}
    <- {"id":2,"event":"token","side":0,"text":..}*  {"id":2,"event":"done","side":0,..}*
       {"id":2,"event":"finished"}
    -> {"op":"cancel","id":2}    -> {"op":"shutdown"}
    <- {"id":..,"event":"error","kind":"input"|"model","message":..,"hint":..,"where":..}

Lives as long as its stdin. stdout carries the protocol only; whatever a library prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError, ModelError
from ftui.core.text import one_line
from ftui.engine.adapters import find_adapter

if TYPE_CHECKING:
    from ftui.core.recipe import Recipe
    from ftui.engine.generate import Done, Prompt, Token
    from ftui.engine.served_base import Quantization
    from ftui.engine.served_model import ServedModel

# How long a request under way may take to notice that nobody listens any more.
_GRACE_SECONDS = 2.0


class Cancelled(Exception):
    """The request was cancelled, or the client is gone."""


class Server:
    """Answers requests one at a time, in order; cancellations are heard while one is being answered."""

    def __init__(self, inbound: int, outbound: int) -> None:
        self._inbound = inbound
        self._outbound = outbound
        self._requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._cancelled: set[Any] = set()
        self._closing = threading.Event()
        self._over = threading.Event()
        self._served: ServedModel | None = None

    def run(self) -> None:
        """Until the client closes its end or asks to shut down."""
        threading.Thread(target=self._listen, name="requests", daemon=True).start()
        while (request := self._requests.get()) is not None:
            number = request.get("id")
            try:
                self._answer(number, request)
            except Cancelled:
                self._say(number, "error", kind="input", message="cancelled", hint="", where="")
            except FtuiError as error:
                self._fail(number, error)
            except Exception as error:  # noqa: BLE001 - whatever a model's code raises must not end the server
                traceback.print_exc()
                self._fail(number, _explain(error))
            self._cancelled.discard(number)
        self._over.set()

    def _listen(self) -> None:
        """The reading thread: queues requests, hears cancellations, and ends the process at EOF."""
        with open(self._inbound, "rb", closefd=False) as lines:
            for line in lines:
                try:
                    request = json.loads(line)
                    op, number = request["op"], request.get("id")
                    hash(number)
                except (ValueError, KeyError, TypeError):
                    self._say(None, "error", kind="input", message="not a request", hint="", where="")
                    continue
                if op == "cancel":
                    self._cancelled.add(number)
                elif op == "shutdown":
                    break
                else:
                    self._requests.put(request)
        self._closing.set()
        self._requests.put(None)
        if not self._over.wait(_GRACE_SECONDS):
            os._exit(0)  # inside a long library call, such as loading weights

    def _answer(self, number: Any, request: dict[str, Any]) -> None:
        if request["op"] == "load":
            self._load(number, request)
        elif request["op"] == "generate":
            self._generate(number, request)
        else:
            raise FtuiError(f"no operation {request['op']!r}", "there are load, generate, cancel, shutdown")

    def _is_cancelled(self, number: Any) -> bool:
        return self._closing.is_set() or number in self._cancelled

    def _load(self, number: Any, request: dict[str, Any]) -> None:
        base = request.get("base")
        paths = request.get("adapters") or []
        if not isinstance(base, str) or not isinstance(paths, list):
            raise FtuiError("load needs a base and a list of adapters")
        folders = [find_adapter(Path(str(path))) for path in paths]

        def progress(stage: str, done: int, total: int) -> None:
            if self._is_cancelled(number):
                raise Cancelled
            self._say(number, "progress", stage=stage, done=done, total=total)

        progress("start", 0, 0)
        from ftui.engine import served_model

        recipe = next((folder.recipe for folder in folders if folder.recipe), None)
        asked = _quantization(request.get("quantization"), recipe)
        served = self._served
        if served is None or served.base != base or served.asked != asked:
            self._served = None
            if served is not None:
                served.release()
            same = recipe is not None and recipe.model.base == base
            served = served_model.load(
                base,
                asked,
                progress,
                revision=str(request.get("revision") or (recipe.model.revision if recipe and same else "")),
                trust_remote_code=bool(recipe and same and recipe.model.trust_remote_code),
            )
            self._served = served
        served.set_adapters(folders, progress)
        self._say(
            number,
            "ready",
            sides=served.sides,
            device=str(served.device),
            dtype=str(served.dtype).removeprefix("torch."),
            bits=served.quantization.bits,
            context=served.context,
            warnings=served.warnings,
        )

    def _generate(self, number: Any, request: dict[str, Any]) -> None:
        if self._served is None:
            raise FtuiError("no model is loaded", "send load first")
        from ftui.engine.generate import Token, generate
        from ftui.engine.questions import read_sides

        prompts: list[Prompt] = read_sides(self._served, request.get("sides"))

        def emit(event: Token | Done) -> None:
            self._say(number, "token" if isinstance(event, Token) else "done", **asdict(event))

        generate(self._served, prompts, emit, lambda: self._is_cancelled(number))
        self._say(number, "finished")

    def _fail(self, number: Any, error: FtuiError) -> None:
        kind = "model" if isinstance(error, ModelError) else "input"
        self._say(number, "error", kind=kind, message=error.message, hint=error.hint, where=error.where)

    def _say(self, number: Any, event: str, **fields: Any) -> None:
        line = json.dumps({"id": number, "event": event, **fields}).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._outbound, line) :]
        except OSError:  # the client is gone
            self._closing.set()


def _quantization(asked: Any, recipe: Recipe | None) -> Quantization | None:
    """As the request says ({bits, type, double}), else as the first run was trained, else None: what fits."""
    from ftui.core.recipe import Recipe
    from ftui.engine.served_base import Quantization

    if isinstance(asked, dict):
        changes = {f"quantization.{name}": value for name, value in asked.items()}
        return Quantization.of(Recipe().with_values(changes))
    return Quantization.of(recipe) if recipe else None


def _explain(error: Exception) -> FtuiError:
    if type(error).__name__ == "OutOfMemoryError":
        return ModelError(
            "the GPU is out of memory", "use fewer sides, a shorter conversation or a smaller model"
        )
    if isinstance(error, MemoryError):
        return ModelError("the memory is full", "use fewer sides, a shorter conversation or a smaller model")
    return ModelError(one_line(f"{type(error).__name__}: {error}", 200), "the log has the details")


def main() -> None:
    """Serves stdin and stdout."""
    outbound = os.dup(1)
    os.dup2(2, 1)  # a library's print must not end up in the protocol
    sys.stdout = sys.stderr
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        Server(0, outbound).run()
    except KeyboardInterrupt:
        os._exit(130)
    # Nothing is buffered, and threads of torch and of our reader can abort an interpreter that is taken down.
    os._exit(0)


if __name__ == "__main__":
    main()
