"""A real `ftui` in a terminal of its own, for tests that watch it from outside or kill it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

from ftui.runs.process import child_environment
from tests.runs_support import until


class ScreenProcess:
    """`ftui DIRECTORY` under a pseudo-terminal; everything it writes is kept."""

    def __init__(self, directory: Path, home: Path, *, columns: int = 120, rows: int = 36) -> None:
        self._terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        own = {
            "TERM": "xterm-256color",
            "FTUI_CONFIG": str(home / "config"),
            "FTUI_CACHE": str(home / "cache"),
        }
        self._process = subprocess.Popen(
            # A session with the terminal as its own: closing it hangs up, as a real one does.
            ["setsid", "--ctty", sys.executable, "-m", "ftui", str(directory)],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=child_environment(**own),
        )
        os.close(inner)
        self._written = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def wrote(self, *words: str) -> bool:
        """Whether each of `words` has been on the screen at some time."""
        return all(word.encode() in self._written for word in words)

    def forget(self) -> None:
        self._written.clear()

    def open_train(self) -> None:
        """Goes to the Train pane once there is a screen."""
        until(lambda: self.wrote("Data"))
        self.press("3")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self._process.send_signal(number)

    def hang_up(self) -> int:
        """Closes the terminal; returns how the screen ended."""
        os.close(self._terminal)
        self._terminal = -1
        return self._process.wait(180)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._reader.join(5)
        if self._terminal >= 0:
            os.close(self._terminal)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the terminal's other end is gone
            while piece := os.read(self._terminal, 65536):
                self._written += piece
