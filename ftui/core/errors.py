"""The one error a user can cause: what is wrong, where, and what to do next."""

from __future__ import annotations


class FtuiError(Exception):
    """Shown as one clear line; the command line exits 2. Anything else reaching the user is a bug.

    message: what is wrong, in the user's words, without a trailing full stop.
    hint: the next step, imperative ("run `ftui doctor`"); empty when the message says it.
    where: the exact place: a file, `file:line`, or a recipe field such as `training.learning_rate`.
    """

    def __init__(self, message: str, hint: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        step = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.message}{step}"


class ModelError(FtuiError):
    """The run or the model failed, not the user's input; the command line exits 3."""
