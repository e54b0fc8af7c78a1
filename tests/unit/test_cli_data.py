"""`ftui data`: the contract scripts rely on, one JSON object each, errors on one line."""

from __future__ import annotations

import hashlib
import json

import pytest

from ftui.cli.main import _exit_code
from ftui.data.journal import sidecar

ROWS = [
    {"instruction": "say hi", "input": "", "output": "hi"},
    {"instruction": "count", "input": "to two", "output": "one, two"},
    {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
]


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("FTUI_USER", "anna")
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join([*map(json.dumps, ROWS), '{"instruction": "bro']) + "\n")
    return file


@pytest.fixture
def run(capsys):
    def call(*args):
        code = _exit_code(["data", *map(str, args)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def ask(run):
    def call(*args):
        code, out, err = run(*args, "--json")
        assert (code, err) == (0, "")
        assert out.count("\n") == 1
        return json.loads(out)

    return call


def test_inspect_tells_what_a_file_is(ask, path):
    report = ask("inspect", path)
    data = path.read_bytes()
    wanted = {
        "path": str(path), "container": "jsonl", "shape": "alpaca", "shapes": {"alpaca": 2, "messages": 1},
        "rows": 4, "broken": 1, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    assert {key: report[key] for key in wanted} == wanted
    assert not sidecar(path).exists()


def test_show_tells_one_row_as_it_lies_and_as_training_sees_it(ask, path):
    shown = ask("show", path, "--row", 2)
    assert shown["row"] == 2
    assert shown["shape"] == "alpaca"
    assert shown["raw"] == json.dumps(ROWS[1])
    assert shown["example"] == {
        "messages": [{"role": "user", "content": "count\nto two"}, {"role": "assistant", "content": "one, two"}],
        "tools": None, "chosen": None, "rejected": None, "label": None, "text": None,
    }  # fmt: skip
    assert shown["annotations"] == []
    broken = ask("show", path, "--row", 4)
    assert (broken["shape"], broken["line"], broken["example"]) == ("broken", 4, None)
    assert "ends too early" in broken["broken"]


def test_annotate_show_log_and_undo_agree(ask, run, path):
    op = ask("annotate", path, "--row", 1, "--accept")["op"]
    assert (op["op"], op["who"], op["row"]["n"], op["after"]) == ("status", "anna", 1, "accepted")
    ask("annotate", path, "--row", 1, "--set", "/output=hello")
    for choice in (["--flag"], ["--rate", 5], ["--tag", "greeting"], ["--note", "nice"]):
        ask("annotate", path, "--row", 1, *choice)
    shown = ask("show", path, "--row", 1)
    assert shown["example"]["messages"][1]["content"] == "hello"
    assert shown["raw"] == json.dumps(ROWS[0])
    assert [op["op"] for op in shown["annotations"]] == ["status", "set", "flag", "rate", "tag", "note"]
    assert (shown["status"], shown["rating"], shown["tags"], shown["note"]) == (
        "accepted",
        5,
        ["greeting"],
        "nice",
    )
    undone = ask("undo", path, "--count", 2)["undone"]
    assert [op["op"] for op in undone] == ["note", "tag"]
    code, out, _ = run("log", path, "--json")
    assert code == 0
    assert [json.loads(line)["op"] for line in out.splitlines()] == [
        "status", "set", "flag", "rate", "tag", "note", "undo", "undo",
    ]  # fmt: skip
    assert len(ask("undo", path, "--count", 99)["undone"]) == 4
    assert ask("undo", path)["undone"] == []
    assert ask("show", path, "--row", 1)["annotations"] == []


@pytest.mark.parametrize(
    ("assignment", "value"),
    [("/output=plain text", "plain text"), ('/output="quoted"', "quoted"), ("/output=42", "42"), ("/output=a=b", "a=b"),
     ("/extra=42", 42), ('/extra={"a": [1]}', {"a": [1]}), ("/output=", "")],
)  # fmt: skip
def test_set_takes_json_where_it_parses_and_text_where_text_was(ask, path, assignment, value):
    op = ask("annotate", path, "--row", 1, "--set", assignment)["op"]
    assert op["path"] == assignment.partition("=")[0]
    assert op["after"] == value


def test_a_broken_row_is_mended_from_the_command_line(ask, path):
    ask("annotate", path, "--row", 4, "--text", '{"text": "mended"}')
    assert ask("show", path, "--row", 4)["example"]["text"] == "mended"
    assert ask("inspect", path)["rows"] == 4


def test_search_counts_all_and_lists_some(ask, run, path):
    assert ask("search", path, "COUNT", "--ignore-case") == {"matches": 1, "rows": [2]}
    assert ask("search", path, "o", "--limit", 2) == {"matches": 4, "rows": [1, 2]}
    code, out, _ = run("search", path, "say hi")
    assert code == 0
    assert "say hi" in out
    assert "1 matching row" in out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["show", "{}", "--row", "9"], "there is no row 9"),
        (["show", "{}", "--row", "0"], "there is no row 0"),
        (["annotate", "{}", "--row", "1"], "give one action"),
        (["annotate", "{}", "--row", "1", "--accept", "--reject"], "give one action"),
        (["annotate", "{}", "--row", "1", "--rate", "7"], "1 to 5"),
        (["annotate", "{}", "--row", "1", "--set", "output=x"], "starts with /"),
        (["annotate", "{}", "--row", "1", "--set", "/a/b/c=x"], "no such place"),
        (["annotate", "{}", "--row", "1", "--set", "/a"], "JSON_POINTER=VALUE"),
        (["annotate", "{}", "--row", "4", "--set", "/a=1"], "broken"),
        (["search", "{}", ""], "nothing to search for"),
        (["inspect", "nowhere.jsonl"], "no such file"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_two(run, path, args, says):
    code, out, err = run(*[arg.format(path) if arg == "{}" else arg for arg in args])
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert not sidecar(path).exists()


def test_text_output_obeys_no_terminal_sequences(run, tmp_path, monkeypatch):
    monkeypatch.setenv("FTUI_USER", "\x1b[2Janna")
    path = tmp_path / "rows\x1b[31m.jsonl"
    row = {"text": "\x1b]52;c;aGk=\x07 hidden \u202e", "\x9b2J": 1}
    path.write_text(
        json.dumps(row) + "\n" + json.dumps({"\x1b[2J": "odd"}, ensure_ascii=False) + "\n{\x1b[2J\n"
    )
    run("annotate", path, "--row", 1, "--note", "\x1b[2J")
    for args in (["inspect", path], ["show", path, "--row", 1], ["show", path, "--row", 2], ["show", path, "--row", 3],
                 ["log", path], ["search", path, "hidden"], ["undo", path], ["inspect", tmp_path / "no\x1b[2J"]):  # fmt: skip
        _, out, err = run(*args)
        assert not set(out + err) & set("\x1b\x07\x9b\u202e"), args


def test_json_output_survives_what_json_cannot_say(ask, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "\\ud800"}\n{"text": "x", "id": 99999999999999999999, "n": NaN}\n')
    assert ask("show", path, "--row", 1)["example"]["text"] == "\ufffd"
    ask("annotate", path, "--row", 2, "--set", "/id=99999999999999999998")
    ask("annotate", path, "--row", 2, "--set", "/n=NaN")
    shown = ask("show", path, "--row", 2)
    assert shown["annotations"][0]["before"] == "99999999999999999999"
    deep = "[" * 400 + "]" * 400
    ask("annotate", path, "--row", 1, "--set", f"/deep={deep}")
    assert ask("undo", path)["undone"][0]["op"] == "set"


def test_help_ends_with_an_example(run):
    for name in ([], ["inspect"], ["show"], ["search"], ["annotate"], ["undo"], ["log"]):
        code, out, _ = run(*name, "--help")
        assert code == 0
        assert "Example:" in out
        assert out.rstrip().splitlines()[-1].strip().startswith("ftui data")
