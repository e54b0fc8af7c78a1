"""sanitize(): THE boundary for untrusted text on its way to a terminal.

Terminals obey control bytes wherever they come from: ESC starts commands, OSC 52 writes the clipboard, C1
bytes do the same in one character, bidi controls reorder what is read. Everything that came from a dataset,
a model, a file name or a log passes here before it is displayed.
"""

from __future__ import annotations

import re

# What a person must see but a terminal must not obey: C0 and DEL, C1, zero-width and joiners, bidi
# embeddings/isolates/marks, line and paragraph separators, BOM, interlinear annotation, tag characters and
# the supplementary variation selectors (text can be hidden in both), lone surrogates (they cannot be encoded).
_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e01ef]"
)
_HOSTILE_KEEPING_LINES = re.compile(_HOSTILE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"\u27e8{code:04X}\u27e9"


def sanitize(text: str, *, lines: bool = True, tab: int = 4) -> str:
    """`text` with every control, bidi and zero-width character replaced by a visible mark.

    C0 becomes its Unicode control picture (ESC is shown as one symbol), everything else hostile its code
    point between angle brackets. `lines=True` keeps newlines (CRLF reads as one newline) and expands tabs to
    `tab` columns; with `lines=False` those become pictures too, so that the result is a single line.
    """
    if lines:
        text = text.replace("\r\n", "\n")
        text = _HOSTILE_KEEPING_LINES.sub(_visible, text)
        return text.expandtabs(tab)
    return _HOSTILE.sub(_visible, text)


def one_line(text: str, width: int) -> str:
    """The first `width` characters of `text` on one line, runs of white space folded, sanitized.

    Reads only as much of `text` as it needs: a 10 MB value costs no more than a short one.
    """
    if len(text) <= width:
        text = text.strip()
    elif text[0].isspace():
        text = text.lstrip()
    most = width * 4 + 64
    # One character more than fits tells whether it fits; a visible mark is never shorter than what it replaces.
    head = text[: width + 1].replace("\n", " ")
    following = text[width + 1 : width + 2]
    open_end = head[-1:] == " " and (not following or following.isspace())
    printable = head.isprintable()  # all white space but " " is not
    if not printable or "  " in head or open_end:
        head = " ".join(text[: width + width // 4].split())
        if len(head) <= width:  # much white space: look further
            head = " ".join(text[:most].split())
        head = head[: width + 1]
        printable = head.isprintable()
    # Nothing but two ranges is both printable and hostile; the second takes two units of UTF-16 a character.
    harmless = printable and (
        head.isascii() or ("\u034f" not in head and len(head.encode("utf-16-le")) == 2 * len(head))
    )
    clean = head if harmless else sanitize(head, lines=False)
    if len(clean) > width or len(text) > most:
        return clean[: max(0, width - 1)] + "\u2026"
    return clean
