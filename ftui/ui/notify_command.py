"""The user's own command for notifications, such as `notify-send {title} {message}`. For a thread."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.ui.terminal_notes import plain

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 10.0
_POLL_SECONDS = 0.1
_PLACE = re.compile(r"\{title\}|\{message\}")


def arguments(command: str, title: str, message: str) -> list[str]:
    """The words of `command` with {title} and {message} filled in; no shell sees them. Raises FtuiError."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise FtuiError(f"notify.command cannot be read: {error}", "look at its quotes") from None
    values = {"{title}": plain(title), "{message}": plain(message)}
    # Each word once, so that a run called "{message}" stays what it is.
    return [_PLACE.sub(lambda place: values[place.group()], word) for word in words]


def run_command(
    command: str, title: str, message: str, cancelled: Callable[[], bool] = lambda: False
) -> None:
    """Runs it, for at most ten seconds; once `cancelled` it is left to itself. Raises FtuiError with why it failed."""
    words, where = arguments(command, title, message), one_line(command, 80)
    if not words:
        return
    # What it prints goes to a file: a pipe nobody reads would hold it up.
    with tempfile.TemporaryFile() as printed:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=printed,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", "") or str(error)
            raise FtuiError(f"notify.command did not run: {reason}", "", where) from None
        deadline = time.monotonic() + _SECONDS
        while process.poll() is None:
            if cancelled():
                return
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise FtuiError(f"notify.command took more than {_SECONDS:.0f} s", "", where)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
        if process.returncode:
            printed.seek(max(0, printed.seek(0, 2) - 500))
            said = printed.read().decode("utf-8", "replace").strip().splitlines()
            why = one_line(said[-1], 120) if said else ""
            raise FtuiError(f"notify.command ended with {process.returncode}", why, where)
