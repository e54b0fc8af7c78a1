"""How likely the model before training found each reply: computed once a run, kept beside the encoded rows.

Training is measured against it (dpo, kto). Before the first step the model IS the reference: a new adapter
changes nothing. So no second model is needed, nor a second forward pass at every step, and full fine-tuning
works as well. What a killed attempt has computed is not computed again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ftui.engine.device import is_out_of_memory
from ftui.engine.pack import by_capacity, collate
from ftui.engine.shards import Shards
from ftui.engine.validation import evaluating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    import torch
    from transformers import PreTrainedModel

    from ftui.engine.layout import Layout
    from ftui.engine.objectives import ReplyFunction
    from ftui.engine.ranks import Ranks
    from ftui.engine.rows import Rows


class Scorer:
    """Log-probabilities of replies without gradients, in evaluation mode."""

    def __init__(
        self,
        model: PreTrainedModel,
        layout: Layout,
        replies: ReplyFunction,
        autocast: Callable[[], Any],
        shards: Shards | None = None,
    ) -> None:
        self._model = model
        self._layout = layout
        self._replies = replies
        self._autocast = autocast
        self._shards = shards or Shards()

    def score(self, rows: Rows, pieces: Iterator[Sequence[int]]) -> Iterator[torch.Tensor]:
        """[D] for each piece of document numbers, on the device; what is run at once is a piece."""
        with evaluating(self._model):
            for piece in pieces:
                batch = collate(
                    [rows[n] for n in piece], device=self._model.device, padded=not self._layout.flat
                )
                with self._autocast():
                    yield self._replies(self._model, batch, self._layout.arguments(batch)).logps

    def finish(self) -> None:
        """To be called when this process has scored its share, for the others to score theirs."""
        self._shards.serve()


def reference_logps(
    rows: Rows,
    folder: Path,
    scorer: Scorer,
    *,
    capacity: int,
    ranks: Ranks,
    tell: Callable[[int, int], None],
) -> np.ndarray:
    """[documents] float32, as the model is now; from `folder` as far as an earlier attempt got.

    capacity: tokens at once, halved where memory runs out. tell: called with the documents done of how many;
    what it raises ends the work, and what is done is kept. The processes of a run share the work.
    """
    order = np.argsort(-rows.lengths, kind="stable")
    shares = [order[number :: ranks.count] for number in range(ranks.count)]
    path = folder / f"reference-{ranks.number + 1}-of-{ranks.count}.bin"
    mine = shares[ranks.number]
    done = _whole(path)
    with path.open("ab", buffering=0) as file:
        while done < len(mine):
            try:
                pieces = by_capacity(mine[done:], rows.lengths, capacity)
                for scores in scorer.score(rows, pieces):
                    done += file.write(scores.float().cpu().numpy().tobytes()) // 4
                    tell(done, len(mine))
            except Exception as error:
                if not is_out_of_memory(error) or capacity <= int(rows.lengths.max(initial=1)):
                    raise
            else:
                break
            capacity //= 2
    scorer.finish()
    ranks.wait()
    result = np.zeros(len(rows), np.float32)
    for number, share in enumerate(shares, start=1):
        result[share] = np.fromfile(folder / f"reference-{number}-of-{ranks.count}.bin", np.float32)
    return result


def _whole(path: Path) -> int:
    """How many values a file holds; one torn by a crash is cut off."""
    if not path.exists():
        return 0
    values = path.stat().st_size // 4
    with path.open("r+b") as file:
        file.truncate(4 * values)
    return values
