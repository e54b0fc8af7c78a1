"""Token ids to text as they come, never half a character."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BROKEN = "\ufffd"


class TextStream:
    """Turns one reply's tokens into text piece by piece; the pieces joined are the whole reply.

    A token may be half a character, and what a token looks like may depend on the one before it (leading
    spaces). So each piece is the difference between decoding a window with and without the new tokens, held
    back while it ends in an incomplete character.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._window = 0
        self._read = 0
        self.text = ""

    def push(self, token: int) -> str:
        """The text `token` completes; "" while a character is incomplete."""
        self._ids.append(token)
        before = self._decode(self._ids[self._window : self._read])
        after = self._decode(self._ids[self._window :])
        if after.endswith(_BROKEN) or len(after) <= len(before):
            return ""
        self._window, self._read = self._read, len(self._ids)
        piece = after[len(before) :]
        self.text += piece
        return piece

    def finish(self) -> str:
        """What was held back and is text after all; an incomplete character at the very end is dropped."""
        before = self._decode(self._ids[self._window : self._read])
        after = self._decode(self._ids[self._window :]).rstrip(_BROKEN)
        self._window = self._read = len(self._ids)
        piece = after[len(before) :]
        self.text += piece
        return piece

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
