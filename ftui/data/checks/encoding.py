"""Mojibake: text that was decoded with the wrong encoding somewhere upstream. ftfy knows it and undoes it."""

from __future__ import annotations

import re
from typing import Any

import re2


def looks_bad(text: str) -> bool:
    """What `ftfy.badness.is_bad` says, at the speed of RE2."""
    global _badness  # noqa: PLW0603 - made once; made twice it is the same
    if _badness is None:
        from ftfy.badness import BADNESS_RE

        _badness = in_re2(BADNESS_RE)
    return _badness.search(text) is not None


_badness: Any = None
# What \s and \w mean to Python's `re` in text, in RE2's words.
_UNICODE = {
    r"\s": r"[\s\x0b\x1c-\x1f\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]",
    r"\w": r"[\pL\pN_]",
}


def in_re2(pattern: re.Pattern[str]) -> Any:
    """A verbose pattern without look-around, for RE2; the pattern itself where RE2 cannot read it."""
    out, in_class, comment = [], False, False
    for token in re.findall(r"\\.|.|\n", pattern.pattern):
        if comment:
            comment = token != "\n"
        elif in_class:
            out.append(token)
            in_class = token != "]"
        elif token == "#":
            comment = True
        elif not token.isspace():
            out.append(_UNICODE.get(token, token))
            in_class = token == "["
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile("".join(out), options)
    except re2.error:
        return pattern


def repaired(text: str) -> str:
    """`text` with mojibake undone, nothing else changed."""
    import ftfy

    return ftfy.fix_encoding(text)
