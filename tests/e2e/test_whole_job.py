"""The whole job through the command line, with real processes and a tiny random Llama."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny import make_tiny_model

ENV = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A workspace with a tiny model, twelve rows (one broken), and a recipe of six steps."""
    root = tmp_path_factory.mktemp("shop")
    make_tiny_model(root / "tiny")
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"order {n} is late"},
                {"role": "assistant", "content": f"Order: {n}"},
            ]
        }
        for n in range(12)
    ]
    lines = [json.dumps(row) for row in rows]
    lines.insert(5, '{"messages": [{"role": "user", "content": "half a li')
    (root / "datasets").mkdir()
    (root / "datasets" / "orders.jsonl").write_text("\n".join(lines) + "\n")
    (root / "ftui.toml").write_text("")
    (root / "recipes").mkdir()
    (root / "recipes" / "orders.toml").write_text(
        f"""
        schema = 1
        name = "orders"
        [model]
        base = "{root / "tiny"}"
        [data]
        train = "datasets/orders.jsonl"
        validation = 0.2
        max_length = 128
        packing = false
        [adapter]
        rank = 4
        alpha = 8
        [training]
        max_steps = 6
        batch_size = 2
        learning_rate = 1e-3
        [evaluation]
        every = 3
        [checkpoints]
        every = 3
        """
    )
    return root


def ftui(shop: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ftui", *args],
        cwd=shop,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def wait_for_state(shop: Path, run: str, wanted: set[str], seconds: float = 240) -> dict:
    deadline = time.monotonic() + seconds
    while True:
        listed = json.loads(ftui(shop, "runs", "--json").stdout)["runs"]
        state = next(item for item in listed if item["id"] == run)
        if state["state"] in wanted:
            return state
        assert state["state"] not in {"failed", "crashed"}, ftui(shop, "runs", "events", run).stdout[-3000:]
        assert time.monotonic() < deadline, state


@pytest.fixture(scope="module")
def finished(shop):
    """A run started detached whose launcher's whole process group was then killed."""
    launcher = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH_AND_LINGER, "train", "orders", "--json"],
        cwd=shop,
        env=ENV,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    run = json.loads(launcher.stdout.readline())["run"]
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    return wait_for_state(shop, run, {"finished"})


# Runs `ftui train` and stays, as a shell or a screen would: its group is there to be killed.
_LAUNCH_AND_LINGER = """
import signal, sys
from ftui.cli.main import cli
cli.main(sys.argv[1:], prog_name="ftui", standalone_mode=False)
sys.stdout.flush()
signal.pause()
"""


def test_a_run_outlives_its_launcher_and_finishes(finished):
    assert finished["step"] == finished["steps"] == 6
    assert finished["loss"] > 0
    assert finished["eval_loss"] > 0


def test_events_tell_every_step_in_order(shop, finished):
    lines = ftui(shop, "runs", "events", finished["id"]).stdout.splitlines()
    events = [json.loads(line) for line in lines]
    steps = [event["step"] for event in events if event["type"] == "step"]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["grad_norm"] > 0 for event in events if event["type"] == "step")


def test_the_broken_row_was_left_out_and_said(shop, finished):
    lines = ftui(shop, "runs", "events", finished["id"]).stdout.splitlines()
    data = next(event for event in map(json.loads, lines) if event["type"] == "data")
    assert data["train_rows"] + data["eval_rows"] == 12
    assert sum(data["dropped"].values()) == 1


def test_the_run_shows_where_everything_is(shop, finished):
    shown = json.loads(ftui(shop, "runs", "show", finished["id"], "--json").stdout)
    assert Path(shown["dir"]).is_dir()
    assert Path(shown["adapter"]).is_dir()
    assert shown["recipe"]["training"]["max_steps"] == 6
    assert shown["manifest"]["data"]


def test_the_adapter_loads_in_peft(shop, finished):
    code = (
        "import sys, torch; from transformers import AutoModelForCausalLM; from peft import PeftModel\n"
        "base = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)\n"
        "model = PeftModel.from_pretrained(base, sys.argv[2])\n"
        "print(sum(float(p.abs().sum()) for n, p in model.named_parameters() if 'lora_B' in n) > 0)"
    )
    adapter = json.loads(ftui(shop, "runs", "show", finished["id"], "--json").stdout)["adapter"]
    done = subprocess.run(
        [sys.executable, "-c", code, str(shop / "tiny"), adapter],
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "True", done.stderr[-2000:]


def test_base_and_adapter_answer_the_same_prompt(shop, finished):
    done = ftui(
        shop, "chat", "--base", str(shop / "tiny"), "--adapter", finished["id"],
        "--prompt", "order 3 is late", "--max-new-tokens", "8", "--temperature", "0", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    replies = json.loads(done.stdout)["replies"]
    assert len(replies) == 2
    assert replies[0]["side"] == "base"
    assert all(reply["tokens"] > 0 and reply["finish"] in {"stop", "length"} for reply in replies)


def test_a_stopped_run_saves_and_resumes_to_its_end(shop):
    run = json.loads(
        ftui(shop, "train", "orders", "--name", "long", "--set", "training.max_steps=400", "--json").stdout
    )["run"]
    wait_for_state(shop, run, {"running"})
    assert ftui(shop, "runs", "stop", run).returncode == 0
    stopped = wait_for_state(shop, run, {"stopped"})
    assert 0 < stopped["step"] < 400
    assert ftui(shop, "runs", "resume", run).returncode == 0
    wait_for_state(shop, run, {"running"})
    ftui(shop, "runs", "stop", run)
    again = wait_for_state(shop, run, {"stopped"})
    assert again["step"] > stopped["step"]
    steps = [
        event["step"]
        for event in map(json.loads, ftui(shop, "runs", "events", run).stdout.splitlines())
        if event["type"] == "step"
    ]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("train", "nowhere.toml"), "nowhere"),
        (("runs", "show", "no-such-run"), "no-such-run"),
        (("data", "inspect", "no-such-file.jsonl"), "no-such-file"),
        (("recipe", "check", "missing.toml"), "missing.toml"),
        (("train", "orders", "--set", "training.learning_rat=1"), "learning_rate"),
        (("train", "orders", "--set", "training.learning_rate=fast"), "learning_rate"),
        (("train", "orders", "--set", "data.train=gone.jsonl"), "gone.jsonl"),
        (("chat", "--base", "no/such/dir/here", "--prompt", "x"), "no/such/dir/here"),
        (("nonsense",), "nonsense"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(shop, args, says):
    done = ftui(shop, *args)
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
