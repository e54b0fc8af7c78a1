"""The five-line triage format that the demo dataset teaches, and the test of whether a reply keeps it."""

from __future__ import annotations

import re

LINES = ("Issue", "Item", "Order", "Action", "Priority")
PRIORITIES = ("Low", "Medium", "High")

# `.` stops at a newline, so each label owns exactly one line.
_FORMAT = re.compile(
    "\n".join(rf"{name}: \S.*" for name in LINES[:-1]) + rf"\n{LINES[-1]}: (?:{'|'.join(PRIORITIES)})"
)


def keeps_format(reply: str) -> bool:
    """Whether `reply` is the five triage lines and nothing else.

    All of LINES once, in order, each as "Name: value" with a value, the last one of PRIORITIES. White space
    around the whole reply and carriage returns are forgiven; a preface, a blank line or a sixth line is not.
    """
    return _FORMAT.fullmatch(reply.replace("\r\n", "\n").strip()) is not None
