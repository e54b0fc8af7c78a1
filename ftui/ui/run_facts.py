"""What a run was made of, as (heading, lines): for the details. Reads files: for a thread."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.events import decode
from ftui.core.recipe import fields
from ftui.core.text import one_line, sanitize
from ftui.runs.compare import differences
from ftui.runs.labels import read_labels
from ftui.runs.repeat import repeat_command
from ftui.runs.state import run_dirs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ftui.runs.rundir import RunDir
    from ftui.runs.workspace import Workspace

_MOST = 200_000  # characters of a recipe that are shown
_FIELD, _VALUE = 28, 24


@dataclass(frozen=True, slots=True)
class RunFacts:
    """parts: (heading, lines), safe to show. command: repeats the run; "" when not known."""

    parts: tuple[tuple[str, tuple[str, ...]], ...]
    command: str


def read_facts(rundir: RunDir, workspace: Workspace) -> RunFacts:
    """Note and tags, the command, attempts, data, versions, what is new against the run before it, the recipe."""
    manifest, labels = rundir.read_manifest(), read_labels(rundir)
    command = sanitize(repeat_command(rundir), lines=False)
    parts: list[tuple[str, list[str]]] = []
    if labels.note or labels.tags:
        tags = [" ".join(f"#{tag}" for tag in labels.tags)] if labels.tags else []
        parts.append(("note and tags", [*labels.note.split("\n"), *tags]))
    if command:
        parts.append(("to repeat it", [command]))
    parts.append(("where", [sanitize(str(rundir.path), lines=False)]))
    if attempts := _attempts(rundir):
        parts.append(("attempts", attempts))
    parts += _against(rundir, manifest, workspace)
    data = manifest.get("data")
    if isinstance(data, dict):
        parts += [
            (f"data: {sanitize(str(name), lines=False)}", _pairs(value)) for name, value in data.items()
        ]
    if isinstance(versions := manifest.get("versions"), dict):
        parts.append(("versions", _pairs(versions)))
    rest = {key: value for key, value in manifest.items() if key not in ("data", "versions", "command")}
    if "created" in rest:
        rest["created"] = _moment(rest["created"])
    if rest:
        parts.append(("manifest", _pairs(rest)))
    try:
        recipe = rundir.recipe_path.read_text(encoding="utf-8", errors="replace")[:_MOST]
    except OSError as error:
        recipe = f"cannot be read: {error.strerror}"
    parts.append(("recipe", sanitize(recipe).rstrip("\n").split("\n")))
    return RunFacts(tuple((title, tuple(lines)) for title, lines in parts if lines), command)


def parent_of(rundir: RunDir, manifest: Mapping[str, Any], workspace: Workspace) -> RunDir | None:
    """The last run before this one that has its name, or was made from the same recipe file."""
    created, source = manifest.get("created"), manifest.get("recipe_source")
    if not isinstance(created, int | float):
        return None
    older: list[tuple[bool, float, RunDir]] = []
    for other in run_dirs(workspace):
        theirs = other.read_manifest()
        when = theirs.get("created")
        if other.id == rundir.id or not isinstance(when, int | float) or when >= created:
            continue
        same_name = bool(manifest.get("name")) and theirs.get("name") == manifest.get("name")
        if same_name or (source and theirs.get("recipe_source") == source):
            older.append((same_name, when, other))
    return max(older, key=lambda one: one[:2])[2] if older else None


def _against(rundir: RunDir, manifest: dict[str, Any], workspace: Workspace) -> list[tuple[str, list[str]]]:
    """What this run does differently from the one before it: a line each, its value there and here."""
    try:
        parent = parent_of(rundir, manifest, workspace)
    except FtuiError as error:
        return [("against the run before", [sanitize(str(error), lines=False)])]
    if parent is None:
        return []
    found = differences((parent, rundir), (parent.read_manifest(), manifest))
    lines = [
        f"{one.field:<{_FIELD}}{one_line(_value(one.field, one.values[0]), _VALUE - 2):<{_VALUE}}"
        f"{one_line(_value(one.field, one.values[1]), 60)}"
        for one in found
    ]
    head = f"{'':<{_FIELD}}{'there':<{_VALUE}}here"
    title = f"against {one_line(parent.id, 50)}, the run before"
    return [(title, [head, *lines] if lines else ["made of the same"])]


def _value(field: str, value: Any) -> str:
    if value is None or value == "":
        return "\u2013"
    known = fields().get(field)
    return known.show(value) if known else str(value)


def _attempts(rundir: RunDir) -> list[str]:
    """A line each: when it began, from which step, on what; how it ended."""
    begun: dict[Any, dict[str, Any]] = {}
    ended: dict[Any, dict[str, Any]] = {}
    try:
        with rundir.events_path.open("rb") as file:
            for line in file:  # a million of them are steps
                if b'"type":"attempt"' in line or b'"type":"end"' in line:
                    event = decode(line) or {"type": ""}
                    if event["type"] == "attempt":
                        begun[event.get("attempt")] = event
                    elif event["type"] == "end":
                        ended[event.get("attempt")] = event
    except OSError:
        return []
    lines = []
    for key, event in begun.items():
        step = event.get("step")
        words = [
            str(key),
            _moment(event.get("t")),
            f"from step {step}" if step else "from the start",
            f"on {event.get('device')}" if event.get("device") else "",
        ]
        if end := ended.get(key):
            words.append(f"{end.get('outcome')} at step {end.get('step')}")
        lines.append(one_line("  ".join(word for word in words if word), 200))
    return lines


def _moment(when: Any) -> str:
    try:
        return datetime.fromtimestamp(float(when)).strftime("%Y-%m-%d %H:%M")
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


def _pairs(value: Any) -> list[str]:
    """Names and values in two columns, but for those that are empty; what is nested as JSON."""
    if not isinstance(value, dict):
        return [sanitize(str(value), lines=False)]
    value = {key: item for key, item in value.items() if item not in (None, "", [], {})}
    width = min(24, max((len(str(key)) for key in value), default=0))
    lines = []
    for key, item in value.items():
        text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
        lines.append(f"{sanitize(str(key), lines=False).ljust(width)}  {sanitize(text, lines=False)}")
    return lines
