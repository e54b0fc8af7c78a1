"""What fields a few rows have, and a guess at which of them is the question and which the answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftui.core.shapes import ANSWER_KEYS, LABEL_KEYS, QUESTION_KEYS, SYSTEM_KEYS, TEXT_KEYS, TURN_KEYS
from ftui.core.shapes_mapping import CONTENT_NAMES, ROLE_NAMES, as_label
from ftui.core.shapes_turns import ROLES, as_turns, is_turn, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_FIELDS = 300
_DEEPEST = 8
_ITEMS = 2  # of a list that are looked into
_LISTS = 50  # lists of turns that are looked at to learn their roles

# Names by target, the surest first.
_NAMES = {
    "prompt": (*QUESTION_KEYS, "q", "ask", "request", "instructions", "user_message", "title", "subject"),
    "completion": (*ANSWER_KEYS, "a", "ans", "reference", "gold", "generation", "summary", "translation", "body"),
    "system": (*SYSTEM_KEYS, "sys", "persona"),
    "chosen": ("chosen", "preferred", "better", "best", "winner", "good", "positive"),
    "rejected": ("rejected", "dispreferred", "worse", "worst", "loser", "bad", "negative"),
    "label": (*LABEL_KEYS, "thumbs", "thumbs_up", "vote", "liked", "is_good", "feedback"),
    "text": (*TEXT_KEYS, "body", "document", "article", "passage", "page"),
}  # fmt: skip
_GENERIC = frozenset(("text", "value", "content", "data", "string", "body"))
_ASKING = frozenset(
    ("customer", "client", "visitor", "caller", "patient", "student", "seeker", "guest", "asker", "me")
)
_ANSWERING = frozenset(
    ("agent", "support", "operator", "advisor", "teacher", "doctor", "therapist", "expert", "staff")
)


@dataclass(frozen=True, slots=True)
class FoundField:
    """A place that rows have something at.

    kind: "text", "number", "bool", "turn" (one turn) or "turns" (a list of them, or of texts).
    rows: how many rows have it, null aside. sample: what the first of them says, as it is.
    """

    pointer: str
    kind: str
    rows: int
    sample: str


def survey(values: Sequence[Any]) -> list[FoundField]:
    """The fields of these rows, in the order they are first met; at most 300."""
    first: dict[str, tuple[str, str]] = {}
    rows: Counter[str] = Counter()
    for value in values:
        for pointer, kind, sample in _walk(value, "", 0):
            if pointer not in first and len(first) == _MOST_FIELDS:
                continue
            rows[pointer] += 1
            if pointer not in first or not first[pointer][1].strip():
                first[pointer] = (kind, sample)
    return [FoundField(pointer, kind, rows[pointer], sample) for pointer, (kind, sample) in first.items()]


def _walk(value: Any, pointer: str, depth: int) -> Iterator[tuple[str, str, str]]:
    if depth > _DEEPEST:
        return
    if _are_turns(value):
        turns = as_turns(value) or ()
        yield pointer, "turns", f"{len(turns)} turns: {_said(turns[0])}"
    elif is_turn(value):
        yield pointer, "turn", _said(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}", depth + 1)
    elif isinstance(value, list):
        for at, item in enumerate(value[:_ITEMS]):
            yield from _walk(item, f"{pointer}/{at}", depth + 1)
    elif isinstance(value, bool):
        yield pointer, "bool", text_of(value)
    elif isinstance(value, str):
        yield pointer, "text", value[:400]
    elif value is not None:
        yield pointer, "number", text_of(value)


def _are_turns(value: Any) -> bool:
    turns = as_turns(value)
    if not turns or not isinstance(turns, list):
        return False
    if all(isinstance(turn, str) for turn in turns):
        return len(turns) > 1 and isinstance(value, list)
    return len(turns) > 0 and all(isinstance(turn, dict) and _turn_names(turn) is not None for turn in turns)


def _turn_names(turn: dict[str, Any]) -> tuple[str, str] | None:
    """The names of a turn's role and words, None where it does not look like one."""
    role = next((name for name in ROLE_NAMES if isinstance(turn.get(name), str)), "")
    content = next((name for name in CONTENT_NAMES if name in turn and name != role), "")
    if not content and role and "tool_calls" in turn:
        content = "content"
    return (role, content) if role and content else None


