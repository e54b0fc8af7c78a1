"""What a run was made of: its recipe, data, versions and the command that repeats it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.screen import ModalScreen

from ftui.core.text import sanitize
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult

    from ftui.runs.rundir import RunDir

_MOST = 200_000  # characters of a recipe that are shown


class RunDetails(ModalScreen[None]):
    """Scrolls; esc or D closes it. `facts` are (heading, lines) as `read_facts` gives them."""

    DEFAULT_CSS = """
    RunDetails { align: center middle; }
    RunDetails > Flow { width: 92; max-width: 94%; height: 90%; background: $surface; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape,D,q", "dismiss", "close", id="train.details.close"),
        Binding("c", "copy_command", "copy the command", id="train.details.copy"),
    ]

    def __init__(self, name: str, facts: list[tuple[str, list[str]]], command: str) -> None:
        super().__init__()
        self._heading, self._facts, self._command = name, facts, command

    def compose(self) -> ComposeResult:
        yield Flow(follow=False)

    def on_mount(self) -> None:
        flow, colors = self.query_one(Flow), palette(self.app)
        heading, plainly = Style(color=colors.special, bold=True), Style(color=colors.foreground)
        paragraphs = []
        for title, lines in self._facts:
            paragraphs += [Text(title, heading), *(Text(line or " ", plainly) for line in lines), Text(" ")]
        set_title(flow, sanitize(self._heading, lines=False))
        set_subtitle(flow, "esc closes · c copies the command")
        flow.show(paragraphs)
        flow.focus()

    def action_copy_command(self) -> None:
        self.app.copy_to_clipboard(self._command)
        self.notify("copied, where your terminal allows it", timeout=4)


def read_facts(rundir: RunDir) -> tuple[list[tuple[str, list[str]]], str]:
    """The details of a run as sanitized (heading, lines), and its command. Reads files: for a thread."""
    manifest = rundir.read_manifest()
    command = sanitize(str(manifest.get("command") or ""), lines=False)
    facts = [("where", [sanitize(str(rundir.path), lines=False)])]
    if command:
        facts.append(("to repeat it", [command]))
    data = manifest.get("data")
    if isinstance(data, dict):
        facts += [
            (f"data: {sanitize(str(name), lines=False)}", _pairs(value)) for name, value in data.items()
        ]
    if isinstance(versions := manifest.get("versions"), dict):
        facts.append(("versions", _pairs(versions)))
    rest = {key: value for key, value in manifest.items() if key not in ("data", "versions", "command")}
    if rest:
        facts.append(("manifest", _pairs(rest)))
    try:
        recipe = rundir.recipe_path.read_text(encoding="utf-8", errors="replace")[:_MOST]
    except OSError as error:
        recipe = f"cannot be read: {error.strerror}"
    facts.append(("recipe", sanitize(recipe).split("\n")))
    return facts, command


def _pairs(value: Mapping[str, Any] | Any) -> list[str]:
    """Names and values in two columns; what is nested as JSON."""
    if not isinstance(value, dict):
        return [sanitize(str(value), lines=False)]
    width = max((len(str(key)) for key in value), default=0)
    lines = []
    for key, item in value.items():
        text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
        lines.append(f"{sanitize(str(key), lines=False).ljust(width)}  {sanitize(text, lines=False)}")
    return lines
