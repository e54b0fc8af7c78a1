"""`ftui data xray` and `ftui data lengths` with the real encoder process: what is shown is what is trained."""

from __future__ import annotations

import contextlib
import json
import re

import pytest

from ftui.cli.main import _exit_code
from ftui.engine.encode import encode
from ftui.runs.encoder import Encoder, example_of
from tests.tiny import make_tiny_model, make_tiny_tokenizer

HOSTILE = "a\x1b]52;c;QUFB\x07b\x9b31m\u202ec\r\x00d 👍"
CHAT = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "where is my order?"},
    {"role": "assistant", "content": "on its way"},
    {"role": "user", "content": "thanks"},
    {"role": "assistant", "content": f"hello\n{HOSTILE}"},
]
ROWS = [
    {"messages": CHAT},
    {"text": "raw words 👍"},
    {"prompt": "q", "completion": "bad", "label": False},
    {"prompt": "q", "completion": "good", "label": True},
]
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("xray") / "tiny")


@pytest.fixture(scope="module")
def encoder():
    with Encoder() as running:
        yield running


@pytest.fixture
def warm(encoder, monkeypatch):
    """Commands ask the process that already runs: starting one takes seconds."""
    monkeypatch.setattr("ftui.runs.encoder.Encoder", lambda: contextlib.nullcontext(encoder))


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join([*map(json.dumps, ROWS), '{"messages": [{"ro']) + "\n")
    return file


@pytest.fixture
def run(capsys):
    def call(*args):
        code = _exit_code(["data", *map(str, args)])
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("train_on", ["assistant", "last", "all"])
@pytest.mark.parametrize(("overlong", "max_length"), [("truncate", None), ("truncate", 60), ("drop", 60)])
def test_the_tokens_shown_as_trained_are_those_training_learns(
    encoder, tiny, path, train_on, overlong, max_length
):
    for number in (1, 2, 4):
        example = example_of(path, number)
        wanted = encode(
            example,
            make_tiny_tokenizer(),
            train_on=train_on,
            max_length=max_length or 10**9,
            overlong=overlong,
        )
        seen = encoder.xray(example, str(tiny), train_on=train_on, max_length=max_length, overlong=overlong)
        assert [token.id for token in seen.tokens][: len(wanted.ids)] == wanted.ids
        trained = [token.trained for token in seen.tokens]
        labels = [False] * len(wanted.ids) if wanted.dropped else wanted.trained
        assert trained == labels + [False] * (seen.total - len(wanted.ids))
        assert seen.dropped == wanted.dropped
        assert seen.trained == sum(labels)
        if overlong == "truncate":
            assert (seen.truncated, seen.eos_trained) == (wanted.truncated, wanted.closed)


