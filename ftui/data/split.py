"""Which side of a train / validation split a row is on, by its content alone."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftui.core.example import Example


def is_validation(key: bytes, share: float, seed: int) -> bool:
    """Whether the row with content `key` is held back for validation, as a share `share` (0 to 1) of all are.

    Depends on nothing but its arguments: adding or removing rows never moves another row, and equal rows are
    always on the same side. The 64-bit hash is uniform, so the share is met to within sqrt(share / rows).
    """
    return within(place(key, seed), share)


def place(key: bytes, seed: int) -> int:
    """The 64-bit hash by which the content `key` is held back or not."""
    digest = hashlib.blake2b(key, digest_size=8, key=seed.to_bytes(16, "big", signed=True)).digest()
    return int.from_bytes(digest, "big")


def within(place: int, share: float) -> bool:
    return place < share * 2**64


def content_key(example: Example) -> bytes:
    """What makes two examples the same for a split: everything they say."""
    return json.dumps(example.to_dict(), ensure_ascii=True, sort_keys=True).encode("ascii")
