"""Several sides in one batch: each side's reply is the one it would give alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from ftui.core.errors import FtuiError
from ftui.engine import generate as generation
from ftui.engine.adapters import find_adapter
from ftui.engine.generate import Done, Prompt, Token, generate
from ftui.engine.multi_adapter import AdapterRows
from ftui.engine.questions import read_sides
from ftui.engine.sampling import Sampler, Sampling
from ftui.engine.served_model import ServedModel, load
from ftui.engine.stream_text import TextStream
from tests.engine.tiny_adapters import make_adapter
from tests.tiny import make_tiny_model

torch.set_num_threads(1)

SHORT = [40, 50, 60]
LONG = [10 + n % 300 for n in range(70)]
GREEDY = Sampling(max_new_tokens=24, temperature=0)
DRAWN = Sampling(max_new_tokens=24, temperature=1.2, top_p=0.9, seed=7)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("serve")
    base = make_tiny_model(root / "base")
    return {
        "base": base,
        "one": make_adapter(base, root / "one", 1),
        "two": make_adapter(
            base, root / "two", 2, r=8, use_rslora=True, target_modules=["q_proj", "up_proj"]
        ),
        "dora": make_adapter(base, root / "dora", 3, use_dora=True),
        "head": make_adapter(base, root / "head", 4, modules_to_save=["embed_tokens"]),
    }


@pytest.fixture(scope="module")
def served(folders) -> ServedModel:
    model = load(str(folders["base"]), None, lambda *_: None)
    model.set_adapters([find_adapter(folders[name]) for name in ("one", "two", "dora")], lambda *_: None)
    return model


def ask(served: ServedModel, *sides: tuple[str | None, list[int], Sampling], stop=lambda: False):
    """The Done of each side, and every event in order."""
    prompts = []
    for name, ids, sampling in sides:
        adapter = served.adapter(name)
        prompts.append(Prompt(adapter.inner if adapter else None, ids, sampling))
    events: list[Token | Done] = []
    generate(served, prompts, events.append, stop)
    done = {event.side: event for event in events if isinstance(event, Done)}
    return [done[number] for number in range(len(sides))], events


def reference(folders, adapter: str | None, ids: list[int], tokens: int) -> str:
    """The greedy reply by transformers and peft themselves."""
    model = AutoModelForCausalLM.from_pretrained(folders["base"])
    if adapter:
        model = PeftModel.from_pretrained(model, folders[adapter])
    tokenizer = AutoTokenizer.from_pretrained(folders["base"])
    inputs = torch.tensor([ids])
    output = model.generate(
        input_ids=inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=tokens, do_sample=False
    )
    return str(tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True))


def test_each_side_of_a_batch_says_what_peft_makes_it_say_alone(served, folders):
    replies, _ = ask(served, (None, LONG, GREEDY), ("one", SHORT, GREEDY), ("two", LONG[:33], GREEDY))
    assert replies[0].text.rstrip("\ufffd") == reference(folders, None, LONG, 24).rstrip("\ufffd")
    assert replies[1].text.rstrip("\ufffd") == reference(folders, "one", SHORT, 24).rstrip("\ufffd")
    assert replies[2].text.rstrip("\ufffd") == reference(folders, "two", LONG[:33], 24).rstrip("\ufffd")
    assert len({reply.text for reply in replies}) == 3


def test_sides_with_dora_run_one_after_another_and_say_the_same(served, folders):
    replies, _ = ask(served, (None, SHORT, GREEDY), ("dora", LONG, GREEDY), ("one", LONG, GREEDY))
    assert replies[0].text.rstrip("\ufffd") == reference(folders, None, SHORT, 24).rstrip("\ufffd")
    assert replies[1].text.rstrip("\ufffd") == reference(folders, "dora", LONG, 24).rstrip("\ufffd")
    assert replies[2].text.rstrip("\ufffd") == reference(folders, "one", LONG, 24).rstrip("\ufffd")


def test_an_adapter_that_replaces_a_module_leaves_the_others_alone(folders):
    model = load(str(folders["base"]), None, lambda *_: None)
    model.set_adapters([find_adapter(folders[name]) for name in ("head", "one")], lambda *_: None)
    replies, _ = ask(model, ("one", LONG, GREEDY), (None, LONG, GREEDY))
    assert replies[0].text.rstrip("\ufffd") == reference(folders, "one", LONG, 24).rstrip("\ufffd")
    assert replies[1].text.rstrip("\ufffd") == reference(folders, None, LONG, 24).rstrip("\ufffd")
    replies, _ = ask(model, ("head", LONG, GREEDY), (None, SHORT, GREEDY))
    assert replies[0].text.rstrip("\ufffd") == reference(folders, "head", LONG, 24).rstrip("\ufffd")
    assert replies[1].text.rstrip("\ufffd") == reference(folders, None, SHORT, 24).rstrip("\ufffd")


def test_a_seed_gives_the_same_reply_whatever_stands_beside_it(served):
    (alone,), _ = ask(served, ("one", LONG, DRAWN))
    (first, _), _ = ask(served, ("one", LONG, DRAWN), (None, SHORT, Sampling(seed=3, max_new_tokens=5)))
    (_, second, _), _ = ask(served, (None, SHORT, DRAWN), ("one", LONG, DRAWN), ("two", SHORT, DRAWN))
    (other,), _ = ask(served, ("one", LONG, Sampling(24, 1.2, 0.9, seed=8)))
    assert alone.text == first.text == second.text
    assert alone.text != other.text
    assert alone.seed == 7


def test_sides_end_each_at_their_own_length(served):
    lengths = [3, 11, 1]
    sides = [(None, LONG, Sampling(max_new_tokens=n, temperature=0)) for n in lengths]
    replies, events = ask(served, *sides)
    assert [reply.tokens for reply in replies] == lengths
    assert {reply.finish for reply in replies} == {"length"}
    assert replies[1].text.startswith(replies[0].text)
    done = [event.side for event in events if isinstance(event, Done)]
    assert done == [2, 0, 1]


def test_the_stream_adds_up_to_the_reply(served):
    replies, events = ask(served, (None, LONG, DRAWN), ("one", SHORT, DRAWN))
    for number, reply in enumerate(replies):
        pieces = [event.text for event in events if isinstance(event, Token) and event.side == number]
        assert "".join(pieces) == reply.text
        assert all(pieces)
        assert reply.ttft_seconds > 0


def test_a_stop_token_ends_the_reply_and_is_not_in_it(served, monkeypatch):
    greedy = Sampling(max_new_tokens=1, temperature=0)
    seen: list[int] = []
    plain = Sampler.pick

    def pick(self, logits):
        seen.append(plain(self, logits))
        return seen[-1]

    monkeypatch.setattr(Sampler, "pick", pick)
    ask(served, (None, LONG, greedy))
    monkeypatch.setattr(Sampler, "pick", plain)
    monkeypatch.setattr(served, "stop_ids", frozenset(seen))
    (reply,), events = ask(served, (None, LONG, GREEDY))
    assert (reply.finish, reply.tokens, reply.text) == ("stop", 0, "")
    assert [type(event) for event in events] == [Done]


def test_cancelling_ends_every_side_within_a_token(served):
    asked = iter([False] * 4)
    replies, _ = ask(served, (None, SHORT, DRAWN), ("one", SHORT, DRAWN), stop=lambda: next(asked, True))
    assert {reply.finish for reply in replies} == {"cancelled"}
    assert all(reply.tokens <= 4 for reply in replies)
    (late,), _ = ask(served, (None, SHORT, DRAWN), stop=lambda: True)
    assert (late.finish, late.tokens) == ("cancelled", 0)
    (after,), _ = ask(served, (None, SHORT, DRAWN))
    assert after.tokens == 24


def test_a_failure_in_a_pass_leaves_the_model_as_it_was(served, monkeypatch):
    (before,), _ = ask(served, ("one", LONG, GREEDY))

    def fail(*_: object) -> None:
        raise RuntimeError("full")

    monkeypatch.setattr(generation._Row, "step", fail)
    with pytest.raises(RuntimeError):
        ask(served, ("one", LONG, GREEDY), (None, SHORT, GREEDY))
    monkeypatch.undo()
    assert not any("forward" in module.__dict__ for module in served.model.modules())
    (after,), _ = ask(served, ("one", LONG, GREEDY))
    assert after.text == before.text


def test_a_long_prompt_read_in_pieces_gives_the_same_reply(served, monkeypatch):
    whole, _ = ask(served, (None, LONG, GREEDY), ("one", SHORT, GREEDY))
    monkeypatch.setitem(generation._CHUNK, "cpu", 16)
    pieces, _ = ask(served, (None, LONG, GREEDY), ("one", SHORT, GREEDY))
    assert [reply.text for reply in pieces] == [reply.text for reply in whole]


def test_adapters_come_and_go_on_the_same_base(folders):
    model = load(str(folders["base"]), None, lambda *_: None)
    assert model.sides == ["base"]
    told = []
    model.set_adapters([find_adapter(folders["one"])], lambda *event: told.append(event))
    assert model.sides == ["base", "one"]
    assert told == [("adapter", 0, 1)]
    inner = model.adapters["one"].inner
    model.set_adapters([find_adapter(folders["two"]), find_adapter(folders["one"])], lambda *_: None)
    assert model.sides == ["base", "two", "one"]
    assert model.adapters["one"].inner == inner  # not loaded again
    model.set_adapters([find_adapter(folders["two"])], lambda *_: None)
    with pytest.raises(FtuiError, match="no adapter 'one'"):
        model.adapter("one")
    model.set_adapters([], lambda *_: None)
    (reply,), _ = ask(model, (None, LONG, GREEDY))
    assert reply.text.rstrip("\ufffd") == reference(folders, None, LONG, 24).rstrip("\ufffd")


def test_an_adapter_for_another_base_is_refused_with_the_reason(folders, tmp_path):
    other = make_tiny_model(tmp_path / "other", hidden=32)
    deeper = make_tiny_model(tmp_path / "deeper", layers=3)
    model = load(str(folders["base"]), None, lambda *_: None)
    with pytest.raises(FtuiError, match=r"has width \d+, the adapter's \d+"):
        model.set_adapters([find_adapter(make_adapter(other, tmp_path / "narrow", 1))], lambda *_: None)
    with pytest.raises(FtuiError, match=r"no layer model\.layers\.2"):
        model.set_adapters([find_adapter(make_adapter(deeper, tmp_path / "deep", 1))], lambda *_: None)
    assert model.sides == ["base"]
    same_shape = make_adapter(make_tiny_model(tmp_path / "twin", seed=5), tmp_path / "twin-adapter", 1)
    model.set_adapters([find_adapter(same_shape)], lambda *_: None)
    (warning,) = model.warnings
    assert "twin" in warning


def test_rows_stay_apart_where_their_layers_differ(served, folders):
    """Directly: row by row, the stacked pass gives peft's own logits."""
    ids = torch.tensor([LONG[:20]] * 3)
    inner = {name: served.adapters[name].inner for name in ("one", "two")}
    with torch.inference_mode():
        with served.rows([inner["two"], None, inner["one"]]) as rows:
            assert isinstance(rows, AdapterRows)
            mixed = served.model(input_ids=ids).logits
        for row, name in enumerate(("two", None, "one")):
            with served.alone(inner[name] if name else None):
                alone = served.model(input_ids=ids[:1]).logits[0]
            assert (mixed[row] - alone).abs().max() < 1e-4


