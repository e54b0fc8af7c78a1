"""A dataset, its rows and its journal in words. Everything that came from a file is sanitized here."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

from ftui.core.text import one_line, sanitize
from ftui.data.pointers import MISSING

if TYPE_CHECKING:
    from ftui.core.example import Example
    from ftui.data.agreement import Agreement
    from ftui.data.operation import Op
    from ftui.data.rows import Row


def report_text(report: dict[str, Any], agreed: Agreement | None) -> str:
    """What `ftui data inspect` found."""
    votes = ", ".join(f"{shape} {count:,}" for shape, count in report["shapes"].items()) or "none"
    decided = ", ".join(f"{count:,} {name}" for name, count in report["decisions"].items() if count)
    lines = [
        f"{one_line(report['path'], 200)}",
        f"  container  {report['container']}, {report['bytes']:,} bytes",
        f"  shape      {report['shape']} ({votes}{', as mapped' if report['mapping'] else ''})",
        f"  rows       {report['rows']:,}" + (f", {report['broken']:,} broken" if report["broken"] else ""),
        f"  decisions  {decided or 'none'}",
        f"  sha256     {report['sha256']}",
    ]
    if agreed is not None:
        lines.append(f"  annotators {', '.join(one_line(name, 20) for name in agreed.annotators)}: {agreed}")
    if report.get("conflicts"):
        lines.append(f"  conflicts  {report['conflicts']:,}; Q in the Data pane lists them")
    if report["orphans"]:
        lines.append(f"  orphans    {report['orphans']:,} annotated rows are no longer in the file")
    if report["bad_journal_lines"]:
        lines.append(f"  journal    {report['bad_journal_lines']:,} damaged lines left out")
    lines += [f"  note       {one_line(notice, 200)}" for notice in report["notices"]]
    return "\n".join(lines)


def row_text(row: Row) -> str:
    """A row with what was decided about it."""
    marks = [row.status, *(["flagged"] if row.flagged else []), *(["edited"] if row.edited else [])]
    marks += [f"{row.rating}/5"] if row.rating else []
    marks += ["deleted"] if row.deleted else []
    lines = [
        f"row {row.number}, line {row.line}, {row.shape}, {', '.join([*marks, *map(sanitize, row.tags)])}"
    ]
    if row.note:
        lines.append(f"note: {sanitize(row.note)}")
    if row.broken:
        lines.append(f"broken: {row.broken}")
    lines.append(_example_text(row.example) if row.example else sanitize(row.text))
    return "\n".join(lines)


def _example_text(shown: Example) -> str:
    if shown.text is not None:
        return sanitize(shown.text)
    lines = [f"tools: {sanitize(shown.tools)}"] if shown.tools else []
    if shown.label is not None:
        lines.append(f"label: {'desirable' if shown.label else 'undesirable'}")
    for heading, turns in (("", shown.messages), ("chosen", shown.chosen), ("rejected", shown.rejected)):
        for turn in turns:
            role = " ".join(part for part in (heading, turn.role) if part)
            body = [turn.reasoning and f"(thinking) {turn.reasoning}", turn.content, turn.tool_calls]
            lines.append(
                f"[{sanitize(role, lines=False)}]\n" + "\n".join(sanitize(part) for part in body if part)
            )
    return "\n".join(lines)


def op_text(op: Op) -> str:
    """One operation of the journal: when, who, where, what."""
    when, where = f"{_time(op.ts)}  {one_line(op.who, 20)}", f"row {op.n}" if op.n else "the file"
    if op.op == "undo":
        return f"{when}  {where}  undo"
    change = op.path + (" " if op.path else "") + ("" if op.after is MISSING else json.dumps(op.after))
    return f"{when}  {where}  {op.op} {one_line(change, 100)}".rstrip()


def _time(seconds: float) -> str:
    try:
        return (
            datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
            .astimezone()
            .strftime("%Y-%m-%d %H:%M:%S")
        )
    except (ValueError, OverflowError, OSError):
        return "?"
