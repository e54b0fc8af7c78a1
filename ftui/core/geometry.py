"""A model's shape from its config.json: the linear layers, and how many weights there are of each kind.

Families differ in names and in what is fused; what is not known here is read as a Llama-like decoder, which
is what nearly all open models are. Nothing is downloaded and no weight is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftui.core.errors import FtuiError

# Feed-forward without a gate: two matrices instead of three.
_UNGATED = {"falcon", "gpt_neox", "gpt2", "gptj", "opt", "phi", "bloom", "mpt", "starcoder2", "gpt_bigcode"}
_SEPARATE_HEAD = {
    "gpt_neox",
    "gptj",
    "phi",
    "phi3",
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "starcoder2",
}
_FOUR_NORMS = {"gemma2", "gemma3", "gemma3_text"}
_HEAD_NORMS = {"qwen3", "qwen3_moe", "gemma3", "gemma3_text", "olmo2", "olmoe"}
# Families whose fused experts peft gives adapters to, with the names these go by in adapter.targets.
_EXPERTS = {family: ("w1", "w2", "w3") for family in ("mixtral", "minimax", "minimax_m2")} | {
    family: ("gate_proj", "up_proj", "down_proj")
    for family in (
        "qwen3_moe", "qwen3_next", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe", "glm4_moe_lite",
        "ernie4_5_moe", "exaone_moe", "cohere2_moe", "hunyuan_v1_moe", "longcat_flash", "olmoe", "flex_olmo",
        "solar_open", "afmoe",
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Linear:
    """One linear layer of a block: what feeds it (norm1, attention, norm2 or hidden) and its two sizes."""

    name: str
    feeds: str
    inputs: int
    outputs: int

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs


@dataclass(frozen=True, slots=True)
class Geometry:
    """The shape of a decoder. Sizes are numbers of elements.

    linears: those of one block, experts apart. experts: how many a block has, each `expert_weights` large, of
        which `active_experts` see a token; 0 for dense models. expert_names: what adapter.targets calls them, ()
        where they get no adapter. gated: whether the feed-forward has a gate. shared: the size of the expert that
        sees every token, whose layers are among the linears. head_norms: whether queries and keys are normed.
    """

    family: str
    hidden: int
    layers: int
    heads: int
    kv_size: int
    query_size: int
    feed_forward: int
    gated: bool
    vocabulary: int
    tied: bool
    linears: tuple[Linear, ...]
    experts: int = 0
    active_experts: int = 0
    expert_weights: int = 0
    norms: int = 2
    shared: int = 0
    head_norms: bool = False
    expert_names: tuple[str, ...] = ()

    @property
    def linear_weights(self) -> int:
        """Weights in the linears of all blocks, experts apart."""
        return self.layers * sum(linear.weights for linear in self.linears)

    @property
    def expert_total(self) -> int:
        return self.layers * self.experts * self.expert_weights

    @property
    def embedding_weights(self) -> int:
        """Token embeddings and output head; one matrix when they are tied."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def norm_weights(self) -> int:
        return (self.norms * self.layers + 1) * self.hidden

    @property
    def parameters(self) -> int:
        """All of them, biases aside (under 0.1%)."""
        return self.linear_weights + self.expert_total + self.embedding_weights + self.norm_weights

    def adapted(self, targets: str | list[str]) -> list[Linear]:
        """The linears of one block that get an adapter: all, those a list names, or those matching a pattern.

        Raises FtuiError when the targets name none of them.
        """
        if targets == "all-linear":
            return list(self.linears)
        if isinstance(targets, list):
            found = [
                linear for linear in self.linears if any(_names(linear.name, target) for target in targets)
            ]
        else:
            found = self._matching(targets)
        if not found and not self.adapts_experts(targets):
            names = ", ".join(linear.name for linear in self.linears)
            raise FtuiError("names no layer of this model", f"it has {names}", "adapter.targets")
        return found

    def adapts_experts(self, targets: str | list[str]) -> bool:
        """Whether fused experts, as far as they are in 16 bits, get adapters."""
        if isinstance(targets, list):
            return any(_names(name, target) for name in self.expert_names for target in targets)
        if targets == "all-linear":
            return bool(self.expert_names)
        prefixes = ("model.layers.0.mlp.experts.", "model.layers.0.block_sparse_moe.experts.")
        return any(_fits(targets, prefix + name) for prefix in prefixes for name in self.expert_names)

    def expert_adapter(self, rank: int) -> int:
        """Weights in the adapters of one block's experts; a gate is fused with its counterpart, ranks added up."""
        fused = 2 if self.gated else 1
        first = fused * rank * (self.hidden + fused * self.feed_forward)
        return self.experts * (first + rank * (self.feed_forward + self.hidden))

    def router_adapter(self, targets: str | list[str], rank: int) -> int:
        """Weights in the adapter of what chooses a block's experts."""
        named = targets == "all-linear" or (
            isinstance(targets, list) and any(_names("gate", target) for target in targets)
        )
        return rank * (self.hidden + self.experts) if self.expert_names and named else 0

    def _matching(self, pattern: str) -> list[Linear]:
        """peft matches a string as a pattern over a module's whole dotted name; blocks are all alike here."""
        prefixes = [
            f"{block}.0.{part}."
            for block in ("model.layers", "gpt_neox.layers", "transformer.h")
            for part in ("self_attn", "mlp", "attention", "self_attention")
        ]
        return [
            linear
            for linear in self.linears
            if any(_fits(pattern, prefix + linear.name) for prefix in prefixes)
        ]


