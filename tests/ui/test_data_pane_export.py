"""Leaving the Data pane: what is said before a file is written, what is written, and what is never harmed."""

from __future__ import annotations

import json
import threading

import pytest

from ftui.core.errors import FtuiError
from ftui.data import actions
from ftui.data import export as exporting
from ftui.data.dataset import Dataset
from ftui.runs.workspace import Workspace
from ftui.ui import export_desk, export_words
from ftui.ui.modals import export_rows
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.data_rows import data_pane, ticket, tickets
from tests.ui.panes import app_on, screen_text, shown, still_machine, until  # noqa: F401

pytestmark = pytest.mark.usefixtures("still_machine")
SIZE = (120, 36)
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
BROKEN = b'{"messages": [{"role": "user", "content": "cut'


@pytest.fixture
def decided(write_rows):
    """Seven rows: two accepted, one rejected, one broken."""
    path = write_rows([*tickets(), BROKEN])
    with Dataset.open(path, "mira") as dataset:
        for number, action in [(1, actions.accept()), (2, actions.accept()), (3, actions.reject())]:
            dataset.annotate(number, action)
    return path


def lines(path) -> list[bytes]:
    return path.read_bytes().splitlines()


def set_text(pilot, name: str, text: str) -> None:
    pilot.app.screen.query_one(f"#{name}").value = text


async def test_w_and_enter_write_the_clean_rows_into_the_workspace_with_a_manifest(workspace, decided):
    before = decided.read_bytes()
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "1 of 7")
        await pilot.press("w")
        await shown(
            pilot,
            "export tickets.jsonl",
            "5 rows would be written to datasets/tickets.clean.jsonl",
            "left out: 1 rejected, 1 broken",
        )
        await pilot.press("enter")
        await shown(
            pilot,
            "exported",
            "5 rows",
            "left out: rejected",
            "manifest  datasets/tickets.clean.manifest.json",
        )
        out = workspace.datasets / "tickets.clean.jsonl"
        manifest = json.loads((workspace.datasets / "tickets.clean.manifest.json").read_text())
        assert manifest["files"][0]["sha256"][:12] in screen_text(pilot.app)
        assert [manifest["only"], manifest["shape"], manifest["files"][0]["rows"]] == [
            "not-rejected",
            "same",
            5,
        ]
        source = lines(decided)
        assert lines(out) == [source[0], source[1], source[3], source[4], source[5]]
        assert decided.read_bytes() == before
        await pilot.press("o")
        await shown(pilot, "tickets.clean.jsonl", "1 of 5")


async def test_a_decision_made_just_before_is_in_the_export(workspace, decided):
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot, "1 of 7")
        await pilot.press("x", "w", "enter")
        await shown(pilot, "exported")
        assert len(lines(workspace.datasets / "tickets.clean.jsonl")) == 4


async def test_arrows_choose_the_rows_and_the_count_follows(workspace, decided):
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot, "1 of 7")
        await pilot.press("w")
        await shown(pilot, "5 rows would be written")
        await pilot.press("down", "down", "right")
        await shown(pilot, "2 rows would be written", "4 not accepted", "only what you accepted")
        await pilot.press("right")
        await shown(pilot, "6 rows would be written", "rejected ones too")


async def test_a_shape_says_what_it_would_lose_and_what_it_cannot_hold(workspace, write_rows):
    weighted = ticket("q", "a")
    weighted["messages"][1]["weight"] = 0
    write_rows([weighted, *tickets(), {"messages": [{"role": "user", "content": "no answer"}]}])
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot, "1 of 8")
        await pilot.press("w", "down", "right", "right")
        await shown(pilot, "‹ sharegpt ›", "8 rows", "sharegpt cannot hold: loss weights in 1 row")
        await pilot.press("right")
        await shown(pilot, "this would fail: 1 of 8 rows", "row 8: this row cannot be written as alpaca")
        await pilot.press("enter")
        await shown(pilot, "row 8: this row cannot be written as alpaca", "enter exports")
        assert [path.name for path in workspace.datasets.iterdir() if path.is_file()] == ["tickets.jsonl"]


