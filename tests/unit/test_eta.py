"""The time a run still takes: by its recent steps, with what interrupts them, and nothing before it can be known."""

from __future__ import annotations

import math

import pytest

from ftui.cli.run_text import event_line
from ftui.core.eta import Pace
from ftui.core.recipe import Recipe
from ftui.runs.pace import Clock
from ftui.runs.rundir import RunDir


def step(seconds: float) -> dict[str, object]:
    return {"type": "step", "step_time": seconds}


def fed(*events: dict[str, object], evaluate_every: int = 0, save_every: int = 0) -> Pace:
    pace = Pace(evaluate_every, save_every)
    pace.feed(events)
    return pace


def test_nothing_is_said_before_three_steps_are_known():
    for count in (0, 1, 2):
        assert fed(*[step(1.0)] * count).remaining(count, 100) is None
    assert fed(*[step(1.0)] * 3).remaining(3, 100) == 97.0


def test_a_slow_first_step_is_not_believed():
    assert fed(step(60.0), step(1.0), step(1.0)).remaining(3, 103) == pytest.approx(100.0)
    assert fed(*[step(60.0)] * 2, *[step(1.0)] * 20).remaining(22, 122) == pytest.approx(100.0)


def test_a_sample_of_no_step_is_taken_as_one():
    pace = fed({"type": "sample", "seconds": 2.0}, *[step(1.0)] * 3, save_every=50)
    assert pace.remaining(3, 100) == pytest.approx(97.0 + 2 * 2.0)


@pytest.mark.parametrize("step", [math.nan, math.inf, -math.inf, None, "7"])
def test_a_step_that_is_no_number_is_told_all_the_same(tmp_path, step):
    event = {"type": "step", "step": step, "steps": step, "step_time": 1.0}
    assert event_line(event, Clock(RunDir(tmp_path)).left(event)) == "step 0"


def test_only_the_newest_steps_count():
    assert fed(*[step(10.0)] * 500, *[step(1.0)] * 50).remaining(550, 650) == pytest.approx(100.0)


def test_steps_of_different_length_count_as_their_mean():
    assert fed(*[step(1.0), step(2.0), step(3.0)] * 20).remaining(60, 160) == pytest.approx(200.0, rel=0.05)


def test_evaluations_still_to_come_are_in_it_and_it_falls_evenly_past_them():
    """Every tenth step an evaluation of seven seconds: what is left falls by what has passed, at each step."""
    pace = fed({"type": "eval", "step": 0, "eval_seconds": 7.0}, evaluate_every=10)
    passed, ends = 0.0, []
    for number in range(1, 101):
        pace.feed([step(1.0)])
        passed += 1.0
        if number >= 3:
            left = pace.remaining(number, 100)
            assert left is not None
            ends.append(passed + left)
        if number % 10 == 0:
            pace.feed([{"type": "eval", "step": number, "eval_seconds": 7.0}])
            passed += 7.0
    assert ends == [pytest.approx(170.0)] * 98


def test_checkpoints_and_answers_count_from_the_first_of_them_on():
    steps = [step(1.0)] * 5
    assert fed(*steps, save_every=5).remaining(6, 20) == 14.0
    saved = {"type": "checkpoint", "step": 5, "seconds": 2.0}
    answers = [{"type": "sample", "step": 5, "seconds": seconds} for seconds in (3.0, 4.0)]
    assert fed(*steps, saved, *answers, save_every=5).remaining(6, 20) == 14.0 + 3 * (2.0 + 7.0)


def test_what_is_done_once_at_the_end_counts_once():
    steps = [step(1.0)] * 5
    answered = {"type": "sample", "step": 0, "seconds": 6.0}
    assert fed(answered, *steps).remaining(5, 20) == 15.0 + 6.0
    assert fed(answered, *steps, save_every=8).remaining(5, 20) == 15.0 + 3 * 6.0
    evaluated = {"type": "eval", "step": 0, "eval_seconds": 6.0}
    assert fed(evaluated, *steps).remaining(5, 20) == 15.0
    assert fed(evaluated, *steps, evaluate_every=8).remaining(20, 20) == 6.0


def test_figures_that_are_none_are_left_out():
    hostile = [math.nan, math.inf, -1.0, "5", None, [], 10**400]
    pace = fed(*[step(1.0)] * 4, *[step(value) for value in hostile], {"type": "eval"}, {}, evaluate_every=1)
    assert pace.remaining(4, 10) == 6.0


def test_whoever_follows_a_run_s_events_is_told_the_same(tmp_path):
    run = RunDir(tmp_path)
    recipe = Recipe().with_values({"evaluation.every": 10, "checkpoints.every": 0})
    run.recipe_path.write_text(recipe.to_toml())
    clock = Clock(run)
    assert clock.left({"type": "plan", "steps": 20}) is None
    assert clock.left({"type": "eval", "step": 0, "eval_seconds": 5.0}) is None
    told = [clock.left({**step(1.0), "step": number, "steps": 20}) for number in (1, 2, 3)]
    assert told == [None, None, 17.0 + 2 * 5.0]
    assert event_line({"type": "step", "step": 3, "steps": 20}, told[-1]) == "step 3/20  27s left"
    assert clock.left({"type": "step", "step": "3", "steps": None, "step_time": 1.0}) is None


def test_without_a_readable_recipe_the_steps_alone_are_counted(tmp_path):
    clock = Clock(RunDir(tmp_path))
    clock.left({"type": "plan", "steps": 20})
    assert [clock.left({**step(1.0), "step": n, "steps": 20}) for n in (1, 2, 3)][-1] == 17.0
