"""Rows of a shape nobody knows: seen as a tree, mapped, read; and whole turns merged, split, added and taken out."""

from __future__ import annotations

import pytest

from ftui.core.shapes_mapping import parse
from ftui.data import actions
from ftui.data.dataset import Dataset
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.data_rows import data_pane, row_on_disk, ticket, tickets
from tests.ui.panes import app_on, shown, still_machine, until  # noqa: F401

pytestmark = pytest.mark.usefixtures("still_machine")
SIZE = (120, 36)
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


def home_made(count=12):
    """Rows as a company's own tool wrote them, one of another kind, one chat."""
    rows = [
        {"id": n, "q": f"How do I reset pump {n}?", "a": [{"text": f"Hold the red key for {n} s.\nThen let go."}], "meta": {"sys": "You help pump mechanics.", "site": "Ulm"}}
        for n in range(count)
    ]  # fmt: skip
    return [*rows, {"id": 99, "note": "moved"}, ticket("hi", "yo")]


DIALOG = [
    {"speaker": "customer", "said": "My pump leaks."},
    {"speaker": "customer", "said": "It is a P40.", "id": 2},
    {"speaker": "desk", "said": "Close the red valve first.\n\nThen send me a photo.", "score": 0.5},
]


def turns_on_disk(path, key="messages"):
    return row_on_disk(path, 1).value[key]


# ---- the tree


async def test_a_tree_is_walked_folded_and_edited_with_the_keyboard(workspace, write_rows):
    path = write_rows(home_made())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "of no known shape", "site  text  Ulm")
        await pilot.press("tab", "end", *["down"] * 7, "left")
        await until(pilot, lambda: pane.example.block().pointer == "/meta")
        await pilot.press("left")
        assert "site  text  Ulm" not in await shown(pilot, "▸ meta  object 2  sys, site")
        await pilot.press("enter")
        await shown(pilot, "▾ meta  object 2", "site  text  Ulm")
        await pilot.press("right", "down", "enter", *" and Graz", "ctrl+s")
        await shown(pilot, "site  text  Ulm and Graz  edited by mira")
        assert row_on_disk(path, 1).value["meta"]["site"] == "Ulm and Graz"
        await pilot.press("tab", "j")
        await shown(pilot, "row 2 ·")
        assert pane.example.blocks[0].node.open


async def test_numbers_stay_numbers_and_containers_are_edited_as_json(workspace, write_rows):
    path = write_rows([{"sku": 12, "tags": ["a", "b"]}])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "sku  number  12")
        await pilot.press("tab", "down", "e", "3", "ctrl+s")
        await until(pilot, lambda: row_on_disk(path, 1).value["sku"] == 123)
        await shown(pilot, "sku  number  123")
        await pilot.press("down", "e", "ctrl+home", "down", "end", "left", "left", "!", "ctrl+s")
        await until(pilot, lambda: row_on_disk(path, 1).value["tags"] == ["a!", "b"])


async def test_a_long_list_is_shown_a_hundred_at_a_time_and_a_long_text_folded(workspace, write_rows):
    write_rows([{"numbers": list(range(1000)), "page": "words " * 200 + "last"}])
    async with app_on(workspace, "data").run_test(size=(120, 60)) as pilot:
        pane = await data_pane(pilot, "▸ numbers  list 1,000", "▸ page  text 1,204")
        await pilot.press("tab", "down", "right", "end")
        await until(pilot, lambda: len(pane.example.blocks) == 104)
        await shown(pilot, "… 900 more; enter shows them")
        await until(pilot, lambda: pane.example.blocks[102].node.kind == "more")
        pane.example.choose(102)
        await pilot.press("enter")
        await until(pilot, lambda: [block.node.size for block in pane.example.blocks[-2:]] == [800, 1204])
        pane.example.choose(len(pane.example.blocks) - 1)
        await pilot.press("right")
        await shown(pilot, "words last")


async def test_a_tree_is_folded_with_the_mouse(workspace, write_rows):
    write_rows(home_made())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        text = await shown(pilot, "▾ meta")
        lines = text.split("\n")
        y = next(at for at, line in enumerate(lines) if "▾ meta" in line)
        await pilot.click(offset=(lines[y].index("▾ meta"), y))
        await shown(pilot, "▸ meta  object 2")


