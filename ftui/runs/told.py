"""What has been told of a run already: one empty file each, so that two screens do not both ring."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftui.runs.rundir import RunDir

_FOLDER = "told"


def claim(rundir: RunDir, attempt: int, what: str) -> bool:
    """True for the first screen that wants to tell `what` of an attempt, ever; it stays so over restarts.

    what: a word that can be a file name. Where nothing can be written everybody tells.
    """
    folder = rundir.path / _FOLDER
    try:
        folder.mkdir(exist_ok=True)
        (folder / f"{attempt}-{what}").touch(exist_ok=False)
    except FileExistsError:
        return False
    except FileNotFoundError:
        return False  # the run is gone
    except OSError:
        return True
    return True
