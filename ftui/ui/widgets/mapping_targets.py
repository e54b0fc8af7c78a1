"""What fields can mean, with what was assigned to each; and the shapes that rows can be read as instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.style import Style
from rich.text import Text
from textual.message import Message
from textual.widgets import Static

from ftui.core.text import one_line
from ftui.ui.field_mapping import AS_THEY_LOOK, FIELDS, KEYS, WAYS
from ftui.ui.themes import palette

if TYPE_CHECKING:
    from textual import events

    from ftui.ui.field_mapping import Draft

_TARGETS = tuple(KEYS)


class MappingTargets(Static):
    """A line each; a click is as good as its key."""

    class TargetPicked(Message):
        def __init__(self, target: str) -> None:
            super().__init__()
            self.target = target

    class WayPicked(Message):
        def __init__(self, way: str) -> None:
            super().__init__()
            self.way = way

    def __init__(self, **arguments: Any) -> None:
        super().__init__(markup=False, **arguments)

    def show(self, draft: Draft) -> None:
        colors = palette(self.app)
        dim, plain, accent = (Style(color=color) for color in (colors.dim, colors.foreground, colors.accent))
        width = max(20, self.content_region.width or 30)
        lines = [_radio(draft, FIELDS, "from these fields", colors.accent, colors.foreground)]
        for target, key in KEYS.items():
            pointer = draft.targets.get(target)
            where = "" if pointer is None else one_line(pointer or "(the whole row)", width - 15)
            style = accent if draft.way == FIELDS else dim
            lines.append(
                Text.assemble(
                    "  ",
                    (key, accent + Style(bold=True)),
                    (f" {target:<11}", plain if where else dim),
                    (where, style),
                )
            )
        votes = draft.looked.votes
        for way in WAYS[1:]:
            seen = sum(votes.values()) - votes.get("unknown", 0) if way == AS_THEY_LOOK else votes.get(way, 0)
            line = _radio(draft, way, f"{way:<18}", colors.accent, colors.foreground if seen else colors.dim)
            line.append(f"{seen:>8,}" if seen else "", dim)
            lines.append(line)
        if draft.words:
            names = [draft.words[name] for name in ("role", "content") if name in draft.words]
            roles = draft.words.get("roles", {})
            lines.append(Text(one_line("turns: " + " · ".join(names), width - 9) + "  ", dim))
            if roles:
                lines[-1].append("r", accent + Style(bold=True)).append(" swaps", dim)
            lines += [Text(one_line(f"  {word} = {role}", width), dim) for word, role in roles.items()]
        for line in lines:
            line.no_wrap = True
        self.update(Text("\n").join(lines))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        line = offset.y
        if 1 <= line <= len(_TARGETS):
            self.post_message(self.TargetPicked(_TARGETS[line - 1]))
        elif line == 0 or line <= len(_TARGETS) + len(WAYS) - 1:
            self.post_message(self.WayPicked(WAYS[max(0, line - len(_TARGETS))]))


def _radio(draft: Draft, way: str, words: str, on: str, off: str) -> Text:
    chosen = draft.way == way
    color = on if chosen else off
    return Text.assemble(("● " if chosen else "○ ", Style(color=color)), (words, Style(color=color)))
