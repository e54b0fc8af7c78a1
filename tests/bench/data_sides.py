"""The sides of the data benchmark: ftui, duckdb, polars and datasets, each doing the same jobs its own best way.

A side is a class whose constructor imports its library; its methods are timed by `data.measure`. Every
search and filter answers with row numbers, counted from 0, so that answers can be compared.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

PAGE = 50
Line = tuple[int, int, str]  # turns, characters, preview: what a list shows of a row
_PREVIEW = 120


class Side(Protocol):
    """version: of its library. first: the first row, from a file never seen before. load: until every row
    can be reached. page: what a list shows of the PAGE rows from `start` on. search, by_shape: row numbers."""

    version: str

    def __init__(self, path: Path) -> None: ...
    def first(self) -> Any: ...
    def load(self) -> int: ...
    def page(self, start: int) -> list[Line]: ...
    def search(self, text: str, ignore_case: bool) -> Iterable[int]: ...
    def by_shape(self) -> Iterable[int]: ...


class Ftui:
    """One thread for the index, search in two; nothing but offsets is kept."""

    def __init__(self, path: Path) -> None:
        import ftui
        from ftui.data.dataset import Dataset
        from ftui.data.filtering import matching
        from ftui.data.query import parse

        shutil.rmtree(path.with_name(f"{path.name}.ftui"), ignore_errors=True)
        self.version = ftui.__version__
        self._open, self._matching, self._parse = Dataset.open, matching, parse
        self._path = path

    def first(self) -> Any:
        self._dataset = self._open(self._path, "bench")
        return self._dataset.row(1).value

    def load(self) -> int:
        return self._dataset.find_all()

    def learn(self) -> None:
        """Reads every row once for its shape; the screen does it in the background."""
        self._dataset.build()

    def again(self) -> int:
        """Opens the file anew, as the next session does: from the cached index."""
        with self._open(self._path, "bench") as dataset:
            return dataset.rows_known if dataset.checked else 0

    def page(self, start: int) -> list[Line]:
        return [(row.turns, row.chars, row.preview) for row in self._dataset.summaries(start + 1, PAGE)]

    def search(self, text: str, ignore_case: bool) -> Iterable[int]:
        return [number - 1 for number in self._dataset.search(text, ignore_case)]

    def by_shape(self) -> Iterable[int]:
        found = self._matching(self._dataset, self._parse("shape:text"))
        assert found is not None
        return [number - 1 for number in found]


class DuckDb:
    """Loaded into a table in memory; pages by row id."""

    def __init__(self, path: Path) -> None:
        import duckdb

        self.version = duckdb.__version__
        self._connection = duckdb.connect()
        self._source = f"read_ndjson_auto('{path}')"

    def first(self) -> Any:
        return self._all(f"select * from {self._source} limit 1")

    def load(self) -> int:
        self._all(f"create table chat as select * from {self._source}")
        return int(self._all("select count(*) from chat")[0][0])

    def page(self, start: int) -> list[Line]:
        rows = self._all(
            "select messages, text from chat where rowid between ? and ?", start, start + PAGE - 1
        )
        return [_line(messages, text) for messages, text in rows]

    def search(self, text: str, ignore_case: bool) -> Iterable[int]:
        fold = "lower({})" if ignore_case else "{}"
        said, raw = fold.format("turn.content"), fold.format("text")
        wanted = text.lower() if ignore_case else text
        return self._rows(
            f"len(list_filter(messages, lambda turn: contains({said}, ?))) > 0 or contains({raw}, ?)",
            wanted, wanted,
        )  # fmt: skip

    def by_shape(self) -> Iterable[int]:
        return self._rows("text is not null")

    def _rows(self, where: str, *values: Any) -> list[int]:
        found = self._connection.execute(f"select rowid from chat where {where}", list(values))
        return found.fetchnumpy()["rowid"].tolist()

    def _all(self, query: str, *values: Any) -> list[Any]:
        return self._connection.execute(query, list(values)).fetchall()


class Polars:
    """Collected into a data frame in memory."""

    def __init__(self, path: Path) -> None:
        import polars

        self.version = polars.__version__
        self._polars = polars
        self._scan = polars.scan_ndjson(path)

    def first(self) -> Any:
        return self._scan.head(1).collect().to_dicts()

    def load(self) -> int:
        self._frame = self._scan.collect()
        return self._frame.height

    def page(self, start: int) -> list[Line]:
        rows = self._frame.select("messages", "text").slice(start, PAGE).rows()
        return [_line(messages, text) for messages, text in rows]

    def search(self, text: str, ignore_case: bool) -> Iterable[int]:
        pl = self._polars
        pattern = f"(?i){text}" if ignore_case else text

        def has(column: Any) -> Any:
            return column.str.contains(pattern, literal=not ignore_case)

        content = pl.element().struct.field("content")
        return self._rows(pl.col("messages").list.eval(has(content)).list.any() | has(pl.col("text")))

    def by_shape(self) -> Iterable[int]:
        return self._rows(self._polars.col("text").is_not_null())

    def _rows(self, where: Any) -> list[int]:
        return self._frame.lazy().select(where.arg_true()).collect().to_series().to_list()


class HfDatasets:
    """Converted to Arrow files in a cache of its own, then mapped; searched with Arrow's kernels."""

    def __init__(self, path: Path) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"
        import datasets
        import pyarrow
        import pyarrow.compute

        datasets.disable_progress_bars()
        self.version = datasets.__version__
        self._datasets, self._arrow, self._compute = datasets, pyarrow, pyarrow.compute
        self._path = str(path)
        self._cache = tempfile.TemporaryDirectory(dir=path.parent)

    def first(self) -> Any:
        stream = self._datasets.load_dataset("json", data_files=self._path, split="train", streaming=True)
        return next(iter(stream))

    def load(self) -> int:
        self._rows = self._datasets.load_dataset(
            "json", data_files=self._path, split="train", cache_dir=self._cache.name
        )
        return len(self._rows)

    def page(self, start: int) -> list[Line]:
        page = self._rows[start : start + PAGE]
        return [_line(*row) for row in zip(page["messages"], page["text"], strict=True)]

    def search(self, text: str, ignore_case: bool) -> Iterable[int]:
        def hits(batch: Any) -> Any:
            pc, turns = self._compute, batch.column("messages")
            content = pc.struct_field(turns.flatten(), "content")
            said = pc.match_substring(content, text, ignore_case=ignore_case)
            raw = pc.match_substring(batch.column("text"), text, ignore_case=ignore_case)
            return {*pc.filter(pc.list_parent_indices(turns), said).to_pylist(), *_true(pc, raw)}

        return self._over_batches(hits)

    def by_shape(self) -> Iterable[int]:
        return self._over_batches(lambda batch: _true(self._compute, batch.column("text").is_valid()))

    def _over_batches(self, hits: Any) -> list[int]:
        found: list[int] = []
        start = 0
        for batch in self._rows.data.table.to_batches():
            found += [start + at for at in sorted(hits(batch))]
            start += batch.num_rows
        return found


def _true(compute: Any, mask: Any) -> list[int]:
    return compute.indices_nonzero(mask).to_pylist()


def _line(messages: Any, text: str | None) -> Line:
    """What ftui's list shows of a row, from the values a side holds. (ftui also makes it safe to display.)"""
    if text is not None:
        return 0, len(text), _preview(text)
    turns = messages or ()
    question = next((turn["content"] for turn in turns if turn["role"] == "user"), "")
    return len(turns), sum(len(turn["content"]) for turn in turns), _preview(question)


def _preview(text: str) -> str:
    line = " ".join(text[: 4 * _PREVIEW].split())
    return line if len(line) <= _PREVIEW and len(text) <= 4 * _PREVIEW else line[: _PREVIEW - 1] + "\u2026"


SIDES: dict[str, type[Side]] = {"ftui": Ftui, "duckdb": DuckDb, "polars": Polars, "datasets": HfDatasets}
