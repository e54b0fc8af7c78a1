"""The Recipe pane: fields are edited, checked and saved; what a run takes is shown as it changes."""

from __future__ import annotations

import stat

import pytest

from ftui.core.errors import FtuiError
from ftui.core.hardware import GIB, Hardware
from ftui.core.recipe import Recipe, fields, load_recipe
from ftui.runs import recipe_facts
from ftui.runs.queue import pause, queued
from ftui.runs.recipes import save_recipe
from ftui.ui import recipe_desk
from ftui.ui.recipe_draft import Draft
from ftui.ui.widgets.field_list import FieldList
from ftui.ui.widgets.findings_list import FindingsList
from ftui.ui.widgets.value_editor import ValueEditor
from tests.ui.capture import HOSTILE, assert_harmless, capture, output_of
from tests.ui.panes import app_on, screen_text, shown, still_machine, until

assert still_machine  # a fixture

GPU = Hardware("cuda", "NVIDIA RTX 4090", 24 * GIB)
ROW = {
    "messages": [
        {"role": "user", "content": "where is it?"},
        {"role": "assistant", "content": "on its way " * 9},
    ]
}


@pytest.fixture(autouse=True)
def one_machine(monkeypatch):
    """Always the same GPU, whatever the tests run on."""
    monkeypatch.setattr(recipe_facts, "this_machine", lambda: GPU)


@pytest.fixture
def path(workspace, write_rows):
    """A recipe in the workspace, on a dataset that is there."""
    write_rows([ROW] * 400)
    path = workspace.recipes / "tickets.toml"
    recipe = Recipe().with_values(
        {"name": "tickets", "data.train": "datasets/tickets.jsonl", "data.max_length": 512}
    )
    save_recipe(path, recipe)
    return path


def recipe_of(app):
    return app.screen.draft.recipe


async def ready(pilot):
    """The pane with everything it can know."""
    await until(pilot, lambda: getattr(pilot.app.screen, "_around", None))
    await pilot.pause()


async def go(pilot, field):
    pilot.app.screen.query_one(FieldList).go(field)
    await pilot.pause()


async def type_value(pilot, field, text, *keys):
    """Replaces a field's value by typing."""
    await go(pilot, field)
    await pilot.press("enter")
    await pilot.pause()
    editor = pilot.app.screen.query_one(ValueEditor)
    assert editor.is_open
    editor.value = text
    await pilot.pause()
    await pilot.press(*(keys or ("enter",)))
    await pilot.pause()


