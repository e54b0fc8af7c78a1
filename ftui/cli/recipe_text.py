"""How `ftui recipe` words what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ftui.core.hardware import show_size
from ftui.core.recipe_fields import toml_value
from ftui.core.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.core.estimate import Estimate
    from ftui.core.findings import Finding
    from ftui.core.recipe_fields import RecipeField
    from ftui.core.schedule import Schedule

MARKS = {"error": "✗", "warning": "!", "hint": "·"}


def safe(text: str) -> str:
    return one_line(text, 200)


def findings_text(path: Path, found: list[Finding], lines: dict[str, int]) -> str:
    rows = []
    for finding in found:
        line = lines.get(finding.field) or lines.get(finding.field.rpartition(".")[0])
        place = f"{safe(str(path))}:{line}" if line else safe(str(path))
        field = f"{finding.field}: " if finding.field else ""
        rows.append(f"{MARKS[finding.severity]} {place}  {field}{safe(finding.message)}")
        if finding.hint:
            values = ", ".join(f"{name} = {toml_value(value)}" for name, value in finding.fix.items())
            rows.append(f"    {finding.hint}" + (f": {values}" if values else ""))
    counts = [(sum(f.severity == severity for f in found), severity) for severity in MARKS]
    parts = [f"{count} {severity}{'s' if count > 1 else ''}" for count, severity in counts if count]
    return "\n".join([*rows, ", ".join(parts) or "nothing to improve"])


def finding_line(finding: Finding) -> str:
    """A finding where there is no file to point into."""
    hint = f"; {finding.hint}" if finding.hint else ""
    return f"{finding.field}: {safe(finding.message)}{safe(hint)}"


def explained(field: RecipeField) -> dict[str, Any]:
    return {
        "field": field.name,
        "why": field.why,
        "expected": field.expected,
        "unit": field.unit,
        "usual": field.usual,
        "default": field.default,
        "choices": list(field.choices),
    }


def explained_text(field: RecipeField) -> str:
    facts = [
        ("expects", field.expected),
        ("unit", field.unit),
        ("usual", field.usual),
        ("default", toml_value(field.default)),
    ]
    return "\n".join(
        [field.name, f"  {field.why}", *(f"  {name:<8} {value}" for name, value in facts if value)]
    )


def estimate_dict(needed: Estimate, course: Schedule | None) -> dict[str, Any]:
    return {
        "total_bytes": needed.total,
        "parts": needed.parts,
        "fits": needed.fits,
        "available_bytes": needed.memory,
        "trainable_parameters": needed.trainable,
        "total_parameters": needed.parameters,
        "checkpoint_bytes": needed.checkpoint,
        "quantized_share": round(needed.quantized, 4),
        "micro_batch": needed.load.micro_batch,
        "checkpointed_layers": needed.load.checkpointed,
        "tokens_per_step": course.tokens_per_step if course else None,
        "steps": course.steps if course else None,
        "method": needed.method,
        "notes": list(needed.notes),
    }


def estimate_text(needed: Estimate, course: Schedule | None, device: str) -> str:
    largest = max(needed.parts.values())
    rows = [
        f"{name:<12} {show_size(size):>9}  {'█' * round(24 * size / largest)}"
        for name, size in needed.parts.items()
    ]
    verdict = {True: "fits", False: "does not fit", None: ""}[needed.fits]
    have = f" of {show_size(needed.memory)} on {safe(device)}: {verdict}" if needed.memory else ""
    rows.append(f"{'total':<12} {show_size(needed.total):>9}{have}")
    load = f"{needed.load.micro_batch} at once, {needed.load.checkpointed} layers recomputed"
    trained = f"{needed.trainable:,} of {needed.parameters:,} parameters trained"
    steps = f"{course.steps:,} steps" if course else "steps unknown"
    disk = f"a checkpoint takes {show_size(needed.checkpoint)} of disk; each new best evaluation saves one as well"
    return "\n".join([*rows, f"{trained}; {load}; {steps}", disk, *needed.notes])
