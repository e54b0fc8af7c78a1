"""Turns are merged, split, added and taken out without losing a word or a field, and undo gives the bytes back."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.core.errors import FtuiError
from ftui.core.shapes_mapping import parse
from ftui.data import pointers, turns
from ftui.data.dataset import Dataset
from ftui.data.turns import turn_at

CALLS = [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}]
CHAT = {
    "id": 4417,
    "messages": [
        {"role": "user", "content": "One.", "name": "kim"},
        {"role": "user", "content": "Two.", "x": [1]},
        {"role": "assistant", "content": "First.\n\nSecond.", "weight": 0.5, "tool_calls": CALLS, "id": "m3"},
        {"role": "tool", "content": "{}", "tool_call_id": "c1"},
    ],
}


def messages(action, row=CHAT):
    return pointers.put(row, action.path, action.value)["messages"]


def at(pointer, row=CHAT, mapping=None):
    return turn_at(row, pointer, mapping)


def test_two_turns_of_one_role_become_one_with_every_field_kept():
    place = at("/messages/0/content")
    assert turns.question(place) == ""
    assert messages(turns.merge(place))[0] == {
        "role": "user",
        "content": "One.\n\nTwo.",
        "name": "kim",
        "x": [1],
    }
    assert messages(turns.merge(place))[1:] == CHAT["messages"][2:]


def test_turns_of_two_roles_are_merged_only_when_that_is_meant():
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    place = at("/messages/0/content", row)
    assert turns.question(place) == "the next turn is assistant: add its words to this user turn?"
    assert messages(turns.merge(place), row) == [{"role": "user", "content": "a\n\nb"}]


def test_fields_that_disagree_are_asked_about():
    row = {
        "messages": [
            {"role": "user", "content": "a", "weight": 1, "id": "x"},
            {"role": "user", "content": "b", "weight": 0, "id": "y"},
        ]
    }
    place = at("/messages/0/content", row)
    assert turns.question(place) == "both have weight, id: keep this turn's?"
    assert messages(turns.merge(place), row) == [
        {"role": "user", "content": "a\n\nb", "weight": 1, "id": "x"}
    ]


@pytest.mark.parametrize(
    ("pointer", "complaint"),
    [("/messages/2/content", "tool calls"), ("/messages/3/content", "no turn follows"), ("/id", "no turn in a list"), ("", "no turn in a list"), (None, "no turn")],
)  # fmt: skip
def test_what_cannot_be_merged_is_said(pointer, complaint):
    with pytest.raises(FtuiError, match=complaint):
        turns.question(at(pointer))


def test_alpaca_has_nothing_to_merge():
    with pytest.raises(FtuiError, match="no turn in a list"):
        at("/output", {"instruction": "q", "output": "a"})


def test_function_calls_of_sharegpt_stay_turns_of_their_own():
    row = {"conversations": [{"from": "gpt", "value": "wait"}, {"from": "function_call", "value": "{}"}]}
    with pytest.raises(FtuiError, match="tool calls"):
        turns.question(at("/conversations/0/value", row))


def test_content_parts_are_put_one_after_the_other():
    image = {"type": "image_url", "image_url": {"url": "x"}}
    row = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, image]},
            {"role": "user", "content": "b"},
        ]
    }
    [merged] = messages(turns.merge(at("/messages/0/content/0/text", row)), row)
    assert [part.get("text") for part in merged["content"]] == ["a", None, "\n\n", "b"]
    assert merged["content"][1] is image


def test_a_split_turn_keeps_its_fields_where_they_belong():
    place = at("/messages/2/content")
    action = turns.split(place, "First.\n\nSecond.", 7, "assistant")
    first, second = messages(action)[2:4]
    assert first == {"role": "assistant", "content": "First.", "weight": 0.5, "id": "m3"}
    assert second == {"role": "assistant", "content": "Second.", "weight": 0.5, "tool_calls": CALLS}
    first, second = messages(turns.split(place, "First.\n\nSecond.", 7, place.other_role))[2:4]
    assert first == {"role": "assistant", "content": "First.", "weight": 0.5, "tool_calls": CALLS, "id": "m3"}
    assert second == {"role": "user", "content": "Second."}


def test_roles_are_written_as_the_row_writes_them():
    row = {"conversations": [{"from": "gpt", "value": "ab"}, {"from": "function_call", "value": "{}"}]}
    place = at("/conversations/0/value", row)
    split = turns.split(place, "ab", 1, place.other_role).value
    assert split[:2] == [{"from": "gpt", "value": "a"}, {"from": "human", "value": "b"}]
    spelled = {"conversations": [*row["conversations"], {"from": "Human", "value": "c"}]}
    assert turns.insert(at("/conversations/0/value", spelled), "user", "new").value[1] == {
        "from": "Human",
        "value": "new",
    }
    assert turns.change_role(place, "tool").value == "observation"


def test_mapped_turns_are_turns_too():
    row = {"dialog": [{"speaker": "bot", "said": "ab", "at": 3}, {"speaker": "bot", "said": "c"}]}
    mapping = parse(
        {
            "messages": "/dialog",
            "role": "speaker",
            "content": "said",
            "roles": {"bot": "assistant", "client": "user"},
        }
    )
    place = at("/dialog/0/said", row, mapping)
    assert turns.merge(place).value == [{"speaker": "bot", "said": "ab\n\nc", "at": 3}]
    assert turns.split(place, "ab", 1, place.other_role).value[1] == {"speaker": "client", "said": "b"}


def test_one_side_of_a_pair_and_a_bare_list_are_lists_of_turns():
    pair = {
        "prompt": "q",
        "chosen": [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}],
        "rejected": "r",
    }
    action = turns.merge(at("/chosen/0/content", pair))
    assert (action.path, action.value) == ("/chosen", [{"role": "assistant", "content": "a\n\nb"}])
    bare = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    action = turns.remove(at("/1/content", bare))
    assert (action.path, action.value) == ("", bare[:1])


def test_the_only_turn_is_not_taken_out():
    with pytest.raises(FtuiError, match="only turn"):
        turns.remove(at("/messages/0/content", {"messages": [{"role": "user", "content": "a"}]}))


@pytest.mark.parametrize("offset", [0, 15])
def test_a_split_with_an_empty_half_is_refused(offset):
    with pytest.raises(FtuiError, match="nothing"):
        turns.split(at("/messages/2/content"), "First.\n\nSecond.", offset, "user")


def test_only_words_are_split():
    with pytest.raises(FtuiError, match="only what a turn says"):
        turns.split(at("/messages/2/tool_calls"), "[{}]", 2, "user")


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
TURN = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "odd"]), "content": TEXT}, optional={"id": TEXT, "weight": st.floats(0, 2), "name": TEXT})  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(TURN, min_size=2, max_size=4), TEXT, TEXT)
def test_splitting_at_a_blank_line_undoes_merging_and_loses_no_word(rows, head, tail):
    rows[0]["content"], rows[1] = head, {"role": rows[0]["role"], "content": tail}
    row = {"messages": rows, "other": 1}
    before = copy.deepcopy(row)
    merged = turns.merge(at("/messages/0/content", row))
    text = merged.value[0]["content"]
    assert text == f"{head}\n\n{tail}"
    assert row == before, "the row itself is not touched"
    if head.strip() and tail.strip():
        joined = pointers.put(row, merged.path, merged.value)
        place = at("/messages/0/content", joined)
        action = turns.split(place, text, len(head), rows[0]["role"])
        first, second = action.value[:2]
        assert (first["content"], second["content"]) == (head.rstrip(), tail.lstrip())
        assert {key: item for key, item in first.items() if key != "content"} == {
            key: item for key, item in rows[0].items() if key != "content"
        }
        assert action.value[2:] == rows[2:]


def test_one_undo_gives_back_the_very_bytes(tmp_path):
    path = tmp_path / "chat.jsonl"
    raw = json.dumps(CHAT, indent=None, separators=(", ", " : ")).encode()
    path.write_bytes(raw + b"\n")
    with Dataset.open(path, who="mira") as dataset:
        for make in (
            turns.merge,
            turns.remove,
            lambda place: turns.insert(place, "assistant", "new"),
            lambda place: turns.change_role(place, "system"),
        ):
            place = at("/messages/0/content", dataset.row(1).value)
            dataset.annotate(1, make(place))
            assert dataset.row(1).edited
            dataset.undo()
            assert not dataset.row(1).edited
            assert dataset.row(1).text.encode() == raw
