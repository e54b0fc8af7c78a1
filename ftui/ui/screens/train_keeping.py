"""What a person does with runs beside training them: notes, tags, the trash, and the order of the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ftui.core.errors import FtuiError
from ftui.core.text import one_line
from ftui.runs.rundir import RunDir
from ftui.ui.bindings import ordered
from ftui.ui.screens.train_acting import Acting
from ftui.ui.widgets.prompt_line import PromptLine
from ftui.ui.widgets.run_list import RunList

if TYPE_CHECKING:
    from ftui.runs.state import RunSummary


class Keeping(Acting):
    """The part of the Train pane that keeps runs in order. Files are written in threads."""

    BINDINGS: ClassVar[list[Any]] = [
        ordered("N", "note", "note", id="train.note"),
        ordered("t", "tags", "tags", id="train.tags"),
        ordered("delete,backspace", "throw_away", "delete", id="train.delete"),
        ordered("u", "bring_back", "undo delete", id="train.undo"),
        ordered(
            "left_square_bracket",
            "queue(-1)",
            "start it earlier",
            show=True,
            key_display="[",
            id="train.earlier",
        ),
        ordered("right_square_bracket", "queue(1)", "later", show=True, key_display="]", id="train.later"),
        ordered("q", "pause_queue", "pause the queue, go on", id="train.pause"),
    ]

    def can_act(self, action: str) -> bool:
        if action == "queue":
            run = self._chosen()
            return run is not None and run.state == "queued"
        if action == "pause_queue":
            return any(run.state == "queued" for run in self.app.pulse.runs)
        return super().can_act(action)

    # -- words on a run ---------------------------------------------------------

    async def action_note(self) -> None:
        if (run := self._chosen()) is not None:
            await self.ask(
                PromptLine(
                    "note", lambda text: self._act(lambda: self._label(run, note=text)),
                    value=one_line(run.note, 2000), placeholder=f"what is to be known of {one_line(run.name, 30)}",
                )
            )  # fmt: skip

    async def action_tags(self) -> None:
        if (run := self._chosen()) is not None:
            known = sorted({tag for other in self.app.pulse.runs for tag in other.tags})
            await self.ask(
                PromptLine(
                    "tags", lambda text: self._act(lambda: self._label(run, tags=text.split())),
                    value=" ".join(run.tags), placeholder="words with spaces between", suggestions=known,
                )
            )  # fmt: skip

    def _label(self, run: RunSummary, note: str | None = None, tags: list[str] | None = None) -> None:
        from ftui.runs.labels import write_labels

        labels = write_labels(RunDir(run.path), note=note, tags=tags)
        if note is not None:
            words = "is noted" if labels.note else "has no note"
        else:
            words = f"is tagged {' '.join(labels.tags)}" if labels.tags else "has no tags"
        self.app.call_from_thread(self.say, f"{one_line(run.name, 40)} {words}")

    # -- the trash --------------------------------------------------------------

    def action_throw_away(self) -> None:
        """Without a question: it can be undone. A run at work is refused."""
        if run := self._chosen():
            self._act(lambda: self._throw_away(run))

    def action_bring_back(self) -> None:
        self._act(self._bring_back)

    def _throw_away(self, run: RunSummary) -> None:
        from ftui.runs.control import delete
        from ftui.runs.state import ACTIVE, run_state

        if (state := run_state(RunDir(run.path))) in ACTIVE:
            raise FtuiError(f"the run is {state}", "stop it first (s)")
        delete(RunDir(run.path))
        tell = self.app.call_from_thread
        tell(self.query_one(RunList).forget, run.id)
        tell(self.say, f"{one_line(run.name, 40)} is in the trash; u brings it back")

    def _bring_back(self) -> None:
        """The run that was thrown away last, by whoever and whenever."""
        from ftui.runs.control import restore
        from ftui.runs.trash import deleted_runs

        thrown = deleted_runs(self.app.workspace)
        if not thrown:
            raise FtuiError("nothing to bring back: the trash is empty")
        rundir = restore(self.app.workspace, thrown[0])
        left = f"; {len(thrown) - 1} more in the trash" if len(thrown) > 1 else ""
        tell = self.app.call_from_thread
        tell(self.query_one(RunList).expect, rundir.id)
        tell(self.say, f"{one_line(rundir.id, 60)} is back{left}")

    # -- the queue --------------------------------------------------------------

    def action_queue(self, by: int) -> None:
        """Moves a waiting run: -1 is started earlier."""
        if run := self._chosen():
            self._act(lambda: self._move(run, by))

    def action_pause_queue(self) -> None:
        """No further run is started, or again one after the other."""
        self._act(self._pause_queue)

    def _move(self, run: RunSummary, by: int) -> None:
        from ftui.runs.queue import move

        place = move(self.app.workspace, RunDir(run.path), by)
        words = "is next" if place == 1 else f"is number {place} in the queue"
        self.app.call_from_thread(self.say, f"{one_line(run.name, 40)} {words}")

    def _pause_queue(self) -> None:
        from ftui.runs import queue

        workspace = self.app.workspace
        paused = queue.is_paused(workspace)
        queue.go(workspace) if paused else queue.pause(workspace)
        words = "the queue goes on" if paused else "the queue is paused; q goes on"
        self.app.call_from_thread(self.say, words)
