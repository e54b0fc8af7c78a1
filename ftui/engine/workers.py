"""The other processes of a run on this machine: started by the first, ended with it, missed when they die."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from ftui.engine.ranks import STORE, Ranks, from_environment, join, listen
from ftui.runs.rundir import EXIT_FINISHED, EXIT_STOPPED

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftui.runs.rundir import RunDir

_PARENT = "FTUI_PARENT"
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_GRACE_SECONDS = 20.0
_END_SECONDS = 5.0


class Workers:
    """Processes 2 to `count` of a run, none when there is one.

    They share the first one's process group and log. When one dies, the others would wait for it for ever:
    `lost` says so, and unless the first process ends by itself within a grace time, `give_up` is called.
    """

    def __init__(self, rundir: RunDir, count: int, address: str, give_up: Callable[[str], None]) -> None:
        self._rundir = rundir
        self._count = count
        self._give_up = give_up
        self._missing = threading.Event()
        self._over = threading.Event()
        self._trouble = ""
        command = [sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "ftui.engine.train"]
        common = os.environ | {
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            STORE: address,
            _PARENT: str(os.getpid()),
        }
        self._processes = [
            subprocess.Popen(
                [*command, str(rundir.path)],
                stdin=subprocess.DEVNULL,
                env=common | {"RANK": str(number), "LOCAL_RANK": str(number)},
            )
            for number in range(1, count)
        ]
        threading.Thread(target=self._watch, name="workers", daemon=True).start()

    def lost(self) -> str:
        """Why training cannot go on, "" when no process is missing. Waits a little: news takes a moment."""
        self._missing.wait(2.0)
        return self._trouble

    def finish(self, *, waiting: bool) -> None:
        """Ends them; `waiting` gives those that are at their end already a moment to come to it."""
        self._over.set()
        deadline = time.monotonic() + (_END_SECONDS if waiting else 0)
        for process in self._processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _watch(self) -> None:
        waiting = dict(enumerate(self._processes, start=2))
        while waiting:
            for number, process in list(waiting.items()):
                code = process.poll()
                if code is None:
                    continue
                del waiting[number]
                if code not in (EXIT_FINISHED, EXIT_STOPPED):
                    self._trouble = self._words(number, code)
                    self._missing.set()
                    if not self._over.wait(_GRACE_SECONDS):
                        self._give_up(self._trouble)
                    return
            if self._over.wait(0.2):
                return

    def _words(self, number: int, code: int) -> str:
        who = f"process {number} of {self._count}"
        if code < 0:
            return f"{who} was ended by {signal.Signals(-code).name}"
        return f"{who} failed: {self._rundir.last_log_line() or f'it exited with {code}'}"


def gather(rundir: RunDir, processes: int, give_up: Callable[[str], None]) -> tuple[Ranks, Workers | None]:
    """This process's place among those of the run, after waiting for all of them.

    Under torchrun they are there already; else the first starts the others. processes: how many the recipe
    wants.
    """
    ranks = from_environment()
    if ranks is not None:
        _die_with_parent(leads=ranks.leads)
        join(ranks)
        return ranks, None
    if processes == 1:
        return Ranks(), None
    store = listen(processes)
    workers = Workers(rundir, processes, f"127.0.0.1:{store.port}", give_up)
    ranks = Ranks(0, processes, 0, processes)
    join(ranks, store)
    return ranks, workers


def _die_with_parent(*, leads: bool) -> None:
    """Asks the kernel to end this process when the one that started it is gone, however it went.

    A launcher such as torchrun gives its processes sessions of their own: nothing else would end them with it.
    """
    if not leads:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # the first process decides when to stop
    parent = os.environ.get(_PARENT)
    ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    if parent is not None and os.getppid() != int(parent):
        os._exit(EXIT_STOPPED)
