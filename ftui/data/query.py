"""The language of filters: `status:undecided,rejected tag:refund chars:>2000 -role:tool "not working"`.

Words apart by spaces must all be true of a row; values apart by commas are choices; `-` before a word turns it
round; a word without a key is a text to find. Quotes hold together what has spaces, commas or colons in it.
Pure: texts in, a `Query` out; `filtering` looks for its rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ftui.core.errors import FtuiError
from ftui.core.example import ROLES
from ftui.core.shapes import SHAPES
from ftui.data.actions import STATUSES

MARKS = ("flagged", "edited", "deleted", "broken", "conflict", "rated", "tagged", "noted")
# What a value of each key must be: one of these, a number compared, or () for any text.
CHOICES: dict[str, tuple[str, ...]] = {
    "status": STATUSES,
    "is": MARKS,
    "role": ROLES,
    "shape": (*SHAPES, "broken"),
    "tag": (),
    "by": (),
    "note": (),
    "finding": (),
    "text": (),
}
NUMBERS = ("rating", "chars", "turns", "tokens")
KEYS = {
    "status": "what was decided: undecided, accepted, rejected",
    "is": "a mark: flagged, edited, deleted, broken, conflict, rated, tagged, noted",
    "tag": "a tag it has",
    "rating": "stars: 4, >=3, 1..2",
    "by": "who worked on it",
    "note": "words in its note",
    "shape": "the shape of the row",
    "role": "a turn by system, developer, user, assistant or tool",
    "finding": "what a check found",
    "chars": "its length in characters: >2000, <20, 100..500",
    "turns": "how many turns: >2",
    "tokens": "its length in tokens, once counted: >2048",
    "text": "words anywhere in it; capitals count when you type some",
}

_WORD = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^\s"])+', re.DOTALL)
_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[^",]+|,', re.DOTALL)
_KEY = re.compile(r"(-?)([A-Za-z_]+):(.*)", re.DOTALL)
_RANGE = re.compile(r"(>=|<=|>|<|=)?(\d+(?:\.\d+)?[kKmM]?)|(\d+(?:\.\d+)?[kKmM]?)\.\.(\d+(?:\.\d+)?[kKmM]?)")
_PLAIN = re.compile(r'[^\s",:-][^\s",:]*')
_SCALE = {"k": 1_000, "m": 1_000_000}


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers from `low` to `high`, both included; None is open."""

    low: float | None
    high: float | None

    def holds(self, number: float) -> bool:
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a query: a row must have one of `values` under `key`, or none of them when `negated`."""

    key: str
    values: tuple[str, ...]
    negated: bool = False

    def spans(self) -> tuple[Span, ...]:
        """The values of a NUMBERS key."""
        return tuple(map(_span, self.values))

    def __str__(self) -> str:
        values = ",".join(map(_quoted, self.values))
        key = "" if self.key == "text" and len(self.values) == 1 else f"{self.key}:"
        return f"{'-' if self.negated else ''}{key}{values}"


@dataclass(frozen=True, slots=True)
class Query:
    """Terms that must all hold. `str` of it parses to the same query."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    def state_of(self, key: str, value: str) -> str:
        """ "only" when rows with `value` are asked for, "not" when they are left out, else ""."""
        for term in self.terms:
            if term.key == key and value in term.values:
                return "not" if term.negated else "only"
        return ""

    def toggled(self, key: str, value: str, state: str) -> Query:
        """This query with `value` asked for ("only"), left out ("not") or neither ("")."""
        terms = []
        for term in self.terms:
            if term.key == key and value in term.values:
                values = tuple(other for other in term.values if other != value)
                terms += [Term(key, values, term.negated)] if values else []
            else:
                terms.append(term)
        if state:
            negated = state == "not"
            for at, term in enumerate(terms):
                if term.key == key and term.negated == negated:
                    terms[at] = Term(key, (*term.values, value), negated)
                    break
            else:
                terms.append(Term(key, (value,), negated))
        return Query(tuple(terms))


