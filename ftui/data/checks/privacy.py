"""Personal data and secrets, found with RE2 (linear time on hostile text) and verified by their checksums."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import re2

from ftui.data.checks.finding import Finding, Severity, all_text, encodable

if TYPE_CHECKING:
    from ftui.data.rows import Row


def luhn(text: str) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1, annex B)."""
    digits = [int(char) for char in text if char.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [
        digit if index % 2 else (digit * 2 - 9 if digit > 4 else digit * 2)
        for index, digit in enumerate(reversed(digits), 1)
    ]
    return sum(doubled) % 10 == 0


def iban(text: str) -> bool:
    """The check digits of bank account numbers (ISO 13616, modulo 97)."""
    compact = text.replace(" ", "")
    return (
        15 <= len(compact) <= 34
        and int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1
    )


def public_address(text: str) -> bool:
    """An address that belongs to someone: not private, loopback, documentation or a version number."""
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _always(_text: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Kind:
    """name as it appears in masks ("[EMAIL]"); pattern in RE2 syntax; verify decides on a match."""

    name: str
    noun: str
    pattern: str
    secret: bool = False
    verify: Callable[[str], bool] = _always

    @property
    def slug(self) -> str:
        """The name in checks and fixes: "api-key"."""
        return self.name.lower().replace("_", "-")


_PHONE = (
    r"(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}"
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\b\d{3}[.-]\d{3}[.-]\d{4})\b"
)
_API_KEY = (
    r"\b(?:sk-(?:proj-|ant-)?[A-Za-z0-9_-]{20,}|AIza[0-9A-Za-z_-]{35}"
    r"|hf_[A-Za-z0-9]{30,}|xox[abprs]-[A-Za-z0-9-]{10,})"
)
_GITHUB = r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})\b"
_EMAIL = r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}\b"
_IBAN = r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"
_JWT = r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\b"
_SSN = r"\b(?:[0-57-8]\d{2}|6[0-57-9]\d|66[0-57-9])-\d{2}-\d{4}\b"
_PASSWORD = r"(?i)\b(?:password|passwd|pwd)\s*[:=]\s*[^\s\"'<>]{6,}"

KINDS = (
    Kind("EMAIL", "e-mail addresses", _EMAIL),
    Kind("CARD", "card numbers", r"\b(?:\d[ -]?){12,18}\d\b", verify=luhn),
    Kind("IBAN", "bank accounts", _IBAN, verify=iban),
    Kind("SSN", "social security numbers", _SSN),
    Kind("PHONE", "phone numbers", _PHONE),
    Kind("IP", "IP addresses", r"\b(?:\d{1,3}\.){3}\d{1,3}\b", verify=public_address),
    Kind("AWS_KEY", "AWS keys", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", secret=True),
    Kind("GITHUB_TOKEN", "GitHub tokens", _GITHUB, secret=True),
    Kind("API_KEY", "API keys", _API_KEY, secret=True),
    Kind("JWT", "session tokens", _JWT, secret=True),
    Kind("PRIVATE_KEY", "private keys", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----", secret=True),
    Kind("PASSWORD", "passwords", _PASSWORD, secret=True),
)

_QUIET = re2.Options()
_QUIET.log_errors = False
_PATTERNS = [re2.compile(kind.pattern, _QUIET) for kind in KINDS]


def _any_of() -> re2.Set:
    patterns = re2.Set.SearchSet(_QUIET)
    for kind in KINDS:
        patterns.Add(kind.pattern)
    patterns.Compile()
    return patterns


_ANY = _any_of()


def spans(text: str) -> list[tuple[int, int, Kind]]:
    """Where `text` holds personal data or secrets: (start, end, kind), left to right, not overlapping.

    Where two kinds overlap the longer match wins.
    """
    text = encodable(text)
    found = [
        (match.start(), match.end(), KINDS[index])
        for index in _ANY.Match(text) or ()
        for match in _PATTERNS[index].finditer(text)
        if KINDS[index].verify(match.group())
    ]
    found.sort(key=lambda span: (span[0] - span[1], span[0]))
    taken: list[tuple[int, int, Kind]] = []
    for start, end, kind in found:
        if all(end <= other_start or start >= other_end for other_start, other_end, _ in taken):
            taken.append((start, end, kind))
    return sorted(taken, key=lambda span: span[0])


def mask(text: str, name: str) -> str:
    """`text` with every find of one kind replaced by its name in brackets, such as "[EMAIL]"."""
    parts: list[str] = []
    at = 0
    for start, end, kind in spans(text):
        if kind.name != name:
            continue
        parts += [text[at:start], f"[{kind.name}]"]
        at = end
    return "".join([*parts, text[at:]])


def kinds_in(text: str) -> Iterator[Kind]:
    """Each kind found in `text`, once."""
    seen = set()
    for _, _, kind in spans(text):
        if kind.name not in seen:
            seen.add(kind.name)
            yield kind


@dataclass(slots=True)
class PrivacyCheck:
    """One finding for each kind of personal data or secret."""

    _hits: dict[str, list[int]] = field(default_factory=dict)

    def look(self, row: Row) -> None:
        if row.example is None:
            return
        text = all_text(row.example)
        if not _ANY.Match(text):
            return
        for kind in kinds_in(text):
            self._hits.setdefault(kind.name, []).append(row.number)

    def findings(self) -> Iterable[Finding]:
        for kind in KINDS:
            if rows := self._hits.get(kind.name):
                severity: Severity = "error" if kind.secret or kind.name == "CARD" else "warning"
                message = f"{kind.noun}: a model can repeat them word for word"
                yield Finding(f"pii-{kind.slug}", severity, tuple(rows), message, f"mask-{kind.slug}")
