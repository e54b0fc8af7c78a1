"""One line of the journal: crc32 of the JSON in hex, a space, the JSON, a newline.

    5f8a01c2 {"v":1,"id":"..","op":"status","ts":1712924000.5,"who":"anna",
              "row":{"sha":"..","occ":0,"n":12},"path":"","before":"undecided","after":"accepted"}

`row` names a row by the SHA-256 of its raw bytes (first 32 hex digits) and how many identical rows came
before it, so that edits survive re-ordering; `n` is where it was, a hint. Keys a reader does not know are
ignored, a later `v` is counted and skipped.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zlib
from dataclasses import dataclass
from typing import Any

from ftui.data.actions import KINDS, STATUSES
from ftui.data.pointers import MISSING
from ftui.data.repair import candidates
from ftui.data.rows import parse_json

VERSION = 1
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
_LINE_START = re.compile(rb"(?=[0-9a-f]{8} \{\"v\":)")


def row_sha(raw: bytes) -> str:
    """How the journal names a row's bytes."""
    return hashlib.sha256(raw).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Op:
    """An operation as written.

    id: unique. op: an action's kind, or "undo". ts: seconds since the epoch. who: the annotator.
    sha, occ, n: the row (see above). path, before, after: what changed; MISSING where there was nothing.
    group: shared by the lines of one bulk action, "" otherwise. undoes: the id or group an "undo" takes back.
    """

    id: str
    op: str
    ts: float
    who: str
    sha: str
    occ: int
    n: int
    path: str = ""
    before: Any = MISSING
    after: Any = MISSING
    group: str = ""
    undoes: str = ""

    @property
    def unit(self) -> str:
        """What one undo takes back: the whole group of a bulk action, else this operation."""
        return self.group or self.id

    def to_dict(self) -> dict[str, Any]:
        """As stored, and as `ftui data log` prints it."""
        fields: dict[str, Any] = {
            "v": VERSION,
            "id": self.id,
            "op": self.op,
            "ts": self.ts,
            "who": self.who,
            "row": {"sha": self.sha, "occ": self.occ, "n": self.n},
            "path": self.path,
        }
        for name in ("before", "after"):
            if (value := getattr(self, name)) is not MISSING:
                fields[name] = value
        for name in ("group", "undoes"):
            if value := getattr(self, name):
                fields[name] = value
        return fields


def encode(op: Op) -> bytes:
    """`op` as one line, newline included. Raises RecursionError for a value nested 1,000 levels deep."""
    body = _ENCODER.encode(op.to_dict()).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> tuple[list[Op], int]:
    """The operations on `line` (without its newline) and how many could not be read. Never raises.

    Usually one and 0. A line whose newline was damaged holds two, and both are found; a line with one wrong
    byte is mended.
    """
    if not line.strip():
        return [], 0
    if op := _exactly(line):
        return [op], 0
    starts = [match.start() for match in _LINE_START.finditer(line)]
    if len(starts) < 2:
        op = _mended(line) or (_exactly(line[starts[0] :]) if starts else None)
        return ([op], 0) if op else ([], 1)
    pieces = [line[start:end] for start, end in zip(starts, [*starts[1:], len(line)], strict=True)]
    # What hangs at the end of a piece is the damaged newline.
    found = [op for piece in pieces if (op := _exactly(piece) or _exactly(piece[:-1]) or _mended(piece))]
    return found, len(pieces) - len(found)


def _exactly(line: bytes) -> Op | None:
    body = line[9:]
    return _read(body) if line[:9] == b"%08x " % zlib.crc32(body) else None


def _mended(line: bytes) -> Op | None:
    return next((op for body in candidates(line) if (op := _read(body))), None)


def _read(body: bytes) -> Op | None:
    try:
        return _from_dict(parse_json(body)[0])
    except (ValueError, KeyError, TypeError):
        return None


def _from_dict(fields: dict[str, Any]) -> Op:
    """Raises ValueError, KeyError or TypeError for anything that is not an operation of this version."""
    row = fields["row"]
    op = Op(
        id=fields["id"],
        op=fields["op"],
        ts=fields["ts"],
        who=fields["who"],
        sha=row["sha"],
        occ=row["occ"],
        n=row["n"],
        path=fields.get("path", ""),
        before=fields.get("before", MISSING),
        after=fields.get("after", MISSING),
        group=fields.get("group", ""),
        undoes=fields.get("undoes", ""),
    )
    texts = (op.id, op.op, op.who, op.sha, op.path, op.group, op.undoes)
    counted = type(op.occ) is int and type(op.n) is int and op.occ >= 0
    timed = type(op.ts) in (int, float) and 0 <= op.ts < math.inf
    if fields["v"] != VERSION or set(map(type, texts)) != {str} or not (counted and timed and _sensible(op)):
        raise ValueError("not an operation of this version")
    return op


def _sensible(op: Op) -> bool:
    after = op.after
    match op.op:
        case "status":
            return after in STATUSES
        case "flag" | "delete" | "restore":
            return isinstance(after, bool)
        case "rate":
            return after is None or (type(after) is int and 1 <= after <= 5)
        case "tag" | "untag" | "note" | "raw":
            return isinstance(after, str)
        case "set":
            return op.path == "" or op.path.startswith("/")
        case "undo":
            return bool(op.undoes)
    return op.op in KINDS
