"""`ftui data get`: a dataset of the hub as a file in the workspace."""

from __future__ import annotations

from pathlib import Path

import click

from ftui.cli.output import Progress, emit, example, json_option
from ftui.cli.workspaces import open_workspace, workspace_option
from ftui.core.text import one_line


@click.command(
    epilog=example(
        "ftui data get HuggingFaceH4/no_robots --limit 500",
        "ftui data get ./saved_to_disk --out datasets/tickets.jsonl",
    )
)
@click.argument("source")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The file; by default in the workspace's datasets."
)
@click.option("--config", help="One of the dataset's configurations.")
@click.option("--split", default="train", show_default=True)
@click.option("--revision", help="A branch, tag or commit: the same rows again later.")
@click.option("--limit", type=click.IntRange(min=1), help="The first so many rows.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@workspace_option
@json_option
def get(
    source: str,
    *,
    out: Path | None,
    config: str | None,
    split: str,
    revision: str | None,
    limit: int | None,
    force: bool,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Fetch SOURCE, a hub id or a folder that the `datasets` library wrote, as a JSONL file."""
    from ftui.data.hub import save_as_jsonl

    if out is None:
        name = "-".join(filter(None, [Path(source).name, config, split if split != "train" else None]))
        out = open_workspace(directory).datasets / f"{name}.jsonl"
    progress = Progress(not as_json)
    progress("opening", 0, 0)
    try:
        rows = save_as_jsonl(
            source,
            out,
            name=config,
            split=split,
            revision=revision,
            limit=limit or 0,
            overwrite=force,
            progress=lambda done, total: progress(f"{done:,} rows", done, total),
        )
    finally:
        progress.clear()
    emit({"path": out, "rows": rows}, as_json, lambda: f"{rows:,} rows in {one_line(str(out), 300)}")
