"""`ftui data map`: the field mapper's headless twin."""

from __future__ import annotations

import json

import pytest

from ftui.cli.main import _exit_code


@pytest.fixture
def ftui(capsys):
    """Runs `ftui data` and reads the one JSON object it prints."""

    def call(*words):
        assert _exit_code(["data", *map(str, words), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def exported(tmp_path):
    path = tmp_path / "export.jsonl"
    rows = [{"q": "hi", "a": "yo"}, {"q": "hi", "a": "yo"}, {"note": 1}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    return path


def test_rows_are_mapped_counted_and_let_go(ftui, exported):
    said = ftui("map", exported, "--set", "prompt=/q", "--set", "completion=/a")
    mapping = {"shape": "prompt_completion", "prompt": "/q", "completion": "/a"}
    assert said == {
        "mapping": mapping,
        "mapped": 2,
        "unmapped": 2,
        "shapes": {"prompt_completion": 2, "unknown": 1, "broken": 1},
    }
    assert ftui("map", exported) == said, "without options it says what was said"
    inspected = ftui("inspect", exported)
    assert (inspected["shape"], inspected["shapes"]["prompt_completion"]) == ("prompt_completion", 2)
    assert ftui("show", exported, "--row", 1)["example"]["messages"][1] == {
        "role": "assistant",
        "content": "yo",
    }
    assert ftui("map", exported, "--clear")["mapping"] is None
    assert [op["op"] for op in ftui("undo", exported, "--count", 2)["undone"]] == ["map", "map"]


def test_a_conversation_is_mapped_with_its_roles(ftui, tmp_path):
    path = tmp_path / "calls.jsonl"
    path.write_text(json.dumps({"d": [{"who": "desk", "say": "hi"}]}) + "\n")
    ftui(
        "map",
        path,
        "--set",
        "messages=/d",
        "--set",
        "role=who",
        "--set",
        "content=say",
        "--role",
        "desk=assistant",
        "--json",
    )
    assert ftui("show", path, "--row", 1)["example"]["messages"] == [{"role": "assistant", "content": "hi"}]


@pytest.mark.parametrize(
    "words",
    [["--set", "prompt=q"], ["--set", "prompt"], ["--shape", "round"], ["--clear", "--shape", "text"], ["--set", "text=/a", "--shape", "alpaca"], ["--role", "bot=robot"]],
)  # fmt: skip
def test_what_reads_nothing_is_refused_and_nothing_is_written(exported, words, capsys):
    assert _exit_code(["data", "map", str(exported), *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not exported.with_name("export.jsonl.ftui").exists()
