"""Trackers of `logging.report_to`: the figures of a run told to TensorBoard, wandb or mlflow as well.

Each goes by its own library's settings (WANDB_MODE, MLFLOW_TRACKING_URI, ...). A resumed run goes on in the
same curves.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Protocol

from ftui.core.errors import FtuiError
from ftui.core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ftui.core.recipe import Recipe
    from ftui.runs.rundir import RunDir


class Tracker(Protocol):
    """name: of its library."""

    name: str

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Takes the figures of a `step` or `eval` event. May raise anything."""

    def close(self) -> None:
        """Sends what is left. May raise anything."""


def open_trackers(recipe: Recipe, rundir: RunDir) -> list[Tracker]:
    """The trackers of `logging.report_to`. Raises FtuiError when one is not installed or does not start."""
    for name in recipe.logging.report_to:
        if importlib.util.find_spec(name) is None:
            raise FtuiError(
                f"{name} is not installed", f"`pip install {name}`, or leave it out", "logging.report_to"
            )
    trackers: list[Tracker] = []
    for name in recipe.logging.report_to:
        try:
            trackers.append(_TRACKERS[name](recipe, rundir))
        except Exception as error:  # its library may raise anything
            raise FtuiError(
                one_line(f"{name} does not start: {error}", 300),
                _HINTS.get(name, "leave it out, or see out.log"),
                "logging.report_to",
            ) from error
    return trackers


_HINTS = {
    "wandb": "`wandb login`, or WANDB_MODE=offline in the environment, or leave it out",
    "mlflow": "see MLFLOW_TRACKING_URI, or leave it out",
}


class _TensorBoard:
    name = "tensorboard"

    def __init__(self, recipe: Recipe, rundir: RunDir) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(rundir.path / "tensorboard"))
        self._writer.add_text("recipe", f"    {recipe.to_toml()}".replace("\n", "\n    "))

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            if name not in ("step", "steps"):
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    name = "wandb"

    def __init__(self, recipe: Recipe, rundir: RunDir) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "ftui"),
            name=rundir.id,
            id=rundir.id,
            resume="allow",
            dir=str(rundir.path),
            config=recipe.model_dump(mode="json"),
        )

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        self._run.finish()


class _Mlflow:
    name = "mlflow"

    def __init__(self, recipe: Recipe, rundir: RunDir) -> None:
        import mlflow

        self._mlflow = mlflow
        known = rundir.read_manifest().get("mlflow_run_id")
        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "ftui"))
        run = mlflow.start_run(run_id=known, run_name=rundir.id)
        if known:
            return
        rundir.update_manifest(mlflow_run_id=run.info.run_id)
        values = recipe.model_dump(mode="json")
        flat = {
            f"{s}.{n}": v for s, part in values.items() if isinstance(part, dict) for n, v in part.items()
        }
        mlflow.log_params({name: str(value)[:500] for name, value in flat.items()})

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(numbers), step=step)

    def close(self) -> None:
        self._mlflow.end_run()


_TRACKERS = {"tensorboard": _TensorBoard, "wandb": _Wandb, "mlflow": _Mlflow}
