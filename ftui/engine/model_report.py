"""What a run says about its model once it is loaded: its size, its formats, and what is not as the recipe suggests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.engine.experts import number_of_experts
from ftui.engine.model import count, unquantized

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from ftui.core.recipe import Recipe
    from ftui.engine.checkpoint import Progress
    from ftui.engine.layout import Layout
    from ftui.engine.model import Formats
    from ftui.engine.telemetry import Reporter


def tell_model(
    reporter: Reporter,
    recipe: Recipe,
    model: nn.Module,
    base: PreTrainedModel,
    formats: Formats,
    layout: Layout,
    progress: Progress,
) -> None:
    """Emits the `model` event, and a notice for weights that are not quantized or not adapted."""
    counts = count(model)
    reporter.emit(
        "model",
        parameters=counts.parameters,
        trainable_parameters=counts.trainable,
        quantized_fraction=counts.quantized_fraction,
        dtype=str(formats.compute).removeprefix("torch."),
        attention=layout.attention,
        layout="flat" if layout.flat else "padded",
        micro_batch=progress.micro_batch,
        checkpointed_layers=progress.checkpointed_layers,
    )
    few = counts.parameters / 200  # the routers of experts, say
    left = {name: number for name, number in unquantized(base).items() if number > few}
    if recipe.quantization.bits != 16 and left:
        named = ", ".join(f"{number:,} weights in {name}" for name, number in sorted(left.items()))
        reporter.notice(f"not quantized, so memory is higher than the recipe suggests: {named}", "", "info")
    if recipe.quantization.bits == 4 and number_of_experts(base.config):
        reporter.notice(
            "experts in 4 bits are not adapted: attention and what chooses the experts learn",
            "quantization.bits = 16 adapts them too, if they fit",
            "info",
        )