def test_quantized_bases_are_served_as_trained(folders):
    """On a CPU: the 4-bit weights unpacked, not the original ones."""
    from transformers import BitsAndBytesConfig

    from ftui.engine.served_base import Quantization

    ids = torch.tensor([LONG])
    four = load(str(folders["base"]), Quantization(bits=4), lambda *_: None)
    plain = load(str(folders["base"]), Quantization(bits=16), lambda *_: None)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    theirs = AutoModelForCausalLM.from_pretrained(
        folders["base"], dtype=torch.float32, quantization_config=quantization
    ).train()
    with torch.no_grad():
        trained, ours, original = theirs(ids).logits, four.model(ids).logits, plain.model(ids).logits
    assert (ours - trained).abs().max() < 1e-4
    assert (original - trained).abs().max() > 1e-2
    assert {parameter.dtype for parameter in four.model.parameters()} == {torch.float32}


# -- a request's words ---------------------------------------------------------------------------------------


def side(text: str = "hello", **more):
    return {"adapter": None, "messages": [{"role": "user", "content": text}], **more}


def test_every_side_has_its_own_system_prompt_in_the_template(served):
    quiet = side()
    loud = {**side(), "messages": [{"role": "system", "content": "shout"}, *side()["messages"]]}
    first, second = read_sides(served, [quiet, loud])
    text = served.tokenizer.decode(second.ids)
    assert text == (
        "<|im_start|>system\nshout<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    )
    assert first.ids == second.ids[-len(first.ids) :]


def test_a_conversation_longer_than_the_context_is_said(served):
    with pytest.raises(FtuiError, match="context holds 2048"):
        read_sides(served, [side("word " * 5000)])
    (near,) = read_sides(served, [side("é" * 1000, sampling={"max_new_tokens": 2048})])
    assert len(near.ids) + near.sampling.max_new_tokens == 2048


@pytest.mark.parametrize(
    ("sides", "says"),
    [
        ([], "sides"),
        ("x", "sides"),
        ([None], "object"),
        ([side(sampling={"temperature": -1})], "temperature"),
        ([side(sampling={"top_p": 0})], "top_p"),
        ([side(sampling={"top_p": float("nan")})], "top_p"),
        ([side(sampling={"max_new_tokens": 1.5})], "max_new_tokens"),
        ([side(sampling={"heat": 1})], "heat"),
        ([side(sampling=3)], "object"),
        ([{"messages": []}], "messages"),
        ([{"messages": [{"role": "user"}]}], "messages"),
        ([{**side(), "adapter": "none such"}], "none such"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(served, sides, says):
    with pytest.raises(FtuiError, match=says):
        read_sides(served, sides)


def test_a_model_without_a_template_continues_text(folders):
    model = load(str(folders["base"]), None, lambda *_: None)
    model.tokenizer.chat_template = None
    (prompt,) = read_sides(model, [side("Where is my")])
    assert model.tokenizer.decode(prompt.ids) == "Where is my"


# -- text and choice -----------------------------------------------------------------------------------------


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=200, deadline=None)
def test_streamed_text_is_whole_characters_and_loses_nothing(text):
    tokenizer = _tokenizer()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    stream = TextStream(tokenizer)
    pieces = [stream.push(token) for token in ids]
    pieces.append(stream.finish())
    expected = tokenizer.decode(ids, skip_special_tokens=True).rstrip("\ufffd")
    assert "".join(pieces) == stream.text == expected
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


def test_half_a_character_at_the_end_is_left_out():
    tokenizer = _tokenizer()
    ids = tokenizer("a😀", add_special_tokens=False)["input_ids"]
    stream = TextStream(tokenizer)
    pieces = [stream.push(token) for token in ids[:-1]] + [stream.finish()]
    assert "".join(pieces) == "a"


def _tokenizer():
    from tests.tiny import make_tiny_tokenizer

    return make_tiny_tokenizer()


def draws(settings_: Sampling, logits: torch.Tensor, number: int = 400) -> list[int]:
    sampler = Sampler(settings_, [0], torch.device("cpu"))
    return [sampler.pick(logits) for _ in range(number)]


LOGITS = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()


def test_drawing_follows_the_probabilities():
    counts = torch.bincount(torch.tensor(draws(Sampling(temperature=1, top_p=1, seed=1), LOGITS, 4000)))
    assert torch.allclose(counts / 4000, LOGITS.exp(), atol=0.03)


@pytest.mark.parametrize(
    ("choice", "allowed"),
    [
        ({"temperature": 0}, {0}),
        ({"top_k": 2, "top_p": 1.0}, {0, 1}),
        ({"top_p": 0.6}, {0, 1}),
        ({"top_p": 0.001}, {0}),
        ({"min_p": 0.29, "top_p": 1.0}, {0, 1, 2}),
        ({"min_p": 1.0, "top_p": 1.0}, {0}),
    ],
)
def test_limits_leave_only_the_likeliest(choice, allowed):
    assert set(draws(Sampling(**{"temperature": 1.0, "seed": 0, **choice}), LOGITS)) == allowed


def test_the_repetition_penalty_counts_prompt_and_reply():
    logits = torch.tensor([2.0, 1.9, 1.8, -5.0])
    sampler = Sampler(Sampling(temperature=0, repetition_penalty=1.5), [0], torch.device("cpu"))
    assert [sampler.pick(logits) for _ in range(3)] == [1, 2, 0]


def test_without_a_seed_one_is_drawn_and_told():
    one, other = Sampler(Sampling(), [0], torch.device("cpu")), Sampler(Sampling(), [0], torch.device("cpu"))
    assert one.seed != other.seed
