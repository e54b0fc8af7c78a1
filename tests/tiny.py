"""A real, tiny, random Llama with a real tokenizer and chat template, made offline in a second.

Nothing is downloaded and nothing is faked: it goes through the same loading, training and serving code as
an 8B model does.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_CORPUS = [
    "My tent arrived with a torn flysheet. Can you send a new one?",
    "category: returns\npriority: high\nsummary: torn flysheet\nreply: we send a new one today.",
    "Where is my order? I paid two weeks ago and nothing has arrived yet.",
    "category: delivery\npriority: medium\nsummary: late parcel\nreply: we look for it now.",
    "You are a helpful assistant of an outdoor shop. Answer in five lines.",
    "user assistant system tool developer hello thanks please the quick brown fox",
] * 8


def make_tiny_model(
    path: Path,
    *,
    chat_template: str = CHATML,
    hidden: int = 64,
    layers: int = 2,
    vocab: int = 384,
    seed: int = 0,
    bos: bool = False,
) -> Path:
    """A model folder (config, safetensors, tokenizer, chat template) in `path`; returns `path`.

    With `bos` the tokenizer puts `<s>` before every text, as Llama's and Mistral's do.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tiny_tokenizer(chat_template=chat_template, vocab=vocab, bos=bos)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=hidden * 2,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def make_tiny_tokenizer(*, chat_template: str = CHATML, vocab: int = 384, bos: bool = False):
    """A fast byte-level BPE tokenizer of `vocab` tokens: eos `<|im_end|>`, pad `<|endoftext|>`."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer.from_str(_trained_bpe(vocab))
    if bos:
        inner.post_processor = TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", inner.token_to_id("<s>"))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>" if bos else None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=chat_template,
        clean_up_tokenization_spaces=False,
    )


@functools.cache
def _trained_bpe(vocab: int) -> str:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(_CORPUS, trainer)
    return inner.to_str()
