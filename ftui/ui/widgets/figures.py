"""How figures are written on the screen: short, aligned, the same everywhere. Pure functions, no Textual."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from datetime import datetime, timedelta

from ftui.core.duration import show_duration

GIB = 1024**3
Writer = Callable[[float | None], str]

# A state's mark, its ASCII form for poor terminals, and the palette colour that carries its meaning.
_MARKS = {
    "queued": ("◌", "o", "dim"),
    "starting": ("◔", "~", "accent"),
    "running": ("▶", ">", "good"),
    "stopping": ("◼", "#", "warning"),
    "stopped": ("■", "#", "warning"),
    "finished": ("✓", "v", "good"),
    "failed": ("✗", "x", "bad"),
    "crashed": ("✗", "x", "bad"),
    "stalled": ("!", "!", "warning"),
}

ACTIVE = ("starting", "running", "stopping", "stalled")


def ascii_only() -> bool:
    """Whether the terminal is too poor for braille and marks: $FTUI_ASCII, else by $TERM and the locale."""
    if wish := os.environ.get("FTUI_ASCII", ""):
        return wish not in ("0", "no", "off")
    if os.environ.get("TERM", "") in ("dumb", "linux", "vt100", "vt220"):
        return True
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    codeset = locale.partition(".")[2].partition("@")[0]
    return bool(codeset) and codeset.lower().replace("-", "") != "utf8"


def mark(state: str, *, plain: bool = False) -> tuple[str, str]:
    """The glyph of a run's state and the name of its palette colour."""
    glyph, poor, color = _MARKS.get(state, ("?", "?", "dim"))
    return (poor if plain else glyph), color


def number(value: float | None) -> str:
    """About three significant digits, an exponent only where it reads better: 0.83, 212, 0.0123, 2.1e-5."""
    if value is None:
        return "–"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e6 or size < 1e-3:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 0.1:
        return f"{value:.2f}"
    return f"{value:.4f}".rstrip("0")


def axis_label(value: float) -> str:
    """A round number at the end of an axis: 4, 0.5, 2k, 2e-4."""
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if size >= 1000:
        return f"{value / 1000:.4g}k"
    return f"{value:.4g}"


def rate(value: float | None) -> str:
    """A count a second: 105, 1.9k, 2.1M."""
    if value is None or not math.isfinite(value):
        return "–"
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= size * 0.9995:
            return f"{value / size:.1f}{unit}"
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}"


def duration(seconds: float | None) -> str:
    """42s, 6m12s, 3h05m, 2d04h."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    return show_duration(seconds)


def gib(size: float | None) -> str:
    """Bytes as GiB without the unit: 14.2, 24, 0.5."""
    if size is None:
        return "n/a"
    value = size / GIB
    if value >= 9.95 and abs(value - round(value)) < 0.05:
        return f"{value:.0f}"
    return f"{value:.1f}"


def size_of(count: float) -> str:
    """Bytes for people: 92.9 MB, 1.4 GB, 512 B (decimal units, as downloads are quoted)."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def when(then: float | None, now: float) -> str:
    """A past moment as a person says it: "14:02" today, "yesterday", "Monday", "12 Apr"."""
    if not then:
        return ""
    moment, today = datetime.fromtimestamp(then), datetime.fromtimestamp(now)
    days = (today.date() - moment.date()).days
    if days <= 0:
        return moment.strftime("%H:%M")
    if days == 1:
        return "yesterday"
    return moment.strftime("%A") if days < 7 else f"{moment.day} {moment:%b}"


def finishing(seconds: float | None) -> str:
    """When something that takes `seconds` more will be done: "14:22", another day "Tue 14:22"; "" unknown."""
    if seconds is None or not 0 <= seconds < 366 * 86400:
        return ""
    now = datetime.now()
    then = now + timedelta(seconds=seconds)
    return then.strftime("%H:%M" if then.date() == now.date() else "%a %H:%M")


def bar(share: float, width: int, *, plain: bool = False) -> tuple[str, str]:
    """A progress bar of `width` cells as its filled and its empty part."""
    filled = max(0, min(width, round(share * width))) if math.isfinite(share) else 0
    full, empty = ("#", "-") if plain else ("━", "─")
    return full * filled, empty * (width - filled)
