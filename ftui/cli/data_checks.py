"""`ftui data check` and `ftui data fix`: what would hurt the model, and the safe mends."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftui.cli.data_tokens import Told
from ftui.cli.output import Progress, emit, example, json_option
from ftui.core.errors import FtuiError
from ftui.core.text import sanitize

if TYPE_CHECKING:
    from ftui.data.checks.finding import Finding

_FILE = click.argument("file", type=click.Path(path_type=Path))
_SHOWN = 12


@click.command(epilog=example("ftui data check tickets.jsonl --against golden/held-out.jsonl"))
@_FILE
@click.option(
    "--against", type=click.Path(path_type=Path), help="A validation set or benchmark that must stay unseen."
)
@click.option("--model", help="Also counts rows that are too long in this model's tokens.")
@click.option(
    "--max-length", type=click.IntRange(8), default=1024, show_default=True, help="Tokens, with --model."
)
@json_option
def check(file: Path, against: Path | None, model: str | None, max_length: int, as_json: bool) -> int:
    """Looks for what would hurt the model. Exits 1 when there is an error among the findings."""
    failed: dict[str, str] = {}
    findings, rows = _checked(file, against, Progress(enabled=not as_json), failed)
    if model:
        findings = [*findings, *_overlong(file, model, max_length, Progress(enabled=not as_json))]
    emit(
        {
            "rows": rows,
            "findings": [
                {
                    "check": finding.check,
                    "severity": finding.severity,
                    "rows": list(finding.rows),
                    "count": finding.count,
                    "message": finding.message,
                    "fix": finding.fix,
                }
                for finding in findings
            ],
            "failed": failed,
        },
        as_json,
        lambda: _text(findings, rows, failed),
    )
    return 1 if any(finding.severity == "error" for finding in findings) else 0


@click.command(epilog=example("ftui data fix tickets.jsonl pii-email", "ftui data undo tickets.jsonl"))
@_FILE
@click.argument("check_name", metavar="CHECK")
@json_option
def fix(file: Path, check_name: str, as_json: bool) -> None:
    """Mends what one check found, as a single action that one undo takes back."""
    from ftui.data.checks.fixes import LABELS, plan
    from ftui.data.dataset import Dataset

    findings, _ = _checked(file, None, Progress(enabled=not as_json))
    finding = next((item for item in findings if item.check == check_name), None)
    if finding is None:
        names = ", ".join(item.check for item in findings) or "nothing"
        raise FtuiError(f"the check {check_name} found nothing here", f"found: {names}", str(file))
    if not finding.fix:
        raise FtuiError(
            f"{check_name} has no safe fix", "open the file in ftui and decide row by row", str(file)
        )
    with Dataset.open(file) as dataset:
        dataset.find_all()
        actions = [
            (number, action) for number in finding.rows for action in plan(finding.fix, dataset.row(number))
        ]
        ops = dataset.annotate_each(actions)
    emit(
        {
            "check": check_name,
            "fix": finding.fix,
            "rows": len(finding.rows),
            "ops": [op.to_dict() for op in ops],
        },
        as_json,
        lambda: f"{LABELS[finding.fix]}: {_rows(finding.count)}; `ftui data undo` takes it back",
    )


def _checked(
    file: Path, against: Path | None, progress: Progress, failed: dict[str, str] | None = None
) -> tuple[list[Finding], int]:
    from ftui.data.checks.run import run_checks
    from ftui.data.dataset import Dataset

    with Dataset.open(file) as dataset:
        total = dataset.find_all()
        other = None
        if against is not None:
            with Dataset.open(against) as unseen:
                unseen.find_all()
                other = (against.name, list(unseen.rows()))
        findings = run_checks(
            dataset.rows(),
            total,
            against=other,
            progress=lambda done, all_: progress("checking", done, all_),
            failed=failed,
        )
    progress.clear()
    return findings, total


def _overlong(file: Path, model: str, max_length: int, progress: Progress) -> list[Finding]:
    from ftui.runs.encoder import row_lengths, too_long

    told = Told(progress)
    try:
        return too_long(row_lengths(file, model, told, only="not-rejected"), max_length)
    finally:
        progress.clear()


def _text(findings: list[Finding], rows: int, failed: dict[str, str]) -> str:
    lines = [f"could not run: {name} ({why})" for name, why in failed.items()]
    if not findings:
        return "\n".join([*lines, f"{rows:,} rows, nothing found"])
    for finding in findings:
        count = f"{finding.count:,}" if finding.rows else ""
        lines.append(f"{finding.severity:<8} {count:>7}  {finding.check:<18} {sanitize(finding.message)}")
        if finding.rows:
            shown = ", ".join(map(str, finding.rows[:_SHOWN])) + (" ..." if finding.count > _SHOWN else "")
            lines.append(f"{'':<8} {'':>7}  rows {shown}")
        if finding.fix:
            lines.append(f"{'':<8} {'':>7}  mend: ftui data fix FILE {finding.check}")
    worst = Counter(finding.severity for finding in findings)
    return "\n".join([*lines, f"{rows:,} rows; " + ", ".join(_counted(worst, name) for name in worst)])


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def _counted(counts: Counter[Any], name: str) -> str:
    return f"{counts[name]} {name}{'s' if counts[name] > 1 else ''}"
