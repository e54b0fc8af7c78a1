"""What a person sets: read well, reported when it cannot be, and written without touching a letter of theirs."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.core.errors import FtuiError
from ftui.ui.bindings import ordered
from ftui.ui.keymap import key_exists, taken_twice, unknown_ids, unusable_keys
from ftui.ui.settings import Settings, load_settings, save_theme

if TYPE_CHECKING:
    from pathlib import Path

MINE = """\
# my settings
theme = "night"  # until I find a better one

[keys]
"data.accept" = "y"   # as in vim? no
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    return folder / "settings.toml"


def test_without_a_file_there_are_defaults_and_nothing_is_written(tmp_path):
    loaded = load_settings()
    assert (loaded.theme, loaded.keys, loaded.problems) == ("night", {}, ())
    assert not (tmp_path / "config").exists()


def test_what_was_written_is_read(file):
    file.write_text(MINE)
    loaded = load_settings()
    assert (loaded.theme, loaded.keys) == ("night", {"data.accept": "y"})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("theme = ", "settings.toml"),
        ("theme = 3", "in quotes"),
        ('keys = "y"', "[keys]"),
        ("[keys]\na = 3", "[keys]"),
        ("[keys]\na = ''", "[keys]"),
    ],
)
def test_what_cannot_be_used_is_reported_and_the_rest_works(file, text, word):
    file.write_text(text)
    loaded = load_settings()
    assert (loaded.theme, loaded.keys) == ("night", {})
    assert any(word in problem for problem in loaded.problems)


def test_a_file_of_bytes_is_reported(file):
    file.write_bytes(b"\xff\xfe\x00")
    assert "using defaults" in load_settings().problems[0]


def test_a_new_theme_leaves_comments_and_keys_as_they_were(file):
    file.write_text(MINE)
    saved = save_theme(load_settings(), "day")
    assert file.read_text() == MINE.replace('theme = "night"', 'theme = "day"')
    assert saved.theme == "day"
    assert load_settings().theme == "day"


@pytest.mark.parametrize(
    "before",
    ["", "# nothing yet\n", '[keys]\n"data.accept" = "y"\n', "# theme = 'x'\n", "[other]\ntheme = 'x'\n"],
)
def test_a_theme_is_added_where_there_was_none(file, before):
    file.write_text(before)
    save_theme(load_settings(), "day")
    assert before in file.read_text()
    assert load_settings().theme == "day"


def test_the_first_theme_makes_the_file(tmp_path):
    save_theme(load_settings(), "day")
    assert (tmp_path / "config" / "settings.toml").read_text() == 'theme = "day"\n'


def test_a_broken_file_is_not_written_over(file):
    file.write_text("theme = \n# I was in the middle of this")
    with pytest.raises(FtuiError, match="not remembered"):
        save_theme(load_settings(), "day")
    assert file.read_text() == "theme = \n# I was in the middle of this"


def test_a_link_into_dotfiles_stays_a_link(file, tmp_path):
    dotfile = tmp_path / "dotfiles.toml"
    dotfile.write_text(MINE)
    file.symlink_to(dotfile)
    save_theme(load_settings(), "day")
    assert file.is_symlink()
    assert tomllib.loads(dotfile.read_text())["theme"] == "day"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(file):
    file.write_text(MINE)
    file.parent.chmod(0o500)
    with pytest.raises(FtuiError, match="not remembered"):
        save_theme(load_settings(), "day")
    file.parent.chmod(0o700)
    assert file.read_text() == MINE


def test_settings_without_a_folder_keep_nothing():
    assert save_theme(Settings(), "day").theme == "day"


_LINES = st.sampled_from(
    [
        'theme = "a"',
        "theme='b' # c",
        "# theme = 1",
        "[keys]",
        '"data.accept" = "y"',
        "[a.b]",
        'x = """',
        '"""',
        "",
        "theme = 5",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(lines=st.lists(_LINES, max_size=8))
def test_whatever_the_file_says_only_the_theme_changes_or_nothing(tmp_path, lines):
    folder = tmp_path / "any"
    folder.mkdir(exist_ok=True)
    path = folder / "settings.toml"
    path.write_text("\n".join(lines))
    before = path.read_text()
    try:
        save_theme(Settings(folder=folder), "day")
    except FtuiError:
        assert path.read_text() == before
    else:
        assert tomllib.loads(path.read_text()) == {**tomllib.loads(before), "theme": "day"}


@pytest.mark.parametrize(
    "name", ["j", "?", "question_mark", "ctrl+j", "alt+left", "f5", "ctrl+shift+a", "space", "é", "+"]
)
def test_keys_that_exist(name):
    assert key_exists(name)


@pytest.mark.parametrize("name", ["contrl+j", "returnn", "ctrl+", "", "jj", "foo+bar"])
def test_keys_that_do_not(name):
    assert not key_exists(name)


def test_problems_with_a_keymap_are_said_in_words():
    bindings = [
        ordered("a", "accept", "accept", id="data.accept"),
        ordered("x", "reject", "reject", id="data.reject"),
    ]
    ids = {"data.accept", "data.reject"}
    assert unusable_keys({"data.accept": "a,nope"}) == [
        '[keys] "data.accept" = "a,nope": no key is called \'nope\''
    ]
    assert unknown_ids({"data.rejct": "y"}, ["data"], ids) == [
        '[keys] "data.rejct": nothing is called that; did you mean data.reject?'
    ]
    assert unknown_ids({"train.stop": "y"}, ["data"], ids) == []
    assert taken_twice(bindings, {"data.accept": "x"}) == [
        "[keys] x is now data.accept; data.reject has lost it"
    ]
    assert taken_twice(bindings, {"data.accept": "x", "data.reject": "a"}) == []
