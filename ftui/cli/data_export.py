"""`ftui data export`: a dataset with its decisions and edits as files others can read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftui.cli.output import Progress, emit, example, json_option
from ftui.core.text import sanitize

if TYPE_CHECKING:
    from ftui.data.export import Report


@click.command(epilog=example("ftui data export tickets.jsonl --out clean.jsonl --as messages --split 0.1"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .jsonl, .json or .csv file.")
@click.option(
    "--as", "shape", default="same", show_default=True, help="messages, sharegpt, alpaca, ... or same."
)
@click.option(
    "--only",
    type=click.Choice(["not-rejected", "accepted", "all"]),
    default="not-rejected",
    show_default=True,
    help="Which rows, by your decisions.",
)
@click.option(
    "--split", type=float, default=0.0, help="Share for a validation file; near-duplicates stay together."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, another split.")
@click.option(
    "--spreadsheet-safe",
    is_flag=True,
    help="CSV cells that look like formulas get an apostrophe (alters text).",
)
@click.option(
    "--skip-unfit",
    is_flag=True,
    help="Leave out, and count, rows that --as or the CSV's columns cannot hold.",
)
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@json_option
def export(file: Path, out: Path, force: bool, as_json: bool, **given: Any) -> None:
    """Writes the dataset as it stands: edits applied, rejected and broken rows left out and counted.

    Unedited rows keep their exact bytes when the shape stays. A manifest beside the files names the source,
    its journal and every file by hash. The source itself is never written.
    """
    from ftui.data.export import Plan
    from ftui.data.export import export as write

    progress = Progress(enabled=not as_json)
    report = write(
        file, out, Plan(overwrite=force, **given), lambda done, total: progress("exporting", done, total)
    )
    progress.clear()
    emit(report.to_dict(), as_json, lambda: _text(report))


def _text(report: Report) -> str:
    lines = [f"{file.rows:>8,} rows  {sanitize(str(file.path), lines=False)}" for file in report.files]
    lines += [f"{count:>8,} rows  left out: {reason}" for reason, count in report.skipped.items()]
    lines += [
        f"{count:>8,} rows  lost {what}: this shape cannot hold it" for what, count in report.lost.items()
    ]
    if report.altered:
        lines.append(f"{report.altered:>8,} cells altered: an apostrophe before what looks like a formula")
    return "\n".join([*lines, f"manifest       {sanitize(str(report.manifest), lines=False)}"])
