"""A person is told once of what happens to their runs, in a way that nothing in a run's name can abuse."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.core.errors import FtuiError
from ftui.core.vitals import Alarm
from ftui.runs.rundir import EventWriter, RunDir
from ftui.runs.state import RunSummary
from ftui.runs.told import claim, remembered
from ftui.runs.watch import Watch
from ftui.ui import notify_command
from ftui.ui.app import FtuiApp
from ftui.ui.notifier import Herald
from ftui.ui.notify_command import arguments, run_command
from ftui.ui.pulse import Pulse
from ftui.ui.settings import Notify, Settings, load_settings
from ftui.ui.terminal_notes import plain, sequences
from tests.ui.capture import HOSTILE, capture, output_of
from tests.ui.panes import shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import finish, make_run, make_workspace, write_steps

if TYPE_CHECKING:
    from pathlib import Path

RUN = RunSummary("tickets-1", "tickets", "running", attempts=1)
NAN = Alarm("not-a-number", "error", "the loss is nan at step 7", "stop")
PLATEAU = Alarm("plateau", "hint", "flat", "more rows")
ESC = "\x1b"


# -- what is news ------------------------------------------------------------------------------------


def news(herald: Herald, *runs: RunSummary, **alarms: tuple[Alarm, ...]) -> list[str]:
    found = herald.news(Pulse(runs, alarms={name.replace("_", "-"): value for name, value in alarms.items()}))
    return [one.what for one in found]


def test_an_alarm_is_news_once_and_a_hint_never():
    herald = Herald()
    assert news(herald, RUN, tickets_1=(NAN, PLATEAU)) == ["not-a-number"]
    assert news(herald, RUN, tickets_1=(NAN,)) == []
    assert news(herald, RUN) == []
    assert news(herald, RUN, tickets_1=(NAN,)) == []
    assert news(herald, replace(RUN, attempts=2), tickets_1=(NAN,)) == ["not-a-number"]


@pytest.mark.parametrize("state", ["finished", "stopped", "failed", "crashed"])
def test_the_end_of_a_run_seen_at_work_is_news_once(state):
    herald = Herald()
    ended = replace(RUN, state=state, reason="out of memory")
    assert news(herald, RUN) == []
    assert news(herald, ended) == ["ended"]
    assert news(herald, ended) == []


def test_runs_that_had_ended_before_are_no_news():
    assert news(Herald(), replace(RUN, state="finished"), replace(RUN, id="other", state="crashed")) == []


def test_one_screen_tells_for_all_and_for_good(tmp_path):
    rundir = RunDir(tmp_path)
    assert claim(rundir, 1, "plateau")
    assert not claim(rundir, 1, "plateau")
    assert claim(rundir, 2, "plateau")
    assert claim(rundir, 1, "ended")
    assert not claim(RunDir(tmp_path / "gone"), 1, "ended")


# -- how it reaches a terminal -----------------------------------------------------------------------


def test_a_terminal_is_sent_what_it_understands():
    assert sequences("t", "m", "auto", {"KITTY_WINDOW_ID": "1"}) == f"{ESC}]9;t: m\a"
    assert sequences("t", "m", "auto", {"VTE_VERSION": "7600"}) == f"{ESC}]777;notify;t;m\a"
    assert sequences("t", "m", "auto", {"TERM": "foot"}) == f"{ESC}]777;notify;t;m\a"
    assert sequences("t", "m", "auto", {"TERM": "linux"}) == ""
    assert sequences("t", "m", "off", {"KITTY_WINDOW_ID": "1"}) == ""
    both = sequences("t", "m", "auto", {"TERM": "xterm-256color"})
    assert both.count(f"{ESC}]") == 2


def test_it_passes_through_tmux_and_screen():
    inner = f"{ESC}]9;t: m\a"
    assert sequences("t", "m", "osc9", {"TMUX": "/tmp/x,1,0"}) == f"{ESC}Ptmux;{ESC}{inner}{ESC}\\"
    assert sequences("t", "m", "osc9", {"STY": "1.pts"}) == f"{ESC}P{inner}{ESC}\\"


@given(st.text() | st.just(HOSTILE), st.text() | st.just(HOSTILE))
def test_nothing_in_a_name_ends_the_sequence_or_begins_another(title, message):
    sent = sequences(title, message, "both", {})
    assert sent.count(ESC) == 2
    assert sent.count("\a") == 2
    assert sent.count(";") == 1 + 3
    assert not set(map(chr, [*range(7), *range(8, 0x1B), *range(0x1C, 0x20), *range(0x7F, 0xA0)])) & set(sent)


# -- the user's command ------------------------------------------------------------------------------


def test_the_command_gets_title_and_message_as_words_of_their_own():
    assert arguments("notify-send {title} 'it says: {message}'", "a b", "$(rm -rf) `x`; {title}") == [
        "notify-send", "a b", "it says: $(rm -rf) `x`; {title}",
    ]  # fmt: skip


@given(st.text() | st.just(HOSTILE))
def test_no_text_becomes_an_option_or_a_control_byte(text):
    (_, word) = arguments("x {message}", "t", text)
    assert not word.startswith("-")
    assert plain(word) == word


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("no-such-program {title}", "did not run: No such file"),
        ("'unclosed", "quotes"),
        (f"{sys.executable} -c 'raise SystemExit(3)'", "ended with 3"),
    ],
)
def test_a_command_that_fails_says_why(command, words):
    with pytest.raises(FtuiError) as caught:
        run_command(command, "t", "m")
    assert words in str(caught.value)


def test_a_command_that_hangs_is_ended_or_left_behind_when_nobody_waits_any_more(monkeypatch):
    sleeper = f"{sys.executable} -c 'import time; time.sleep(60)'"
    run_command(f"{sys.executable} -c 'import time; time.sleep(2)'", "t", "m", lambda: True)
    monkeypatch.setattr(notify_command, "_SECONDS", 0.0)
    with pytest.raises(FtuiError, match="took more than"):
        run_command(sleeper, "t", "m")


# -- settings ----------------------------------------------------------------------------------------


def test_how_to_be_told_is_a_setting(tmp_path):
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "settings.toml"
    assert load_settings().notify == Notify()
    file.write_text('[notify]\nbell = false\nterminal = "osc9"\ncommand = "say {message}"\n')
    assert load_settings().notify == Notify(bell=False, terminal="osc9", command="say {message}")
    file.write_text('[notify]\nbell = 1\nterminal = "loud"\nsound = true\n')
    loaded = load_settings()
    assert loaded.notify == Notify()
    assert [
        word for problem in loaded.problems for word in ("bell", "terminal is", "sound") if word in problem
    ]
    assert len(loaded.problems) == 3


# -- the whole way -----------------------------------------------------------------------------------


def diverging(workspace, name: str = "tickets"):
    rundir = make_run(workspace, name)
    with EventWriter(rundir, 1) as writer:
        write_steps(writer, 1, 20, 600)
        writer.emit("step", step=21, steps=600, loss=float("nan"), grad_norm=1.0, learning_rate=1e-4)
    return rundir


def test_the_doctor_looks_at_every_run_at_work(tmp_path):
    from ftui.runs.state import list_runs

    workspace = make_workspace(tmp_path / "ws")
    ill, well = diverging(workspace), make_run(workspace, "healthy")
    with EventWriter(well, 1) as writer:
        write_steps(writer, 1, 20, 600)
    found = Watch().look(list_runs(workspace))
    assert found.keys() == {ill.id}
    assert found[ill.id][0].check == "not-a-number"


@pytest.mark.usefixtures("still_machine")
async def test_another_pane_hears_of_it_once_and_the_command_runs(tmp_path: Path):
    workspace, heard = make_workspace(tmp_path / "ws"), tmp_path / "heard"
    command = (
        f"{sys.executable} -c 'import sys; open(sys.argv[1], \"a\").write(sys.argv[2])' {heard} {{message}}"
    )
    settings = Settings(notify=Notify(terminal="osc9", command=command))
    rundir = diverging(workspace, "tick\x1b]52;c;x\x07ets")
    app = capture(FtuiApp(workspace, mode="chat", settings=settings))
    async with app.run_test(headless=False, size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "press 3 to look")
        await until(pilot, heard.exists)
        await until(pilot, lambda: f"{ESC}]9;ftui: look at a run: " in output_of(app))
        finish(rundir, "failed", reason="out of memory")
        await until(pilot, lambda: f"{ESC}]9;ftui: run failed" in output_of(app))
    assert output_of(app).count("the loss is nan at step 21: the weights may be lost\a") == 1
    assert f"{ESC}]52" not in output_of(app)
    # Another screen on the same workspace stays silent about what was told.
    again = capture(FtuiApp(workspace, mode="chat", settings=settings))
    async with again.run_test(headless=False, size=(120, 36)) as pilot:
        await until(pilot, lambda: again.pulse.runs)
        await pilot.pause()
    assert f"{ESC}]9;" not in output_of(again)
    assert heard.read_text().count("the loss is nan") == 1


@pytest.mark.usefixtures("still_machine")
async def test_a_command_that_fails_is_said_once(tmp_path: Path):
    workspace = make_workspace(tmp_path / "ws")
    rundir = diverging(workspace)
    settings = Settings(notify=Notify(bell=False, terminal="off", command="no-such-program"))
    app = FtuiApp(workspace, mode="train", settings=settings)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await shown(pilot, "notify.command did not run")
        finish(rundir, "failed", reason="out of memory")
        await until(pilot, (rundir.path / "told" / "1-ended").exists)
        assert sum("notify.command" in text for text in app._told) == 1
    # What was told is known for good: the run's own figures may not say it.
    assert [alarm.check for alarm in remembered(rundir)] == ["not-a-number"]
