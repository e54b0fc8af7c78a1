"""The token X-ray shows exactly what is trained, and the encoder server answers one request a line."""

from __future__ import annotations

import json

import pytest

from ftui.core.errors import FtuiError
from ftui.core.example import Example, Message
from ftui.engine.encode import Encoder
from ftui.engine.requests import Requests
from ftui.engine.xray import lengths_view, parse_example, token_view
from ftui.runs.clients import EngineClient
from ftui.runs.encoder import Encoder as EncoderProcess
from tests.tiny import make_tiny_tokenizer

TOKENIZER = make_tiny_tokenizer()
EXAMPLE = Example(
    (Message("system", "be brief"), Message("user", "hello 👍"), Message("assistant", "hi 👍 there"))
)


def text(tokens, **wanted):
    return "".join(
        token["text"] for token in tokens if all(token[key] == value for key, value in wanted.items())
    )


@pytest.mark.parametrize("train_on", ["assistant", "last", "all"])
@pytest.mark.parametrize("example", [EXAMPLE, Example(text="some raw text 👍")], ids=["chat", "text"])
def test_the_view_is_the_encoding(example, train_on):
    encoder = Encoder(TOKENIZER, train_on=train_on)
    encoded, view = encoder.encode(example), token_view(example, encoder)
    assert [token["id"] for token in view["tokens"]] == encoded.ids
    assert [token["trained"] for token in view["tokens"]] == encoded.trained
    assert view["trained"] == sum(encoded.trained)
    assert view["eos_trained"]


def test_the_pieces_put_together_are_the_text_and_each_has_its_owner():
    view = token_view(EXAMPLE, Encoder(TOKENIZER))
    tokens = view["tokens"]
    assert text(tokens) == (
        "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nhello 👍<|im_end|>\n"
        "<|im_start|>assistant\nhi 👍 there<|im_end|>\n"
    )
    assert text(tokens, trained=True) == "hi 👍 there<|im_end|>"
    assert text(tokens, role="system") == "be brief"
    assert text(tokens, role="user") == "hello 👍"
    assert (
        text(tokens, role="template", special=True)
        == "<|im_start|><|im_end|><|im_start|><|im_end|><|im_start|>"
    )


def test_what_is_cut_off_is_shown_as_cut_and_never_as_trained():
    whole = token_view(EXAMPLE, Encoder(TOKENIZER))
    view = token_view(EXAMPLE, Encoder(TOKENIZER, max_length=whole["total"] - 3, overlong="truncate"))
    assert (view["total"], view["truncated"], view["eos_trained"]) == (whole["total"], 3, False)
    assert [token["truncated"] for token in view["tokens"][-4:]] == [False, True, True, True]
    assert not text(view["tokens"], truncated=True, trained=True)
    dropped = token_view(EXAMPLE, Encoder(TOKENIZER, max_length=whole["total"] - 3))
    assert dropped["dropped"] == "longer than max_length"
    assert (dropped["trained"], dropped["truncated"]) == (0, 3)


def test_a_row_that_cannot_be_rendered_says_why():
    view = token_view(Example((Message("assistant", ""),)), Encoder(TOKENIZER))
    assert view["dropped"]
    assert view["tokens"] == []


def test_a_row_refused_for_its_label_is_shown_with_nothing_trained():
    view = token_view(Example(EXAMPLE.messages, label=False), Encoder(TOKENIZER))
    assert text(view["tokens"]) == text(token_view(EXAMPLE, Encoder(TOKENIZER))["tokens"])
    assert view["dropped"] == "labelled undesirable"
    assert (view["trained"], view["eos_trained"], text(view["tokens"], trained=True)) == (0, False, "")


def test_lengths_are_summed_up():
    view = lengths_view([10, 20, 300, 3000], max_length=100)
    assert (view["count"], view["max"], view["p50"]) == (4, 3000, 20 if view["p50"] == 20 else 300)
    assert (view["over"]["100"], view["over"]["256"], view["over"]["2048"]) == (2, 2, 1)
    assert lengths_view([])["count"] == 0


def test_examples_survive_the_way_to_the_server():
    assert parse_example(json.loads(json.dumps(EXAMPLE.to_dict()))) == EXAMPLE
    with pytest.raises(FtuiError, match="not an example"):
        parse_example({"messages": [{"nonsense": 1}]})


