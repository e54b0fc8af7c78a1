"""Another trainer's recipe while its keys are taken one by one, and what has become of each.

A key is either taken over, taken over with a remark, known to be of no use here, or without an equivalent.
Nothing is dropped silently: every key that did not become a field is listed with the reason.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Literal

from ftui.core.errors import FtuiError

Kind = Literal["llama-factory", "axolotl"]
RemarkKind = Literal["changed", "dropped", "needless"]
_VALUE = reprlib.Repr()
_VALUE.maxstring = _VALUE.maxother = 60
_VALUE.maxlevel = 2


@dataclass(frozen=True, slots=True)
class Remark:
    """A key of the other recipe that was not simply taken over.

    kind: "changed" for one that means a little else here, "dropped" where nothing does what it did,
    "needless" where nothing needs to be said.
    """

    key: str
    value: str
    message: str
    kind: RemarkKind

    def to_dict(self) -> dict[str, Any]:
        return {"key": self.key, "value": self.value, "message": self.message, "kind": self.kind}


@dataclass(frozen=True, slots=True)
class Imported:
    """values: dotted recipe fields, their own defaults included where they differ from ftui's.

    taken: keys of theirs that are taken over as they are.
    """

    kind: Kind
    values: dict[str, Any]
    remarks: tuple[Remark, ...]
    taken: int = 0


@dataclass(slots=True)
class Reading:
    """Another trainer's document while its keys are taken one by one."""

    document: Mapping[str, Any]
    find_data: Callable[[str], str]
    values: dict[str, Any] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set)

    def take(self, *keys: str) -> Any:
        """The value of the first of `keys` that says something, all of them marked as read; None for none."""
        self._taken.update(keys)
        return next((self.document[key] for key in keys if self.document.get(key) is not None), None)

    def remark(self, key: str, message: str, kind: RemarkKind = "changed") -> None:
        self._taken.add(key)
        self.remarks.append(Remark(key, _VALUE.repr(self.document.get(key)), message, kind))

    def number(self, *keys: str, default: float) -> float:
        """A number, also where YAML made a word of it ("1e-4"). Raises FtuiError for what is none."""
        value = self.take(*keys)
        if value is None:
            return default
        try:
            if isinstance(value, bool):
                raise ValueError
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise FtuiError(f"expected a number, got {_VALUE.repr(value)}", "", keys[0]) from None

    def whole(self, *keys: str, default: int) -> int:
        """A whole number. Raises FtuiError for what is none."""
        value = self.number(*keys, default=default)
        if not float(value).is_integer():
            raise FtuiError(f"expected a whole number, got {value}", "", keys[0])
        return int(value)

    def text(self, *keys: str, default: str = "") -> str:
        value = self.take(*keys)
        return default if value is None else str(value)

    def on(self, *keys: str) -> bool:
        """A switch; "true" in quotes is one too."""
        value = self.take(*keys)
        return value.strip().lower() in ("true", "yes", "1") if isinstance(value, str) else bool(value)

    def choice(self, key: str, known: Mapping[str, str], default: str, what: str) -> str:
        """A word of theirs as ours; another is remarked and becomes `default`."""
        value = self.text(key, default="")
        if not value:
            return default
        if value.lower() in known:
            return known[value.lower()]
        self.remark(key, f"no such {what} here: {default} is used", "dropped")
        return default

    def finish(self, kind: Kind, needless: Set[str]) -> Imported:
        """Remarks whatever was not taken; `needless` are the keys whose work ftui does unasked."""
        for key, value in self.document.items():
            if key in self._taken or value in (None, False, "", []):
                continue
            if key in needless:
                self.remark(key, "ftui does this unasked, or has no need of it", "needless")
            else:
                self.remark(key, "has no equivalent", "dropped")
        said = {remark.key for remark in self.remarks}
        taken = sum(key in self._taken and key not in said for key in self.document)
        return Imported(kind, self.values, tuple(self.remarks), taken)
