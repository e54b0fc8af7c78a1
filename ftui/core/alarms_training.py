"""Alarms about the training itself: loss, gradient, validation, schedule.

A training loss is noisy: whatever compares two stretches of it does so against the noise measured in the run.
"""

from __future__ import annotations

import math
from statistics import median

from ftui.core.vitals import Alarm, Change, Unchecked, Vitals, column, finite, noise

_WINDOW = 10  # steps that make a stretch whose median is taken for the level of the loss
_ENOUGH = 40  # steps before a trend is judged
_RATE = "training.learning_rate"
_USUAL_CLIP = 1.0
_USUAL_RATE, _HIGH_RATE = 2e-4, 2e-3  # of adapters; above the latter nothing is learned that lasts


def not_a_number(vitals: Vitals) -> Alarm | None:
    """NaN or infinity in the loss or the gradient norm of a step.

    Not a gradient that overflowed float16: its update was left out and the loss scale lowered.
    """
    steps = column(vitals.steps, "step")
    overflows = vitals.steps.get("overflows", ())
    for name in ("loss", "grad_norm"):
        for at, (step, value) in enumerate(zip(steps, vitals.steps.get(name, ()), strict=False)):
            if name == "grad_norm" and at < len(overflows) and overflows[at] > 0:
                continue
            if not math.isfinite(value):
                # A missing figure reads NaN as well: only a column that is otherwise there counts.
                if math.isnan(value) and not any(math.isfinite(v) for v in vitals.steps[name]):
                    break
                return Alarm(
                    "not-a-number",
                    "error",
                    f"{_word(name)} is {value} at step {step:.0f}: the weights may be lost",
                    "stop, and resume from a checkpoint before it with half the learning rate",
                    "stop_now",
                    int(step),
                    Change(_RATE, factor=0.5),
                )
    return None


def zero(vitals: Vitals) -> Alarm | None:
    """A loss of exactly 0, or no gradient at all: nothing is trained."""
    steps = column(vitals.steps, "step")
    for name, what in (
        ("loss", "no token is trained: the mask or the template leaves nothing"),
        ("grad_norm", "no gradient reaches the adapter"),
    ):
        values = vitals.steps.get(name, ())
        last = [(x, y) for x, y in zip(steps, values, strict=False) if not math.isnan(y)][-3:]
        if len(last) == 3 and all(y == 0 for _, y in last):
            return Alarm(
                "zero",
                "error",
                f"{_word(name)} is exactly 0 for three steps: {what}",
                "stop, and look at rows in the token X-ray of the Data pane",
                "stop",
                int(last[0][0]),
                Change("data.train_on"),
            )
    return None


