"""One line of the journal: crc32 of the JSON in hex, a space, the JSON, a newline.

    5f8a01c2 {"v":1,"id":"..","op":"status","ts":1712924000.5,"who":"anna",
              "row":{"sha":"..","occ":0,"n":12},"path":"","before":"undecided","after":"accepted"}

`row` names a row by the SHA-256 of its raw bytes (first 32 hex digits) and how many identical rows came
before it, so that edits survive re-ordering; `n` is where it was, a hint. A "map" is about the whole file: its
`sha` is "" and its `n` 0, its `after` a mapping (`core.shapes_mapping`) or null for none. A "commit" ends the
lines of a bulk action (`group`, `of`). Keys a reader does
not know are ignored, an unknown `op` and a later `v` are counted and skipped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import zlib
from typing import Any, NamedTuple

import orjson

from ftui.core.errors import FtuiError
from ftui.core.shapes_mapping import parse as parse_mapping
from ftui.data.actions import KINDS, STATUSES
from ftui.data.pointers import MISSING
from ftui.data.repair import candidates
from ftui.data.row_json import parse_json

VERSION = 1
_VALUED = frozenset(("set", "map"))
_NUMBERS = (int, float)
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
_LINE_START = re.compile(rb"(?=[0-9a-f]{8} \{\"v\":)")


def row_sha(raw: bytes) -> str:
    """How the journal names a row's bytes."""
    return hashlib.sha256(raw).hexdigest()[:32]


class Op(NamedTuple):
    """An operation as written. A tuple, because opening a dataset may read a hundred thousand of them.

    id: unique. op: an action's kind, or "undo". ts: seconds since the epoch. who: the annotator.
    sha, occ, n: the row (see above). path, before, after: what changed; MISSING where there was nothing.
    group: shared by the lines of one bulk action, "" otherwise. undoes: the id or group an "undo" takes back.
    settles: the ids of the annotators' decisions that were in conflict, known to be, when this one was made: it
    overrules them, whatever the clocks say.
    of: how many operations the group has, 0 for none. They count once all of them were read, or the "commit"
    that follows them: a group torn while it was written was never acknowledged and counts for nothing, one
    whose lines were damaged later keeps the others.
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
    settles: tuple[str, ...] = ()
    of: int = 0

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
        if self.before is not MISSING:
            fields["before"] = self.before
        if self.after is not MISSING:
            fields["after"] = self.after
        if self.group:
            fields["group"] = self.group
        if self.undoes:
            fields["undoes"] = self.undoes
        if self.settles:
            fields["settles"] = list(self.settles)
        if self.of:
            fields["of"] = self.of
        return fields


def encode(op: Op) -> bytes:
    """`op` as one line, newline included. Raises RecursionError for a value nested 1,000 levels deep."""
    fields = op.to_dict()
    body = b""
    if (
        op.op not in _VALUED
    ):  # orjson is ten times faster, but must not see NaN, big integers, half characters
        with contextlib.suppress(TypeError):
            body = orjson.dumps(fields)
    if not body.isascii() or not body:
        body = _ENCODER.encode(fields).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> tuple[list[Op], int]:
    """The operations on `line` (without its newline) and how many could not be read. Never raises.

    Usually one and 0. A line whose newline was damaged holds two, and both are found; a line with one wrong
    byte is mended.
    """
    if not line.strip():
        return [], 0
    if op := exactly(line):
        return [op], 0
    starts = [match.start() for match in _LINE_START.finditer(line)]
    if len(starts) < 2:
        # The last line of a file may end in its damaged newline.
        op = _mended(line) or (
            exactly(line[starts[0] :]) or exactly(line[starts[0] : -1]) if starts else None
        )
        return ([op], 0) if op else ([], 1)
    pieces = [line[start:end] for start, end in zip(starts, [*starts[1:], len(line)], strict=True)]
    # What hangs at the end of a piece is the damaged newline.
    found = [op for piece in pieces if (op := exactly(piece) or exactly(piece[:-1]) or _mended(piece))]
    return found, len(pieces) - len(found)


def exactly(line: bytes) -> Op | None:
    """The operation on a whole and undamaged line, without its newline; else None."""
    body = line[9:]
    return _read(body) if line[:9] == b"%08x " % zlib.crc32(body) else None


def _mended(line: bytes) -> Op | None:
    return next((op for body in candidates(line) if (op := _read(body))), None)


def _read(body: bytes) -> Op | None:
    try:
        fields = orjson.loads(body)
        if fields["op"] in _VALUED:  # what it holds must not be rounded
            fields = parse_json(body)[0]
    except (ValueError, KeyError, TypeError):
        fields = parse_json(body)[0]
    try:
        return _from_dict(fields)
    except (ValueError, KeyError, TypeError):
        return None


def _from_dict(fields: dict[str, Any]) -> Op:
    """Raises ValueError, KeyError or TypeError for anything that is not an operation of this version."""
    row = fields["row"]
    get = fields.get
    op = Op(
        fields["id"], fields["op"], fields["ts"], fields["who"], row["sha"], row["occ"], row["n"],
        get("path", ""), get("before", MISSING), get("after", MISSING), get("group", ""), get("undoes", ""),
        tuple(get("settles", ())), get("of", 0),
    )  # fmt: skip
    id, kind, ts, who, sha, occ, n, path, _, _, group, undoes, settles, of = op
    named = (
        type(id) is type(kind) is type(who) is type(sha) is type(path) is type(group) is type(undoes) is str
    )
    counted = type(occ) is type(n) is type(of) is int and occ >= 0 and of >= 0
    timed = type(ts) in _NUMBERS and 0 <= ts < math.inf
    settling = all(type(other) is str for other in settles) if settles else True
    if fields["v"] != VERSION or not (named and counted and timed and settling and _sensible(op)):
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
        case "map":
            return _is_mapping(after)
        case "commit":
            return bool(op.group) and op.of > 0
    return op.op in KINDS


def _is_mapping(after: Any) -> bool:
    try:
        return after is None or bool(parse_mapping(after))
    except FtuiError:
        return False
