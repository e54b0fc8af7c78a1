"""When ftui itself fails: the details go to a file, the person gets two lines. No traceback on the screen."""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path

from rich.text import Text

from ftui import __version__
from ftui.core.text import one_line


def report(error: BaseException) -> Text:
    """What to print after the screen has closed because of a bug. The details are in the file it names.

    The file holds the traceback without local variables: those would be the user's data.
    """
    what = one_line(f"{type(error).__name__}: {error}", 160)
    path = _write(error)
    where = f"details in {one_line(str(path), 200)}" if path else "the details could not be written"
    return Text(
        f"ftui: this is a bug in ftui ({what}); {where}\n"
        "Runs go on, and every acknowledged annotation is on disk: start ftui again."
    )


def _write(error: BaseException) -> Path | None:
    from platformdirs import user_log_path

    path = user_log_path("ftui") / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = traceback.format_exception(error)
        path.write_text(f"ftui {__version__}\n{''.join(lines)}", encoding="utf-8", errors="backslashreplace")
    except OSError:
        return None
    return path
