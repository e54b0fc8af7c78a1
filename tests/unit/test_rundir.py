import json
import os
import threading

import pytest

from ftui.core.events import decode
from ftui.runs import rundir as rundir_module
from ftui.runs.rundir import EventWriter, RunDir, end_event, events_backwards, last_attempt, replace_json


@pytest.fixture
def rundir(tmp_path):
    return RunDir(tmp_path)


def lines(rundir):
    return rundir.events_path.read_bytes().split(b"\n")


def events(rundir):
    return [event for line in lines(rundir) if (event := decode(line)) is not None]


def test_events_are_numbered_across_attempts(rundir):
    for attempt in (1, 2):
        with EventWriter(rundir, attempt) as writer:
            writer.emit("attempt", pid=1)
            writer.emit("step", step=attempt, loss=float("nan"))
    assert [event["seq"] for event in events(rundir)] == [1, 2, 3, 4]
    assert [event["attempt"] for event in events(rundir)] == [1, 1, 2, 2]


def test_a_torn_last_line_spoils_only_itself(rundir):
    with EventWriter(rundir, 1) as writer:
        writer.emit("step", step=1)
    with rundir.events_path.open("ab") as file:
        file.write(b'{"v":1,"seq":2,"type":"st')
    with EventWriter(rundir, 2) as writer:
        writer.emit("step", step=2)
    assert [event["step"] for event in events(rundir)] == [1, 2]
    assert [event["seq"] for event in events(rundir)] == [1, 2]
    assert rundir.events_path.read_bytes().endswith(b"}\n")


def test_a_write_cut_short_by_a_full_disk_is_taken_back_and_reported_later(rundir, monkeypatch):
    writer = EventWriter(rundir, 1)
    assert writer.emit("step", step=1)
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    assert not writer.emit("step", step=2)

    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert not writer.emit("step", step=3)
    monkeypatch.setattr(os, "write", real)
    assert len(lines(rundir)) == 2
    assert writer.emit("step", step=4)
    kinds = [(event["type"], event["seq"]) for event in events(rundir)]
    assert kinds == [("step", 1), ("notice", 2), ("step", 3)]
    assert "2 events" in events(rundir)[1]["message"]
    writer.close()


def test_threads_share_a_writer_without_mixing_lines(rundir):
    with EventWriter(rundir, 1) as writer:
        threads = [
            threading.Thread(target=lambda: [writer.emit("heartbeat", stage="x" * 300) for _ in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(event["seq"] for event in events(rundir)) == list(range(1, 201))


def test_the_attempt_is_the_supervisors_else_one_more_than_the_events_tell(rundir):
    assert rundir.current_attempt() == 1
    with EventWriter(rundir) as writer:
        writer.emit("attempt")
    assert (last_attempt(rundir), rundir.current_attempt()) == (1, 2)
    replace_json(rundir.proc_path, {"attempt": 7})
    assert rundir.current_attempt() == 7


def test_requests_are_left_seen_and_cleared(rundir):
    assert rundir.requests() == set()
    rundir.request("stop")
    rundir.request("checkpoint")
    assert rundir.requests() == {"stop", "checkpoint"}
    rundir.clear("checkpoint")
    rundir.clear("checkpoint")
    assert rundir.requests() == {"stop"}


def test_a_failed_replacement_leaves_the_old_record_and_no_rubbish(rundir, monkeypatch):
    replace_json(rundir.exit_path, {"outcome": "finished"}, durable=True)
    monkeypatch.setattr(rundir_module.os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError):
        replace_json(rundir.exit_path, {"outcome": "failed"}, durable=True)
    assert rundir.read_exit() == {"outcome": "finished"}
    assert os.listdir(rundir.path) == ["exit.json"]


def test_a_status_that_cannot_be_written_does_not_stop_training(tmp_path):
    RunDir(tmp_path / "gone").write_status(step=1)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000], ids=["empty", "torn", "list", "bytes", "deep"]
)
def test_damaged_records_read_as_missing(rundir, content):
    rundir.status_path.write_bytes(content)
    assert rundir.read_status() == {}


def test_events_are_read_backwards_across_blocks(rundir, monkeypatch):
    monkeypatch.setattr(rundir_module, "_TAIL_BYTES", 37)
    with EventWriter(rundir, 1) as writer:
        for step in range(20):
            writer.emit("step", step=step, note="é" * step)
    assert [event["step"] for event in events_backwards(rundir.events_path)] == list(range(19, -1, -1))


def test_the_end_is_the_newest_attempts(rundir):
    with EventWriter(rundir, 1) as writer:
        writer.emit("end", outcome="stopped")
    with EventWriter(rundir, 2) as writer:
        writer.emit("step", step=1)
    assert end_event(rundir.events_path, 2) == {}
    with EventWriter(rundir, 2) as writer:
        writer.emit("end", outcome="finished")
        writer.emit("heartbeat", stage="exit")
    assert end_event(rundir.events_path, 2)["outcome"] == "finished"


def test_the_last_log_line_is_the_last_that_says_something(rundir):
    assert rundir.last_log_line() == ""
    rundir.log_path.write_bytes(b"Traceback\n  File\nValueError: \xff bad\n\n")
    assert rundir.last_log_line() == "ValueError: \ufffd bad"


def test_the_manifest_is_extended_without_losing_what_was_there(rundir):
    rundir.update_manifest(a=1)
    rundir.update_manifest(b=2)
    assert json.loads(rundir.manifest_path.read_text()) == {"a": 1, "b": 2}
