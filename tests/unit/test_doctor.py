"""The run doctor: each alarm has a history that sets it off and a near miss that does not."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.core.doctor import CHECKS, examine
from ftui.core.vitals import GpuFigures, Vitals
from ftui.runs.history import History
from ftui.runs.past_alarms import PastAlarms
from ftui.runs.rundir import RunDir

RECORDED = sorted((Path(__file__).parent / "recorded_runs").glob("*.jsonl"))


def falling(
    count: int, start: float = 4.0, end: float = 1.0, noise: float = 0.1, seed: int = 0
) -> list[float]:
    """A healthy training loss: an exponential fall with noise."""
    random_ = random.Random(seed)
    return [end + (start - end) * math.exp(-4 * n / count) + random_.gauss(0, noise) for n in range(count)]


def run(losses: list[float], total: int = 0, evals: dict[int, float] | None = None, **columns) -> Vitals:
    count = len(losses)
    steps = {
        "step": [float(n + 1) for n in range(count)],
        "loss": losses,
        "grad_norm": [1.0 + 0.1 * (n % 3) for n in range(count)],
        "learning_rate": [1e-4] * count,
        "step_time": [1.0] * count,
        "tokens_per_second": [2000.0 + 10 * (n % 5) for n in range(count)],
    }
    others = {name: columns.pop(name) for name in list(columns) if name in (*steps, "data_time", "overflows")}
    told = {"step": list(map(float, evals)), "eval_loss": list(evals.values())} if evals else {}
    return Vitals(
        steps={**steps, **others}, evals=told, total_steps=total or 2 * count, silence=1.0, **columns
    )


def alarms(vitals: Vitals) -> set[str]:
    return {alarm.check for alarm in examine(vitals).alarms}


def with_last(values: list[float], *last: float) -> list[float]:
    return [*values[: -len(last)], *last]


GPU = {"utilization": [95.0] * 60, "throttle": [()] * 60, "memory": [70e9] * 60, "memory_total": 80e9}
HEALTHY = falling(200)
LATE_EVALS = {0: 4.0, 50: 2.0, 100: 1.5, 150: 1.6, 200: 1.8}

# check: (a history that sets it off, one that nearly does)
CASES = {
    "not-a-number": (run(with_last(HEALTHY, math.nan)), run(with_last(HEALTHY, 30.0))),
    "zero": (run(with_last(HEALTHY, 0.0, 0.0, 0.0)), run(with_last(HEALTHY, 0.0, 1e-7, 0.0))),
    "divergence": (
        run([*falling(100), *[3.0 + 0.1 * (n % 3) for n in range(20)]]),
        run([*falling(100), *[1.4 + 0.1 * (n % 3) for n in range(20)]]),
    ),
    "gradient-spike": (
        run(HEALTHY, clip=0.0, grad_norm=with_last([1.0 + 0.1 * (n % 3) for n in range(200)], 40.0, 1.0)),
        run(HEALTHY, grad_norm=with_last([1.0 + 0.1 * (n % 3) for n in range(200)], 8.0, 1.0)),
    ),
    "no-progress": (
        run([4.0 + random.Random(1).gauss(0, 0.1) for _ in range(120)]),
        run(falling(120, 4.0, 3.3)),
    ),
    "overfitting": (
        run(HEALTHY, evals=LATE_EVALS),
        run(HEALTHY, evals={**LATE_EVALS, 150: 1.51, 200: 1.5}),
    ),
    "plateau": (
        run([*falling(200), *[1.05 + 0.1 * math.sin(n) for n in range(300)]], total=1000),
        run(falling(500, 4.0, 0.4), total=1000),
    ),
    "step-time-cliff": (
        run(HEALTHY, tokens_per_second=[2000.0] * 188 + [700.0] * 12),
        run(HEALTHY, tokens_per_second=[2000.0] * 188 + [1200.0] * 12),
    ),
    "loader-bound": (run(HEALTHY, data_time=[0.4] * 200), run(HEALTHY, data_time=[0.1] * 200)),
    "stalled": (
        Vitals(steps=run(HEALTHY).steps, silence=400.0),
        Vitals(steps={**run(HEALTHY).steps, "step_time": [100.0] * 200}, silence=400.0),
    ),
    "gpu-idle": (
        run(HEALTHY, gpu=GpuFigures(**{**GPU, "utilization": [15.0] * 60})),
        run(HEALTHY, gpu=GpuFigures(**{**GPU, "utilization": [15.0, 95.0, 95.0] * 20})),
    ),
    "throttled": (
        run(HEALTHY, gpu=GpuFigures(**{**GPU, "throttle": [("too hot (driver)",)] * 60})),
        run(HEALTHY, gpu=GpuFigures(**{**GPU, "throttle": [("too hot (driver)",), (), ()] * 20})),
    ),
    "memory-near-limit": (
        run(HEALTHY, gpu=GpuFigures(**{**GPU, "memory": [79e9] * 60})),
        run(HEALTHY, gpu=GpuFigures(**{**GPU, "memory": [76e9] * 60})),
    ),
    "disk-nearly-full": (
        run(HEALTHY, disk_free=1.5e9, checkpoint_bytes=1e9),
        run(HEALTHY, disk_free=2.5e9, checkpoint_bytes=1e9),
    ),
    "learning-rate-spent": (
        run(HEALTHY, learning_rate=[1e-4] * 190 + [0.0] * 10, total=400),
        run(HEALTHY, learning_rate=[1e-4] * 190 + [0.0] * 10, total=201),
    ),
}  # fmt: skip


def test_every_check_has_its_cases():
    assert CASES.keys() == CHECKS.keys()


def test_a_float16_overflow_is_no_alarm_but_the_same_gradient_elsewhere_is():
    norms = [math.inf, math.inf, *[1.0 + 0.1 * (n % 3) for n in range(198)]]
    overflowed = run(HEALTHY, grad_norm=norms, overflows=[1.0, 1.0, *[0.0] * 198])
    assert "not-a-number" not in alarms(overflowed)
    assert "not-a-number" in alarms(run(HEALTHY, grad_norm=norms))


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_said_once_with_what_to_do(name):
    found = [alarm for alarm in examine(CASES[name][0]).alarms if alarm.check == name]
    assert len(found) == 1
    assert found[0].message
    assert found[0].hint


@pytest.mark.parametrize("name", CASES)
def test_a_near_miss_is_no_alarm(name):
    assert name not in alarms(CASES[name][1])


@pytest.mark.parametrize("seed", range(20))
def test_healthy_runs_of_any_noise_raise_nothing(seed):
    noise = 0.02 + 0.02 * seed
    vitals = run(
        falling(300, noise=noise, seed=seed), total=300, evals={0: 4.0, 100: 1.8, 200: 1.3, 300: 1.2},
        gpu=GpuFigures(**GPU), disk_free=1e12, checkpoint_bytes=1e9, data_time=[0.01] * 300,
    )  # fmt: skip
    for upto in (5, 25, 60, 150, 250, 300):
        part = Vitals(
            steps={name: values[:upto] for name, values in vitals.steps.items()},
            evals=vitals.evals, total_steps=300, silence=1.0, gpu=vitals.gpu, disk_free=1e12,
            checkpoint_bytes=1e9,
        )  # fmt: skip
        assert not alarms(part), upto


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_recorded_healthy_runs_raise_nothing_at_any_moment(path, tmp_path):
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for upto in range(1, len(events) + 1):
        history = History()
        history.feed(events[:upto])
        steps = {name: history.steps.column(name) for name in history.steps.names}
        evals = {name: history.evals.column(name) for name in history.evals.names}
        total = int((history.plan or {}).get("steps", 0))
        assert not alarms(Vitals(steps=steps, evals=evals, total_steps=total, silence=1.0))
        assert not PastAlarms().look(RunDir(tmp_path), history, ()), upto


def test_there_are_recorded_runs():
    assert len(RECORDED) >= 3


def test_what_could_not_be_checked_is_listed_with_the_reason():
    unchecked = dict(examine(Vitals()).unchecked)
    assert unchecked["not-a-number"]
    assert unchecked["disk-nearly-full"] == "the disk does not tell its free space"
    assert unchecked["throttled"] == "no GPU figures"


def test_a_gradient_of_exactly_zero_is_as_bad_as_such_a_loss():
    norms = [1.0 + 0.1 * (n % 3) for n in range(200)]
    (alarm,) = examine(run(HEALTHY, grad_norm=with_last(norms, 0.0, 0.0, 0.0))).alarms
    assert alarm.check == "zero"
    assert "no gradient reaches the adapter" in alarm.message
    assert not alarms(run(HEALTHY, grad_norm=with_last(norms, 0.0, 1e-7, 0.0)))


def test_a_disk_that_took_no_checkpoint_is_an_alarm_before_the_size_of_one_is_known():
    refused = "the checkpoint of step 4 could not be saved: the disk is full"
    (alarm,) = examine(run(HEALTHY, refused=refused)).alarms
    assert (alarm.check, alarm.message) == ("disk-nearly-full", refused)
    assert not alarms(run(HEALTHY, refused=refused, active=False))


def test_an_ended_run_is_not_stalled():
    assert not alarms(Vitals(steps=run(HEALTHY).steps, active=False, silence=1e6))


def test_a_loss_that_stays_is_put_down_to_the_learning_rate_there_is():
    flat = [4.0 + random.Random(1).gauss(0, 0.1) for _ in range(120)]
    (usual,) = [alarm for alarm in examine(run(flat)).alarms if alarm.check == "no-progress"]
    assert usual.hint.startswith("raise")
    assert usual.change.factor == 3.0
    (high,) = [
        alarm
        for alarm in examine(run(flat, learning_rate=[0.5] * 120)).alarms
        if alarm.check == "no-progress"
    ]
    assert high.hint.startswith("lower the learning rate, 0.5")
    assert 0.5 * high.change.factor == pytest.approx(2e-4)


def test_a_run_that_learned_and_lost_it_has_diverged_and_nothing_else():
    losses = [*falling(100), *[4.0 + 0.1 * (n % 3) for n in range(20)]]
    assert alarms(run(losses)) == {"divergence"}


@pytest.mark.parametrize("name", CASES)
def test_what_one_key_would_change_is_a_field_of_the_recipe(name):
    from ftui.core.recipe import known_field

    for alarm in examine(CASES[name][0]).alarms:
        if alarm.action == "recipe":
            assert alarm.change is not None
        if alarm.change is not None:
            assert known_field(alarm.change.field)


def test_the_gravest_comes_first():
    losses = with_last(HEALTHY, math.nan)
    found = examine(run(losses, gpu=GpuFigures(**{**GPU, "memory": [79e9] * 60}))).alarms
    assert [alarm.severity for alarm in found] == ["error", "hint"]


NUMBERS = st.lists(st.floats(width=32), max_size=60)


@given(
    st.dictionaries(st.sampled_from(["loss", "grad_norm", "step_time", "learning_rate"]), NUMBERS), NUMBERS
)
def test_no_figures_whatever_make_it_fail(columns, evals):
    count = max(map(len, columns.values()), default=0)
    steps = {"step": [float(n) for n in range(count)]} | columns
    examine(Vitals(steps=steps, evals={"step": [float(n) for n in range(len(evals))], "eval_loss": evals}))


# -- what has to be said of a gradient ---------------------------------------------------------------


def spike(size: float, usual: float = 1.0, **words):
    norms = with_last([usual * (1 + 0.1 * (n % 3)) for n in range(200)], size, usual)
    found = examine(run(HEALTHY, grad_norm=norms, **words)).alarms
    return next((alarm for alarm in found if alarm.check == "gradient-spike"), None)


def test_a_clipped_gradient_is_a_hint_and_one_far_below_the_clip_is_noise():
    assert spike(40.0).severity == "hint"
    assert spike(0.05, 0.0035) is None
    assert spike(0.05, 0.0035, clip=0.0) is None
    assert spike(0.05, 0.0035, clip=0.05).severity == "hint"


def test_where_nothing_is_clipped_clipping_is_proposed_rather_than_half_of_nothing():
    found = spike(40.0, clip=0.0)
    assert found.severity == "warning"
    assert (found.change.value, found.change.factor) == (1.0, 0.0)


def test_too_few_evaluations_are_called_so():
    unchecked = dict(examine(run(HEALTHY, evals={0: 4.0, 50: 2.0})).unchecked)
    assert unchecked["overfitting"] == "fewer than 3 evaluations"
