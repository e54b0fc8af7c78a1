"""Themes: ours are whole, the user's are found, broken ones are reported, a choice is remembered and seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.color import Color

from ftui.assets import asset_dir
from ftui.ui.app import FtuiApp
from ftui.ui.settings import load_settings
from ftui.ui.themes import DEFAULT, load_theme, load_themes, palette
from tests.ui.data_rows import data_pane, tickets
from tests.ui.panes import app_on, shown, still_machine, until  # noqa: F401
from tests.ui.test_shell import told

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("still_machine")
OURS = sorted(asset_dir("themes").glob("*.toml"))


def own_theme(tmp_path: Path, text: str, name: str = "mine.toml") -> None:
    folder = tmp_path / "config" / "themes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def night_as(name: str, **colors: str) -> str:
    text = (asset_dir("themes") / "night.toml").read_text().replace('name = "night"', f'name = "{name}"')
    for color, value in colors.items():
        text = "\n".join(
            f'{color} = "{value}"' if line.startswith(f"{color} ") else line for line in text.split("\n")
        )
    return text


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_our_themes_are_readable(path):
    """WCAG contrast: 7 for what is read, 4.5 for marks with meaning, 3.5 for what can be ignored."""
    theme = load_theme(path)
    colors = {
        **theme.variables,
        "foreground": theme.foreground,
        "accent": theme.accent,
        "warning": theme.warning,
    }
    background = Color.parse(theme.background)
    for name, least in [
        ("foreground", 7), ("accent", 4.5), ("good", 4.5), ("bad", 4.5), ("warning", 4.5), ("special", 4.5),
        ("eval", 4.5), ("dim", 3.5),
    ]:  # fmt: skip
        assert contrast(Color.parse(colors[name]), background) >= least, name
    assert contrast(Color.parse(theme.foreground), Color.parse(colors["selection"])) >= 4.5


def contrast(one: Color, other: Color) -> float:
    """WCAG 2 contrast ratio."""

    def luminance(color: Color) -> float:
        parts = [
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_there_is_a_dark_and_a_light_theme():
    assert {load_theme(path).dark for path in OURS} == {True, False}
    assert DEFAULT in {load_theme(path).name for path in OURS}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[colors]\n", "lacks background"),
        ("colors = 3", "[colors] is a table"),
        (night_as("mine").replace("#7dcfff", "blurple"), "is not a colour"),
        (night_as("a b"), "letters, digits and dashes"),
        ("name = ", "mine.toml"),
    ],
)
def test_a_theme_that_cannot_be_loaded_is_reported(tmp_path, text, word):
    own_theme(tmp_path, text)
    themes, problems = load_themes([asset_dir("themes"), tmp_path / "config" / "themes"])
    assert len(themes) == len(OURS)
    assert word in problems[0]
    assert "mine.toml" in problems[0]


async def test_a_broken_theme_is_said_on_the_screen(workspace, write_rows, tmp_path):
    write_rows(tickets())
    own_theme(tmp_path, "[colors]\n")
    async with FtuiApp(workspace).run_test(size=(120, 36), notifications=True) as pilot:
        await until(pilot, lambda: "mine.toml" in told(pilot.app))


async def test_a_theme_that_does_not_exist_is_said_and_night_taken(workspace, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.toml").write_text('theme = "dusk"')
    app = FtuiApp(workspace)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await until(pilot, lambda: "no theme is called 'dusk'" in told(app))
        assert app.theme == DEFAULT


async def test_the_users_theme_is_taken_and_seen_in_cells_we_draw(workspace, write_rows, tmp_path):
    write_rows(tickets())
    own_theme(tmp_path, night_as("mine", accent="#123456"))
    (tmp_path / "config" / "settings.toml").write_text('theme = "mine"')
    app = FtuiApp(workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await data_pane(pilot)
        assert palette(app).accent == "#123456"
        assert "#123456" in app.export_screenshot()


async def test_switching_the_theme_is_seen_at_once_and_remembered(workspace, write_rows):
    write_rows(tickets())
    async with FtuiApp(workspace).run_test(size=(120, 36)) as pilot:
        await data_pane(pilot)
        await pilot.press("ctrl+p", *"theme", "enter")
        await shown(pilot, "day", "night")
        await pilot.press(*"day", "enter")
        await until(pilot, lambda: load_settings().theme == "day")
        await until(pilot, lambda: palette(pilot.app).background in pilot.app.export_screenshot())
        assert "#16161e" not in pilot.app.export_screenshot(), "something kept the colours of night"


async def test_only_themes_that_fit_our_screens_are_offered(workspace):
    app = app_on(workspace, "data")
    assert set(app.available_themes) == {load_theme(path).name for path in OURS}
