"""EngineClient: requests and answers of a child process, and its end, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from ftui.core.errors import FtuiError, ModelError
from ftui.runs.clients import EngineClient

ROOT = Path(__file__).parents[2]

# Speaks the protocol without a model; `op` says what to do.
ENGINE = r"""
import json, os, signal, subprocess, sys, threading, time
sys.stderr.write("loading\n")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
cancelled = threading.Event()
lock = threading.Lock()

def say(number, event, **fields):
    with lock:
        print(json.dumps({"id": number, "event": event, **fields}), flush=True)

def answer(request):
    number, op = request.get("id"), request["op"]
    if op == "load":
        for name in request["adapters"]:
            if name == "bad":
                return say(number, "error", kind="input", message="no adapter", hint="give one", where="bad")
        say(number, "progress", stage="load", done=1, total=2)
        say(number, "ready", sides=["base", *request["adapters"]], device="cpu")
    elif op == "generate":
        for side, asked in enumerate(request["sides"]):
            text = asked["messages"][-1]["content"]
            say(number, "token", side=side, text=text)
            say(number, "done", side=side, text=text, tokens=1, ttft_seconds=0.5, tokens_per_second=2.0,
                finish="stop")
        say(number, "finished")
    elif op == "until cancelled":
        say(number, "token", side=0, text="...")
        cancelled.wait(180)
        say(number, "finished")
    elif op == "die":
        sys.stderr.write("Traceback\nRuntimeError: \x1b[31mout of luck\n")
        os._exit(1)
    elif op == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif op == "noise":
        sys.stderr.write("x" * 1_000_000)
        with lock:
            print("not json", flush=True)
        say(999, "ready")
        say(number, "result", value=request["value"])
    elif op == "model error":
        say(number, "error", kind="model", message="out of memory", hint="", where="")
    elif op == "stubborn":
        forever = "import time; time.sleep(300)"
        child = subprocess.Popen([sys.executable, "-c", forever], stdin=subprocess.DEVNULL)
        say(number, "result", child=child.pid)

stubborn = False
for line in sys.stdin:
    request = json.loads(line)
    stubborn = stubborn or request["op"] == "stubborn"
    if request["op"] == "cancel":
        cancelled.set()
    elif request["op"] == "shutdown":
        break
    else:
        threading.Thread(target=answer, args=(request,), daemon=True).start()
while stubborn:
    time.sleep(1)
"""

ASK = {"adapter": None, "messages": [{"role": "user", "content": "hi"}], "sampling": {}}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "fake_engine.py").write_text(ENGINE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    with EngineClient("fake_engine") as made:
        yield made


def gone(pid: int, seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_loading_tells_progress_and_what_can_answer(client):
    told = []
    client.load("demo", [Path("/a/one"), "two"], lambda *event: told.append(event))
    assert client.sides == ("base", "/a/one", "two")
    assert told == [("start", 0, 0), ("load", 1, 2)]
    assert client.loaded["device"] == "cpu"


def test_replies_come_back_in_the_order_asked_with_their_names(client):
    client.load("demo", ["one"])
    replies = client.generate([ASK, {**ASK, "adapter": "one"}])
    assert [reply.side for reply in replies] == ["base", "one"]
    assert replies[0].text == "hi"
    assert replies[0].ttft_seconds == 0.5
    assert replies[0].finish == "stop"


def test_tokens_stream_as_events(client):
    events = list(client.stream([ASK]))
    assert [event["event"] for event in events] == ["token", "done", "finished"]


def test_a_wrong_request_and_a_failed_model_are_told_apart(client):
    with pytest.raises(FtuiError) as wrong:
        client.load("demo", ["bad"])
    assert (wrong.value.message, wrong.value.hint, wrong.value.where) == ("no adapter", "give one", "bad")
    assert not isinstance(wrong.value, ModelError)
    with pytest.raises(ModelError, match="out of memory"):
        list(client.call("model error"))
    assert client.alive


def test_several_threads_each_get_their_own_answers(client):
    seen: dict[int, object] = {}

    def ask(value: int) -> None:
        (event,) = client.call("noise", value=value)
        seen[value] = event["value"]

    threads = [threading.Thread(target=ask, args=(value,)) for value in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)
    assert seen == {value: value for value in range(8)}


def test_cancel_ends_what_is_under_way(client):
    stream = client.call("until cancelled")
    assert next(stream)["event"] == "token"
    client.cancel()
    assert next(stream)["event"] == "finished"
    assert list(stream) == []


def test_leaving_a_stream_early_cancels_it(client):
    watched = client.call("until cancelled")
    next(watched)
    abandoned = client.call("until cancelled")
    next(abandoned)
    abandoned.close()
    assert next(watched)["event"] == "finished"


def test_a_dead_engine_is_told_with_its_last_words(client):
    with pytest.raises(ModelError) as caught:
        list(client.call("die"))
    assert "out of luck" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert not client.alive
    with pytest.raises(ModelError):
        client.load("demo")


def test_a_killed_engine_wakes_everyone_who_waits(client):
    waiting = client.call("until cancelled")
    next(waiting)
    with pytest.raises(ModelError, match="killed"):
        list(client.call("killed"))
    with pytest.raises(ModelError, match="killed"):
        next(waiting)


def test_closing_ends_even_a_stubborn_engine_and_its_children(client):
    (event,) = client.call("stubborn")
    pid = client._process.pid
    client.close()
    assert gone(pid)
    assert gone(event["child"])
    client.close()  # again is fine
    with pytest.raises(ModelError, match="closed"):
        client.load("demo")


def test_closing_while_another_thread_waits_wakes_it(client):
    stream = client.call("until cancelled")
    next(stream)
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(ModelError):
            list(stream)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    client.close()
    thread.join(180)
    assert ended.is_set()


def test_the_log_goes_where_it_is_asked_to(tmp_path, monkeypatch):
    (tmp_path / "fake_engine.py").write_text(ENGINE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    log = tmp_path / "engine.log"
    with EngineClient("fake_engine", log_path=log) as client:
        client.load("demo")
    assert log.read_text() == "loading\n"


def test_an_engine_that_cannot_load_is_not_left_behind(tmp_path, monkeypatch):
    (tmp_path / "fake_engine.py").write_text(ENGINE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    before = set(psutil.Process().children(recursive=True))

    class Fake(EngineClient):
        def __init__(self, log_path: Path | None = None) -> None:
            super().__init__("fake_engine", log_path)

    with pytest.raises(FtuiError, match="no adapter"):
        Fake.serve("demo", ["bad"])
    assert set(psutil.Process().children(recursive=True)) <= before


def test_an_engine_ends_when_its_screen_is_killed(tmp_path, monkeypatch):
    (tmp_path / "fake_engine.py").write_text(ENGINE)
    code = (
        "from ftui.runs.clients import EngineClient\n"
        "client = EngineClient('fake_engine')\n"
        "client.load('demo')\n"
        "print(client._process.pid, flush=True)\n"
        "next(client.call('until cancelled'))\n"
        "import time; time.sleep(300)\n"
    )
    screen = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )
    assert screen.stdout
    pid = int(screen.stdout.readline())
    screen.send_signal(signal.SIGKILL)
    screen.communicate()
    assert gone(pid)


def test_talking_to_engines_imports_none_of_them():
    code = "import sys, ftui.runs.clients\n"
    code += "print({'torch', 'transformers', 'peft', 'pyarrow', 'ftui.engine'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
