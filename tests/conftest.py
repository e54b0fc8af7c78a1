"""For every test: runs and chats of this machine's user, and of tests beside it, are none of its business."""

from __future__ import annotations

import gc
import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def leases_of_its_own(tmp_path_factory):
    """Leases lie in the run-time directory: each process of tests has one, which its children inherit."""
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(tmp_path_factory.mktemp("runtime"))
    yield
    os.environ.pop("XDG_RUNTIME_DIR")
    if before is not None:
        os.environ["XDG_RUNTIME_DIR"] = before


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of xdist that takes over five seconds to end is sent SIGINT by execnet. pytest collects garbage
    five times then, and with torch and transformers loaded that takes as long; nothing is left to be found."""
    if hasattr(session.config, "workerinput"):
        gc.freeze()
