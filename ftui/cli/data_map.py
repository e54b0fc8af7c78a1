"""`ftui data map`: how a file's rows are to be read, where their fields have other names or the vote is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftui.cli.output import Progress, emit, example, json_option
from ftui.core.errors import FtuiError
from ftui.core.text import one_line

if TYPE_CHECKING:
    from ftui.data.dataset import Dataset


@click.command(
    "map",
    epilog=example(
        "ftui data map export.jsonl --set prompt=/q --set completion=/a/0/text",
        "ftui data map calls.jsonl --set messages=/dialog --set role=speaker --set content=said --role bot=assistant",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "assignments",
    metavar="TARGET=JSON_POINTER",
    multiple=True,
    help="prompt, completion, system, messages, text, chosen, rejected, label or tools; role and content of turns.",
)
@click.option(
    "--role", "roles", metavar="WORD=ROLE", multiple=True, help="What a turn's role says, in our words."
)
@click.option(
    "--shape", help="Read rows as this shape: messages, sharegpt, alpaca, preference, kto, text, ..."
)
@click.option("--clear", is_flag=True, help="Read rows as they look again.")
@json_option
def map_fields(
    file: Path,
    assignments: tuple[str, ...],
    roles: tuple[str, ...],
    shape: str | None,
    clear: bool,
    as_json: bool,
) -> None:
    """Say from which fields FILE's rows are read, or as which shape. Without options: what was said.

    It is written to the journal: `ftui data undo` takes it back. Rows that lack what is needed keep the shape
    they have by themselves.
    """
    from ftui.core.shapes_mapping import parse
    from ftui.data.dataset import Dataset

    said = bool(assignments or roles or shape)
    if clear and said:
        raise FtuiError("--clear stands alone", "give either --clear, or a mapping")
    mapping = parse(_document(assignments, roles, shape)) if said else None
    with Dataset.open(file) as dataset:
        if said or clear:
            dataset.map_fields(mapping)
        mapped, unmapped = _count(dataset, as_json)
        read_by = dataset.mapping
        report: dict[str, Any] = {
            "mapping": read_by.to_dict() if read_by is not None else None,
            "mapped": mapped,
            "unmapped": unmapped,
            "shapes": dataset.shapes,
        }
    emit(report, as_json, lambda: _text(report))


def _document(assignments: tuple[str, ...], roles: tuple[str, ...], shape: str | None) -> dict[str, Any]:
    document = dict(_pair(assignment, "for example prompt=/question") for assignment in assignments)
    if roles:
        document["roles"] = dict(_pair(role, "for example bot=assistant") for role in roles)
    return {**document, "shape": shape} if shape else document


def _pair(text: str, hint: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise FtuiError("expected NAME=VALUE", hint, text)
    return name.strip(), value


def _count(dataset: Dataset, as_json: bool) -> tuple[int, int]:
    """How many rows the mapping fits, edits applied, and how many it does not; broken ones are among these."""
    progress = Progress(not as_json)
    dataset.build(lambda done, total: progress("reading", done, total))
    mapping = dataset.mapping
    if mapping is None:
        progress.clear()
        return 0, dataset.rows_known
    mapped = 0
    for row in dataset.rows():
        mapped += not row.broken and mapping.example(row.value) is not None
        if row.number % 256 == 0:
            progress("mapping", row.number, dataset.rows_known)
    progress.clear()
    return mapped, dataset.rows_known - mapped


def _text(report: dict[str, Any]) -> str:
    votes = ", ".join(f"{shape} {count:,}" for shape, count in report["shapes"].items()) or "none"
    if report["mapping"] is None:
        return f"rows are read as they look: {votes}"
    said = one_line(json.dumps(report["mapping"], ensure_ascii=False), 300)
    return (
        f"{said}\n  mapped    {report['mapped']:,}\n  unmapped  {report['unmapped']:,}\n  shapes    {votes}"
    )