def divergence(vitals: Vitals) -> Alarm | None:
    """The loss climbs far above the lowest level it had reached."""
    xs, ys = finite(vitals.steps, "loss", 2 * _WINDOW)
    levels = [median(ys[at : at + _WINDOW]) for at in range(0, len(ys) - _WINDOW + 1, _WINDOW // 2)]
    now = median(ys[-_WINDOW:])
    best = min(levels)
    at = levels.index(best) * (_WINDOW // 2)
    if now > 1.5 * best + 0.1 and now - best > 6 * noise(ys):
        return Alarm(
            "divergence",
            "error",
            f"the loss went up from {best:.3g} to {now:.3g} since step {xs[at]:.0f}",
            "stop; go on from an earlier checkpoint with a third of the learning rate",
            "stop",
            int(xs[at]),
            Change(_RATE, factor=1 / 3),
        )
    return None


def gradient_spike(vitals: Vitals) -> Alarm | None:
    """One of the last gradients is many times what gradients were before.

    Below half of what gradients are clipped to (or commonly are) it is noise; a clipped one does little harm.
    """
    xs, ys = finite(vitals.steps, "grad_norm", 2 * _WINDOW)
    recent = 5
    before = ys[-10 * _WINDOW : -recent]
    usual = median(before)
    spread = median([abs(y - usual) for y in before]) * 1.4826
    for x, y in list(zip(xs, ys, strict=True))[-recent:]:
        if usual > 0 and y > max(10 * usual, usual + 10 * spread, (vitals.clip or _USUAL_CLIP) / 2):
            clips = vitals.clip > 0
            return Alarm(
                "gradient-spike",
                "hint" if clips else "warning",
                f"the gradient norm is {y:.3g} at step {x:.0f}, {y / usual:.0f} times the usual {usual:.2g}",
                f"larger ones than {vitals.clip:.3g} are clipped; look at that step's rows if it returns"
                if clips
                else "look at that step's rows; clip gradients with training.max_grad_norm",
                "recipe",
                int(x),
                Change("training.max_grad_norm", factor=0.5)
                if clips
                else Change("training.max_grad_norm", value=_USUAL_CLIP),
            )
    return None


def no_progress(vitals: Vitals) -> Alarm | None:
    """After a good part of the run the loss is where it began."""
    xs, ys = finite(vitals.steps, "loss", _ENOUGH)
    if vitals.total_steps and xs[-1] < 0.15 * vitals.total_steps:
        raise Unchecked("too early to tell")
    first, now = median(ys[:_WINDOW]), median(ys[-_WINDOW:])
    best = min(median(ys[at : at + _WINDOW]) for at in range(0, len(ys) - _WINDOW + 1, _WINDOW // 2))
    if now > 1.5 * best + 0.1:
        return None  # it did learn, and lost it: `divergence` says so
    if first - now <= max(0.02 * abs(first), noise(ys) / 2) and now <= 1.5 * first + 0.1:
        rate = max((x for x in vitals.steps.get("learning_rate", ()) if math.isfinite(x)), default=0.0)
        high = rate > _HIGH_RATE
        return Alarm(
            "no-progress",
            "warning",
            f"the loss is {now:.3g} after {xs[-1]:.0f} steps; it began at {first:.3g}",
            f"{f'lower the learning rate, {rate:.2g}' if high else 'raise the learning rate'}"
            " (an adapter likes 1e-4 to 4e-4, preference training 5e-6 to 5e-5), or check what is trained in the"
            " token X-ray",
            "recipe",
            change=Change(_RATE, factor=_USUAL_RATE / rate if high else 3.0),
        )
    return None


def overfitting(vitals: Vitals) -> Alarm | None:
    """The validation loss rises, twice in a row, while the training loss still falls."""
    xs, ys = finite(vitals.evals, "eval_loss", 3, "evaluations")
    best = min(range(len(ys)), key=ys.__getitem__)
    after = ys[best:]
    if len(after) < 3 or not after[-1] > after[0] * 1.03 or not after[-1] >= after[-2] > after[0]:
        return None
    steps, losses = finite(vitals.steps, "loss", 2)
    past = [y for x, y in zip(steps, losses, strict=True) if x <= xs[best]][-_WINDOW:]
    since = [y for x, y in zip(steps, losses, strict=True) if x > xs[best]][-_WINDOW:]
    if not past or not since or median(since) >= median(past):
        return None
    return Alarm(
        "overfitting",
        "warning",
        f"the validation loss was lowest, {ys[best]:.3g}, at step {xs[best]:.0f} and is {ys[-1]:.3g} now,"
        " while the training loss still falls",
        f"stop, and use the checkpoint of step {xs[best]:.0f}; evaluation.early_stopping = 2 does so by itself",
        "stop",
        int(xs[best]),
        Change("evaluation.early_stopping", value=2),
    )


def plateau(vitals: Vitals) -> Alarm | None:
    """It learned, and has stopped learning long before the end."""
    xs, ys = finite(vitals.steps, "loss", 5 * _ENOUGH)
    if vitals.total_steps and xs[-1] > 0.8 * vitals.total_steps:
        return None  # the end of the schedule is meant to be flat
    third = len(ys) // 3
    earlier, later = ys[-2 * third : -third], ys[-third:]
    first, before, now = median(ys[:_WINDOW]), median(earlier), median(later)
    if first - before < 0.1 * abs(first):
        return None  # it never learned: `no_progress` says so
    # Medians of n noisy values are uncertain by 1.25 s / sqrt(n).
    uncertain = 3 * 1.25 * noise(ys) * math.sqrt(2 / third)
    if before - now < max(0.005 * abs(before), min(uncertain, 0.01 * abs(before))) and now < 1.1 * before:
        return Alarm(
            "plateau",
            "hint",
            f"the loss has stayed near {now:.3g} since step {xs[-third]:.0f}",
            "more steps of the same may add nothing: more or better rows, or a higher rank, might",
            "stop",
            int(xs[-third]),
            Change("adapter.rank", factor=2.0),
        )
    return None


def learning_rate_spent(vitals: Vitals) -> Alarm | None:
    """The schedule has reached zero and the run goes on."""
    if not vitals.active:
        return None
    xs, rates = finite(vitals.steps, "learning_rate", _WINDOW)
    highest = max(rates)
    spent = 0
    while spent < len(rates) and rates[-1 - spent] < 1e-3 * highest:
        spent += 1
    left = vitals.total_steps - xs[-1] if vitals.total_steps else 0
    if spent >= 3 and left >= max(3, 0.02 * vitals.total_steps):
        return Alarm(
            "learning-rate-spent",
            "hint",
            f"the learning rate is {rates[-1]:.1g} with {left:.0f} steps to go: they change nothing",
            "stop here; a longer schedule is a new run",
            "stop",
            int(xs[-spent]),
        )
    return None


def _word(name: str) -> str:
    return {"loss": "the loss", "grad_norm": "the gradient norm"}[name]
