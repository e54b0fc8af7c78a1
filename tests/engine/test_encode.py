"""What is trained: replies and their end-of-turn tokens, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.core.errors import FtuiError
from ftui.core.example import Example, Message
from ftui.core.shapes import to_example
from ftui.engine.encode import NOTHING, OVERLONG, Encoder, encode
from ftui.engine.xray import parse_example, token_view
from tests.tiny import CHATML, make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()
MARKED = CHATML.replace(
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}",
    "{% if message['role'] == 'assistant' %}<|im_start|>assistant\n{% generation %}{{ message['content'] }}"
    "{% endgeneration %}{{ '<|im_end|>\n' }}{% else %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endif %}",
)
# As Qwen3 does: an empty thought is shown in the last turn only, so history is rewritten as it grows.
REWRITING = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m['content'] }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function | tojson }}</call>{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def user(text):
    return Message("user", text)


def assistant(text, **fields):
    return Message("assistant", text, **fields)


def chat(*messages, **fields):
    return Example(messages=messages, **fields)


TWO_TURNS = chat(
    Message("system", "be brief"), user("hello"), assistant("hi there"), user("bye"), assistant("see you")
)


def trained(encoded, tokenizer=TOKENIZER):
    """The trained text, a bar between stretches that are apart."""
    stretches, run = [], []
    for id_, on in [*zip(encoded.ids, encoded.trained, strict=True), (0, False)]:
        if on:
            run.append(id_)
        elif run:
            stretches.append(tokenizer.decode(run))
            run = []
    return "|".join(stretches)


def tokenizer_with(template, **options):
    return make_tiny_tokenizer(chat_template=template, **options)


@pytest.mark.parametrize("template", [CHATML, MARKED], ids=["prefixes", "markers"])
@pytest.mark.parametrize(
    ("train_on", "expected"),
    [
        ("assistant", "hi there<|im_end|>|see you<|im_end|>"),
        ("last", "see you<|im_end|>"),
    ],
)
def test_replies_are_trained_with_their_end_of_turn_and_nothing_else(template, train_on, expected):
    encoded = encode(TWO_TURNS, tokenizer_with(template), train_on=train_on)
    assert trained(encoded) == expected
    assert encoded.closed
    assert not encoded.warnings


def test_the_tokens_are_those_of_the_whole_conversation():
    plain = TOKENIZER.apply_chat_template([message.to_dict() for message in TWO_TURNS.messages])["input_ids"]
    for train_on in ("assistant", "last", "all"):
        assert encode(TWO_TURNS, TOKENIZER, train_on=train_on).ids == plain


def test_all_trains_every_token_but_the_first():
    encoded = encode(TWO_TURNS, TOKENIZER, train_on="all")
    assert encoded.trained == [False] + [True] * (len(encoded.ids) - 1)


def test_a_turn_of_weight_zero_is_context_and_other_weights_count():
    example = chat(user("a"), assistant("one", weight=0.0), user("b"), assistant("two", weight=0.5))
    encoded = encode(example, TOKENIZER)
    assert trained(encoded) == "two<|im_end|>"
    assert {weight for weight in encoded.weights if weight} == {0.5}
    whole = encode(example, TOKENIZER, train_on="all")
    assert "one" not in trained(whole)
    assert "b" in trained(whole)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), 1e-9, 1e9])
def test_a_loss_weight_that_cannot_be_is_refused_by_name(weight):
    for train_on in ("assistant", "last", "all"):
        refused = encode(chat(user("a"), assistant("b", weight=weight)), TOKENIZER, train_on=train_on)
        assert refused.dropped.startswith("turn 2 has a loss weight of")


@pytest.mark.parametrize("said", ["high", "", [], "nan", "-1", True, "0"])
def test_a_loss_weight_as_a_dataset_has_it_counts_or_refuses_the_row_and_is_never_forgotten(said):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": said}]
    example = to_example({"messages": turns})
    shown = token_view(parse_example(json.loads(json.dumps(example.to_dict()))), Encoder(TOKENIZER))
    if said is True:
        assert shown["trained"]
    elif said == "0":
        assert shown["dropped"] == NOTHING
    else:
        assert shown["dropped"].startswith("turn 2 has a loss weight of")


def test_context_that_the_template_leaves_out_is_said():
    forgetful = CHATML.replace("{% for message in messages %}", "{% for message in messages[1:] %}")
    example = chat(
        Message("system", "be brief"),
        user("hello"),
        assistant("hi", reasoning="they greet"),
        tools=json.dumps([{"type": "function", "function": {"name": "find", "parameters": {}}}]),
    )
    warnings = encode(example, tokenizer_with(forgetful)).warnings
    assert [warning.removeprefix("the chat template leaves out or rewrites ") for warning in warnings] == [
        "a system message",
        "the tools on offer",
        "the thinking before the reply",
    ]
    assert not encode(chat(user("hello"), assistant("hi")), TOKENIZER).warnings


@pytest.mark.parametrize(
    ("example", "train_on"),
    [
        (chat(user("only a question")), "assistant"),
        (chat(user("a"), assistant("b", weight=0.0)), "assistant"),
        (chat(user("a"), assistant("b"), user("c"), assistant("d", weight=0.0)), "last"),
    ],
)
def test_a_row_with_nothing_to_train_on_is_dropped_with_the_reason(example, train_on):
    assert encode(example, TOKENIZER, train_on=train_on).dropped == NOTHING


def test_raw_text_is_trained_whole_and_ends_with_one_eos():
    eos = TOKENIZER.eos_token_id
    encoded = encode(Example(text="hello world"), TOKENIZER)
    assert encoded.ids[-1] == eos
    assert encoded.trained == [False] + [True] * (len(encoded.ids) - 1)
    assert encode(Example(text="hello world<|im_end|>"), TOKENIZER).ids == encoded.ids


def test_there_is_one_bos_whether_the_tokenizer_or_the_template_writes_it():
    tokenizer = tokenizer_with("{{ '<s>' }}" + CHATML, bos=True)
    for example in (TWO_TURNS, Example(text="hello")):
        assert encode(example, tokenizer).ids.count(tokenizer.bos_token_id) == 1


def test_overlong_rows_are_dropped_or_cut_and_say_so():
    whole = encode(TWO_TURNS, TOKENIZER)
    length = len(whole.ids)
    assert encode(TWO_TURNS, TOKENIZER, max_length=length).dropped == ""
    assert encode(TWO_TURNS, TOKENIZER, max_length=length - 1).dropped == OVERLONG
    cut = encode(TWO_TURNS, TOKENIZER, max_length=length - 4, overlong="truncate")
    assert (cut.ids, cut.truncated, cut.dropped) == (whole.ids[:-4], 4, "")
    gone = encode(TWO_TURNS, TOKENIZER, max_length=8, overlong="truncate")
    assert gone.dropped == NOTHING
    last = encode(TWO_TURNS, TOKENIZER, train_on="last", max_length=length - 4, overlong="truncate")
    assert not last.closed  # its end-of-turn token was cut off


def test_a_template_that_rewrites_history_still_trains_what_it_shows():
    tokenizer = tokenizer_with(REWRITING)
    encoded = encode(TWO_TURNS, tokenizer)
    assert trained(encoded, tokenizer) == "hi there<|im_end|>|<think>\n\n</think>\n\nsee you<|im_end|>"
    call = json.dumps([{"type": "function", "function": {"name": "find", "arguments": '{"q": "tent"}'}}])
    tools = chat(user("a"), assistant("", tool_calls=call), Message("tool", "found"), assistant("done"))
    assert trained(encode(tools, tokenizer), tokenizer) == (
        '<call>{"name": "find", "arguments": {"q": "tent"}}</call><|im_end|>|<think>\n\n</think>\n\ndone<|im_end|>'
    )


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        (
            CHATML.replace("message['content']", "message['content'] | replace('there', 'THERE')"),
            "rewrites what turn 3",
        ),
        (CHATML.replace("message['content']", "''"), "leaves out or rewrites"),
    ],
    ids=["raises", "changes the reply", "leaves the reply out"],
)
def test_what_cannot_be_placed_is_refused_with_the_reason(template, reason):
    assert reason in encode(TWO_TURNS, tokenizer_with(template)).dropped


def test_tool_calls_the_template_leaves_out_are_not_trained_as_silence():
    call = json.dumps([{"type": "function", "function": {"name": "find", "arguments": "{}"}}])
    example = chat(user("a"), assistant("", tool_calls=call), Message("tool", "x"), assistant("done"))
    assert encode(example, TOKENIZER).dropped == "the chat template leaves out tool calls"


def test_a_template_without_an_end_of_turn_token_gets_an_eos():
    template = "{% for m in messages %}### {{ m['role'] }}:\n{{ m['content'] }}\n\n{% endfor %}"
    template += "{% if add_generation_prompt %}### assistant:\n{% endif %}"
    tokenizer = tokenizer_with(template)
    encoded = encode(TWO_TURNS, tokenizer)
    assert encoded.ids[-1] == tokenizer.eos_token_id
    assert encoded.closed
    assert any("eos token is added" in warning for warning in encoded.warnings)


def test_a_tokenizer_without_a_template_refuses_conversations_but_takes_text():
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = None
    assert not encode(Example(text="hello"), tokenizer).dropped
    with pytest.raises(FtuiError, match="no chat template"):
        encode(TWO_TURNS, tokenizer)


def test_preference_pairs_train_the_chosen_reply_and_bad_labels_nothing():
    pair = Example(messages=(user("a"),), chosen=(assistant("good"),), rejected=(assistant("bad"),))
    assert trained(encode(pair, TOKENIZER)) == "good<|im_end|>"
    assert encode(chat(user("a"), assistant("b"), label=False), TOKENIZER).dropped == "labelled undesirable"


def test_a_tokenizer_without_offsets_trains_the_same_tokens(monkeypatch):
    fast = encode(TWO_TURNS, TOKENIZER)
    slow = make_tiny_tokenizer()
    monkeypatch.setattr(type(slow), "is_fast", property(lambda self: False))
    encoded = encode(TWO_TURNS, slow)
    assert encoded.ids == fast.ids
    assert encoded.trained == fast.trained


def test_a_batch_gives_what_each_example_gives_alone():
    examples = [TWO_TURNS, Example(text="hello"), chat(user("x")), chat(user("a"), assistant("b"))]
    encoder = Encoder(TOKENIZER)
    assert list(encoder.encode_batch(examples)) == [encoder.encode(example) for example in examples]


words = st.text(
    alphabet=st.characters(codec="utf-8", exclude_characters="\ue000\ue001\ue002\ue003"),
    min_size=1,
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(turns=st.lists(words, min_size=2, max_size=6))
def test_whatever_is_said_the_trained_text_is_the_replies(turns):
    messages = tuple(Message(("user", "assistant")[n % 2], text) for n, text in enumerate(turns))
    encoded = encode(Example(messages=messages), TOKENIZER)
    replies = [message.content for message in messages if message.role == "assistant"]
    if encoded.dropped:  # an empty reply
        assert not all(reply.strip() for reply in replies)
        return
    kept = [id_ for id_, on in zip(encoded.ids, encoded.trained, strict=True) if on]
    boundary_shared = bool(encoded.warnings)
    if not boundary_shared and "<|" not in "".join(turns):
        assert TOKENIZER.decode(kept) == "".join(reply + "<|im_end|>" for reply in replies)
