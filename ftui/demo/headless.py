"""`ftui demo --headless`: trains in the background as the screen does, then asks base and adapter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftui.core.errors import ModelError
from ftui.core.recipe import load_recipe
from ftui.demo.triage import keeps_format
from ftui.demo.workspace import RECIPE, Ticket, held_out
from ftui.runs.clients import EngineClient
from ftui.runs.launch import launch
from ftui.runs.rundir import RunDir
from ftui.runs.state import list_runs, summarize

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftui.runs.workspace import Workspace

ASKED = 5
ENOUGH = 4
MAX_NEW_TOKENS = 80


@dataclass(frozen=True, slots=True)
class Answered:
    """One held-out ticket with both sides' replies."""

    ticket: Ticket
    base: str
    adapter: str

    @property
    def keeps_format(self) -> bool:
        return keeps_format(self.adapter)


def start_demo_run(workspace: Workspace, steps: int = 0) -> RunDir:
    """Starts the demo's run, detached. `steps` replaces the recipe's number of steps when not 0."""
    path = workspace.recipes / f"{RECIPE}.toml"
    recipe = load_recipe(path)
    if steps:
        recipe = recipe.with_values({"training.max_steps": steps})
    return launch(workspace, recipe, recipe_path=path)


def living_demo_run(workspace: Workspace) -> RunDir | None:
    """A demo run that is starting or training in this workspace, to be joined rather than doubled."""
    for run in list_runs(workspace):
        if run.active and run.name == RECIPE:
            return RunDir(run.path)
    return None


def ask_both(
    workspace: Workspace, rundir: RunDir, progress: Callable[[str, int, int], None], count: int = ASKED
) -> list[Answered]:
    """Greedy replies of base and adapter to the first `count` held-out tickets. Raises ModelError."""
    tickets = held_out(workspace)[:count]
    answered = []
    with EngineClient.serve(base="demo", adapters=[str(rundir.adapter)], progress=progress) as client:
        adapter = client.sides[1]
        for number, ticket in enumerate(tickets):
            progress("asking base and adapter", number, len(tickets))
            messages = [{"role": "user", "content": ticket.question}]
            sampling = {"max_new_tokens": MAX_NEW_TOKENS, "temperature": 0.0, "seed": 0}
            replies = client.generate(
                [
                    {"adapter": None, "messages": messages, "sampling": sampling},
                    {"adapter": adapter, "messages": messages, "sampling": sampling},
                ]
            )
            answered.append(Answered(ticket, replies[0].text, replies[1].text))
    return answered


def failure(rundir: RunDir, state: str) -> ModelError:
    """What to tell a person whose demo run did not finish."""
    reason = summarize(rundir).reason or "see the log"
    return ModelError(
        f"the demo run {state}: {reason}",
        f"`ftui runs show {rundir.id}` has the details",
        str(rundir.log_path),
    )
