"""What a recipe field accepts, in words: read from the model once, for errors, the editor and `explain`."""

from __future__ import annotations

import math
import re
import tomllib
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as limits
from pydantic import BaseModel

from ftui.core.text import one_line, sanitize

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


@dataclass(frozen=True, slots=True)
class Kind:
    """One alternative a field accepts: `micro_batch` has two, the word "auto" and a whole number."""

    type: type
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False
    open_maximum: bool = False
    filled: bool = False
    items: Kind | None = None

    def words(self) -> str:
        """Such as `a whole number from 1 to 4096`."""
        if self.choices:
            return _either([toml_value(choice) for choice in self.choices])
        if self.type is bool:
            return "true or false"
        if self.type is str:
            return "text" if not self.filled else "text that is not empty"
        if self.items:
            inner = "texts" if self.items.type is str and not self.items.choices else self.items.words()
            return f"a list of {inner}"
        return " ".join(["a whole number" if self.type is int else "a number", self.range()]).strip()

    def range(self) -> str:
        low, high = self.minimum, self.maximum
        parts = []
        if low is not None:
            parts.append(f"{'above' if self.open_minimum else 'from'} {low:,}")
        if high is not None:
            joint = "to" if low is not None and not self.open_minimum else "up to"
            parts.append(f"{joint}{' below' if self.open_maximum else ''} {high:,}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class RecipeField:
    """One field: where it is, what it accepts, and the sentence of why it exists.

    name: dotted, such as "training.learning_rate"; section is "" for the top level.
    usual: what most runs use, in words; unit: of its value; both "" where there is none.
    expected: what it accepts, as words that complete "expected ...".
    """

    name: str
    section: str
    key: str
    why: str
    unit: str
    usual: str
    default: Any
    kinds: tuple[Kind, ...]
    expected: str

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values to pick from where the field is nothing but a choice, else ()."""
        if len(self.kinds) != 1:
            return ()
        return (True, False) if self.kinds[0].type is bool else self.kinds[0].choices

    def parse(self, text: str) -> Any:
        """The value a person typed. Text needs no quotes, a share may be `10%`, a list is `a, b` or TOML.

        What fits none of the kinds comes back as text: validation then says what was expected.
        """
        text = text.strip()
        if self._is_list(text):
            return _parse_list(text)
        for kind in self.kinds:
            value = _parse(text, kind)
            if value is not None:
                return value
        return text

    def _is_list(self, text: str) -> bool:
        """Whether a field that takes text or a list was given a list: brackets, or names with commas."""
        if len(self.kinds) < 2 or not any(kind.items for kind in self.kinds):
            return False
        return text.startswith("[") or re.fullmatch(r"[\w.]+(\s*,\s*[\w.]+)+", text) is not None

    def show(self, value: Any) -> str:
        """`value` as a person types it, on one line and safe to show: what `parse` reads back."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return number(value)
        if isinstance(value, str):
            plain = (
                value == value.strip() and sanitize(value, lines=False) == value and value[:1] not in "\"'"
            )
            # Quoted where bare text would be read as something else, or cannot be typed.
            return value if not value or (plain and self.parse(value) == value) else toml_value(value)
        if isinstance(value, list) and len(self.kinds) > 1:
            return toml_value(value)
        if isinstance(value, list):
            names = all(isinstance(item, str) and re.fullmatch(r"[\w./-]+", item) for item in value)
            return ", ".join(value) if value and names else toml_value(value)
        return toml_value(value)


def describe(model: type[BaseModel]) -> dict[str, RecipeField]:
    """Every field of `model` and its sections by dotted name, in the order they are written."""
    found: dict[str, RecipeField] = {}
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            for key, inner in info.annotation.model_fields.items():
                found[f"{name}.{key}"] = _field(name, key, inner)
        else:
            key = info.alias or name
            found[key] = _field("", key, info)
    return found


def _field(section: str, key: str, info: FieldInfo) -> RecipeField:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    kinds = tuple(_kinds(info.annotation, info.metadata))
    return RecipeField(
        name=f"{section}.{key}" if section else key,
        section=section,
        key=key,
        why=info.description or "",
        unit=str(extra.get("unit", "")),
        usual=str(extra.get("usual", "")),
        default=info.default,
        kinds=kinds,
        expected=str(extra.get("expected", "")) or _expected(kinds),
    )


def _kinds(annotation: Any, metadata: list[Any]) -> list[Kind]:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _kinds(inner, [*metadata, *more])
    if origin in (Union, types.UnionType):
        return [kind for part in get_args(annotation) for kind in _kinds(part, [])]
    if origin is Literal:
        choices = get_args(annotation)
        return [Kind(type(choices[0]), choices)]
    if origin is list:
        return [Kind(list, items=_kinds(get_args(annotation)[0], [])[0])]
    return [_limited(annotation, metadata)]


def _limited(annotation: type, metadata: list[Any]) -> Kind:
    facts: dict[str, Any] = {}
    for item in [inner for entry in metadata for inner in (getattr(entry, "metadata", None) or [entry])]:
        match item:
            case limits.Ge(ge=value):
                facts["minimum"] = value
            case limits.Gt(gt=value):
                facts.update(minimum=value, open_minimum=True)
            case limits.Le(le=value):
                facts["maximum"] = value
            case limits.Lt(lt=value):
                facts.update(maximum=value, open_maximum=True)
            case limits.MinLen(min_length=value) if value > 0:
                facts["filled"] = True
    return Kind(annotation, **facts)


def _parse(text: str, kind: Kind) -> Any:
    """`text` as `kind`, or None where it is not one."""
    if kind.choices:
        return next((choice for choice in kind.choices if text.strip("\"'") == str(choice)), None)
    if kind.type is bool:
        return True if text.lower() in _TRUE else False if text.lower() in _FALSE else None
    if kind.type is list:
        return _parse_list(text)
    if kind.type is str:
        return _unquoted(text)
    try:
        if text.endswith("%") and kind.type is float:
            return float(text[:-1]) / 100
        value = float(text) if kind.type is float else int(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _parse_list(text: str) -> list[Any]:
    if text.startswith("["):
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            value = None
        return value if isinstance(value, list) else [text]
    return [_unquoted(part.strip()) for part in text.split(",") if part.strip()]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
        return value if isinstance(value, str) else text
    return text


def number(value: float) -> str:
    """`value` as people write it: 32 rather than 32.0, 2e-4 rather than 0.0002. Loses nothing."""
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return str(int(value))
    if abs(value) >= 1e-3:
        return repr(value)
    mantissa, _, exponent = f"{value:.17e}".partition("e")
    for digits in range(17):
        if float(short := f"{value:.{digits}e}") == value:
            mantissa, _, exponent = short.partition("e")
            break
    return f"{mantissa}e{int(exponent)}"


def toml_value(value: Any) -> str:
    """`value` in TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number(value) if math.isfinite(value) else str(value)
    if isinstance(value, list):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return '"' + "".join(_ESCAPES.get(char) or _escaped(char) for char in str(value)) + '"'


def _escaped(char: str) -> str:
    """`char` itself, or its TOML escape where a terminal would obey or hide it."""
    if (char.isascii() and char.isprintable()) or sanitize(char, lines=False) == char:
        return char
    return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def shown(value: Any) -> str:
    """`value` short enough for one line of an error, safe for a terminal."""
    if isinstance(value, dict):
        return "a table"
    return one_line(toml_value(value) if isinstance(value, bool | str | list) else str(value), 60)


def _expected(kinds: tuple[Kind, ...]) -> str:
    words = [toml_value(choice) for kind in kinds for choice in kind.choices]
    return _either(words + [kind.words() for kind in kinds if not kind.choices])


def _either(options: list[str]) -> str:
    return options[0] if len(options) == 1 else f"{', '.join(options[:-1])} or {options[-1]}"