async def test_nothing_in_a_tree_or_the_mapper_commands_the_terminal(workspace, write_rows):
    rows = [
        {HOSTILE.replace("\ud800", ""): HOSTILE, "nested": {"[bold]": [HOSTILE, "[/INST]"], "": HOSTILE * 9}}
    ]
    write_rows(rows)
    app = capture(app_on(workspace, "data"))
    async with app.run_test(size=SIZE, headless=False, notifications=True) as pilot:
        await shown(pilot, "of no known shape", "[/INST]")
        await pilot.press("M")
        await shown(pilot, "fields of 1 rows")
        await pilot.press("home", "p", "down", "down", "c")
        await shown(pilot, "maps 1 of 1")
        await pilot.press("enter")
        await shown(pilot, "rows are read anew")
    assert_harmless(output_of(app))


# ---- the field mapper


async def test_the_guess_is_right_and_enter_keeps_it_and_u_takes_it_back(workspace, write_rows):
    path = write_rows(home_made())
    before = path.read_bytes()
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "of no known shape")
        await pilot.press("M")
        await shown(
            pilot, "maps 12 of 14 rows looked at", "/a/0/text", "/meta/sys", "row 1 as it would be read"
        )
        await pilot.press("enter")
        await shown(pilot, "rows are read anew", "q&a", "You help pump mechanics.", "row 1 · q&a, 3 turns")
        assert row_on_disk(path, 1).shape == "prompt_completion"
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "row 1 · q&a, 3 turns")
        await pilot.press("u")
        await shown(pilot, "undid the field mapping", "of no known shape")
        assert row_on_disk(path, 1).shape == "unknown"
    assert path.read_bytes() == before


async def test_fields_are_assigned_with_keys_and_with_the_mouse(workspace, write_rows):
    path = write_rows([{"front": "cat", "back": "Katze", "hint": "animal"}] * 3)
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot, "of no known shape")
        await pilot.press("M")
        await shown(pilot, "fields of 3 rows", "● as they look")
        await pilot.press("p")
        await shown(pilot, "a mapping needs a prompt and a completion")
        await pilot.press("enter")
        await shown(pilot, "read its rows")
        await pilot.press("down", "c", "down", "s")
        await shown(pilot, "maps 3 of 3 rows looked at", "s system     /hint")
        await pilot.press("s")
        text = await shown(pilot, "s system ")
        assert "/hint" not in text.split("s system")[1].split("\n")[0]
        lines = text.split("\n")
        y = next(at for at, line in enumerate(lines) if "s system" in line)
        await pilot.click(offset=(lines[y].index("s system"), y))
        await shown(pilot, "s system     /hint")
        await pilot.press("enter")
        await until(pilot, lambda: row_on_disk(path, 1).example is not None)
        turns = row_on_disk(path, 1).example.messages
        assert [(turn.role, turn.content) for turn in turns] == [
            ("system", "animal"),
            ("user", "cat"),
            ("assistant", "Katze"),
        ]


async def test_a_conversation_in_other_words_is_mapped_and_its_roles_swapped(workspace, write_rows):
    path = write_rows([{"dialog": DIALOG}] * 2)
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot, "of no known shape")
        await pilot.press("M")
        await shown(pilot, "turns: speaker · said", "customer = user", "desk = assistant", "maps 2 of 2")
        await pilot.press("r")
        await shown(pilot, "customer = assistant")
        await pilot.press("r", "enter")
        await shown(pilot, "row 1 · chat, 3 turns")
        assert [turn.role for turn in row_on_disk(path, 1).example.messages] == ["user", "user", "assistant"]


async def test_a_shape_is_forced_and_let_go(workspace, write_rows):
    path = write_rows([{"instruction": "q", "output": "a", "text": "### q\na"}] * 2)
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "row 1 · q&a")
        await pilot.press("M")
        await shown(pilot, "alpaca                   2")
        await pilot.press("left")
        while "● text" not in await shown(pilot, "●"):
            await pilot.press("right")
        await shown(pilot, "maps 2 of 2")
        await pilot.press("enter")
        await shown(pilot, "row 1 · text")
        assert row_on_disk(path, 1).example.text == "### q\na"
        await pilot.press("M")
        await shown(pilot, "● text")
        while "● as they look" not in await shown(pilot, "●"):
            await pilot.press("left")
        await pilot.press("enter")
        await shown(pilot, "row 1 · q&a")


