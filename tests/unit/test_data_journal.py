"""The journal: acknowledged means on the disk, damage costs no more than the damaged line, undo never ends."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from ftui.core.errors import FtuiError
from ftui.data import actions, operation
from ftui.data.dataset import Dataset
from ftui.data.journal import Journal, JournalReader, default_who, sidecar
from ftui.data.operation import Op, decode, encode

KILLS = int(os.environ.get("FTUI_TEST_KILLS", "20"))


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"text": f"row {n}"}) + "\n" for n in range(1, 51)))
    return file


def op(number: int = 1, **fields) -> Op:
    values = {
        "id": f"id{number}",
        "op": "status",
        "ts": float(number),
        "who": "anna",
        "sha": "ab" * 16,
        "occ": 0,
    }
    return Op(**{**values, "n": 1, "after": "accepted", **fields})


def journals(path: Path) -> list[Path]:
    return sorted(sidecar(path).glob("journal-*.jsonl"))


def test_a_line_is_crc32_and_json_as_documented(path):
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(3, actions.accept())
    [file] = journals(path)
    assert file.name.startswith("journal-anna-")
    crc, _, body = file.read_bytes().rstrip(b"\n").partition(b" ")
    assert int(crc, 16) == zlib.crc32(body)
    record = json.loads(body)
    assert (record["v"], record["op"], record["who"], record["row"]["occ"], record["row"]["n"]) == (
        1,
        "status",
        "anna",
        0,
        3,
    )
    assert (record["before"], record["after"], record["path"]) == ("undecided", "accepted", "")


def test_an_operation_reads_back_as_it_was_written():
    for after in ("x", 'quote " \\ \n', "\ud800", 2**70, None, {"a": [1, {"b": "é"}]}, 1.5):
        written = op(op="set", path="/a", before=after, after=after)
        assert decode(encode(written).rstrip(b"\n")) == ([written], 0)


@pytest.mark.parametrize(
    "fields",
    [{"op": "status", "after": "maybe"}, {"op": "rate", "after": 9}, {"op": "fly"}, {"op": "flag", "after": "yes"},
     {"op": "undo", "undoes": ""}, {"occ": "0"}, {"occ": -1}, {"ts": float("nan")}, {"ts": -1}, {"sha": 5}, {"op": "tag", "after": 3}],
)  # fmt: skip
def test_a_line_that_makes_no_sense_is_counted_not_applied(fields):
    assert decode(encode(op(**fields)).rstrip(b"\n")) == ([], 1)


def test_operations_on_both_sides_of_a_lost_newline_are_found():
    first, second = op(1), op(2)
    joined = encode(first).rstrip(b"\n") + b"?" + encode(second).rstrip(b"\n")
    assert decode(joined)[0] == [first, second]
    assert decode(b"garbage " + encode(first).rstrip(b"\n"))[0] == [first]


def test_a_torn_last_line_costs_only_itself_and_later_sessions_go_on(path):
    with Dataset.open(path, "anna") as dataset:
        for number in (1, 2, 3):
            dataset.annotate(number, actions.accept())
    [file] = journals(path)
    file.write_bytes(file.read_bytes()[:-30])
    with Dataset.open(path, "anna") as dataset:
        assert dataset.counts().accepted == 2
        dataset.annotate(9, actions.accept())
        assert journals(path) == [file]
    with Dataset.open(path, "anna") as dataset:
        assert [dataset.row(number).status for number in (1, 2, 3, 9)] == [
            "accepted",
            "accepted",
            "undecided",
            "accepted",
        ]
        assert dataset.bad_journal_lines == 1


def test_a_lost_last_newline_loses_nothing(path):
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(1, actions.accept())
    [file] = journals(path)
    file.write_bytes(file.read_bytes()[:-1])
    with Dataset.open(path, "bert") as dataset:
        assert dataset.row(1).status == "accepted"
        assert dataset.undo() == []
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(2, actions.accept())
    with Dataset.open(path, "anna") as dataset:
        assert dataset.counts().accepted == 2


def test_two_sessions_never_share_a_file(path):
    with Dataset.open(path, "anna") as one, Dataset.open(path, "anna") as two:
        one.annotate(1, actions.accept())
        two.annotate(2, actions.reject())
        assert len(journals(path)) == 2
        assert one.refresh()
        assert two.refresh()
        assert not one.refresh()
        assert [one.row(number).status for number in (1, 2)] == ["accepted", "rejected"]
        assert [two.row(number).status for number in (1, 2)] == ["accepted", "rejected"]
    with Dataset.open(path, "anna") as later:
        later.annotate(3, actions.accept())
    assert len(journals(path)) == 2  # a finished session's file is continued


def test_journals_of_several_people_are_merged_and_disagreement_is_kept(path):
    with Dataset.open(path, "anna") as anna, Dataset.open(path, "bert") as bert:
        anna.annotate(1, actions.accept())
        bert.annotate(1, actions.reject())
        bert.annotate(2, actions.tag("billing"))
        anna.refresh()
        assert anna.row(1).status == "rejected"
        assert anna.row(2).tags == ("billing",)
        assert anna.conflicts() == {1: {"anna": "accepted", "bert": "rejected"}}
        assert [undone.op for undone in anna.undo()] == ["status"]  # her own, not his later ones
        assert anna.row(1).status == "rejected"
        assert anna.undo() == []


def test_undo_is_unlimited_across_restarts_and_is_itself_recorded(path):
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(1, actions.accept())
        dataset.annotate(1, actions.set_value("/text", "edited"))
        dataset.annotate_many(range(1, 21), actions.tag("bulk"))
    with Dataset.open(path, "anna") as dataset:
        assert len(dataset.undo()) == 20
        assert dataset.row(5).tags == ()
        assert dataset.row(1).value == {"text": "edited"}
    with Dataset.open(path, "anna") as dataset:
        assert [undone.op for undone in dataset.undo(10)] == ["set", "status"]
        assert dataset.undo() == []
        row = dataset.row(1)
        assert (row.status, row.edited, row.value) == ("undecided", False, {"text": "row 1"})
        assert [logged.op for logged in dataset.log()] == [
            "status",
            "set",
            *["tag"] * 20,
            "undo",
            "undo",
            "undo",
        ]


def test_undo_takes_back_one_edit_from_between_others(path):
    with Dataset.open(path, "anna") as anna, Dataset.open(path, "bert") as bert:
        anna.annotate(1, actions.set_value("/by", "anna"))
        bert.refresh()
        bert.annotate(1, actions.set_value("/also", "bert"))
        anna.refresh()
        anna.undo()
        assert anna.row(1).value == {"text": "row 1", "also": "bert"}


def test_a_clock_that_steps_back_does_not_reorder_a_session(path, monkeypatch):
    times = iter([1000.0, 500.0, 400.0, 300.0])
    monkeypatch.setattr(time, "time", lambda: next(times))
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(1, actions.accept())
        dataset.annotate(1, actions.reject())
        dataset.annotate(1, actions.undecide())
    monkeypatch.undo()
    with Dataset.open(path, "anna") as dataset:
        assert [logged.after for logged in dataset.log()] == ["accepted", "rejected", "undecided"]


def test_a_full_disk_is_told_and_harms_nothing_earlier(path, monkeypatch):
    with Dataset.open(path, "anna") as dataset:
        dataset.annotate(1, actions.accept())
        [file] = journals(path)
        before = file.read_bytes()
        write = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:20]))
        with pytest.raises(FtuiError, match="not saved"):
            dataset.annotate(2, actions.accept())
        assert file.read_bytes() == before

        def full(fd, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(FtuiError, match="No space left"):
            dataset.annotate_many([2, 3], actions.accept())
        assert dataset.counts().accepted == 1
        monkeypatch.undo()
        dataset.annotate(3, actions.accept())
        assert dataset.counts().accepted == 2
    with Dataset.open(path, "bert") as dataset:
        assert [dataset.row(number).status for number in (1, 2, 3)] == ["accepted", "undecided", "accepted"]
        assert dataset.bad_journal_lines == 0


def test_nothing_is_acknowledged_that_was_not_synced(path, monkeypatch):
    def lost(fd):
        raise OSError(errno.EIO, "Input/output error")

    with Dataset.open(path, "anna") as dataset:
        monkeypatch.setattr(os, "fdatasync", lost)
        with pytest.raises(FtuiError, match="Input/output"):
            dataset.annotate(1, actions.accept())
        assert dataset.row(1).status == "undecided"


def test_a_folder_that_cannot_be_written_is_one_clear_error(path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with Dataset.open(path, "anna") as dataset, pytest.raises(FtuiError, match="cannot write annotations"):
        dataset.annotate(1, actions.accept())


def test_a_later_version_is_skipped_and_counted(path, monkeypatch):
    with Dataset.open(path, "anna") as dataset:
        monkeypatch.setattr(operation, "VERSION", 2)
        dataset.annotate(1, actions.accept())
        monkeypatch.undo()
        dataset.annotate(2, actions.accept())
    with Dataset.open(path, "anna") as dataset:
        assert (dataset.counts().accepted, dataset.bad_journal_lines) == (1, 1)


def test_names_of_any_kind_make_safe_file_names(path):
    with Dataset.open(path, "../Anna Ö/x\n") as dataset:
        dataset.annotate(1, actions.accept())
        assert [logged.who for logged in dataset.log()] == ["../Anna Ö/x\n"]
    assert [file.parent for file in journals(path)] == [sidecar(path)]


def test_who_is_taken_from_the_environment(monkeypatch):
    monkeypatch.setenv("FTUI_USER", "carla")
    assert default_who() == "carla"


def test_a_reader_takes_whole_lines_only_and_continues(tmp_path):
    file = tmp_path / "journal-a-b-c.jsonl"
    reader = JournalReader(tmp_path)
    assert reader.read() == []
    lines = [encode(op(number)) for number in range(4)]
    file.write_bytes(lines[0] + lines[1][:30])
    assert [read.id for read in reader.read()] == ["id0"]
    file.write_bytes(b"".join(lines[:3]))
    assert [read.id for read in reader.read()] == ["id1", "id2"]
    assert not reader.changed()
    file.write_bytes(lines[0])
    assert reader.changed()


def test_a_journal_that_was_replaced_is_read_anew(path):
    with Dataset.open(path, "anna") as anna, Dataset.open(path, "bert") as bert:
        anna.annotate(1, actions.accept())
        bert.refresh()
        assert bert.counts().accepted == 1
        journals(path)[0].unlink()
        assert bert.refresh()
        assert bert.counts().accepted == 0


def test_an_empty_write_touches_nothing(tmp_path):
    journal = Journal(tmp_path / "x.ftui", "anna")
    journal.close()
    assert not (tmp_path / "x.ftui").exists()


ANNOTATOR = """
import sys, itertools
from pathlib import Path
from ftui.data import actions
from ftui.data.dataset import Dataset
dataset = Dataset.open(Path(sys.argv[1]), "anna")
start = int(sys.argv[2])
print("ready", flush=True)
for n in itertools.count(start):
    dataset.annotate(n % 50 + 1, actions.note(f"note {n}"))
    sys.stdout.write(f"{n}\\n"); sys.stdout.flush()
"""


def test_sigkill_at_any_moment_loses_no_acknowledged_operation(path):
    acknowledged: list[int] = []
    start = 0
    for round_ in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", ANNOTATOR, str(path), str(start)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        heard = [int(child.stdout.readline()) for _ in range(1 + 7 * round_ % 40)]
        child.send_signal(signal.SIGKILL)
        heard += [int(line) for line in child.stdout.read().split("\n") if line]
        child.wait()
        child.stdout.close()
        acknowledged += heard
        start = acknowledged[-1] + 1
        if round_ % 10 == 9 or round_ == KILLS - 1:
            with Dataset.open(path, "anna") as dataset:
                notes = {logged.after for logged in dataset.log()}
            assert {f"note {n}" for n in acknowledged} <= notes
