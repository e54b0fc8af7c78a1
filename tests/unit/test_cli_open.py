"""`ftui PATH`: a directory is a workspace, a file is a dataset in one."""

from __future__ import annotations

import sys

import pytest

from ftui.cli.main import _exit_code


@pytest.fixture
def opened(monkeypatch):
    """What the screen was asked to open."""
    from ftui.ui.app import FtuiApp

    found = []
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(
        FtuiApp, "run", lambda app: found.append((app.workspace.root, app.dataset_to_open)), raising=True
    )
    return found


@pytest.mark.parametrize("spelled", ["./rows.jsonl", "rows.jsonl", "{root}/datasets/rows.jsonl"])
def test_a_file_is_opened_in_the_workspace_it_lies_in(tmp_path, monkeypatch, opened, spelled):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "ftui.toml").touch()
    path = tmp_path / "datasets" / "rows.jsonl"
    path.write_text('{"text": "a"}\n')
    monkeypatch.chdir(path.parent)
    assert _exit_code([spelled.format(root=tmp_path)]) == 0
    assert opened == [(tmp_path.resolve(), path)]


def test_a_directory_is_the_workspace(tmp_path, opened):
    assert _exit_code([str(tmp_path)]) == 0
    assert opened == [(tmp_path.resolve(), None)]


def test_what_is_neither_is_no_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert _exit_code(["rows.jsonl"]) == 2
    assert "No such command" in capsys.readouterr().err