async def test_esc_changes_nothing(workspace, write_rows):
    path = write_rows(home_made())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        pane = await data_pane(pilot, "of no known shape")
        await pilot.press("M")
        await shown(pilot, "maps 12 of 14")
        await pilot.press("escape", "j")
        await shown(pilot, "row 2 ·")
        assert pane.is_current
        assert row_on_disk(path, 1).shape == "unknown"


async def test_a_mapping_that_cannot_be_written_is_said_and_nothing_changes(
    workspace, write_rows, monkeypatch
):
    write_rows(home_made())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "of no known shape")
        await pilot.press("M")
        await shown(pilot, "maps 12 of 14")
        with monkeypatch.context() as broken:
            broken.setattr("ftui.data.journal.os.write", lambda _fd, data: len(data) // 2)
            await pilot.press("enter")
            await shown(pilot, "not saved", "of no known shape")


# ---- whole turns


async def test_m_merges_a_turn_with_the_next_and_one_undo_takes_it_back(workspace, write_rows):
    path = write_rows(
        [
            {
                "messages": [
                    {"role": "user", "content": "a", "name": "kim"},
                    {"role": "user", "content": "b"},
                    {"role": "assistant", "content": "c"},
                ]
            }
        ]
    )
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "row 1 · chat, 3 turns")
        await pilot.press("tab", "up", "up", "m")
        await shown(pilot, "row 1 · chat, 2 turns", "two turns are one now")
        assert turns_on_disk(path)[0] == {"role": "user", "content": "a\n\nb", "name": "kim"}
        await pilot.press("m")
        await shown(pilot, "the next turn is assistant: add its words to this user turn?")
        await pilot.press("escape", "u")
        await shown(pilot, "row 1 · chat, 3 turns")
        assert not row_on_disk(path, 1).edited


async def test_turns_of_two_roles_are_merged_when_it_is_confirmed(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "row 1 · chat, 2 turns")
        await pilot.press("tab", "up", "m", "y")
        await shown(pilot, "row 1 · chat, 1 turn ")
        assert [turn["role"] for turn in turns_on_disk(path)] == ["user"]


async def test_s_splits_a_turn_at_the_text_cursor(workspace, write_rows):
    path = write_rows(
        [
            {
                "conversations": [
                    {"from": "human", "value": "Hello."},
                    {"from": "gpt", "value": "Sure.\n\nAnd then? Nothing.", "weight": 1},
                ]
            }
        ]
    )
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "row 1 · chat, 2 turns")
        await pilot.press("s")
        await shown(pilot, "ctrl+s split at the cursor")
        await pilot.press("ctrl+s")
        await shown(pilot, "the second half is said by", "the same (assistant)", "the other (user)")
        await pilot.press("escape", *["right"] * 9, "ctrl+s", "o")
        await shown(pilot, "row 1 · chat, 3 turns")
        assert turns_on_disk(path, "conversations")[1:] == [
            {"from": "gpt", "value": "Sure.\n\nAnd then?", "weight": 1},
            {"from": "human", "value": "Nothing."},
        ]
        await pilot.press("u")
        await shown(pilot, "row 1 · chat, 2 turns")
        assert not row_on_disk(path, 1).edited


async def test_a_split_can_be_left_and_an_empty_half_is_refused(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "row 1 · chat, 2 turns")
        await pilot.press("s", "ctrl+home", "ctrl+s")
        await shown(pilot, "there is nothing before the cursor")
        assert pane.editing
        await pilot.press("escape")
        await until(pilot, lambda: not pane.editing)
        await pilot.press("e", "!", "ctrl+s")
        await until(pilot, lambda: row_on_disk(path, 1).edited)
        assert len(turns_on_disk(path)) == 2


