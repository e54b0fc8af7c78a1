"""How far annotators agree, and what becomes of a row they disagree about."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data import actions
from ftui.data.agreement import agreement, agreement_of, cohen_kappa
from ftui.data.dataset import Dataset

A, R = "accepted", "rejected"
STATUS = st.sampled_from((A, R))


def test_kappa_is_what_the_textbook_says():
    # 20 both yes, 5 and 10 split, 15 both no: po 0.70, pe 0.50.
    answers = [(A, A)] * 20 + [(A, R)] * 5 + [(R, A)] * 10 + [(R, R)] * 15
    assert cohen_kappa(answers) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("answers", "kappa"),
    [
        ([(A, A), (R, R)], 1.0),
        ([(A, R), (R, A)], -1.0),
        ([(A, A), (A, R), (R, A), (R, R)], 0.0),
        ([(A, A)] * 9, None),
        ([], None),
        ([(A, R)] * 9, 0.0),
    ],
)
def test_kappa_at_its_ends(answers, kappa):
    assert cohen_kappa(answers) == kappa


@settings(deadline=None)
@given(st.lists(st.tuples(STATUS, STATUS), max_size=60))
def test_kappa_stays_in_its_range_and_does_not_care_who_is_first(answers):
    kappa = cohen_kappa(answers)
    assert kappa is None or -1 <= kappa <= 1
    assert cohen_kappa([(second, first) for first, second in answers]) == kappa
    if kappa == 1:
        assert all(first == second for first, second in answers)


def test_two_annotators_are_compared_on_the_rows_both_decided():
    found = agreement(
        [{"anna": A, "bert": A}, {"anna": R, "bert": A}, {"anna": A}, {"bert": "undecided", "anna": R}]
    )
    assert found is not None
    assert (found.annotators, found.rows, found.share, found.kappa) == (("anna", "bert"), 2, 0.5, 0.0)
    assert str(found) == "agreement 50% · kappa 0.00 over 2 rows both decided"


def test_three_annotators_agree_as_their_pairs_do_on_average():
    rows = [{"a": A, "b": A, "c": A}, {"a": R, "b": R, "c": A}, {"a": A, "b": A}]
    found = agreement(rows)
    assert found is not None
    assert [(pair.first, pair.second, pair.rows, pair.agreed) for pair in found.pairs] == [
        ("a", "b", 3, 3), ("a", "c", 2, 1), ("b", "c", 2, 1),
    ]  # fmt: skip
    assert found.share == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert found.kappa == pytest.approx((1 + 0 + 0) / 3)
    assert "mean agreement 67%" in str(found)


@pytest.mark.parametrize("rows", [[], [{"anna": A}], [{"anna": A, "bert": "undecided"}]])
def test_one_annotator_agrees_with_nobody(rows):
    assert agreement(rows) is None


def test_two_annotators_without_a_row_in_common_have_no_agreement_yet():
    found = agreement([{"anna": A}, {"bert": R}])
    assert found is not None
    assert found.share is None
    assert "no row" in str(found)


# -- conflicts -----------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "one"}\n{"text": "two"}\n{"text": "three"}\n')
    for who, statuses in (("anna", (A, A, R)), ("bert", (R, A, R))):
        with Dataset.open(path, who) as dataset:
            for number, status in enumerate(statuses, 1):
                dataset.annotate(number, actions.accept() if status == A else actions.reject())
    return path


@pytest.mark.parametrize("who", ["anna", "bert", "mira"])
def test_a_conflict_is_settled_by_whoever_decides_knowing_of_it(path, who):
    with Dataset.open(path, who) as dataset:
        assert dataset.conflicts() == {1: {"anna": A, "bert": R}}
        op = dataset.annotate(1, actions.accept())
        assert len(op.settles) == 2
        assert dataset.conflicts() == {}
        assert dataset.row(1).status == A
    with Dataset.open(path, "somebody else") as dataset:
        assert dataset.conflicts() == {}


def test_taking_a_settlement_back_brings_the_conflict_back(path):
    with Dataset.open(path, "mira") as dataset:
        dataset.annotate(1, actions.accept())
        dataset.undo()
        assert dataset.conflicts() == {1: {"anna": A, "bert": R}}
        assert dataset.row(1).status == R


def test_an_objection_to_a_settlement_is_a_new_conflict(path):
    with Dataset.open(path, "mira") as dataset:
        dataset.annotate(1, actions.accept())
    with Dataset.open(path, "bert") as dataset:
        dataset.annotate(1, actions.reject())
        assert dataset.conflicts() == {1: {"mira": A, "bert": R}}


def test_a_settlement_holds_even_where_its_clock_was_behind(path, monkeypatch):
    monkeypatch.setattr("ftui.data.journal.time.time", lambda: 1000.0)
    with Dataset.open(path, "mira") as dataset:
        dataset.annotate(1, actions.accept())
        assert dataset.row(1).status == A
        assert dataset.conflicts() == {}


def test_a_decision_that_the_settler_could_not_know_of_is_not_settled(path, tmp_path):
    # Carla's journal comes from another machine, after Mira settled the row with what she had.
    elsewhere = tmp_path / "elsewhere" / path.name
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(path.read_bytes())
    with Dataset.open(elsewhere, "carla") as dataset:
        dataset.annotate(1, actions.reject())
    with Dataset.open(path, "mira") as dataset:
        dataset.annotate(1, actions.accept())
        for journal in elsewhere.with_name(path.name + ".ftui").glob("journal-*"):
            (path.with_name(path.name + ".ftui") / journal.name).write_bytes(journal.read_bytes())
        assert dataset.refresh()
        assert dataset.conflicts() == {1: {"mira": A, "carla": R}}


def test_flags_and_edits_settle_nothing(path):
    with Dataset.open(path, "mira") as dataset:
        assert dataset.annotate(1, actions.flag()).settles == ()
        dataset.annotate(1, actions.set_value("/text", "new"))
        assert list(dataset.conflicts()) == [1]


def test_settling_does_not_make_annotators_agree(path):
    with Dataset.open(path, "anna") as dataset:
        before = agreement_of(dataset)
        assert before is not None
        assert (before.rows, before.share) == (3, pytest.approx(2 / 3))
        dataset.annotate(1, actions.reject())
        assert agreement_of(dataset) == before
