"""Runs every check over a dataset in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ftui.core.text import one_line
from ftui.data.checks.balance import BalanceCheck, LanguageCheck, LengthCheck, SizeCheck, TruncatedCheck
from ftui.data.checks.duplicates import ExactCheck, LeakCheck, NearCheck
from ftui.data.checks.finding import SEVERITIES, Check, Finding
from ftui.data.checks.privacy import PrivacyCheck
from ftui.data.checks.rules import RuleCheck

if TYPE_CHECKING:
    from ftui.data.rows import Row

Progress = Callable[[int, int], None]
Cancelled = Callable[[], bool]


def run_checks(
    rows: Iterable[Row],
    total: int,
    *,
    against: tuple[str, Iterable[Row]] | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    failed: dict[str, str] | None = None,
) -> list[Finding]:
    """What is wrong with `rows`, gravest first.

    Rejected and deleted rows are passed over: they do not train. `against` is (name, rows) of a file whose
    questions must not be in this one. `progress` gets (rows done, total); once `cancelled` answers True what
    was found so far is returned. failed: filled with the checks that could not go on, and why; without it
    what they raise is raised.
    """
    checks: list[Check] = [
        RuleCheck(), PrivacyCheck(), ExactCheck(), NearCheck(cancelled), TruncatedCheck(),
        LengthCheck(), LanguageCheck(), BalanceCheck(), SizeCheck(),
    ]  # fmt: skip
    if against is not None:
        checks.append(LeakCheck(against[1], against[0]))
    for row in _watched(rows, total, progress, cancelled):
        if row.status == "rejected" or row.deleted:
            continue
        for check in tuple(checks):
            try:
                check.look(row)
            except Exception as error:  # noqa: BLE001 - whatever it is: said, and the others go on
                _give_up(check, error, failed)
                checks.remove(check)
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check.findings()
        except Exception as error:  # noqa: BLE001
            _give_up(check, error, failed)
    return sorted(
        findings, key=lambda finding: (SEVERITIES.index(finding.severity), -finding.count, finding.check)
    )


def _give_up(check: Check, error: Exception, failed: dict[str, str] | None) -> None:
    """Notes a check that failed: the others go on without it. Called while `error` is being handled."""
    if failed is None:
        raise error
    name = type(check).__name__.removesuffix("Check").lower()
    failed[name] = one_line(f"{type(error).__name__}: {error}", 200)


def _watched(
    rows: Iterable[Row], total: int, progress: Progress | None, cancelled: Cancelled | None
) -> Iterator[Row]:
    for done, row in enumerate(rows):
        if done % 256 == 0:
            if cancelled is not None and cancelled():
                return
            if progress is not None:
                progress(done, total)
        yield row
    if progress is not None:
        progress(total, total)