async def test_a_turn_is_added_taken_out_and_said_by_another(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "row 1 · chat, 2 turns")
        await pilot.press("ctrl+n", *"Thanks a lot", "ctrl+s")
        await shown(pilot, "row 1 · chat, 3 turns", "a user turn was added")
        assert turns_on_disk(path)[2] == {"role": "user", "content": "Thanks a lot"}
        assert pane.example.block().text == "Thanks a lot", "the new turn is the chosen one"
        await pilot.press("R")
        await shown(pilot, "this turn is said by")
        await pilot.press("s")
        await until(pilot, lambda: turns_on_disk(path)[2]["role"] == "system")
        await until(pilot, lambda: pane.example.block().role == "system")
        await pilot.press("ctrl+d")
        await shown(pilot, "row 1 · chat, 2 turns", "a turn was taken out")
        await pilot.press("u", "u", "u")
        await until(pilot, lambda: not row_on_disk(path, 1).edited)


async def test_a_turn_that_was_not_typed_is_not_added(workspace, write_rows):
    path = write_rows(tickets())
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        pane = await data_pane(pilot, "row 1 · chat, 2 turns")
        await pilot.press("ctrl+n", "escape")
        await until(pilot, lambda: not pane.editing and len(pane.example.blocks) == 2)
        assert pane.example.block().text.startswith("Issue: late parcel")
        await pilot.press("ctrl+n", "x", "escape")
        await shown(pilot, "the edit is not saved")
        await pilot.press("d")
        await until(pilot, lambda: not pane.editing)
        assert not row_on_disk(path, 1).edited


@pytest.mark.parametrize("key", ["m", "s", "ctrl+n", "ctrl+d", "R"])
async def test_a_question_and_answer_row_has_no_turns_and_says_so(workspace, write_rows, key):
    path = write_rows([{"instruction": "Ask", "input": "", "output": "Answer. More."}])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "row 1 · q&a")
        await pilot.press(key)
        await shown(pilot, "no turn in a list", "press e")
        assert not row_on_disk(path, 1).edited


async def test_mapped_turns_and_sides_of_a_pair_are_merged_too(workspace, write_rows):
    path = write_rows(
        [
            {"dialog": DIALOG},
            {
                "prompt": "q",
                "chosen": [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}],
                "rejected": [{"role": "assistant", "content": "c"}],
            },
        ]
    )
    with Dataset.open(path) as dataset:
        roles = {"customer": "user", "desk": "assistant"}
        dataset.map_fields(
            parse({"messages": "/dialog", "role": "speaker", "content": "said", "roles": roles})
        )
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "row 1 · chat, 3 turns")
        await pilot.press("tab", "up", "up", "m")
        await shown(pilot, "row 1 · chat, 2 turns")
        merged = {"speaker": "customer", "said": "My pump leaks.\n\nIt is a P40.", "id": 2}
        assert row_on_disk(path, 1).value == {"dialog": [merged, DIALOG[2]]}
        await pilot.press("tab", "j", "tab")
        await shown(pilot, "row 2 · pair")
        await pilot.press("up", "up", "down", "m")
        await until(pilot, lambda: row_on_disk(path, 2).edited)
        assert row_on_disk(path, 2).value["chosen"] == [{"role": "assistant", "content": "a\n\nb"}]


# ---- pictures


@SIZES
def test_picture_of_a_tree(workspace, write_rows, snap_compare, size):
    path = write_rows([{**home_made()[0], "scores": list(range(200)), "page": "A long page of words. " * 40}])
    with Dataset.open(path) as dataset:
        dataset.annotate(1, actions.set_value("/meta/site", "Graz"))

    async def ready(pilot) -> None:
        await shown(pilot, "of no known shape", "RAM")
        await pilot.press("tab", "down", "down", "down")
        await shown(pilot, "row 1 ·")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)


@SIZES
def test_picture_of_the_field_mapper(workspace, write_rows, snap_compare, size):
    write_rows(home_made(97))

    async def ready(pilot) -> None:
        await shown(pilot, "of no known shape", "RAM")
        await pilot.press("M")
        await shown(pilot, "maps 97 of 99 rows looked at")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)


def test_picture_of_a_turn_being_split(workspace, write_rows, snap_compare):
    write_rows([ticket("Hello.", "First the valve.\n\nThen the seal."), *tickets()])

    async def ready(pilot) -> None:
        await shown(pilot, "row 1 · chat", "RAM")
        await pilot.press("s")
        await shown(pilot, "ctrl+s split")
        pilot.app.screen.focused.cursor_blink = False
        await pilot.press("ctrl+s")
        await shown(pilot, "the second half is said by")

    assert snap_compare(app_on(workspace, "data"), terminal_size=(80, 24), run_before=ready)
