"""The chat file that the data benchmark reads: one million rows of support conversations, the same every time."""

from __future__ import annotations

import json
import random
from pathlib import Path

VERSION = 3  # a change of what is written is a change of name

EXACT = "the invoice of order 4711 again"  # in one row of a thousand, always spelt so
ANY_CASE = "gift voucher"  # in one row of a hundred, spelt four ways
COMMON = "stove"  # in most rows
SOURCE = "returns"  # of one row in thirty
SHAPE = "text"  # of one row in twenty-five: raw text among conversations

_SPELT = ("gift voucher", "Gift voucher", "GIFT VOUCHER", "Gift Voucher")
_SOURCES = ["mail"] * 14 + ["phone"] * 8 + ["forum"] * 7 + [SOURCE]
_WORDS = (
    "the a my your our this that after before with without from into over under and but because when while "
    "tent zip pole stove rope pack jacket boots lamp mat sleeping bag order parcel receipt refund size colour "
    "customer shop staff repair exchange delivery weather mountain river winter summer rain snow café naïve "
    "arrived broke asked wants needs paid sent lost found torn bent wet dry warm cold new old late early "
    "please thanks sorry today yesterday tomorrow weeks days hours number address phone mail reply — € °C"
).split()


def make(folder: Path, rows: int) -> Path:
    """The file with `rows` rows in `folder`, written when it is not there yet; about 0.9 KB a row."""
    path = folder / f"chat-{VERSION}-{rows}.jsonl"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    dice = random.Random(20240412)
    sentences = [_sentence(dice) for _ in range(20_000)]
    with part.open("w", encoding="utf-8") as file:
        for number in range(rows):
            file.write(_row(number, dice, sentences))
    part.rename(path)
    return path


def _sentence(dice: random.Random) -> str:
    words = dice.choices(_WORDS, k=dice.randint(5, 18))
    text = " ".join(words).capitalize() + dice.choice(".....?!")
    return json.dumps(text + ("\n" if dice.random() < 0.1 else " "), ensure_ascii=False)[1:-1]


def _row(number: int, dice: random.Random, sentences: list[str]) -> str:
    """Lengths are lognormal, as conversations are: median about 600 characters, one in a thousand over 5,000."""
    length = dice.lognormvariate(6.35, 0.7)
    count = max(2, int(length / 62))
    at = dice.randrange(len(sentences) - count) if count < len(sentences) else 0
    said = sentences[at : at + count]
    if number % 1000 == 501:
        said[0] = f"Please send {EXACT}, it never came. "
    elif number % 100 == 77:
        said[-1] = f"Can I pay with a {dice.choice(_SPELT)}? "
    source = dice.choice(_SOURCES)
    if number % 25 == 7:
        return f'{{"text": "{"".join(said)}", "id": {number}, "source": "{source}"}}\n'
    turns = min(len(said), dice.choice((2, 2, 2, 4, 6)) // 2 * 2)
    turns -= turns % 2
    share = len(said) // turns
    messages = []
    for turn in range(turns):
        text = "".join(said[turn * share : (turn + 1) * share if turn < turns - 1 else None])
        messages.append(f'{{"role": "{("user", "assistant")[turn % 2]}", "content": "{text}"}}')
    return f'{{"messages": [{", ".join(messages)}], "id": {number}, "source": "{source}"}}\n'
