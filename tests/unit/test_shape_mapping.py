"""A person's word on how rows are read holds everywhere: rows, list, votes, training, export, and after undo."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.core.errors import FtuiError
from ftui.core.example import Example, Message
from ftui.core.shapes_mapping import FORCED, TARGETS, FieldMap, as_label, parse
from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.data.export import Plan, export
from ftui.data.journal import sidecar
from ftui.data.operation import decode, encode
from ftui.data.training import Skipped, read_examples

U, A, S = (lambda text, role=role: Message(role, text) for role in ("user", "assistant", "system"))
QA = {"prompt": "/q", "completion": "/a/0/text"}
SAID = [{"speaker": "customer", "said": "hi"}, {"speaker": "bot", "said": "yo", "id": 7}]

CASES = [
    (QA, {"q": "hi", "a": [{"text": "yo"}]}, "prompt_completion", Example((U("hi"), A("yo")))),
    ({**QA, "shape": "alpaca"}, {"q": "hi", "a": [{"text": "yo"}]}, "alpaca", Example((U("hi"), A("yo")))),
    ({**QA, "system": "/meta/sys"}, {"q": 1, "a": [{"text": ""}], "meta": {"sys": "s"}}, "prompt_completion", Example((S("s"), U("1"), A("")))),
    ({**QA, "system": "/meta/sys"}, {"q": "hi", "a": [{"text": "yo"}]}, "prompt_completion", Example((U("hi"), A("yo")))),
    ({**QA, "label": "/ok"}, {"q": "hi", "a": [{"text": "yo"}], "ok": "bad"}, "kto", Example((U("hi"), A("yo")), label=False)),
    ({"messages": "/d"}, {"d": [{"speaker": "user", "text": "hi"}, {"speaker": "assistant", "text": "yo"}]}, "messages", Example((U("hi"), A("yo")))),
    ({"messages": "/d", "role": "speaker", "content": "said", "roles": {"bot": "assistant", "customer": "user"}}, {"d": SAID}, "messages", Example((U("hi"), A("yo")))),
    ({"messages": "/d", "role": "/who/kind", "content": "said", "tools": "/t"}, {"d": [{"who": {"kind": "user"}, "said": "hi"}], "t": [{"name": "f"}]},
     "messages", Example((U("hi"),), tools='[{"name": "f"}]')),
    ({"messages": "/d"}, {"d": ["hi", "yo", "so"]}, "messages", Example((U("hi"), A("yo"), U("so")))),
    ({"messages": ""}, ["hi", "yo"], "messages", Example((U("hi"), A("yo")))),
    ({"prompt": "/p", "chosen": "/good", "rejected": "/bad"}, {"p": "q", "good": "g", "bad": "b"}, "preference", Example((U("q"),), chosen=(A("g"),), rejected=(A("b"),))),
    ({"chosen": "/good", "rejected": "/bad"}, {"good": [{"role": "assistant", "content": "g"}], "bad": "b"}, "preference", Example(chosen=(A("g"),), rejected=(A("b"),))),
    ({"text": "/body/0"}, {"body": ["words"]}, "text", Example(text="words")),
    ({"text": "/a~1b/c~0d"}, {"a/b": {"c~d": "words"}}, "text", Example(text="words")),
    ({"shape": "messages"}, {"messages": [{"role": "user", "content": "hi"}], "label": True}, "messages", Example((U("hi"),))),
    ({"shape": "text"}, {"instruction": "q", "output": "a", "text": "all of it"}, "text", Example(text="all of it")),
]  # fmt: skip


@pytest.mark.parametrize(("document", "value", "shape", "example"), CASES)
def test_a_row_is_read_from_the_places_that_were_named(document, value, shape, example):
    mapping = parse(document)
    assert mapping.example(value) == example
    assert mapping.shape_of(value) == shape
    assert parse(mapping.to_dict()) == mapping


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (QA, {"q": "hi", "a": []}),
        (QA, {"q": None, "a": [{"text": "yo"}]}),
        (QA, {"q": {"not": "text"}, "a": [{"text": "yo"}]}),
        ({**QA, "label": "/ok"}, {"q": "hi", "a": [{"text": "yo"}], "ok": "maybe"}),
        ({"messages": "/d"}, {"d": "no list"}),
        ({"messages": "/d"}, {"d": ["hi", {"role": "user", "content": "yo"}]}),
        ({"messages": "/d", "role": "speaker", "content": "said"}, {"d": [{"speaker": "x"}]}),
        ({"shape": "messages"}, {"sku": 1}),
        ({"shape": "thread"}, {"text": "a post without a parent"}),
        ({"shape": "kto"}, {"prompt": "q", "completion": "a"}),
    ],
)
def test_a_row_that_lacks_what_is_needed_keeps_its_own_shape(document, value):
    mapping = parse(document)
    assert mapping.example(value) is None
    assert mapping.shape_of(value) != "mapped"


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "an object"),
        ({}, "nothing"),
        ({"shape": "unknown"}, "unknown"),
        ({"prompt": "/q"}, "completion"),
        ({"prompt": "q", "completion": "/a"}, "JSON pointer"),
        ({"prompt": "/q", "completion": 3}, "JSON pointer"),
        ({"answer": "/a"}, "no such target: answer"),
        ({"chosen": "/a"}, "both"),
        ({"chosen": "/a", "rejected": "/b", "label": "/c"}, "label"),
        ({"text": "/a", "system": "/b"}, "alone"),
        ({"messages": "/a", "prompt": "/b"}, "no prompt"),
        ({"messages": "/a", "roles": {"bot": "robot"}}, "no such role: robot"),
        ({"prompt": "/q", "completion": "/a", "role": "speaker"}, "about turns"),
        ({"text": "/a", "shape": "alpaca"}, "alpaca"),
    ],
)
def test_a_mapping_that_reads_nothing_is_refused_in_words(document, complaint):
    with pytest.raises(FtuiError, match=complaint):
        parse(document)


def test_labels_are_read_as_people_write_them():
    assert [as_label(label) for label in (True, "Yes", 1, "👍", 0, "thumbs down", "-1")] == [
        *[True] * 4,
        *[False] * 3,
    ]
    assert as_label("perhaps") is as_label(None) is as_label([1]) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["q", "a", "d", "role", "content", "from", "value", "label", "text", "0", "tool_calls"]) | st.text(max_size=3), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip
POINTERS = st.sampled_from(
    ["", "/q", "/a/0", "/d", "/a/0/text", "/label", "/", "/q/~1", "/a/-", "/a/99999999999", "/a/²"]
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(TARGETS), POINTERS, max_size=4), st.sampled_from(["", *FORCED]), JSON)
def test_any_mapping_reads_any_row_without_raising(fields, shape, value):
    try:
        mapping = parse({**fields, **({"shape": shape} if shape else {})})
    except FtuiError:
        return
    example = mapping.example(value)
    assert example is None or isinstance(example, Example)
    assert isinstance(mapping.shape_of(value), str)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_whatever_stands_where_a_mapping_should_is_read_or_refused(document):
    try:
        assert isinstance(parse(document), FieldMap)
    except FtuiError:
        return


# ---- in a file


@pytest.fixture
def exported(tmp_path):
    """Eight rows of a home-made shape, one of another, one chat, one broken."""
    rows = [json.dumps({"q": f"ask {n}", "a": [{"text": f"say  {n}"}]}) for n in range(8)]
    rows += [
        json.dumps({"note": "moved"}),
        json.dumps({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}),
        '{"q": ',
    ]
    path = tmp_path / "export.jsonl"
    path.write_text("\n".join(rows) + "\n")
    return path


def shapes_of(path):
    with Dataset.open(path, who="another") as dataset:
        dataset.build()
        return dataset.shapes


def test_every_reader_sees_mapped_rows_and_undo_gives_the_file_back(exported):
    before = exported.read_bytes()
    with Dataset.open(exported, who="mira") as dataset:
        dataset.build()
        assert dataset.shapes == {"unknown": 9, "broken": 1, "messages": 1}
        assert dataset.row(3).example is None
        dataset.map_fields(parse(QA))
        assert dataset.row(3).example == Example((U("ask 2"), A("say  2")))
        assert (dataset.row(9).shape, dataset.row(10).shape, dataset.row(11).shape) == (
            "unknown",
            "messages",
            "broken",
        )
        summary = dataset.summaries(1, 1)[0]
        assert (summary.shape, summary.turns, summary.preview) == ("prompt_completion", 2, "ask 0")
        assert not dataset.checked
        dataset.build()
        assert dataset.shapes == {"prompt_completion": 8, "unknown": 1, "messages": 1, "broken": 1}
        assert dataset.shape == "prompt_completion"
        assert dataset.counts().broken == 1
    skipped: list[Skipped] = []
    assert [number for number, _ in read_examples(exported, skipped=skipped)] == [1, 2, 3, 4, 5, 6, 7, 8, 10]
    assert [(row.row, row.reason) for row in skipped] == [(9, "unknown shape"), (11, "broken")]
    with Dataset.open(exported, who="mira") as dataset:
        assert dataset.mapping == parse(QA), "it survives closing the file"
        [undone] = dataset.undo()
        assert undone.op == "map"
        assert dataset.mapping is None
        assert dataset.row(3).example is None
        assert dataset.summaries(1, 1)[0].shape == "unknown"
    assert shapes_of(exported) == {"unknown": 9, "broken": 1, "messages": 1}
    assert exported.read_bytes() == before


def test_the_last_mapping_wins_and_clearing_is_a_decision_too(exported):
    with Dataset.open(exported, who="mira") as dataset:
        dataset.map_fields(parse(QA))
        dataset.map_fields(parse({"text": "/q"}))
        assert dataset.row(1).example == Example(text="ask 0")
        dataset.map_fields(None)
        assert dataset.row(1).shape == "unknown"
        dataset.undo()
        assert dataset.row(1).shape == "text"
        dataset.undo()
        assert dataset.row(1).shape == "prompt_completion"
        assert [op.op for op in dataset.log()] == ["map", "map", "map", "undo", "undo"]


def test_another_annotators_mapping_arrives_while_the_file_is_open(exported):
    with Dataset.open(exported, who="mira") as mine, Dataset.open(exported, who="jo") as theirs:
        assert mine.summaries(1, 1)[0].shape == "unknown"
        theirs.map_fields(parse(QA))
        assert mine.refresh()
        assert mine.summaries(1, 1)[0].shape == mine.row(1).shape == "prompt_completion"
        assert not mine.undo(), "only its author takes it back"


def test_decisions_and_edits_go_on_below_a_mapping(exported):
    with Dataset.open(exported, who="mira") as dataset:
        dataset.map_fields(parse(QA))
        dataset.annotate(2, actions.set_value("/a/0/text", "better"))
        dataset.annotate(1, actions.accept())
        assert dataset.row(2).example == Example((U("ask 1"), A("better")))
        assert [op.op for op in dataset.undo(3)] == ["status", "set", "map"]
        assert dataset.row(2).shape == "unknown"


def test_export_converts_mapped_rows_and_keeps_bytes_where_the_shape_stays(exported, tmp_path):
    with Dataset.open(exported, who="mira") as dataset:
        dataset.map_fields(parse(QA))
    chat = tmp_path / "chat.jsonl"
    report = export(exported, chat, Plan(shape="messages"))
    assert report.files[0].rows == 9
    assert report.skipped == {"unknown shape": 1, "broken": 1}
    first = json.loads(chat.read_text().splitlines()[0])
    assert first == {
        "messages": [{"role": "user", "content": "ask 0"}, {"role": "assistant", "content": "say  0"}]
    }
    same = tmp_path / "same.jsonl"
    export(exported, same, Plan())
    assert same.read_bytes() == b"".join(exported.read_bytes().splitlines(True)[:10])


def test_a_journal_line_of_an_unknown_kind_or_a_strange_mapping_harms_nothing(exported):
    with Dataset.open(exported, who="mira") as dataset:
        op = dataset.map_fields(parse(QA))
        dataset.annotate(1, actions.accept())
    [journal] = sidecar(exported).glob("journal-*.jsonl")
    strange = encode(op).replace(b'"op":"map"', b'"op":"zap"')
    body = strange[9:-1]
    import zlib

    later = encode(op).replace(b'"prompt":"/q"', b'"prompt":["/q"]')[9:-1]
    with journal.open("ab") as file:
        for line in (body, later):
            file.write(b"%08x %s\n" % (zlib.crc32(line), line))
            assert decode(b"%08x %s" % (zlib.crc32(line), line)) == ([], 1)
    with Dataset.open(exported, who="mira") as dataset:
        assert dataset.bad_journal_lines == 2
        assert dataset.mapping == parse(QA)
        assert dataset.row(1).status == "accepted"
