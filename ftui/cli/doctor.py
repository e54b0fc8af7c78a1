"""`ftui doctor`: what this machine can do, and what is in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ftui.cli.output import Progress, emit, example, json_option
from ftui.cli.workspaces import open_workspace, workspace_option
from ftui.core.text import one_line, sanitize

if TYPE_CHECKING:
    from pathlib import Path

    from ftui.runs.machine import Machine

_MARKS = {"error": "✗", "warning": "!", "hint": "·"}


@click.command(epilog=example("ftui doctor", "ftui doctor --json"))
@workspace_option
@json_option
@click.pass_context
def command(ctx: click.Context, directory: Path | None, as_json: bool) -> None:
    """What this machine can do, and what is in the way. Exits 1 when something keeps it from training."""
    from ftui.runs.machine import inspect_machine

    workspace, progress = open_workspace(directory), Progress()
    progress("asking torch what it can do", 0, 0)
    machine = inspect_machine(workspace)
    progress.clear()
    emit(machine.to_dict(), as_json, lambda: _text(machine, workspace.root))
    if any(problem.severity == "error" for problem in machine.problems):
        ctx.exit(1)


def _text(machine: Machine, root: Path) -> str:
    probe = machine.probe
    packages = "  ".join(f"{name} {version or 'missing'}" for name, version in machine.packages.items())
    bits = probe.get("bitsandbytes", {})
    facts = [
        ("python", machine.python),
        ("packages", packages),
        ("driver", machine.driver or "no NVIDIA driver"),
        ("CUDA", probe.get("cuda") or "none: training runs on the CPU"),
        ("bfloat16", "native" if probe.get("bf16") else "emulated, so fp32 is used"),
        ("4-bit", "works" if bits.get("ok") else "does not work"),
        (
            "disk",
            f"{(machine.disk_free or 0) / (1 << 30):.1f} GiB free for {sanitize(str(root), lines=False)}",
        ),
    ]
    lines = [f"{name:<9} {value}" for name, value in facts]
    for gpu in machine.gpus:
        memory = f"{(gpu.memory_total or 0) / (1 << 30):.1f} GiB" if gpu.memory_total else "memory n/a"
        lines.append(f"GPU {gpu.index:<5} {one_line(gpu.name, 60)}, {memory}")
    if machine.problems:
        lines.append("")
    for problem in machine.problems:
        lines.append(f"{_MARKS[problem.severity]} {one_line(problem.message, 300)}")
        if problem.hint:
            lines.append(f"    {one_line(problem.hint, 300)}")
    return "\n".join(lines)
