"""Adapter folders: finding them, naming them, and refusing one made for another base before it is loaded.

Importing this module needs no torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError
from ftui.core.recipe import Recipe, load_recipe
from ftui.engine.safetensors_header import read_shapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True)
class AdapterFolder:
    """A peft adapter on disk.

    name: what people call it: the run's id, `run@checkpoint`, `name@version`, or the folder's name.
    base: the base model it says it was made for; "" when it does not.
    run: the run directory it lies in, and `recipe` that run's frozen recipe; None when there is none.
    """

    path: Path
    name: str
    config: dict[str, Any]
    run: Path | None = None
    recipe: Recipe | None = None

    @property
    def base(self) -> str:
        return str(self.config.get("base_model_name_or_path") or "")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor in it. Raises FtuiError when it is damaged."""
        return read_shapes(self.path / _WEIGHTS)


def find_adapter(path: Path) -> AdapterFolder:
    """The adapter at `path`: its folder, a run's or a checkpoint's. Raises FtuiError when there is none."""
    path = path.expanduser().absolute()
    where = str(path)
    if not path.is_dir():
        raise FtuiError("no such adapter folder", "check the path; `ftui runs` lists your runs", where)
    folder = next((place for place in (path, path / "adapter") if (place / _CONFIG).is_file()), None)
    if folder is None:
        raise _not_an_adapter(path)
    if not (folder / _WEIGHTS).is_file():
        old = any(folder.glob("adapter_model*.bin"))
        step = "convert its .bin to safetensors" if old else "wait for the run to save it, or copy it again"
        raise FtuiError(f"the adapter has no {_WEIGHTS}", step, where)
    try:
        config = json.loads((folder / _CONFIG).read_bytes())
        if not isinstance(config, dict):
            raise ValueError
    except (OSError, ValueError):
        raise FtuiError(f"cannot read {_CONFIG}", "copy the adapter again", str(folder)) from None
    run, recipe = _run_around(folder)
    return AdapterFolder(folder, _name(folder), config, run, recipe)


def _not_an_adapter(path: Path) -> FtuiError:
    where = str(path)
    if (path / "adapter" / "config.json").is_file():
        whole = str(path / "adapter")
        return FtuiError("this run trained the whole model", f"give {whole} as the base model", where)
    if (path / "recipe.toml").is_file():
        saved = sorted((path / "checkpoints").glob(f"[!.]*/{_CONFIG}"))
        step = f"give its newest checkpoint: {saved[-1].parent}" if saved else "wait for its first checkpoint"
        return FtuiError("this run has not saved its adapter yet", step, where)
    if (path / "config.json").is_file():
        return FtuiError("this is a whole model, not an adapter", "give it as the base model", where)
    return FtuiError(f"not an adapter folder: it has no {_CONFIG}", "give the folder that has one", where)


def _name(folder: Path) -> str:
    place = folder.parent if folder.name == "adapter" else folder
    if place.parent.name == "checkpoints":
        step = place.name.rpartition("-")[2]
        return f"{place.parent.parent.name}@{int(step) if step.isdecimal() else place.name}"
    if place.parent.parent.name == "adapters":
        return f"{place.parent.name}@{place.name}"
    return place.name


def _run_around(folder: Path) -> tuple[Path | None, Recipe | None]:
    """The run an adapter lies in (RUN/adapter, RUN/checkpoints/STEP) and its recipe, where it can be read."""
    for parent in list(folder.parents)[:2]:
        if (parent / "recipe.toml").is_file():
            try:
                return parent, load_recipe(parent / "recipe.toml")
            except FtuiError:  # of another version of ftui: the adapter itself may still do
                return parent, None
    return None, None


def unique_names(adapters: Iterable[AdapterFolder]) -> list[str]:
    """Their names, told apart with #2, #3 where two are the same; "base" is taken."""
    seen = {"base": 1}
    names = []
    for adapter in adapters:
        seen[adapter.name] = seen.get(adapter.name, 0) + 1
        count = seen[adapter.name]
        names.append(adapter.name if count == 1 else f"{adapter.name}#{count}")
    return names


def check_fits(adapter: AdapterFolder, sizes: Mapping[str, tuple[int, int]], base: str) -> None:
    """Raises FtuiError unless every LoRA matrix fits the layer it names.

    sizes: (inputs, outputs) of every layer of the base model by its dotted name; 0 = not known.
    """
    where = str(adapter.path)
    made_for = f"it says it was made for {adapter.base}" if adapter.base else "use the base it was made for"
    for name, shape in adapter.shapes().items():
        layer, _, rest = name.removeprefix(_PREFIX).partition(".lora_")
        layer, side = layer.replace(".base_layer", ""), rest[:1]
        if side not in ("A", "B") or len(shape) != 2:
            continue
        if layer not in sizes:
            raise FtuiError(f"the adapter does not fit {base}: it has no layer {layer}", made_for, where)
        inputs, outputs = sizes[layer]
        need, have = (inputs, shape[1]) if side == "A" else (outputs, shape[0])
        if need and have != need:
            raise FtuiError(
                f"the adapter does not fit {base}: {layer} has width {need}, the adapter's {have}",
                made_for,
                where,
            )


def is_for(adapter: AdapterFolder, base: str, folder: Path) -> bool:
    """Whether the base an adapter names may be the one loaded from `folder` under the name `base`."""
    if not adapter.base or adapter.base == base:
        return True
    named = Path(adapter.base).expanduser()
    if named.is_dir():
        return named.resolve() == folder.resolve()
    return named.name == folder.name or named.name == Path(base).name
