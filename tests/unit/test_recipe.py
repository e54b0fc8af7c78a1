"""Promises of core.recipe: what is accepted, how it is refused, and that text, values and files agree."""

from __future__ import annotations

import math
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftui.assets import asset_dir
from ftui.core.errors import FtuiError
from ftui.core.recipe import (
    Recipe,
    field_errors,
    fields,
    load_recipe,
    parse_assignment,
    parse_recipe,
)
from ftui.core.recipe_fields import number, toml_value
from ftui.core.text import sanitize


def message(document: dict) -> str:
    """The one message there must be for `document`."""
    errors = field_errors(document)
    assert len(errors) == 1, errors
    return errors[0][1]


def test_the_defaults_are_a_valid_recipe_and_survive_toml():
    recipe = Recipe()
    assert parse_recipe(tomllib.loads(recipe.to_toml())) == recipe
    assert parse_recipe(tomllib.loads(recipe.to_toml(comments=True))) == recipe


def test_every_field_says_why_it_exists_and_what_it_accepts():
    for field in fields().values():
        assert field.why.endswith("."), field.name
        assert field.expected, field.name
        assert parse_recipe(Recipe().with_values({field.name: field.default}).to_dict()) == Recipe()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"training": {"micro_batch": True}}, 'expected "auto" or a whole number from 1'),
        ({"training": {"micro_batch": "x"}}, 'expected "auto" or a whole number from 1'),
        ({"training": {"checkpointing": -1}}, '"auto", "none", "all" or a whole number from 0'),
        ({"training": {"batch_size": True}}, "expected a whole number from 1"),
        ({"training": {"batch_size": 4.0}}, "got 4.0"),
        ({"training": {"batch_size": "4"}}, 'got "4"'),
        ({"training": {"epochs": math.nan}}, "got nan"),
        ({"training": {"learning_rate": math.inf}}, "expected a number above 0"),
        ({"data": {"validation": True}}, "a share from 0 to below 1, or the path of a file"),
        ({"data": {"validation": 10}}, "got 10"),
        ({"data": {"packing": 1}}, "expected true or false, got 1"),
        ({"quantization": {"bits": 5}}, "expected 4, 8 or 16, got 5"),
        ({"adapter": {"targets": []}}, '"all-linear", a pattern, or a list of module names'),
        ({"adapter": {"targets": ["q", 1]}}, 'got ["q", 1]'),
        ({"evaluation": {"prompts": ["q", 1]}}, "got 1 as item 2"),
        ({"logging": {"report_to": ["x"]}}, 'a list of "tensorboard", "wandb" or "mlflow"'),
        ({"model": 3}, "expected a [model] section"),
        ({"schema": 2}, "another version of ftui"),
        ({"name": "../x"}, "letters, digits"),
        ({"name": "x\n"}, "letters, digits"),
        ({"evaluation": {"prompts": ["\ud800"]}}, "expected a list of texts"),
    ],
)
def test_a_bad_value_is_one_line_about_its_field(document, words):
    text = message(document)
    assert words in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"model": {"rank": 8}}, "rank belongs to [adapter]"),
        ({"rank": 8}, "did you mean adapter.rank?"),
        ({"training": {"lr": 1}}, "here it is training.learning_rate"),
        ({"training": {"gradient_accumulation_steps": 4}}, "training.batch_size"),
        ({"training": {"learnin_rate": 1}}, "did you mean learning_rate?"),
        ({"trainig": {"epochs": 1}}, "did you mean [training]?"),
        ({"training": {"zzz": 1}}, "unknown key"),
    ],
)
def test_an_unknown_key_is_answered_with_the_one_meant(document, words):
    assert words in message(document)


def test_control_bytes_in_a_key_do_not_reach_the_terminal():
    [(field, text)] = field_errors({"a\x1b]52;c;eA\x07": 1})
    assert "\x1b" not in field + text
    assert "\x07" not in field + text


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4)
)
def test_no_value_of_any_field_raises_anything_but_a_clear_line(value):
    for name in ("training.micro_batch", "data.validation", "adapter.targets", "name", "evaluation.prompts"):
        section, _, key = name.rpartition(".")
        for _, text in field_errors({section: {key: value}} if section else {key: value}):
            assert text.startswith("expected")
            assert "\n" not in text


