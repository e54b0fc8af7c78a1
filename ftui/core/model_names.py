"""What a model may be called."""

from __future__ import annotations

import re

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?")


def may_be_on_hub(name: str) -> bool:
    """Whether `name`, which is no file or folder here, may be a hub id; else it is a path that leads nowhere."""
    if name.startswith(("/", "./", "../", "~")) or name.lower().endswith(".gguf"):
        return False
    return _HUB_ID.fullmatch(name) is not None
