"""`ftui data search`: the rows that hold a text, or that a filter asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftui.cli.output import Progress, emit, example, json_option
from ftui.core.errors import FtuiError
from ftui.data.dataset import Dataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ftui.data.query import Query


@click.command(
    epilog=example(
        "ftui data search tickets.jsonl refund --ignore-case --limit 20",
        "ftui data search tickets.jsonl --where 'status:undecided -role:tool chars:>2000'",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("text", required=False)
@click.option(
    "--where",
    metavar="QUERY",
    help="Only rows a filter asks for: status: is: tag: rating: by: note: shape: role: finding: chars: turns:",
)
@click.option("--ignore-case", is_flag=True, help="Match upper and lower case alike.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Rows listed; all are counted.",
)
@json_option
def search(
    file: Path, text: str | None, where: str | None, ignore_case: bool, limit: int, as_json: bool
) -> None:
    """The rows that contain TEXT, edits included; or those that --where asks for; or both.

    Words of QUERY must all be true, commas separate choices, - before a word turns it round, quotes hold
    spaces: 'status:accepted,rejected tag:"late parcel" -is:flagged "not working"'.
    """
    from ftui.data.query import parse

    if text is None and where is None:
        raise FtuiError("nothing to search for", "give a text, or --where QUERY")
    query = parse(where) if where is not None else None
    progress = Progress(not as_json)
    findings = _findings(file, query, progress)
    with Dataset.open(file) as dataset:
        found: Sequence[int] = ()
        if text is not None:
            found = dataset.search(
                text, ignore_case, progress=lambda done, total: progress("searching", done, total)
            )
        if query is not None:
            found = _both(found if text is not None else None, _matching(dataset, query, findings, progress))
        progress.clear()
        rows = list(found[:limit])
        if as_json:
            emit({"matches": len(found), "rows": rows}, True, str)
            return
        for summary in dataset.summaries_of(rows):
            click.echo(f"{summary.number:>8}  {summary.preview}")
        click.echo(
            f"{len(found)} matching row{'' if len(found) == 1 else 's'}"
            + (f", {limit} listed" if len(found) > limit else "")
        )


def _matching(
    dataset: Dataset, query: Query, findings: Mapping[str, Sequence[int]] | None, progress: Progress
) -> Sequence[int]:
    from ftui.data.filtering import matching

    def told(done: int, total: int) -> None:
        progress("filtering", done, total)

    return matching(dataset, query, findings=findings, progress=told) or ()


def _both(found: Sequence[int] | None, matching: Sequence[int]) -> Sequence[int]:
    if found is None:
        return matching
    kept = set(matching)
    return [number for number in found if number in kept]


def _findings(file: Path, query: Query | None, progress: Progress) -> Mapping[str, Sequence[int]] | None:
    """The rows of each check, where the query asks for findings: then the checks are run."""
    if query is None or all(term.key != "finding" for term in query.terms):
        return None
    from ftui.data.checks.run import run_checks

    with Dataset.open(file) as dataset:
        found = run_checks(
            dataset.rows(),
            dataset.find_all(),
            progress=lambda done, total: progress("checking", done, total),
        )
    return {finding.check: finding.rows for finding in found if finding.rows}
