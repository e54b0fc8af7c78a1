"""What the export form says and reads: names of files, shares, and what would be written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.data.export import container_of
from ftui.data.export_preview import expected_rows
from ftui.data.journal import sidecar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ftui.data.export import Plan
    from ftui.data.export_preview import Preview
    from ftui.data.rows import Counts
    from ftui.runs.workspace import Workspace
    from ftui.ui.themes import Palette

ONLY = {
    "not-rejected": "undecided and accepted ones",
    "accepted": "only what you accepted",
    "all": "rejected ones too",
}
ONLY_LABELS = ("not rejected", "accepted", "all")
NO_SPLIT = "a share, as 0.1, goes to a second file"
SPLIT = "groups: near-duplicates never straddle"
SEED = "another seed, another split"
ALL_FIT = "every row fits its own shape"
UNFIT = {"": "the first such row ends the export", "skip": "left out, counted and listed"}
_SHAPES = {
    "messages": "role and content, as OpenAI",
    "sharegpt": "conversations of from and value",
    "alpaca": "instruction, input, output",
    "prompt_completion": "a prompt and its completion",
    "preference": "prompt, chosen and rejected",
    "kto": "messages with a label",
    "text": "raw text",
}
_SHORT = 40  # a place that is said before what is wrong there; a long path comes after
_PACKED = (".gz", ".zst", ".xz", ".bz2")
_DATA = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".txt")


def file_name(source: Path, workspace: Workspace) -> str:
    """The file to offer: datasets/NAME.clean.jsonl in the workspace, or the first such that is not the source."""
    name = source.name
    for suffixes in (_PACKED, _DATA):
        for suffix in suffixes:
            if name.lower().endswith(suffix):
                name = name[: -len(suffix)]
                break
    name = name.removesuffix(".clean") or "rows"
    out = workspace.datasets / f"{name}.clean.jsonl"
    if out.absolute() == source.absolute():
        out = workspace.datasets / f"{name}.clean2.jsonl"
    return short(out, workspace)


def short(path: Path, workspace: Workspace) -> str:
    """A path as the workspace calls it."""
    return str(path.relative_to(workspace.root) if path.is_relative_to(workspace.root) else path)


def named_file(text: str, workspace: Workspace) -> Path:
    """The file meant by what was typed; relative to the workspace. Raises FtuiError for no file to write."""
    if not text:
        raise FtuiError("no file is named", "for example datasets/clean.jsonl", "file")
    try:
        out = workspace.root / Path(text).expanduser()
    except (RuntimeError, ValueError):
        raise FtuiError("no such folder", "write the path in full", one_line(text, 40)) from None
    if not container_of(out):
        raise FtuiError("cannot tell the format", "end the name in .jsonl, .json or .csv", one_line(text, 40))
    return out


def share(text: str) -> float:
    """A share from 0 to below 1; "10%" is understood. Raises FtuiError."""
    number = text.strip().replace(",", ".")
    try:
        value = float(number.removesuffix("%") or 0) / (100 if number.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise FtuiError("a share is 0 to below 1", "for example 0.1", "validation")
    return value


def whole_number(text: str) -> int:
    """Raises FtuiError."""
    if not (text or "0").isdecimal() or len(text) > 9:
        raise FtuiError("a seed is a whole number", "for example 0", "seed")
    return int(text or 0)


def already_there(paths: Iterable[Path], source: Path) -> list[Path]:
    """Which of `paths` exist. Raises FtuiError where one is the dataset itself, or no file."""
    there = []
    for path in paths:
        try:
            if path.exists():
                there.append(path)
                if path.samefile(source):
                    raise FtuiError("that is the dataset itself", "choose another name", path.name)
                if not path.is_file():
                    raise FtuiError("that is no file", "choose another name", path.name)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", "") or str(error)
            raise FtuiError(f"cannot write there: {reason}", "choose another name", path.name) from None
    return there


def about_shape(shape: str, container: str, same_container: bool) -> str:
    if shape != "same":
        return _SHAPES.get(shape, "")
    if container == "csv" and not same_container:
        return "same fields; lists as JSON in cells"
    return "unedited rows keep every byte" if same_container else "the same fields, written anew"


def about_safe(container: str, safe: bool) -> str:
    if container != "csv":
        return "only of use for a .csv"
    return "' before = + - @: alters text" if safe else "a spreadsheet may run = + - @ cells"


def replace_question(there: Sequence[Path], colors: Palette) -> Text:
    dim, key = Style(color=colors.dim), Style(color=colors.accent, bold=True)
    plain, strong = Style(color=colors.foreground), Style(color=colors.foreground, bold=True)
    question = Text("Replace ", plain)
    for at, path in enumerate(there):
        question.append(", " if at else "").append(one_line(path.name, 60), strong)
    question.append("?\n\n")
    if any(sidecar(path).is_dir() for path in there):
        question.append(
            "It has annotations of its own: they would meet other rows.\n\n", Style(color=colors.warning)
        )
    question.append("y", key).append(" replace   ", dim).append("esc", key).append(" keep", dim)
    return question


def wrong(error: FtuiError, colors: Palette) -> Text:
    """What is wrong, where, and what to do, on a line that may wrap."""
    words = one_line("; ".join(filter(None, (error.message, error.hint))), 160)
    where = one_line(error.where, 120)
    if where:
        words = f"{where}: {words}" if len(where) <= _SHORT else f"{words}: {where}"
    return Text(words, Style(color=colors.bad))


def would_write(
    plan: Plan,
    files: Sequence[str],
    counts: Counts,
    found: Preview | None,
    problem: FtuiError | None,
    colors: Palette,
) -> Text:
    """How many rows, where they go, what is left out and lost. found: None while not looked yet."""
    dim, strong = Style(color=colors.dim), Style(color=colors.foreground, bold=True)
    text = Text(overflow="ellipsis")
    if found is not None and found.refused:
        asked = f"{found.refused:,} of {_rows(found.rows + found.refused)}"
        text.append(f"this would fail: {asked} do not fit", Style(color=colors.bad, bold=True))
    else:
        exact = found is not None and found.whole
        rows = found.rows if found is not None and exact else expected_rows(counts, plan)
        text.append(f"{'' if exact else 'about '}{_rows(rows)}", strong)
        if len(files) > 1:
            text.append(f" in two files, about {plan.split:.0%} of the groups in the second", dim)
        else:
            text.append(f" would be written to {one_line(files[0], 40)}", dim)
    if found is not None:
        if found.skipped:
            text.append(f"\nleft out: {_listed(found.skipped)}", dim)
        if found.lost:
            text.append(
                f"\n{plan.shape} cannot hold: {_listed(found.lost, ' in {} rows')}",
                Style(color=colors.warning),
            )
        if not found.whole and (found.skipped or found.lost or found.refused):
            text.append(f"\n(of the first {found.looked:,} rows)", dim)
        if found.first_refused is not None and problem is None:
            more = f" and {found.refused - 1:,} more" if found.refused > 1 else ""
            refused = found.first_refused
            problem = FtuiError(refused.message, refused.hint, f"{refused.where}{more}")
    if problem is not None:
        text.append("\n").append_text(wrong(problem, colors))
    return text


def progress(done: int, total: int, colors: Palette) -> Text:
    """done: rows; 0 while the file is read through, -1 while it is being stopped."""
    if done < 0:
        return Text("stopping …", Style(color=colors.dim))
    if not done:
        return Text("reading the file …", Style(color=colors.dim))
    width, share = 40, min(1.0, done / max(1, total))
    bar = "━" * round(width * share)
    return Text.assemble(
        (bar, Style(color=colors.accent)),
        ("─" * (width - len(bar)), Style(color=colors.border)),
        (f"  row {done:,} of {total:,}", Style(color=colors.foreground)),
    )


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _listed(counts: Mapping[str, int], form: str = "") -> str:
    if form:
        return ", ".join(what + form.format(f"{count:,}") for what, count in counts.items()).replace(
            " 1 rows", " 1 row"
        )
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())
