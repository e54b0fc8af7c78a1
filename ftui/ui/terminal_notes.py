"""Notifications through the terminal: OSC 9 and OSC 777, also from inside tmux and GNU screen.

Pure functions over an environment. Some terminals know the one, some the other, a few both: a known one gets
what it knows, so that nothing is shown twice.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ftui.core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

TERMINALS = ("auto", "osc9", "osc777", "both", "off")
_LENGTH = 200
_ESC, _ST = "\x1b", "\x1b\\"
_SCREEN_PIECE = 512  # GNU screen drops longer strings
# Who knows what, by a variable each sets.
_OSC9 = ("KITTY_WINDOW_ID", "WT_SESSION", "ITERM_SESSION_ID", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR")
_OSC777 = ("VTE_VERSION",)
_OSC777_TERMS = ("rxvt", "foot")


def sequences(title: str, message: str, kind: str, environ: Mapping[str, str]) -> str:
    """What to send to the terminal for a notification; "" for kind "off". kind: one of TERMINALS."""
    title, message = plain(title).replace(";", ","), plain(message).replace(";", ",")
    if kind == "auto":
        kind = _known(environ)
    # The words come first: "4;..." after OSC 9 is a progress bar in some terminals.
    nine = f"{_ESC}]9;{title}: {message}\a" if kind in ("osc9", "both") else ""
    seven = f"{_ESC}]777;notify;{title};{message}\a" if kind in ("osc777", "both") else ""
    return "".join(_wrapped(one, environ) for one in (nine, seven) if one)


def plain(text: str) -> str:
    """`text` on one line, with nothing in it that a terminal or a program would obey."""
    line = one_line(text, _LENGTH)
    return re.sub("^-", "\u2013", line)  # an option of whatever program is handed it


def _known(environ: Mapping[str, str]) -> str:
    if any(environ.get(name) for name in _OSC9):
        return "osc9"
    term = environ.get("TERM", "")
    if any(environ.get(name) for name in _OSC777) or term.startswith(_OSC777_TERMS):
        return "osc777"
    return "off" if term in ("linux", "dumb", "vt100", "vt220") else "both"


def _wrapped(sequence: str, environ: Mapping[str, str]) -> str:
    """Past a multiplexer, which would keep the sequence for itself (tmux: with `allow-passthrough on`)."""
    if environ.get("TMUX"):
        return f"{_ESC}Ptmux;{sequence.replace(_ESC, 2 * _ESC)}{_ST}"
    if environ.get("STY"):
        pieces = [sequence[at : at + _SCREEN_PIECE] for at in range(0, len(sequence), _SCREEN_PIECE)]
        return "".join(f"{_ESC}P{piece}{_ST}" for piece in pieces)
    return sequence
