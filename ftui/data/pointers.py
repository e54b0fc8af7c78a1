"""JSON pointers (RFC 6901) into a row: read one, and set one without touching the value it came from."""

from __future__ import annotations

from typing import Any

from ftui.core.errors import FtuiError

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "nothing", "__bool__": lambda self: False})()


def _parts(pointer: str) -> list[str]:
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise FtuiError("a JSON pointer starts with /", "for example /messages/0/content", pointer)
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def escape(part: str | int) -> str:
    """One step of a pointer: `a/b` becomes `a~1b`."""
    return str(part).replace("~", "~0").replace("/", "~1")


def get(value: Any, pointer: str) -> Any:
    """What `pointer` names in `value`, or MISSING."""
    for part in _parts(pointer):
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    return value


def put(value: Any, pointer: str, new: Any) -> Any:
    """A copy of `value` with what `pointer` names replaced by `new` (MISSING removes it).

    A missing last key is added, a last `-` appends to a list. Only containers on the way are copied.
    Raises FtuiError when the way does not exist.
    """
    parts = _parts(pointer)
    if not parts:
        return new
    root = at = _copy(value, pointer)
    for part in parts[:-1]:
        key = _key(at, part, pointer, adding=False)
        at[key] = _copy(at[key], pointer)
        at = at[key]
    key = _key(at, parts[-1], pointer, adding=True)
    if new is MISSING:
        if isinstance(at, list):
            del at[key : key + 1]
        else:
            at.pop(key, None)
    elif isinstance(at, list) and key == len(at):
        at.append(new)
    else:
        at[key] = new
    return root


def _copy(value: Any, pointer: str) -> Any:
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list):
        return list(value)
    raise FtuiError("this row has no such place", "`ftui data show` prints the row as it is", pointer)


def _key(container: Any, part: str, pointer: str, *, adding: bool) -> Any:
    if isinstance(container, dict):
        if adding or part in container:
            return part
    elif adding and part == "-":
        return len(container)
    elif part.isdecimal() and int(part) < len(container) + adding:
        return int(part)
    raise FtuiError("this row has no such place", "`ftui data show` prints the row as it is", pointer)
