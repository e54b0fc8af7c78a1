"""A run's figures for TensorBoard: read back by TensorBoard itself."""

from __future__ import annotations

import json
import math
import struct

import pytest
from click.testing import CliRunner

from ftui.cli.runs import command as runs_command
from ftui.core.errors import FtuiError
from ftui.runs.rundir import EventWriter, RunDir
from ftui.runs.tensorboard import export
from ftui.runs.workspace import Workspace


@pytest.fixture
def rundir(tmp_path) -> RunDir:
    rundir = RunDir(tmp_path / "runs" / "tickets-0412")
    rundir.path.mkdir(parents=True)
    (tmp_path / "ftui.toml").touch()
    rundir.manifest_path.write_text(json.dumps({"name": "tickets"}))
    with EventWriter(rundir, 1) as writer:
        writer.emit("attempt", step=0)
        for step in range(1, 6):
            writer.emit("step", step=step, loss=5.0 - step, grad_norm=0.5, num_tokens=1000 * step, mfu=None)
        writer.emit("eval", step=5, eval_loss=0.25, eval_perplexity=1.5)
    with EventWriter(rundir, 2) as writer:
        writer.emit("attempt", step=3)
        writer.emit("step", step=4, loss=math.nan, grad_norm=1e300)
        writer.emit("step", step=1_000_000, loss=0.125, **{"rewards/margins": 2.0})
        writer.emit("eval", step=1_000_000, eval_loss=0.5)
    return rundir


def read_back(folder):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulators.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}


def test_tensorboard_reads_every_number_of_every_step_once(rundir, tmp_path):
    export(rundir, tmp_path / "logs")
    curves = read_back(tmp_path / "logs")
    assert sorted(curves) == [
        "eval/loss", "train/grad_norm", "train/loss", "train/num_tokens", "train/rewards/margins",
    ]  # fmt: skip
    assert [point.step for point in curves["train/loss"]] == [1, 2, 3, 4, 1_000_000]
    values = [point.value for point in curves["train/loss"]]
    assert values[:3] == [4.0, 3.0, 2.0]
    assert math.isnan(values[3])
    assert values[4] == 0.125
    assert curves["train/grad_norm"][-1].value == math.inf
    assert [(point.step, point.value) for point in curves["eval/loss"]] == [(1_000_000, 0.5)]
    times = [point.wall_time for point in curves["train/loss"]]
    assert times == sorted(times)


def test_the_records_have_the_sums_that_readers_check(rundir, tmp_path):
    made = export(rundir, tmp_path / "logs")
    content = made.path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    assert content[12 : 12 + length].endswith(b"brain.Event:2")
    assert content[8:12] == struct.pack("<I", _reference(content[:8]))


def _reference(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_the_command_says_where_it_is_and_replaces_what_it_wrote_before(rundir, tmp_path):
    workspace = str(Workspace(tmp_path).root)
    for _ in range(2):
        result = CliRunner().invoke(runs_command, ["tensorboard", "last", "--workspace", workspace])
        assert result.exit_code == 0, result.output
    assert "tensorboard --logdir" in result.output
    assert len(list((rundir.path / "tensorboard").iterdir())) == 1
    arguments = ["tensorboard", "last", "--workspace", workspace, "--out", str(tmp_path / "o"), "--json"]
    told = json.loads(CliRunner().invoke(runs_command, arguments).stdout)
    assert told["steps"] == 5
    assert told["path"].startswith(str(tmp_path / "o" / "tickets-0412"))


def test_a_run_that_has_not_begun_exports_as_empty(tmp_path):
    rundir = RunDir(tmp_path / "new")
    rundir.path.mkdir()
    made = export(rundir, tmp_path / "logs")
    assert (made.tags, made.steps) == ((), 0)
    assert read_back(tmp_path / "logs") == {}


def test_events_that_cannot_be_read_are_no_export_of_nothing(rundir, tmp_path):
    rundir.events_path.write_bytes(bytes(range(256)) * 40)
    words = ["tensorboard", rundir.id, "--workspace", str(tmp_path)]
    said = CliRunner().invoke(runs_command, words)
    assert isinstance(said.exception, FtuiError)
    assert said.exception.message == "its events cannot be read"
    assert not (rundir.path / "tensorboard").exists()
    shown = CliRunner().invoke(runs_command, ["show", rundir.id, "--workspace", str(tmp_path)])
    assert "its events cannot be read" in shown.stdout
    listed = CliRunner().invoke(runs_command, ["--workspace", str(tmp_path)])
    assert "its events cannot be read" in listed.stdout
