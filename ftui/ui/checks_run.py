"""One run of every check over a dataset, on a thread: progress and findings are posted."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.core.text import one_line

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from ftui.data.checks.finding import Finding
    from ftui.ui.dataset_desk import DatasetDesk
    from ftui.ui.screens.data_checking import Checking
    from ftui.ui.token_settings import TokenSettings
    from ftui.ui.widgets.checks_text import Checked

_STEPS = 100  # progress is told so often at most


class CheckMoved(Message):
    """A running check is further, or at its end (share is None). key: which run of the checks."""

    def __init__(self, key: ChecksRun, state: Checked) -> None:
        super().__init__()
        self.key, self.state = key, state


class ChecksRun:
    """One run of all checks, on a thread; what it finds is posted."""

    begun = True

    def __init__(
        self,
        desk: DatasetDesk,
        against: Path | None,
        settings: TokenSettings,
        stop: threading.Event,
        screen: Checking,
    ) -> None:
        assert desk.dataset is not None
        self.outdated = False
        self.desk, self._dataset, self._against = desk, desk.dataset, against
        self._settings, self._stop, self._screen = settings, stop, screen
        self._done = self._total = self._told = 0
        self._missing: list[tuple[str, str]] = []

    def _post(self, **how: Any) -> None:
        from ftui.ui.widgets.checks_text import Checked

        self._screen.post_message(CheckMoved(self, Checked(done=self._done, total=self._total, **how)))

    def _progress(self, done: int, total: int) -> None:
        self._done = done
        step = done * _STEPS // max(1, total)
        if step != self._told:
            self._told = step
            doing = f"row {done:,} of {total:,}" if done < total else "comparing what was read"
            self._post(share=done / max(1, total), doing=doing)

    def work(self) -> None:
        from ftui.data.checks.balance import USUAL_NEED
        from ftui.data.checks.finding import SEVERITIES
        from ftui.data.checks.fixes import LABELS

        findings: list[Finding] = []
        try:
            findings += self._run_checks()
        except (FtuiError, OSError) as error:
            self._stop.set()
            self._missing.append(("all checks", _why(error)))
        stopped = self._stop.is_set()
        findings += self._count_tokens()
        findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))  # stable: most rows first
        counts = self._dataset.counts()
        examples = self._dataset.rows_known - counts.rejected - counts.deleted - counts.broken
        self._post(
            findings=tuple(findings),
            missing=tuple(self._missing),
            partial=stopped or self._stop.is_set(),
            stale=self.outdated,
            against=one_line(self._against.name, 40) if self._against else "",
            examples=max(0, examples),
            labels=dict(LABELS),
            needs=USUAL_NEED,
        )

    def _run_checks(self) -> list[Finding]:
        from ftui.data.checks.run import run_checks
        from ftui.data.dataset import Dataset

        self._total = self._dataset.find_all()
        failed: dict[str, str] = {}
        with ExitStack() as files:
            against = None
            if self._against is None:
                self._missing.append(("leakage", "v names a validation set or benchmark to compare with"))
            else:
                try:
                    unseen = files.enter_context(Dataset.open(self._against))
                    unseen.find_all()
                    against = (self._against.name, unseen.rows())
                except (FtuiError, OSError) as error:
                    self._missing.append(("leakage", _why(error)))
            findings = run_checks(
                self._dataset.rows(),
                self._total,
                against=against,
                progress=self._progress,
                cancelled=self._stop.is_set,
                failed=failed,
            )
        self._missing += failed.items()
        return findings

    def _count_tokens(self) -> list[Finding]:
        """The rows over max_length, where there is a recipe or the user has named a model."""
        settings = self._settings
        if not settings.origin:
            self._missing.append(("too-long", "m names the model whose tokens are to be counted"))
            return []
        if self._stop.is_set():
            return []
        from ftui.runs.encoder import too_long

        self._post(share=1.0, doing=f"counting tokens of {one_line(settings.model, 24)}")
        try:
            lengths = self._screen.encoder().lengths(self.desk.path, settings, self._stop.is_set)
        except FtuiError as error:
            self._missing.append(("too-long", _why(error)))
            return []
        return too_long(lengths, settings.max_length)


def _why(error: FtuiError | OSError) -> str:
    if isinstance(error, FtuiError):
        return "; ".join(filter(None, (error.message, error.hint)))
    with suppress(AttributeError):
        return f"cannot be read: {error.strerror}"
    return str(error)
