"""What was wrong with a run and is over: found in its figures, however long nobody was looking."""

from __future__ import annotations

import random

import pytest

from ftui.core.doctor import examine
from ftui.core.vitals import Vitals
from ftui.runs.examine import examine_run
from ftui.runs.history import History
from ftui.runs.past_alarms import PastAlarms
from ftui.runs.rundir import FREE_DISK, RunDir
from ftui.runs.told import claim
from tests.unit.test_doctor import CASES, HEALTHY, falling, run, with_last


def history_of(vitals: Vitals, history: History | None = None, first: int = 0) -> History:
    """A history of the same figures."""
    names = list(vitals.steps)
    rows = list(zip(*vitals.steps.values(), strict=True))[first:]
    history = history or History()
    history.feed([{"type": "plan", "steps": vitals.total_steps}])
    history.feed({"type": "step", **dict(zip(names, row, strict=True))} for row in rows)
    evals = zip(*vitals.evals.values(), strict=True) if not first else ()
    history.feed({"type": "eval", **dict(zip(vitals.evals, row, strict=True))} for row in evals)
    return history


def and_then(vitals: Vitals, **columns: list[float]) -> Vitals:
    """`vitals` and 200 more steps that are well."""
    count = len(vitals.steps["step"])
    usual = {name: [values[5]] * 200 for name, values in vitals.steps.items()}
    more = {**usual, "loss": falling(200, 0.95, 0.5, 0.02), "data_time": [0.01] * 200, **columns}
    steps = {name: [*values, *more[name]] for name, values in vitals.steps.items()}
    steps["step"] = [float(n + 1) for n in range(count + 200)]
    return Vitals(steps=steps, evals=vitals.evals, total_steps=1000, silence=1.0)


OVER = {
    "zero": (run(with_last(HEALTHY, 0.0, 0.0, 0.0)), 198),
    "zero gradient": (run(HEALTHY, grad_norm=with_last([1.0] * 200, 0.0, 0.0, 0.0)), 198),
    "divergence": (CASES["divergence"][0], 0),
    "gradient-spike": (CASES["gradient-spike"][0], 199),
    "step-time-cliff": (CASES["step-time-cliff"][0], 0),
    "loader-bound": (run(HEALTHY, data_time=[0.01] * 150 + [0.4] * 50), 0),
    "no-progress": (run([4.0 + random.Random(1).gauss(0, 0.1) for _ in range(200)]), 0),
    "plateau": (CASES["plateau"][0], 0),
}


@pytest.mark.parametrize("piecewise", [False, True], ids=["at once", "as it comes"])
@pytest.mark.parametrize("name", OVER)
def test_what_was_raised_is_kept_with_its_step_when_it_is_over(name, piecewise, tmp_path):
    vitals, step = OVER[name]
    name = name.split()[0]
    whole, past = and_then(vitals), PastAlarms()
    history = History()
    if piecewise:
        for upto in range(1, len(whole.steps["step"]) + 1):
            part = Vitals(steps={key: values[:upto] for key, values in whole.steps.items()}, total_steps=1000)
            past.look(RunDir(tmp_path), history_of(part, history, upto - 1), ())
    else:
        history_of(whole, history)
    now = examine(Vitals(steps=whole.steps, total_steps=1000, active=False)).alarms
    assert name not in {alarm.check for alarm in now}
    (kept,) = [alarm for alarm in past.look(RunDir(tmp_path), history, now) if alarm.check == name]
    assert 0 < kept.step <= len(vitals.steps["step"])
    assert not step or kept.step == step


def test_what_is_still_so_is_not_said_to_be_over(tmp_path):
    for name, (vitals, _) in CASES.items():
        history = history_of(vitals)
        now = examine(Vitals(steps=vitals.steps, evals=vitals.evals, total_steps=vitals.total_steps)).alarms
        past = PastAlarms().look(RunDir(tmp_path), history, now)
        assert not {one.check for one in past} & {one.check for one in now}, name


