"""`v` in the Recipe pane: two real steps are tried, and what they took is shown before the whole run."""

from __future__ import annotations

import threading

import pytest

from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe
from ftui.runs.recipes import save_recipe
from ftui.runs.trial import Trial
from ftui.ui.modals import try_recipe
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.panes import app_on, shown, still_machine, until

assert still_machine  # a fixture

ROW = {"messages": [{"role": "user", "content": "where?"}, {"role": "assistant", "content": "on its way"}]}
GIB = 1024**3
RUNS = Trial(
    ok=True, peak=9 * GIB, expected=8 * GIB, memory=24 * GIB, micro_batch=4, losses=(2.5, 2.25), eval_loss=2.3,
    tokens_per_second=1900, step_seconds=2, steps=300, checkpoint_bytes=2**26, rows=360, left_out=2, seconds=41,
)  # fmt: skip


@pytest.fixture(autouse=True)
def written(workspace, write_rows):
    write_rows([ROW] * 40)
    save_recipe(
        workspace.recipes / "tickets.toml",
        Recipe().with_values(
            {"name": "tickets", "data.train": "datasets/tickets.jsonl", "quantization.bits": 16}
        ),
    )


async def open_pane(pilot):
    await until(pilot, lambda: getattr(pilot.app.screen, "_around", None))
    await pilot.pause()


def answer(monkeypatch, outcome):
    def try_out(workspace, recipe, path, *, tell, cancelled):
        tell("train", 1, 2)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(try_recipe, "try_out", try_out)


async def test_v_says_what_two_steps_took(workspace, monkeypatch):
    answer(monkeypatch, RUNS)
    async with app_on(workspace, "recipe").run_test(size=(80, 24)) as pilot:
        await open_pane(pilot)
        await pilot.press("v")
        await shown(pilot, "✓ it runs", "9.0 GiB at its peak of 24", "8.0 GiB expected", "2.500 → 2.250")
        await shown(pilot, "300 steps, 10m00s at most", "r runs it")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, try_recipe.TryRecipe))


async def test_r_then_starts_the_run(workspace, monkeypatch):
    answer(monkeypatch, RUNS)
    async with app_on(workspace, "recipe").run_test(size=(80, 24)) as pilot:
        await open_pane(pilot)
        ran = []
        monkeypatch.setattr(type(pilot.app.screen), "action_run", lambda self: ran.append(True))
        await pilot.press("v")
        await shown(pilot, "it runs")
        await pilot.press("r")
        await until(pilot, lambda: ran)


@pytest.mark.parametrize(
    "outcome",
    [
        Trial(ok=False, problem=f"out of memory {HOSTILE}", hint="lower data.max_length"),
        FtuiError(f"out of memory {HOSTILE}", "lower data.max_length"),
    ],
)
async def test_a_recipe_that_would_fail_says_why_and_offers_no_run(workspace, monkeypatch, outcome):
    answer(monkeypatch, outcome)
    app = capture(app_on(workspace, "recipe"))
    async with app.run_test(headless=False, size=(80, 24)) as pilot:
        await open_pane(pilot)
        await pilot.press("v")
        text = await shown(pilot, "✗ out of memory", "lower data.max_length", "esc closes")
        assert "r runs it" not in text
        assert_harmless(output_of(app))


async def test_esc_stops_a_trial_under_way(workspace, monkeypatch):
    stopped = threading.Event()

    def try_out(workspace, recipe, path, *, tell, cancelled):
        tell("load", 1, 2)
        while not cancelled():
            stopped.wait(0.01)
        stopped.set()

    monkeypatch.setattr(try_recipe, "try_out", try_out)
    async with app_on(workspace, "recipe").run_test(size=(80, 24)) as pilot:
        await open_pane(pilot)
        await pilot.press("v")
        await shown(pilot, "load", "1 of 2", "esc stops")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, try_recipe.TryRecipe))
        assert stopped.is_set()
