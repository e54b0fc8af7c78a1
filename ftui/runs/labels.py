"""What a person wrote on a run: a note and tags, in `labels.json` in its directory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.text import one_line, sanitize
from ftui.runs.rundir import read_json, replace_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ftui.runs.rundir import RunDir

NOTE_LENGTH = 2000
TAG_LENGTH = 32
MOST_TAGS = 16
# A file larger than any that `write_labels` makes is not read: somebody else wrote it.
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Labels:
    """note: free text, may have lines. tags: single words, in the order they were given. Both are safe to show."""

    note: str = ""
    tags: tuple[str, ...] = ()


def read_labels(rundir: RunDir) -> Labels:
    """What is written on a run; empty when nothing is, or when the file is damaged."""
    try:
        if rundir.labels_path.stat().st_size > _MOST_BYTES:
            return Labels()
    except OSError:
        return Labels()
    record = read_json(rundir.labels_path)
    note, tags = record.get("note"), record.get("tags")
    return Labels(
        clean_note(note) if isinstance(note, str) else "",
        clean_tags(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
    )


def write_labels(rundir: RunDir, note: str | None = None, tags: Sequence[str] | None = None) -> Labels:
    """Replaces a run's note, its tags, or both, and returns what it has now. None leaves one as it is.

    Text is cut to what the screen can show of it. Raises FtuiError where it cannot be written, or when there
    are more than MOST_TAGS tags.
    """
    known = read_labels(rundir)
    wanted = Labels(
        known.note if note is None else clean_note(note),
        known.tags if tags is None else clean_tags(tags, strict=True),
    )
    record: dict[str, Any] = {"note": wanted.note, "tags": list(wanted.tags)}
    try:
        if wanted == Labels():
            rundir.labels_path.unlink(missing_ok=True)
        else:
            replace_json(rundir.labels_path, record, durable=True)
    except OSError as error:
        raise FtuiError(
            f"cannot write the note and tags: {error.strerror}", "", str(rundir.labels_path)
        ) from None
    return wanted


def clean_note(text: str) -> str:
    """`text` as a note: safe to show, at most NOTE_LENGTH characters."""
    return sanitize(text[:NOTE_LENGTH]).strip()[:NOTE_LENGTH]


def clean_tags(texts: Iterable[str], *, strict: bool = False) -> tuple[str, ...]:
    """`texts` as tags: single words, none twice, at most MOST_TAGS of TAG_LENGTH characters.

    strict: raises FtuiError for too many rather than dropping the last.
    """
    words = (re.sub(r"[\s,]+", "-", one_line(text, TAG_LENGTH)).strip("#+-") for text in texts)
    found = dict.fromkeys(word for word in words if word)
    if strict and len(found) > MOST_TAGS:
        raise FtuiError(f"{len(found)} tags: a run has at most {MOST_TAGS}", "take some off first", "tags")
    return tuple(found)[:MOST_TAGS]


def retag(tags: Sequence[str], changes: Iterable[str]) -> tuple[str, ...]:
    """`tags` after changes such as "+good", "good" (adds it as well) and "-old"."""
    kept = list(tags)
    for change in changes:
        names = clean_tags([change.removeprefix("+").removeprefix("-")])
        if change.startswith("-"):
            kept = [tag for tag in kept if tag not in names]
        else:
            kept += [name for name in names if name not in kept]
    return tuple(kept)
