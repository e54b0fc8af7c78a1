"""The recipe: everything that decides a run, in one TOML file.

The key names are a contract. `recipe_sections` defines the fields, `recipe_errors` turns what pydantic finds
into one clear line a field, `recipe_toml` reads and writes the files.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from ftui.core.errors import FtuiError
from ftui.core.recipe_errors import explain_errors, suggest
from ftui.core.recipe_fields import describe
from ftui.core.recipe_sections import (
    Adapter,
    Checkpoints,
    Data,
    Evaluation,
    Goal,
    Launch,
    Logging,
    Model,
    Name,
    Quantization,
    Section,
    Text,
    Training,
    option,
)
from ftui.core.recipe_toml import key_lines, parse_text, read_text, render

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ftui.core.recipe_fields import RecipeField


class Recipe(Section):
    """A whole recipe. Frozen: an edit makes a new one with `with_values`."""

    schema_: Literal[1] = Field(1, alias="schema", description="Version of the recipe's format.")
    name: Name = option(
        "untitled",
        "Names the run and its adapter: letters, digits, '.', '_' and '-'.",
        expected="1 to 64 letters, digits, '.', '_' or '-', a letter or digit first",
    )
    description: Text = option("", "What this run is for, in your words.")
    goal: Goal = option(
        "",
        "What the model should learn; decides how much data is usually enough.",
    )
    model: Model = Model()
    quantization: Quantization = Quantization()
    data: Data = Data()
    adapter: Adapter = Adapter()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()
    logging: Logging = Logging()
    launch: Launch = Launch()

    def to_dict(self) -> dict[str, Any]:
        """Every field in the contract's order, ready for TOML or JSON."""
        return self.model_dump(by_alias=True, mode="json")

    def to_toml(self, *, comments: bool = False) -> str:
        """The recipe as a file; with `comments` each value is followed by what may stand there."""
        notes = {name: _comment(field) for name, field in fields().items()} if comments else {}
        return render(self.to_dict(), notes)

    def get(self, field: str) -> Any:
        """The value of a dotted field such as "training.learning_rate". Raises FtuiError for others."""
        value: Any = self.to_dict()
        for part in known_field(field).name.split("."):
            value = value[part]
        return value

    def with_values(self, changes: Mapping[str, Any]) -> Recipe:
        """A recipe with the dotted fields in `changes` replaced. Raises FtuiError naming a bad one."""
        document = self.to_dict()
        for name, value in changes.items():
            field = known_field(name)
            table = document[field.section] if field.section else document
            table[field.key] = value
        return parse_recipe(document)


@functools.cache
def fields() -> dict[str, RecipeField]:
    """Every field by dotted name, in the order of the sections, without `schema`."""
    return {name: field for name, field in describe(Recipe).items() if name != "schema"}


def known_field(name: str) -> RecipeField:
    """The field called `name`. Raises FtuiError with the closest one there is."""
    if name in fields():
        return fields()[name]
    hint = suggest(name, fields()) or "`ftui recipe explain` lists them"
    raise FtuiError("no such recipe field", hint, name)


def field_errors(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a recipe document, one (dotted field, message) a field; empty when it is valid."""
    try:
        Recipe.model_validate(dict(document))
    except ValidationError as error:
        return explain_errors(error, fields())
    return []


def parse_recipe(
    document: Mapping[str, Any], where: str = "", lines: Mapping[str, int] | None = None
) -> Recipe:
    """Validates a recipe document. Raises FtuiError naming the first bad field and how many more there are.

    lines: the line of each dotted field in the file `where`, so that the error names it.
    """
    errors = field_errors(document)
    if not errors:
        return Recipe.model_validate(dict(document))
    field, message = errors[0]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    hint = "`ftui recipe check` lists every finding" if more else ""
    raise FtuiError(f"{field}: {message}{more}", hint, place(where, field, lines))


def place(where: str, field: str, lines: Mapping[str, int] | None) -> str:
    """`where:line` of a field, as far as it is known."""
    line = (lines or {}).get(field) or (lines or {}).get(field.rpartition(".")[0])
    return f"{where}:{line}" if where and line else where


def read_document(path: Path) -> dict[str, Any]:
    """The TOML document in `path`. Raises FtuiError with the line when it cannot be read."""
    return parse_text(read_text(path), str(path))


def load_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file. Raises FtuiError with the file, the line and the field."""
    text = read_text(path)
    return parse_recipe(parse_text(text, str(path)), str(path), key_lines(text))


def parse_assignment(text: str) -> tuple[str, Any]:
    """`--set a.b=c` as a dotted field and its value, read as that field reads it. Raises FtuiError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise FtuiError("expected FIELD=VALUE", "for example --set training.learning_rate=1e-4", text)
    field = known_field(name.strip())
    return field.name, field.parse(value)


def _comment(field: RecipeField) -> str:
    """What stands behind a value in a new file: its choices, its unit, or what most runs use."""
    if field.choices and field.choices != (True, False):
        return " | ".join(str(choice) for choice in field.choices if choice != "")
    return ", ".join(filter(None, [field.unit, f"usual: {field.usual}" if field.usual else ""]))


__all__ = [
    "Recipe",
    "field_errors",
    "fields",
    "known_field",
    "load_recipe",
    "parse_assignment",
    "parse_recipe",
    "place",
    "read_document",
]
