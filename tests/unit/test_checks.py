"""The checks find what hurts a model and leave healthy rows alone."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from ftui.core.example import Example, Message
from ftui.data.checks import fixes, privacy, rules
from ftui.data.checks.finding import Finding
from ftui.data.checks.run import run_checks
from ftui.data.dataset import Dataset
from ftui.data.rows import Row

CARD = "4111 1111 1111 1111"


def chat(*turns: str, first: str = "user") -> Example:
    order = ("user", "assistant") if first == "user" else ("assistant", "user")
    return Example(tuple(Message(order[at % 2], text) for at, text in enumerate(turns)))


def calling(calls: str) -> Example:
    return Example((Message("user", "a"), Message("assistant", "", tool_calls=calls)))


def pair(chosen: str, rejected: str) -> Example:
    return Example(
        (Message("user", "q"),),
        chosen=(Message("assistant", chosen),),
        rejected=(Message("assistant", rejected),),
    )


def row(number: int, example: Example | None, **fields) -> Row:
    value = (
        {"messages": [{"role": m.role, "content": m.content} for m in example.messages]} if example else None
    )
    return Row(number, number, b"", value, "", "messages", example, "", **fields)


def found(rows, **kwargs) -> dict[str, Finding]:
    return {finding.check: finding for finding in run_checks(rows, len(rows), **kwargs)}


def test_every_flaw_planted_in_the_demo_copy_is_found(tmp_path):
    planted = json.loads((files("ftui.demo") / "flaws.json").read_text())["flaws"]
    path = tmp_path / "flawed.jsonl"
    path.write_bytes((files("ftui.demo") / "tickets-flawed.jsonl").read_bytes())
    dataset = Dataset.open(path)
    dataset.build()
    rows = [dataset.row(n) for n in range(1, dataset.rows_known + 1)]
    by_check = {finding.check: set(finding.rows) for finding in run_checks(rows, len(rows))}
    name = {
        "email": "pii-email", "card_number": "pii-card", "phone": "pii-phone", "empty_answer": "empty-answer",
        "whitespace_answer": "empty-answer", "assistant_first": "role-order",
        "two_users_in_a_row": "role-order",
        "broken_json": "broken-row", "exact_duplicate": "duplicates", "near_duplicate": "near-duplicates",
        "control_characters": "hidden-characters", "invisible_characters": "hidden-characters",
        "mojibake": "mojibake", "answer_cut_off": "truncated-answer", "refusal": "refusal",
    }  # fmt: skip
    missed = [flaw for flaw in planted if flaw["line"] not in by_check.get(name[flaw["kind"]], set())]
    assert not missed
    certain = set(name.values()) - {"truncated-answer"}
    lines = {check: {flaw["line"] for flaw in planted if name[flaw["kind"]] == check} for check in certain}
    wrongly = {check: by_check.get(check, set()) - lines[check] for check in certain}
    assert not any(wrongly.values()), wrongly


def test_the_clean_demo_data_has_no_error():
    data = [json.loads(line) for line in (files("ftui.demo") / "tickets.jsonl").read_text().splitlines()]
    rows = [
        row(n, Example(tuple(Message(m["role"], m["content"]) for m in item["messages"])))
        for n, item in enumerate(data, 1)
    ]
    assert [f for f in run_checks(rows, len(rows)) if f.severity in ("error", "warning")] == []


@pytest.mark.parametrize(
    ("check", "bad", "good"),
    [
        ("no-answer", Example((Message("user", "hi"),)), chat("hi", "hello")),
        ("empty-answer", chat("hi", " \u200b\n"), chat("hi", "ok")),
        ("unknown-role", Example((Message("narrator", "x"), Message("assistant", "y"))), chat("a", "b")),
        ("role-order", chat("b", "a", first="assistant"), chat("a", "b", "c", "d")),
        (
            "role-order",
            Example((Message("user", "a"), Message("system", "late"), Message("assistant", "b"))),
            Example((Message("system", "s"), Message("user", "a"), Message("assistant", "b"))),
        ),
        (
            "tool-json",
            calling('[{"function":{"name":"f","arguments":"{"}}]'),
            calling('[{"function":{"name":"f","arguments":"{}"}}]'),
        ),
        (
            "same-pair",
            pair("x", "x "),
            pair("x", "y"),
        ),
        ("unanswered-end", chat("a", "b", "c"), chat("a", "b")),
        ("hidden-characters", chat("a", "b\x1b[2J"), chat("a", "b\n\tc")),
        ("hidden-characters", chat("a", "in\u200bvisible"), chat("a", "\U0001f469\u200d\U0001f680 flies")),
        ("mojibake", chat("a", "itâ€™s broken"), chat("a", "it\u2019s fine, naïve café")),
        ("open-fence", chat("a", "```python\nprint(1)"), chat("a", "```python\nprint(1)\n```")),
        ("refusal", chat("a", "As an AI language model I cannot"), chat("a", "The AI model trains well.")),
        ("repetition", chat("a", "I am stuck. " * 60), chat("a", " ".join(f"word{n}" for n in range(80)))),
    ],
)  # fmt: skip
def test_a_rule_reports_the_bad_row_and_not_the_good_one(check, bad, good):
    assert found([row(1, bad), row(2, good)])[check].rows == (1,)


@pytest.mark.parametrize(
    ("weight", "words"),
    [({"odd_weight": "high"}, "'high'"), ({"weight": -1.0}, "-1"), ({"weight": 1e9}, "1e+09")],
)
def test_a_loss_weight_that_training_refuses_is_named_by_row_and_turn(weight, words):
    bad = Message("assistant", "b", **weight)
    one = Example((Message("user", "a"), bad))
    other = Example((Message("user", "a"),), chosen=(Message("assistant", "c"),), rejected=(bad,))
    good = [
        Example((Message("user", "a"), Message("assistant", "b", weight=w))) for w in (0.0, 0.5, 2.0, None)
    ]
    rows = [row(n, example) for n, example in enumerate([*good, one, other], 1)]
    finding = found(rows)["loss-weight"]
    assert (finding.rows, finding.severity) == ((5, 6), "error")
    assert f"row 5, turn 2 has a loss weight of {words}" in finding.message


def test_broken_and_unknown_rows_are_errors():
    broken = Row(1, 1, b"{", None, "ends too early", "broken", None, "{")
    unknown = Row(2, 2, b"{}", {"a": 1}, "", "unknown", None, "{}")
    findings = found([broken, unknown])
    assert findings["broken-row"].rows == (1,)
    assert findings["unknown-shape"].rows == (2,)
    assert {findings[name].severity for name in ("broken-row", "unknown-shape")} == {"error"}


def test_rejected_and_deleted_rows_are_passed_over():
    bad = chat("hi", "")
    assert "empty-answer" not in found([row(1, bad, status="rejected"), row(2, bad, deleted=True)])


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to bob@example.com now", "write to [EMAIL] now"),
        (f"card {CARD}, thanks", "card [CARD], thanks"),
        ("tracking 4111 1111 1111 1112", "tracking 4111 1111 1111 1112"),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [IBAN] please"),
        ("key AKIAIOSFODNN7EXAMPLE leaked", "key [AWS_KEY] leaked"),
        ("call +44 20 7946 0958", "call [PHONE]"),
        ("version 10.0.0.1 of it", "version 10.0.0.1 of it"),
        ("order #20931 of 2024-05-11 for 139.00", "order #20931 of 2024-05-11 for 139.00"),
    ],
)
def test_personal_data_is_masked_and_look_alikes_are_not(text, masked):
    for kind in list(privacy.kinds_in(text)):
        text = privacy.mask(text, kind.name)
    assert text == masked


def test_duplicates_name_the_later_row_and_keep_the_group():
    rows = [
        row(1, chat("Where is it?", "Soon.")),
        row(2, chat("x", "y")),
        row(3, chat("where  IS it?", "soon.")),
    ]
    finding = found(rows)["duplicates"]
    assert finding.rows == (3,)
    assert finding.groups == ((1, 3),)


def test_the_same_question_in_the_other_file_is_leakage():
    rows = [row(1, chat("capital of France?", "Paris")), row(2, chat("capital of Italy?", "Rome"))]
    other = [row(1, chat("Capital of  france?", "Paris."))]
    finding = found(rows, against=("golden.jsonl", other))["leakage"]
    assert finding.rows == (1,)
    assert "golden.jsonl" in finding.message


def test_cancelling_returns_what_was_found_so_far():
    rows = [row(n, chat(f"q{n}", "")) for n in range(1, 2001)]
    looked = []

    def stop() -> bool:
        looked.append(1)
        return len(looked) > 2

    finding = found(rows, cancelled=stop)["empty-answer"]
    assert 0 < finding.count < 2000


def test_fixes_change_only_what_the_finding_named():
    dirty = row(1, chat(f"my card is {CARD}, mail joe@example.com", "ok\u200b then"))
    assert [(a.path, a.value) for a in fixes.plan("mask-card", dirty)] == [
        ("/messages/0/content", "my card is [CARD], mail joe@example.com")
    ]
    assert [(a.path, a.value) for a in fixes.plan("remove-hidden", dirty)] == [
        ("/messages/1/content", "ok then")
    ]
    assert [a.kind for a in fixes.plan("reject", dirty)] == ["status"]
    assert fixes.plan("reject", row(1, chat("a", "b"), status="rejected")) == []


def test_repairing_the_encoding_keeps_what_was_right():
    assert rules.repaired("itâ€™s 5 €") == "it\u2019s 5 €"


def test_half_a_character_breaks_no_check():
    findings = found([row(1, chat("half \ud800 bob@example.com", "As an AI language model \udfff"))])
    assert findings["pii-email"].rows == (1,)
    assert findings["refusal"].rows == (1,)