def _said(turn: Any) -> str:
    if isinstance(turn, str):
        return turn[:400]
    names = _turn_names(turn) if isinstance(turn, dict) else None
    return f"{text_of(turn.get(names[0]))}: {text_of(turn.get(names[1]))[:400]}" if names else ""


def guess(found: Sequence[FoundField], values: Sequence[Any]) -> dict[str, Any]:
    """A mapping for rows like these, as `shapes_mapping.parse` takes it; {} where their names say nothing."""
    turns = max((field for field in found if field.kind == "turns"), key=_likely_turns, default=None)
    if turns is not None and 2 * turns.rows >= len(values):
        return {"messages": turns.pointer, **turn_words(values, turns.pointer)}
    texts = [field for field in found if field.kind in ("text", "number", "turn")]
    named = {target: _best(texts, names) for target, names in _NAMES.items() if target != "label"}
    if named["chosen"] and named["rejected"]:
        targets: tuple[str, ...] = ("prompt", "system", "chosen", "rejected")
    elif named["prompt"] and named["completion"]:
        targets = ("prompt", "completion", "system")
        marks = [
            field for field in found if field.kind == "bool" and as_label(field.sample == "true") is not None
        ]
        named["label"] = _best(marks, _NAMES["label"])
    else:
        targets = ("text",)
    said = {target: named[target] for target in (*targets, "label") if named.get(target)}
    if len(set(said.values())) < len(said) or (set(said) <= {"label"}):
        return {}
    return said


def turn_words(values: Sequence[Any], pointer: str) -> dict[str, Any]:
    """The names of a turn's fields and what its roles mean, for the list of turns at `pointer`; {} for texts."""
    words: dict[str, None] = {}
    names: Counter[tuple[str, str]] = Counter()
    for value in values[:_LISTS]:
        for turn in as_turns(_at(value, pointer)) or ():
            if isinstance(turn, dict) and (found := _turn_names(turn)):
                names[found] += 1
                words[text_of(turn[found[0]])[:60]] = None
    if not names:
        return {}
    role, content = names.most_common(1)[0][0]
    said = (
        {}
        if (role, content) in (("role", "content"), ("from", "value"))
        else {"role": role, "content": content}
    )
    roles = _roles(list(words))
    return {**said, "roles": roles} if roles else said


def _roles(words: list[str]) -> dict[str, str]:
    """What roles we do not know mean: by their name, else the first who speaks asks and the others answer."""
    strange = [word for word in words if word.strip() and word.lower() not in ROLES]
    taken = {ROLES[word.lower()] for word in words if word.lower() in ROLES}
    roles: dict[str, str] = {}
    for word in strange:
        plain = word.strip().lower()
        if plain in _ASKING | _ANSWERING:
            roles[word] = "user" if plain in _ASKING else "assistant"
    for word in strange:
        if word not in roles:
            asked = "user" in taken or "user" in roles.values()
            roles[word] = "assistant" if asked else "user"
    return roles


def _likely_turns(field: FoundField) -> tuple[int, bool, int]:
    return field.rows, _name(field.pointer) in TURN_KEYS, -len(field.pointer)


def _best(fields: Sequence[FoundField], names: Sequence[str]) -> str:
    """The field whose name says most: exactly one of `names`, the earlier the better, else with such a word in it."""
    best = (len(names) * 3, "")
    for field in fields:
        name = _name(field.pointer)
        for at, wanted in enumerate(names):
            score = (
                at
                if name == wanted
                else at + len(names)
                if wanted in name.split("_") and len(wanted) > 2
                else None
            )
            if score is not None and score < best[0]:
                best = (score, field.pointer)
                break
    return best[1]


def _name(pointer: str) -> str:
    """The last name on the way that says something: `/answers/0/text` is called "answers"."""
    names = [
        step.lower().replace("-", "_").replace(" ", "_")
        for step in pointer.split("/")[1:]
        if not step.isdecimal()
    ]
    while len(names) > 1 and names[-1] in _GENERIC:
        names.pop()
    name = names[-1] if names else ""
    return name[:-1] if name.endswith("s") and name[:-1] in _SINGULARS else name


_SINGULARS = frozenset(
    ("answer", "question", "response", "output", "reply", "solution", "completion", "prompt")
)


def _at(value: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value
