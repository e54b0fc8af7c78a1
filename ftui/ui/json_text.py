"""JSON for reading and editing."""

from __future__ import annotations

import json
from typing import Any


def to_json(value: Any) -> str:
    """`value` as indented JSON for reading and editing; non-ASCII as it is."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2)
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, indent=2)
    except RecursionError:
        return "(nested too deeply to show)"
    return text