def test_the_server_answers_and_outlives_bad_requests(tiny, tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"messages": EXAMPLE.to_dict()["messages"]}) + "\n" for _ in range(3)))
    client = EngineClient("ftui.engine.encode")
    try:
        with pytest.raises(FtuiError, match="no such"):
            list(client.call("xray", model="/no/such/model", example=EXAMPLE.to_dict()))
        with pytest.raises(FtuiError, match="no such operation"):
            list(client.call("dance"))
        *_, view = client.call("xray", model=str(tiny), example=EXAMPLE.to_dict(), train_on="last")
        assert text(view["tokens"], trained=True) == "hi 👍 there<|im_end|>"
        *events, lengths = client.call("lengths", model=str(tiny), path=str(data), max_length=8, rows=True)
        assert lengths["count"] == 3
        assert lengths["over"]["8"] == 3
        (streamed,) = (event for event in events if event["event"] == "lengths")
        assert [number for number, _ in streamed["rows"]] == [1, 2, 3]
        assert {length for _, length in streamed["rows"]} == {lengths["max"]}
    finally:
        client.close()


def test_both_replies_of_a_pair_are_shown(tiny):
    pair = Example(
        (Message("user", "q"),), chosen=(Message("assistant", "yes"),), rejected=(Message("assistant", "no"),)
    )
    client = EngineClient("ftui.engine.encode")
    try:
        *_, view = client.call("xray", model=str(tiny), example=pair.to_dict())
    finally:
        client.close()
    assert text(view["tokens"], trained=True) == "yes<|im_end|>"
    assert text(view["rejected"]["tokens"], trained=True) == "no<|im_end|>"


def test_counting_can_be_cancelled_and_lets_an_xray_pass(tiny, tmp_path):
    data = tmp_path / "data.jsonl"
    row = json.dumps({"messages": EXAMPLE.to_dict()["messages"]}) + "\n"
    data.write_text(row * 20_000)
    client = EngineClient("ftui.engine.encode")
    try:
        counting = client.call("lengths", model=str(tiny), path=str(data), rows=True)
        first = next(event for event in counting if event["event"] == "lengths")
        assert len(first["rows"]) == 256
        *_, view = client.call("xray", model=str(tiny), example=EXAMPLE.to_dict())
        assert view["tokens"]
        client.cancel()
        *_, last = counting
        assert last["cancelled"]
        assert last["count"] < 20_000
        *_, view = client.call("xray", model=str(tiny), example=EXAMPLE.to_dict())
        assert view["tokens"]
    finally:
        client.close()


def test_requests_keep_their_turn_but_for_those_that_may_pass():
    said = []
    lines = [b'{"id":1,"op":"lengths"}', b"[]", b"", b'{"id":2,"op":"lengths"}', b'{"id":3,"op":"xray"}',
             b'{"id":4,"op":"lengths"}', b'{"id":4,"op":"cancel"}', b'{"id":5,"op":"xray"}']  # fmt: skip
    requests = Requests(iter(lines), said.append)
    served = iter(requests)
    assert next(served)["id"] == 1
    while requests.cancelled(4) is False:
        pass  # its thread reads on
    passed: list[int] = []
    while len(passed) < 2:
        passed += [request["id"] for request in requests.passing("xray")]
    assert passed == [3, 5]
    assert [request["id"] for request in served] == [2]
    assert [event["message"] for event in said] == ["not a JSON object"]


def test_a_shutdown_ends_a_long_answer_too():
    requests = Requests(
        iter([b'{"id":1,"op":"lengths"}', b'{"id":2,"op":"xray"}', b'{"op":"shutdown"}']), print
    )
    while not requests.cancelled(1):
        pass
    assert list(requests) == []


PAIR = Example(
    messages=(Message("user", "hello"), Message("assistant", "hi"), Message("user", "where is my tent")),
    chosen=(Message("assistant", "on its way"),),
    rejected=(Message("assistant", "no idea"),),
)


@pytest.mark.parametrize(
    ("objective", "chosen", "rejected"),
    [("sft", "hi<|im_end|>on its way<|im_end|>", "hi<|im_end|>no idea<|im_end|>"),
     ("dpo", "on its way<|im_end|>", "no idea<|im_end|>"),
     ("kto", "on its way<|im_end|>", "no idea<|im_end|>")],
)  # fmt: skip
def test_a_pair_shows_what_its_objective_learns_from(tiny, objective, chosen, rejected):
    with EncoderProcess() as encoder:
        seen = encoder.xray(PAIR, str(tiny), objective=objective)
    texts = ["".join(token.text for token in view.tokens if token.trained) for view in (seen, seen.rejected)]
    assert texts == [chosen, rejected]


def test_a_row_the_objective_cannot_learn_from_says_why(tiny):
    with EncoderProcess() as encoder:
        seen = encoder.xray(Example(messages=PAIR.messages), str(tiny), objective="dpo")
    assert (seen.tokens, seen.dropped) == ((), "dpo learns from pairs of a chosen and a rejected reply")
