"""Notes and tags: what a person wrote stays as it was written, and nothing written harms a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.cli.main import _exit_code
from ftui.core.errors import FtuiError
from ftui.core.text import sanitize
from ftui.runs.labels import (
    MOST_TAGS,
    NOTE_LENGTH,
    TAG_LENGTH,
    Labels,
    clean_note,
    clean_tags,
    read_labels,
    retag,
    write_labels,
)
from ftui.runs.rundir import RunDir, replace_json
from ftui.runs.state import list_runs
from tests.runs_support import make_workspace


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_workspace(tmp_path)


@pytest.fixture
def rundir(workspace):
    """A run that has finished: one that is read again only when something changes."""
    rundir = RunDir(workspace.runs / "tickets-0412-153012")
    rundir.path.mkdir(parents=True)
    replace_json(rundir.proc_path, {"attempt": 1})
    replace_json(rundir.exit_path, {"attempt": 1, "outcome": "finished"})
    return rundir


@pytest.fixture
def ftui(capsys):
    def call(*words):
        code = _exit_code(["runs", *words])
        out, err = capsys.readouterr()
        return code, json.loads(out) if "--json" in words else out, err

    return call


def test_a_note_and_tags_are_kept_and_listed(workspace, rundir):
    assert read_labels(rundir) == Labels()
    write_labels(rundir, note="forgets the greeting\nsee row 12")
    write_labels(rundir, tags=["good", "rank-32"])
    assert read_labels(rundir) == Labels("forgets the greeting\nsee row 12", ("good", "rank-32"))
    (run,) = list_runs(workspace)
    assert (run.note, run.tags) == ("forgets the greeting\nsee row 12", ("good", "rank-32"))
    write_labels(rundir, note="")
    assert list_runs(workspace)[0].note == "", "a change of the note is seen though the run has ended"
    write_labels(rundir, tags=[])
    assert not rundir.labels_path.exists()


def test_tags_are_words():
    assert clean_tags(["#good", " two words ", "a,b", "good", "", "--"]) == ("good", "two-words", "a-b")
    assert retag(("a", "b"), ["+c", "-a", "b", "-none"]) == ("b", "c")


def test_too_many_tags_are_refused_and_too_long_text_is_cut(rundir):
    with pytest.raises(FtuiError, match="at most 16"):
        write_labels(rundir, tags=[f"tag{number}" for number in range(MOST_TAGS + 1)])
    assert read_labels(rundir) == Labels()
    labels = write_labels(rundir, note="x" * 1_000_000, tags=["y" * 1000])
    assert (len(labels.note), len(labels.tags[0])) == (NOTE_LENGTH, TAG_LENGTH)


@given(st.text(max_size=80), st.lists(st.text(max_size=50), max_size=20))
def test_whatever_is_written_is_harmless_and_reads_back_the_same(note, tags):
    labels = Labels(clean_note(note), clean_tags(tags))
    assert sanitize(labels.note) == labels.note
    for tag in labels.tags:
        assert sanitize(tag, lines=False) == tag
        assert not set(" ,") & set(tag)
    assert clean_note(labels.note) == labels.note
    assert clean_tags(labels.tags) == labels.tags


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"note": 5, "tags": "x"}', b'{"tags": [1, null, {}]}', b"[" * 100_000, b"\xff"],
)
def test_a_damaged_file_is_no_labels(rundir, content):
    rundir.labels_path.write_bytes(content)
    assert read_labels(rundir) == Labels()


def test_a_huge_file_is_not_read(rundir):
    rundir.labels_path.write_text(json.dumps({"note": "x" * 10_000_000}))
    assert read_labels(rundir) == Labels()


def test_a_file_by_another_hand_is_cleaned_when_read(rundir):
    rundir.labels_path.write_text(json.dumps({"note": "\x1b[2J", "tags": ["a b", "\u202ex"]}))
    labels = read_labels(rundir)
    assert "\x1b" not in labels.note
    assert labels.tags == ("a-b", "\u27e8202E\u27e9x")


def test_what_cannot_be_written_is_one_line(rundir):
    rundir.labels_path.mkdir()
    with pytest.raises(FtuiError, match="cannot write the note"):
        write_labels(rundir, note="x")


def test_the_commands_write_and_read(rundir, ftui):
    assert ftui("note", "last", "rank 32 is better", "--json")[1]["note"] == "rank 32 is better"
    assert ftui("note", "last")[1] == "rank 32 is better\n"
    assert ftui("tag", "last", "+good", "draft", "--json")[1]["tags"] == ["good", "draft"]
    assert ftui("tag", "last", "-draft", "+v2")[1] == "good v2\n"
    assert ftui("tag", "last", "+hello", "+json")[1] == "good v2 hello json\n"
    assert ftui("tag", "last", "-hello", "-json")[1] == "good v2\n"
    for option in (["--bogus"], ["--remove", "good"], ["+new", "--bogus"]):
        code, out, err = ftui("tag", "last", *option)
        assert (code, out) == (2, "")
        assert "no such option" in err.lower()
        assert err.count("\n") == 1
    code, shown, _ = ftui("show", "last", "--json")
    assert (code, shown["note"], shown["tags"]) == (0, "rank 32 is better", ["good", "v2"])
    assert "rank 32 is better" in ftui("show", "last")[1]
    assert ftui("--json")[1]["runs"][0]["tags"] == ["good", "v2"]
    assert ftui("note", "last", "--clear", "--json")[1]["note"] == ""
    assert "no note" in ftui("note", "last")[1]