async def test_it_opens_on_the_recipe_changed_last_with_real_figures(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        text = await shown(pilot, "recipes/tickets.toml", "400 rows", "135M parameters", "NVIDIA RTX 4090")
        assert "fits" in text
        assert "steps" in text
        assert "no run like it here yet" in text


async def test_an_empty_workspace_opens_on_a_new_recipe_and_says_what_is_missing(workspace):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await shown(pilot, "untitled, new", "not saved yet", "no dataset named")


async def test_a_recipe_opened_while_the_room_changes_is_the_one_shown(workspace, path, monkeypatch):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        screen, other = app.screen, Recipe().with_values({"name": "other"})
        monkeypatch.setattr(screen, "_look", lambda: None)  # what it finds would be shown over a mistake here
        screen.on_resize()  # shows again once the layout is done ...
        screen.take_opened(recipe_desk.Opened(Draft.fresh(other)))  # ... when the draft is another one
        await pilot.pause()
        await shown(pilot, "other, new", "no dataset named")


async def test_typing_shows_what_follows_at_once_and_enter_keeps_it(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await go(pilot, "adapter.alpha")
        await pilot.press("enter")
        await pilot.press("backspace", "backspace", "9", "9", "9")
        await shown(pilot, "alpha = 999", "about 2 is usual")
        assert recipe_of(app).adapter.alpha == 32
        await pilot.press("enter")
        assert recipe_of(app).adapter.alpha == 999
        await shown(pilot, "modified")


async def test_what_is_not_accepted_is_explained_and_not_kept(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await type_value(pilot, "adapter.rank", "many", "enter")
        await shown(pilot, "expected a whole number from 1 to 4,096")
        assert app.screen.query_one(ValueEditor).is_open
        await pilot.press("escape")
        await pilot.pause()
        assert not app.screen.query_one(ValueEditor).is_open
        assert recipe_of(app).adapter.rank == 16
        assert (
            "expected a whole number" not in screen_text(app)
            or app.screen.query_one(FieldList).cursor == "adapter.rank"
        )


async def test_tab_keeps_the_value_and_edits_the_next_field(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await type_value(pilot, "adapter.rank", "8", "tab")
        assert recipe_of(app).adapter.rank == 8
        editor = app.screen.query_one(ValueEditor)
        await until(pilot, lambda: editor.field == "adapter.alpha")
        await pilot.press("shift+tab")
        await until(pilot, lambda: editor.field == "adapter.rank")


async def test_choices_turn_with_enter_and_arrows(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await go(pilot, "quantization.bits")
        await pilot.press("enter")
        assert recipe_of(app).quantization.bits == 8
        await pilot.press("left", "left")
        assert recipe_of(app).quantization.bits == 16
        await go(pilot, "data.packing")
        await pilot.press("space")
        assert recipe_of(app).data.packing is False


async def test_undo_goes_back_change_by_change(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        before = recipe_of(app)
        await type_value(pilot, "adapter.rank", "8")
        await type_value(pilot, "training.epochs", "1")
        await pilot.press("u")
        assert recipe_of(app) == before.with_values({"adapter.rank": 8})
        await pilot.press("u")
        assert recipe_of(app) == before
        await pilot.press("u")
        await shown(pilot, "nothing to undo")


async def test_a_fix_is_one_key_and_is_undone_like_any_change(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await type_value(pilot, "adapter.alpha", "4096")
        await pilot.press("f")
        assert recipe_of(app).adapter.alpha == 32
        await pilot.press("u")
        assert recipe_of(app).adapter.alpha == 4096
        findings = app.screen.query_one(FindingsList)
        findings.focus()
        await pilot.press("enter")
        await until(pilot, lambda: recipe_of(app).adapter.alpha == 32)


async def test_saving_keeps_comments_and_writes_only_what_changed(workspace, path):
    path.write_text(path.read_text() + "\n# mine\n")
    before = path.read_text()
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await type_value(pilot, "adapter.rank", "8")
        await pilot.press("ctrl+s")
        await shown(pilot, "saved")
        await until(pilot, lambda: app.screen.draft.saved == recipe_of(app))
        assert path.read_text() == before.replace(
            "rank = 16", "rank = 8 "
        ) or path.read_text() == before.replace("rank = 16", "rank = 8")
        assert app.screen.unsaved() == ""


async def test_a_new_recipe_is_saved_under_the_name_given(workspace):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await pilot.press("ctrl+s", *"first", "enter")
        await shown(pilot, "recipes/first.toml")
        assert load_recipe(workspace.recipes / "first.toml").name == "first"


async def test_a_change_made_elsewhere_is_asked_about_before_it_is_overwritten(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await type_value(pilot, "adapter.rank", "8")
        path.write_text(path.read_text() + "# theirs\n")
        await pilot.press("ctrl+s")
        await shown(pilot, "changed since you opened it", "overwrite it")
        assert "theirs" in path.read_text()
        await pilot.press("w")
        await until(pilot, lambda: load_recipe(path).adapter.rank == 8)


async def test_opening_another_recipe_asks_about_unsaved_changes(workspace, path):
    other = workspace.recipes / "zother.toml"
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        save_recipe(other, Recipe().with_values({"name": "zother"}))
        await type_value(pilot, "adapter.rank", "8")
        app.open_recipe(other)
        await shown(pilot, "is not saved", "give it up")
        await pilot.press("escape")
        assert recipe_of(app).adapter.rank == 8
        app.open_recipe(other)
        await shown(pilot, "give it up")
        await pilot.press("s")
        await shown(pilot, "recipes/zother.toml")
        assert load_recipe(path).adapter.rank == 8


async def test_a_preset_gives_its_values_and_leaves_name_and_data(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        before = recipe_of(app)
        await pilot.press("p")
        await shown(pilot, "start from a preset", "domain-pretrain", "new-task")
        await pilot.press("down", "enter")
        await until(pilot, lambda: recipe_of(app).training.objective == "pretrain")
        assert recipe_of(app).name == "tickets"
        assert recipe_of(app).data.train == "datasets/tickets.jsonl"
        await pilot.press("u")
        assert recipe_of(app) == before


async def test_recipes_are_compared_field_by_field(workspace, path):
    save_recipe(workspace.recipes / "a-first.toml", load_recipe(path).with_values({"adapter.rank": 64}))
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        app.open_recipe(path)
        await shown(pilot, "recipes/tickets.toml")
        await pilot.press("d")
        await shown(pilot, "compare with", "a-first")
        await pilot.press("enter")
        text = await shown(pilot, "this recipe against a-first", "adapter.rank")
        assert "adapter.alpha" not in text
        await pilot.press("t")
        await until(pilot, lambda: recipe_of(app).adapter.rank == 64)


async def test_a_memory_that_does_not_suffice_is_said_and_cured(workspace, path, monkeypatch):
    monkeypatch.setattr(recipe_facts, "this_machine", lambda: Hardware("cuda", "small", 1 * GIB))
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await type_value(pilot, "training.checkpointing", "none")
        app.screen.change({"training.micro_batch": 16, "data.max_length": 2048})
        await shown(pilot, "does not fit", "needs about")
        await pilot.press("r")
        await shown(pilot, "cannot run yet")


async def test_a_base_and_a_template_that_cannot_be_are_findings_and_do_not_run(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        app.screen.change({"model.chat_template": "none"})
        await shown(pilot, "no chat template")
        app.screen.change({"model.chat_template": "chatml"})
        await type_value(pilot, "model.base", "./nowhere")
        await shown(pilot, "no such model folder")
        await pilot.press("r")
        await shown(pilot, "cannot run yet")
    assert not workspace.runs.exists()


async def test_a_base_that_is_not_here_is_unknown_rather_than_guessed(workspace, path, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no-hub"))
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await type_value(pilot, "model.base", "org/name")
        await shown(pilot, "org/name: unknown until the model")


async def test_run_launches_what_is_on_the_screen_and_shows_it(workspace, path, monkeypatch):
    launched = []

    def launch(workspace, recipe, *, recipe_path, command):
        launched.append((recipe, recipe_path, command))
        raise FtuiError("no more processes", "close some")

    monkeypatch.setattr(recipe_desk, "launch", launch)
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await type_value(pilot, "adapter.rank", "8")
        await pilot.press("r")
        await until(pilot, lambda: launched)
        recipe, recipe_path, command = launched[0]
        assert (recipe.adapter.rank, recipe_path) == (8, path)
        assert command == f"ftui train {path} --set=adapter.rank=8"
        await shown(pilot, "no more processes")


async def test_q_queues_what_is_on_the_screen_and_says_its_place(workspace, path):
    pause(workspace)  # or it would be started
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await type_value(pilot, "adapter.rank", "8")
        await pilot.press("q")
        await shown(pilot, "number 1")
        await pilot.press("q")
        await shown(pilot, "number 2", "paused")
    runs = queued(workspace)
    assert [load_recipe(run.recipe_path).adapter.rank for run in runs] == [8, 8]
    assert runs[0].read_manifest()["command"] == f"ftui train {path} --set=adapter.rank=8"


async def test_what_cannot_run_is_not_queued(workspace, path, monkeypatch):
    monkeypatch.setattr(recipe_facts, "this_machine", lambda: Hardware("cuda", "small", 1 * GIB))
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await type_value(pilot, "training.checkpointing", "none")
        app.screen.change({"training.micro_batch": 16, "data.max_length": 2048})
        await shown(pilot, "does not fit")
        await pilot.press("q")
        await shown(pilot, "cannot run yet")
    assert queued(workspace) == []


async def test_a_run_that_would_crowd_out_another_is_refused_and_can_be_queued(workspace, path, monkeypatch):
    def full(*arguments, otherwise, **options):
        raise FtuiError("other-1 trains on GPU 0 already: 20.0 GiB needed, 3.0 GiB free", otherwise)

    monkeypatch.setattr(recipe_desk, "look_for_room", full)
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await pilot.press("r")
        await shown(pilot, "other-1 trains on GPU 0", "q queues it")
    assert not workspace.runs.exists() or not list(workspace.runs.iterdir())


async def test_the_command_can_be_written_to_a_file(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await pilot.press("y")
        await shown(pilot, "ftui train")
        await pilot.press("w")
        script = workspace.root / "train-tickets.sh"
        await until(pilot, script.exists)
        assert f"ftui train {path}" in script.read_text()
        assert script.stat().st_mode & stat.S_IRUSR


async def test_a_field_is_found_by_a_part_of_its_name(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await pilot.press("slash", *"neft", "enter")
        await until(pilot, lambda: app.screen.query_one(FieldList).cursor == "training.neftune_alpha")
        await shown(pilot, "51 of 51 fields")


async def test_in_80_columns_the_form_has_the_room_and_one_key_shows_the_rest(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        text = await shown(pilot, "i shows more", "max_length")
        assert "activations" not in text
        await pilot.press("i")
        text = await shown(pilot, "activations", "findings")
        assert "max_length  " not in text
        await pilot.press("escape")
        await shown(pilot, "i shows more")


async def test_every_field_can_be_reached_and_explains_itself(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await pilot.press("a", "home")
        form, seen = app.screen.query_one(FieldList), set()
        for _ in range(51):
            seen.add(form.cursor)
            await until(pilot, form.value_region)
            assert fields()[form.cursor].why.split()[0] in screen_text(app)
            form.action_move(1)
            await pilot.pause()
        assert len(seen) == 51


async def test_a_mouse_click_chooses_and_a_second_one_edits(workspace, path):
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await go(pilot, "data.max_length")
        region = app.screen.query_one(FieldList).value_region()
        await pilot.click(FieldList, offset=(region.x, region.y))
        await until(pilot, lambda: app.screen.query_one(ValueEditor).field == "data.max_length")


async def test_nothing_in_a_recipe_reaches_the_terminal_as_a_command(workspace, path):
    hostile = HOSTILE.encode("utf-8", "replace").decode()
    save_recipe(
        path, load_recipe(path).with_values({"description": hostile, "evaluation.prompts": [hostile]})
    )
    app = capture(app_on(workspace, "recipe"))
    async with app.run_test(headless=False, size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await go(pilot, "description")
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen.query_one(ValueEditor).is_open
        await pilot.press("enter", "slash", *"prompts", "enter", "d")
        await shown(pilot, "compare with")
        await pilot.press("enter")
        await shown(pilot, "this recipe against")
        await pilot.press("escape")
        assert not app.screen.draft.modified
    assert_harmless(output_of(app))


async def test_an_edit_untouched_leaves_hostile_text_exactly_as_it_was(workspace, path):
    text = "family \u200d emoji, tab\t and \x1b"
    save_recipe(path, load_recipe(path).with_values({"description": text}))
    app = app_on(workspace, "recipe")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(pilot)
        await go(pilot, "description")
        await pilot.press("enter", "home", "x", "backspace", "enter")
        assert recipe_of(app).description == text


@pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["120x40", "80x24"])
@pytest.mark.usefixtures("still_machine")
def test_picture_of_a_recipe_with_findings(workspace, path, snap_compare, size):
    save_recipe(
        path, load_recipe(path).with_values({"adapter.alpha": 400, "training.epochs": 8, "goal": "domain"})
    )

    async def before(pilot):
        await ready(pilot)
        await go(pilot, "training.learning_rate")
        await until(pilot, lambda: pilot.app.pulse.host)
        await pilot.pause()

    assert snap_compare(app_on(workspace, "recipe"), terminal_size=size, run_before=before)
