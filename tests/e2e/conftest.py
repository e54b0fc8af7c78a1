"""A workspace of which nothing is left running after the test."""

from __future__ import annotations

import pytest

from tests.runs_support import end_everything, make_workspace


@pytest.fixture
def workspace(tmp_path):
    workspace = make_workspace(tmp_path / "ws")
    yield workspace
    end_everything(workspace)
