"""Which examples make an optimizer step, and how they lie in a tensor.

The order of a whole run follows from the lengths, the recipe and the seed alone, so a resumed run needs no
cursor but its step number.

A micro-batch has one of two layouts. *Flat*: all documents one after the other in a single row, positions
restarting at each, no padding at all; the attention must keep documents apart (`attention.py`). *Padded*: one
document a row, for models whose attention cannot; there batches of like lengths are drawn, to pad less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

# Rows of a run are drawn length by length only within so many steps' worth of examples: enough to pad
# little, few enough to stay random.
_GROUP_STEPS = 32

Document = tuple[np.ndarray, np.ndarray]
"""Token ids (int32) and the loss weight of each (float32)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch, on the device it is used on.

    input_ids, position_ids: [1, T] flat or [B, T] padded.
    predicting: [N] the places, counted through the flattened batch, whose NEXT token is trained.
    targets, weights: [N] that token, and what predicting it counts in the loss.
    lengths: document lengths in order.
    attention_mask: [B, T] for padded, None for flat.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    predicting: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    lengths: tuple[int, ...]
    attention_mask: torch.Tensor | None = None

    @property
    def tokens(self) -> int:
        return sum(self.lengths)

    @property
    def padding(self) -> int:
        return self.input_ids.numel() - self.tokens


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Every index of `lengths` in bins of at most `capacity` tokens.

    The longest first, into the fullest bin that takes it (best-fit decreasing): at most 11/9 of the fewest
    possible bins, plus one. An over-long item gets its own bin.
    """
    bins: list[list[int]] = []
    by_room: dict[int, list[int]] = {}
    # Bit r is set where a bin has exactly r tokens left: the tightest fit is the lowest bit from `length` up.
    rooms = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        length = int(lengths[index])
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            number = by_room[room].pop()
            if not by_room[room]:
                rooms &= ~(1 << room)
            bins[number].append(index)
        else:
            room = max(capacity, length)
            number = len(bins)
            bins.append([index])
        if left := room - length:
            by_room.setdefault(left, []).append(number)
            rooms |= 1 << left
    return bins


@dataclass(frozen=True, slots=True)
class Order:
    """What is trained when: the sequences of any step of the run.

    lengths: tokens of each document. batch_size: sequences an optimizer step. capacity: tokens of a packed
    sequence, or 0 when a sequence is one document. grouped: draw like lengths together (padded layout).
    longest_first: the fullest sequences come first, for a trial of what a step may take.
    """

    lengths: np.ndarray
    batch_size: int
    capacity: int = 0
    seed: int = 0
    grouped: bool = False
    longest_first: bool = False

    def epoch(self, number: int) -> list[list[int]]:
        """The sequences of an epoch, in the order they are trained; each is a list of document numbers."""
        sequences = self._drawn(number)
        if self.longest_first:
            sequences.sort(key=lambda documents: -int(self.lengths[documents].sum()))
        return sequences

    def _drawn(self, number: int) -> list[list[int]]:
        random = np.random.default_rng([self.seed, number])
        shuffled = random.permutation(len(self.lengths))
        if self.capacity:
            bins = best_fit(self.lengths[shuffled].tolist(), self.capacity)
            return [[int(shuffled[i]) for i in bins[n]] for n in random.permutation(len(bins))]
        if self.grouped:
            shuffled = self._group(shuffled, random)
        return [[int(n)] for n in shuffled]

    def _group(self, shuffled: np.ndarray, random: np.random.Generator) -> np.ndarray:
        size = self.batch_size
        groups = []
        for start in range(0, len(shuffled), size * _GROUP_STEPS):
            group = shuffled[start : start + size * _GROUP_STEPS]
            group = group[np.argsort(-self.lengths[group], kind="stable")]
            groups += [group[i : i + size] for i in range(0, len(group), size)]
        whole, rest = [g for g in groups if len(g) == size], [g for g in groups if len(g) < size]
        return np.concatenate([*(whole[n] for n in random.permutation(len(whole))), *rest])

    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch: as many in each, for how many bins there are follows from the lengths."""
        return max(1, math.ceil(len(self.epoch(0)) / self.batch_size))


class Steps:
    """The batches of a run by step number. Keeps the epoch it is in.

    documents: those of an item of the order, where it is not a document itself.
    """

    def __init__(self, order: Order, documents: Callable[[int], list[int]] | None = None) -> None:
        self._order = order
        self._documents = documents or (lambda item: [item])
        self.per_epoch = order.steps_per_epoch()
        self._epoch = -1
        self._sequences: list[list[int]] = []

    def sequences(self, step: int) -> list[list[int]]:
        """The sequences of optimizer step `step` (from 0)."""
        epoch, within = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._sequences = epoch, self._order.epoch(epoch)
        size = self._order.batch_size
        chosen = self._sequences[within * size : (within + 1) * size]
        return [[document for item in one for document in self._documents(item)] for one in chosen]


def micro_batches(sequences: list[list[int]], size: int) -> list[list[list[int]]]:
    """Cuts a step's sequences into micro-batches of at most `size`."""
    return [sequences[i : i + size] for i in range(0, len(sequences), size)]


def by_capacity(items: Sequence[int], lengths: np.ndarray, capacity: int) -> Iterator[list[int]]:
    """Cuts `items`, longest first, into pieces of at most `capacity` tokens, padding and all."""
    done = 0
    while done < len(items):
        fitting = max(1, capacity // int(lengths[items[done]]))
        yield [int(item) for item in items[done : done + fitting]]
        done += fitting


def collate(
    documents: Sequence[Document],
    *,
    device: torch.device | str = "cpu",
    padded: bool = False,
    pad_id: int = 0,
) -> Batch:
    """Documents as one micro-batch: flat, or padded to the longest.

    Padding is masked by position, never by id: the pad token is often the eos token, which is trained.
    """
    lengths = tuple(len(ids) for ids, _ in documents)
    shape = (len(documents), max(lengths)) if padded else (1, sum(lengths))
    ids = np.full(shape, pad_id, dtype=np.int64)
    positions = np.zeros(shape, dtype=np.int64)
    following = np.zeros(shape, dtype=np.int64)
    counts = np.zeros(shape, dtype=np.float32)  # stays 0 at padding and at the last token of each document
    mask = np.zeros(shape, dtype=np.int64)
    at = 0
    for number, (tokens, weights) in enumerate(documents):
        row, start = (number, 0) if padded else (0, at)
        end = start + len(tokens)
        ids[row, start:end] = tokens
        positions[row, start:end] = np.arange(len(tokens))
        following[row, start : end - 1] = tokens[1:]
        counts[row, start : end - 1] = weights[1:]
        mask[row, start:end] = 1
        at = end
    predicting = np.flatnonzero(counts)

    def move(array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if torch.device(device).type == "cuda":  # from pageable memory the copy would wait for the device
            tensor = tensor.pin_memory()
        return tensor.to(device, non_blocking=True)

    return Batch(
        input_ids=move(ids),
        position_ids=move(positions),
        predicting=move(predicting),
        targets=move(following.ravel()[predicting]),
        weights=move(counts.ravel()[predicting]),
        lengths=lengths,
        attention_mask=move(mask) if padded else None,
    )
