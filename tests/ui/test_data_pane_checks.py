"""The checks panel: findings in plain words, rows to jump to, fixes that one undo takes back."""

from __future__ import annotations

import threading

import pytest

from ftui.core.recipe import Recipe
from ftui.data.checks import run as checks
from ftui.data.checks.balance import LanguageCheck
from ftui.data.dataset import Dataset
from ftui.runs.recipes import save_recipe
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.data_rows import data_pane, row_on_disk, ticket, tickets
from tests.ui.fake_encoder import FakeEncoder
from tests.ui.panes import app_on, screen_text, shown, still_machine, until  # noqa: F401

pytestmark = pytest.mark.usefixtures("still_machine")
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
WIDE = (120, 48)

FLAWED = [
    *tickets(),
    ticket("My flask does not keep anything warm.", ""),
    ticket("Write to me at mira@example.com please.", "Issue: contact\nItem: none\nPriority: Low"),
    ticket("I was charged twice for the stove.", "Issue: double charge\nItem: stove\nPriority: High"),
    ticket("Where is my order #4417? It was due on Friday.", "Issue: late parcel\nItem: tent\nPriority: High"),
    ticket("Call tom@example.org or mira@example.com.", "Issue: contact\nItem: none\nPriority: Medium"),
]  # fmt: skip


@pytest.fixture
def fake(monkeypatch):
    FakeEncoder.reset()
    monkeypatch.setattr("ftui.ui.encoder_desk.Encoder", FakeEncoder)
    return FakeEncoder


async def panel(pilot, *words):
    """The Data pane with its checks done."""
    pane = await data_pane(pilot)
    await pilot.press("c")
    await shown(pilot, "rows checked", *words)
    return pane


async def to(pilot, pane, check):
    """Puts the panel's cursor on a finding."""
    number = [finding.check for finding in pane.findings].index(check)
    await pilot.press("home", *["down"] * number)
    await until(pilot, lambda: pane.checks.finding.check == check)


async def test_findings_are_counted_in_plain_words_and_kept_for_filters(workspace, write_rows):
    write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        pane = await panel(pilot, "11 rows checked", "empty-answer", "the model learns silence", "pii-email")
        assert "reject these rows" in screen_text(pilot.app)
        assert "mask with [EMAIL]" in screen_text(pilot.app)
        found = {finding.check: finding.rows for finding in pane.findings}
        assert found["empty-answer"] == (7,)
        assert found["pii-email"] == (8, 11)
        assert found["duplicates"] == (9, 10)
        assert "1 error" in screen_text(pilot.app)


@SIZES
async def test_enter_shows_the_rows_of_a_finding_and_c_comes_back(workspace, write_rows, size):
    write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=size) as pilot:
        pane = await panel(pilot)
        await to(pilot, pane, "pii-email")
        await pilot.press("enter")
        await shown(pilot, "pii-email 1 of 2", "row 8 ·")
        assert list(pane.rows.numbers) == [8, 11]
        assert pane.rows.has_focus
        await pilot.press("c")
        await shown(pilot, "rows checked")
        assert pane.checks.finding.check == "pii-email"
        await pilot.press("escape")
        await until(pilot, lambda: pane.panel is None)
        await pilot.press("escape")
        await shown(pilot, "of 11")


async def test_groups_of_duplicates_are_stepped_through(workspace, write_rows):
    write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        pane = await panel(pilot)
        await to(pilot, pane, "duplicates")
        await shown(pilot, "2 groups")
        await pilot.press("right_square_bracket")
        await shown(pilot, "duplicates 1/2")
        assert list(pane.rows.numbers) == [1, 10]
        await pilot.press("right_square_bracket")
        await shown(pilot, "duplicates 2/2")
        assert list(pane.rows.numbers) == [5, 9]
        await pilot.press("left_square_bracket")
        await shown(pilot, "duplicates 1/2")


async def test_a_fix_says_what_it_will_do_and_is_one_undo(workspace, write_rows):
    path = write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=WIDE, notifications=True) as pilot:
        pane = await panel(pilot)
        await to(pilot, pane, "pii-email")
        await pilot.press("x")
        await shown(pilot, "mask with [EMAIL]: 2 rows", "do it, one undo")
        await pilot.press("escape")
        assert not row_on_disk(path, 8).edited
        await pilot.press("x")
        await shown(pilot, "do it, one undo")
        await pilot.press("y")
        await shown(pilot, "from before your edits")
        assert "[EMAIL]" in row_on_disk(path, 8).text
        assert row_on_disk(path, 11).text.count("[EMAIL]") == 2
        await pilot.press("u")
        await until(pilot, lambda: not row_on_disk(path, 8).edited)
        assert not row_on_disk(path, 11).edited


