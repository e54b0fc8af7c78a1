"""The field mapper's guess is right where names say something, and the survey survives any rows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.core.shapes_mapping import parse
from ftui.core.shapes_survey import guess, survey
from ftui.ui.json_tree import Folds, tree


def guessed(*rows):
    return guess(survey(rows), rows)


@pytest.mark.parametrize(
    ("row", "mapping"),
    [
        ({"q": "hi", "a": [{"text": "yo", "score": 1}], "meta": {"sys": "s"}}, {"prompt": "/q", "completion": "/a/0/text", "system": "/meta/sys"}),
        ({"data": {"question": "hi", "answers": ["yo"]}}, {"prompt": "/data/question", "completion": "/data/answers/0"}),
        ({"user_question": "hi", "model_answer": "yo", "thumbs_up": True}, {"prompt": "/user_question", "completion": "/model_answer", "label": "/thumbs_up"}),
        ({"ask": "hi", "better": "g", "worse": "b"}, {"prompt": "/ask", "chosen": "/better", "rejected": "/worse"}),
        ({"title": "T", "document": "words"}, {"text": "/document"}),
        ({"dialog": [{"speaker": "x", "said": "hi"}, {"speaker": "agent", "said": "yo"}]}, {"messages": "/dialog", "role": "speaker", "content": "said", "roles": {"agent": "assistant", "x": "user"}}),
        ({"log": {"turns": [{"role": "user", "content": "hi"}]}}, {"messages": "/log/turns"}),
        ({"dialog": ["hi", "yo"]}, {"messages": "/dialog"}),
        ({"sku": 12, "colour": "red"}, {}),
    ],
)  # fmt: skip
def test_fields_are_guessed_by_their_names(row, mapping):
    assert guessed(row, row) == mapping
    if mapping:
        assert parse(mapping).example(row) is not None


def test_coverage_counts_rows_and_the_sample_says_something():
    found = {
        field.pointer: field for field in survey([{"a": "", "b": None}, {"a": "words", "b": 1}, {"c": True}])
    }
    assert (found["/a"].rows, found["/a"].sample) == (2, "words")
    assert (found["/b"].rows, found["/b"].kind) == (1, "number")
    assert (found["/c"].rows, found["/c"].kind) == (1, "bool")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["q", "a", "role", "content", "from", "value", "text", "speaker", "answers", ""]) | st.text(max_size=3), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(JSON, max_size=4))
def test_any_rows_are_surveyed_and_what_is_guessed_can_be_parsed(rows):
    found = survey(rows)
    assert all(1 <= field.rows <= len(rows) for field in found)
    document = guess(found, rows)
    if document:
        parse(document)


@settings(max_examples=100, deadline=None)
@given(JSON, st.booleans())
def test_a_tree_names_every_place_once(value, unfold):
    folds = Folds()
    if unfold:
        folds.turned = {node.pointer: True for node in tree(value, folds)}
    nodes = list(tree(value, folds))
    assert nodes[0].depth == 0
    assert len({node.pointer for node in nodes}) == len(nodes)
