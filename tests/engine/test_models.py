"""A model's name becomes a folder, or one line that says what to do."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors
from transformers import AutoModelForCausalLM, AutoTokenizer

from ftui.core.errors import FtuiError
from ftui.engine import models
from ftui.engine.gguf_file import read_gguf
from ftui.engine.models import resolve_model
from tests.engine.tiny_gguf import write_tiny_gguf
from tests.tiny import make_tiny_model

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FTUI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def test_demo_is_the_embedded_model(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "ensure_default_model", lambda progress: tmp_path)
    assert resolve_model("demo") == tmp_path


def test_a_folder_is_itself(model, monkeypatch):
    assert resolve_model(str(model)) == model
    monkeypatch.chdir(model.parent)
    assert resolve_model("model") == model
    monkeypatch.setenv("HOME", str(model.parent))
    assert resolve_model("~/model") == model


@pytest.mark.parametrize(
    ("missing", "says"),
    [("config.json", "config.json"), ("model.safetensors", "safetensors"), ("tokenizer.json", "tokenizer")],
)
def test_a_folder_says_what_it_lacks(model, tmp_path, missing, says):
    folder = shutil.copytree(model, tmp_path / "copy")
    (folder / missing).unlink()
    with pytest.raises(FtuiError, match=says) as caught:
        resolve_model(str(folder))
    assert caught.value.hint


def test_old_weight_formats_are_told_apart_from_none(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "copy")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(FtuiError, match=r"convert the \.bin"):
        resolve_model(str(folder))


def test_a_missing_shard_is_named(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "copy")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(FtuiError, match="model-00002-of-00002"):
        resolve_model(str(folder))
    (folder / "model.safetensors.index.json").write_text("{")
    with pytest.raises(FtuiError, match="list of weight files"):
        resolve_model(str(folder))


def test_an_adapter_is_not_a_base(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(FtuiError, match="an adapter, not a base"):
        resolve_model(str(tmp_path))


@pytest.mark.parametrize(
    "name", ["./nothing", "/nothing", "~/nothing", "a b", "nothing.gguf", "", "a/b/c", "x\0y"]
)
def test_what_is_no_name_at_all_is_said(name):
    with pytest.raises(FtuiError):
        resolve_model(name)


@pytest.mark.parametrize("quantized", [False, True])
def test_a_gguf_file_is_converted_once(model, tmp_path, cache, quantized):
    gguf = write_tiny_gguf(model, tmp_path / "tiny model.gguf", quantized=quantized)
    told = []
    folder = resolve_model(str(gguf), progress=lambda *event: told.append(event))
    assert told == [("convert", 0, 0)]
    assert resolve_model(str(gguf), progress=lambda *event: told.append(event)) == folder
    assert len(told) == 1
    assert folder.parent == cache

    original = AutoModelForCausalLM.from_pretrained(model)
    converted = AutoModelForCausalLM.from_pretrained(folder)
    assert converted.dtype is (torch.bfloat16 if quantized else torch.float32)
    ids = torch.arange(5, 45)[None]
    with torch.no_grad():
        theirs, ours = original(ids).logits, converted.float()(ids).logits
    assert (theirs - ours).abs().max() < (0.3 if quantized else 1e-5) * theirs.std()
    tokenizers = AutoTokenizer.from_pretrained(model), AutoTokenizer.from_pretrained(folder)
    one, other = (tokenizer("My order, please")["input_ids"] for tokenizer in tokenizers)
    assert one == other
    assert tokenizers[1].chat_template == tokenizers[0].chat_template

    os.utime(gguf, (1, 1))
    assert resolve_model(str(gguf)) != folder


def test_a_gguf_that_cannot_be_trained_is_refused_in_words(model, tmp_path):
    strange = write_tiny_gguf(model, tmp_path / "strange.gguf", architecture="llama")
    data = strange.read_bytes().replace(
        b"\x05\x00\x00\x00\x00\x00\x00\x00llama", b"\x05\x00\x00\x00\x00\x00\x00\x00xxxxx"
    )
    strange.write_bytes(data)
    with pytest.raises(FtuiError, match="architecture xxxxx"):
        resolve_model(str(strange))
    part = write_tiny_gguf(model, tmp_path / "big-00001-of-00003.gguf")
    with pytest.raises(FtuiError, match="several files"):
        resolve_model(str(part))


def test_a_damaged_gguf_is_said(model, tmp_path):
    whole = write_tiny_gguf(model, tmp_path / "whole.gguf").read_bytes()
    damaged = tmp_path / "damaged.gguf"
    for data in (
        b"",
        b"PK\x03\x04",
        b"GGUF",
        b"GGUF\x09" + whole[5:],
        whole[:3000],
        whole[:24] + b"\xff" * 4000,
    ):
        damaged.write_bytes(data)
        with pytest.raises(FtuiError):
            read_gguf(damaged)
    for cut in range(0, 6000, 97):  # every cut is either seen, or only tensor data is missing
        damaged.write_bytes(whole[:cut])
        with pytest.raises(FtuiError):
            read_gguf(damaged)
    damaged.write_bytes(whole[:-100])
    source = read_gguf(damaged)
    with pytest.raises(FtuiError, match="ends inside tensor"):
        [source.float32(tensor) for tensor in source.tensors]


def test_other_files_are_not_models(tmp_path):
    (tmp_path / "weights.safetensors").touch()
    with pytest.raises(FtuiError, match="give its folder"):
        resolve_model(str(tmp_path / "weights.safetensors"))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errors.GatedRepoError, "accept their terms"),
        (errors.RepositoryNotFoundError, "no model org/tiny on the hub"),
        (errors.RevisionNotFoundError, "no revision 'v9'"),
        (errors.LocalEntryNotFoundError, "not on this machine"),
        (errors.OfflineModeIsEnabled, "HF_HUB_OFFLINE"),
        (errors.HFValidationError, "not a hub id"),
        (ConnectionResetError, "cannot download org/tiny"),
    ],
)
def test_every_answer_of_the_hub_is_one_line(monkeypatch, error, says):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def refuse(*_: object, **__: object) -> str:
        raise error.__new__(error)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(FtuiError) as caught:
        resolve_model("org/tiny", "v9")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hub_model_comes_with_its_revision_safetensors_only_and_progress(monkeypatch, model):
    asked = {}

    def download(name: str, *, revision: str | None, allow_patterns: list[str], tqdm_class) -> str:
        asked.update(name=name, revision=revision, patterns=allow_patterns)
        with tqdm_class(total=3, unit="it") as files, tqdm_class(total=100, unit="B", initial=0) as received:
            received.update(60)
            files.update(1)
            received.update(40)
        return str(model)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    told = []
    assert resolve_model("org/tiny", "abc123", lambda *event: told.append(event)) == model
    assert (asked["name"], asked["revision"]) == ("org/tiny", "abc123")
    assert not any(pattern.endswith(".bin") for pattern in asked["patterns"])
    assert told == [("download", 60, 100), ("download", 100, 100)]


def test_an_offline_machine_without_the_model_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FtuiError, match="nobody/nothing is not on this machine"):
        resolve_model("nobody/nothing")
