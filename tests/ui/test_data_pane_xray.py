"""The token X-ray of the Data pane: what training sees of the row under the cursor, readable without colours."""

from __future__ import annotations

import pytest

from ftui.core.errors import ModelError
from ftui.core.recipe import Recipe
from ftui.runs.encoder import Token
from ftui.runs.recipes import save_recipe
from ftui.ui.widgets.token_lines import lay_out, visible
from tests.tiny import make_tiny_model
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.data_rows import data_pane, ticket, tickets
from tests.ui.fake_encoder import FakeEncoder
from tests.ui.panes import app_on, screen_text, shown, still_machine, until  # noqa: F401

pytestmark = pytest.mark.usefixtures("still_machine")
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
PAIR = {"prompt": "Which is warmer?", "chosen": "One down jacket.", "rejected": "It depends."}


@pytest.fixture
def fake(monkeypatch):
    FakeEncoder.reset()
    monkeypatch.setattr("ftui.ui.encoder_desk.Encoder", FakeEncoder)
    return FakeEncoder


async def xray(pilot, *words):
    pane = await data_pane(pilot)
    await pilot.press("i")
    await shown(pilot, *words)
    return pane


async def test_the_tokens_of_the_row_are_shown_with_their_share(fake, workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        pane = await xray(pilot, "tokens · row 1", "27 tokens", "10 trained (37%)", "end of reply trained")
        assert "Where·is·my·order·#4417?" in screen_text(pilot.app)
        assert pane.rows.has_focus
        await pilot.press("i")
        await shown(pilot, "row 1 · chat, 2 turns")
        assert pane.panel is None


async def test_it_follows_the_cursor_and_only_one_process_is_started(fake, workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        await xray(pilot, "tokens · row 1")
        for number in (2, 3, 4):
            await pilot.press("j")
            await shown(pilot, f"tokens · row {number}")
        assert len(fake.made) == 1


async def test_rushing_over_rows_asks_for_the_last_of_them_only(fake, workspace, write_rows):
    fake.hold = True
    write_rows(tickets() * 5)
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        pane = await xray(pilot, "starting the tokenizer …")
        await until(pilot, lambda: fake.made and fake.made[0].asked)
        await pilot.press(*["j"] * 20)
        await until(pilot, lambda: pane.example.row.number == 21)
        fake.made[0].release(50)
        await shown(pilot, "tokens · row 21")
        assert len(fake.made[0].asked) <= 4


async def test_the_screen_does_not_wait_for_the_tokenizer(fake, workspace, write_rows):
    fake.hold = True
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        pane = await xray(pilot, "starting the tokenizer …")
        await pilot.press("j", "a")
        await until(pilot, lambda: pane.facts.counts.accepted == 1)
        await until(pilot, lambda: fake.made)
        fake.made[0].release(50)
        await shown(pilot, "tokens · row 3")


async def test_deciding_goes_on_beneath_it(fake, workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        pane = await xray(pilot, "tokens · row 1")
        await pilot.press("x")
        await shown(pilot, "tokens · row 2")
        assert pane.facts.counts.rejected == 1


async def test_the_token_under_the_cursor_is_explained(fake, workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        pane = await xray(pilot, "tokens · row 1")
        await pilot.press("tab")
        await shown(pilot, "id 100", "context: written by the template")
        await pilot.press("right", "right")
        await shown(pilot, "3 ‹Where›", "id 102", "user", "context: read, not learned")
        await pilot.press("end", "left")
        await shown(pilot, "‹<|im_end|>›", "trained: the model learns to end here")
        await pilot.press("up")
        await shown(pilot, "trained: learned word by word")
        await pilot.press("escape")
        await until(pilot, lambda: pane.panel is None and pane.rows.has_focus)


async def test_a_token_is_chosen_with_the_mouse(fake, workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        pane = await xray(pilot, "tokens · row 1")
        await pilot.click(pane.xray.text, offset=(0, 1))
        await shown(pilot, "‹Where›")


async def test_what_is_trained_can_be_changed_on_the_spot(fake, workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        await xray(pilot, "trains assistant ·")
        await pilot.press("tab", "t")
        await shown(pilot, "trains last")
        await pilot.press("t")
        await shown(pilot, "trains all", "21 trained")
        assert [asked["train_on"] for asked in fake.made[0].asked][-3:] == ["assistant", "last", "all"]


async def test_another_model_and_length_can_be_named(fake, workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(120, 40), notifications=True) as pilot:
        pane = await xray(pilot, "demo · max 1,024")
        await pilot.press("tab", "m")
        await shown(pilot, "model and max_length")
        await pilot.press("ctrl+u", *"tiny 20", "enter")
        await shown(pilot, "tiny · max 20", "7 too many", "! not trained: longer than max_length")
        await pilot.press("m", "ctrl+u", *"tiny 3", "enter")
        await shown(pilot, "3 is no length")
        assert pane.settings.max_length == 20


async def test_the_recipe_in_use_decides(fake, workspace, write_rows):
    path = write_rows(tickets())
    recipe = Recipe().with_values(
        {
            "name": "tickets-r16",
            "model.base": "./some-model",
            "data.train": str(path),
            "data.max_length": 24,
            "data.overlong": "truncate",
            "data.train_on": "last",
        }
    )
    workspace.recipes.mkdir(exist_ok=True)
    save_recipe(workspace.recipes / "tickets-r16.toml", recipe)
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        await xray(pilot, "./some-model · max 24 · trains last", "tickets-r16", "3 cut off")
        assert "end of reply NOT trained" in screen_text(pilot.app)
        await pilot.press("tab", "end")
        await shown(pilot, "beyond max_length 24: training never sees it")


async def test_both_replies_of_a_pair_and_a_refused_one_are_shown(fake, workspace, write_rows):
    write_rows([PAIR, {"prompt": "q", "completion": "bad one", "label": False}, {"text": "raw words"}])
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        await xray(pilot, "chosen", "One·down·jacket.", "rejected: not seen by sft", "It·depends.")
        await pilot.press("j")
        await shown(pilot, "not trained: labelled undesirable", "bad·one")
        await pilot.press("j")
        await shown(pilot, "raw·words")


async def test_a_row_without_tokens_says_why(fake, workspace, write_rows):
    write_rows([*tickets()[:1], b'{"messages": [{"ro', {"sku": 12}])
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        await xray(pilot, "tokens · row 1")
        await pilot.press("j")
        await shown(pilot, "row 2 is broken")
        await pilot.press("j")
        await shown(pilot, "row 3 has no shape that can be trained")
        await pilot.press("k", "k")
        await shown(pilot, "27 tokens")


async def test_a_failing_process_is_said_and_started_again(fake, workspace, write_rows):
    fake.failure = ModelError("the engine was killed", "usually the memory was full")
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        await xray(pilot, "the engine was killed; usually the memory was full")
        fake.failure, fake.made[0].alive = None, False
        await pilot.press("j")
        await shown(pilot, "tokens · row 2", "trained (")
        assert len(fake.made) == 2


async def test_the_process_ends_with_the_app_and_editing_shows_the_row_again(fake, workspace, write_rows):
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        pane = await xray(pilot, "tokens · row 1")
        await pilot.press("e")
        await until(pilot, lambda: pane.editing)
        assert pane.panel is None
        await pilot.press("escape")
        assert fake.made[0].alive
    assert not fake.made[0].alive


async def test_without_colours_trained_tokens_are_underlined_and_cut_ones_struck_out(
    fake, workspace, write_rows, monkeypatch
):
    monkeypatch.setenv("NO_COLOR", "1")
    write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        pane = await xray(pilot, "tokens · row 1")
        strips = [pane.xray.text.render_line(y) for y in range(8)]
        styles = {text: style for strip in strips for text, style, _ in strip if text.strip()}
        assert styles["Issue:"].underline
        assert styles["Issue:"].bold
        assert not styles["Where"].underline
        legend = pane.xray.query_one("#told").content
        assert any(
            span.style.underline for span in legend.spans if legend.plain[span.start : span.end] == "trained"
        )


@pytest.mark.parametrize("size", [(120, 36), (80, 24)], ids=["wide", "narrow"])
async def test_no_control_byte_reaches_the_terminal(fake, workspace, write_rows, size):
    write_rows(
        [
            ticket(HOSTILE, HOSTILE),
            {"prompt": HOSTILE, "chosen": HOSTILE, "rejected": HOSTILE},
            {"text": HOSTILE},
        ]
    )
    app = capture(app_on(workspace, "data"))
    async with app.run_test(headless=False, size=size) as pilot:
        await data_pane(pilot)
        await pilot.press("i")
        for _ in range(3):
            await pilot.press("tab", *["right"] * 12, "end", "home", "tab", "j")
        await pilot.press("tab", "m", *"[/INST] 99", "enter")
        await pilot.pause()
        assert_harmless(output_of(app))


def token(text):
    return Token(1, text, True, "user", False, False)


def test_tokens_are_laid_out_whole_and_words_are_kept_together():
    tokens = tuple(
        map(token, ["Hel", "lo", " wor", "ld", ",", "\n", " yes", "", "no-space-at-all-here", "\n"])
    )
    lines = lay_out([("", tokens)], 9)
    shown_lines = ["".join(piece.text for piece in line) for line in lines.lines]
    assert shown_lines == ["Hello", "·world,↵", "·yes▫", "no-space-", "at-all-he", "re↵", ""]
    for number, (line, column) in enumerate(lines.places):
        at = 0
        for piece in lines.lines[line]:
            if piece.token == number:
                break
            at += len(piece.text)
        assert at == column
    assert lines.nearest(1, 5) == 3
    assert lines.nearest(6, 0) == -1


def test_every_token_is_visible_and_obeys_nobody():
    assert visible("") == "▫"
    assert visible(" a\nb ") == "·a↵\nb·"
    assert visible("\x1b\t\r\u202e") == "␛␉␍⟨202E⟩"


@SIZES
def test_picture_of_the_tokens(fake, workspace, write_rows, snap_compare, size):
    write_rows([tickets()[1], PAIR])

    async def ready(pilot) -> None:
        await shown(pilot, "of 2", "RAM")
        await pilot.press("i")
        await shown(pilot, "tokens · row 1", "trained (")
        await pilot.press("tab", *["right"] * 4)
        await shown(pilot, "id 104")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)


async def test_the_real_tokenizer_says_the_same(workspace, write_rows, tmp_path):
    """The one test of this pane with the encoder process itself."""
    model = make_tiny_model(tmp_path / "tiny")
    path = write_rows(tickets())
    recipe = Recipe().with_values({"name": "tiny", "model.base": str(model), "data.train": str(path)})
    workspace.recipes.mkdir(exist_ok=True)
    save_recipe(workspace.recipes / "tiny.toml", recipe)
    async with app_on(workspace, "data").run_test(size=(120, 40)) as pilot:
        pane = await data_pane(pilot)
        await pilot.press("i")
        await until(pilot, lambda: pane.xray.seen is not None, seconds=90)
        words = "".join(token.text for token in pane.xray.seen.tokens if token.trained)
        assert words == "Issue: late parcel\nItem: tent\nPriority: High<|im_end|>"
        await shown(pilot, "end of reply trained")
