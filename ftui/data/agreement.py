"""How far annotators agree: what each decided on their own, before any conflict was settled."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ftui.data.annotations import RowState
    from ftui.data.dataset import Dataset

_DECIDED = ("accepted", "rejected")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two annotators: the rows both decided, on how many they agree, Cohen's kappa (None: undefined)."""

    first: str
    second: str
    rows: int
    agreed: int
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Over all pairs of annotators. rows: decided by two or more. share and kappa: means over the pairs that
    have such rows, None where no pair has, or where kappa is undefined for each."""

    annotators: tuple[str, ...]
    rows: int
    share: float | None
    kappa: float | None
    pairs: tuple[Pair, ...]

    def __str__(self) -> str:
        """ "agreement 92% · kappa 0.81 over 120 rows both decided"."""
        if self.share is None:
            return "no row was decided by two annotators yet"
        kappa = "undefined" if self.kappa is None else f"{self.kappa:.2f}"
        both = "both" if len(self.annotators) == 2 else "two or more"
        rows = f"{self.rows:,} row{'' if self.rows == 1 else 's'} {both} decided"
        mean = "" if len(self.annotators) == 2 else "mean "
        return f"{mean}agreement {self.share:.0%} · kappa {kappa} over {rows}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "annotators": list(self.annotators),
            "rows": self.rows,
            "share": self.share,
            "kappa": self.kappa,
            "pairs": [
                {
                    "annotators": [pair.first, pair.second],
                    "rows": pair.rows,
                    "agreed": pair.agreed,
                    "kappa": pair.kappa,
                }
                for pair in self.pairs
            ],
        }


def cohen_kappa(answers: Iterable[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two annotators' answers to the same questions, -1 to 1; None where it is undefined.

    kappa = (po - pe) / (1 - pe): po the share of equal answers, pe the share to be expected by chance, the sum
    over answers of the product of both annotators' shares of it. J. Cohen, "A coefficient of agreement for
    nominal scales", Educational and Psychological Measurement 20 (1960), 37-46. Undefined without answers and
    where pe is 1: both always gave one and the same answer.
    """
    table = Counter(answers)
    total = table.total()
    if not total:
        return None
    firsts, seconds = Counter[str](), Counter[str]()
    for (first, second), count in table.items():
        firsts[first] += count
        seconds[second] += count
    # In whole numbers: 1 - pe must be exactly 0 where it is 0.
    chance = sum(firsts[answer] * seconds[answer] for answer in firsts)
    same = sum(count for (first, second), count in table.items() if first == second)
    return None if chance == total * total else (same * total - chance) / (total * total - chance)


def agreement(rows: Iterable[Mapping[str, str]]) -> Agreement | None:
    """Over rows as {annotator: "accepted" or "rejected"}; None with fewer than two annotators.

    Two annotators: Cohen's kappa. More: its mean over all pairs (R. J. Light, "Measures of response agreement
    for qualitative data", Psychological Bulletin 76 (1971), 365-377), pairs without a kappa left out.
    """
    decided = [{who: status for who, status in row.items() if status in _DECIDED} for row in rows]
    people = tuple(sorted({who for row in decided for who in row}))
    if len(people) < 2:
        return None
    pairs = []
    for first, second in combinations(people, 2):
        both = [(row[first], row[second]) for row in decided if first in row and second in row]
        agreed = sum(one == other for one, other in both)
        pairs.append(Pair(first, second, len(both), agreed, cohen_kappa(both)))
    shares = [pair.agreed / pair.rows for pair in pairs if pair.rows]
    kappas = [pair.kappa for pair in pairs if pair.kappa is not None]
    return Agreement(people, sum(len(row) > 1 for row in decided), _mean(shares), _mean(kappas), tuple(pairs))


def agreement_of(dataset: Dataset) -> Agreement | None:
    """The agreement of a dataset's annotators; None with fewer than two who accepted or rejected anything.

    Each annotator's latest decision on a row counts, but for those that settled a conflict: settling does not
    make annotators agree.
    """
    rows: list[dict[str, str]] = []

    def collect(state: RowState) -> bool:
        rows.append({op.who: op.after for op in state.ops if op.op == "status" and not op.settles})
        return False

    dataset.decided_rows(collect)
    return agreement(rows)


def _mean(numbers: list[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None
