"""Every shape people use is recognised, read as one Example, and written back without loss where it fits."""

from __future__ import annotations

import json

import pytest

from ftui.core.errors import FtuiError
from ftui.core.example import Example, Message
from ftui.core.shapes import recognise, to_example
from ftui.core.shapes_back import from_example, lost
from ftui.core.shapes_fields import editable
from ftui.core.shapes_thread import join_threads
from ftui.data.pointers import get

U, A, S = (lambda text, role=role: Message(role, text) for role in ("user", "assistant", "system"))
ASKED = (U("q"), A("a"))
CALL = {"name": "find", "arguments": {"x": 1}}
OPENAI_CALL = json.dumps(
    [{"id": "", "type": "function", "function": {"name": "find", "arguments": '{"x": 1}'}}]
)


def turns(*pairs: tuple[str, str], keys=("role", "content")) -> list[dict[str, str]]:
    return [dict(zip(keys, pair, strict=True)) for pair in pairs]


SAID = turns(("user", "q"), ("assistant", "a"))
SHARED = turns(("human", "q"), ("gpt", "a"), keys=("from", "value"))

CASES = [
    # alpaca and its variants
    ({"instruction": "q", "input": "", "output": "a"}, "alpaca", Example(ASKED)),
    ({"instruction": "q", "input": "more", "output": "a"}, "alpaca", Example((U("q\nmore"), A("a")))),
    ({"instruction": "q", "context": "more", "response": "a", "category": "x"}, "alpaca", Example((U("q\nmore"), A("a")))),
    ({"question": "q", "answer": "a"}, "alpaca", Example(ASKED)),
    ({"query": "q", "response": "a"}, "alpaca", Example(ASKED)),
    ({"problem": "q", "solution": "a", "answer": "42"}, "alpaca", Example(ASKED)),
    ({"input": "q", "output": "a"}, "alpaca", Example(ASKED)),
    ({"system": "s", "instruction": "q", "output": "a"}, "alpaca", Example((S("s"), *ASKED))),
    ({"instruction": "q2", "output": "a2", "history": [["q", "a"]]}, "alpaca", Example((*ASKED, U("q2"), A("a2")))),
    # ShareGPT
    ({"conversations": SHARED}, "sharegpt", Example(ASKED)),
    ({"conversation": SHARED, "system": "s", "tools": "[]"}, "sharegpt", Example((S("s"), *ASKED))),
    ({"conversations": SHARED, "tools": '[{"name": "find"}]'}, "sharegpt", Example(ASKED, '[{"name": "find"}]')),
    ({"conversations": turns(("human", "q"), ("function_call", json.dumps(CALL)), ("observation", "r"), ("gpt", "a"), keys=("from", "value"))},
     "sharegpt", Example((U("q"), Message("assistant", "", OPENAI_CALL), Message("tool", "r"), A("a")))),
    ({"conversations": turns(("function_call", "no json"), keys=("from", "value"))}, "sharegpt", Example((Message("assistant", "", "no json"),))),
    # OpenAI messages
    ({"messages": SAID}, "messages", Example(ASKED)),
    ({"conversations": SAID}, "messages", Example(ASKED)),
    (SAID, "messages", Example(ASKED)),
    ({"messages": []}, "messages", Example()),
    ({"messages": json.dumps(SAID)}, "messages", Example(ASKED)),
    ({"messages": turns(("developer", "d"), ("user", "q"))}, "messages", Example((Message("developer", "d"), U("q")))),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "value": "b"}, {"type": "image_url", "image_url": {}}]}]},
     "messages", Example((U("ab<image_url>"),))),
    ({"messages": [{"role": "assistant", "content": [{"type": "reasoning", "value": "hm"}, {"type": "text", "value": "a"}]}]},
     "messages", Example((Message("assistant", "a", reasoning="hm"),))),
    ({"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": CALL}]}]},
     "messages", Example((Message("assistant", "", OPENAI_CALL.replace('"id": ""', '"id": "1"')),))),
    ({"messages": [{"role": "assistant", "content": None, "function_call": CALL}]}, "messages", Example((Message("assistant", "", OPENAI_CALL),))),
    ({"messages": [{"role": "tool", "content": "r", "tool_call_id": "1", "name": "find"}]}, "messages", Example((Message("tool", "r", "", "1", "find"),))),
    ({"messages": [{"role": "assistant", "content": "a", "reasoning_content": "hm"}]}, "messages", Example((Message("assistant", "a", reasoning="hm"),))),
    ({"messages": [{"role": "user", "content": "q", "loss_weight": 0.0}, {"role": "assistant", "content": "a", "loss_weight": 1}]},
     "messages", Example((Message("user", "q", weight=0.0), Message("assistant", "a", weight=1.0)))),
    ({"messages": [{"role": "assistant", "content": "a", "weight": 0.5}]}, "messages", Example((Message("assistant", "a", weight=0.5),))),
    ({"messages": [{"role": "assistant", "content": "a", "train": False}]}, "messages", Example((Message("assistant", "a", weight=0.0),))),
    ({"messages": [{"role": "assistant", "content": "a", "weight": " 0 "}]}, "messages", Example((Message("assistant", "a", weight=0.0),))),
    ({"messages": [{"role": "assistant", "content": "a", "weight": "1e-1"}]}, "messages", Example((Message("assistant", "a", weight=0.1),))),
    ({"messages": [{"role": "assistant", "content": "a", "loss_weight": None, "weight": 2}]}, "messages", Example((Message("assistant", "a", weight=2.0),))),
    *(({"messages": [{"role": "assistant", "content": "a", "weight": odd}]}, "messages", Example((Message("assistant", "a", odd_weight=said),)))
      for odd, said in (("high", "high"), ("", "(empty)"), ("nan", "nan"), ("1_0", "1_0"), ([], "(empty)"), ({"a": 1}, '{"a": 1}'), (10**400, str(10**400)))),
    ({"messages": SAID, "functions": [{"name": "find"}]}, "messages", Example(ASKED, '[{"type": "function", "function": {"name": "find"}}]')),
    ({"messages": [*SAID, "not a turn", 3]}, "messages", Example((*ASKED, Message("", "not a turn"), Message("", "3")))),
    # prompt and completion
    ({"prompt": "q", "completion": "a"}, "prompt_completion", Example(ASKED)),
    ({"prompt": SAID[:1], "completion": SAID[1:]}, "prompt_completion", Example(ASKED)),
    ({"prompt": "q", "response": "a"}, "prompt_completion", Example(ASKED)),
    # preference pairs
    ({"prompt": "q", "chosen": "a", "rejected": "b"}, "preference", Example((U("q"),), chosen=(A("a"),), rejected=(A("b"),))),
    ({"conversations": SHARED[:1], "chosen": SHARED[1], "rejected": {"from": "gpt", "value": "b"}},
     "preference", Example((U("q"),), chosen=(A("a"),), rejected=(A("b"),))),
    ({"chosen": SAID, "rejected": turns(("user", "q"), ("assistant", "b"))}, "preference", Example((U("q"),), chosen=(A("a"),), rejected=(A("b"),))),
    ({"prompt": "q", "chosen": SAID, "rejected": turns(("user", "q"), ("assistant", "b"))},
     "preference", Example((U("q"),), chosen=(A("a"),), rejected=(A("b"),))),
    ({"prompt": "q", "chosen_messages": SAID[1:], "rejected_messages": turns(("assistant", "b"))},
     "preference", Example((U("q"),), chosen=(A("a"),), rejected=(A("b"),))),
    ({"instruction": "q", "input": "more", "chosen": "a", "rejected": "b"}, "preference", Example((U("q\nmore"),), chosen=(A("a"),), rejected=(A("b"),))),
    ({"system": "s", "question": "q", "chosen": "a", "rejected": "b"}, "preference", Example((S("s"), U("q")), chosen=(A("a"),), rejected=(A("b"),))),
    ({"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"},
     "preference", Example((U("q"),), chosen=(A("a"),), rejected=(A("b"),))),
    ({"chosen": SAID, "rejected": SAID}, "preference", Example((U("q"),), chosen=(A("a"),), rejected=(A("a"),))),
    # KTO
    ({"messages": SAID, "label": True}, "kto", Example(ASKED, label=True)),
    ({"conversations": SHARED, "kto_tag": False}, "kto", Example(ASKED, label=False)),
    ({"prompt": "q", "completion": "a", "label": "false"}, "kto", Example(ASKED, label=False)),
    ({"instruction": "q", "output": "a", "kto_tag": 1}, "kto", Example(ASKED, label=True)),
    # text, threads, unknown
    ({"text": "t", "meta": {"label": 1}}, "text", Example(text="t")),
    ({"text": "t", "label": 1}, "text", Example(text="t")),
    ({"content": "t"}, "text", Example(text="t")),
    ("t", "text", Example(text="t")),
    ({"id": "2", "parent_id": "1", "text": "t", "role": "assistant"}, "thread", Example((A("t"),))),
    ({"message_id": "1", "parent_id": None, "text": "t", "role": "prompter"}, "thread", Example((U("t"),))),
    ({"a": 1}, "unknown", None),
    ({"messages": "not a list"}, "unknown", None),
    ({"instruction": "q"}, "unknown", None),
    ({"chosen": "a"}, "unknown", None),
    ({"chosen": 1, "rejected": 2}, "unknown", None),
    ([], "unknown", None),
    (3, "unknown", None),
    (None, "unknown", None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "shape", "example"), CASES)
