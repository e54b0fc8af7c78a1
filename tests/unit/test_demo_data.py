"""What the demo dataset promises: the format, answers that follow from the ticket, a truthful flaw list."""

from __future__ import annotations

import json
import re
import statistics
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

import ftui.demo
from ftui.demo.triage import LINES, PRIORITIES, keeps_format

DEMO = Path(ftui.demo.__file__).parent
CARD = (DEMO / "README.md").read_text(encoding="utf-8")
# The card's table of verbs: "| Cancel, Change | when ... |".
VERBS = {verb for row in re.findall(r"^\| ([A-Z][\w, ]+) \|", CARD, re.M) for verb in row.split(", ")} - {
    "Verb",
    "File",
}
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
LONG_NUMBER = re.compile(r"\+?\d(?:[ -]?\d){9,}")
GOOD = "Issue: Snapped pole\nItem: Tent, green\nOrder: #4417\nAction: Send new pole\nPriority: Medium"


def lines_of(name):
    return (DEMO / name).read_text(encoding="utf-8").removesuffix("\n").split("\n")


def pairs_of(name):
    """(ticket, answer) of each row of a clean file."""
    pairs = []
    for line in lines_of(name):
        row = json.loads(line)
        assert list(row) == ["messages"]
        user, assistant = row["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        assert all(set(message) == {"role", "content"} for message in row["messages"])
        pairs.append((user["content"], assistant["content"]))
    return pairs


def fields_of(answer):
    return dict(line.split(": ", 1) for line in answer.split("\n"))


def words_of(text):
    """Lower-case words; plural and possessive endings and quotes do not count."""
    found = re.findall(r"[\w.'-]+", text.lower())
    return {re.sub(r"(?:'s|s'?)$", "", word.strip(".'-")) for word in found}


def normalized(text):
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()))


def overlap(one, other):
    """Jaccard similarity of two texts' word triples."""

    def triples(text):
        words = normalized(text).split()
        return set(zip(words, words[1:], words[2:], strict=False))

    return len(triples(one) & triples(other)) / len(triples(one) | triples(other))


