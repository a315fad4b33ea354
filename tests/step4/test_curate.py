"""Each check of the data: it names the rows that were spoilt, and nothing in rows that are good."""

import io
import json
import re

import pytest
from rich.console import Console

from shared.errors import UserError
from shared.models import load_tokenizer
from step4_finetune.data import curate
from step4_finetune.data.curate import duplicates, labels, personal, schema, style, tokens
from step4_finetune.data.curate.finding import ERROR, OK, UNCHECKED, WARNING
from step4_finetune.data.rows import GUIDE, Row
from step4_finetune.tone import rules
from step4_finetune.tone.guide import read_guide
from tests.step4.made import good, needs_presidio, reply, spoilt

ROWS = good()
NOISY = ROWS[0].chosen.replace("A technician will", "A technician might")


@pytest.fixture(scope="module")
def guide():
    return read_guide(GUIDE)


@pytest.fixture
def broken(guide):
    return lambda reply: rules.reasons(reply, guide)


@pytest.fixture
def tokenizer(tiny_cache):
    return load_tokenizer("tiny")


def ids(finding):
    return [case.id for case in finding.cases]


def test_good_rows_have_nothing_wrong(guide, tokenizer):
    findings = curate.run_checks(ROWS, guide, tokenizer)
    assert [(each.check, each.severity) for each in findings if each.severity != OK] == [
        ("named breaks", UNCHECKED),  # the rows have no such column
        ("rule names", UNCHECKED),
    ]
    assert len({each.check for each in findings}) == len(findings) == 14


# --- form and classes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"message": " \n"}, "the message is empty"),
        ({"chosen": ""}, "chosen is empty"),
        ({"rejected": "  "}, "rejected is empty"),
        ({"rejected": ROWS[3].chosen + "\n"}, "chosen and rejected are the same: Dear member, A gauge"),
        ({"message": "caf\ufffd"}, "the message has letters that were lost"),
        ({"id": "kettle-1"}, "row 1 has the same id"),
        (
            {"prompt": ({"role": "bot", "content": "Hi"}, *ROWS[3].prompt)},
            "role 'bot': use system, user, assistant",
        ),
    ],
)
def test_the_schema_names_the_row(changes, said):
    rows = [*ROWS[:3], spoilt(ROWS[3], **changes), *ROWS[4:]]
    found = schema.schema(rows)
    assert (found.number, found.of, found.severity) == (1, 10, ERROR)
    assert found.cases[0].row == 3
    assert found.cases[0].example.startswith(said)


def test_splits_without_rows():
    found = schema.splits([spoilt(row, split="train") for row in ROWS])
    assert [case.example for case in found.cases] == ["no rows in dev", "no rows in test"]
    assert found.severity == WARNING
    assert schema.splits([spoilt(row, split="test") for row in ROWS]).severity == ERROR


# --- doubles ----------------------------------------------------------------------------------------------


def test_near_is_the_exact_jaccard():
    near = duplicates.Near(0.5)
    texts = [row.message for row in ROWS]
    for number, text in enumerate(texts):
        near.add(number, text)
    for number, text in enumerate(texts):
        assert near.find(text.upper() + "!") == (number, 1.0)
    changed = "My kettle leaks at the lid since 3 May; water all over the worktop."
    number, value = near.find(changed)
    assert number == 0
    assert value == duplicates.jaccard(duplicates.shingles(changed), duplicates.shingles(texts[0]))
    assert near.find("Something else altogether") is None


def test_exact_duplicates():
    rows = [*ROWS, spoilt(ROWS[1], id="again")]
    found = duplicates.duplicates(rows)
    assert (found.number, found.severity, ids(found)) == (1, ERROR, ["again"])
    assert found.cases[0].example.startswith("as kettle-2: Where has order")
    assert duplicates.duplicates([*ROWS, spoilt(ROWS[1], split="test")]).severity == OK  # leakage, that is


def test_near_duplicates():
    rows = [*ROWS, spoilt(ROWS[1], "So where has order K2207 got to? It was promised for Friday!", id="like")]
    rows.append(
        spoilt(ROWS[1], id="another-rejected", rejected="No idea.")
    )  # a prompt may have several pairs
    found = duplicates.near_duplicates(rows)
    assert (found.number, found.severity, ids(found)) == (1, WARNING, ["like"])
    assert re.match(r"0\.\d\d like kettle-2: So where", found.cases[0].example)


