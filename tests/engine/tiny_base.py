"""One tiny model a test process, made once: `from tests.engine.tiny_base import tiny` is a fixture."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import make_tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random Llama with a ChatML tokenizer."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "base")
