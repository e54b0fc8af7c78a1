"""The strip says which run, how far and how well, on every terminal."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from ftui.gpu.host import HostSnapshot
from ftui.runs.state import RunSummary
from ftui.ui.pulse import EMPTY_PULSE, Pulse, Trend
from ftui.ui.themes import Palette
from ftui.ui.widgets.strip import compose_line
from tests.ui.capture import HOSTILE, control_characters
from tests.ui.panes import GPU

COLORS = Palette(*(["#808080"] * 13))
HOST = HostSnapshot(8 * 1024**3, 16 * 1024**3, 50.0, 10**11)
RUN = RunSummary(
    "tickets-0412-153012", "tickets-r16", "running", step=214, steps=600, loss=0.83, eval_loss=0.91,
    tokens_per_second=1900.0, eta_seconds=372.0, path=Path("/none"),
)  # fmt: skip


def line(pulse: Pulse, width: int = 120) -> str:
    return compose_line(pulse, width, COLORS).plain


def test_a_wide_terminal_shows_everything_about_the_run_and_the_gpu():
    text = line(Pulse((RUN,), (GPU,), HOST, "down"), 160)
    for figure in ("tickets-r16", "214/600", "━", "loss 0.83↓", "eval 0.91", "1.9k tok/s", "eta 6m12s"):
        assert figure in text
    assert "GPU0 14.2/24 GB" in text
    assert "97%" in text
    assert "71°C" in text


def test_eighty_columns_keep_the_run_its_step_loss_eta_and_memory():
    text = line(Pulse((RUN,), (GPU,), HOST, "down"), 80)
    for figure in ("tickets-r16", "214/600", "loss 0.83", "eta 6m12s", "14.2/24 GB"):
        assert figure in text
    assert len(text) == 80


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 200])
def test_it_never_needs_more_columns_than_there_are(width):
    assert cell_len(line(Pulse((RUN,), (GPU,), HOST, "up"), width)) <= width


def test_without_a_gpu_it_shows_the_hosts_memory_and_says_so():
    text = line(Pulse((RUN,), (), HOST))
    assert "no GPU" in text
    assert "8.0/16 GB" in text
    assert "50%" in text


def test_without_a_run_it_says_what_to_press():
    assert "no run yet  2 write a recipe" in line(Pulse((), (), HOST))


def test_figures_that_the_driver_does_not_give_are_left_out_or_not_available():
    blind = replace(GPU, memory_used=None, memory_total=None, utilization=None, temperature=None)
    text = line(Pulse((RUN,), (blind,), HOST))
    assert "GPU0 n/a" in text
    assert "None" not in text


def test_the_run_at_work_is_shown_before_a_newer_one_that_is_over():
    over = replace(RUN, id="b", name="other", state="finished")
    assert "tickets-r16" in line(Pulse((over, RUN), (), HOST))


def test_a_loss_that_is_not_a_number_is_said_plainly():
    assert "loss NaN" in line(Pulse((replace(RUN, loss=math.nan),), (), HOST))


def test_why_runs_cannot_be_listed_is_shown():
    assert "cannot read the runs" in line(Pulse(trouble="cannot read the runs: Permission denied"))


@given(st.text(max_size=80))
@settings(max_examples=60, deadline=None)
def test_no_run_name_reaches_the_terminal_as_a_command(name):
    assert not control_characters(line(Pulse((replace(RUN, name=name + HOSTILE),), (), HOST)))


def test_the_loss_arrow_follows_the_mean_and_not_each_step():
    trend, answers = Trend(), []
    for step in range(1, 60):
        answers.append(trend.of((replace(RUN, step=step, loss=3.0 * 0.97**step),)))
    assert answers[0] == ""
    assert set(answers[5:]) == {"down"}
    assert trend.of((replace(RUN, step=60, loss=9.0),)) == "up"
    assert trend.of((replace(RUN, state="finished"),)) == ""
    assert EMPTY_PULSE.trend == ""
