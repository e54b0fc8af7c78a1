"""The Chat pane: one prompt, several sides, all answering at once. The server is fake, the screen is not."""

from __future__ import annotations

import json
import os
import queue
from typing import TYPE_CHECKING

import pytest

from ftui.runs.lease import take
from ftui.ui import chat_asking
from ftui.ui.chat_servers import ChatServers
from ftui.ui.chat_sides import read_prompts
from ftui.ui.screens.chat import ChatRequest, ChatScreen
from ftui.ui.widgets.prompt_box import PromptBox
from ftui.ui.widgets.reply_side import ReplySide
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.fake_engine import FakeEngine
from tests.ui.panes import app_on, screen_text, shown, still_machine, until  # noqa: F401
from tests.ui.run_builder import finish, make_run, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.runs.workspace import Workspace

pytestmark = pytest.mark.usefixtures("still_machine")
CARD = "Issue: Damaged item\nItem: kayak paddle\nPriority: High"
REPLIES = {"base": "I am sorry to hear that your paddle arrived cracked.", "adapter 0": CARD}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with two finished runs, the newer one called tickets-r16."""
    workspace = make_workspace(tmp_path / "support-bot")
    finish(make_run(workspace, "orders-v1", age=9000, alive=False), "finished", ago=8000)
    finish(make_run(workspace, "tickets-r16", age=900, alive=False), "finished", ago=800)
    return workspace


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    engine = FakeEngine(dict(REPLIES))
    monkeypatch.setattr(chat_asking, "ChatServers", lambda: ChatServers(start=engine.serve))
    return engine


def chat(workspace: Workspace, size: tuple[int, int] = (120, 36)):
    return app_on(workspace, "chat").run_test(size=size, notifications=True)


def rows(pilot) -> list[ReplySide]:
    return list(pilot.app.screen.query(ReplySide))


async def say(pilot, text: str) -> None:
    """Types a prompt and sends it."""
    pilot.app.screen.query_one(PromptBox).focus()
    await pilot.press(*("space" if character == " " else character for character in text), "enter")


async def test_it_opens_on_the_base_and_the_newest_adapter(workspace, engine):
    async with chat(workspace) as pilot:
        text = await shown(pilot, "A  base", "B  tickets-r16")
        assert "orders-v1" not in text
        assert isinstance(pilot.app.focused, PromptBox)
        assert not engine.clients


async def test_one_prompt_is_answered_by_all_sides_with_their_speed(workspace, engine):
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await say(pilot, "my paddle is cracked")
        text = await shown(pilot, "Issue: Damaged item", "I am sorry to hear", "0.31 s · 41 tok/s · t 0")
        assert text.count("my paddle is cracked") == 2
        (asked,) = engine.asked
        assert [side["adapter"] for side in asked] == [None, "adapter 0"]
        prompt = {"role": "user", "content": "my paddle is cracked"}
        assert [side["messages"] for side in asked] == [[prompt], [prompt]]


async def test_replies_are_shown_while_they_are_being_said(workspace, engine):
    engine.paced = True
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await say(pilot, "hi")
        await until(pilot, lambda: engine.asked)
        engine.step(1)
        await shown(pilot, "I ▌", "Issue: ▌")
        engine.step(200)
        await shown(pilot, "arrived cracked.", "Priority: High")
        assert "▌" not in screen_text(pilot.app)


async def test_the_next_prompt_carries_each_sides_own_conversation(workspace, engine):
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await say(pilot, "first")
        await shown(pilot, "Priority: High")
        await say(pilot, "second")
        await until(pilot, lambda: len(engine.asked) == 2)
        base, tuned = engine.asked[1]
        assert [turn["content"].strip() for turn in base["messages"]] == ["first", REPLIES["base"], "second"]
        assert [turn["content"].strip() for turn in tuned["messages"]] == ["first", CARD, "second"]
        assert len(engine.clients) == 1


async def test_escape_stops_the_replies_and_keeps_what_was_said(workspace, engine):
    engine.paced = True
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await say(pilot, "hi")
        await until(pilot, lambda: engine.asked)
        engine.step(3)
        await shown(pilot, "I am", "esc stops")
        await pilot.press("escape")
        await shown(pilot, "stopped", "I am sorry")
        assert "arrived cracked" not in screen_text(pilot.app)
        assert rows(pilot)[0].turns[-1].content.strip() == "I am sorry"


async def test_escape_while_the_model_loads_gives_the_prompt_back(workspace, engine):
    engine.loading = queue.SimpleQueue()
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await say(pilot, "hi")
        engine.loading.put(("download", 61, 92))
        await shown(pilot, "loading: download", "66%")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen.query_one(PromptBox).value == "hi")
        engine.loading.put(("", 0, 0))
        await until(pilot, lambda: engine.clients)
        await until(pilot, lambda: all(row.state == "idle" for row in rows(pilot)))
        assert not engine.asked
        await pilot.press("enter")
        await shown(pilot, "Priority: High")


async def test_the_first_letter_begins_to_load_the_model(workspace, engine):
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        assert not engine.clients
        await pilot.press("h")
        await until(pilot, lambda: engine.clients)
        assert not engine.asked


async def test_letters_are_keys_only_where_the_prompt_is_not_being_written(workspace, engine):
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16", "esc for keys")
        await pilot.press("A", "S", "plus", "h", "4")
        box = pilot.app.screen.query_one(PromptBox)
        assert box.value == "AS+h4"
        assert "who answers" not in screen_text(pilot.app)
        await pilot.press("escape")
        text = await shown(pilot, "who answers", "i writes")
        assert "settings" in text
        assert isinstance(pilot.app.focused, ReplySide)
        await pilot.press("i")
        await until(pilot, lambda: pilot.app.focused is box)


async def test_sides_are_added_up_to_four_and_taken_away(workspace, engine):
    async with chat(workspace, (160, 36)) as pilot:
        await shown(pilot, "tickets-r16")
        await pilot.press("escape", "plus")
        await shown(pilot, "C  orders-v1")
        await pilot.press("plus")
        await shown(pilot, "who answers on D")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatScreen))
        await pilot.press("plus")
        assert len(rows(pilot)) == 4
        await say(pilot, "hi")
        await until(pilot, lambda: engine.asked)
        assert [side["adapter"] for side in engine.asked[0]] == [None, "adapter 0", "adapter 1", None]
        await until(pilot, lambda: all(row.state == "idle" for row in rows(pilot)))
        await pilot.press("escape", "minus", "minus", "minus", "minus")
        await until(pilot, lambda: len(rows(pilot)) == 1)
        assert rows(pilot)[0].letter == "A"


async def test_left_and_right_turn_to_a_side_and_a_picks_who_answers_there(workspace, engine):
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await pilot.press("escape", "left")
        await until(pilot, lambda: pilot.app.focused is rows(pilot)[0])
        await pilot.press("A")
        await shown(pilot, "who answers on A", "orders-v1")
        await pilot.press("home", "down", "enter")
        await shown(pilot, "A  orders-v1", "B  tickets-r16")


async def test_a_checkpoint_can_answer_too(workspace, engine):
    for done in list(workspace.runs.iterdir()):
        (done / "adapter" / "adapter_config.json").unlink()
    run = make_run(workspace, "at-work", age=10)
    folder = run.checkpoints / "step-000150"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    async with chat(workspace) as pilot:
        await shown(pilot, "B  at-work @150")


async def test_a_typed_model_can_answer(workspace, engine):
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await pilot.press("escape", "A")
        await shown(pilot, "who answers on B")
        await pilot.press("tab", *"my-model", "enter")
        await shown(pilot, "B  base my-model")
        await say(pilot, "hi")
        await until(pilot, lambda: {load[0] for load in engine.loads} == {"demo", "my-model"})


async def test_settings_apply_to_all_sides_or_to_one(workspace, engine):
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await pilot.press("escape", "S")
        await shown(pilot, "how they answer", "ctrl+o only B")
        await pilot.press("end", "backspace", *"0.7", "ctrl+s")
        await until(pilot, lambda: [row.settings.temperature for row in rows(pilot)] == [0.7, 0.7])
        await pilot.press("S")
        await shown(pilot, "how they answer")
        await pilot.press("shift+tab", *"Be brief.", "ctrl+o")
        await until(pilot, lambda: [row.settings.system for row in rows(pilot)] == ["", "Be brief."])
        await say(pilot, "hi")
        await until(pilot, lambda: engine.asked)
        base, tuned = engine.asked[0]
        assert base["sampling"]["temperature"] == 0.7
        assert tuned["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_a_setting_that_cannot_be_is_refused_in_a_line(workspace, engine):
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await pilot.press("escape", "S")
        await shown(pilot, "how they answer")
        await pilot.press(*"x", "ctrl+s")
        await shown(pilot, "temperature: a number from 0 to 5")


async def test_ctrl_n_starts_a_new_conversation(workspace, engine):
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await say(pilot, "hi")
        await shown(pilot, "Priority: High")
        await pilot.press("ctrl+n")
        await until(pilot, lambda: "Priority" not in screen_text(pilot.app))
        await say(pilot, "again")
        await until(pilot, lambda: len(engine.asked) == 2)
        assert len(engine.asked[1][0]["messages"]) == 1


async def test_held_out_prompts_are_taken_one_by_one(workspace, engine):
    workspace.golden.mkdir()
    questions = ["Where is order 8102?\nIt is late.", "The stove leaks."]
    lines = [{"messages": [{"role": "user", "content": text}]} for text in questions]
    text = "\n".join(json.dumps(line) for line in lines) + "\n{broken\n\n[]\n"
    (workspace.golden / "heldout.jsonl").write_text(text)
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await pilot.press("escape")
        await shown(pilot, "h takes one of 2 held-out")
        await pilot.press("h")
        await shown(pilot, "Where is order 8102?", "heldout.jsonl 1/2")
        await pilot.press("enter")
        await until(pilot, lambda: engine.asked)
        assert engine.asked[0][0]["messages"][0]["content"] == questions[0]
        await shown(pilot, "Priority: High")
        await pilot.press("escape", "h")
        await shown(pilot, "The stove leaks.", "heldout.jsonl 2/2")


async def test_a_pasted_prompt_keeps_all_its_lines(workspace, engine):
    from textual.events import Paste

    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        pilot.app.post_message(Paste("one\r\ntwo\u200b\nthree"))
        await shown(pilot, "three")
        await pilot.press("enter")
        await until(pilot, lambda: engine.asked)
        assert engine.asked[0][0]["messages"][0]["content"] == "one\ntwo\u200b\nthree"


async def test_a_dead_server_is_one_line_and_r_starts_it_again(workspace, engine):
    engine.dies = True
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await say(pilot, "hi")
        text = await shown(pilot, "✗ the engine was killed (usually the memory", "r tries again")
        assert "Traceback" not in text
        engine.dies = False
        await pilot.press("escape", "r")
        await shown(pilot, "Priority: High")
        assert len(engine.clients) == 2
        assert len(engine.asked[-1][0]["messages"]) == 1


async def test_the_app_closes_its_servers(workspace, engine):
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await say(pilot, "hi")
        await shown(pilot, "Priority: High")
    assert engine.clients[0].closed.wait(120)


async def test_it_can_be_opened_on_given_sides_with_a_prompt(workspace, engine):
    adapter = str(workspace.runs / "run-000" / "adapter")
    app = app_on(workspace, "train")
    async with app.run_test(size=(120, 36)) as pilot:
        app.open_chat(ChatRequest("demo", (adapter,), "where is my order"))
        await shown(pilot, "A  base", "B  orders-v1", "where is my order", "Priority: High")
        assert engine.loads == [("demo", (adapter,))]


async def test_the_view_follows_the_reply_unless_the_reader_scrolled_up(workspace, engine):
    engine.paced = True
    engine.replies["base"] = " ".join(f"w{number}" for number in range(900))
    async with chat(workspace) as pilot:
        await shown(pilot, "tickets-r16")
        await say(pilot, "hi")
        await until(pilot, lambda: engine.asked)
        engine.step(600)
        side = rows(pilot)[0]
        await until(pilot, lambda: "w59" in side.plain)
        await until(pilot, lambda: side.max_scroll_y and side.scroll_offset.y == side.max_scroll_y)
        side.focus()
        await pilot.press("pageup")
        await until(pilot, lambda: side.scroll_offset.y < side.max_scroll_y)
        here = side.scroll_offset.y
        engine.step(300)
        await until(pilot, lambda: side.state == "idle")
        assert side.scroll_offset.y == here
        await pilot.press("end")
        await shown(pilot, "w899")


async def test_nothing_hostile_in_replies_prompts_or_names_reaches_the_terminal(workspace, engine):
    named = make_run(workspace, HOSTILE, age=5, alive=False, base=HOSTILE)
    finish(named, "finished")
    workspace.golden.mkdir()
    row = {"messages": [{"role": "user", "content": HOSTILE.replace("\ud800", "")}]}
    (workspace.golden / "h.jsonl").write_text(json.dumps(row) + "\n")
    engine.replies = {"base": HOSTILE, "adapter 0": HOSTILE}
    app = capture(app_on(workspace, "chat"))
    async with app.run_test(headless=False, size=(120, 36)) as pilot:
        await shown(pilot, "B  [/INST]")
        await pilot.press("escape", "h")
        await shown(pilot, "h.jsonl 1/1")
        await pilot.press("enter")
        await until(pilot, lambda: all(len(row.turns) == 2 for row in rows(pilot)))
        await pilot.press("escape", "A")
        await shown(pilot, "who answers on")
        await pilot.press("escape")
    assert_harmless(output_of(app))


def test_prompts_come_from_any_known_shape_and_never_from_a_broken_row(workspace):
    workspace.golden.mkdir()
    lines = [
        json.dumps({"instruction": "say hi", "output": "hi"}),
        json.dumps({"conversations": [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "x"}]}),
        "{broken",
        json.dumps({"messages": []}),
    ]
    (workspace.golden / "mixed.jsonl").write_text("\n".join(lines))
    assert [prompt.text for prompt in read_prompts(workspace)] == ["say hi", "hello"]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_picture_of_two_sides_that_answered(workspace, engine, snap_compare, size):
    async def ready(pilot) -> None:
        await shown(pilot, "tickets-r16", "RAM")
        pilot.app.screen.query_one(PromptBox).cursor_blink = False
        await say(pilot, "the kayak paddle arrived cracked")
        await shown(pilot, "Priority: High", "enter sends")
        await until(pilot, lambda: all(row.state == "idle" for row in rows(pilot)))

    assert snap_compare(app_on(workspace, "chat"), terminal_size=size, run_before=ready)


async def test_loading_a_model_beside_a_training_run_says_so(workspace, engine):
    lease = take("train", "orders-v2-0412", ("cpu",))
    try:
        async with chat(workspace) as pilot:
            await shown(pilot, "tickets-r16")
            await say(pilot, "my paddle is cracked")
            await shown(pilot, "orders-v2-0412 trains on the CPU", "both are slower")
            await shown(pilot, "Issue: Damaged item")
    finally:
        os.close(lease)