async def test_rows_that_do_not_fit_can_be_left_out(workspace, write_rows):
    write_rows([*tickets(), {"messages": [{"role": "user", "content": "no answer"}]}])
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot, "1 of 7")
        await pilot.press("w", "down", "right", "right", "right")
        await shown(pilot, "this would fail: 1 of 7 rows")
        await pilot.press("down", "down", "right")
        await shown(pilot, "‹ leave out ›", "6 rows", "left out: 1 do not fit alpaca")
        await pilot.press("enter")
        await shown(pilot, "6 rows")
    assert len((workspace.datasets / "tickets.clean.jsonl").read_text().splitlines()) == 6


async def test_a_split_writes_two_files_and_both_go_into_the_open_recipe(workspace, write_rows):
    write_rows([ticket(f"question number {n} of a long list", f"answer {n * 7919}") for n in range(200)])
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "1 of 200")
        await pilot.press("2")
        recipe = pilot.app.screen
        await until(pilot, lambda: recipe.key is not None)
        await pilot.press("1", "w")
        await shown(pilot, "200 rows would be written")
        set_text(pilot, "split", "20%")
        await shown(pilot, "in two files, about 20%", "near-duplicates never straddle")
        await pilot.press("enter")
        await shown(pilot, "datasets/tickets.clean.train.jsonl", "datasets/tickets.clean.validation.jsonl")
        await pilot.press("w")
        await shown(pilot, "not saved yet")
        assert recipe.draft.recipe.data.train == "datasets/tickets.clean.train.jsonl"
        assert recipe.draft.recipe.data.validation == "datasets/tickets.clean.validation.jsonl"


async def test_without_an_open_recipe_it_says_what_to_set(workspace, decided):
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "1 of 7")
        await pilot.press("w", "enter")
        await shown(pilot, "exported")
        await pilot.press("w")
        await shown(pilot, "no recipe is open", "set data.train to")


async def test_a_file_that_is_there_is_replaced_only_when_said_so(workspace, decided):
    out = workspace.datasets / "tickets.clean.jsonl"
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot, "1 of 7")
        out.write_bytes(b"precious\n")
        await pilot.press("w", "enter")
        await shown(pilot, "Replace tickets.clean.jsonl?")
        await pilot.press("enter")
        assert out.read_bytes() == b"precious\n"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, export_rows.ExportRows))
        await shown(pilot, "enter exports")
        assert out.read_bytes() == b"precious\n"
        await pilot.press("enter", "y")
        await shown(pilot, "exported")
        assert len(lines(out)) == 5


async def test_replacing_a_dataset_with_annotations_says_so(workspace, decided, write_rows):
    other = write_rows(tickets(), "other.jsonl")
    with Dataset.open(other, "bo") as dataset:
        dataset.annotate(1, actions.accept())
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        pane = await data_pane(pilot)
        pane.open_dataset(decided)
        await shown(pilot, "1 of 7")
        await pilot.press("w")
        set_text(pilot, "file", "datasets/other.jsonl")
        await pilot.press("enter")
        await shown(pilot, "Replace other.jsonl?", "annotations of its own")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("datasets/tickets.jsonl", "that is the dataset itself"),
        ("datasets/../datasets/tickets.jsonl", "that is the dataset itself"),
        ("clean.parquet", "cannot tell the format"),
        ("", "no file is named"),
        ("datasets/tickets.jsonl/x.jsonl", "cannot write"),
        ("x" * 300 + ".jsonl", "cannot write"),
        ("datasets/folder.jsonl", "that is no file"),
    ],
)
async def test_a_file_that_cannot_be_written_is_refused_in_one_line(workspace, decided, name, complaint):
    (workspace.datasets / "folder.jsonl").mkdir()
    before = decided.read_bytes()
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot, "1 of 7")
        await pilot.press("w")
        set_text(pilot, "file", name)
        await pilot.press("enter")
        await shown(pilot, complaint, "enter exports")
        assert decided.read_bytes() == before


async def test_esc_stops_an_export_and_leaves_no_half_file(workspace, write_rows, monkeypatch):
    write_rows(tickets() * 200)
    begun, going = threading.Event(), threading.Event()
    real = exporting.export

    def slow(source, out, plan, progress, cancelled):
        def held(done: int, total: int) -> None:
            progress(done, total)
            begun.set()
            going.wait(120)

        return real(source, out, plan, held, cancelled)

    monkeypatch.setattr(export_desk, "export", slow)
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot, "1 of 1,200")
        await pilot.press("w", "enter")
        await until(pilot, begun.is_set)
        await shown(pilot, "row 1 of 1,200", "esc cancels")
        await pilot.press("escape")
        await shown(pilot, "stopping")
        going.set()
        await shown(pilot, "cancelled: nothing was written", "enter exports")
        assert {path.name for path in workspace.datasets.iterdir()} <= {"tickets.jsonl", "tickets.jsonl.ftui"}
        await pilot.press("escape")
        await until(pilot, lambda: not pilot.app.screen.is_modal)


