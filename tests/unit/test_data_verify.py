"""A run trains on what its manifest says: hashes are compared before a row is encoded."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest

from ftui.core.errors import FtuiError
from ftui.data import actions
from ftui.data.dataset import Dataset
from ftui.data.export import Plan, export
from ftui.data.training import fingerprint
from ftui.data.verify import difference, verified


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join(
            json.dumps({"prompt": f"question {n}", "completion": f"answer {n}"}) + "\n" for n in range(40)
        )
    )
    return path


def test_an_export_that_is_as_it_was_written_is_taken_and_traced_to_its_source(source, tmp_path):
    with Dataset.open(source, "anna") as dataset:
        dataset.annotate(1, actions.reject())
    out = tmp_path / "clean.jsonl"
    export(source, out, Plan())
    record = verified(out)
    assert {key: record[key] for key in fingerprint(out)} == fingerprint(out)
    assert record["export"]["source"] == fingerprint(source)
    assert record["export"]["manifest"] == str(tmp_path / "clean.manifest.json")


def test_a_file_no_export_names_is_taken_as_it_is(source):
    assert verified(source) == fingerprint(source)


@pytest.mark.parametrize("name", ["clean.jsonl", "clean.train.jsonl", "clean.validation.jsonl"])
def test_an_export_that_was_changed_is_refused_with_both_hashes(source, tmp_path, name):
    export(source, tmp_path / "clean.jsonl", Plan(split=0.3 if "." in name.removesuffix(".jsonl") else 0))
    out = tmp_path / name
    written = fingerprint(out)["sha256"]
    with out.open("a") as file:
        file.write('{"prompt": "sneaked in", "completion": "later"}\n')
    with pytest.raises(FtuiError) as refused:
        verified(out)
    assert written[:12] in refused.value.message
    assert fingerprint(out)["sha256"][:12] in refused.value.message
    assert "clean.manifest.json" in refused.value.hint
    assert refused.value.where == str(out)
    (tmp_path / "clean.manifest.json").unlink()
    assert "export" not in verified(out)


def test_an_export_moved_to_another_folder_is_still_verified(source, tmp_path):
    export(source, tmp_path / "clean.jsonl", Plan())
    there = tmp_path / "there"
    there.mkdir()
    for name in ("clean.jsonl", "clean.manifest.json"):
        shutil.copy(tmp_path / name, there / name)
    assert "export" in verified(there / "clean.jsonl")
    (there / "clean.jsonl").write_text('{"text": "another"}\n')
    with pytest.raises(FtuiError, match="not what was exported"):
        verified(there / "clean.jsonl")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"ftui": "1", "files": 3}', '{"ftui": "1", "files": [{"path": 1}]}', "\xff"]
)
def test_another_file_named_like_a_manifest_is_no_obstacle(source, text):
    source.with_name("rows.manifest.json").write_text(text, encoding="latin-1")
    assert verified(source) == fingerprint(source)


def test_decisions_on_an_export_do_not_change_the_file(source, tmp_path):
    out = tmp_path / "clean.jsonl"
    export(source, out, Plan())
    with Dataset.open(out, "anna") as dataset:
        dataset.annotate(1, actions.reject())
    assert verified(out)["journal_sha256"]


def test_what_changed_since_is_told_apart(source):
    record = fingerprint(source)
    assert difference(record) == ""
    with Dataset.open(source, "anna") as dataset:
        dataset.annotate(1, actions.reject())
    assert difference(record) == "decisions"
    source.write_text('{"text": "x"}\n')
    assert difference(record) == "file"


class Told:
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str, hint: str = "", level: str = "warning") -> None:
        self.notices.append(f"{message}: {hint}")


@pytest.fixture
def run(source, tmp_path):
    """A run directory made for `source`, its rows not encoded yet."""
    path = tmp_path / "run"
    path.mkdir()
    manifest = {"data": {"train": fingerprint(source)}, "name": "x"}
    return SimpleNamespace(
        path=path, manifest=manifest, read_manifest=lambda: manifest, update_manifest=manifest.update
    )


def check(run) -> list[str]:
    from ftui.engine.setup_data import check_data

    told = Told()
    check_data(run, told)
    return told.notices


def test_a_file_changed_since_the_run_was_made_is_refused(run, source):
    assert check(run) == []
    source.write_text(source.read_text() + '{"text": "x"}\n')
    with pytest.raises(FtuiError, match="not the one this run was made for"):
        check(run)
    source.unlink()
    with pytest.raises(FtuiError, match="no such file"):
        check(run)


def test_decisions_made_before_encoding_are_written_into_the_manifest(run, source):
    with Dataset.open(source, "anna") as dataset:
        dataset.annotate(1, actions.reject())
    assert check(run) == []
    assert run.manifest["data"]["train"] == fingerprint(source)


@pytest.mark.parametrize("change", ["file", "decisions", "gone"])
def test_a_resumed_run_keeps_its_rows_and_says_that_the_dataset_changed(run, source, change):
    from ftui.engine.rows import TALLY

    (run.path / "cache").mkdir()
    (run.path / "cache" / TALLY).write_text("{}")
    before = json.dumps(run.manifest)
    if change == "decisions":
        with Dataset.open(source, "anna") as dataset:
            dataset.annotate(1, actions.reject())
    elif change == "file":
        source.write_text('{"text": "x"}\n')
    else:
        source.unlink()
    [notice] = check(run)
    assert {"decisions": "new decisions", "file": "has changed", "gone": "cannot be read"}[change] in notice
    assert json.dumps(run.manifest) == before
