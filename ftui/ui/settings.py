"""What a person sets for every workspace: theme and keys, in `settings.toml` of the platform's config folder.

    theme = "night"
    [keys]                      # binding id = key, as `?` shows them
    "data.accept" = "j"
    [notify]                    # when a run ends, or something is wrong with it; once each
    bell = true
    terminal = "auto"           # osc9 | osc777 | both | off: what the terminal understands
    command = "notify-send {title} {message}"     # yours; no shell; "" is none

Read with the standard library alone: this is on the way to the first paint.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

from ftui.assets import asset_dir
from ftui.core.errors import FtuiError
from ftui.ui.terminal_notes import TERMINALS
from ftui.ui.themes import DEFAULT

# `theme = ...` before the first table; the comment behind it is kept.
_THEME_LINE = re.compile(r"""^(?P<key>[ \t]*theme[ \t]*=[ \t]*)("[^"\n]*"|'[^'\n]*')""", re.MULTILINE)
_FIRST_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Notify:
    """How a person is told of what happens to a run. terminal: one of `terminal_notes.TERMINALS`."""

    bell: bool = True
    terminal: str = "auto"
    command: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """theme: its name. keys: binding id -> key. notify: how to tell of runs. folder: None keeps nothing.

    problems: what could not be used.
    """

    theme: str = DEFAULT
    keys: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    problems: tuple[str, ...] = ()
    notify: Notify = Notify()

    @property
    def theme_folders(self) -> list[Path]:
        """Where themes are looked for; the user's own win."""
        own = [self.folder / "themes"] if self.folder else []
        return [asset_dir("themes"), *own]

    @property
    def path(self) -> Path | None:
        return self.folder / "settings.toml" if self.folder else None


def settings_folder() -> Path:
    """$FTUI_CONFIG, else the platform's configuration folder for ftui."""
    if override := os.environ.get("FTUI_CONFIG"):
        return Path(override)
    from platformdirs import user_config_path

    return user_config_path("ftui", appauthor=False)


def load_settings() -> Settings:
    """The user's settings; what cannot be used is listed in `problems` and the default taken instead."""
    folder = settings_folder()
    path = folder / "settings.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings(folder=folder)
    except (OSError, ValueError) as error:
        return Settings(folder=folder, problems=(f"{path}: {error}; using defaults",))
    problems = []
    keys = document.get("keys", {})
    if not isinstance(keys, dict) or not all(isinstance(key, str) and key.strip() for key in keys.values()):
        problems.append(
            f'{path}: [keys] maps binding ids to key names, as in "data.accept" = "j"; using defaults'
        )
        keys = {}
    theme = document.get("theme", DEFAULT)
    if not isinstance(theme, str):
        problems.append(f'{path}: theme is a name in quotes, as in theme = "{DEFAULT}"; using it')
        theme = DEFAULT
    notify, wrong = _read_notify(document.get("notify", {}))
    problems += [f"{path}: {line}" for line in wrong]
    return Settings(theme, keys, folder, tuple(problems), notify)


def _read_notify(table: object) -> tuple[Notify, list[str]]:
    """The [notify] table, and a line for each thing in it that cannot be used."""
    if not isinstance(table, dict):
        return Notify(), ["[notify] is a table of bell, terminal and command; using defaults"]
    known, problems = Notify(), []
    for name, value in table.items():
        if name not in ("bell", "terminal", "command"):
            problems.append(f"[notify] {name}: nothing is called that; it has bell, terminal and command")
        elif not isinstance(value, type(getattr(known, name))):
            kind = "true or false" if name == "bell" else "text in quotes"
            problems.append(f"[notify] {name} is {kind}; using the default")
        elif name == "terminal" and value not in TERMINALS:
            problems.append(f"[notify] terminal is one of {', '.join(TERMINALS)}; using the default")
        else:
            known = replace(known, **{name: value})
    return known, problems


def save_theme(settings: Settings, theme: str) -> Settings:
    """Writes the theme's name into settings.toml, leaving every other character of it as the user wrote it.

    Raises FtuiError where the file cannot be read as TOML or cannot be written; it is then untouched.
    """
    if settings.path is None or theme == settings.theme:
        return replace(settings, theme=theme)
    path = settings.path.resolve()  # a link into somebody's dotfiles stays a link
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        before = tomllib.loads(text)
        changed = _with_theme(text, theme)
        if tomllib.loads(changed) != {**before, "theme": theme}:
            raise ValueError(f'please write theme = "{theme}" there yourself')
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        with part.open("w", encoding="utf-8", newline="") as file:
            file.write(changed)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            part.chmod(path.stat().st_mode & 0o777)
        part.replace(path)
    except (OSError, ValueError) as error:
        raise FtuiError(f"the theme is not remembered: {error}", "", str(path)) from None
    return replace(settings, theme=theme)


def _with_theme(text: str, theme: str) -> str:
    line = f'theme = "{theme}"'
    table = _FIRST_TABLE.search(text)
    top = text[: table.start()] if table else text
    if match := _THEME_LINE.search(top):
        return text[: match.start()] + match["key"] + f'"{theme}"' + text[match.end() :]
    return f"{line}\n\n{text}" if text else f"{line}\n"


def downloads_folder() -> Path:
    """Where files made for the user go: the platform's downloads folder, else the current one."""
    from platformdirs import user_downloads_path

    folder = user_downloads_path()
    return folder if folder.is_dir() else Path.cwd()
