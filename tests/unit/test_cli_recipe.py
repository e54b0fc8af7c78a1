"""Promises of `ftui recipe`: one JSON object, exact exit codes, errors in one line."""

from __future__ import annotations

import json

import pytest

from ftui.cli.main import main
from ftui.core.recipe import Recipe, load_recipe


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs `ftui recipe ...` in a workspace; returns (exit code, stdout, stderr)."""
    monkeypatch.setenv("FTUI_WORKSPACE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets").mkdir()
    row = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    (tmp_path / "datasets" / "tickets.jsonl").write_text((json.dumps(row) + "\n") * 200)

    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(["recipe", *map(str, arguments)])
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return call


def as_json(output):
    assert output.count("\n") == 1
    return json.loads(output)


def test_new_writes_a_recipe_from_preset_goal_and_assignments(run, tmp_path):
    code, out, _ = run(
        "new",
        "--preset",
        "demo",
        "--goal",
        "task",
        "--set",
        "training.batch_size=2",
        "--set",
        "name=mine",
        "x",
        "--json",
    )
    assert code == 0
    assert as_json(out)["path"] == str(tmp_path / "recipes" / "x.toml")
    recipe = load_recipe(tmp_path / "recipes" / "x.toml")
    assert (recipe.name, recipe.goal, recipe.adapter.rank, recipe.training.batch_size) == (
        "mine",
        "task",
        32,
        2,
    )


def test_new_names_the_recipe_after_its_file_and_does_not_overwrite(run, tmp_path):
    target = tmp_path / "elsewhere" / "a b.toml"
    assert run("new", target)[0] == 0
    assert load_recipe(target) == Recipe()
    assert run("new", "plain")[0] == 0
    assert load_recipe(tmp_path / "recipes" / "plain.toml").name == "plain"
    code, out, err = run("new", "plain")
    assert (code, out) == (2, "")
    assert "already there" in err
    assert err.count("\n") == 1
    assert run("new", "plain", "--force", "--set", "adapter.rank=8")[0] == 0
    assert load_recipe(tmp_path / "recipes" / "plain.toml").adapter.rank == 8


@pytest.mark.parametrize(
    "arguments",
    [
        ("new", "--preset", "nope", "x"),
        ("new", "--goal", "nope", "x"),
        ("new", "--set", "adapter.rnk=1", "x"),
        ("new", "--set", "adapter.rank=0", "x"),
        ("show", "nope"),
        ("check", "nope.toml"),
        ("explain", "nope"),
        ("diff", "demo", "nope"),
        ("estimate", "demo", "--gpu-memory", "lots"),
        ("estimate", "qlora-chat"),
    ],
)
def test_wrong_input_exits_2_with_one_line_and_writes_nothing(run, tmp_path, arguments, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no-hub"))
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("ftui: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "recipes").exists()


def test_check_says_yes_with_no_findings(run):
    code, out, _ = run("check", "demo", "--json")
    report = as_json(out)
    assert (code, report["valid"], report["findings"]) == (0, True, [])


def test_check_says_no_with_field_line_and_fix(run, tmp_path):
    run("new", "--preset", "demo", "--set", "adapter.method=full", "x")
    code, out, _ = run("check", "x", "--json")
    report = as_json(out)
    assert (code, report["valid"]) == (1, False)
    finding = report["findings"][0]
    assert (finding["field"], finding["severity"]) == ("quantization.bits", "error")
    assert finding["fix"] == {"quantization.bits": 16}
    lines = (tmp_path / "recipes" / "x.toml").read_text().split("\n")
    assert lines[finding["line"] - 1].startswith("bits = 4")


def test_check_lists_every_invalid_field(run, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("[training]\nepochs = 'x'\nlr = 3\n[model]\nrank = 1\n")
    code, out, _ = run("check", path, "--json")
    assert code == 1
    assert {f["field"]: f["line"] for f in as_json(out)["findings"]} == {
        "training.epochs": 2,
        "training.lr": 3,
        "model.rank": 5,
        "data.train": None,
    }
    code, text, _ = run("check", path)
    assert code == 1
    assert f"{path}:2" in text


def test_check_says_no_to_what_is_not_toml_as_to_any_other_mistake(run, tmp_path):
    (tmp_path / "bad.toml").write_text("schema = 1\nname = \n")
    code, out, err = run("check", tmp_path / "bad.toml", "--json")
    report = as_json(out)
    assert (code, report["valid"], err) == (1, False, "")
    (finding,) = report["findings"]
    assert (finding["field"], finding["severity"], finding["line"]) == ("", "error", 2)
    assert "not valid TOML" in finding["message"]
    code, out, _ = run("check", tmp_path / "bad.toml")
    assert code == 1
    assert "bad.toml:2  not valid TOML" in out
    (tmp_path / "deep.toml").write_text("a = " + "[" * 100_000)
    assert as_json(run("check", tmp_path / "deep.toml", "--json")[1])["valid"] is False


def test_a_wrong_value_hides_no_other_mistake(run, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(
        'schema = 1\n[data]\ntrain = "gone.jsonl"\n[training]\nlearning_rate = 5\nlr = 3\n'
        '[model]\nbase = "./nowhere"\n[quantization]\nbits = 5\n[adapter]\nmethod = "full"\n'
    )
    code, out, _ = run("check", path, "--json")
    assert code == 1
    assert {one["field"]: one["line"] for one in as_json(out)["findings"]} == {
        "training.learning_rate": 5,
        "training.lr": 6,
        "quantization.bits": 10,
        "data.train": 3,
        "model.base": 8,
    }
    path.write_text("schema = 1\ndata = 5\n[training]\nepochs = 'x'\n")
    assert [one["field"] for one in as_json(run("check", path, "--json")[1])["findings"]] == [
        "data",
        "training.epochs",
    ]


def test_check_reads_the_dataset_it_names(run):
    run("new", "--preset", "demo", "--goal", "reasoning", "x")
    _, out, _ = run("check", "x", "--json")
    assert any("200 rows are few" in finding["message"] for finding in as_json(out)["findings"])


def test_estimate_follows_the_contract(run):
    code, out, _ = run("estimate", "demo", "--gpu-memory", "24GiB", "--json")
    report = as_json(out)
    assert code == 0
    assert set(report["parts"]) == {
        "weights", "adapter", "optimizer", "gradients", "activations", "logits", "overhead",
    }  # fmt: skip
    assert report["total_bytes"] == sum(report["parts"].values())
    assert (report["fits"], report["steps"], report["trainable_parameters"]) == (True, 36, 4_884_480)
    assert report["available_bytes"] == 24 * 1024**3
    assert report["checkpoint_bytes"] == 3 * 4 * 4_884_480  # weights and Adam's two moments, in fp32
    told = run("estimate", "demo")[1]
    assert "fits" in told
    assert "each new best evaluation saves one" in told


def test_show_list_diff_explain_and_schema(run):
    assert as_json(run("show", "demo", "--json")[1])["recipe"]["training"]["max_steps"] == 36
    assert "max_steps = 36" in run("show", "demo")[1]
    names = [recipe["name"] for recipe in as_json(run("list", "--json")[1])["recipes"]]
    assert "demo" in names
    assert "presets" in run("list")[1]
    changes = as_json(run("diff", "demo", "qlora-chat", "--json")[1])["changes"]
    assert {"field": "training.max_steps", "a": 36, "b": 0} in changes
    assert run("diff", "demo", "demo")[1] == "no difference\n"
    explained = as_json(run("explain", "training.learning_rate", "--json")[1])
    assert explained["default"] == 2e-4
    assert "expects" in run("explain", "rank")[1]
    assert len(run("explain")[1].splitlines()) > 40
    assert "training" in as_json(run("schema", "--json")[1])["properties"]


def test_help_ends_with_an_example(run):
    for command in ("list", "new", "check", "show", "explain", "diff", "schema", "estimate"):
        code, out, _ = run(command, "--help")
        assert code == 0
        assert "Example:" in out