def test_a_row_is_recognised_and_read(value, shape, example):
    assert recognise(value) == shape
    assert to_example(value) == example


@pytest.mark.parametrize("shape", ["messages", "sharegpt", "alpaca", "prompt_completion"])
@pytest.mark.parametrize(
    "example", [Example(ASKED), Example((S("s"), *ASKED)), Example((S("s"), *ASKED, U("q2"), A("a2")))]
)
def test_a_conversation_survives_every_shape_that_can_hold_it(example, shape):
    row = from_example(example, shape)
    assert recognise(row) == shape
    assert to_example(row) == example
    assert lost(example, shape) == ()


def test_what_only_messages_can_hold_survives_there_and_is_named_elsewhere():
    rich = Example(
        (
            U("q"),
            Message("assistant", "", OPENAI_CALL, reasoning="hm", weight=0.5),
            Message("tool", "r", "", "1", "find"),
            A("a"),
        ),
        tools='[{"name": "find"}]',
    )
    assert to_example(from_example(rich, "messages")) == rich
    assert lost(rich, "messages") == ()
    assert lost(rich, "sharegpt") == ("loss weights", "reasoning", "tool call ids", "names")
    back = to_example(from_example(rich, "sharegpt"))
    assert back is not None
    assert [turn.role for turn in back.messages] == ["user", "assistant", "tool", "assistant"]
    assert back.messages[1].tool_calls == OPENAI_CALL
    assert back.tools == rich.tools
    with pytest.raises(FtuiError, match="alpaca"):
        from_example(rich, "alpaca")


