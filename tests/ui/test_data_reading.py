"""How a row becomes a page: blocks and their places, wrapping, captions, pace; pure functions all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ftui.core.duration import ago
from ftui.core.shapes_mapping import parse
from ftui.core.text import sanitize
from ftui.data import actions, pointers
from ftui.data.dataset import Dataset
from ftui.data.rows import Counts
from ftui.ui.dataset_captions import list_caption, time_left
from ftui.ui.dataset_messages import Facts
from ftui.ui.pace import Pace
from ftui.ui.reading import read_row, short_shape
from ftui.ui.themes import Palette
from ftui.ui.widgets.page import MOST_LINES, Typesetter
from ftui.ui.widgets.row_line import length
from ftui.ui.widgets.safe_input import _hide, _unhide, can_hold
from ftui.ui.widgets.wrapping import LONGEST_TEXT, highlight, wrap
from tests.ui.capture import HOSTILE

COLORS = Palette(**{field: "#101010" for field in Palette.__dataclass_fields__})
ANY_TEXT = st.text(
    st.characters(exclude_categories=[]) | st.sampled_from("日本 \t\n\r\u2028e\u0301👩‍🚀[]"), max_size=300
)


def rows_of(tmp_path, *values) -> list:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    with Dataset.open(path) as dataset:
        return [dataset.row(number) for number in range(1, len(values) + 1)]


@given(text=ANY_TEXT, width=st.integers(1, 60))
def test_wrapping_fits_and_loses_nothing_but_the_spaces_it_breaks_at(text, width):
    shown = sanitize(text)
    lines = wrap(shown, width)
    widest = max((cell_len(character) for character in shown), default=1)
    assert all(cell_len(line) <= max(width, widest) for line in lines)
    assert "".join(lines).replace(" ", "") == shown.replace(" ", "").replace("\n", "")


@given(text=st.text(st.characters(exclude_categories=[]), max_size=200))
def test_the_editor_gives_back_exactly_what_it_was_given(text):
    if can_hold(text):
        hidden = _hide(text)
        assert _unhide(hidden) == text
        assert sanitize(hidden.replace("\t", "")) == hidden.replace("\t", ""), (
            "something hostile is still in it"
        )
        assert hidden.splitlines() == hidden.split("\n") or hidden.endswith("\n") or not hidden


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=20), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["messages", "role", "content", "text", "tools", "tool_calls", "prompt", "chosen", "rejected", "from", "value", "conversations", "instruction", "input", "output", "label", "x"]), inner, max_size=5), max_leaves=12))  # fmt: skip
def test_any_row_can_be_read_and_every_place_it_names_holds_what_it_says(tmp_path_factory, value):
    row = rows_of(tmp_path_factory.mktemp("any"), {"x": 1}, value)[1]
    blocks = read_row(row)
    assert blocks
    for block in blocks:
        if block.pointer and not block.as_json:
            assert pointers.get(row.value, block.pointer) == block.edit
    page = Typesetter(60, COLORS, now=0).page(blocks)
    assert len(page.places) == len(blocks)


def test_equal_texts_are_edited_each_in_its_own_place(tmp_path):
    turns = [{"role": "user", "content": "user"}, {"role": "assistant", "content": "user"}]
    row = rows_of(tmp_path, {"messages": turns})[0]
    assert [block.pointer for block in read_row(row)] == ["/messages/0/content", "/messages/1/content"]


def test_chosen_and_rejected_find_their_own_side_whatever_the_order(tmp_path):
    row = rows_of(tmp_path, {"rejected": "same", "chosen": "same", "prompt": "Q"})[0]
    places = {block.column: block.pointer for block in read_row(row) if block.column}
    assert places == {"chosen": "/chosen", "rejected": "/rejected"}


def test_an_edited_field_says_who_and_what_it_was(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "before"}) + "\n")
    with Dataset.open(path, who="mira") as dataset:
        dataset.annotate(1, actions.set_value("/text", "after"))
        block = read_row(dataset.row(1), dataset.annotations(1))[0]
    assert (block.text, block.before, block.by) == ("after", "before", "mira")


def test_a_row_of_ten_megabytes_is_shown_in_part_and_says_so(tmp_path):
    row = rows_of(tmp_path, {"text": "word " * 2_000_000})[0]
    page = Typesetter(60, COLORS, now=0).page(read_row(row))
    assert len(page.lines) < MOST_LINES
    assert "more characters; E opens it whole" in page.lines[-1].strip.text
    assert f"{10_000_000 - LONGEST_TEXT:,}" in page.lines[-1].strip.text


def test_a_row_of_many_turns_is_shown_in_part_and_says_so(tmp_path):
    row = rows_of(tmp_path, {"messages": [{"role": "user", "content": "hi"}] * 5_000})[0]
    page = Typesetter(60, COLORS, now=0).page(read_row(row))
    assert len(page.lines) < MOST_LINES + 10
    assert "more; E opens the row whole" in page.lines[-1].strip.text


def test_tool_calls_that_are_no_json_are_shown_as_they_are(tmp_path):
    row = rows_of(tmp_path, {"messages": [{"role": "assistant", "content": "", "tool_calls": "{not json"}]})[
        0
    ]
    assert any(block.text == "{not json" for block in read_row(row))


@pytest.mark.parametrize(
    ("text", "find", "found"),
    [
        ("One one ONE", "one", 3),
        ("One one ONE", "One", 1),
        ("abc", "", 0),
        ("abc", "x", 0),
        ("aaa", "aa", 1),
        ("İi", "i", 0),
    ],
)
def test_what_is_looked_for_stands_out(text, find, found):
    from rich.style import Style

    plain, marked = Style(), Style(bold=True)
    segments = highlight(text, find, plain, marked)
    assert "".join(segment.text for segment in segments) == text
    assert sum(segment.style is marked for segment in segments) == found


def facts(rows: int = 12_480, complete: bool = True, **counts: int) -> Facts:
    return Facts(None, rows, complete, complete, Counts(**counts), "messages")


def test_the_caption_says_where_how_fast_and_how_long():
    known = facts(accepted=1_000, rejected=204, undecided=11_276)
    assert list_caption(known, 5, 80, pace=9.4) == "5 of 12,480 · 1,204 decided · 9/min · 20 h left"


def test_a_caption_that_does_not_fit_drops_the_end_and_keeps_the_place():
    known = facts(accepted=1_000, rejected=204, undecided=11_276)
    assert list_caption(known, 5, 30, pace=9) == "5 of 12,480 · 1,204 decided"
    assert list_caption(known, 5, 3, pace=9) == "5 of 12,480"


def test_while_the_index_grows_the_caption_says_so():
    assert list_caption(facts(100, complete=False), 1, 80, share=0.41) == "1 of 100+ · indexing 41%"
    assert list_caption(facts(0), 1, 80) == "no rows"


@pytest.mark.parametrize(
    ("minutes", "words"), [(0.2, "1 min"), (35, "35 min"), (1200, "20 h"), (17_280, "12 days")]
)
def test_time_left_is_said_as_one_says_it(minutes, words):
    assert time_left(minutes) == words


def test_pace_counts_decisions_of_the_last_ten_minutes_and_undo():
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    assert pace.per_minute() is None
    for second in range(0, 60, 6):
        now[0] = second
        pace.decided(actions.accept())
        pace.decided(actions.flag())
    assert pace.per_minute() == pytest.approx(10)
    now[0] = 3_600
    assert pace.per_minute() is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "just now"), (125, "2 min ago"), (7200, "2 h ago"), (200_000, "2 days ago")]
)
def test_how_long_ago(seconds, words):
    assert ago(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(118, "118"), (9_999, "9999"), (12_345, "12k"), (3_400_000, "3.4M")]
)
def test_lengths_take_five_columns(count, words):
    assert length(count) == words


def test_every_shape_has_a_short_word():
    from ftui.core.shapes import SHAPES

    assert all(1 <= len(short_shape(shape)) <= 6 for shape in (*SHAPES, "broken"))


def test_hostile_text_is_marked_on_the_page(tmp_path):
    row = rows_of(tmp_path, {"messages": [{"role": HOSTILE, "content": HOSTILE.replace("\ud800", "")}]})[0]
    page = Typesetter(60, COLORS, now=0).page(read_row(row))
    for line in page.lines:
        assert sanitize(line.strip.text, lines=False) == line.strip.text


def test_a_mapped_row_is_edited_where_the_mapping_says(tmp_path):
    path = tmp_path / "mapped.jsonl"
    path.write_text(json.dumps({"meta": {"copy": "yes", "note": "no"}, "q": "yes", "a": ["no"]}) + "\n")
    with Dataset.open(path) as dataset:
        dataset.map_fields(parse({"prompt": "/q", "completion": "/a/0"}))
        assert [block.pointer for block in read_row(dataset.row(1))] == ["/q", "/a/0"]