def test_leakage_between_splits():
    rows = [
        *ROWS,
        spoilt(ROWS[8], "I was billed 14.90 for a parcel I never ordered.", id="leak", split="train"),
    ]
    rows.append(spoilt(ROWS[6], id="dev-in-test", split="test"))
    found = duplicates.leakage(rows)
    assert (found.number, found.severity) == (2, ERROR)
    assert ids(found) == ["gym-card-7", "leak"]
    assert "like parcel-9 (test)" in found.cases[1].example
    assert "like dev-in-test (test)" in found.cases[0].example


def test_topics_in_two_splits():
    rows = [*ROWS, spoilt(ROWS[0], "The lid will not close", id="torn", split="test")]
    found = duplicates.topics_apart(rows)
    assert found.severity == ERROR
    assert ids(found) == ["kettle-1", "kettle-2"]
    assert found.cases[0].example == "kettle: in train and test"


# --- labels -----------------------------------------------------------------------------------------------


def test_label_noise(broken):
    rows = [
        spoilt(ROWS[0], chosen=ROWS[0].rejected),
        spoilt(ROWS[1], rejected=ROWS[2].chosen),
        *ROWS[2:],
    ]
    found = labels.label_noise(rows, broken)
    assert (found.number, found.severity) == (2, ERROR)
    assert [(case.id, case.example) for case in found.cases] == [
        ("kettle-1", "chosen breaks no_contractions (We're)"),
        ("kettle-2", "rejected breaks no rule"),
    ]


def test_breaks_that_are_named_wrongly(broken):
    rows = [spoilt(ROWS[0], breaks=("no_contractions",)), spoilt(ROWS[3], breaks=("calm", "member"))]
    rows += [*ROWS[4:8], spoilt(ROWS[8], breaks=("facts", "no_contractions"))]
    found = labels.named_breaks(rows, broken)
    assert (found.number, found.of, found.severity) == (1, 3, WARNING)
    assert found.cases[0].example == (
        "rejected breaks we, not named; names calm, which it keeps; names member, which it keeps"
    )


def test_rules_that_the_guide_does_not_have():
    rows = [spoilt(ROWS[0], breaks=("no_contraction", "facts")), spoilt(ROWS[3], breaks=("we",)), ROWS[1]]
    found = labels.rule_names(rows, {"we", "no_contractions"})
    assert (found.number, found.of, found.severity) == (1, 2, ERROR)
    assert found.cases[0].example == "breaks names no_contraction, which is no rule of the guide"


def test_a_rejected_reply_with_wrong_facts_may_keep_the_tone(broken):
    wrong = spoilt(ROWS[8], rejected=ROWS[8].chosen.replace("14.90", "19.40"), breaks=("facts",))
    assert labels.label_noise([wrong], broken).severity == OK
    assert labels.named_breaks([wrong], broken).severity == OK
    noisy = labels.label_noise([spoilt(wrong, breaks=())], broken)
    assert [case.example for case in noisy.cases] == ["rejected breaks no rule"]
    assert labels.label_noise([spoilt(wrong, chosen="Hi!")], broken).number == 1


def test_fidelity_of_chosen_replies():
    rows = [
        spoilt(ROWS[0], chosen=reply("A technician will inspect and replace the seal on the 13th.")),
        spoilt(
            ROWS[2], chosen=reply("No visit in the first week of June is reserved, morning or afternoon.")
        ),
        spoilt(ROWS[8], notes=()),
        *ROWS[3:5],
    ]
    found = labels.faithful(rows, "Northwind Care")
    assert [(case.id, case.example) for case in found.cases] == [
        ("kettle-1", "chosen: missing 'ask: model printed below the handle'; added '13'"),
        ("boiler-3", "chosen: turned 'done: visit reserved in the first week of June'"),
    ]
    assert (found.number, found.of, found.severity) == (2, 4, WARNING)


def test_a_rejected_reply_that_is_said_to_be_wrong_in_its_facts():
    wrong = spoilt(ROWS[8], rejected=ROWS[8].chosen.replace("14.90", "19.40"), breaks=("facts",))
    true = spoilt(ROWS[9], breaks=("facts",))
    found = labels.faithful([wrong, true, *ROWS[:3]], "Northwind Care")
    assert [(case.id, case.example) for case in found.cases] == [
        ("parcel-10", "rejected is faithful, as far as the program sees")
    ]


# --- style ------------------------------------------------------------------------------------------------


def pair(chosen, rejected):
    return Row("1", ({"role": "user", "content": "?"},), "word " * chosen, "word " * rejected)


