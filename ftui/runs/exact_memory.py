"""The exact estimate: a process builds the base on fake tensors and counts a step's memory (engine.exact_memory)."""

from __future__ import annotations

import json
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

from ftui.core.errors import FtuiError, ModelError
from ftui.core.estimate import ROOM, Estimate, Load
from ftui.core.memory import ADAM, ADAM_8BIT, CUDA_CONTEXT, HOST_PROCESS, SLACK, activation_bytes, attempts
from ftui.core.objectives import packs
from ftui.core.text import one_line
from ftui.runs.process import child_environment, python_command

if TYPE_CHECKING:
    from ftui.core.hardware import Hardware
    from ftui.core.recipe import Recipe

_MODULE = "ftui.engine.exact_memory"
_EVERY_LAYER = 10**6
_SECONDS = 600


def exact_estimate(
    recipe: Recipe,
    config: dict[str, Any],
    hardware: Hardware,
    *,
    layers: int | None = None,
    longest: int | None = None,
) -> Estimate:
    """As `core.memory.estimate`, for any architecture transformers can build; takes from ten seconds on.

    config: the base's config.json. layers: how many it has where that is known. longest: tokens of the longest
    example. Raises FtuiError for a model that cannot be built, ModelError when the process fails.
    """
    packed = recipe.data.packing and packs(recipe.training.objective)
    length = recipe.data.max_length if packed or not longest else min(longest, recipe.data.max_length)
    loads = list(dict.fromkeys(attempts(recipe, layers or _EVERY_LAYER, hardware, length)))
    if layers is None and len(loads) > 2:  # nothing between no layer and all: their number is not known
        loads = [load for load in loads if load[1] in (0, loads[0][1])] + [(1, _EVERY_LAYER)]
    reply = _ask(
        {
            "recipe": tomllib.loads(recipe.to_toml()),
            "config": config,
            "device": hardware.device,
            "activation_bytes": activation_bytes(recipe, hardware),
            "loads": [[size, length, recomputed] for size, recomputed in loads],
            "room": None if hardware.memory is None else int(ROOM * hardware.memory - _outside(hardware)),
        }
    )
    micro_batch, length, recomputed = reply["load"]
    trainable, full = int(reply["trainable"]), recipe.adapter.method == "full"
    gradients = 4 * trainable
    activations = max(0, int(reply["peak"]) - gradients)
    optimizer = ADAM_8BIT if "8bit" in recipe.training.optimizer else ADAM
    return Estimate(
        weights=int(reply["weights"]),
        adapter=0 if full else 4 * trainable,
        optimizer=int(optimizer * trainable),
        gradients=gradients,
        activations=activations,
        logits=0,  # counted with the activations: the loss ran as it does in training
        overhead=_outside(hardware) + (int(SLACK * activations) if hardware.device == "cuda" else 0),
        load=Load(micro_batch, length, min(recomputed, int(reply["layers"]))),
        trainable=trainable,
        parameters=int(reply["parameters"]),
        quantized=float(reply["quantized"]),
        memory=hardware.memory,
        method="counted",
    )


def _outside(hardware: Hardware) -> int:
    """Bytes that no tensor accounts for."""
    return CUDA_CONTEXT if hardware.device == "cuda" else HOST_PROCESS


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            python_command(_MODULE),
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=_SECONDS,
            env=child_environment(CUDA_VISIBLE_DEVICES=""),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"counting took longer than {_SECONDS // 60} minutes", "leave --exact out") from None
    try:
        reply = json.loads(done.stdout)
    except ValueError:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        last = one_line(words[-1], 200) if words else f"it ended with {done.returncode}"
        raise ModelError(f"the memory could not be counted: {last}") from None
    if "error" in reply:
        raise FtuiError(str(reply["error"]), str(reply["hint"]), str(reply["where"]))
    return dict(reply)