async def test_a_csv_can_be_made_safe_for_spreadsheets(workspace, write_rows):
    write_rows([{"instruction": "=1+1", "output": "two"}, {"instruction": "plain", "output": "-3"}])
    async with app_on(workspace, "data").run_test(size=SIZE) as pilot:
        await data_pane(pilot, "1 of 2")
        await pilot.press("w")
        set_text(pilot, "file", "out.csv")
        await shown(pilot, "‹ exact text ›", "a spreadsheet may run")
        await pilot.press("up", "right")
        await shown(pilot, "‹ safe to open ›", "alters text")
        await pilot.press("enter")
        await shown(pilot, "exported", "2 cells  altered")
        assert lines(workspace.root / "out.csv")[1] == b"'=1+1,two"


async def test_the_palette_exports_too(workspace, decided):
    async with app_on(workspace, "data").run_test(size=SIZE, notifications=True) as pilot:
        await data_pane(pilot, "1 of 7")
        assert "Export" in [command.title for command in pilot.app.get_system_commands(pilot.app.screen)]
        await pilot.app.action_export()
        await shown(pilot, "export tickets.jsonl")


async def test_nothing_open_is_said(workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with app_on(Workspace(tmp_path / "new"), "data").run_test(size=SIZE, notifications=True) as pilot:
        await shown(pilot, "Look at an example")
        await pilot.app.action_export()
        await shown(pilot, "nothing to export now")


async def test_hostile_names_and_fields_do_nothing_to_the_terminal(workspace, write_rows):
    rows = [{"a": 1}, {"a": 2, HOSTILE: 3}]
    path = write_rows(rows, "ev\x1b[2Jil\x9b31m.jsonl")
    app = capture(app_on(workspace, "data"))
    async with app.run_test(headless=False, size=SIZE) as pilot:
        pane = await data_pane(pilot)
        pane.open_dataset(path)
        await shown(pilot, "1 of 2")
        await pilot.press("w")
        set_text(pilot, "file", "out.csv")
        await shown(pilot, "row 2: it has fields the first lacks")
        await pilot.press("enter")
        await shown(pilot, "a row has fields the first lacks")
        set_text(pilot, "file", "out.jsonl")
        await pilot.press("enter")
        await shown(pilot, "exported")
    assert_harmless(output_of(app))


def test_the_offered_file_is_never_the_source(workspace):
    def offered(name):
        return export_words.file_name(workspace.datasets / name, workspace)

    assert offered("a.jsonl") == "datasets/a.clean.jsonl"
    assert offered("a.jsonl.gz") == offered("a.parquet") == "datasets/a.clean.jsonl"
    assert offered("a.clean.jsonl") == "datasets/a.clean2.jsonl"
    assert offered("a.clean2.jsonl") != "datasets/a.clean2.jsonl"


@pytest.mark.parametrize(("text", "value"), [("", 0), ("0.1", 0.1), ("10%", 0.1), ("0,25", 0.25)])
def test_a_share_is_read_as_people_write_it(text, value):
    assert export_words.share(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["1", "-0.1", "nan", "ten", "100%", "inf"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(FtuiError):
        export_words.share(text)


@SIZES
def test_picture_of_an_export_about_to_be_written(workspace, decided, snap_compare, size):
    async def ready(pilot) -> None:
        await shown(pilot, "1 of 7", "RAM")
        await pilot.press("w")
        await shown(pilot, "5 rows would be written")
        pilot.app.screen.focused.cursor_blink = False
        set_text(pilot, "split", "0.1")
        await pilot.press("down")
        await shown(pilot, "in two files")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)


@SIZES
def test_picture_of_an_export_that_was_written(workspace, decided, snap_compare, size):
    async def ready(pilot) -> None:
        await shown(pilot, "1 of 7", "RAM")
        await pilot.press("w", "enter")
        await shown(pilot, "exported", "manifest")

    assert snap_compare(app_on(workspace, "data"), terminal_size=size, run_before=ready)