def test_pairs_labels_and_texts_survive_their_own_shapes():
    pair = Example((S("s"), U("q")), chosen=(A("a"),), rejected=(A("b"),))
    assert to_example(from_example(pair, "preference")) == pair
    assert to_example(from_example(Example(ASKED, label=False), "kto")) == Example(ASKED, label=False)
    assert to_example(from_example(Example(text="t"), "text")) == Example(text="t")
    assert to_example(from_example(pair, "messages")) == Example((S("s"), U("q"), A("a")))
    assert lost(pair, "messages") == ("chosen and rejected",)


@pytest.mark.parametrize(
    ("example", "shape"),
    [(Example(text="t"), "messages"), (Example(ASKED), "preference"), (Example(ASKED), "kto"), (Example(ASKED), "text"),
     (Example((A("a"),)), "alpaca"), (Example(ASKED), "nonsense"), (Example(), "sharegpt")],
)  # fmt: skip
def test_a_shape_that_cannot_hold_an_example_says_so(example, shape):
    with pytest.raises(FtuiError):
        from_example(example, shape)


def test_threads_become_one_conversation_for_each_unanswered_post():
    posts = [
        {"id": "1", "parent_id": "", "text": "q"},
        {"id": "2", "parent_id": "1", "text": "a"},
        {"id": "3", "parent_id": "1", "text": "b"},
        {"id": "4", "parent_id": "2", "text": "q2"},
        {"id": "9", "parent_id": "gone", "text": "alone"},
    ]
    assert list(join_threads(enumerate(posts, 1))) == [
        (3, Example((U("q"), A("b")))),
        (4, Example((U("q"), A("a"), U("q2")))),
        (5, Example((U("alone"),))),
    ]
    pairs = [
        {"id": 1, "parent_id": None, "instruction": "q", "output": "a"},
        {"id": 2, "parent_id": 1, "instruction": "q2", "output": "a2"},
    ]
    assert list(join_threads(enumerate(pairs, 1))) == [(2, Example((U("q"), A("a"), U("q2"), A("a2"))))]


def test_a_circle_of_posts_ends():
    posts = [{"id": "1", "parent_id": "2", "text": "x"}, {"id": "2", "parent_id": "1", "text": "y"}]
    assert [len(example.messages) for _, example in join_threads(enumerate(posts, 1))] == [2]


@pytest.mark.parametrize("value", [case[0] for case in CASES])
def test_every_text_a_person_may_edit_has_a_pointer_that_reaches_it(value):
    for found in editable(value):
        assert get(value, found.pointer) == found.text
        assert found.label


def test_turns_are_labelled_by_role():
    row = {
        "messages": [*SAID, {"role": "assistant", "content": [{"type": "text", "value": "x"}]}],
        "source": "s",
    }
    assert [(found.label, found.pointer) for found in editable(row)] == [
        ("user", "/messages/0/content"),
        ("assistant", "/messages/1/content"),
        ("assistant", "/messages/2/content/0/value"),
        ("source", "/source"),
    ]
    pair = {"prompt": "q", "chosen": SAID[1:], "rejected": {"from": "gpt", "value": "b"}}
    assert [found.label for found in editable(pair)] == ["prompt", "chosen assistant", "rejected assistant"]


@pytest.mark.parametrize("value", [case[0] for case in CASES])
def test_a_glance_at_a_conversation_tells_what_reading_it_does(value):
    from ftui.data.row_view import _glance, _measure

    glance = _glance(value, recognise(value))
    example = to_example(value)
    assert glance is None or (example is not None and glance == _measure(example))