def parse(text: str) -> Query:
    """The query `text` says. Raises FtuiError naming the word that cannot be understood and what can."""
    if '"' in _WORD.sub(" ", text):
        raise FtuiError("a quote is not closed", 'for example tag:"late parcel"', text.strip()[-60:])
    return Query(tuple(_term(match.group()) for match in _WORD.finditer(text)))


def _term(word: str) -> Term:
    match = _KEY.fullmatch(word)
    if match is None:
        negated = word.startswith("-") and len(word) > 1
        wanted = _unquoted(word[negated:])
        if not wanted:
            raise FtuiError("nothing between the quotes", "give a text to find", word)
        return Term("text", (wanted,), negated)
    minus, key, rest = match.groups()
    key = key.lower()
    if key not in KEYS:
        raise FtuiError(
            f"there is no {key}: to filter by",
            f"one of {', '.join(KEYS)}; quote a text with a colon in it",
            word,
        )
    values = _values(rest)
    if not values:
        raise FtuiError(f"{key}: wants a value", KEYS[key], word)
    for value in values:
        if key in NUMBERS:
            _span(value, word)
        elif CHOICES[key] and value not in CHOICES[key]:
            raise FtuiError(f"{key}: cannot be {value!r}", f"one of {', '.join(CHOICES[key])}", word)
    return Term(key, tuple(dict.fromkeys(values)), bool(minus))


def _values(text: str) -> list[str]:
    """Values apart by commas; a quoted part is taken as it is."""
    values, value, quoted = [], "", False
    for part in [*_PART.findall(text), ","]:
        if part == ",":
            if value or quoted:
                values.append(value)
            value, quoted = "", False
        else:
            value += _unquoted(part)
            quoted = quoted or part.startswith('"')
    return [value for value in values if value]


def _unquoted(text: str) -> str:
    return re.sub(
        r'"((?:[^"\\]|\\.)*)"', lambda found: re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL), text
    )


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    if _RANGE.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _span(value: str, word: str = "") -> Span:
    match = _RANGE.fullmatch(value)
    if match is None:
        raise FtuiError(
            f"{value!r} is not a number to compare with", "for example >2000, <=20, 5, 100..500", word
        )
    sign, one, low, high = match.groups()
    if low is not None:
        return Span(_number(low), _number(high))
    number = _number(one)
    match sign:
        case ">":
            return Span(number + _LEAST, None)
        case ">=":
            return Span(number, None)
        case "<":
            return Span(None, number - _LEAST)
        case "<=":
            return Span(None, number)
    return Span(number, number)


_LEAST = 1e-9  # every number compared is whole


def _number(text: str) -> float:
    return float(text[:-1]) * _SCALE[text[-1].lower()] if text[-1].isalpha() else float(text)


def complete(text: str, known: dict[str, tuple[str, ...]]) -> str:
    """`text` with its last word completed, "" where there is nothing to add.

    known: values by key that the dataset has, beyond those every dataset may have.
    """
    head, _, word = text.rpartition(" ")
    head = f"{head} " if head else ""
    minus = "-" if word.startswith("-") else ""
    key, colon, rest = word[len(minus) :].partition(":")
    if not colon:
        name = next((name for name in KEYS if key and name.startswith(key.lower()) and name != "text"), "")
        return f"{head}{minus}{name}:" if name else ""
    done, comma, start = rest.rpartition(",")
    values = dict.fromkeys((*known.get(key, ()), *CHOICES.get(key, ())))
    taken = set(done.split(","))
    value = next((value for value in values if value.startswith(start) and value not in {start, *taken}), "")
    quoted = _quoted(value)
    return f"{head}{minus}{key}:{done}{comma}{quoted}" if value and quoted.startswith(start) else ""


def text_query(text: str) -> str:
    """The query that finds `text`; "" for no text."""
    return str(Term("text", (text,))) if text else ""
