"""The data of a run, ready to train on: rows encoded once, and scored once where the objective needs it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ftui.core.errors import FtuiError
from ftui.core.objectives import counted_turns
from ftui.core.text import one_line
from ftui.data.training import fingerprint as fingerprint_of
from ftui.data.verify import difference
from ftui.engine.encode import Encoder
from ftui.engine.model import fingerprint
from ftui.engine.objectives import stride, units_for
from ftui.engine.reference import Scorer, reference_logps
from ftui.engine.rows import TALLY, Prepared, Rows, prepare
from ftui.engine.tokenizer import stop_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ftui.core.recipe import Recipe
    from ftui.engine.ranks import Ranks
    from ftui.engine.telemetry import Control, Reporter
    from ftui.runs.rundir import RunDir


def load_rows(
    rundir: RunDir,
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerBase,
    base_path: Path,
    reporter: Reporter,
    control: Control,
    *,
    leads: bool,
) -> Prepared:
    """The encoded dataset, told as a `data` event."""
    data = rundir.read_manifest().get("data", {})
    train = Path(data.get("train", {}).get("path") or recipe.data.train)
    validation = data.get("validation", {}).get("path")

    def tell(done: int) -> None:
        control.check()
        reporter.progress("encode", done, 0, "rows")

    def encoder() -> Encoder:
        return Encoder(
            tokenizer,
            train_on=counted_turns(recipe.training.objective, recipe.data.train_on),  # type: ignore[arg-type]
            max_length=recipe.data.max_length,
            overlong="split" if recipe.training.objective == "pretrain" else recipe.data.overlong,
            stop_ids=stop_ids(base_path),
        )

    if leads:
        check_data(rundir, reporter)
    rows = prepare(
        cache(rundir),
        recipe,
        encoder,
        units_for(recipe.training.objective),
        train=train,
        validation=Path(validation) if validation else None,
        tell=tell,
    )
    pieces = len(rows.train) // stride(recipe.training.objective)
    reporter.emit(
        "data",
        train_rows=_rows(rows.train, recipe),
        eval_rows=_rows(rows.validation, recipe),
        train_pieces=pieces,
        train_tokens=int(rows.train.lengths.sum()),
        trained_tokens=int(rows.train.trained.sum()),
        **rows.tally,
    )
    if recipe.data.validation and not len(rows.validation):
        alike = rows.tally.get("alike", 0)
        reporter.notice(
            f"these {alike} rows are nearly the same row: none can be held back for validation"
            if alike > 1
            else "no row was held back for validation",
            "give a file in data.validation" if alike else "raise data.validation, or give a file",
        )
    return rows


def _rows(side: Rows, recipe: Recipe) -> int:
    """How many rows of the dataset are on `side`: raw text is cut into pieces, a labelled pair is two."""
    if recipe.training.objective == "pretrain":
        return len(np.unique(side.numbers))
    return len(side) // stride(recipe.training.objective)


def record_base(rundir: RunDir, tokenizer: PreTrainedTokenizerBase, base_path: Path) -> None:
    """Writes down which base and chat template the run has. Raises FtuiError when the base is another one than
    an earlier attempt had: what it has learned belongs to that one."""
    weights, template = fingerprint(base_path), tokenizer.chat_template
    before = rundir.read_manifest().get("base_fingerprint")
    if before and before != weights and cached(rundir):
        raise FtuiError(
            "the base model's files are not those this run began with",
            "bring them back, or start a new run",
            str(base_path),
        )
    rundir.update_manifest(
        template_sha256=hashlib.sha256(str(template).encode()).hexdigest() if template else "",
        base_path=str(base_path),
        base_fingerprint=weights,
    )


def check_data(rundir: RunDir, reporter: Reporter) -> None:
    """Compares the datasets with the hashes in the run's manifest, before rows are encoded.

    A file that changed since the run was made is refused; decisions made meanwhile train and are written
    down. A run that has its rows already goes on with those, and says so. Raises FtuiError.
    """
    data = dict(rundir.read_manifest().get("data", {}))
    encoded = cached(rundir)
    for name, record in data.items():
        if "sha256" not in record:
            continue
        try:
            what = difference(record)
        except FtuiError as error:
            if not encoded:
                raise
            reporter.notice(f"the dataset cannot be read any more: {error.message}", "the rows are kept")
            continue
        if what and encoded:
            changed = "has changed" if what == "file" else "has new decisions"
            reporter.notice(
                f"{record['path']} {changed} since this run began", "it trains on the rows as they were"
            )
        elif what == "file":
            raise FtuiError(
                "the dataset is not the one this run was made for: its SHA-256 differs",
                "start a new run",
                record["path"],
            )
        elif what:
            data[name] = {**record, **fingerprint_of(Path(record["path"]))}
            rundir.update_manifest(data=data)


def refuse_unknown_tokens(rows: Prepared, tokenizer: PreTrainedTokenizerBase, base: PreTrainedModel) -> None:
    """Raises FtuiError when the data has tokens that the model has no embedding for."""
    known = base.get_input_embeddings().weight.shape[0]
    if len(tokenizer) <= known:
        return
    highest = max(rows.train.highest_id, rows.validation.highest_id)
    if highest >= known:
        piece = one_line(str(tokenizer.convert_ids_to_tokens(highest)), 40)
        raise FtuiError(
            f"the tokenizer writes {piece!r} as {highest}, and the model knows tokens below {known} only",
            "the tokenizer is not this model's, or tokens were added to it",
            "model.base",
        )


def load_reference(
    rundir: RunDir,
    recipe: Recipe,
    rows: Prepared,
    scorer: Scorer,
    ranks: Ranks,
    reporter: Reporter,
    control: Control,
    *,
    capacity: int,
) -> None:
    """Scores every reply with the model as it is before training. capacity: tokens at once."""
    for name, side in (("train", rows.train), ("validation", rows.validation)):

        def tell(done: int, total: int) -> None:
            control.check()
            reporter.progress("reference", done, total, "replies")

        with reporter.phase("reference"):
            side.reference = reference_logps(
                side,
                cache(rundir) / name,
                scorer,
                capacity=max(capacity, recipe.data.max_length),
                ranks=ranks,
                tell=tell,
            )


def cached(rundir: RunDir) -> bool:
    """Whether an earlier attempt has encoded the rows."""
    return (cache(rundir) / TALLY).exists()


def cache(rundir: RunDir) -> Path:
    """Where the encoded rows are while the run is not finished."""
    return rundir.path / "cache"
