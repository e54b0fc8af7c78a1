"""The trained tokens of the model families, against the templates TRL ships with generation markers in them."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
from dataclasses import replace
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
    """What TRL trains: (ids, whether each is trained), without the headers and the white space after the end."""
    result = tokenizer.apply_chat_template(
        conversation(example.messages, Style()),
        tools=tool_schemas(example.tools),
        chat_template=(TEMPLATES / f"{family}_training.jinja").read_text(encoding="utf-8"),
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    ids, mask = result["input_ids"], [bool(on) for on in result["assistant_masks"]]
    for first, last in runs(mask):
        for end in range(first, last):
            if tokenizer.decode(ids[first : end + 1]) == HEADERS.get(family):
                mask[first : end + 1] = [False] * (end + 1 - first)
        for at in reversed(range(first, last)):
            if tokenizer.decode([ids[at]]).strip("\n"):
                break
            mask[at] = False
    return ids, mask


def runs(mask):
    """[first, last) of every stretch of trained tokens."""
    edges = [n for n, (a, b) in enumerate(itertools.pairwise([False, *mask, False])) if a != b]
    return list(zip(edges[::2], edges[1::2], strict=True))


def pieces(ids, mask, tokenizer):
    return [tokenizer.decode(ids[first:last]) for first, last in runs(mask)]


# Where ours differ from TRL's on purpose: why, and what ours are then: the trained pieces, or the refusal.
_THOUGHTS = (
    "the model's own template leaves empty thoughts out of earlier turns, so no history at inference has them; "
    "TRL keeps them there. The last turn has them in both"
)
_REFUSED = (
    "the template does not write tool calls: TRL trains the end of an empty turn in their place, so the model "
    "would learn to say nothing where it should call",
    "the chat template leaves out tool calls",
)
_CALL = '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>find\n```json\n{"q": "tent"}\n```<｜tool▁call▁end｜>'
DIFFERENT = {
    ("qwen3", "multi"): (_THOUGHTS, ["hi there<|im_end|>", "<think>\n\n</think>\n\nbye<|im_end|>"]),
    ("qwen3", "tools"): (
        _THOUGHTS,
        [
            '<tool_call>\n{"name": "find", "arguments": {"q": "tent"}}\n</tool_call><|im_end|>',
            "<think>\n\n</think>\n\nfound it<|im_end|>",
        ],
    ),
    ("qwen3_5_think", "multi"): (_THOUGHTS, ["hi there<|im_end|>", "\n</think>\n\nbye<|im_end|>"]),
    ("qwen3_5_nothink", "multi"): (_THOUGHTS, ["hi there<|im_end|>", "bye<|im_end|>"]),
    ("qwen3_6", "multi"): (_THOUGHTS, ["hi there<|im_end|>", "\n</think>\n\nbye<|im_end|>"]),
    ("deepseekv3", "tools"): (
        "after a tool's output the generation prompt ends with <｜tool▁outputs▁end｜>: the model never writes it",
        [f"{_CALL}<｜tool▁calls▁end｜><｜end▁of▁sentence｜>", "found it<｜end▁of▁sentence｜>"],
    ),
    ("deepseek_r1_distill", "tools"): (
        "the template writes a call only where the content is none, which TRL does not make it: it drops the call "
        "and trains an empty turn. Ours is the call as the template writes it, and a warning that it stays open",
        [_CALL, "found it<｜end▁of▁sentence｜>"],
    ),
    ("lfm2", "tools"): _REFUSED,
    ("llama3", "tools"): _REFUSED,
    ("phi3", "tools"): _REFUSED,
    ("phi3_5", "tools"): _REFUSED,
}


@pytest.mark.parametrize("shape", CONVERSATIONS)
@pytest.mark.parametrize("family", TEXT_FAMILIES)
def test_the_tokens_and_which_are_trained_are_trls_but_for_the_differences_listed(family, shape):
    encoder = encoder_for(family)
    encoded = encoder.encode(CONVERSATIONS[shape])
    try:
        expected = theirs(family, CONVERSATIONS[shape], encoder.tokenizer)
    except Exception as error:  # noqa: BLE001 - templates raise anything; then so must ours
        expected, refusal = None, str(error)[:40]
    if expected is None:
        assert refusal in encoded.dropped
        assert (family, shape) not in DIFFERENT
        return
    same = not encoded.dropped and (encoded.ids, encoded.trained) == expected
    ours = encoded.dropped or pieces(encoded.ids, encoded.trained, encoder.tokenizer)
    if (family, shape) in DIFFERENT:
        why, wanted = DIFFERENT[family, shape]
        assert not same, f"no longer different, take it off the list: {why}"
        assert ours == wanted
    else:
        assert ours == pieces(*expected, encoder.tokenizer)
        assert same
    assert encoded.closed != bool(encoded.dropped)


def test_every_difference_listed_is_of_a_family_that_is_compared():
    assert {(family, shape) for family in TEXT_FAMILIES for shape in CONVERSATIONS} >= set(DIFFERENT)


def test_a_call_that_the_template_leaves_open_is_said():
    for family in TEXT_FAMILIES:
        encoded = encoder_for(family).encode(CONVERSATIONS["tools"])
        left_open = [warning for warning in encoded.warnings if "leaves a reply open" in warning]
        assert bool(left_open) == (family == "deepseek_r1_distill"), family


def test_tool_outputs_end_in_the_prompt_so_they_are_not_the_models_to_write():
    template = encoder_for("deepseekv3").template
    turns, tools = template.turns(CONVERSATIONS["tools"].messages, TOOLS)
    assert template.render(turns[:-1], tools, prompt=True).endswith("<｜tool▁outputs▁end｜>")


@pytest.mark.parametrize("family", HEADERS)
def test_a_header_left_out_is_in_the_generation_prompt(family):
    template = encoder_for(family).template
    turns, _ = template.turns([USER], "")
    assert HEADERS[family] in template.render(turns, None, prompt=True).split(USER.content)[-1]


@pytest.mark.parametrize(("last", "closing"), [(1, "<|observation|>"), (3, "<|user|>")])
def test_a_reply_that_only_the_next_turn_closes_ends_with_its_first_token(last, closing):
    encoder = encoder_for("glm4moe")
    for weight in (None, 0.5):
        messages = list(CONVERSATIONS["tools"].messages[: last + 1])
        messages[-1] = replace(messages[-1], weight=weight)
        encoded = encoder.encode(Example(tuple(messages), tools=TOOLS))
        assert encoder.tokenizer.convert_ids_to_tokens(encoded.ids[-1]) == closing
        assert encoded.weights[-1] == (weight or 1)
        assert not encoded.warnings


@pytest.mark.parametrize("family", TAKES_PARTS)
def test_vision_templates_get_their_text_as_parts(family):
    encoder = encoder_for(family)
    encoded = encoder.encode(CONVERSATIONS["multi"])
    ours = pieces(encoded.ids, encoded.trained, encoder.tokenizer)
    assert ["hi there" in ours[0], "bye" in ours[1]] == [True, True]