def test_validation_that_came_down_again_was_overfitting_once(tmp_path):
    history = history_of(
        run(HEALTHY, evals={0: 4.0, 40: 2.0, 80: 1.5, 110: 1.6, 140: 1.8, 170: 1.7, 200: 1.2})
    )
    (kept,) = [one for one in PastAlarms().look(RunDir(tmp_path), history, ()) if one.check == "overfitting"]
    assert kept.step == 80


def test_a_million_steps_are_gone_through_in_bounded_looks_and_the_newest_are_kept(tmp_path):
    count = 250_000
    norms = [1.0 + 0.1 * (n % 3) for n in range(count)]
    for at in (1_000, 99_999, 100_003, 180_000, 240_000):
        norms[at] = 50.0
    history = History()
    for first in range(0, count, 50_000):
        history.feed(
            {"type": "step", "step": n + 1, "loss": 1.0, "grad_norm": norms[n]}
            for n in range(first, first + 50_000)
        )
    past, looks = PastAlarms(), 1
    found = past.look(RunDir(tmp_path), history, ())
    while past.behind:
        found, looks = past.look(RunDir(tmp_path), history, ()), looks + 1
    assert looks == 3
    spikes = [one.step for one in found if one.check == "gradient-spike"]
    assert spikes == [240_001, 180_001, 100_000]


def test_steps_that_are_done_again_are_judged_again(tmp_path):
    past, vitals = PastAlarms(), and_then(CASES["gradient-spike"][0])
    history = history_of(vitals)
    assert past.look(RunDir(tmp_path), history, ())
    history.feed([{"type": "attempt", "step": 150}])
    again = {name: values[150:] for name, values in and_then(run(HEALTHY)).steps.items()}
    history_of(Vitals(steps=again, total_steps=1000), history)
    assert not past.look(RunDir(tmp_path), history, ())


def test_what_only_the_machine_knew_is_remembered_by_what_was_told(tmp_path):
    (hot,) = examine(CASES["throttled"][0]).alarms
    rundir = RunDir(tmp_path)
    assert claim(rundir, 1, hot.check, hot)
    assert claim(rundir, 1, "ended")
    assert PastAlarms().look(rundir, History(), ()) == (hot,)
    assert PastAlarms().look(rundir, History(), (hot,)) == ()
    for number, text in enumerate(("{", "[]", '{"check": 3}', '{"severity": []}', "\0", "null", "9" * 9000)):
        (tmp_path / "told" / f"2-damaged-{number}").write_text(text)
    assert PastAlarms().look(rundir, History(), ()) == (hot,)


def test_a_disk_that_was_full_is_known_from_what_the_trainer_told(tmp_path):
    rundir, history = RunDir(tmp_path), History()
    told = {"type": "notice", "level": "warning", "hint": FREE_DISK, "attempt": 1}
    full = "the checkpoint of step 4 could not be saved: the disk is full"
    history.feed([{"type": "attempt", "attempt": 1, "seq": 1}])
    history.feed([{**told, "message": full, "step": 4, "seq": 9}])
    now = examine_run(rundir, history, "running").alarms
    assert [(alarm.check, alarm.message) for alarm in now] == [("disk-nearly-full", full)]
    assert PastAlarms().look(rundir, history, now) == ()
    ended = examine_run(rundir, history, "finished").alarms
    (kept,) = PastAlarms().look(rundir, history, ended)
    assert (kept.check, kept.step, kept.message) == ("disk-nearly-full", 4, full)
    history.feed([{"type": "checkpoint", "attempt": 1, "step": 5, "bytes": 10, "seq": 11}])
    assert examine_run(rundir, history, "running").alarms == ()
    history.feed([{**told, "message": "3 events could not be written", "seq": 12}])
    assert examine_run(rundir, history, "running").alarms == ()
    assert [one.step for one in PastAlarms().look(rundir, history, ())] == [4, 0]
