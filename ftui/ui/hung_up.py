"""Ends the screen when its terminal is gone. A signal does, usually; started under `nohup` it never comes."""

from __future__ import annotations

import errno
import os
import signal
import sys
import termios


def end_if_hung_up() -> None:
    """Ends this program as the signal would have, if the terminal it was started in has been closed.

    What was decided is on disk already, and a screen without a terminal would try to read it for ever.
    """
    if hung_up():
        os._exit(128 + signal.SIGHUP)


def hung_up() -> bool:
    """Whether the terminal this program was started in has been closed. False where it never had one."""
    if sys.__stdin__ is None:
        return False
    try:
        termios.tcgetattr(sys.__stdin__.fileno())
    except termios.error as error:
        return bool(error.args) and error.args[0] == errno.EIO
    except (OSError, ValueError):
        return False
    return False
