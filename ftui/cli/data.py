"""`ftui data`: what the Data pane does, from scripts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ftui.cli.data_checks import check, fix
from ftui.cli.data_export import export
from ftui.cli.data_get import get
from ftui.cli.data_map import map_fields
from ftui.cli.data_search import search
from ftui.cli.data_text import op_text, report_text, row_text
from ftui.cli.data_tokens import lengths, xray
from ftui.cli.output import Progress, emit, example, json_line, json_option
from ftui.core.errors import FtuiError
from ftui.core.shapes_turns import json_text
from ftui.data import actions, pointers
from ftui.data.agreement import agreement_of
from ftui.data.dataset import Dataset

_FILE = click.argument("file", type=click.Path(path_type=Path))
_ROW = click.option("--row", "number", type=int, required=True, help="Row number, from 1.")
_BLOCK = 1 << 20


@click.group(
    epilog=example("ftui data inspect tickets.jsonl", "ftui data annotate tickets.jsonl --row 12 --reject")
)
def command() -> None:
    """Inspect, annotate and export datasets.

    A dataset file is never written: decisions and edits go to a journal beside it, FILE.ftui/.
    """


command.add_command(check)
command.add_command(fix)
command.add_command(export)
command.add_command(get)
command.add_command(search)
command.add_command(xray)
command.add_command(lengths)
command.add_command(map_fields)


@command.command(epilog=example("ftui data inspect tickets.jsonl --json"))
@_FILE
@json_option
def inspect(file: Path, as_json: bool) -> None:
    """What FILE is: container, shapes by vote, rows, broken rows."""
    with Dataset.open(file) as dataset:
        _build(dataset)
        shapes = dict(dataset.shapes)
        broken = shapes.pop("broken", 0)
        size, digest = _hash(file)
        report = {
            "path": str(file),
            "container": dataset.container,
            "shape": dataset.shape,
            "shapes": shapes,
            "mapping": dataset.mapping.to_dict() if dataset.mapping else None,
            "rows": dataset.rows_known,
            "broken": broken,
            "bytes": size,
            "sha256": digest,
            "decisions": _counts(dataset),
            "orphans": len(dataset.orphans()),
            "bad_journal_lines": dataset.bad_journal_lines,
            "notices": list(dataset.notices),
        }
        agreed, conflicts = agreement_of(dataset), len(dataset.conflicts())
        if agreed is not None:
            report |= {"agreement": _printable(agreed.to_dict()), "conflicts": conflicts}
    emit(report, as_json, lambda: report_text(report, agreed))


@command.command(epilog=example("ftui data show tickets.jsonl --row 12"))
@_FILE
@_ROW
@json_option
def show(file: Path, number: int, as_json: bool) -> None:
    """One row: as it lies in the file, as training sees it, and what was decided about it."""
    with Dataset.open(file) as dataset:
        row = dataset.row(number)
        ops = dataset.annotations(number)
    found = {
        "row": row.number,
        "line": row.line,
        "shape": row.shape,
        "raw": row.raw.decode("utf-8", "replace"),
        "example": row.example.to_dict() if row.example else None,
        "annotations": [op.to_dict() for op in ops],
        "broken": row.broken or None,
        "status": row.status,
        "flagged": row.flagged,
        "rating": row.rating,
        "tags": list(row.tags),
        "note": row.note,
        "deleted": row.deleted,
        "edited": row.text if row.edited else None,
    }
    emit(_printable(found), as_json, lambda: row_text(row))


@command.command(
    epilog=example("ftui data annotate tickets.jsonl --row 12 --set /messages/1/content='Closed.'")
)
@_FILE
@_ROW
@click.option("--accept", is_flag=True, help="Train on this row.")
@click.option("--reject", is_flag=True, help="Leave this row out.")
@click.option("--undecide", is_flag=True, help="Neither accepted nor rejected.")
@click.option("--flag", is_flag=True, help="Mark it for a second look.")
@click.option("--unflag", is_flag=True, help="Take the mark away.")
@click.option("--rate", type=int, help="A rating, 1 to 5.")
@click.option("--tag", help="Add a tag.")
@click.option("--untag", help="Take a tag away.")
@click.option("--note", help="A note for the next reader.")
@click.option(
    "--set",
    "assignment",
    metavar="JSON_POINTER=VALUE",
    help="Replace one value; JSON where it parses, else text.",
)
@click.option("--text", help="Replace the row's whole text: how a broken row is mended.")
@click.option("--delete", is_flag=True, help="Hide the row from training and export.")
@click.option("--restore", is_flag=True, help="Bring a deleted row back.")
@json_option
def annotate(file: Path, number: int, as_json: bool, **given: Any) -> None:
    """Decide about or edit one row. It is on the disk when this returns; `ftui data undo` takes it back."""
    chosen = [name for name, value in given.items() if value is not None and value is not False]
    if len(chosen) != 1:
        wanted = "--accept, --reject, --flag, --rate, --tag, --note, --set, --text, --delete or another"
        raise FtuiError(f"give one action, got {len(chosen) or 'none'}", f"one of {wanted}")
    name = chosen[0]
    with Dataset.open(file) as dataset:
        action = (
            _assignment(dataset, number, given[name]) if name == "assignment" else _ACTIONS[name](given[name])
        )
        op = dataset.annotate(number, action)
    emit({"op": _printable(op.to_dict())}, as_json, lambda: op_text(op))


@command.command(epilog=example("ftui data undo tickets.jsonl --count 3"))
@_FILE
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many actions.")
@json_option
def undo(file: Path, count: int, as_json: bool) -> None:
    """Take back your latest actions on FILE, of earlier sessions too."""
    with Dataset.open(file) as dataset:
        undone = dataset.undo(count)
    lines = [f"undone: {op_text(op)}" for op in undone] or ["nothing to undo"]
    emit({"undone": _printable([op.to_dict() for op in undone])}, as_json, lambda: "\n".join(lines))


@command.command(epilog=example("ftui data redo tickets.jsonl"))
@_FILE
@json_option
def redo(file: Path, as_json: bool) -> None:
    """Do again what your latest undo took back, unless you did something else since."""
    with Dataset.open(file) as dataset:
        redone = dataset.redo()
    lines = [f"done again: {op_text(op)}" for op in redone] or ["nothing to redo"]
    emit({"redone": _printable([op.to_dict() for op in redone])}, as_json, lambda: "\n".join(lines))


@command.command(epilog=example("ftui data log tickets.jsonl --json"))
@_FILE
@json_option
def log(file: Path, as_json: bool) -> None:
    """Every operation on FILE, by time: who, when, what, and what was there before."""
    with Dataset.open(file) as dataset:
        for op in dataset.log():
            click.echo(json_line(_printable(op.to_dict())) if as_json else op_text(op))


_ACTIONS: dict[str, Callable[[Any], actions.Action]] = {
    "accept": lambda _: actions.accept(),
    "reject": lambda _: actions.reject(),
    "undecide": lambda _: actions.undecide(),
    "flag": lambda _: actions.flag(),
    "unflag": lambda _: actions.flag(False),
    "rate": actions.rate,
    "tag": actions.tag,
    "untag": actions.untag,
    "note": actions.note,
    "text": actions.replace_raw,
    "delete": lambda _: actions.delete(),
    "restore": lambda _: actions.restore(),
}


def _assignment(dataset: Dataset, number: int, text: str) -> actions.Action:
    """`--set`: a text is replaced by text (a JSON string counts as one), all else by JSON where it parses."""
    pointer, equals, given = text.partition("=")
    if not equals:
        raise FtuiError("expected JSON_POINTER=VALUE", "for example --set /messages/0/content=Hello", text)
    try:
        value: Any = json.loads(given)
    except (ValueError, RecursionError):
        return actions.set_value(pointer, given)
    row = dataset.row(number)
    replaces_text = not row.broken and isinstance(pointers.get(row.value, pointer), str)
    return actions.set_value(pointer, given if replaces_text and not isinstance(value, str) else value)


def _build(dataset: Dataset) -> None:
    progress = Progress()
    dataset.build(lambda done, total: progress("reading", done, total))
    progress.clear()


def _counts(dataset: Dataset) -> dict[str, int]:
    counts = dataset.counts()
    return {
        name: getattr(counts, name)
        for name in ("undecided", "accepted", "rejected", "flagged", "edited", "deleted")
    }


def _hash(file: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as source:
        while block := source.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def _printable(value: Any, depth: int = 0) -> Any:
    """`value` with what strict JSON cannot say made sayable: lone surrogates, integers over 64 bits.

    What is nested more than 100 levels deep becomes a text: JSON printers give up not far below.
    """
    if isinstance(value, str):
        known = value.isascii()
        return value if known else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if depth > 100 and isinstance(value, dict | list):
        return json_text(value)
    if isinstance(value, dict):
        return {_printable(key): _printable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item, depth + 1) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value
