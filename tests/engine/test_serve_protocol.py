"""The chat server as its clients see it: a process behind JSON lines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from ftui.core.errors import FtuiError
from ftui.runs.clients import EngineClient
from tests.engine.tiny_adapters import make_adapter
from tests.tiny import make_tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("protocol") / "base")


@pytest.fixture(scope="module")
def run(base: Path) -> Path:
    """A finished run as the trainer leaves it, with an adapter and a checkpoint."""
    run = base.parent / "runs" / "tickets-0412"
    make_adapter(base, run / "adapter", 1)
    make_adapter(base, run / "checkpoints" / "step-000040", 2)
    (run / "recipe.toml").write_text(
        f'schema = 1\nname = "tickets"\n[model]\nbase = "{base}"\nchat_template = "plain"\n[quantization]\nbits = 4\n'
    )
    return run


@pytest.fixture(scope="module")
def client(base: Path, run: Path):
    os.environ["OMP_NUM_THREADS"] = "1"
    with EngineClient.serve(str(base), [run, run / "checkpoints" / "step-000040"]) as made:
        yield made
    del os.environ["OMP_NUM_THREADS"]


def ask(name: str | None, text: str = "Where is my order?", **sampling: Any) -> dict[str, Any]:
    settings = {"max_new_tokens": 16, "temperature": 0, "seed": 0} | sampling
    return {"adapter": name, "messages": [{"role": "user", "content": text}], "sampling": settings}


def test_sides_are_named_for_their_runs_and_checkpoints(client):
    assert client.sides == ("base", "tickets-0412", "tickets-0412@40")


def test_the_base_is_served_as_the_run_trained_it(client):
    assert client.loaded["bits"] == 4
    assert client.loaded["device"] == "cpu"
    assert client.loaded["context"] == 2048
    assert client.loaded["warnings"] == []


def test_every_side_streams_and_all_finish(client):
    asked = [ask(name) for name in client.sides]
    events = list(client.stream(asked))
    assert events[-1]["event"] == "finished"
    for side in range(3):
        (done,) = [event for event in events if event["event"] == "done" and event["side"] == side]
        pieces = [event["text"] for event in events if event["event"] == "token" and event["side"] == side]
        assert "".join(pieces) == done["text"]
        assert done["tokens"] == 16
        assert done["finish"] == "length"
        assert done["ttft_seconds"] > 0
        assert done["tokens_per_second"] > 0


def test_the_chat_template_of_a_run_is_used_for_its_side(client):
    """Long enough for the base's ChatML, too long for nothing: only the token counts differ."""
    with pytest.raises(FtuiError, match=r"base.*tokens") as base_error:
        client.generate([ask(None, "x" * 3000)])
    with pytest.raises(FtuiError, match="tokens") as run_error:
        client.generate([ask("tickets-0412", "x" * 3000)])
    assert base_error.value.message != run_error.value.message


def test_a_wrong_request_does_not_end_the_server(client):
    with pytest.raises(FtuiError, match="no adapter"):
        client.generate([ask("nobody")])
    with pytest.raises(FtuiError, match="no operation"):
        list(client.call("dance"))
    with pytest.raises(FtuiError, match="temperature"):
        client.generate([ask(None, temperature=-1)])
    assert client.generate([ask(None)])[0].tokens == 16


def test_cancelling_ends_all_sides_early(client):
    stream = client.stream([ask(None, max_new_tokens=1500), ask("tickets-0412", max_new_tokens=1500)])
    events = [next(stream)]
    client.cancel()
    events += stream
    done = [event for event in events if event["event"] == "done"]
    assert {event["finish"] for event in done} == {"cancelled"}
    assert all(event["tokens"] < 1500 for event in done)
    assert client.generate([ask(None)])[0].finish == "length"


def test_adapters_change_without_loading_the_base_again(client, base, run):
    before = psutil.Process(client._process.pid).create_time()
    stages = []
    client.load(str(base), [run], lambda stage, *_: stages.append(stage))
    assert client.sides == ("base", "tickets-0412")
    assert "load" not in stages
    client.load(str(base), [run, run / "checkpoints" / "step-000040"])
    assert len(client.sides) == 3
    assert psutil.Process(client._process.pid).create_time() == before