def test_a_file_error_names_file_line_and_field(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("# mine\n[training]\nepochs = 3\nbatch_size = 0\n")
    with pytest.raises(FtuiError) as caught:
        load_recipe(path)
    assert caught.value.where == f"{path}:4"
    assert caught.value.message.startswith("training.batch_size: expected a whole number from 1")


def test_an_unknown_section_is_placed_on_its_header(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("name = 'a'\n\n[trainer]\nepochs = 3\n")
    with pytest.raises(FtuiError) as caught:
        load_recipe(path)
    assert caught.value.where == f"{path}:3"


def test_several_errors_are_counted(tmp_path):
    with pytest.raises(FtuiError, match=r"and 1 more"):
        parse_recipe({"training": {"batch_size": 0}, "adapter": {"rank": 0}})


def test_an_edit_makes_a_new_recipe_and_leaves_the_old_one():
    recipe = Recipe()
    changed = recipe.with_values({"adapter.rank": 32, "name": "b"})
    assert (recipe.adapter.rank, changed.adapter.rank, changed.name) == (16, 32, "b")
    with pytest.raises(FtuiError, match="no such recipe field"):
        recipe.with_values({"adapter.rnk": 32})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training.learning_rate=1e-4", 1e-4),
        ("data.validation=10%", 0.1),
        ("data.validation=golden/x.jsonl", "golden/x.jsonl"),
        ("training.micro_batch=auto", "auto"),
        ("training.micro_batch=2", 2),
        ("data.packing=off", False),
        ("name=123", "123"),
        ('name="123"', "123"),
        ("adapter.targets=q_proj, v_proj", ["q_proj", "v_proj"]),
        (r"adapter.targets=.*\.[qv]_proj{1,2}", r".*\.[qv]_proj{1,2}"),
        ('adapter.targets=["q_proj", "v_proj"]', ["q_proj", "v_proj"]),
        ("evaluation.prompts=", []),
        ("model.base=a=b", "a=b"),
    ],
)
def test_an_assignment_is_read_as_its_field_reads_it(text, expected):
    assert parse_assignment(text)[1] == expected


def test_an_assignment_without_a_value_or_a_known_field_is_refused():
    for text in ("training.epochs", "training.epoch=3", "=3"):
        with pytest.raises(FtuiError):
            parse_assignment(text)


@given(st.sampled_from(list(fields())), st.data())
def test_what_a_field_shows_is_what_it_reads_back(name, data):
    field = fields()[name]
    values: list[st.SearchStrategy] = [st.just(field.default)]
    for kind in field.kinds:
        if kind.choices:
            values.append(st.sampled_from(kind.choices))
        elif kind.type is str and name != "name":
            values.append(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
        elif kind.items and not kind.items.choices:
            values.append(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
        elif kind.type is int:
            values.append(st.integers(int(kind.minimum or 0), int(kind.maximum or 9)))
        elif kind.type is float:
            values.append(
                st.floats(
                    kind.minimum, kind.maximum, exclude_min=kind.open_minimum, exclude_max=kind.open_maximum
                )
            )
    value = data.draw(st.one_of(values))
    assert sanitize(field.show(value), lines=False) == field.show(value)
    shown = field.parse(field.show(value))
    assert shown == value
    assert Recipe().with_values({name: shown}).get(name) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_lose_nothing_on_their_way_to_toml(value):
    assert float(tomllib.loads(f"x = {number(value)}")["x"]) == value


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_toml(value):
    written = toml_value(value)
    assert tomllib.loads(f"x = {written}")["x"] == value
    assert sanitize(written, lines=False) == written


@pytest.mark.parametrize("path", sorted(asset_dir("recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_loads_and_is_named_after_its_file(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.description
