"""`ftui chat`: who is asked, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ftui.cli.chat import command, find_adapters
from ftui.core.errors import FtuiError
from ftui.runs import clients
from ftui.runs.workspace import Workspace

HOSTILE = "\x1b]52;c;aGk=\x07[/INST]\u202e"


class Answering:
    """Stands in for a loaded chat server: side n answers in n + 1 pieces, the last side first."""

    loaded: dict[str, Any] = {"device": "cpu", "dtype": "float32", "bits": 16, "warnings": ["look out"]}  # noqa: RUF012
    asked: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, base: str, adapters: list[Path], progress) -> None:
        progress("load", 1, 2)
        self.asked.update(base=base, adapters=[str(path) for path in adapters])
        self.sides = ("base", *(path.name for path in adapters))

    @classmethod
    def serve(cls, base, adapters, progress):
        return cls(base, adapters, progress)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.asked["closed"] = True

    def stream(self, sides):
        self.asked["sides"] = sides
        for number in reversed(range(len(sides))):
            for piece in range(number + 1):
                yield {"event": "token", "side": number, "text": f"piece {piece}{HOSTILE}\n"}
            yield {
                "event": "done", "side": number, "text": f"answer {number}", "tokens": 5, "ttft_seconds": 0.25,
                "tokens_per_second": 9.0, "finish": "length",
            }  # fmt: skip
        yield {"event": "finished"}

    generate = clients.EngineClient.generate


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(clients, "EngineClient", Answering)
    monkeypatch.setenv("FTUI_WORKSPACE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Answering.asked.clear()

    def run(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(command, list(arguments), **options)

    return run


def make_adapter(folder: Path, base: str = "org/base") -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    (folder / "adapter_model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    return folder


def make_run(workspace: Path, name: str, base: str = "demo") -> Path:
    run = workspace / "runs" / name
    make_adapter(run / "adapter")
    make_adapter(run / "checkpoints" / "step-000040")
    (run / "recipe.toml").write_text(f'schema = 1\n[model]\nbase = "{base}"\n')
    return run


def test_json_is_one_object_with_every_reply(chat, tmp_path):
    run = make_run(tmp_path, "tickets-0412-153012")
    result = chat("--base", "demo", "--adapter", "tickets", "--prompt", "hi", "--json")
    assert result.exception is None
    replies = json.loads(result.stdout)["replies"]
    assert [reply["text"] for reply in replies] == ["answer 0", "answer 1"]
    assert set(replies[0]) >= {"side", "text", "tokens", "ttft_seconds", "tokens_per_second", "finish"}
    assert Answering.asked["adapters"] == [str(run / "adapter")]
    assert result.stdout.count("\n") == 1


def test_every_side_is_asked_the_same_with_the_settings_given(chat):
    chat(
        *("--base", "demo", "--prompt", "hi", "--system", "be brief", "--max-new-tokens", "9"),
        *("--temperature", "0", "--top-p", "0.5", "--seed", "3", "--json"),
    )
    (side,) = Answering.asked["sides"]
    assert side["messages"] == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    assert side["sampling"] == {"max_new_tokens": 9, "temperature": 0.0, "top_p": 0.5, "seed": 3}
    assert side["adapter"] is None
    assert Answering.asked["closed"]


def test_people_read_the_sides_in_order_and_safely(chat, tmp_path):
    adapter = make_adapter(tmp_path / "mine")
    result = chat("--base", "demo", "--adapter", str(adapter), "--prompt", "hi")
    assert result.exception is None
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith("[")][:2] == ["[base]", "[mine]"]
    assert lines.index("[base]") < lines.index("[mine]")
    assert result.stdout.count("piece") == 3
    assert "5 tokens, first after 0.25 s, 9.0 tok/s" in result.stdout
    assert "--max-new-tokens" in result.stdout
    assert "look out" in result.stderr
    for control in "\x1b\x07\u202e":
        assert control not in result.output
    assert "[/INST]" in result.stdout


def test_the_prompt_may_come_from_a_pipe(chat):
    chat("--base", "demo", "--prompt", "-", "--json", input="line one\nline two\n")
    assert Answering.asked["sides"][0]["messages"][-1]["content"] == "line one\nline two"


def test_without_a_prompt_it_says_where_to_chat(chat):
    result = chat("--base", "demo")
    assert isinstance(result.exception, FtuiError)
    assert "--prompt" in result.exception.hint


def test_the_base_is_the_adapters_when_not_given(chat, tmp_path):
    make_run(tmp_path, "one", base="org/from-recipe")
    chat("--adapter", "one", "--prompt", "hi", "--json")
    assert Answering.asked["base"] == "org/from-recipe"
    chat("--adapter", str(make_adapter(tmp_path / "bare")), "--prompt", "hi", "--json")
    assert Answering.asked["base"] == "org/base"
    result = chat("--prompt", "hi")
    assert isinstance(result.exception, FtuiError)
    result = chat("--adapter", str(make_adapter(tmp_path / "mute", base="")), "--prompt", "hi")
    assert "--base" in str(result.exception)


def test_adapters_are_found_by_run_step_or_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(tmp_path)
    run = make_run(tmp_path, "tickets-0412")
    bare = make_adapter(tmp_path / "elsewhere" / "mine")

    def paths(*given: str) -> list[Path]:
        return [folder.path for folder in find_adapters(given, workspace)]

    assert paths("tickets-0412", "tick", "last") == [run / "adapter"] * 3
    assert paths("tickets-0412@40", "tickets@000040") == [run / "checkpoints" / "step-000040"] * 2
    assert paths("elsewhere/mine", str(bare), "./elsewhere/mine") == [bare] * 3
    assert paths(str(run), str(run / "checkpoints" / "step-000040")) == [
        run / "adapter",
        run / "checkpoints" / "step-000040",
    ]
    for wrong, says in (
        ("nobody", "no such run"),
        ("tickets@7", "this run has 40"),
        ("./nothing", "no such adapter folder"),
        ("elsewhere", "not an adapter"),
    ):
        with pytest.raises(FtuiError, match=says):
            paths(wrong)