async def test_findings_are_remembered_and_said_to_be_old_once_rows_change(workspace, write_rows):
    write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        pane = await panel(pilot)
        await pilot.press("c")
        await until(pilot, lambda: pane.panel is None)
        await pilot.press("a", "f")
        await until(pilot, lambda: pane.facts.counts.flagged == 1)
        await pilot.press("c")
        await shown(pilot, "11 rows checked")
        assert "from before your edits" not in screen_text(pilot.app)
        await pilot.press("c")
        await pilot.press("end", "x")
        await until(pilot, lambda: pane.facts.counts.rejected == 1)
        await pilot.press("c")
        await shown(pilot, "! from before your edits   r checks again")
        await pilot.press("r")
        await shown(pilot, "11 rows checked")
        assert "from before your edits" not in screen_text(pilot.app)
        assert {finding.check: finding.rows for finding in pane.findings}["pii-email"] == (8,)


async def test_another_annotators_work_makes_findings_old(workspace, write_rows):
    path = write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        pane = await panel(pilot)
        from ftui.data import actions

        with Dataset.open(path, who="tom") as dataset:
            dataset.annotate(2, actions.reject())
        pane.desk.look_again()
        await shown(pilot, "from before your edits")


async def test_stopping_keeps_what_was_found_and_says_it_is_partial(workspace, write_rows, monkeypatch):
    write_rows(FLAWED)
    begun, go_on = threading.Event(), threading.Event()
    watched = checks._watched

    def slowly(rows, total, progress, cancelled):
        for row in watched(rows, total, progress, cancelled):
            if row.number == 9:
                progress(8, total)
                begun.set()
                assert go_on.wait(120)
                if cancelled():
                    return
            yield row

    monkeypatch.setattr(checks, "_watched", slowly)
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("c")
        await until(pilot, begun.is_set)
        await shown(pilot, "row 8 of 11", "esc stops")
        await pilot.press("escape")
        go_on.set()
        await shown(pilot, "! partial: stopped after 8 of 11 rows", "empty-answer")
        assert {finding.check: finding.rows for finding in pane.findings}["pii-email"] == (8,)
        monkeypatch.setattr(checks, "_watched", watched)
        await pilot.press("r")
        await shown(pilot, "11 rows checked")
        assert "partial" not in screen_text(pilot.app)


async def test_a_file_that_must_stay_unseen_is_asked_for(workspace, write_rows):
    write_rows(tickets()[:2], "held-out.jsonl")
    path = write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        pane = await data_pane(pilot)
        pane.open_dataset(path)
        await shown(pilot, "of 11")
        await pilot.press("c")
        await shown(pilot, "did not run", "leakage", "v names a validation set")
        await pilot.press("v")
        await shown(pilot, "a file that training must not have seen", "held-out.jsonl")
        await pilot.press(*"held", "enter")
        await shown(pilot, "11 rows checked against held-out.jsonl", "the same question is in held-out.jsonl")
        assert {finding.check: finding.rows for finding in pane.findings}["leakage"] == (1, 2, 10)


async def test_the_size_is_measured_against_what_tasks_need(workspace, write_rows):
    write_rows([ticket(f"Question number {n}, about tent {n * 7}?", f"Answer {n * 13}.") for n in range(120)])
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        await panel(pilot, "120 examples; a task usually needs", "✓ style", "100 to 500", "380 short")


async def test_rows_over_max_length_are_a_finding_where_there_is_a_recipe(fake, workspace, write_rows):
    path = write_rows(FLAWED)
    values = {"name": "r", "model.base": "tiny", "data.train": str(path), "data.max_length": 27}
    workspace.recipes.mkdir(exist_ok=True)
    save_recipe(workspace.recipes / "r.toml", Recipe().with_values(values))
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        pane = await panel(pilot, "too-long", "over 27 tokens")
        lengths = dict(FakeEncoder().row_lengths(path, "tiny"))
        wanted = tuple(number for number, length in lengths.items() if length > 27)
        assert {finding.check: finding.rows for finding in pane.findings}["too-long"] == wanted != ()


async def test_without_a_model_lengths_are_listed_as_not_checked_until_one_is_named(
    fake, workspace, write_rows
):
    write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        await panel(pilot, "did not run", "m names the model whose tokens are to be counted")
        await pilot.press("m")
        await shown(pilot, "model and max_length")
        await pilot.press("ctrl+u", *"tiny 26", "enter")
        await shown(pilot, "over 26 tokens")