def luhn(digits):
    doubled = [int(d) * 2 if k % 2 else int(d) for k, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


TRAIN = pairs_of("tickets.jsonl")
HELD_OUT = pairs_of("tickets-held-out.jsonl")
FLAWS = json.loads((DEMO / "flaws.json").read_text())
FLAWED = lines_of("tickets-flawed.jsonl")


# The clean files


def test_there_are_200_rows_to_train_on_and_20_held_out():
    assert (len(TRAIN), len(HELD_OUT)) == (200, 20)


@pytest.mark.parametrize("pairs", [TRAIN, HELD_OUT], ids=["train", "held-out"])
class TestCleanRows:
    def test_every_answer_keeps_the_format(self, pairs):
        for _, answer in pairs:
            assert keeps_format(answer), answer
            assert tuple(fields_of(answer)) == LINES

    def test_values_are_short_and_of_the_documented_kinds(self, pairs):
        for _, answer in pairs:
            fields = fields_of(answer)
            assert 2 <= len(fields["Issue"].split()) <= 4, answer
            assert len(fields["Item"].split()) <= 6, answer
            assert re.fullmatch(r"#\d{4,5}|not given", fields["Order"]), answer
            assert fields["Action"].split()[0] in VERBS, answer
            assert 2 <= len(fields["Action"].split()) <= 6, answer

    def test_the_order_number_is_copied_from_the_ticket(self, pairs):
        for ticket, answer in pairs:
            order = fields_of(answer)["Order"]
            if order == "not given":
                assert not re.search(r"\b(?:order|ref\w*|no\.?|number|#)\W{0,3}\d{4,5}\b", ticket, re.I), (
                    ticket
                )
            else:
                assert re.search(rf"(?<!\d){order[1:]}(?!\d)", ticket), ticket

    def test_every_word_of_the_item_is_in_the_ticket(self, pairs):
        for ticket, answer in pairs:
            item = fields_of(answer)["Item"]
            if item != "none":
                assert words_of(item) <= words_of(ticket), (item, ticket)

    def test_safety_cases_and_urgent_ones_are_high_and_advice_and_thanks_are_low(self, pairs):
        for _, answer in pairs:
            fields = fields_of(answer)
            verb = fields["Action"].split()[0]
            if verb in ("Escalate", "Rush"):
                assert fields["Priority"] == "High", answer
            if verb in ("Advise", "Thank", "Pass", "Add", "Remove", "Match"):
                assert fields["Priority"] == "Low", answer

    def test_tickets_are_short(self, pairs):
        counts = [len(ticket.split()) for ticket, _ in pairs]
        assert min(counts) >= 10
        assert max(counts) <= 60
        assert 28 <= statistics.mean(counts) <= 40

    def test_every_priority_occurs_and_most_tickets_have_an_order_number(self, pairs):
        priorities = Counter(fields_of(answer)["Priority"] for _, answer in pairs)
        assert set(priorities) == set(PRIORITIES)
        assert min(priorities.values()) >= len(pairs) * 0.2
        with_order = sum("not given" not in answer for _, answer in pairs)
        assert 0.6 <= with_order / len(pairs) <= 0.8

    def test_there_is_no_personal_data_and_no_invisible_character(self, pairs):
        for ticket, _ in pairs:
            assert not EMAIL.search(ticket), ticket
            assert not LONG_NUMBER.search(ticket), ticket
            assert all(c == "\n" or unicodedata.category(c)[0] != "C" for c in ticket), ticket
            assert ticket == ticket.strip()


def test_every_verb_of_the_card_is_taught():
    used = {fields_of(answer)["Action"].split()[0] for _, answer in TRAIN + HELD_OUT}
    assert used == VERBS


def test_no_two_tickets_are_the_same_or_nearly():
    tickets = [ticket for ticket, _ in TRAIN + HELD_OUT]
    assert len({normalized(ticket) for ticket in tickets}) == len(tickets)
    closest = max(overlap(a, b) for n, a in enumerate(tickets) for b in tickets[:n])
    assert closest < 0.1, "tickets are written one by one, not filled in from templates"


def test_no_order_number_occurs_twice():
    orders = [fields_of(answer)["Order"] for _, answer in TRAIN + HELD_OUT]
    counts = Counter(order for order in orders if order != "not given")
    assert set(counts.values()) == {1}


def test_held_out_products_and_problems_are_not_in_the_training_rows():
    seen = set().union(*(words_of(ticket) for ticket, _ in TRAIN))
    issues = {fields_of(answer)["Issue"] for _, answer in TRAIN}
    for _, answer in HELD_OUT:
        fields = fields_of(answer)
        product = words_of(fields["Item"].split(",")[0])
        assert product - seen, f"{product} was trained on"
        assert fields["Issue"] not in issues


# The flawed copy


def planted(kind):
    found = [flaw for flaw in FLAWS["flaws"] if flaw["kind"] == kind]
    assert found, kind
    return found


def text_of(line_number):
    """All text of a row of the flawed file, joined; asserts that the row parses."""
    return "\n".join(m["content"] for m in json.loads(FLAWED[line_number - 1])["messages"])


def test_the_list_of_flaws_has_the_promised_number_of_each_kind():
    assert Counter(flaw["kind"] for flaw in FLAWS["flaws"]) == {
        "exact_duplicate": 3,
        "near_duplicate": 4,
        "email": 3,
        "card_number": 2,
        "phone": 1,
        "empty_answer": 2,
        "whitespace_answer": 1,
        "assistant_first": 1,
        "two_users_in_a_row": 1,
        "broken_json": 1,
        "control_characters": 1,
        "invisible_characters": 1,
        "mojibake": 1,
        "answer_cut_off": 1,
        "refusal": 1,
    }
    assert FLAWS["rows"] == len(FLAWED) == 72
    lines = [flaw["line"] for flaw in FLAWS["flaws"]]
    assert lines == sorted(set(lines)), "at most one flaw a line, in order"


def test_exactly_one_line_is_broken_and_the_last_line_is_whole():
    broken = []
    for number, line in enumerate(FLAWED, start=1):
        try:
            json.loads(line)
        except json.JSONDecodeError:
            broken.append(number)
    assert broken == [flaw["line"] for flaw in planted("broken_json")]
    assert (DEMO / "tickets-flawed.jsonl").read_bytes().endswith(b"}\n")


def test_rows_without_a_planted_flaw_are_training_rows_unchanged():
    marked = {entry["line"] for entry in FLAWS["flaws"] + FLAWS["decoys"]}
    training = set(lines_of("tickets.jsonl"))
    clean = [line for number, line in enumerate(FLAWED, start=1) if number not in marked]
    assert len(clean) == len(set(clean)) == 47
    assert set(clean) <= training


def test_duplicates_are_copies_of_the_clean_row_they_name():
    marked = {flaw["line"] for flaw in FLAWS["flaws"]}
    for flaw in planted("exact_duplicate"):
        assert FLAWED[flaw["line"] - 1] == FLAWED[flaw["of"] - 1]
        assert flaw["of"] not in marked
    for flaw in planted("near_duplicate"):
        copy, original = text_of(flaw["line"]), text_of(flaw["of"])
        assert normalized(copy) != normalized(original)
        assert overlap(copy, original) >= 0.85
        assert flaw["of"] not in marked


def test_nothing_but_the_listed_copies_is_a_duplicate():
    listed = {(flaw["of"], flaw["line"]) for flaw in FLAWS["flaws"] if "of" in flaw}
    broken = {flaw["line"] for flaw in planted("broken_json")}
    texts = {n: text_of(n) for n in range(1, len(FLAWED) + 1) if n not in broken}
    alike = {(a, b) for b in texts for a in texts if a < b and overlap(texts[a], texts[b]) >= 0.5}
    assert alike == listed


def test_email_addresses_are_where_listed_and_nowhere_else():
    listed = [flaw["line"] for flaw in planted("email")]
    assert [n for n, line in enumerate(FLAWED, start=1) if EMAIL.search(line)] == listed
    for number in listed:
        assert EMAIL.search(text_of(number)).group().endswith(("example.com", "example.org"))


def test_card_numbers_pass_luhn_and_the_decoy_does_not():
    numbers = {
        n: re.sub(r"\D", "", match.group())
        for n, line in enumerate(FLAWED, start=1)
        if (match := LONG_NUMBER.search(line))
    }
    cards = [flaw["line"] for flaw in planted("card_number")]
    phones = [flaw["line"] for flaw in planted("phone")]
    decoys = [decoy["line"] for decoy in FLAWS["decoys"]]
    assert sorted(numbers) == sorted(cards + phones + decoys)
    assert all(len(numbers[n]) == 16 and luhn(numbers[n]) for n in cards)
    assert all(len(numbers[n]) == 16 and not luhn(numbers[n]) for n in decoys)
    assert [numbers[n] for n in phones] == ["442079460958"]


def test_answers_are_empty_blank_refused_or_cut_only_where_listed():
    unusual = {}
    for number, line in enumerate(FLAWED, start=1):
        if any(number == flaw["line"] for flaw in planted("broken_json") + planted("assistant_first")):
            continue
        answer = json.loads(line)["messages"][-1]["content"]
        if not keeps_format(answer):
            unusual[number] = answer
    empty = [flaw["line"] for flaw in planted("empty_answer")]
    (blank,), (refusal,), (cut,) = (
        [flaw["line"] for flaw in planted(kind)]
        for kind in ("whitespace_answer", "refusal", "answer_cut_off")
    )
    assert sorted(unusual) == sorted([*empty, blank, refusal, cut])
    assert all(unusual[n] == "" for n in empty)
    assert unusual[blank] != ""
    assert unusual[blank].strip() == ""
    assert unusual[refusal].startswith("As an AI language model")
    assert unusual[cut].endswith("Refund the")


def test_roles_are_out_of_order_only_where_listed():
    broken = planted("broken_json")[0]["line"]
    odd = {}
    for number, line in enumerate(FLAWED, start=1):
        roles = [] if number == broken else [m["role"] for m in json.loads(line)["messages"]]
        if number != broken and roles != ["user", "assistant"]:
            odd[number] = roles
    assert odd == {
        planted("assistant_first")[0]["line"]: ["assistant", "user"],
        planted("two_users_in_a_row")[0]["line"]: ["user", "user", "assistant"],
    }


def test_hostile_characters_are_escaped_in_the_file_and_only_where_listed():
    raw = (DEMO / "tickets-flawed.jsonl").read_text(encoding="utf-8")
    assert all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cf") for c in raw), "safe to `cat`"
    control, invisible = planted("control_characters")[0]["line"], planted("invisible_characters")[0]["line"]
    broken = planted("broken_json")[0]["line"]
    hostile = {}
    for number in range(1, len(FLAWED) + 1):
        text = "" if number == broken else text_of(number).replace("\n", "").replace("\t", "")
        if found := {c for c in text if unicodedata.category(c) in ("Cc", "Cf")}:
            hostile[number] = found
    assert hostile == {control: {"\x1b", "\x07"}, invisible: {"\u200b", "\u2060", "\u202e", "\u202c"}}
    assert "[/INST]" in text_of(control)


def test_mojibake_is_where_listed_and_nowhere_else():
    listed = [flaw["line"] for flaw in planted("mojibake")]
    assert [n for n, line in enumerate(FLAWED, start=1) if "â€™" in line] == listed


# keeps_format


@pytest.mark.parametrize("reply", [GOOD, f"\n {GOOD} \n", GOOD.replace("\n", "\r\n")])
def test_the_five_lines_keep_the_format_whatever_white_space_surrounds_them(reply):
    assert keeps_format(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I'm sorry to hear that your tent pole snapped. Have you tried turning it round?",
        f"Sure! Here it is:\n{GOOD}",
        f"{GOOD}\nIs there anything else?",
        GOOD.replace("\n", "\n\n"),
        GOOD.replace("\n", " "),
        GOOD.rsplit("\n", 1)[0],
        GOOD.replace("Medium", "Urgent"),
        GOOD.replace("Medium", "Medium, please hurry"),
        GOOD.replace("Item: Tent, green", "Item: "),
        GOOD.replace("Item: Tent, green", "Item:"),
        GOOD.replace("Issue", "issue"),
        "\n".join(reversed(GOOD.split("\n"))),
        GOOD + "\n" + GOOD,
    ],
)
def test_anything_else_does_not_keep_the_format(reply):
    assert not keeps_format(reply)
