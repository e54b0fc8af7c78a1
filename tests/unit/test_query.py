"""Filters: what a query says, which rows it finds, and how a wrong one is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.cli.main import _exit_code
from ftui.core.errors import FtuiError
from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.data.filtering import facets, matching
from ftui.data.query import CHOICES, KEYS, NUMBERS, Query, Term, complete, parse, text_query

# -- what a query says -----------------------------------------------------------------------------


def test_words_apart_by_spaces_are_terms_and_commas_are_choices():
    assert parse('status:undecided,rejected -role:tool chars:>2k "not working" late').terms == (
        Term("status", ("undecided", "rejected")),
        Term("role", ("tool",), True),
        Term("chars", (">2k",)),
        Term("text", ("not working",)),
        Term("text", ("late",)),
    )


def test_quotes_hold_spaces_commas_and_colons_together():
    assert parse(r'tag:"a, b: \"c\"",d').terms == (Term("tag", ('a, b: "c"', "d")),)
    assert parse('"http://x"').terms == (Term("text", ("http://x",)),)


@pytest.mark.parametrize(
    ("text", "named", "allowed"),
    [
        ("colour:red", "colour:", "status"),
        ("status:maybe", "'maybe'", "undecided, accepted, rejected"),
        ("is:odd", "'odd'", "flagged"),
        ("role:bot", "'bot'", "assistant"),
        ("chars:many", "'many'", ">2000"),
        ("status:", "status:", "undecided"),
        ('tag:"open', "quote", "for example"),
        ('""', "between the quotes", "text"),
    ],
)
def test_a_word_that_cannot_be_understood_is_named_with_what_can(text, named, allowed):
    with pytest.raises(FtuiError) as caught:
        parse(f"late {text}")
    assert named in caught.value.message
    assert allowed in caught.value.hint


@st.composite
def terms(draw: st.DrawFn) -> Term:
    key = draw(st.sampled_from(sorted(KEYS)))
    if key in NUMBERS:
        value = st.from_regex(r"(>=|<=|>|<)?[0-9]{1,6}[kM]?|[0-9]{1,4}\.\.[0-9]{1,4}", fullmatch=True)
    else:
        value = st.sampled_from(CHOICES[key]) if CHOICES[key] else st.text(min_size=1, max_size=12)
    values = draw(st.lists(value, min_size=1, max_size=3, unique=True))
    return Term(key, tuple(values), draw(st.booleans()))


@settings(deadline=None, max_examples=300)
@given(st.lists(terms(), max_size=4))
def test_a_query_reads_back_as_it_was_written(found):
    query = Query(tuple(found))
    assert parse(str(query)) == query


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=60) | st.from_regex(r'(-?[a-z]*:?"?[^"]{0,6}"?,? ?){1,4}', fullmatch=True))
def test_any_text_is_a_query_or_a_mistake_that_is_explained(text):
    try:
        query = parse(text)
    except FtuiError as error:
        if not (error.message and error.hint):
            pytest.fail(f"unexplained: {text!r}")
    else:
        assert parse(str(query)) == query


@settings(deadline=None)
@given(st.text(min_size=1, max_size=30))
def test_a_text_that_was_searched_for_becomes_a_query_for_that_text(text):
    assert parse(text_query(text)).terms == (Term("text", (text,)),)


def test_a_value_is_asked_for_left_out_and_let_go_of_again():
    query = parse("late").toggled("status", "rejected", "only").toggled("status", "undecided", "only")
    assert str(query) == "late status:rejected,undecided"
    assert query.state_of("status", "rejected") == "only"
    query = query.toggled("status", "rejected", "not")
    assert str(query) == "late status:undecided -status:rejected"
    assert query.state_of("status", "rejected") == "not"
    assert str(query.toggled("status", "rejected", "").toggled("status", "undecided", "")) == "late"


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("sta", "status:"),
        ("late -ro", "late -role:"),
        ("status:un", "status:undecided"),
        ("status:undecided,re", "status:undecided,rejected"),
        ("tag:re", "tag:refund"),
        ("tag:refund", ""),
        ("chars:", ""),
        ("refund", ""),
        ("", ""),
    ],
)
def test_the_last_word_is_completed(typed, whole):
    assert complete(typed, {"tag": ("refund", "late parcel")}) == whole


# -- which rows it finds -----------------------------------------------------------------------------


def chat(question: str, answer: str, *more: dict[str, str]) -> dict[str, object]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": [*turns, *more]}


ROWS = [
    chat("Where is my order?", "In Leeds."),
    chat("A refund, please.", "Done: 40 EUR."),
    b'{"messages": [{"role": "user"',
    chat(
        "Look it up",
        "One moment",
        {"role": "tool", "content": "{}"},
        {"role": "assistant", "content": "x" * 500},
    ),
    {"instruction": "Say hi", "output": "hi"},
    {"sku": 12},
    chat("Refund again", "No."),
    chat("late parcel", "sorry"),
]


@pytest.fixture
def dataset(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in ROWS]
    path.write_bytes(b"\n".join(lines) + b"\n")
    with Dataset.open(path, who="bo") as other:
        other.annotate(2, actions.reject())
        other.annotate(8, actions.note("Ask Mira"))
    with Dataset.open(path, who="mira") as dataset:
        for number, action in [
            (1, actions.accept()), (2, actions.accept()), (4, actions.flag()), (5, actions.rate(4)),
            (7, actions.tag("refund")), (7, actions.tag("late parcel")), (6, actions.delete()),
            (8, actions.set_value("/messages/1/content", "sorry, on its way")),
        ]:  # fmt: skip
            dataset.annotate(number, action)
        yield dataset


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("status:accepted", [1, 2]),
        ("status:undecided", [3, 4, 5, 7, 8]),
        ("-status:undecided", [1, 2, 6]),
        ("is:deleted", [6]),
        ("is:flagged,rated", [4, 5]),
        ("is:conflict", [2]),
        ("is:broken", [3]),
        ("is:broken,edited", [3, 8]),
        ("-is:broken,edited", [1, 2, 4, 5, 6, 7]),
        ("is:noted note:mira", [8]),
        ("rating:>=3", [5]),
        ("rating:1..3", []),
        ("tag:refund", [7]),
        ('tag:"late parcel"', [7]),
        ("is:tagged -tag:refund", []),
        ("by:bo", [2, 8]),
        ("by:mira -by:bo", [1, 4, 5, 6, 7]),
        ("shape:alpaca", [5]),
        ("shape:alpaca,unknown", [5, 6]),
        ("role:tool", [4]),
        ("-role:user,assistant", [3, 6]),
        ("chars:>500", [4]),
        ("turns:>2", [4]),
        ("turns:2 chars:<26", [5, 7]),
        ("refund", [2, 7]),
        ("Refund", [7]),
        ("refund status:undecided", [7]),
        ('"on its way"', [8]),
        ("finding:mojibake", [1, 5]),
        ("-finding:mojibake status:accepted", [2]),
        ("tokens:>100", [4, 8]),
    ],
)
def test_rows_are_found_by(dataset, text, rows):
    lengths = [(1, 10), (2, 10), (4, 300), (5, 5), (6, 5), (7, 100), (8, 101)]
    found = matching(dataset, parse(text), findings={"mojibake": (1, 5)}, lengths=lengths)
    assert list(found or ()) == rows


def test_a_mended_row_is_no_longer_broken_and_a_spoilt_one_is(dataset):
    dataset.annotate(3, actions.replace_raw(json.dumps(ROWS[0])))
    dataset.annotate(5, actions.replace_raw('{"instruction":'))
    assert list(matching(dataset, parse("is:broken"))) == [5]
    assert list(matching(dataset, parse("shape:messages"))) == [1, 2, 3, 4, 7, 8]


@pytest.mark.parametrize(
    ("text", "words"), [("finding:mojibake", "checks have not run"), ("tokens:>5", "not counted")]
)
def test_what_is_not_known_yet_is_said(dataset, text, words):
    with pytest.raises(FtuiError, match=words):
        matching(dataset, parse(text))


def test_a_check_that_found_nothing_is_named_with_those_that_did(dataset):
    with pytest.raises(FtuiError) as caught:
        matching(dataset, parse("finding:moji"), findings={"mojibake": (1,)})
    assert "'moji'" in caught.value.message
    assert "mojibake" in caught.value.hint


def test_a_cancelled_filter_finds_nothing_and_reads_no_further(dataset):
    assert matching(dataset, parse("chars:>5"), cancelled=lambda: True) is None


def test_progress_is_told_while_rows_are_read(dataset):
    told = []
    matching(dataset, parse("role:tool"), progress=lambda done, total: told.append((done, total)))
    assert told
    assert all(0 <= done <= total for done, total in told)


def test_facets_count_what_a_filter_can_ask_for(dataset):
    dataset.build()
    found = facets(dataset)
    assert found.status == {"undecided": 5, "accepted": 2, "rejected": 0}
    assert found.marks["flagged"] == found.marks["conflict"] == found.marks["broken"] == 1
    assert found.tag == {"refund": 1, "late parcel": 1}
    assert found.rating == {"4": 1}
    assert found.by == {"mira": 7, "bo": 2}
    assert found.shape == {"messages": 5, "alpaca": 1, "unknown": 1}


def test_every_facet_finds_as_many_rows_as_it_counts(dataset):
    dataset.build()
    found = facets(dataset)
    for key, counts in [
        ("status", found.status), ("is", found.marks), ("tag", found.tag), ("rating", found.rating),
        ("by", found.by), ("shape", found.shape),
    ]:  # fmt: skip
        for value, count in counts.items():
            rows = matching(dataset, Query((Term(key, (value,)),)))
            assert len(rows or ()) == count, f"{key}:{value}"


_ACTIONS = [
    actions.accept(), actions.reject(), actions.undecide(), actions.flag(), actions.flag(False),
    actions.rate(2), actions.rate(None), actions.tag("a"), actions.untag("a"), actions.delete(), actions.restore(),
]  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.sampled_from(_ACTIONS)), max_size=12),
    st.lists(
        terms().filter(lambda term: term.key not in ("finding", "tokens", "text")), min_size=1, max_size=3
    ),
)
def test_terms_narrow_and_a_negated_term_finds_all_the_others(tmp_path_factory, done, found):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in ROWS]
    path.write_bytes(b"\n".join(lines) + b"\n")
    with Dataset.open(path, who="mira") as dataset:
        for number, action in done:
            dataset.annotate(number, action)
        each = [set(matching(dataset, Query((term,))) or ()) for term in found]
        assert set(matching(dataset, Query(tuple(found))) or ()) == set.intersection(*each)
        for term, rows in zip(found, each, strict=True):
            turned = Term(term.key, term.values, not term.negated)
            assert set(matching(dataset, Query((turned,))) or ()) == set(range(1, 9)) - rows


# -- from the command line -----------------------------------------------------------------------------


@pytest.fixture
def ask(capsys, dataset):
    def call(*args):
        code = _exit_code(["data", "search", str(dataset.path), *args])
        out, err = capsys.readouterr()
        return (code, json.loads(out)) if "--json" in args and code == 0 else (code, out + err)

    return call


@pytest.mark.parametrize(
    ("args", "rows"),
    [
        (["--where", "status:accepted"], [1, 2]),
        (["refund", "--ignore-case", "--where", "-status:accepted"], [7]),
        (["refund", "--where", ""], [2]),
        (["--where", "finding:broken-row"], [3]),
    ],
)
def test_search_takes_a_filter_a_text_or_both(ask, args, rows):
    code, found = ask(*args, "--json")
    assert (code, found) == (0, {"matches": len(rows), "rows": rows})


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "nothing to search for"),
        (["--where", "colour:red"], "there is no colour:"),
        (["--where", "tokens:>9"], "tokens are not counted"),
        (["--where", "finding:moji"], "no check has found 'moji'"),
    ],
)
def test_a_wrong_search_is_one_line_and_exit_code_two(ask, args, says):
    code, text = ask(*args)
    assert code == 2
    assert says in text
    assert text.count("\n") == 1


def test_inspect_tells_the_agreement_of_two_annotators_and_says_nothing_of_one(dataset, capsys):
    dataset.annotate(4, actions.accept())
    assert _exit_code(["data", "inspect", str(dataset.path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["agreement"]["annotators"] == ["bo", "mira"]
    assert (report["agreement"]["rows"], report["agreement"]["share"], report["conflicts"]) == (1, 0.0, 1)
    assert _exit_code(["data", "inspect", str(dataset.path)]) == 0
    assert "agreement 0%" in capsys.readouterr().out
