"""What the engine's tests share: one tiny model, and a trainer that can be run inside the test's process."""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path

import pytest

from tests.tiny import make_tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random Llama with a ChatML tokenizer."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture(scope="module")
def trainer_in_process():
    """Signal handlers as they were afterwards, and no lower priority for the tests that follow."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(os, "nice", lambda by: 0)
        yield
    for number, handler in before.items():
        signal.signal(number, handler)
