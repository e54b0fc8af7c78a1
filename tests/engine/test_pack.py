"""Packing loses nothing, repeats nothing, and keeps documents apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from ftui.engine.attention import NAME
from ftui.engine.layout import Layout
from ftui.engine.loss import stock_loss, tiled_loss
from ftui.engine.pack import Order, Steps, best_fit, collate, micro_batches

torch.set_num_threads(1)


def documents(lengths, seed=0):
    """Token ids with loss weights of 0, 1 and between."""
    random = np.random.default_rng(seed)
    return [
        (
            random.integers(0, 384, length).astype(np.int32),
            random.choice([0.0, 0.25, 1.0, 1.0], length).astype(np.float32),
        )
        for length in lengths
    ]


@given(st.lists(st.integers(1, 40), max_size=80), st.integers(8, 40))
def test_bins_hold_every_item_once_and_never_overflow(lengths, capacity):
    bins = best_fit(lengths, capacity)
    assert sorted(index for found in bins for index in found) == list(range(len(lengths)))
    for found in bins:
        assert len(found) == 1 or sum(lengths[index] for index in found) <= capacity


def test_packing_wastes_little():
    lengths = np.random.default_rng(0).lognormal(4.5, 0.6, 2000).clip(8, 1024).astype(int)
    bins = best_fit(lengths.tolist(), 1024)
    assert lengths.sum() / (len(bins) * 1024) > 0.98


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 9), st.sampled_from([0, 64]), st.booleans(), st.integers(0, 3))
def test_an_epoch_trains_every_document_once_in_an_order_that_the_seed_decides(
    rows, batch, capacity, grouped, seed
):
    lengths = np.random.default_rng(rows).integers(1, 64, rows)
    order = Order(lengths, batch, capacity, seed, grouped)
    steps = Steps(order)
    for epoch in (0, 1):
        numbers = range(epoch * steps.per_epoch, (epoch + 1) * steps.per_epoch)
        seen = [document for step in numbers for sequence in steps.sequences(step) for document in sequence]
        assert sorted(seen) == list(range(rows))
        assert all(steps.sequences(step) for step in numbers)
    assert Steps(order).sequences(steps.per_epoch) == steps.sequences(steps.per_epoch)


def test_epochs_differ_in_their_order():
    order = Order(np.full(50, 10), 4)
    assert order.epoch(0) != order.epoch(1)


def test_micro_batches_cut_a_step_without_losing_any():
    assert micro_batches([[1], [2], [3]], 2) == [[[1], [2]], [[3]]]


def test_the_last_token_of_a_document_never_predicts_the_first_of_the_next():
    batch = collate(
        [
            (np.array([1, 2, 3], np.int32), np.ones(3, np.float32)),
            (np.array([7, 8], np.int32), np.ones(2, np.float32)),
        ]
    )
    assert batch.position_ids.tolist() == [[0, 1, 2, 0, 1]]
    assert batch.predicting.tolist() == [0, 1, 3]
    assert batch.targets.tolist() == [2, 3, 8]


def test_padding_is_known_by_its_place_so_that_a_trained_eos_equal_to_the_pad_counts():
    ids, weights = np.array([5, 2], np.int32), np.ones(2, np.float32)
    batch = collate(
        [(ids, weights), (np.array([5, 6, 7], np.int32), np.ones(3, np.float32))], padded=True, pad_id=2
    )
    assert batch.targets.tolist() == [2, 6, 7]
    assert (batch.padding, batch.tokens) == (1, 5)


LAYOUTS = {
    "padded": Layout("sdpa", flat=False),
    "flat, one call a document": Layout(NAME, flat=True),
    "flat, block-diagonal mask": Layout("sdpa", flat=True),
    "padded, our attention": Layout(NAME, flat=False),
}


@pytest.mark.parametrize("loss", [tiled_loss, stock_loss])
def test_every_layout_gives_the_loss_and_gradients_of_documents_alone(tiny, loss):
    chosen = documents([5, 17, 30, 2, 9])
    scale = 1 / sum(float(weights[1:].sum()) for _, weights in chosen)

    def run(layout, groups):
        model = AutoModelForCausalLM.from_pretrained(tiny, attn_implementation=layout.attention)
        model.lm_head.weight.requires_grad_(False)
        total = 0.0
        for group in groups:
            batch = collate(group, padded=not layout.flat)
            result = loss(model, batch, layout.arguments(batch), scale)
            result.loss.backward()
            total += float(result.loss.detach())
        return total, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    expected_loss, expected = run(LAYOUTS["padded"], [[document] for document in chosen])
    for layout in LAYOUTS.values():
        value, gradient = run(layout, [chosen])
        assert value == pytest.approx(expected_loss, rel=1e-5)
        assert float((gradient - expected).norm()) <= 1e-5 * float(expected.norm())


def test_a_trial_takes_the_longest_first():
    lengths = np.array([3, 9, 5, 7, 9, 2])
    order = Order(lengths, batch_size=2, longest_first=True)
    assert [lengths[documents].sum() for documents in order.epoch(0)] == [9, 9, 7, 5, 3, 2]
