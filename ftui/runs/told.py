"""What has been told of a run already: one small file each, so that two screens do not both ring.

An alarm's file says what was raised: what the machine did is not in the run's events.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, get_args

from ftui.core.recipe import fields
from ftui.core.text import one_line
from ftui.core.vitals import Action, Alarm, Change, Severity

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.runs.rundir import RunDir

_FOLDER = "told"
_MOST_BYTES = 8192


def claim(rundir: RunDir, attempt: int, what: str, alarm: Alarm | None = None) -> bool:
    """True for the first screen that wants to tell `what` of an attempt, ever; it stays so over restarts.

    what: a word that can be a file name. Where nothing can be written everybody tells.
    """
    folder = rundir.path / _FOLDER
    try:
        folder.mkdir(exist_ok=True)
        with (folder / f"{attempt}-{what}").open("x", encoding="utf-8") as file:
            file.write(json.dumps(asdict(alarm)) if alarm else "")
    except FileExistsError:
        return False
    except FileNotFoundError:
        return False  # the run is gone
    except OSError:
        return True
    return True


def remembered(rundir: RunDir) -> list[Alarm]:
    """The alarms that were told of the run, each check's newest; what is no alarm is passed over."""
    try:
        files = sorted((rundir.path / _FOLDER).iterdir(), key=_attempt)
    except OSError:
        return []
    found = [_read(path) for path in files]
    return list({alarm.check: alarm for alarm in found if alarm}.values())


def _attempt(path: Path) -> tuple[int, str]:
    number, _, what = path.name.partition("-")
    return (int(number) if number.isascii() and number.isdigit() else 0, what)


def _read(path: Path) -> Alarm | None:
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(_MOST_BYTES))
        change = Change(**told["change"]) if told["change"] else None
        if change is not None and (
            change.field not in fields() or not isinstance(change.factor, int | float)
        ):
            return None
        severity, action, step = told["severity"], told["action"], told["step"]
        if severity not in get_args(Severity) or action not in get_args(Action) or not isinstance(step, int):
            return None
        words = [one_line(str(told[name]), 400) for name in ("check", "message", "hint")]
        return Alarm(words[0], severity, words[1], words[2], action, step, change)
    except (OSError, ValueError, TypeError, KeyError):
        return None  # an ending has no words, and other hands may have been here
