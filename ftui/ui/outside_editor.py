"""A text in the user's own editor: $VISUAL, else $EDITOR, else what is installed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from ftui.core.errors import FtuiError

_FALLBACKS = ("nano", "vim", "vi", "micro", "emacs")


def editor_command() -> list[str]:
    """The command line that opens a file. Raises FtuiError where there is none."""
    wish = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    try:
        command = shlex.split(wish)
    except ValueError as error:
        raise FtuiError(f"$EDITOR cannot be read: {error}", "set it to a command") from None
    if command:
        return command
    for name in _FALLBACKS:
        if found := shutil.which(name):
            return [found]
    raise FtuiError("no editor found", "set $EDITOR to the one you like")


def edit_outside(text: str, suffix: str) -> str:
    """`text` as the user left it. Call it while the screen is suspended. Raises FtuiError.

    A newline that the editor adds at the end, as most do, is taken away again.
    """
    command = editor_command()
    folder = Path(tempfile.mkdtemp(prefix="ftui-"))
    path = folder / f"field{suffix}"
    try:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        ended = subprocess.run([*command, str(path)], check=False)
        if ended.returncode != 0:
            raise FtuiError(f"{command[0]} ended with {ended.returncode}", "nothing was changed")
        edited = path.read_bytes().decode("utf-8", "surrogatepass")
    except FileNotFoundError:
        raise FtuiError(f"cannot start {command[0]}", "set $EDITOR to a command that exists") from None
    except UnicodeDecodeError:
        raise FtuiError("the edited file is not UTF-8", "nothing was changed") from None
    except OSError as error:
        raise FtuiError(f"cannot edit: {error.strerror or error}", "", str(path)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if edited.endswith("\n") and not text.endswith("\n"):
        edited = edited[:-1]
    return edited
