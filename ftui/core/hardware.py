"""What a run would train on, and sizes of memory as people write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftui.core.errors import FtuiError

GIB = 1024**3
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": GIB, "tib": 2**40, "m": 2**20, "g": GIB}


@dataclass(frozen=True, slots=True)
class Hardware:
    """One device. memory: bytes of the GPU, or of the host where there is none; None when unknown.

    bfloat16: whether it computes in bf16 at full speed (every recent GPU; few CPUs).
    """

    device: Literal["cuda", "cpu"]
    name: str
    memory: int | None
    bfloat16: bool = True


def parse_size(text: str) -> int:
    """Bytes in `24GiB`, `24 GB`, `16000MiB` or a plain number of bytes. Raises FtuiError."""
    clean = text.strip().lower().replace(" ", "")
    digits = clean.rstrip("abcdefghijklmnopqrstuvwxyz")
    try:
        value = float(digits) * _UNITS[clean[len(digits) :]]
    except (ValueError, KeyError):
        value = 0.0
    if not 1 <= value < 2**60:
        raise FtuiError("expected an amount of memory", "for example 24GiB or 24GB", text)
    return int(value)


def show_size(size: float) -> str:
    """Bytes as a person reads them: `13.8 GiB`, `640 MiB`; in the units GPUs are sold and measured in."""
    for unit, factor in (("TiB", 2**40), ("GiB", GIB), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            amount = size / factor
            return f"{amount:.0f} {unit}" if amount >= 100 else f"{amount:.1f} {unit}"
    return f"{size:.0f} B"
