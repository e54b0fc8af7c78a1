"""The trained tokens of the model families, against the templates TRL ships with generation markers in them."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from ftui.core.example import Example, Message
from ftui.engine.conversation import Style, conversation, tool_schemas
from ftui.engine.encode import Encoder
from tests.tiny import make_tiny_tokenizer

trl = importlib.util.find_spec("trl")
if trl is None or not trl.submodule_search_locations:
    pytest.skip("TRL is the oracle here and is not installed", allow_module_level=True)
TEMPLATES = Path(trl.submodule_search_locations[0]) / "chat_templates"

_SPECIAL = re.compile(r"<\|[^<>\s'\"{}]{1,40}\|>|<[｜▁a-z/][^<>\s'\"{}%]{0,40}>")
_PLAIN = (
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tools>",
    "</tools>",
    "<tool_response>",
    "</tool_response>",
)
EOS = {
    "gptoss": "<|return|>", "llama3": "<|eot_id|>", "gemma": "<end_of_turn>", "gemma3": "<end_of_turn>",
    "cohere": "<|END_OF_TURN_TOKEN|>", "cohere2": "<|END_OF_TURN_TOKEN|>", "phi3": "<|endoftext|>",
    "phi3_5": "<|endoftext|>", "glm4moe": "<|endoftext|>", "deepseekv3": "<｜end▁of▁sentence｜>",
    "deepseek_r1_distill": "<｜end▁of▁sentence｜>",
}  # fmt: skip

# What our masks leave out of TRL's: the turn's header, which the generation prompt supplies, so the model never
# writes it. Written as the text at the beginning of each reply that TRL trains and we do not.
HEADERS = {
    "deepseekv3": "<｜Assistant｜>", "deepseek_r1_distill": "<｜Assistant｜>", "gptoss": "<|start|>assistant",
    "muse_glimmer": "<|start|>assistant", "qwen2_5": "\n", "nemotron_3_nano": "<think>", "nemotron_3_super": "<think>",
    "nemotron_3_ultra": "<think>", "nemotron_3_5_lightning": "<think>", "qwen3_5_think": "<think>\n",
    "qwen3_5_nothink": "<think>\n\n</think>\n\n", "qwen3_6": "<think>\n", "qwen3_8": "<think>\n",
}  # fmt: skip

# Vision-language templates drop a content given as text; we give it as parts, so our text has the reply.
TAKES_PARTS = ("idefics3", "smolvlm", "llava_next")
# Not a left-to-right language model.
NOT_CAUSAL = ("diffusion_gemma",)

USER, REPLY, THANKS, BYE = (
    Message("user", "hello"), Message("assistant", "hi there"), Message("user", "thanks"), Message("assistant", "bye"),
)  # fmt: skip
TOOLS = json.dumps(
    [
        {
            "type": "function",
            "function": {
                "name": "find",
                "description": "finds",
                "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
            },
        }
    ]
)
CALL = json.dumps(
    [{"id": "call00001", "type": "function", "function": {"name": "find", "arguments": '{"q": "tent"}'}}]
)
CONVERSATIONS = {
    "single": Example((USER, REPLY)),
    "multi": Example((USER, REPLY, THANKS, BYE)),
    "system": Example((Message("system", "be brief"), USER, REPLY)),
    "tools": Example(
        (
            USER,
            Message("assistant", "", tool_calls=CALL),
            Message("tool", '["tent"]', tool_call_id="call00001", name="find"),
            Message("assistant", "found it"),
        ),
        tools=TOOLS,
    ),
}
FAMILIES = sorted(path.name.removesuffix("_training.jinja") for path in TEMPLATES.glob("*_training.jinja"))
TEXT_FAMILIES = [name for name in FAMILIES if name not in (*TAKES_PARTS, *NOT_CAUSAL) and "_vl" not in name]


def tokenizer_for(family, source):
    tokens = sorted(set(_SPECIAL.findall(source)) - set(_PLAIN))
    tokenizer = make_tiny_tokenizer(vocab=500)
    eos = EOS.get(
        family,
        next((token for token in ("<|im_end|>", "<turn|>", "<|eot|>") if token in source), "<|im_end|>"),
    )
    tokenizer.add_special_tokens({"additional_special_tokens": tokens, "bos_token": "<s>", "eos_token": eos})
    tokenizer.chat_template = source
    return tokenizer


def encoder_for(family):
    tokenizer = tokenizer_for(family, (TEMPLATES / f"{family}.jinja").read_text(encoding="utf-8"))
    stops = ["<|user|>", "<|observation|>"] if family == "glm4moe" else []  # its generation config's
    return Encoder(tokenizer, max_length=8192, stop_ids=tokenizer.convert_tokens_to_ids(stops))


def theirs(family, example, tokenizer):
    """What TRL trains: (the whole text, the trained pieces)."""
    result = tokenizer.apply_chat_template(
        conversation(example.messages, Style()),
        tools=tool_schemas(example.tools),
        chat_template=(TEMPLATES / f"{family}_training.jinja").read_text(encoding="utf-8"),
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    return tokenizer.decode(result["input_ids"]), pieces(
        result["input_ids"], result["assistant_masks"], tokenizer
    )


def pieces(ids, mask, tokenizer):
    found, run = [], []
    for id_, on in [*zip(ids, mask, strict=True), (0, 0)]:
        if on:
            run.append(id_)
        elif run:
            found.append(tokenizer.decode(run))
            run = []
    return found


@pytest.mark.parametrize("shape", ["single", "multi", "system"])
@pytest.mark.parametrize("family", TEXT_FAMILIES)
def test_the_trained_tokens_are_trls_but_for_the_prompts_header_and_space_after_the_end(family, shape):
    encoder = encoder_for(family)
    try:
        text, expected = theirs(family, CONVERSATIONS[shape], encoder.tokenizer)
    except Exception as refusal:  # noqa: BLE001 - templates raise anything; then so must ours
        reason = str(refusal)[:40]
    else:
        reason = ""
    encoded = encoder.encode(CONVERSATIONS[shape])
    if reason:
        assert reason in encoded.dropped
        return
    assert not encoded.dropped
    assert encoded.closed
    ours = pieces(encoded.ids, encoded.trained, encoder.tokenizer)
    header = HEADERS.get(family, "")
    if (
        family == "glm4moe"
    ):  # the next role's token ends a turn; at the end there is none, TRL writes one, we an eos
        expected[-1] = expected[-1].removesuffix("<|user|>") + "<|endoftext|>"
    elif encoder.tokenizer.decode(encoded.ids) != text:
        # TRL's template keeps thinking in earlier turns, where the model's own leaves it out: there is no such
        # history at inference. The last turn is the same in both.
        ours, expected = ours[-1:], expected[-1:]
    expected = [piece.removeprefix(header).rstrip("\n") for piece in expected]
    assert ours == expected


@pytest.mark.parametrize("family", TEXT_FAMILIES)
def test_tool_calls_are_trained_or_the_row_is_refused(family):
    encoded = encoder_for(family).encode(CONVERSATIONS["tools"])
    if encoded.dropped:
        assert "chat template" in encoded.dropped
        return
    tokenizer = encoder_for(family).tokenizer
    call, answer = pieces(encoded.ids, encoded.trained, tokenizer)
    assert "find" in call
    assert "tent" in call
    assert '["tent"]' not in call
    assert "found it" in answer


@pytest.mark.parametrize("family", TAKES_PARTS)
def test_vision_templates_get_their_text_as_parts(family):
    encoder = encoder_for(family)
    encoded = encoder.encode(CONVERSATIONS["multi"])
    ours = pieces(encoded.ids, encoded.trained, encoder.tokenizer)
    assert ["hi there" in ours[0], "bye" in ours[1]] == [True, True]
