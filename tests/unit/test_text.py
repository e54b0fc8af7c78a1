"""Nothing from a dataset, a model or a file name can give the terminal an order or hide from the reader."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.core.text import _HOSTILE, one_line, sanitize

HOSTILE = {
    "clear the screen": "\x1b[2J",
    "write the clipboard": "\x1b]52;c;aGk=\x07",
    "a link": "\x1b]8;;http://x\x1b\\click\x1b]8;;\x1b\\",
    "the same in one character": "\x9b2J\x9d52;c;aGk=\x9c",
    "delete and backspace": "a\x08\x7f",
    "reordered text": "\u202etxt.exe\u2066x\u2069",
    "zero width": "a\u200bb\u200cc\u200d\ufeff\u2060",
    "soft hyphen": "a\xadb",
    "tag characters": "\U000e0041\U000e007f",
    "hidden in variation selectors": "\U000e0100\U000e01ef",
    "line separators": "a\u2028b\u2029c\x85d",
    "lone surrogates": "\ud800x\udfff",
    "a lone carriage return": "visible\rhidden",
}


# Arabic, Syriac and Kaithi number signs: format characters by category, but visible and harmless.
VISIBLE = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"


def obeyed(text: str, keep: str = "") -> list[str]:
    """Characters a terminal acts on, or a reader cannot see."""
    keep += VISIBLE
    return [
        char
        for char in text
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in keep
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_shown_not_obeyed(name):
    text = HOSTILE[name]
    assert not obeyed(sanitize(text), keep="\n")
    assert not obeyed(sanitize(text, lines=False))
    assert not obeyed(one_line(text, 50))
    assert "\u2400" <= sanitize("\x1b") <= "\u243f"


@given(st.text())
def test_no_text_gets_through_with_a_control_character(text):
    assert not obeyed(sanitize(text, lines=False))
    assert not obeyed(one_line(text, 30))
    sanitize(text).encode("utf-8")


@given(st.text(st.characters(whitelist_categories=["L", "N", "P", "S", "Zs"]), max_size=60))
def test_ordinary_text_is_left_alone(text):
    assert sanitize(text) == text
    assert sanitize(text, lines=False) == text


def test_lines_and_tabs_stay_readable():
    assert sanitize("a\r\nb\n\tc") == "a\nb\n    c"
    assert sanitize("a\n\tb", lines=False) == "a\u240a\u2409b"


def test_one_line_folds_white_space_and_says_when_it_cut():
    assert one_line("  a \n\n b\t c ", 20) == "a b c"
    assert one_line("abcdef", 6) == "abcdef"
    assert one_line("abcdefg", 6) == "abcde\u2026"
    assert one_line("a" + " " * 1000 + "b", 10) == "a\u2026"
    assert one_line(" " * 1000 + "b", 10) == "b"
    assert one_line("", 10) == ""
    assert len(one_line("x" * 10_000_000, 40)) == 40
    assert len(one_line("\u202e" * 100, 40)) == 40


def test_no_hostile_character_slips_through_one_line_wherever_it_stands():
    for code in range(0x110000):
        if _HOSTILE.match(chr(code)):
            for around in ("", "é", "\U0001f600"):
                assert chr(code) not in one_line(f"a{around}b{chr(code)}c", 20)
