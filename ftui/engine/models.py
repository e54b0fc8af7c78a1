"""From the name of a model to a folder on this machine that transformers can load.

A name is "demo", a directory, a GGUF file or a hub id. Importing this module is cheap; torch comes in only
to convert a GGUF file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from ftui.core.errors import FtuiError
from ftui.core.model_names import may_be_on_hub
from ftui.core.text import one_line
from ftui.engine.cache import Progress, cache_root, make_once, silent
from ftui.engine.default_model import ensure_default_model

DEMO = "demo"
_HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken", "*.py"]
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json", "spiece.model")
_GGUF_VERSION = 1
_SAMPLE_BYTES = 1 << 20


def resolve_model(name: str, revision: str = "", progress: Progress | None = None) -> Path:
    """The folder of model `name`, fetched or converted when it is not here yet.

    revision: a commit or tag, for hub ids only. Raises FtuiError, one line with the next step.
    """
    tell = progress or silent
    if name == DEMO:
        return ensure_default_model(tell)
    if not name.strip():
        raise FtuiError("which model?", "give a folder, a .gguf file, a hub id or `demo`")
    path = Path(name).expanduser()
    if path.is_dir():
        return check_folder(path.absolute())
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise FtuiError("a model is a folder, a .gguf file, a hub id or `demo`", "give its folder", name)
        return _converted_gguf(path.absolute(), tell)
    if not may_be_on_hub(name):
        raise FtuiError("no such model folder or file", "check the path, or give a hub id or `demo`", name)
    return _from_hub(name, revision, tell)


def check_folder(folder: Path) -> Path:
    """`folder`, when it holds a whole model: config, safetensors weights and a tokenizer. Else FtuiError."""
    where = str(folder)
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise FtuiError(
                "this is an adapter, not a base model",
                "give it as an adapter and its base as the model",
                where,
            )
        raise FtuiError("not a model folder: it has no config.json", "give the folder that has one", where)
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        missing = [name for name in _shards(index) if not (folder / name).is_file()]
        if missing:
            raise FtuiError(
                f"{len(missing)} of its weight files are missing, {missing[0]} first", "copy it again", where
            )
    elif not any(folder.glob("*.safetensors")):
        old = any(folder.glob("*.bin"))
        step = "convert the .bin weights to safetensors" if old else "copy or download it again"
        raise FtuiError("the model folder has no .safetensors weights", step, where)
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise FtuiError(
            "the model folder has no tokenizer", f"it needs one of {', '.join(_TOKENIZERS)}", where
        )
    return folder


def _shards(index: Path) -> list[str]:
    try:
        return sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise FtuiError("cannot read the list of weight files", "copy the model again", str(index)) from None


def _converted_gguf(path: Path, tell: Progress) -> Path:
    """A safetensors folder of the GGUF file, made once for this content."""
    from ftui.engine.gguf_file import read_gguf

    stat = path.stat()
    with path.open("rb") as file:
        head = file.read(_SAMPLE_BYTES)
        file.seek(max(0, stat.st_size - _SAMPLE_BYTES))
        tail = file.read(_SAMPLE_BYTES)
    key = f"{stat.st_size} {stat.st_mtime_ns} ".encode() + hashlib.sha256(head + tail).digest()
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem)[:60]
    folder = cache_root() / "models" / f"{stem}-{hashlib.sha256(key).hexdigest()[:12]}"

    def make(staging: Path, model: Path) -> None:
        del staging
        from ftui.engine.gguf_convert import convert_gguf

        tell("convert", 0, 0)
        convert_gguf(read_gguf(path), model)

    # Four bits a weight become sixteen.
    return make_once(folder, _GGUF_VERSION, stat.st_size * 4, make, tell)


def _from_hub(name: str, revision: str, tell: Progress) -> Path:
    """A snapshot of the hub's repository: from the local cache when it is whole there, else downloaded."""
    import huggingface_hub
    from huggingface_hub import errors

    try:
        folder = huggingface_hub.snapshot_download(
            name, revision=revision or None, allow_patterns=_HUB_FILES, tqdm_class=_bars(tell)
        )
    except errors.GatedRepoError:
        raise FtuiError(
            f"the authors of {name} ask you to accept their terms first",
            "do so on its page on the hub, then `hf auth login`",
        ) from None
    except errors.RevisionNotFoundError:
        raise FtuiError(f"{name} has no revision {revision!r}", "check model.revision") from None
    except errors.RepositoryNotFoundError:
        raise FtuiError(
            f"no model {name} on the hub", "check the spelling; for a private one `hf auth login` first"
        ) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
        step = "unset HF_HUB_OFFLINE to download it" if offline else "check the network and run it again"
        raise FtuiError(
            f"{name} is not on this machine and the hub cannot be reached", f"{step}, or give a local folder"
        ) from None
    except errors.HFValidationError:
        raise FtuiError("not a hub id", "it is owner/name, such as org/model-7b", name) from None
    except Exception as error:  # noqa: BLE001 - the hub client lets its HTTP library's own errors through
        raise FtuiError(
            f"cannot download {name}: {one_line(str(error), 120)}", "check the network and run it again"
        ) from None
    return check_folder(Path(folder))


def _bars(tell: Progress) -> Any:
    """A tqdm class that tells the largest byte bar's state as "download" and draws nothing."""
    from tqdm import tqdm

    largest = [0, 0]

    class Bar(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.in_bytes = kwargs.get("unit") == "B"
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "file": _Nowhere(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            if self.in_bytes and (self.total or 0) >= largest[1]:
                largest[:] = [int(self.n), int(self.total or 0)]
                tell("download", *largest)
            return shown

    return Bar


class _Nowhere:
    """Where those bars draw."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return None
