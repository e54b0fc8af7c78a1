"""A tiny Llama as a GGUF file, written the way llama.cpp's converter does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_tiny_gguf(folder: Path, path: Path, architecture: str = "llama", quantized: bool = False) -> Path:
    """The model in `folder` (of `make_tiny_model`) as one GGUF file at `path`; quantized: Q8_0 matrices."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())
    writer = GGUFWriter(str(path), architecture)
    _write_config(writer, config)
    _write_tokenizer(writer, folder, config)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for name, values in load_file(folder / "model.safetensors").items():
        gguf_name, part = _rename(name)
        if gguf_name is None:
            continue
        if part in heads:
            values = _permute(values, heads[part])  # noqa: PLW2901
        values = np.ascontiguousarray(values, dtype=np.float32)  # noqa: PLW2901
        if quantized and values.ndim == 2:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(gguf_name, quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(gguf_name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_config(writer: Any, config: dict[str, Any]) -> None:
    writer.add_name("tiny")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _write_tokenizer(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    document = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = document["model"]["vocab"] | {
        token["content"]: token["id"] for token in document["added_tokens"]
    }
    special = {token["content"] for token in document["added_tokens"] if token["special"]}
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in document["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(vocabulary["<|im_start|>"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_unk_token_id(vocabulary["<|endoftext|>"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text())


def _rename(name: str) -> tuple[str | None, str]:
    top = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in top:
        return top[name], ""
    if not name.startswith("model.layers."):
        return None, ""
    _, _, layer, rest = name.split(".", 3)
    part = _NAMES[rest.removesuffix(".weight")]
    return f"blk.{layer}.{part}.weight", part


def _permute(weights: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's interleaving of the two rotary halves."""
    rows, columns = weights.shape
    return weights.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
