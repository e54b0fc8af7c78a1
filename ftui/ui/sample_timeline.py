"""Sample replies by prompt and step: how the same question is answered as training goes on. No Textual."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.ui.run_reader import Sample


@dataclass(frozen=True, slots=True)
class Timeline:
    """One prompt and its replies, (step, reply), steps ascending; step 0 is the base model."""

    prompt: str
    replies: tuple[tuple[int, str], ...]

    @property
    def steps(self) -> tuple[int, ...]:
        return tuple(step for step, _ in self.replies)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which prompt is looked at and at which step; None follows the newest."""

    prompt: int = 0
    step: int | None = None


def timelines(samples: Sequence[Sample]) -> list[Timeline]:
    """By prompt, in the order they were first asked; of a step told twice (a resumed run) the later reply."""
    found: dict[str, dict[int, str]] = {}
    for sample in samples:
        found.setdefault(sample.prompt, {})[sample.step] = sample.reply
    return [Timeline(prompt, tuple(sorted(replies.items()))) for prompt, replies in found.items()]


def at(line: Timeline, choice: Choice) -> int:
    """The index of the chosen reply: of the step, else of the last one before it."""
    if choice.step is None:
        return len(line.replies) - 1
    return max((index for index, step in enumerate(line.steps) if step <= choice.step), default=0)


def stepped(lines: Sequence[Timeline], choice: Choice, by: int) -> Choice:
    """The choice moved along the steps; at the last one it follows the newest."""
    if not lines:
        return choice
    line = lines[choice.prompt % len(lines)]
    index = max(0, min(len(line.replies) - 1, at(line, choice) + by))
    last = index == len(line.replies) - 1
    return replace(choice, step=None if last else line.steps[index])


def next_prompt(lines: Sequence[Timeline], choice: Choice) -> Choice:
    return replace(choice, prompt=(choice.prompt + 1) % len(lines)) if lines else choice