def test_what_cannot_be_loaded_is_said_and_the_server_goes_on(client, base, run, tmp_path):
    for adapter, says in (
        (tmp_path / "none", "no such adapter"),
        (base, "whole model"),
        (tmp_path, "not an adapter"),
    ):
        with pytest.raises(FtuiError, match=says):
            client.load(str(base), [adapter])
    with pytest.raises(FtuiError, match=r"no config\.json"):
        client.load(str(tmp_path))
    (tmp_path / "early").mkdir()
    shutil.copy(run / "recipe.toml", tmp_path / "early")
    with pytest.raises(FtuiError, match="not saved its adapter yet"):
        client.load(str(base), [tmp_path / "early"])
    damaged = tmp_path / "damaged"
    shutil.copytree(run / "adapter", damaged)
    os.truncate(damaged / "adapter_model.safetensors", 2000)
    with pytest.raises(FtuiError, match="damaged"):
        client.load(str(base), [damaged])
    client.load(str(base), [run, run / "checkpoints" / "step-000040"])
    assert client.generate([ask("tickets-0412@40")])[0].tokens == 16


def raw(*lines: str) -> subprocess.Popen[bytes]:
    server = subprocess.Popen(
        [sys.executable, "-m", "ftui.engine.serve"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdin
    server.stdin.write("".join(line + "\n" for line in lines).encode())
    server.stdin.flush()
    return server


def test_nonsense_is_answered_not_fatal():
    server = raw(
        "{",
        "[]",
        '"x"',
        "{}",
        '{"op":"generate","id":[1]}',
        '{"op":"generate","id":7}',
        '{"op":"load","id":8}',
    )
    said, _ = server.communicate(timeout=180)
    events = [json.loads(line) for line in said.splitlines()]
    assert [event["event"] for event in events] == ["error"] * 7
    assert [event["id"] for event in events] == [None] * 5 + [7, 8]
    assert server.returncode == 0


def test_the_server_ends_with_its_input_even_while_it_answers(base):
    server = raw(json.dumps({"op": "load", "id": 1, "base": str(base)}))
    assert server.stdout
    assert server.stdin
    while json.loads(server.stdout.readline())["event"] != "ready":
        pass
    request = {"op": "generate", "id": 2, "sides": [ask(None, max_new_tokens=2000)]}
    server.stdin.write(json.dumps(request).encode() + b"\n")
    server.stdin.flush()
    assert json.loads(server.stdout.readline())["id"] == 2
    server.stdin.close()
    rest = server.stdout.read()
    assert server.wait(180) == 0
    assert b"cancelled" in rest


def test_the_server_ends_while_it_loads():
    server = raw('{"op":"load","id":1,"base":"demo"}')
    server.terminate()
    assert server.wait(180) != 0
    server.communicate()


def test_what_libraries_print_stays_out_of_the_protocol(base):
    code = (
        "import os, sys, ftui.engine.adapters as adapters, ftui.engine.serve as serve\n"
        "real = serve.Server._generate\n"
        "def noisy(self, *args):\n"
        "    print('hello from a library'); os.write(1, b'and from C\\n')\n"
        "    return real(self, *args)\n"
        "serve.Server._generate = noisy\n"
        "serve.main()\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said, log = server.communicate(b'{"op":"generate","id":1,"sides":[]}\n', timeout=180)
    assert [json.loads(line)["event"] for line in said.splitlines()] == ["error"]
    assert b"hello from a library" in log
    assert b"and from C" in log


@pytest.mark.slow
def test_the_embedded_model_answers_beside_an_adapter(tmp_path):
    from ftui.engine.default_model import ensure_default_model

    adapter = make_adapter(ensure_default_model(), tmp_path / "mine", 1, target_modules=["q_proj"])
    question = "What is the capital of France?"
    with EngineClient.serve("demo", [adapter]) as client:
        base, beside = client.generate([ask(None, question), ask("mine", question)])
        (alone,) = client.generate([ask("mine", question)])
    assert "Paris" in base.text
    assert beside.text == alone.text != base.text
