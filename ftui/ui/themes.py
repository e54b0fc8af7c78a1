"""Colour themes are TOML files: ours in `themes/`, yours in the settings folder's `themes/`.

A theme that cannot be loaded is reported, never swallowed. Widgets use the names below through CSS
variables (`$dim`) or `palette(app)` where they draw cells themselves.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from textual.color import Color, ColorParseError
from textual.theme import Theme

if TYPE_CHECKING:
    from textual.app import App

DEFAULT = "night"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a theme, by meaning, as hex strings."""

    background: str
    surface: str
    panel: str
    foreground: str
    dim: str
    border: str
    accent: str
    selection: str
    good: str
    warning: str
    bad: str
    special: str
    eval: str


def load_theme(path: Path) -> Theme:
    """The theme in a TOML file. Raises ValueError saying what is wrong with it."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    name = document.get("name") or path.stem
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"a theme's name is letters, digits and dashes, not {name!r}")
    colors = document.get("colors", {})
    if not isinstance(colors, dict):
        raise ValueError("[colors] is a table")
    for field in fields(Palette):
        value = colors.get(field.name)
        if value is None:
            raise ValueError(f"[colors] lacks {field.name}")
        try:
            Color.parse(value)
        except (ColorParseError, TypeError):
            raise ValueError(f"{field.name} = {value!r} is not a colour") from None
    palette = Palette(**{field.name: colors[field.name] for field in fields(Palette)})
    return Theme(
        name=name,
        dark=bool(document.get("dark", True)),
        primary=palette.accent,
        secondary=palette.special,
        accent=palette.accent,
        foreground=palette.foreground,
        background=palette.background,
        surface=palette.surface,
        panel=palette.panel,
        success=palette.good,
        warning=palette.warning,
        error=palette.bad,
        variables={
            **{f.name: getattr(palette, f.name) for f in fields(Palette) if f.name not in _THEME_FIELDS},
            "footer-key-foreground": palette.accent,
            "input-selection-background": palette.selection,
            "block-cursor-background": palette.selection,
            "block-cursor-foreground": palette.foreground,
            "scrollbar": palette.border,
            "scrollbar-background": palette.background,
        },
    )


# What Theme has a field of its own for; the rest travels as CSS variables.
_THEME_FIELDS = {"background", "surface", "panel", "foreground", "accent", "warning"}


def load_themes(folders: list[Path]) -> tuple[list[Theme], list[str]]:
    """Every theme in `folders` (later ones win by name), and a line for each file that could not be loaded."""
    themes: dict[str, Theme] = {}
    problems = []
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            try:
                theme = load_theme(path)
            except (OSError, ValueError) as error:
                problems.append(f"theme {path.name}: {error}")
            else:
                themes[theme.name] = theme
    return list(themes.values()), problems


_palettes: dict[str, tuple[Theme, Palette]] = {}


def palette(app: App[object]) -> Palette:
    """The current theme's colours, for widgets that draw their own cells."""
    theme = app.current_theme
    known = _palettes.get(theme.name)
    if known is None or known[0] is not theme:
        known = _palettes[theme.name] = (theme, _palette(theme))
    return known[1]


def _palette(theme: Theme) -> Palette:
    values = {
        "background": theme.background,
        "surface": theme.surface,
        "panel": theme.panel,
        "foreground": theme.foreground,
        "accent": theme.accent,
        "warning": theme.warning,
        **theme.variables,
    }
    return Palette(**{field.name: str(values.get(field.name) or theme.primary) for field in fields(Palette)})
