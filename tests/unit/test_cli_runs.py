"""`ftui train`, `ftui runs` and `ftui doctor` as a person or a script meets them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ftui.cli.run_text import event_line, span_text
from ftui.core.geometry import DEMO
from ftui.core.hardware import Hardware
from ftui.runs import follow, launch, recipe_facts
from ftui.runs.machine import detach_problems, disk_problems, gpu_problems, package_problems
from ftui.runs.process import child_environment
from ftui.runs.rundir import EventWriter, RunDir, replace_json
from tests.runs_support import end_everything, fake_trainer, make_workspace, recipe, until, until_state

_REAL_START = launch.start_attempt


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    workspace = make_workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield workspace
    end_everything(workspace)


@pytest.fixture
def trainer(monkeypatch):
    """Makes every run of this test use the pretended trainer given."""

    def use(steps, *traits):
        monkeypatch.setattr(
            launch,
            "start_attempt",
            lambda rundir, root, command=(), **how: _REAL_START(
                rundir, root, fake_trainer(steps, *traits), **how
            ),
        )

    return use


def test_train_returns_at_once_with_the_run(workspace, trainer, ftui):
    trainer(100_000)
    code, answer, _ = ftui("train", "tickets", "--json")
    assert code == 0
    assert answer["run"].startswith("tickets-")
    rundir = RunDir(workspace.runs / answer["run"])
    assert answer["dir"] == str(rundir.path)
    until_state(rundir, "running")
    code, listed, _ = ftui("runs", "--json")
    (run,) = listed["runs"]
    contract = "id name state step steps loss eval_loss tokens_per_second eta_seconds started ended"
    assert set(contract.split()) <= run.keys()
    assert (run["id"], run["state"]) == (rundir.id, "running")
    code, stopped, _ = ftui("runs", "stop", "last", "--json")
    assert (code, stopped["state"]) == (0, "stopped")
    code, resumed, _ = ftui("runs", "resume", "last", "--json")
    assert code == 0
    assert resumed["step"] > 0
    until_state(rundir, "running")
    code, stopped, _ = ftui("runs", "stop", rundir.id, "--now", "--json")
    assert (code, stopped["state"]) == (0, "stopped")


def test_follow_shows_each_step_and_exits_with_the_outcome(workspace, trainer, ftui):
    trainer(7)
    code, out, _ = ftui("train", "recipes/tickets.toml", "--follow")
    assert code == 0
    assert [f"step {step}/7" in out for step in range(1, 8)] == [True] * 7
    assert "finished" in out.splitlines()[-1]
    trainer(5, "fail")
    code, answer, _ = ftui("train", "tickets", "--follow", "--json")
    assert (code, answer["state"]) == (3, "failed")
    assert "not a number" in answer["reason"]


def test_ctrl_c_stops_looking_and_leaves_the_run(workspace):
    code = (
        "import signal, sys\nfrom ftui.runs import launch\nfrom ftui.cli.main import main\n"
        # What a terminal's foreground job has; the tests themselves may run in the background.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tests.runs_support import fake_trainer\nreal = launch.start_attempt\n"
        "launch.start_attempt = lambda run, root, command=(), **how: real(run, root, fake_trainer(10**5), **how)\n"
        "main(['train', 'tickets', '--follow'])"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=workspace.root,
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while "step 3/" not in command.stdout.readline():
        assert command.poll() is None
    os.killpg(command.pid, signal.SIGINT)
    _, err = command.communicate(timeout=120)
    assert command.returncode == 130
    assert "goes on" in err
    (rundir,) = map(RunDir, workspace.runs.iterdir())
    until_state(rundir, "running")


def test_a_dry_run_checks_everything_and_makes_nothing(workspace, ftui):
    code, plan, _ = ftui("train", "tickets", "--set", "training.max_steps=9", "--dry-run", "--json")
    assert code == 0
    assert plan["run"] is None
    assert plan["would"]["train"] == str(workspace.datasets / "tickets.jsonl")
    assert plan["would"]["recipe"]["training"]["max_steps"] == 9
    assert "9 steps" in ftui("train", "tickets", "--set", "training.max_steps=9", "--dry-run")[1]
    assert not workspace.runs.exists()


def test_the_command_to_repeat_a_run_works_from_any_directory(
    workspace, trainer, ftui, tmp_path_factory, monkeypatch
):
    trainer(1)
    ftui("train", "tickets", "--follow", "--set", "training.max_steps=9")
    shown = ftui("runs", "show", "last")[1]
    (line,) = (line for line in shown.splitlines() if line.strip().startswith("to repeat"))
    command = shlex.split(line.strip().removeprefix("to repeat"))
    other = make_workspace(tmp_path_factory.mktemp("other"))
    for folder in (tmp_path_factory.mktemp("elsewhere"), other.root):
        monkeypatch.chdir(folder)
        code, plan, _ = ftui(*command[1:], "--dry-run", "--json")
        assert code == 0
        assert plan["would"]["train"] == str(workspace.datasets / "tickets.jsonl")
        assert plan["would"]["workspace"] == str(workspace.root)
        assert plan["would"]["recipe"]["training"]["max_steps"] == 9


def test_a_command_that_works_in_one_directory_only_is_not_the_one_to_repeat(
    workspace, trainer, ftui, tmp_path_factory, monkeypatch
):
    trainer(1)
    here = tmp_path_factory.mktemp("here")
    (workspace.datasets / "tickets.jsonl").rename(here / "rows.jsonl")
    (here / "recipes").mkdir()
    (here / "recipes" / "mine.toml").write_text(recipe(**{"data.train": "rows.jsonl"}).to_toml())
    monkeypatch.chdir(here)
    code, _, _ = ftui("train", "recipes/mine.toml", "--follow", "--workspace", workspace.root)
    assert code == 0
    (run,) = workspace.runs.iterdir()
    shown = ftui("runs", "show", "last", "--workspace", workspace.root)[1]
    assert f"ftui train {run}/recipe.toml --name tickets --workspace {workspace.root}\n" in shown


def test_a_recipe_finds_its_data_in_the_workspace_it_lies_in(workspace, ftui, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setenv("FTUI_WORKSPACE", str(tmp_path_factory.mktemp("usual")))
    code, plan, _ = ftui("train", str(workspace.recipes / "tickets.toml"), "--dry-run", "--json")
    assert (code, plan["would"]["train"]) == (0, str(workspace.datasets / "tickets.jsonl"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train", "nothing"), "nothing"),
        (("train", "tickets", "--set", "training.rank=8"), "training.rank"),
        (("train", "tickets", "--set", "training.learning_rate=-1"), "learning_rate"),
        (("train", "tickets", "--set", "data.train=gone.jsonl", "--dry-run"), "looked in"),
        (("train", "tickets", "--set", "model.base=./nowhere", "--dry-run"), "model.base: no such model"),
        (("train", "tickets", "--set", "model.base=./nowhere"), "model.base: no such model"),
        (("train", "tickets", "--set", "model.base=gone.gguf", "--anyway"), "model.base: no such model"),
        (("train", "tickets", "--set", "model.base=/no/model", "--queue"), "model.base: no such model"),
        (
            ("train", "tickets", "--set", "model.chat_template=none", "--dry-run"),
            "model.chat_template: no chat",
        ),
        (("train", "tickets", "--set", "model.chat_template=none"), "model.chat_template: no chat"),
        (("runs", "show", "nothing"), "no such run"),
        (("runs", "stop", "nothing"), "no such run"),
        (("runs", "delete", "nothing", "--undo"), "no such deleted run"),
        (("runs", "--workspace", "recipes/tickets.toml"), "not a directory"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(workspace, ftui, words, says):
    code, out, err = ftui(*words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    code, answer, again = ftui(*words, "--json")
    assert (code, again) == (2, err)
    assert list(answer) == ["error"]
    assert set(answer["error"]) == {"message", "hint", "where"}
    assert all(answer["error"][part] in err for part in answer["error"])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("runs", "events", "nothing", "--follow"), 2),
        (("runs", "--bogus"), 2),
        (("data", "inspect"), 2),
        (("runs", "resume", "last"), 3),
    ],
)
def test_with_json_every_error_is_one_object_also_of_a_stream_and_of_wrong_words(
    workspace, trainer, ftui, words, code, monkeypatch
):
    trainer(10**5, "starting")
    rundir = RunDir(workspace.runs / ftui("train", "tickets", "--json")[1]["run"])
    ftui("runs", "stop", "last", "--json")
    monkeypatch.setattr(launch, "_start", lambda *given: False)
    got, answer, err = ftui(*words, "--json")
    assert got == code
    assert answer["error"]["message"]
    assert answer["error"]["message"] in err
    # What comes after a lone -- is no option.
    assert ftui("runs", "show", rundir.id, "--bogus", "--", "--json")[1] == ""


def test_what_is_unwise_in_a_recipe_is_told_before_it_starts(workspace, ftui):
    high = ("train", "tickets", "--dry-run", "--set", "training.learning_rate=0.1")
    code, out, err = ftui(*high)
    assert code == 0
    assert "would run" in out
    warnings = [line for line in err.splitlines() if "learning_rate" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("ftui: training.learning_rate: 0.1 is high for an adapter")
    code, plan, err = ftui(*high, "--json")
    assert (code, err) == (0, "")
    assert "training.learning_rate" in [finding["field"] for finding in plan["findings"]]
    assert {finding["severity"] for finding in plan["findings"]} == {"warning"}


def test_an_error_in_a_recipe_refuses_it_unless_it_is_wanted_anyway(workspace, trainer, ftui):
    trainer(3)
    wrong = ("train", "tickets", "--set", "training.objective=dpo")
    for words in (wrong, (*wrong, "--queue"), (*wrong, "--dry-run")):
        code, out, err = ftui(*words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "training.objective" in err
        assert "dpo learns from" in err
    assert not workspace.runs.exists()
    code, _, err = ftui(*wrong, "--anyway", "--follow")
    assert code == 0
    assert "dpo learns from" in err


def test_a_base_too_large_for_one_gpu_is_not_refused_where_a_launcher_may_share_it_out(
    workspace, ftui, monkeypatch
):
    (workspace.root / "large").mkdir()
    (workspace.root / "large" / "config.json").write_text(json.dumps(DEMO))
    monkeypatch.setattr(recipe_facts, "this_machine", lambda: Hardware("cuda", "a GPU", 10 << 20))
    words = ("train", "tickets", "--dry-run", "--set", f"model.base={workspace.root / 'large'}")
    code, _, err = ftui(*words)
    assert code == 2
    assert "needs about" in err
    code, _, err = ftui(*words, "--launcher", "accelerate launch --use_fsdp")
    assert (code, "needs about" in err) == (0, False)
    assert ftui(*words, "--launcher", "no-such-launcher")[0] == 2


def test_a_single_step_to_see_whether_it_runs_is_no_mistake(workspace, ftui):
    assert ftui("train", "tickets", "--dry-run", "--set", "training.max_steps=1")[0] == 0


def test_show_tells_where_everything_is(workspace, trainer, ftui):
    trainer(3)
    ftui("train", "tickets", "--follow")
    code, shown, _ = ftui("runs", "show", "last", "--json")
    assert code == 0
    assert {"dir", "pid", "attempts", "recipe", "manifest", "adapter"} <= shown.keys()
    assert shown["attempts"] == 1
    assert shown["recipe"]["name"] == "tickets"
    assert shown["adapter"] is None, "the pretended one holds no adapter"
    (Path(shown["dir"]) / "adapter" / "adapter_config.json").write_text("{}")
    assert ftui("runs", "show", "last", "--json")[1]["adapter"] == shown["dir"] + "/adapter"
    assert shown["dir"] in ftui("runs", "show", "last")[1]


def test_events_are_a_stream_of_json_lines(workspace, trainer, ftui):
    trainer(6)
    ftui("train", "tickets")
    code, out, _ = ftui("runs", "events", "last", "--follow")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [event["step"] for event in events if event["type"] == "step"] == [1, 2, 3, 4, 5, 6]
    assert events[-1]["type"] == "end"
    with next(workspace.runs.iterdir()).joinpath("events.jsonl").open("ab") as file:
        file.write(b"torn\n")
    code, again, err = ftui("runs", "events", "last")
    assert again == out
    assert "1 line" in err


def test_delete_and_undo(workspace, trainer, ftui):
    trainer(1)
    ftui("train", "tickets", "--follow")
    run = ftui("runs", "--json")[1]["runs"][0]["id"]
    assert ftui("runs", "delete", run)[0] == 0
    assert ftui("runs", "--json")[1] == {"runs": []}
    assert "no runs" in ftui("runs")[1]
    for text in (run, "last", run[:-2]):
        assert ftui("runs", "delete", run, "--undo", "--json")[1]["run"] == run
        assert ftui("runs", "--json")[1]["runs"][0]["id"] == run
        assert ftui("runs", "delete", text, "--json")[1]["run"] == run
    trash = workspace.runs / ".trash"
    (trash / run).rename(trash / f"{run[:8]}-earlier")
    replace_json(trash / f"{run[:8]}-earlier" / "manifest.json", {"created": 1.0})
    ftui("train", "tickets", "--follow")
    ftui("runs", "delete", "last")
    code, _, err = ftui("runs", "delete", run[:8], "--undo")
    assert (code, "2 deleted runs begin with this" in err) == (2, True)
    assert ftui("runs", "delete", "last", "--undo", "--json")[1]["run"] != f"{run[:8]}-earlier"
    assert ftui("runs", "delete", run[:8], "--undo", "--json")[1]["run"] == f"{run[:8]}-earlier"


def test_the_workspace_can_be_named_before_or_after_the_command(
    workspace, trainer, ftui, monkeypatch, tmp_path_factory
):
    trainer(1)
    ftui("train", "tickets", "--follow")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    for words in (("runs", "--workspace", workspace.root, "show", "last", "--json"),
                  ("runs", "show", "last", "--workspace", workspace.root, "--json")):  # fmt: skip
        assert ftui(*words)[1]["state"] == "finished"
    assert ftui("runs", "--workspace", workspace.root, "--json")[1]["runs"]


def test_nothing_a_run_says_reaches_the_terminal_raw(workspace, ftui):
    hostile = "\x1b]52;c;aGk=\x07\x9b31m\u202e[/INST]\0"
    rundir = RunDir(workspace.runs / f"evil{hostile[:8].replace('/', '')}")
    rundir.path.mkdir(parents=True)
    replace_json(rundir.manifest_path, {"name": hostile, "command": hostile, "base": hostile})
    replace_json(rundir.proc_path, {"attempt": 1})
    replace_json(rundir.exit_path, {"attempt": 1, "outcome": "failed", "reason": hostile, "hint": hostile})
    with EventWriter(rundir, 1) as events:
        for kind in (
            "attempt",
            "notice",
            "sample",
            "data",
            "model",
            "step",
            "eval",
            "stopping",
            "end",
            "checkpoint",
        ):
            events.emit(
                kind, **dict.fromkeys(("message", "hint", "prompt", "reply", "reason", "step"), hostile)
            )
    shown = ftui("runs")[1] + ftui("runs", "show", "evil")[1] + ftui("runs", "show", "nothing" + hostile)[2]
    shown += "\n".join(event_line(event) for event in map(json.loads, rundir.events_path.open()))
    assert not set(shown) & set("\x00\x07\x1b\x7f\x9b\u202e")


def test_what_was_made_of_rows_and_weights_is_said():
    rows = {"train_rows": 36, "eval_rows": 4, "dropped": {"empty": 1}, "truncated": 3, "warnings": {"odd": 2}}
    assert event_line({"type": "data", **rows}) == (
        "data: 36 rows to train on, 4 held back; left out: 1 empty; cut off at max_length: 3; in 2 rows odd"
    )
    cut = {
        "train_rows": 60,
        "train_pieces": 86,
        "eval_rows": 0,
        "dropped": {"odd": 2},
        "first_dropped": {"odd": 7},
    }
    assert event_line({"type": "data", **cut}) == (
        "data: 60 rows to train on (cut into 86 pieces), 0 held back; left out: 2 odd (from row 7)"
    )
    model = {"parameters": 8_000_000_000, "trainable_parameters": 40_000_000, "quantized_fraction": 0.874}
    assert event_line({"type": "model", **model}) == (
        "model: 8000M parameters, 0.50% of them trained, 87% of the frozen ones quantized"
    )


def test_durations_read_as_a_person_says_them():
    assert [span_text(seconds) for seconds in (None, 9.7, 372, 3840, 200_000)] == [
        "",
        "9s",
        "6m 12s",
        "1h 04m",
        "2d 07h",
    ]


def test_doctor_tells_what_this_machine_can_do_without_importing_torch_itself(workspace):
    code = (
        "import sys, json\nfrom ftui.cli.main import _exit_code\n"
        "code = _exit_code(['doctor', '--json'])\n"
        "import ftui.cli.runs, ftui.cli.train, ftui.runs.launch, ftui.runs.history, ftui.gpu.host\n"
        "heavy = ('torch', 'transformers', 'peft', 'datasets', 'pyarrow', 'textual')\n"
        "print(json.dumps([code, [name for name in heavy if name in sys.modules]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=child_environment(), capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found, (code, heavy) = map(json.loads, done.stdout.splitlines())
    keys = {"python", "packages", "gpus", "driver", "bf16", "bitsandbytes", "disk_free_bytes", "problems"}
    assert keys <= found.keys()
    assert found["packages"]["torch"]
    assert found["disk_free_bytes"] > 0
    assert code == any(problem["severity"] == "error" for problem in found["problems"])
    assert heavy == []


def test_doctor_warns_where_logging_out_ends_runs(tmp_path):
    assert list(detach_problems(tmp_path, "ann")) == []
    folder = tmp_path / "etc/systemd/logind.conf.d"
    folder.mkdir(parents=True)
    (folder / "a.conf").write_text("[Login]\nKillUserProcesses=yes\n")
    (problem,) = detach_problems(tmp_path, "ann")
    assert "enable-linger ann" in problem.hint
    (tmp_path / "var/lib/systemd/linger").mkdir(parents=True)
    (tmp_path / "var/lib/systemd/linger/ann").touch()
    assert list(detach_problems(tmp_path, "ann", lambda: True)) == []
    (problem,) = detach_problems(tmp_path, "ann", lambda: False)
    assert "no systemd scope" in problem.message
    (folder / "b.conf").write_text("[Login]\nKillUserProcesses=no\n")
    assert list(detach_problems(tmp_path, "bob")) == []
    (folder / "c.conf").write_text("not an ini file [[\x00")
    assert list(detach_problems(tmp_path, "bob")) == []


def test_doctor_grades_what_it_finds(tmp_path):
    from ftui.gpu.nvml import Gpu

    def grades(problems):
        return [problem.severity for problem in problems]

    versions = dict.fromkeys(("torch", "transformers", "tokenizers", "peft", "safetensors"), "1.0")
    works = {"devices": [], "cuda": "", "bitsandbytes": {"ok": True, "message": ""}}
    assert grades(package_problems(versions, works)) == []
    assert grades(package_problems({**versions, "peft": None}, works)) == ["error"]
    assert grades(package_problems(versions, {"error": "ImportError: libcudart"})) == ["error"]
    assert grades(package_problems(versions, {**works, "bitsandbytes": {"ok": False}})) == ["warning"]
    assert grades(gpu_problems((), works)) == ["hint"]
    assert grades(gpu_problems((Gpu(0, "x"),), works)) == ["error"]
    assert grades(gpu_problems((Gpu(0, "x"),), {**works, "cuda": "12.8"})) == ["error"]
    assert grades(gpu_problems((Gpu(0, "x"),), {**works, "cuda": "12.8", "devices": [{}]})) == []
    assert grades(disk_problems(None, tmp_path)) == grades(disk_problems(1 << 40, tmp_path)) == []
    assert grades(disk_problems(5 << 30, tmp_path)) == ["warning"]
    assert grades(disk_problems(5 << 20, tmp_path)) == ["error"]


def test_resume_follows_from_where_the_last_attempt_ended(workspace, trainer, ftui):
    trainer(20, "fail")
    ftui("train", "tickets", "--follow")
    trainer(6)
    code, out, err = ftui("runs", "resume", "last", "--follow")
    assert code == 0
    assert "attempt 1" not in out
    assert "step 6/6" in out
    assert "no checkpoint" in err
    until(lambda: ftui("runs", "--json")[1]["runs"][0]["state"] == "finished")


def test_ctrl_c_tells_a_script_which_run_goes_on(workspace, trainer, ftui, monkeypatch):
    def interrupted(rundir, tail):
        until_state(rundir, "running")
        raise KeyboardInterrupt

    trainer(100_000)
    monkeypatch.setattr(follow, "follow_batches", interrupted)
    code, answer, err = ftui("train", "tickets", "--follow", "--json")
    (rundir,) = map(RunDir, workspace.runs.iterdir())
    assert code == 130
    assert answer == {"run": rundir.id, "state": "running"}
    assert "goes on" in err