def test_length_bias_is_the_geometric_mean_of_ratios():
    found = style.length_bias([pair(20, 10), pair(10, 20)])
    assert (found.number, found.severity) == (1.0, OK)
    rows = [pair(20 + n, 10) for n in range(9)]
    found = style.length_bias(rows)
    assert found.number == pytest.approx(2.386, abs=0.001)
    assert found.severity == ERROR
    low, high = map(float, re.search(r"95% (.*)-(.*)\)", found.unit).groups())
    assert 2.1 < low < 2.386 < high < 2.7
    assert found.cases[0].example == "chosen has 2.80 times the words"
    assert style.length_bias([pair(10, 20 + n) for n in range(9)]).severity == ERROR
    by_chance = [pair(30, 10), pair(10, 10), pair(10, 10), pair(13, 10)]
    assert style.length_bias(by_chance).severity == WARNING


def test_templates_are_found_behind_topics_and_numbers():
    things = ["kettle", "boiler", "door bell", "lamps"]
    rows = [
        Row(
            f"{thing}-1",
            ({"role": "user", "content": f"my {thing}, {n} May"},),
            reply(
                f"We will repair your {thing} by {n} May 20{n}. Please see page {n * 3}. Sentence of {thing}."
            ),
            topic=thing,
        )
        for n, thing in enumerate(things, 11)
    ]
    found = style.templates([*rows, *ROWS])
    assert {case.example for case in found.cases} == {
        "4 times we will repair your # by # may #.",
        "4 times please see page #.",
        "4 times sentence of #.",
    }
    assert (found.number, found.severity) == (4, WARNING)
    assert style.templates([*rows[:3], *ROWS]).severity == OK  # three times are allowed


# --- tokens -----------------------------------------------------------------------------------------------


def test_tokens_over_the_limit(tokenizer):
    def length(row, text):
        turns = [*row.with_system("Be kind."), {"role": "assistant", "content": text}]
        return len(tokenizer.apply_chat_template(turns, return_dict=False))

    lengths = {row.id: max(length(row, row.chosen), length(row, row.rejected)) for row in ROWS}
    limit = sorted(lengths.values())[6]
    found = tokens.too_long(ROWS, tokenizer, "Be kind.", limit)
    assert ids(found) == [each for each in lengths if lengths[each] > limit]
    assert found.severity == ERROR
    assert 1 <= len(found.cases) <= 3
    assert found.unit == f"rows (longest {max(lengths.values())} of {limit})"
    assert tokens.too_long(ROWS, tokenizer, "Be kind.", max(lengths.values())).severity == OK


@pytest.mark.parametrize(
    ("template", "said"),
    [(None, "refuses it"), ("{{ raise_exception('no system here') }}", "refuses it (no system here)")],
)
def test_a_template_that_refuses_a_row(tokenizer, template, said):
    tokenizer.chat_template = template
    found = tokens.too_long(ROWS[:1], tokenizer)
    assert (found.number, found.severity) == (1, ERROR)
    assert said in found.cases[0].example


# --- personal data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("write to bob.smith@example.com please", [("e-mail address", "bob…")]),
        (
            "my number is 020 7946 0958, or +44 7700 900123",
            [("telephone number", "020…"), ("telephone number", "+44…")],
        ),
        ("(212) 555-0123", [("telephone number", "(21…")]),
        ("please ring me on 07700900123", [("telephone number", "077…")]),
        ("order line: call +49 30 901820", [("telephone number", "+49…")]),
        ("card 4111 1111 1111 1111 was charged", [("card number", "411…")]),
        ("to DE89 3704 0044 0532 0130 00", [("IBAN", "DE8…")]),
        # order numbers, dates, amounts, times
        ("order 4155552671 of 12 May 2024", []),
        ("order number: 020 7946 0958", []),
        ("booking ref 07700900123", []),
        ("invoice 2024-05-12-0034, 12.05.2024, 2024-05-12T10:30", []),
        ("1,234,567 points, 14.90, code 4471 2231 9087, parcel 00340434161094022115", []),
        ("contract 20231234567 and the meter stands at 1234567", []),
        ("call us about 4111 1111 1111 1112", []),  # the check sum is wrong
        ("mail nadia at example dot com, or @northwind", [("e-mail address", "nad…")]),
        ("A4471 on 3 May at 10:15", []),
        ("0.7384917389 of the share", []),
    ],
)
@needs_presidio
def test_personal_data(text, found):
    assert [(each.kind, each.masked) for each in personal.personal(text)] == found


