"""What a safetensors file holds, read from its header alone."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError

if TYPE_CHECKING:
    from pathlib import Path


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in the file. Raises FtuiError when it is damaged or cut short."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            size = path.stat().st_size
            if length > size:
                raise ValueError
            header = json.loads(file.read(length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        if any(8 + length + entry["data_offsets"][1] > size for entry in tensors.values()):
            raise ValueError
        return {name: tuple(entry["shape"]) for name, entry in tensors.items()}
    except (OSError, ValueError, struct.error, LookupError, TypeError, AttributeError):
        raise FtuiError("the weights are damaged or cut short", "copy the file again", str(path)) from None
