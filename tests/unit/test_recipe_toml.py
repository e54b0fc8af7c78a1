"""Promises of core.recipe_toml: exact places, and that changing a value touches nothing else."""

from __future__ import annotations

import contextlib
import os
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe, fields
from ftui.core.recipe_toml import key_lines, parse_text, patch, read_text

MINE = """\
# Anna's recipe; do not touch the rate!
schema = 1
name = "tickets"   # the team's name for it

[training]
learning_rate = 2e-4  # found on 12 May, "best" so far
epochs = 3

[evaluation]
prompts = [
    "one # not a comment",
    'two = 2',
]
every = 0.1
"""


def test_lines_are_found_around_strings_lists_and_comments():
    lines = key_lines(MINE)
    assert lines["name"] == 3
    assert lines["training"] == 5
    assert lines["training.learning_rate"] == 6
    assert lines["evaluation.prompts"] == 10
    assert lines["evaluation.every"] == 14
    assert not any("two" in name for name in lines)


def test_multi_line_strings_hide_what_looks_like_a_key():
    text = 'description = """\nrank = 3\n[training]\n"""\nname = "a"\n'
    assert key_lines(text) == {"description": 1, "name": 5}


def test_a_change_keeps_every_other_byte():
    changed = patch(MINE, {"training.learning_rate": 1e-4, "name": "b"})
    assert changed == MINE.replace("2e-4", "1e-4").replace('"tickets"', '"b"')


def test_a_new_key_goes_to_the_end_of_its_section_and_a_new_section_to_the_end():
    changed = patch(MINE, {"training.seed": 7, "launch.processes": 2})
    document = tomllib.loads(changed)
    assert document["training"] == {"learning_rate": 2e-4, "epochs": 3, "seed": 7}
    assert document["launch"] == {"processes": 2}
    assert "Anna" in changed


def test_a_list_over_several_lines_is_replaced_whole():
    document = tomllib.loads(patch(MINE, {"evaluation.prompts": ["x"]}))
    assert document["evaluation"] == {"prompts": ["x"], "every": 0.1}


@given(
    st.dictionaries(
        st.sampled_from(list(fields())), st.text(max_size=12) | st.integers() | st.booleans(), max_size=5
    )
)
def test_any_change_to_a_whole_recipe_reads_back(changes):
    text = Recipe().to_toml(comments=True)
    document = tomllib.loads(patch(text, changes))
    for name, value in changes.items():
        section, _, key = name.rpartition(".")
        assert (document[section] if section else document)[key] == value


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a = 1\na = 2\n", 2, "given twice"),
        ("[model]\n[data]\n[model]\n", 3, "given twice"),
        ("a = 1\nb = yes\n", 2, "not valid TOML"),
        ("a = [1,\n", 2, "not valid TOML"),
        ('a = "x\n', 1, "not valid TOML"),
        ("\n\nb\x1b[2J = 1\n", 3, "not valid TOML"),
    ],
)
def test_a_syntax_error_names_its_line_and_is_safe_to_show(text, line, words):
    with pytest.raises(FtuiError) as caught:
        parse_text(text, "r.toml")
    assert caught.value.where == f"r.toml:{line}"
    assert words in caught.value.message
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_absurd_nesting_and_endless_numbers_are_refused_in_one_line():
    for text in ("a = " + "[" * 50_000, "a = " + "9" * 50_000):
        with pytest.raises(FtuiError, match="not valid TOML"):
            parse_text(text)


def test_what_is_no_recipe_file_is_said_so(tmp_path):
    large, binary = tmp_path / "large.toml", tmp_path / "binary.toml"
    large.write_bytes(b"#" * 1_000_001)
    binary.write_bytes(b"name = 'a'\nx = '\xff'\n")
    os.mkfifo(tmp_path / "pipe")
    for path, words in [
        (tmp_path / "none.toml", "no such recipe"),
        (tmp_path, "not a file"),
        (tmp_path / "pipe", "not a file"),
        (large, "too large"),
        (binary, "not UTF-8"),
        (tmp_path / "nul\0.toml", "no such recipe"),
    ]:
        with pytest.raises(FtuiError, match=words):
            read_text(path)
    with pytest.raises(FtuiError) as caught:
        read_text(binary)
    assert caught.value.where == f"{binary}:2"


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path):
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbfname = 'a'\r\n")
    assert parse_text(read_text(path)) == {"name": "a"}


@given(st.text(max_size=300))
def test_no_text_raises_anything_but_an_ftui_error(text):
    with contextlib.suppress(FtuiError):
        parse_text(text)
        key_lines(text)
