"""Bulk actions: one action on every row in sight, one operation, one undo. Asked about with the count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from ftui.core.errors import FtuiError
from ftui.core.text import one_line, sanitize
from ftui.ui.screens.data_queues import Queues

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ftui.data.actions import Action
    from ftui.ui.dataset_desk import DatasetDesk, Refused, Written

_CHOICES = {
    "a": "accept", "x": "reject", "u": "undecided again", "f": "flag", "F": "take the flag away",
    "t": "add a tag", "T": "take a tag away", "r": "rate", "d": "delete", "R": "restore",
}  # fmt: skip


class BulkPlanned(Message):
    """The rows that an action would change, of `total` in sight."""

    def __init__(self, desk: DatasetDesk, action: Action, words: str, numbers: list[int], total: int) -> None:
        super().__init__()
        self.desk, self.action, self.words, self.numbers, self.total = desk, action, words, numbers, total


class Bulk(Queues):
    """The part of the Data pane that acts on many rows."""

    def __init__(self) -> None:
        super().__init__()
        self._bulk: tuple[DatasetDesk, int, str] | None = None  # being written: its ticket and words

    @property
    def busy_caption(self) -> str:
        if self._bulk is not None and self._bulk[0] is self.desk:
            return f"writing: {self._bulk[2]} …"
        return super().busy_caption

    def _in_sight(self) -> tuple[Sequence[int], str]:
        """What a bulk action is about, and its name: the matches of a search, else the rows listed."""
        if self.searching:
            return self._numbers, f"that hold {one_line(self.searched_text, 20)!r}"
        return self.rows.numbers, "of this view" if self.viewing else "of the whole file"

    async def action_bulk(self) -> None:
        from ftui.ui.modals.choose_key import Choice, ChooseKey

        numbers, which = self._in_sight()
        if self.searching and (self._searched < 1 or self.matches_cut):
            self.say_error(FtuiError("the search is not through yet, or found too many", "narrow it with F"))
            return
        if not self.viewing and self.facts is not None and not self.facts.complete:
            self.say_error(FtuiError("not every row is known yet", "wait until the file is indexed"))
            return
        if not numbers:
            self.say("no rows to act on")
            return
        choices = [Choice(key, words) for key, words in _CHOICES.items()]
        title = f"{len(numbers):,} row{'' if len(numbers) == 1 else 's'} {which}"
        note = "asks before it writes; one u takes it back"

        async def chosen(key: str | None) -> None:
            if key is not None:
                await self._begin(key, numbers)

        await self.app.push_screen(ChooseKey(title, choices, note), chosen)

    async def _begin(self, key: str, numbers: Sequence[int]) -> None:
        """Asks for what the action still lacks, then plans it."""
        from ftui.data import actions
        from ftui.ui.widgets.prompt_line import KeyLine, PromptLine

        plain = {
            "a": (actions.accept(), "accept"), "x": (actions.reject(), "reject"),
            "u": (actions.undecide(), "make undecided"), "f": (actions.flag(), "flag"),
            "F": (actions.flag(False), "unflag"), "d": (actions.delete(), "delete"),
            "R": (actions.restore(), "restore"),
        }  # fmt: skip
        if key in plain:
            self._plan(numbers, *plain[key])
        elif key == "r":
            stars = [(str(number), "stars" if number == 5 else "") for number in range(1, 6)]

            def rated(answer: str) -> None:
                words = f"rate {answer}" if answer != "0" else "take the rating from"
                self._plan(numbers, actions.rate(int(answer) or None), words)

            await self.ask(KeyLine(f"rate {len(numbers):,} rows", [*stars, ("0", "none")], rated))
        else:

            def tagged(text: str) -> None:
                if name := text.strip():
                    self._note_tags((name,))
                    action = actions.tag(name) if key == "t" else actions.untag(name)
                    self._plan(numbers, action, f"{'tag' if key == 't' else 'untag'} {one_line(name, 20)}:")

            suggestions = [sanitize(tag, lines=False) for tag in self._known_tags]
            label = f"{'tag for' if key == 't' else 'take a tag from'} {len(numbers):,} rows"
            await self.ask(PromptLine(label, tagged, placeholder="a word", suggestions=suggestions))

    def _plan(self, numbers: Sequence[int], action: Action, words: str) -> None:
        """Finds, in a thread, the rows that it would change."""
        desk = self.desk
        if desk is None or desk.dataset is None:
            return
        dataset = desk.dataset

        def plan() -> None:
            from ftui.data.bulk import rows_to_change

            found = rows_to_change(dataset, numbers, action)
            self.post_message(BulkPlanned(desk, action, words, found, len(numbers)))

        self.run_worker(plan, thread=True, exclusive=True, group="bulk", exit_on_error=False)

    @on(BulkPlanned)
    async def ask_about_bulk(self, message: BulkPlanned) -> None:
        from ftui.ui.widgets.prompt_line import KeyLine

        count, desk = len(message.numbers), message.desk
        if desk is not self.desk:
            return
        if not count:
            self.say(f"all {message.total:,} rows are so already")
            return
        words = f"{message.words} {count:,} row{'' if count == 1 else 's'}"
        others = message.total - count

        def confirmed(_key: str) -> None:
            if desk is self.desk:
                changes = [(number, message.action) for number in message.numbers]
                self._bulk = desk, desk.write_each(changes, f"{words}: done, u takes it back"), words
                self._caption()

        so = f" ({others:,} {'is' if others == 1 else 'are'} so already)" if others else ""
        await self.ask(KeyLine(f"{words}?{so}", [("y", "yes")], confirmed))

    def after_write(self, message: Written) -> None:
        self._bulk_over(message.ticket)
        super().after_write(message)

    def after_refusal(self, message: Refused) -> None:
        if not self._bulk_over(message.ticket):
            super().after_refusal(message)

    def _bulk_over(self, ticket: int) -> bool:
        over = self._bulk is not None and self._bulk[:2] == (self.desk, ticket)
        if over:
            self._bulk = None
            self._caption()
        return over
