"""`ftui data xray` and `ftui data lengths`: rows as the tokens that training sees."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftui.cli.output import Progress, emit, example, json_option
from ftui.core.text import one_line, sanitize

if TYPE_CHECKING:
    from ftui.runs.encoder import Lengths, Overlong, Token, TrainOn, Xray

_FILE = click.argument("file", type=click.Path(path_type=Path))
_MODEL = click.option("--model", required=True, help="A folder, a GGUF file, a hub id, or demo.")
_STAGES = {"encode": "counting tokens", "convert": "converting the model", "download": "downloading"}
_DEFAULT_DROPS = "longer than --max-length: a recipe drops such a row unless it says overlong = truncate"


@click.command(epilog=example("ftui data xray tickets.jsonl --row 12 --model demo --max-length 512"))
@_FILE
@click.option("--row", "number", type=int, required=True, help="Row number, from 1.")
@_MODEL
@click.option("--max-length", type=click.IntRange(1), help="Tokens kept of a row; all when not given.")
@click.option(
    "--train-on",
    type=click.Choice(["assistant", "last", "all"]),
    default="assistant",
    show_default=True,
    help="Which turns are learned.",
)
@click.option(
    "--overlong",
    type=click.Choice(["drop", "truncate"]),
    default="truncate",
    show_default=True,
    help="What becomes of a row over --max-length.",
)
@click.option(
    "--objective",
    type=click.Choice(["sft", "pretrain", "dpo", "orpo", "kto"]),
    default="sft",
    show_default=True,
    help="What the row is trained for: of a pair, dpo learns from both replies.",
)
@click.option("--chat-template", default="", help="Another than the model's own, as in a recipe.")
@json_option
def xray(
    file: Path,
    number: int,
    model: str,
    max_length: int | None,
    train_on: TrainOn,
    overlong: Overlong,
    objective: str,
    chat_template: str,
    as_json: bool,
) -> None:
    """Every token of one row: trained, context or truncated.

    Trained tokens are bold and underlined on a terminal, in [brackets] elsewhere.
    """
    from ftui.runs.encoder import Encoder, example_of

    row = example_of(file, number)  # what is wrong with the row is told before a process is started
    told = Told(Progress(enabled=not as_json))
    try:
        with Encoder() as encoder:
            seen = encoder.xray(
                row,
                model,
                train_on=train_on,
                max_length=max_length,
                overlong=overlong,
                progress=told,
                objective=objective,
                chat_template=chat_template,
            )
    finally:
        told.progress.clear()
    warnings = [*([f"not trained: {seen.dropped}"] if seen.dropped else []), *seen.warnings]
    if seen.truncated and overlong == "truncate":
        warnings.append(_DEFAULT_DROPS)
    report = {"row": number, **asdict(seen), "warnings": warnings}
    emit(report, as_json, lambda: _xray_text(number, seen, warnings, styled=_terminal()))


@click.command(epilog=example("ftui data lengths tickets.jsonl --model demo --max-length 768"))
@_FILE
@_MODEL
@click.option("--max-length", type=click.IntRange(1), help="One more length to count the rows over.")
@json_option
def lengths(file: Path, model: str, max_length: int | None, as_json: bool) -> None:
    """How long the rows are in tokens, and how many a length limit would cut."""
    from ftui.data.dataset import Dataset
    from ftui.runs.encoder import Encoder

    Dataset.open(file).close()  # a missing file is told before a process is started
    told = Told(Progress(enabled=not as_json))
    try:
        with Encoder() as encoder:
            found = encoder.lengths(file, model, max_length=max_length, progress=told)
    finally:
        told.progress.clear()
    emit(asdict(found), as_json, lambda: _lengths_text(found))


class Told:
    """The encoder's progress in words."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.progress(_STAGES.get(stage, stage), done, total)


def _terminal() -> bool:
    return click.get_text_stream("stdout").isatty()


def _xray_text(number: int, seen: Xray, warnings: list[str], *, styled: bool) -> str:
    lines = [
        f"row {number}: {seen.total:,} tokens, {_share(seen.trained, seen.total)} trained, "
        f"{_share(seen.truncated, seen.total)} truncated, "
        f"end of reply {'trained' if seen.eos_trained else 'NOT trained'}"
    ]
    lines += [f"note: {one_line(warning, 300)}" for warning in warnings]
    if not seen.tokens:
        return "\n".join(lines)
    kept = "".join(_token_text(token, styled) for token in seen.tokens if not token.truncated)
    cut = "".join(_token_text(token, styled) for token in seen.tokens if token.truncated)
    lines += ["", kept] if kept else []
    lines += [f"--- {seen.truncated:,} tokens truncated ---", cut] if cut else []
    if seen.rejected is not None:
        other = "".join(_token_text(token, styled) for token in seen.rejected.tokens if not token.truncated)
        lines += ["", "--- with the rejected reply, which preference training steers away from ---", other]
    return "\n".join(lines)


def _token_text(token: Token, styled: bool) -> str:
    """A token as it may be printed; ends of lines are visible, for they are tokens as well."""
    text = sanitize(token.text.replace("\n", "↵\n"))
    if not styled:
        return f"[{text}]" if token.trained else text
    return click.style(
        text,
        bold=token.trained or None,
        underline=token.trained or None,
        dim=token.truncated or None,
        fg="cyan" if token.special else None,
    )


def _lengths_text(found: Lengths) -> str:
    if not found.count:
        return f"no row gives tokens{f', {found.refused:,} refused' if found.refused else ''}"
    refused = f", {found.refused:,} more give no tokens" if found.refused else ""
    lines = [
        f"{found.count:,} rows{refused}",
        f"  tokens     mean {found.mean:,.1f}, p50 {found.p50:,}, p90 {found.p90:,}, p95 {found.p95:,}, "
        f"p99 {found.p99:,}, max {found.max:,}",
    ]
    lines += [
        f"  over {length:>6}  {_share(rows, found.count)} of the rows" for length, rows in found.over.items()
    ]
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.1f}%)" if whole else f"{part:,}"
