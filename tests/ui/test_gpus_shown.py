"""Of several GPUs the screen shows the one that the run is on, and who trains on the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ftui.gpu.processes import GpuProcess
from ftui.runs.state import RunSummary
from ftui.ui.machine_facts import Usage, sections
from ftui.ui.pulse import Pulse
from ftui.ui.run_reader import RunView
from ftui.ui.themes import Palette
from ftui.ui.widgets.gauge import _fitting, _shown
from ftui.ui.widgets.run_charts import _gpu_of
from ftui.ui.widgets.strip import compose_line
from tests.ui.panes import GPU

COLORS = Palette(*(["#808080"] * 13))
GPUS = tuple(replace(GPU, index=index) for index in range(6))


def run(name, *devices, state="running", pid=None):
    return RunSummary(name, name, state, devices=devices, pid=pid, path=Path("/none"))


def gauge(*runs, gpus=GPUS, width=120):
    return [
        _fitting(gpu, who, width, COLORS, False).plain for gpu, who in _shown(Pulse(tuple(runs), gpus, None))
    ]


def test_the_strip_shows_the_gpu_of_the_run_it_is_about():
    def strip(*runs):
        return compose_line(Pulse(tuple(runs), GPUS, None), 120, COLORS).plain

    assert "GPU2 " in strip(run("a", "gpu2"), run("b", "gpu1"))
    assert "GPU0 " in strip(run("a", "gpu2", state="finished")), "it is there no longer"
    assert "GPU0 " in strip()


def test_the_gauge_tells_who_trains_where():
    lines = gauge(run("one", "gpu1"), run("two", "gpu0"), run("past", "gpu2", state="finished"))
    assert [line[:4] for line in lines] == ["GPU0", "GPU1", "GPU2", "GPU3"]
    assert [line.rpartition("   ")[2] for line in lines[:2]] == ["two", "one"]
    assert "past" not in "".join(lines)


def test_gpus_with_runs_are_among_those_shown():
    lines = gauge(run("one", "gpu4", "gpu5"))
    assert [line[:4] for line in lines] == ["GPU0", "GPU1", "GPU4", "GPU5"]
    assert all(line.endswith("one") for line in lines[2:])


def test_a_narrow_gauge_keeps_who_trains_and_a_single_gpu_needs_no_name():
    assert all("one" in line and len(line) <= 76 for line in gauge(run("one", "gpu0"), width=76)[:1])
    assert "one" not in gauge(run("one", "gpu0"), gpus=GPUS[:1])[0]


def test_a_run_of_before_is_found_by_its_process():
    gpus = (GPUS[0], replace(GPUS[1], processes=(GpuProcess(42, "train"),)))
    assert gauge(run("old", pid=42), gpus=gpus)[1].endswith("old")


def test_the_machine_marks_the_gpu_of_the_run():
    headings = [heading for heading, _ in sections(Pulse((), GPUS, None), run("one", "gpu3"), Usage({}))]
    assert [heading[:4] for heading in headings if "this run" in heading] == ["GPU3"]
    headings = [heading for heading, _ in sections(Pulse((), GPUS[:1], None), run("one", "gpu0"), Usage({}))]
    assert not any("this run" in heading for heading in headings)


def test_the_memory_chart_is_of_the_card_the_run_is_on():
    """The trainer sees only its own and calls that the first."""
    view = RunView(run("one", "gpu4"), facts={"attempt": {"device": "cuda:0"}})
    assert _gpu_of(view, GPUS).index == 4
    assert _gpu_of(RunView(run("old")), GPUS).index == 0
    assert _gpu_of(view, ()) is None
