"""Safe fixes for findings: ordinary annotations, so that one undo takes a whole fix back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.data import actions
from ftui.data.checks import encoding, privacy, rules
from ftui.data.pointers import escape

if TYPE_CHECKING:
    from ftui.data.actions import Action
    from ftui.data.rows import Row

_REWRITES: dict[str, Callable[[str], str]] = {
    **{f"mask-{kind.slug}": partial(privacy.mask, name=kind.name) for kind in privacy.KINDS},
    "remove-hidden": rules.without_hidden,
    "repair-encoding": encoding.repaired,
}

# What each fix does, in the words of a button.
LABELS = {
    "reject": "reject these rows",
    **{f"mask-{kind.slug}": f"mask with [{kind.name}]" for kind in privacy.KINDS},
    "remove-hidden": "remove the hidden characters",
    "repair-encoding": "repair the encoding",
}


def plan(fix: str, row: Row) -> list[Action]:
    """The annotations that fix one row; empty when none is needed. Raises FtuiError for an unknown fix."""
    if fix == "reject":
        return [] if row.status == "rejected" else [actions.reject()]
    if fix not in _REWRITES:
        raise FtuiError(f"no such fix: {fix}", f"one of {', '.join(LABELS)}")
    return [actions.set_value(pointer, text) for pointer, text in _rewritten(row.value, _REWRITES[fix])]


def _rewritten(value: Any, rewrite: Callable[[str], str], pointer: str = "") -> Iterator[tuple[str, str]]:
    """(JSON pointer, new text) of every text inside `value` that `rewrite` changes."""
    if isinstance(value, str):
        if (text := rewrite(value)) != value:
            yield pointer, text
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _rewritten(item, rewrite, f"{pointer}/{escape(key)}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _rewritten(item, rewrite, f"{pointer}/{index}")
