"""How much memory a run needs, in closed form from the model's config.json.

Peak = what stays (weights, adapter, gradients, optimizer) + what a micro-batch needs at its worst moment,
which is either the loss or the backward pass of one block:

    peak = stays + held + max(loss, backward)          all but `stays` grow with the tokens in memory at once

Every term below was derived by following the tensors autograd keeps in transformers' Llama block under LoRA,
and checked two ways: against a count of live storages on fake tensors (0.3%), and against published peaks of
QLoRA on Mistral-7B and Llama-3-8B (foundation-model-stack/fms-acceleration, scripts/benchmarks/refs; 1%).
`u` is one hidden state of one token, `hidden x bytes an activation`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ftui.core.estimate import Estimate, Load
from ftui.core.objectives import packs, sequences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ftui.core.geometry import Geometry
    from ftui.core.hardware import Hardware
    from ftui.core.recipe import Recipe

BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
# bitsandbytes 4-bit: half a byte a weight and one fp32 scale a block of 64; with double quantization the
# scale is 8 bits plus one fp32 a 256 scales (QLoRA, arXiv 2305.14314, section 3).
FOUR_BIT = 0.5 + 4 / 64
FOUR_BIT_DOUBLE = 0.5 + 1 / 64 + 4 / (64 * 256)
# Adam's two moments in fp32; in 8 bits with an fp32 scale a block of 256.
ADAM, ADAM_8BIT = 8.0, 2 * (1 + 4 / 256)
# CUDA context and kernels; a Python process with torch, transformers and peft.
CUDA_CONTEXT, HOST_PROCESS = 600_000_000, 900_000_000
# What the caching allocator reserves beyond what is in use: 11% of activations in the published runs.
SLACK = 0.11
# Tokens a micro-batch has at most on a CPU, where more at once is no faster.
CPU_TOKENS = 4096
# Bytes of fp32 logits that exist at once in the tiled loss.
TILE = 64 * 1024**2


def estimate(
    recipe: Recipe,
    geometry: Geometry,
    hardware: Hardware,
    *,
    longest: int | None = None,
    stock_logits: bool = False,
    upcast: bool = False,
) -> Estimate:
    """The peak of one training process running `recipe`.

    longest: tokens of the longest example where it is known; at most max_length counts.
    stock_logits: the whole batch's logits at once, as without the tiled loss.
    upcast: residual stream, embeddings and head in fp32, as after peft's prepare_model_for_kbit_training.
    Raises FtuiError when adapter.targets names no layer of the model.
    """
    block = _Block(recipe, geometry, hardware, upcast)
    packed = recipe.data.packing and packs(recipe.training.objective)
    length = recipe.data.max_length if packed or not longest else min(longest, recipe.data.max_length)
    answer = None
    # As the trainer does: halve the micro-batch while it must, then recompute a quarter of the layers more.
    for size, recomputed in attempts(recipe, geometry.layers, hardware, length):
        answer = block.at(Load(size, length, recomputed), stock_logits)
        if hardware.memory is None or answer.roomy:
            break
    assert answer is not None
    return answer


def attempts(recipe: Recipe, layers: int, hardware: Hardware, length: int) -> Iterator[tuple[int, int]]:
    """(micro-batch, recomputed layers) in the order they are tried for lack of memory."""
    wanted = recipe.training.checkpointing
    recomputed = min(wanted, layers) if isinstance(wanted, int) else layers if wanted == "all" else 0
    size = math.ceil(recipe.training.batch_size / recipe.launch.processes)
    if recipe.training.micro_batch != "auto":
        size = min(size, recipe.training.micro_batch)
    elif hardware.device == "cpu":
        size = max(1, min(size, CPU_TOKENS // (length * sequences(recipe.training.objective))))
    yield size, recomputed
    while size > 1:
        size = (size + 1) // 2
        yield size, recomputed
    if wanted == "auto":
        quarter = -(-layers // 4)
        yield from ((1, min(layers, count)) for count in range(quarter, layers + quarter, quarter))


def tile_positions(vocabulary: int) -> int:
    """Positions whose logits the tiled loss computes at once."""
    return max(16, TILE // (4 * vocabulary))


def activation_bytes(recipe: Recipe, hardware: Hardware) -> int:
    """Bytes of an activation: what the recipe says, else bf16 where the device is good at it."""
    if recipe.model.dtype != "auto":
        return BYTES[recipe.model.dtype]
    return 2 if hardware.device == "cuda" or hardware.bfloat16 else 4


class _Block:
    """The terms of one recipe on one model, worked out once."""

    def __init__(self, recipe: Recipe, geometry: Geometry, hardware: Hardware, upcast: bool) -> None:
        self.recipe, self.geometry, self.hardware, self.upcast = recipe, geometry, hardware, upcast
        self.bytes = activation_bytes(recipe, hardware)
        self.full = recipe.adapter.method == "full"
        self.adapted = [] if self.full else geometry.adapted(recipe.adapter.targets)
        self.unit = geometry.hidden * self.bytes
        # peft's 4- and 8-bit layers leave inputs alone under CUDA autocast; elsewhere 16-bit ones are cast.
        quantized = recipe.quantization.bits < 16 and hardware.device == "cuda"
        self.casts = self.bytes < 4 and not quantized and not self.full
        active = max(1, geometry.active_experts)
        self.wide = geometry.feed_forward * active * self.bytes
        # In 4 bits experts are recomputed in the backward, or their unpacked weights would be kept for it.
        self.packs_experts = geometry.experts > 0 and recipe.quantization.bits == 4 and not self.full
        # Each token goes to so many experts, and has a copy of its hidden state for each.
        self.routed = active * self.unit if geometry.experts else 0
        self.shared = geometry.shared * self.bytes
        plain = not (self.full or self.packs_experts)
        self.adapts_experts = plain and geometry.adapts_experts(recipe.adapter.targets)
        # peft adds the adapter to the weights of all experts of a block, and autograd keeps the sum.
        merged = geometry.experts * geometry.expert_weights + geometry.expert_adapter(recipe.adapter.rank)
        self.merged = merged * self.bytes if self.adapts_experts else 0

    def at(self, load: Load, stock_logits: bool) -> Estimate:
        """The estimate when `load` is in memory at once."""
        g = self.geometry
        tokens = load.micro_batch * load.length * sequences(self.recipe.training.objective)
        weights, quantized = self._weights()
        trainable = self._trainable()
        held = load.checkpointed * self._boundary() + (g.layers - load.checkpointed) * self._saved(
            load.length
        )
        backward = self._backward(load)
        # A head that trains needs its gradient, and the loss its logits: there is no tiling then.
        loss = self._loss(tokens, stock_logits or self.full)
        # The gradient of the larger of the two sums, and both sums where the block is recomputed.
        worst = tokens * backward + self.merged * 2 // 3 + (self.merged if load.checkpointed else 0)
        activations = tokens * held + (g.layers - load.checkpointed) * self.merged + worst
        logits = max(0, loss - worst)
        return Estimate(
            weights=weights,
            adapter=0 if self.full else 4 * trainable * self._adapters(),
            optimizer=int(self._optimizer() * trainable),
            gradients=4 * trainable,
            activations=activations,
            logits=logits,
            overhead=self._overhead(activations + logits),
            load=load,
            trainable=trainable,
            parameters=g.parameters + (0 if self.full else trainable),
            quantized=quantized,
            memory=self.hardware.memory,
            notes=tuple(self._notes(quantized)),
        )

    def _weights(self) -> tuple[int, float]:
        """Bytes of the base model and the share of its weights that is quantized."""
        g, q = self.geometry, self.recipe.quantization
        if self.full:
            # Trained weights are fp32; autocast keeps their 16-bit copies for the length of a step.
            return (4 if self.bytes == 4 else 6) * g.parameters, 0.0
        small = g.linear_weights + (g.expert_total if self.packs_experts else 0) if q.bits < 16 else 0
        width = {4: FOUR_BIT_DOUBLE if q.double else FOUR_BIT, 8: 1.0}.get(q.bits, 0.0)
        plain = g.parameters - small - g.embedding_weights
        embedding = g.embedding_weights * (4 if self.upcast else self.bytes)
        return int(small * width + plain * self.bytes + embedding), small / g.parameters

    def _trainable(self) -> int:
        if self.full:
            return self.geometry.parameters
        rank = self.recipe.adapter.rank
        block = sum(rank * (linear.inputs + linear.outputs) for linear in self.adapted)
        block += self.geometry.router_adapter(self.recipe.adapter.targets, rank)
        if self.recipe.adapter.method == "dora":
            block += sum(linear.outputs for linear in self.adapted)
        if self.adapts_experts:
            block += self.geometry.expert_adapter(rank)
        return self.geometry.layers * block

    def _adapters(self) -> int:
        """On a quantized base PiSSA has a second adapter, which is frozen."""
        return 2 if self.recipe.adapter.method == "pissa" and self.recipe.quantization.bits < 16 else 1

    def _optimizer(self) -> float:
        kind = self.recipe.training.optimizer
        if kind == "auto" and self.full and self.hardware.device == "cuda":
            return ADAM_8BIT
        return ADAM_8BIT if "8bit" in kind else ADAM

    def _boundary(self) -> int:
        """What a recomputed block keeps: its input."""
        return self.geometry.hidden * (4 if self.upcast else self.bytes)

    def _saved(self, length: int) -> int:
        """Bytes a token that a block keeps when it is not recomputed.

        Both norms keep their input in fp32; attention keeps queries, keys, values and its output; the gated
        feed-forward keeps gate, activated gate and up (ungated: its input to the activation). Experts keep their
        outputs besides, to be weighed, and where their weights learn the inputs of both layers.
        """
        g = self.geometry
        feed_forward = self.unit if self.packs_experts else (3 if g.gated else 1) * self.wide + self.routed
        if self.adapts_experts or (self.full and g.experts):
            feed_forward += self.wide + self.routed
        return self._attention(length) + feed_forward + 3 * self.shared + self._inputs()

    def _attention(self, length: int) -> int:
        """Bytes a token that norms and attention keep."""
        g = self.geometry
        kept = g.norms * 4 * g.hidden + (2 * g.query_size + 2 * g.kv_size) * self.bytes
        if g.head_norms:
            kept += 4 * (g.query_size + g.kv_size)
        if self.recipe.model.attention == "eager":
            kept += g.heads * length * (4 + self.bytes)
        return kept

    def _inputs(self, *, hidden: bool = True) -> int:
        """Bytes a token of the inputs that trained matrices keep: LoRA's A, or the layer itself without it.

        Layers fed by the same tensor share it, except under dropout, where each has a copy and a mask, and
        where peft casts each input to the adapter's fp32 (`casts`).
        """
        g = self.geometry
        linears = list(g.linears) if self.full else self.adapted
        sizes = {
            "norm1": g.hidden,
            "attention": 0,
            "norm2": g.hidden,
            "hidden": (g.shared if g.experts else g.feed_forward) if hidden else 0,
        }
        kept = sum(sizes[feed] for feed in {linear.feeds for linear in linears}) * self.bytes
        if (self.recipe.adapter.dropout or self.casts) and not self.full:
            copies = [linear for linear in linears if linear.feeds != "hidden"]
            shared = sum(g.hidden for feed in ("norm1", "norm2") if any(c.feeds == feed for c in copies))
            kept += (sum(linear.inputs for linear in copies) - shared) * self.bytes
        if self.recipe.adapter.dropout and not self.full:
            mask = 1 if self.hardware.device == "cuda" else self.bytes
            kept += mask * sum(linear.inputs for linear in linears)
        kept += len(self.adapted) * self.recipe.adapter.rank * self.bytes
        if self.recipe.adapter.method == "dora":
            kept += 2 * sum(linear.outputs for linear in self.adapted) * self.bytes
        return kept

    def _backward(self, load: Load) -> int:
        """Bytes a token at the worst moment of one block's backward pass, beyond what is held.

        Recomputed block: the three gradients of the gated feed-forward stand beside its three saved tensors,
        or the fp32 tensors of a norm's gradient, whichever is more; plus the block's other saved tensors, the
        last hidden state and its gradient. Blocks not recomputed already hold theirs.
        """
        g, u = self.geometry, self.unit
        # In fp32 the norm's input is the residual itself; in 16 bits it is one more tensor.
        residual, norm = (3 * u, 12 * u) if self.bytes < 4 else (2 * u, 7 * u)
        # Where peft casts, the widest adapted input also stands there in fp32, or its gradient does.
        hidden = any(linear.feeds == "hidden" for linear in self.adapted)
        cast = (self.shared if g.experts else self.wide) if self.casts and hidden else 0
        gradients = (3 if g.gated else 2) * self.wide
        whole = 2 * gradients
        if g.experts:  # or the routed copies: inputs, outputs, weighed outputs and their gradient
            whole = max(whole, gradients + 4 * self.routed)
            gradients = max(gradients, 3 * self.routed)
        if load.checkpointed < g.layers:
            return max((whole if self.packs_experts else gradients) + 2 * u + cast, norm)
        worst = max(whole + residual + 2 * cast, norm)
        return worst + self._attention(load.length) + 3 * self.shared + self._inputs(hidden=False)

    def _loss(self, tokens: int, stock_logits: bool) -> int:
        """Bytes while the loss is computed, beyond what is held.

        Stock: logits, their fp32 copy, log-softmax and its gradient for every position: 14 bytes an entry of
        the vocabulary in 16 bits, 16 in fp32. Tiled: as much or less for one tile, and the hidden's gradient.
        """
        entry, at_once = 14 if self.bytes < 4 else 16, tokens
        if not stock_logits:
            at_once = min(tokens, tile_positions(self.geometry.vocabulary))
            entry = 14 if self.bytes < 4 and at_once < tokens else 12
        return at_once * self.geometry.vocabulary * entry + tokens * 3 * self.unit

    def _overhead(self, activations: int) -> int:
        """Outside torch's count: context, allocator slack, and the unpacked copy of the layer in use."""
        largest = max((linear.weights for linear in self.geometry.linears), default=0)
        if self.packs_experts:
            largest = max(largest, self.geometry.experts * self.geometry.expert_weights)
        unpacked = largest * self.bytes if self.recipe.quantization.bits < 16 and not self.full else 0
        if self.hardware.device == "cpu":
            return HOST_PROCESS + unpacked
        return CUDA_CONTEXT + unpacked + int(SLACK * activations)

    def _notes(self, quantized: float) -> list[str]:
        if self.packs_experts:
            return ["experts in 4 bits are not adapted: attention and what chooses the experts learn"]
        if self.recipe.quantization.bits == 8 and not self.full and self.geometry.experts:
            return [f"{quantized:.0%} of the weights are quantized: in 8 bits fused experts stay in 16"]
        return []
