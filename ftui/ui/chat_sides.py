"""Who can answer in the Chat pane, how, and what there is to ask. What reads files belongs in a thread."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ftui.core.shapes import to_example
from ftui.core.text import one_line, sanitize
from ftui.runs.rundir import RunDir
from ftui.runs.state import list_runs
from ftui.ui.files import typed_path

if TYPE_CHECKING:
    from ftui.runs.workspace import Workspace

DEFAULT_BASE = "demo"
_CONFIG = "adapter_config.json"
_MOST_PROMPTS = 2000
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """How a side answers. temperature 0 is greedy: the same prompt gives the same reply."""

    system: str = ""
    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 256
    seed: int = 0

    def sampling(self) -> dict[str, Any]:
        """As the chat server takes it."""
        return {
            "max_new_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class Side:
    """Who answers: a base (directory, GGUF file, hub id or "demo"), with an adapter folder or without ("").

    name: as shown, sanitized. detail: where it comes from. final: not a checkpoint, which its run may remove.
    """

    base: str = DEFAULT_BASE
    adapter: str = ""
    name: str = "base"
    detail: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class Choices:
    """sides: adapters and checkpoints, newest run first, and each base once, last. prompts: to ask."""

    sides: tuple[Side, ...] = ()
    prompts: tuple[Prompt, ...] = ()

    def default(self) -> tuple[Side, ...]:
        """The newest adapter beside its base; the base alone where there is no adapter yet.

        A checkpoint only where no run has finished: one at work removes its older checkpoints.
        """
        adapters = [side for side in self.sides if side.adapter]
        newest = next((side for side in adapters if side.final), adapters[0] if adapters else None)
        if newest is None:
            return self.sides[:1] or (Side(),)
        return Side(newest.base, detail=newest.base), newest


@dataclass(frozen=True, slots=True)
class Prompt:
    """A held-out prompt, as it is in its file."""

    text: str
    source: str
    number: int
    of: int = field(default=0)


def read_choices(workspace: Workspace) -> Choices:
    """What this workspace has to talk to and to ask. What cannot be read is left out. Raises FtuiError."""
    sides: list[Side] = []
    bases: dict[str, None] = {}
    for run in list_runs(workspace):
        rundir = RunDir(run.path)
        base = str(rundir.read_manifest().get("base") or DEFAULT_BASE)
        bases[base] = None
        sides += _of_run(rundir, base, one_line(run.name, 40))
    for folder in sorted(workspace.adapters.glob("*/v*"), reverse=True):
        if (folder / _CONFIG).is_file():
            name = one_line(f"{folder.parent.name} {folder.name}", 40)
            sides.append(Side(_base_of(folder), str(folder), name, "adapters/", final=True))
    bases[DEFAULT_BASE] = None
    sides += [Side(base, name=f"base {one_line(base, 60)}", detail="without an adapter") for base in bases]
    return Choices(tuple(sides), tuple(read_prompts(workspace)))


def named_side(text: str) -> Side:
    """A side from what a person typed: a base model, or a folder that holds an adapter."""
    folder = typed_path(text)
    with contextlib.suppress(OSError, ValueError):
        if (folder / _CONFIG).is_file():
            return Side(_base_of(folder), str(folder), one_line(folder.name, 40), str(folder.parent))
    return Side(text, name=f"base {one_line(text, 60)}")


def side_of(base: str, adapter: str) -> Side:
    """A side for an adapter folder of a run, named after the run."""
    if not adapter:
        return Side(base, detail=base)
    folder = Path(adapter)
    run = RunDir(folder.parent).read_manifest().get("name")
    return Side(base, adapter, one_line(str(run or folder.name), 40))


def read_prompts(workspace: Workspace) -> list[Prompt]:
    """The last user turn of each row in `golden/*.jsonl`; rows without one are left out."""
    prompts: list[Prompt] = []
    for path in sorted(workspace.golden.glob("*.jsonl")):
        texts = []
        with contextlib.suppress(OSError), path.open("rb") as file:
            for line in file.read(_MOST_BYTES).split(b"\n")[:_MOST_PROMPTS]:
                if text := _question(line):
                    texts.append(text)
        name = one_line(path.name, 40)
        prompts += [Prompt(text, name, number, len(texts)) for number, text in enumerate(texts, 1)]
    return prompts


def _question(line: bytes) -> str:
    try:
        example = to_example(orjson.loads(line))
    except orjson.JSONDecodeError:
        return ""
    if example is None:
        return ""
    return next((turn.content for turn in reversed(example.messages) if turn.role == "user"), "")


def _of_run(rundir: RunDir, base: str, name: str) -> list[Side]:
    found = []
    if (rundir.adapter / _CONFIG).is_file():
        detail = f"finished · {sanitize(rundir.id, lines=False)}"
        found.append(Side(base, str(rundir.adapter), name, detail, final=True))
    checkpoints = [path for path in rundir.checkpoints.glob("*-[0-9]*") if (path / _CONFIG).is_file()]
    for path in sorted(checkpoints, reverse=True):
        step = path.name.rpartition("-")[2].lstrip("0") or "0"
        detail = f"checkpoint · {sanitize(rundir.id, lines=False)}"
        found.append(Side(base, str(path), f"{name} @{step}", detail))
    return found


def _base_of(folder: Path) -> str:
    """The base an adapter folder names, else the default one."""
    with contextlib.suppress(OSError, ValueError):
        config = orjson.loads((folder / _CONFIG).read_bytes())
        return str(config.get("base_model_name_or_path") or DEFAULT_BASE)
    return DEFAULT_BASE
