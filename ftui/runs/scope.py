"""Starts what must outlive a logout in a systemd scope of the user's own manager, where that helps.

With KillUserProcesses=yes systemd ends everything a login session started, a new session or not. A scope of
the user's manager is no part of the login session, and with linger on that manager stays. Without linger it
ends with the last login and everything in it: there the plain way is the safer one.
"""

from __future__ import annotations

import functools
import getpass
import os
import shutil
import subprocess
from pathlib import Path

_LINGER = Path("/var/lib/systemd/linger")
_PROBE_SECONDS = 5.0

_PREFIX = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "--")

# How a run's proc.json says it was started.
SCOPE = "systemd-scope"
SESSION = "session"


def scoped(command: list[str]) -> list[str]:
    """`command` as it is started in a scope of its own. Its pid is systemd-run's, which becomes it."""
    return [*_PREFIX, *command]


def in_scope() -> bool:
    """Whether processes are started in a scope here: linger is on and systemd-run works."""
    return lingers(user_name()) and scopes_work()


def lingers(user: str, folder: Path | None = None) -> bool:
    """Whether the user's manager stays when nobody is logged in."""
    return bool(user) and ((folder or _LINGER) / user).exists()


def scopes_work() -> bool:
    """Whether systemd-run reaches the user's manager. Tried once, by starting `true` in a scope."""
    return _works(os.environ.get("PATH", ""), os.environ.get("XDG_RUNTIME_DIR", ""))


def user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without a name
        return str(os.getuid())


@functools.cache
def _works(path: str, runtime: str) -> bool:
    """The answer for this environment: what it finds depends on both."""
    if shutil.which("systemd-run", path=path) is None:
        return False
    try:
        done = subprocess.run(
            scoped(["true"]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