async def test_a_check_that_fails_says_why_and_the_others_go_on(workspace, write_rows, monkeypatch):
    def broken(self, row):
        raise RuntimeError("its word list is gone [/INST] \x1b")

    monkeypatch.setattr(LanguageCheck, "look", broken)
    write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        await panel(pilot, "did not run", "language", "its word list is gone [/INST] ␛", "pii-email")


async def test_checks_on_a_file_that_went_away_say_so(workspace, write_rows):
    path = write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        pane = await panel(pilot)
        path.unlink()
        await pilot.press("r")
        await shown(pilot, "did not run", "all checks")
        assert pane.checks is not None


async def test_the_checks_of_one_dataset_are_not_taken_for_anothers(workspace, write_rows):
    other = write_rows(tickets(), "other.jsonl")
    path = write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        pane = await data_pane(pilot)
        pane.open_dataset(path)
        await shown(pilot, "of 11")
        await pilot.press("c")
        await shown(pilot, "11 rows checked")
        pane.open_dataset(other)
        await shown(pilot, "of 6")
        assert pane.findings == ()
        await pilot.press("c")
        await shown(pilot, "6 rows checked")
        pane.open_dataset(path)
        await shown(pilot, "of 11")
        await pilot.press("c")
        await shown(pilot, "pii-email", "from before your edits")


async def test_keys_of_the_panel_never_decide_about_a_row(workspace, write_rows):
    write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        pane = await panel(pilot)
        await pilot.press("end", "x", "r", "v", "escape", "down", "up")
        await pilot.pause()
        assert pane.facts.counts.rejected == 0
        assert pane.rows.cursor == 1
        await shown(pilot, "rows checked")


async def test_a_click_chooses_and_a_second_one_jumps(workspace, write_rows):
    write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=WIDE) as pilot:
        pane = await panel(pilot)
        await to(pilot, pane, pane.findings[1].check)
        await pilot.click(pane.checks, offset=(20, 3))
        await until(pilot, lambda: pane.checks.cursor == 0)
        await pilot.click(pane.checks, offset=(20, 3))
        await until(pilot, lambda: pane.panel is None)
        assert list(pane.rows.numbers) == list(pane.findings[0].rows)


@pytest.mark.parametrize("size", [WIDE, (80, 24)], ids=["wide", "narrow"])
async def test_hostile_data_is_never_obeyed(workspace, write_rows, size):
    rows = [ticket(HOSTILE, HOSTILE), ticket(HOSTILE, ""), ticket(HOSTILE, HOSTILE)]
    rows += [{"source": HOSTILE, **ticket(f"q {n}", f"a {n}")} for n in range(250)]
    rows += [{"source": "web", **ticket(f"r {n}", f"b {n}")} for n in range(5)]
    write_rows(rows)
    write_rows(rows[:1], "evil \x1b]52;c;aGk=\x07[INST]\u202e.jsonl")
    app = capture(app_on(workspace, "data"))
    async with app.run_test(headless=False, size=size, notifications=True) as pilot:
        pane = await data_pane(pilot)
        pane.open_dataset(workspace.datasets / "tickets.jsonl")
        await shown(pilot, "of 258")
        await pilot.press("c")
        await shown(pilot, "258 rows checked")
        await pilot.press("v")
        await shown(pilot, "evil ")
        await pilot.press(*"evil", "enter")
        await shown(pilot, "checked against evil")
        await pilot.press(*["down"] * 12, "home", "x", "y", "enter")
        await pilot.pause()
        assert_harmless(output_of(app))


@SIZES
def test_picture_of_the_checks(workspace, write_rows, snap_compare, size):
    write_rows(FLAWED)

    async def ready(pilot) -> None:
        await shown(pilot, "of 11", "RAM")
        await pilot.press("c")
        await shown(pilot, "rows checked")
        await pilot.press("down")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)


@pytest.mark.parametrize("key", ["c", "i", "L"])
async def test_a_panel_follows_a_change_of_theme_and_of_size(fake, workspace, write_rows, key):
    write_rows(FLAWED)
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        pane = await data_pane(pilot)
        await pilot.press(key)
        await shown(pilot, {"c": "rows checked", "i": "tokens · row 1", "L": "p50"}[key])
        pilot.app.theme = "day"
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert pane.panel.region.width == 80
        await pilot.press(key)
        await until(pilot, lambda: pane.panel is None and pane.rows.has_focus)
        await shown(pilot, "row 1 ·")
