"""Checkpoints: all of a run that must survive it being killed.

`checkpoints/step-000040/` holds the adapter in peft's format (so a chat can load it), `optimizer.pt` and
`state.json`. It is written under another name, synced and renamed, and `complete` is its last file: whatever
has that name and that file is whole. Nothing else needs saving: the order of the data and every random draw
follow from the step number (`pack.py`, `train.py`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import orjson
import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file

from ftui.core.durable import replace_bytes, sync
from ftui.core.text import one_line
from ftui.engine.adapter import WEIGHTS, save_adapter
from ftui.engine.optim import page_again

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

_PREFIX = "step-"
_TEMPORARY = ".saving-"
_COMPLETE = "complete"
_BEST = "best.json"
_PROBE_BYTES = 1 << 20  # a write that has failed for lack of room leaves less


class NotSaved(Exception):
    """The disk would not take it; says why."""


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what torch, safetensors and the system raise when a write into `folder` fails into NotSaved."""
    try:
        yield
    except OSError as error:
        raise NotSaved(_reason(error)) from error
    except (SafetensorError, RuntimeError) as error:
        # torch keeps to itself what the system said: it is asked again while the half-written files are there.
        raise NotSaved(_refusal(folder) or one_line(str(error), 160)) from error


def _reason(error: OSError) -> str:
    return "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)


def _refusal(folder: Path) -> str:
    """Why nothing more can be written into `folder`, "" when it can."""
    probe = folder / "probe"
    try:
        with probe.open("wb") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError:
        return ""
    except OSError as error:
        return _reason(error)
    finally:
        with contextlib.suppress(OSError):  # a file system that has become read-only says so here too
            probe.unlink()
    return ""


@dataclass
class Progress:
    """How far a run is.

    step: optimizer steps done. tokens, trained_tokens: seen so far, padding left out. micro_batch,
    checkpointed_layers: what memory allowed. best_loss, best_step, evaluations_since_best: for early stopping
    and the best checkpoint; best_loss is None before the first evaluation. skipped: updates left out in a row
    because they were not finite. evaluated_step: the last one evaluated at. dtype, attention: decided once,
    kept when resumed.
    """

    step: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    micro_batch: int = 0
    checkpointed_layers: int = 0
    best_loss: float | None = None
    best_step: int = 0
    evaluations_since_best: int = 0
    skipped: int = 0
    evaluated_step: int = -1
    dtype: str = ""
    attention: str = ""


def save(
    folder: Path,
    progress: Progress,
    model: nn.Module,
    *,
    base: Path | str,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    pissa: Path,
    keep: int,
) -> Path:
    """Writes the checkpoint of `progress.step`, then removes all but the newest `keep` and the best.

    Raises NotSaved when the disk will not take it; nothing half-written is left.
    """
    final = folder / f"{_PREFIX}{progress.step:06d}"
    temporary = folder / f"{_TEMPORARY}{final.name}"
    try:
        with writing(temporary):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(temporary, ignore_errors=True)
            save_adapter(model, temporary, base, pissa)
            states = {"optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}
            torch.save(states, temporary / "optimizer.pt")
            (temporary / "state.json").write_bytes(orjson.dumps(asdict(progress)))
            sync_files(temporary)
            (temporary / _COMPLETE).touch()
            sync(temporary)
            if final.exists():  # a torn one, or one saved before the run was made to start over
                shutil.rmtree(final)
            temporary.rename(final)
            sync(folder)
            if progress.best_step == progress.step and progress.best_loss is not None:
                record = orjson.dumps({"path": final.name, "eval_loss": progress.best_loss})
                replace_bytes(folder / _BEST, record, durable=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _prune(folder, keep)
    return final


def newest(folder: Path) -> Path | None:
    """The newest complete checkpoint, None when there is none. Clears away what a killed save has left."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)
    whole = _complete(folder)
    return whole[-1] if whole else None


def best(folder: Path) -> Path | None:
    """The checkpoint with the lowest evaluation loss of those that could be saved, None when there is none."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        path = folder / str(orjson.loads((folder / _BEST).read_bytes())["path"])
        if (path / _COMPLETE).exists():
            return path
    return None


def read_progress(path: Path) -> Progress:
    known = {field.name for field in fields(Progress)}
    state: dict[str, Any] = orjson.loads((path / "state.json").read_bytes())
    return Progress(**{name: value for name, value in state.items() if name in known})


def load_weights(path: Path, model: nn.Module) -> None:
    """Puts a checkpoint's trained weights into `model`, bit for bit."""
    if not isinstance(model, PeftModel):
        _load_whole(path, model)
        return
    weights = load_file(path / WEIGHTS)
    live = get_peft_model_state_dict(model, save_embedding_layers=False)
    for key, value in weights.items():  # PiSSA is saved with what it started from behind it
        if (shape := live[key].shape) != value.shape:
            weights[key] = value[tuple(slice(size) for size in shape)].contiguous()
    set_peft_model_state_dict(model, weights)


def _load_whole(path: Path, model: nn.Module) -> None:
    """Through the class itself: files may name and cut the weights in another way than the model holds them."""
    saved = type(model).from_pretrained(
        path, dtype=model.dtype, use_safetensors=True, attn_implementation="eager"
    )
    model.load_state_dict(saved.state_dict())
    model.tie_weights()


def load_optimizer(path: Path, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> None:
    state = torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
    optimizer.load_state_dict(state["optimizer"])
    page_again(optimizer)
    scaler.load_state_dict(state["scaler"])


def size(path: Path) -> int:
    """Bytes of a checkpoint on disk."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def sync_files(folder: Path) -> None:
    """Returns when everything in `folder` is on the disk itself. Raises OSError."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def _complete(folder: Path) -> list[Path]:
    whole = [path for path in folder.glob(f"{_PREFIX}*") if (path / _COMPLETE).exists()]
    return sorted(whole, key=lambda path: (len(path.name), path.name))  # a millionth step has one more digit


def _prune(folder: Path, keep: int) -> None:
    kept = best(folder)
    for path in _complete(folder)[:-keep]:
        if path != kept:
            shutil.rmtree(path, ignore_errors=True)
