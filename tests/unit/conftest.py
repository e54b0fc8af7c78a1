"""The command line as a test calls it."""

from __future__ import annotations

import json

import pytest

from ftui.cli.main import _exit_code


@pytest.fixture
def ftui(capsys):
    """Runs a command in this process: (exit code, its JSON or text, stderr)."""

    def call(*words):
        code = _exit_code([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, json.loads(out) if "--json" in words and out else out, err

    return call
