"""Lengths in real tokens: the histogram, its cut-off, and the rows over it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.core.errors import ModelError
from ftui.core.recipe import Recipe
from ftui.runs.recipes import save_recipe
from ftui.ui.length_stats import LengthStats, edges, percent
from ftui.ui.widgets.length_histogram import LengthHistogram
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.data_rows import data_pane, ticket
from tests.ui.fake_encoder import FakeEncoder
from tests.ui.panes import app_on, screen_text, shown, still_machine, until  # noqa: F401

pytestmark = pytest.mark.usefixtures("still_machine")
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
UNDESIRABLE = {"prompt": "q", "completion": "bad one", "label": False}


@pytest.fixture
def fake(monkeypatch):
    FakeEncoder.reset()
    monkeypatch.setattr("ftui.ui.encoder_desk.Encoder", FakeEncoder)
    return FakeEncoder


def rows_of(*words):
    """Rows of so many words: each is that many tokens and eight more."""
    return [ticket(" ".join(["w"] * (count - 1)), "w") for count in words]


def recipe_for(workspace, path, **values):
    recipe = Recipe().with_values({"name": "r16", "model.base": "tiny", "data.train": str(path), **values})
    workspace.recipes.mkdir(exist_ok=True)
    save_recipe(workspace.recipes / "r16.toml", recipe)


async def lengths(pilot, *words) -> LengthHistogram:
    pane = await data_pane(pilot)
    await pilot.press("L")
    await shown(pilot, "p50", *words)
    return pane.histogram


async def test_percentiles_and_the_cost_of_a_cut_off_are_said(fake, workspace, write_rows):
    path = write_rows(rows_of(*[12] * 18, 32, 92))
    recipe_for(workspace, path, **{"data.max_length": 50, "data.overlong": "truncate"})
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        await lengths(pilot, "20 rows", "p50 20", "p95 40", "max 100", "tiny · max 50")
        await shown(pilot, "50 truncates 1 row, 5.0%, loses 10.0% of tokens")


async def test_a_recipe_that_drops_long_rows_loses_all_of_them(fake, workspace, write_rows):
    path = write_rows(rows_of(*[12] * 18, 32, 92))
    recipe_for(workspace, path, **{"data.max_length": 50})
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        await lengths(pilot, "50 drops 1 row, 5.0%, loses 20.0% of tokens")


async def test_the_cut_off_is_moved_typed_and_jumped_to_common_lengths(fake, workspace, write_rows):
    write_rows(rows_of(*range(10, 90), 1192))
    async with app_on(workspace, "data").run_test(size=(120, 40), notifications=True) as pilot:
        histogram = await lengths(pilot, "1,024 drops 1 row")
        await pilot.press("left")
        assert 800 < histogram.cut < 1024
        await pilot.press("right", "right")
        assert histogram.cut > 900
        histogram.set_cut(1024)
        await pilot.press("shift+left")
        assert histogram.cut == 512
        await pilot.press("shift+right", "right_square_bracket")
        assert histogram.cut == 2048
        await shown(pilot, "2,048 holds every row")
        await pilot.press("left")
        assert histogram.cut == 1200
        await pilot.press("g", *"60", "enter")
        await shown(pilot, "60 drops")
        await pilot.press("g", *"many", "enter")
        await shown(pilot, "many is no length")
        for _ in range(200):
            await pilot.press("left")
        assert histogram.cut == 8
        for _ in range(60):
            before = histogram.cut
            await pilot.press("right")
            assert histogram.cut > before


async def test_enter_shows_the_rows_over_the_cut_off(fake, workspace, write_rows):
    write_rows(rows_of(12, 60, 14, 70))
    async with app_on(workspace, "data").run_test(size=(120, 40), notifications=True) as pilot:
        histogram = await lengths(pilot)
        pane = pilot.app.screen
        await pilot.press("enter")
        await shown(pilot, "no row is over 1,024 tokens")
        histogram.set_cut(50)
        await pilot.press("enter")
        await shown(pilot, "over 50 tokens 1 of 2")
        assert list(pane.rows.numbers) == [2, 4]
        await pilot.press("L")
        await shown(pilot, "50 drops 2 rows")
        assert len(fake.made[0].counted) == 1, "counted once"


async def test_rows_that_give_no_tokens_are_counted_apart_and_rejected_ones_left_out(
    fake, workspace, write_rows
):
    write_rows([*rows_of(12, 20, 30), UNDESIRABLE, b'{"messages": [{"ro', {"sku": 12}])
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("x")
        await until(pilot, lambda: pane.facts.counts.rejected == 1)
        await lengths(pilot, "2 rows", "3 more give no tokens")


async def test_counting_goes_on_in_the_background_and_can_be_stopped(fake, workspace, write_rows):
    fake.hold = True
    write_rows(rows_of(*range(10, 40)))
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("L")
        await shown(pilot, "starting the tokenizer …")
        await until(pilot, lambda: fake.made)
        fake.made[0].release(10)
        await pilot.press("tab", "j")
        assert pane.rows.cursor == 2
        await pilot.press("tab", "escape")
        fake.made[0].release(1)
        await shown(pilot, "! partial: stopped after 10 rows")
        fake.hold = False
        await pilot.press("r")
        await shown(pilot, "30 rows")
        assert "partial" not in screen_text(pilot.app)


async def test_figures_from_before_an_edit_say_so(fake, workspace, write_rows):
    write_rows(rows_of(12, 20, 30))
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        await lengths(pilot, "3 rows")
        await pilot.press("tab", "x")
        await shown(pilot, "from before your edits")
        await pilot.press("tab", "r")
        await shown(pilot, "2 rows")
        assert "from before your edits" not in screen_text(pilot.app)


async def test_a_failing_process_is_said(fake, workspace, write_rows):
    fake.failure = ModelError("no such model: tiny", "check the name")
    write_rows(rows_of(12))
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        await data_pane(pilot)
        await pilot.press("L")
        await shown(pilot, "! no such model: tiny; check the name")


async def test_the_cut_off_goes_into_the_open_recipe(fake, workspace, write_rows):
    path = write_rows(rows_of(12, 60, 14, 70))
    recipe_for(workspace, path)
    async with app_on(workspace, "data").run_test(size=(120, 40), notifications=True) as pilot:
        await lengths(pilot)
        await pilot.press("w")
        await shown(pilot, "no recipe is open")
        await pilot.press("2")
        recipes = pilot.app.screen
        await until(pilot, lambda: recipes.draft.recipe.name == "r16")
        await pilot.press("1")
        await pilot.press("g", *"64", "enter", "w")
        await shown(pilot, "max_length is 64 in recipes/r16.toml; not saved yet")
        assert recipes.draft.recipe.data.max_length == 64
        assert recipes.draft.modified


async def test_keys_of_the_pane_wait_while_its_rows_are_out_of_sight(fake, workspace, write_rows):
    write_rows(rows_of(12, 60, 14, 70))
    async with app_on(workspace, "data").run_test(size=(80, 24)) as pilot:
        await lengths(pilot)
        pane = pilot.app.screen
        await pilot.press("a", "x", "space", "f", "e", "delete", "s", "R", "M", "B", "F", "slash", "t", "n")
        await pilot.pause()
        counts = pane.facts.counts
        assert (counts.accepted, counts.rejected, counts.flagged, counts.deleted) == (0, 0, 0, 0)
        assert not pane.editing
        assert not pane.asking
        assert pane.rows.cursor == 1
        await pilot.press("L")
        await until(pilot, lambda: pane.panel is None and pane.rows.has_focus)
        await pilot.press("a")
        await until(pilot, lambda: pane.facts.counts.accepted == 1)


async def test_the_mouse_sets_the_cut_off(fake, workspace, write_rows):
    write_rows(rows_of(*range(10, 90)))
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        histogram = await lengths(pilot)
        await pilot.click(histogram, offset=(30, 8))
        await until(pilot, lambda: 18 < histogram.cut < 98)


async def test_a_poor_terminal_gets_plain_bars(fake, workspace, write_rows, monkeypatch):
    monkeypatch.setenv("FTUI_ASCII", "1")
    write_rows(rows_of(*range(10, 90)))
    async with app_on(workspace, "data").run_test(size=(80, 24)) as pilot:
        histogram = await lengths(pilot)
        drawn = [histogram.render_line(y) for y in range(histogram.size.height)]
        text = "\n".join("".join(segment.text for segment in strip) for strip in drawn)
        assert text.isascii()
        assert "#" in text


async def test_hostile_names_are_never_obeyed(fake, workspace, write_rows):
    path = write_rows([ticket(HOSTILE, HOSTILE), *rows_of(12)])
    recipe_for(workspace, path)
    app = capture(app_on(workspace, "data"))
    async with app.run_test(headless=False, size=(80, 24), notifications=True) as pilot:
        await lengths(pilot)
        await pilot.press("m", "ctrl+u", *"[/INST]", "enter")
        fake.failure = ModelError(f"cannot be read: {HOSTILE}", HOSTILE)
        await pilot.press("r")
        await shown(pilot, "! cannot be read: [/INST]")
        assert_harmless(output_of(app))


# -- the figures themselves ------------------------------------------------------------------------


@given(st.lists(st.integers(1, 5000), min_size=1), st.integers(8, 6000))
def test_the_figures_are_those_of_counting_by_hand(found, cut):
    stats = LengthStats(enumerate(found, 1))
    truncated, dropped = stats.cost(cut, "truncate"), stats.cost(cut, "drop")
    assert truncated.rows == dropped.rows == sum(length > cut for length in found)
    assert truncated.lost == sum(max(0, length - cut) for length in found)
    assert dropped.lost == sum(length for length in found if length > cut)
    assert stats.rows_over(cut) == [number for number, length in enumerate(found, 1) if length > cut]
    half = stats.percentile(0.5)
    assert sum(length <= half for length in found) * 2 >= len(found)
    assert half in found


@given(st.lists(st.integers(1, 100_000), min_size=1), st.integers(1, 200))
def test_every_row_is_in_exactly_one_bin(found, columns):
    stats = LengthStats(enumerate(found, 1))
    limits = edges(stats.ordered[0], stats.ordered[-1], columns)
    assert limits == sorted(set(limits))
    assert len(limits) == columns + 1
    assert sum(stats.bins(limits)) == len(found)


def test_shares_are_never_rounded_to_none_or_to_all():
    assert [percent(part, 100_000) for part in (0, 1, 1800, 99_999, 100_000)] == [
        "0.0%", "under 0.1%", "1.8%", "over 99.9%", "100%",
    ]  # fmt: skip
    assert percent(0, 0) == "0%"


@SIZES
def test_picture_of_the_lengths(fake, workspace, write_rows, snap_compare, size):
    dice = random.Random(4)
    path = write_rows(rows_of(*(int(dice.lognormvariate(4, 0.8)) + 4 for _ in range(300))))
    recipe_for(workspace, path, **{"data.max_length": 128, "data.overlong": "truncate"})

    async def ready(pilot) -> None:
        await shown(pilot, "of 300", "RAM")
        await pilot.press("L")
        await shown(pilot, "128 truncates")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)


async def test_counting_stopped_before_its_first_row_is_no_word_about_the_rows(fake, workspace, write_rows):
    fake.hold = True
    write_rows(rows_of(10, 12))
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        await data_pane(pilot)
        await pilot.press("L")
        await until(pilot, lambda: fake.made)
        await pilot.press("escape")
        fake.made[0].release(1)
        await shown(pilot, "! partial: stopped after 0 rows")
        assert "no row gives tokens" not in screen_text(pilot.app)
