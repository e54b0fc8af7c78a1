"""What every run of a workspace is doing: states and the lines of the runs list."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.gpu import nvml
from ftui.runs import process
from ftui.runs.evidence import gather, modified
from ftui.runs.figures import latest_figures, moment
from ftui.runs.labels import read_labels
from ftui.runs.lifecycle import ACTIVE, ENDED, UNREADABLE, State, Verdict, derive
from ftui.runs.occupancy import devices_of
from ftui.runs.rundir import RunDir, events_unreadable, last_attempt
from ftui.runs.waiting import turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftui.gpu.nvml import Gpu
    from ftui.runs.workspace import Workspace

__all__ = [
    "ACTIVE", "ENDED", "RunSummary", "State", "Verdict", "find_run", "judge", "list_runs", "run_dirs",
    "run_state", "summaries", "summarize",
]  # fmt: skip

LAST = "last"
# A folder without any of these is no run, or is about to become one.
_MADE_OF = frozenset({"manifest.json", "recipe.toml", "proc.json", "events.jsonl"})
_JSON_FIELDS = (
    "id", "name", "state", "step", "steps", "loss", "eval_loss", "tokens_per_second", "eta_seconds",
    "started", "ended", "reason", "hint", "stage", "position", "note", "tags", "devices",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of the runs list. Times are seconds since the epoch; None is not known (yet).

    reason, hint: why it is in this state and what to do, in plain words. stage: what a starting trainer is
    doing ("load", "encode", ...). pid: the living trainer. position: in the queue, 1 is started next.
    note, tags: what a person wrote on it, safe to show. devices: of this machine that it was started on, as
    runs.devices names them; () when not known.
    """

    id: str
    name: str
    state: State
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    eval_loss: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    started: float | None = None
    ended: float | None = None
    reason: str = ""
    hint: str = ""
    stage: str = ""
    attempts: int = 0
    pid: int | None = None
    position: int | None = None
    note: str = ""
    tags: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    path: Path = field(default_factory=Path)

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    def to_dict(self) -> dict[str, Any]:
        """The run's object in `ftui runs --json`."""
        return {name: getattr(self, name) for name in _JSON_FIELDS}


def run_state(rundir: RunDir) -> State:
    """The run's state right now."""
    return judge(rundir).state


def judge(rundir: RunDir) -> Verdict:
    """The run's state right now, with the reason and the next step."""
    return derive(gather(rundir))


def summarize(rundir: RunDir) -> RunSummary:
    """The run's line in the list."""
    verdict, manifest, record = judge(rundir), rundir.read_manifest(), rundir.read_proc()
    known = record.get("attempt")
    attempt = known if isinstance(known, int) else last_attempt(rundir)
    figures = latest_figures(rundir, attempt, moment(record.get("started")) or 0.0)
    trainer = process.from_dict(record.get("trainer")) if verdict.state in ACTIVE else None
    labels = read_labels(rundir)
    return RunSummary(
        id=rundir.id,
        name=str(manifest.get("name") or rundir.id),
        state=verdict.state,
        step=figures.step,
        steps=figures.steps,
        loss=figures.loss,
        eval_loss=figures.eval_loss,
        tokens_per_second=figures.tokens_per_second,
        eta_seconds=figures.eta_seconds if verdict.state == "running" else None,
        started=moment(manifest.get("created")) or modified(rundir.path) or None,
        ended=_ended(rundir, attempt) if verdict.state in ENDED else None,
        reason=_reason(rundir, verdict),
        hint=verdict.hint,
        stage=figures.stage if verdict.state == "starting" else "",
        attempts=attempt,
        pid=trainer.pid if trainer else None,
        note=labels.note,
        tags=labels.tags,
        devices=devices_of(record) or (),
        path=rundir.path,
    )


def list_runs(workspace: Workspace, gpus: Callable[[], tuple[Gpu, ...]] = nvml.snapshot) -> list[RunSummary]:
    """Every run of the workspace, newest first. Raises FtuiError where the folder cannot be read.

    Queued ones have their place in the queue, and say what they wait for: `gpus` is asked then.
    """
    runs = summaries(workspace)
    for turn in turns(workspace, runs, gpus):
        index = next(number for number, run in enumerate(runs) if run.path == turn.rundir.path)
        words = turn.reason or "starts in a moment"
        runs[index] = replace(runs[index], position=turn.position, reason=words, hint=turn.hint)
    return runs


def summaries(workspace: Workspace) -> list[RunSummary]:
    """As `list_runs`, without a look at what queued runs wait for.

    A run that has ended is read again only when one of its files changes.
    """
    found = []
    for rundir in run_dirs(workspace):
        stamp, known = _stamp(rundir), _ended_runs.get(rundir.path)
        if known is not None and known[0] == stamp:
            found.append(known[1])
            continue
        summary = summarize(rundir)
        if summary.state in ENDED:
            _ended_runs[rundir.path] = stamp, summary
        found.append(summary)
    return sorted(found, key=lambda run: (run.started or 0, run.id), reverse=True)


def run_dirs(workspace: Workspace) -> list[RunDir]:
    """Every run directory of the workspace, in no particular order. Raises FtuiError."""
    try:
        with os.scandir(workspace.runs) as entries:
            return [RunDir(Path(entry.path)) for entry in entries if _is_run(entry)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise FtuiError(f"cannot read the runs: {error.strerror}", "", str(workspace.runs)) from None


def find_run(workspace: Workspace, text: str) -> RunDir:
    """The run whose id is `text`, or that alone begins with it; "last" is the newest. Raises FtuiError."""
    runs = {rundir.id: rundir for rundir in run_dirs(workspace)}
    if text in runs:
        return runs[text]
    if text == LAST and runs:
        return RunDir(list_runs(workspace)[0].path)
    matches = sorted(name for name in runs if text and name.startswith(text))
    if len(matches) == 1:
        return runs[matches[0]]
    if matches:
        raise FtuiError(f"{len(matches)} runs begin with this", f"did you mean {matches[-1]}?", text)
    raise FtuiError("no such run", f"`ftui runs` lists those in {workspace.root}", text)


_ended_runs: dict[Path, tuple[tuple[Any, ...], RunSummary]] = {}


def _stamp(rundir: RunDir) -> tuple[Any, ...]:
    """Changes when anything that a summary is read from has changed."""
    names = ("exit", "proc", "manifest", "events", "status", "labels")
    return tuple(_size_and_time(getattr(rundir, f"{name}_path")) for name in names)


def _size_and_time(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _is_run(entry: os.DirEntry[str]) -> bool:
    if entry.name[:1] == "." or not entry.is_dir():
        return False
    try:
        return not _MADE_OF.isdisjoint(os.listdir(entry.path))  # noqa: PTH208
    except FileNotFoundError:
        return False  # thrown away in this moment
    except OSError:
        return True  # closed to us: said where it is looked at


def _reason(rundir: RunDir, verdict: Verdict) -> str:
    if not events_unreadable(rundir):
        return verdict.reason
    return f"{UNREADABLE}; {verdict.reason}" if verdict.reason else UNREADABLE


def _ended(rundir: RunDir, attempt: int) -> float | None:
    """When its newest attempt ended: as recorded, else when it was last heard of."""
    record = rundir.read_exit()
    recorded = moment(record.get("ended")) if record.get("attempt") == attempt else None
    return recorded or max(modified(rundir.events_path), modified(rundir.proc_path)) or None