def test_the_json_of_an_xray_is_one_object_with_the_promised_keys(run, tiny, path):
    code, out, err = run("xray", path, "--row", 1, "--model", tiny, "--max-length", 60, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    seen = json.loads(out)
    assert set(seen) >= {"tokens", "trained", "total", "truncated", "eos_trained", "warnings"}
    assert set(seen["tokens"][0]) >= {"id", "text", "trained", "role"}
    assert seen["total"] == len(seen["tokens"])
    assert seen["truncated"] == seen["total"] - 60 > 0
    assert seen["trained"] == sum(token["trained"] for token in seen["tokens"]) > 0
    assert seen["eos_trained"] is True  # of the first reply, which is whole
    assert "a recipe drops such a row" in seen["warnings"][0]
    assert {"system", "user", "assistant", "template"} == {token["role"] for token in seen["tokens"]}


@pytest.mark.usefixtures("warm")
def test_hostile_text_reaches_no_terminal_and_trained_tokens_stand_in_brackets(run, tiny, path):
    code, out, err = run("xray", path, "--row", 1, "--model", tiny)
    assert (code, err) == (0, "")
    assert not CONTROL.search(out)
    assert "[<|im_end|>]↵" in out
    assert "<|im_start|>system↵\nbe brief<|im_end|>" in out
    assert "end of reply trained" in out


@pytest.mark.usefixtures("warm")
def test_on_a_terminal_trained_tokens_are_underlined_and_only_our_own_codes_are_written(
    run, tiny, path, monkeypatch
):
    monkeypatch.setattr("ftui.cli.data_tokens._terminal", lambda: True)
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    code, out, _ = run("xray", path, "--row", 1, "--model", tiny)
    assert code == 0
    assert "\x1b[36m\x1b[1m\x1b[4m<|im_end|>\x1b[0m" in out
    assert not CONTROL.search(re.sub(r"\x1b\[[0-9]+m", "", out))


@pytest.mark.usefixtures("warm")
def test_a_row_training_refuses_says_why(run, tiny, path):
    code, out, _ = run("xray", path, "--row", 3, "--model", tiny)
    assert code == 0
    assert "not trained: labelled undesirable" in out


@pytest.mark.usefixtures("warm")
def test_both_replies_of_a_pair_are_told(run, tiny, tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps({"prompt": "warm?", "chosen": "yes", "rejected": "no"}) + "\n")
    code, out, _ = run("xray", file, "--row", 1, "--model", tiny)
    assert code == 0
    assert "with the rejected reply" in out
    code, out, _ = run("xray", file, "--row", 1, "--model", tiny, "--json")
    assert (
        "".join(token["text"] for token in json.loads(out)["rejected"]["tokens"] if token["trained"])
        == "no<|im_end|>"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["xray", "rows.jsonl", "--row", 5, "--model", "TINY"], "row 5 is broken"),
        (["xray", "rows.jsonl", "--row", 6, "--model", "TINY"], "there is no row 6"),
        (["xray", "rows.jsonl", "--row", 0, "--model", "TINY"], "numbered from 1"),
        (["xray", "gone.jsonl", "--row", 1, "--model", "TINY"], "gone.jsonl"),
        (["xray", "rows.jsonl", "--row", 1, "--model", "./no-such-model"], "no such model"),
        (["xray", "rows.jsonl", "--row", 1], "--model"),
        (["xray", "rows.jsonl", "--row", 1, "--model", "TINY", "--train-on", "user"], "--train-on"),
        (["lengths", "gone.jsonl", "--model", "TINY"], "gone.jsonl"),
        (["lengths", "rows.jsonl", "--model", "./no-such-model"], "no such model"),
    ],
)
@pytest.mark.usefixtures("warm")
def test_a_mistake_is_one_line_and_exit_two(run, tiny, path, monkeypatch, arguments, said):
    monkeypatch.chdir(path.parent)
    code, out, err = run(*(str(tiny) if argument == "TINY" else argument for argument in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_lengths_report_agrees_with_the_rows(encoder, run, tiny, path):
    code, out, err = run("lengths", path, "--model", tiny, "--max-length", 20, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    found = json.loads(out)
    lengths = dict(encoder.row_lengths(path, str(tiny)))
    assert sorted(lengths) == [1, 2, 4]  # row 3 gives no tokens, row 5 is broken
    assert (found["count"], found["max"]) == (3, max(lengths.values()))
    assert found["mean"] == pytest.approx(sum(lengths.values()) / 3)
    assert set(found["over"]) >= {"20", "256", "512", "1024", "2048", "4096", "8192"}
    assert found["over"]["20"] == sum(length > 20 for length in lengths.values())
    assert found["refused"] == 1


@pytest.mark.usefixtures("warm")
def test_lengths_read_as_text(run, tiny, path):
    code, out, _ = run("lengths", path, "--model", tiny)
    assert code == 0
    assert "3 rows, 1 more give no tokens" in out


def test_a_rows_length_is_the_number_of_its_tokens(encoder, tiny, path):
    for number, length in encoder.row_lengths(path, str(tiny)):
        assert encoder.xray(example_of(path, number), str(tiny)).total == length


@pytest.mark.usefixtures("warm")
def test_check_counts_the_rows_that_are_too_long(run, tiny, path):
    _, out, _ = run("check", path, "--model", tiny, "--max-length", 60, "--json")
    (found,) = (item for item in json.loads(out)["findings"] if item["check"] == "too-long")
    assert found["rows"] == [1]