@needs_presidio
def test_personal_data_in_rows():
    rows = [
        *ROWS[:4],
        spoilt(ROWS[4], "Mail ann.lee@example.org", chosen=reply("Ring 020 7946 0958. Thanks.")),
    ]
    found = personal.personal_data(rows)
    assert (found.number, found.severity) == (1, ERROR)
    assert [case.example for case in found.cases] == [
        "e-mail address in message or notes: ann…",
        "telephone number in chosen: 020…",
    ]
    found = personal.personal_data([spoilt(ROWS[4], notes=("office: 020 7946 0958",))])
    assert [case.example for case in found.cases] == ["telephone number in message or notes: 020…"]
    invented = spoilt(ROWS[4], "ring 07700 900123, not 07700 800123")  # kept for films and books
    assert [case.example for case in personal.personal_data([invented]).cases] == [
        "telephone number in message or notes: 077…"
    ]


def test_without_presidio_it_is_unknown(monkeypatch):
    def missing():
        raise UserError("can't be looked for: pip install presidio-analyzer")

    monkeypatch.setattr(personal, "recognizers", missing)
    found = personal.personal_data([spoilt(ROWS[0], "Mail ann.lee@example.org")])
    assert (found.number, found.severity) == (None, WARNING)
    assert "pip install" in found.advice


# --- the report -------------------------------------------------------------------------------------------


def bad():
    """Ten good rows, and one of every kind that is bad."""
    return [
        *ROWS,
        spoilt(ROWS[0], "The kettle trips the fuse of the whole kitchen", id="noisy", chosen=NOISY),
        spoilt(ROWS[2], id="twice"),
        spoilt(ROWS[1], "So where has order K2207 got to? It was promised for Friday", id="nearly"),
        spoilt(
            ROWS[8],
            "I was billed 14.90 for a parcel that I never ordered",
            id="leak",
            split="train",
            topic="post",
        ),
        spoilt(ROWS[4], "Stop it, or mail ann.lee@example.org", id="mail"),
        spoilt(ROWS[5], "word " * 900, id="long"),
        spoilt(ROWS[9], "Is anybody there?", id="test-noise", chosen="Hi!"),
    ]


def said(facts):
    console = Console(width=100, file=io.StringIO(), markup=False, highlight=False)
    curate.show(facts, console)
    return console.file.getvalue()


@needs_presidio
def test_the_report_counts_and_names(guide, tokenizer):
    rows = bad()
    facts = curate.report(rows, curate.run_checks(rows, guide, tokenizer), guide, "bad.jsonl")
    found = {each["check"]: each for each in facts["findings"]}
    assert {name for name, each in found.items() if each["severity"] == ERROR} == {
        "duplicates",
        "leakage",
        "label noise",
        "personal data",
        "tokens over the limit",
    }
    assert [row["id"] for row in found["label noise"]["rows"]] == ["noisy", "test-noise"]
    assert (facts["errors"], facts["rows"], facts["pairs"]) == (5, 17, 17)
    assert facts["headline"].startswith("5 errors, ")
    assert facts["splits"] == {"train": 12, "dev": 2, "test": 3}
    json.dumps(facts)

    text = said(facts)
    assert re.search(r"^label noise +error +2  17  rows", text, re.MULTILINE)
    assert "\nerror: leakage\n  leak: 1.00 like parcel-9 (test): I was billed 14.90" in text
    assert "→ take them out of train" in text


def test_what_the_rows_have_nothing_for_is_not_checked(guide, tokenizer):
    bare = [
        Row(row.id, row.prompt, row.chosen, split=row.split)  # a prompt and a reply
        for row in ROWS
    ]
    findings = curate.run_checks(bare, guide, tokenizer)
    assert {each.check: each.unit for each in findings if each.severity == UNCHECKED} == {
        "topics across splits": "no topics",
        "length bias": "no pairs",
        "fidelity": "no notes",
        "named breaks": "no breaks named",
        "rule names": "no breaks named",
    }
    shown = said(curate.report(bare, findings, guide))
    assert re.search(r"^length bias +not checked +no pairs *$", shown, re.MULTILINE)
    assert "no guide" not in shown
    findings = curate.run_checks(bare)
    assert "label noise" in {each.check for each in findings if each.severity == UNCHECKED}
    assert "no guide: label noise not checked; name one with --guide\n" in said(curate.report(bare, findings))
