"""How every command speaks: text for people, exactly one JSON object with --json."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from typing import Any

import click
import orjson


def json_line(value: Any) -> str:
    """`value` as one line of strict JSON: big integers whole, NaN as null, lone surrogates as escapes."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # what orjson cannot hold and the standard library can
        return json.dumps(_finite(value), default=_plain, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "__fspath__"):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def emit(value: Any, as_json: bool, text: Callable[[], str]) -> None:
    """Prints `value` as one JSON line, or what `text()` makes of it for a person."""
    click.echo(json_line(value) if as_json else text())


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--json` to a command as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")(
        command
    )


def example(*lines: str) -> str:
    """A help epilog showing `lines` as they would be typed."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


class Progress:
    """A progress line on stderr for work over a second; silent where stderr is not a terminal.

    Call it with (stage, done, total); `total` 0 means unknown. Redraws at most when a whole percent changes.
    """

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._shown: tuple[str, int] | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        percent = min(100, 100 * done // total) if total else 0
        if not self._enabled or (stage, percent) == self._shown:
            return
        self._shown = (stage, percent)
        bar = "━" * (percent // 4) + " " * (25 - percent // 4) if total else "…".ljust(25)
        sys.stderr.write(f"\r\x1b[K{stage:<28.28} {bar} {f'{percent:3d}%' if total else ''}")
        sys.stderr.flush()

    def clear(self) -> None:
        if self._enabled and self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
