"""Promises of core.schedule: steps and shares as the trainer counts them."""

from __future__ import annotations

from ftui.core.recipe import Recipe
from ftui.core.schedule import as_steps, schedule

PLAIN = Recipe().with_values({"data.packing": False, "training.batch_size": 4, "training.epochs": 3})


def test_steps_follow_from_rows_batch_and_epochs():
    course = schedule(PLAIN, 200, 90)
    assert course
    assert (course.train_rows, course.validation_rows) == (180, 20)
    assert course.steps == 45 * 3
    assert course.tokens_per_step == 360


def test_max_steps_wins_over_epochs_and_needs_no_rows():
    recipe = PLAIN.with_values({"training.max_steps": 36})
    assert schedule(recipe, 200, 90).steps == 36
    assert schedule(recipe, None).steps == 36


def test_packing_counts_full_sequences():
    recipe = PLAIN.with_values({"data.packing": True, "data.max_length": 1024, "data.validation": 0})
    course = schedule(recipe, 1000, 256)
    assert course.sequences == 250
    assert course.steps == 63 * 3
    assert course.tokens_per_step == 4 * 1024


def test_what_cannot_be_told_is_not_told():
    assert schedule(PLAIN, None) is None
    assert schedule(PLAIN.with_values({"data.packing": True}), 100, None) is None


def test_a_validation_file_takes_no_training_rows():
    assert schedule(PLAIN.with_values({"data.validation": "v.jsonl"}), 100, 10).train_rows == 100


def test_one_row_is_trained_rather_than_held_back():
    assert schedule(PLAIN, 1, 10).train_rows == 1


def test_shares_and_counts_of_steps():
    assert [as_steps(value, 200) for value in (0, 0.001, 0.1, 1, 40)] == [0, 1, 20, 1, 40]
