"""`ftui chat`: ask a base model and its adapters the same question."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftui.cli.output import Progress, emit, example, json_option
from ftui.cli.workspaces import open_workspace, workspace_option
from ftui.core.errors import FtuiError
from ftui.core.text import one_line, sanitize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ftui.engine.adapters import AdapterFolder
    from ftui.runs.clients import EngineClient, Reply
    from ftui.runs.workspace import Workspace

_STAGES = {
    "start": "starting",
    "wait": "another ftui is preparing the model",
    "download": "fetching the model",
    "convert": "preparing the model (once)",
    "load": "loading the model",
    "adapter": "loading adapters",
}


@click.command(
    "chat",
    epilog=example(
        "ftui chat --base demo --prompt 'My tent is torn.'",
        "ftui chat --base demo --adapter last --prompt 'My tent is torn.' --temperature 0",
    ),
)
@click.option(
    "--base",
    metavar="M",
    help="The model: a directory, a GGUF file, a hub id, or demo. By default the first adapter's.",
)
@click.option(
    "--adapter",
    "adapters",
    metavar="A",
    multiple=True,
    help="A run, RUN@STEP or an adapter's directory; repeat for more sides.",
)
@click.option("--prompt", metavar="TEXT", help="The question to all sides; - reads it from stdin.")
@click.option("--system", metavar="TEXT", help="The system prompt of all sides.")
@click.option(
    "--max-new-tokens",
    type=click.IntRange(1, 1_048_576),
    default=256,
    show_default=True,
    help="Longest reply.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(0, 10),
    default=0.7,
    show_default=True,
    help="0 always takes the likeliest token.",
)
@click.option(
    "--top-p",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="Draw only among the likeliest tokens that together have this probability.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="The same seed gives the same reply.",
)
@workspace_option
@json_option
def command(
    *,
    base: str | None,
    adapters: tuple[str, ...],
    prompt: str | None,
    system: str | None,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
    directory: Path | None,
    as_json: bool,
) -> int:
    """Ask the base model and adapters the same question.

    Every adapter is one side; the base alone is the first. They answer at once, from one model in memory.
    Without --prompt the Chat pane opens on them.
    """
    workspace = open_workspace(directory)
    folders = list(find_adapters(adapters, workspace))
    if prompt is None:
        if as_json or not sys.stdout.isatty():
            raise FtuiError(
                "what should they answer?", "give --prompt TEXT, or open the Chat pane in a terminal"
            )
        return _open_pane(workspace, base or _base_of(folders), folders)
    if prompt == "-":
        prompt = click.get_text_stream("stdin").read().rstrip("\n")
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt})
    sampling = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}

    from ftui.runs.clients import EngineClient
    from ftui.runs.devices import devices_here
    from ftui.runs.room import training_here

    if run := training_here(devices_here()):
        click.echo(f"ftui: {run}: both are slower while this model answers", err=True)
    progress = Progress(enabled=not as_json)
    told = _Told(progress)
    try:
        client = EngineClient.serve(base or _base_of(folders), [folder.path for folder in folders], told)
    finally:
        progress.clear()
    with client:
        sides = [
            {"adapter": None if name == "base" else name, "messages": messages, "sampling": sampling}
            for name in client.sides
        ]
        if as_json:
            replies = [asdict(reply) for reply in client.generate(sides)]
            facts = {name: client.loaded.get(name) for name in ("device", "dtype", "bits", "warnings")}
            emit({"replies": replies, **facts}, True, str)
        else:
            for warning in client.loaded.get("warnings") or ():
                click.echo(f"ftui: {one_line(warning, 300)}", err=True)
            _show(client, sides)
    return 0


def _open_pane(workspace: Workspace, base: str, folders: Sequence[AdapterFolder]) -> int:
    from ftui.cli.main import run_app
    from ftui.ui.screens.chat import ChatRequest

    return run_app(workspace.root, chat=ChatRequest(base, tuple(str(folder.path) for folder in folders)))


class _Told:
    """Loading progress in words."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._progress(_STAGES.get(stage, stage), done, total)


def find_adapters(given: Sequence[str], workspace: Workspace) -> Iterator[AdapterFolder]:
    """The adapters meant: directories, runs of the workspace (an id, its beginning, `last`), or RUN@STEP.

    Raises FtuiError for the first that is none.
    """
    from ftui.engine.adapters import find_adapter

    for text in given:
        path = Path(text).expanduser()
        if path.is_dir() or os.sep in text or text.startswith(("~", ".")):
            yield find_adapter(path)
        else:
            yield find_adapter(_in_workspace(text, workspace))


def _in_workspace(text: str, workspace: Workspace) -> Path:
    from ftui.runs.state import find_run

    name, at, step = text.rpartition("@")
    run = find_run(workspace, name if at else text)
    if not at:
        return run.path
    saved = sorted(path.name for path in run.checkpoints.glob("step-*")) if run.checkpoints.is_dir() else []
    for checkpoint in saved:
        if step.isdigit() and int(step) == int(checkpoint.removeprefix("step-")):
            return run.checkpoints / checkpoint
    there = ", ".join(str(int(name.removeprefix("step-"))) for name in saved)
    raise FtuiError("no such checkpoint", f"this run has {there}" if there else "this run has none yet", text)


def _base_of(folders: Sequence[AdapterFolder]) -> str:
    """The base the first adapter was trained on."""
    if not folders:
        raise FtuiError("which model?", "give --base: a directory, a GGUF file, a hub id, or demo")
    first = folders[0]
    base = first.recipe.model.base if first.recipe else first.base
    if not base:
        raise FtuiError("the adapter does not say its base model", "give --base", str(first.path))
    return base


def _show(client: EngineClient, sides: Sequence[dict[str, Any]]) -> None:
    """Prints the replies one under the other; the one being printed streams, later ones wait their turn."""
    from ftui.runs.clients import to_reply

    waiting: list[list[str]] = [[] for _ in sides]
    done: dict[int, Reply] = {}
    turn = 0
    _heading(client.sides[0])
    for event in client.stream(sides):
        if event["event"] == "token":
            waiting[event["side"]].append(str(event["text"]))
        elif event["event"] == "done":
            done[event["side"]] = to_reply(event, sides)
        while turn < len(sides):
            click.echo(sanitize("".join(waiting[turn])), nl=False)
            waiting[turn].clear()
            if turn not in done:
                break
            _footing(done[turn])
            turn += 1
            if turn < len(sides):
                _heading(client.sides[turn])
        sys.stdout.flush()


def _heading(side: str) -> None:
    click.secho(f"[{one_line(side, 80)}]", bold=True)


def _footing(reply: Reply) -> None:
    pace = f", {reply.tokens_per_second:.1f} tok/s" if reply.tokens_per_second else ""
    cut = ", cut at --max-new-tokens" if reply.finish == "length" else ""
    click.echo()
    click.secho(f"{reply.tokens} tokens, first after {reply.ttft_seconds:.2f} s{pace}{cut}\n", dim=True)
