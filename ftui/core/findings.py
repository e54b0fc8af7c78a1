"""What lint knows beside the recipe, and what it finds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ftui.core.estimate import Estimate
    from ftui.core.hardware import Hardware
    from ftui.core.schedule import Schedule

Severity = Literal["error", "warning", "hint"]
ORDER: tuple[Severity, ...] = ("error", "warning", "hint")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth changing.

    field: dotted, where it is changed. hint: what to do, imperative. fix: the values that do it, {} where a
    person must decide.
    """

    field: str
    severity: Severity
    message: str
    hint: str = ""
    fix: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As `ftui recipe check --json` prints it."""
        return {name: getattr(self, name) for name in ("field", "severity", "message", "hint", "fix")}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the data, the machine and the model; None where it is not.

    rows: usable rows of the training file. shape: what most of them are (core.shapes), "" when not known.
    over: how many are longer than max_length. p99, longest: tokens.
    problems: what looking already showed to be wrong, such as a file that is not there.
    """

    rows: int | None = None
    shape: str = ""
    over: int | None = None
    p99: int | None = None
    longest: int | None = None
    problems: tuple[Finding, ...] = ()
    schedule: Schedule | None = None
    hardware: Hardware | None = None
    estimate: Estimate | None = None


NOTHING = Facts()