DEMO = {
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}
"""config.json of the embedded default model, SmolLM2-135M-Instruct."""


def read_geometry(config: Mapping[str, Any]) -> Geometry:
    """The geometry in a parsed config.json. Raises FtuiError when a size it needs is missing or absurd."""
    inner = config.get("text_config")
    if isinstance(inner, Mapping):
        config = {**config, **inner}
    family = str(config.get("model_type", "")).lower()
    hidden = _size(config, "hidden_size", "n_embd", "d_model")
    layers = _size(config, "num_hidden_layers", "n_layer", "n_layers")
    heads = _size(config, "num_attention_heads", "n_head", "n_heads")
    head_dim = _size(config, "head_dim", default=max(1, hidden // heads))
    feed_forward = _size(
        config, "intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", default=4 * hidden
    )
    experts = _size(config, "num_local_experts", "num_experts", "n_routed_experts", default=0)
    expert_size = _size(config, "moe_intermediate_size", default=feed_forward)
    shared = _size(config, "shared_expert_intermediate_size", default=0)
    shared = shared or expert_size * _size(config, "n_shared_experts", "moe_num_shared_experts", default=0)
    gated = family not in _UNGATED
    query, key_value = heads * head_dim, _kv_heads(config, family, heads) * head_dim
    attention = _attention(family, hidden, query, key_value)
    size = shared if experts else feed_forward
    dense = _feed_forward(family, hidden, size, gated) if size else ()
    if experts and "shared_expert_intermediate_size" in config:
        dense += (Linear("shared_expert_gate", "norm2", hidden, 1),)
    return Geometry(
        family=family,
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_size=key_value,
        query_size=query,
        feed_forward=expert_size if experts else feed_forward,
        gated=gated,
        vocabulary=_size(config, "vocab_size"),
        tied=bool(config.get("tie_word_embeddings", family not in _SEPARATE_HEAD)),
        linears=(*attention, *dense),
        experts=experts,
        active_experts=_size(config, "num_experts_per_tok", "num_experts_per_token", default=1)
        if experts
        else 0,
        expert_weights=(3 if gated else 2) * hidden * expert_size if experts else 0,
        norms=4 if family in _FOUR_NORMS else 2,
        shared=shared if experts else 0,
        head_norms=family in _HEAD_NORMS,
        expert_names=_EXPERTS.get(family, ()) if experts else (),
    )


def _attention(family: str, hidden: int, query: int, key_value: int) -> tuple[Linear, ...]:
    if family in ("gpt_neox", "falcon", "bloom"):
        fused = (Linear("query_key_value", "norm1", hidden, query + 2 * key_value),)
        return (*fused, Linear("dense", "attention", query, hidden))
    if family == "phi3":
        return (
            Linear("qkv_proj", "norm1", hidden, query + 2 * key_value),
            Linear("o_proj", "attention", query, hidden),
        )
    return (
        Linear("q_proj", "norm1", hidden, query),
        Linear("k_proj", "norm1", hidden, key_value),
        Linear("v_proj", "norm1", hidden, key_value),
        Linear("o_proj", "attention", query, hidden),
    )


def _feed_forward(family: str, hidden: int, size: int, gated: bool) -> tuple[Linear, ...]:
    if family in ("gpt_neox", "falcon", "bloom"):
        return (
            Linear("dense_h_to_4h", "norm2", hidden, size),
            Linear("dense_4h_to_h", "hidden", size, hidden),
        )
    if family == "phi3":
        return (
            Linear("gate_up_proj", "norm2", hidden, 2 * size),
            Linear("down_proj", "hidden", size, hidden),
        )
    up = (Linear("gate_proj", "norm2", hidden, size), Linear("up_proj", "norm2", hidden, size))
    return (*(up if gated else up[1:]), Linear("down_proj", "hidden", size, hidden))


def _kv_heads(config: Mapping[str, Any], family: str, heads: int) -> int:
    if family == "falcon" and not config.get("new_decoder_architecture"):
        return 1 if config.get("multi_query", True) else heads
    return _size(config, "num_key_value_heads", "num_kv_heads", default=heads)


def _size(config: Mapping[str, Any], *names: str, default: int | None = None) -> int:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
            if value > 0 or default is not None:
                return value
        elif value is not None:
            raise FtuiError(f"config.json has no usable {name}", "is this a text model?", name)
    if default is None:
        raise FtuiError(f"config.json has no {names[0]}", "is this a text model?", "config.json")
    return default


def _fits(pattern: str, name: str) -> bool:
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error as error:
        hint = 'use "all-linear" or a list of names'
        raise FtuiError(f"not a pattern: {error}", hint, "adapter.targets") from None


def _names(name: str, target: str) -> bool:
    """peft's rule for a list: the module is called so, or its dotted name ends in it."""
    return name == target.rpartition(".")[2]
