"""Each check of the data: it names the rows that were spoilt, and nothing in rows that are good."""

import json
import re

import pytest

from shared import personal
from shared.errors import UserError
from shared.models import load_tokenizer
from step4_finetune.cli import show
from step4_finetune.data.curate import checks, schema, style
from step4_finetune.data.curate.finding import ERROR, OK, UNCHECKED, WARNING
from step4_finetune.data.rows import GUIDE as GUIDE_FILE
from step4_finetune.data.rows import Row
from tests.conftest import shown
from tests.step4.samples import GUIDE, as_file, good, needs_presidio, reply, spoilt

ROWS = good()


@pytest.fixture
def tokenizer():
    return load_tokenizer("tiny")


def test_good_rows_have_nothing_wrong(tokenizer):
    findings = checks.run(ROWS, GUIDE, tokenizer)["findings"]
    assert [(each["check"], each["severity"]) for each in findings if each["severity"] != OK] == [
        ("named breaks", UNCHECKED),  # the rows have no such column
    ]
    assert len({each["check"] for each in findings}) == len(findings) == 12


BAD = [
    spoilt(ROWS[0], chosen=ROWS[0].chosen.replace("A technician will", "A technician might")),
    spoilt(ROWS[1], " \n", notes=()),
    spoilt(ROWS[2], chosen=reply("No visit in the first week of June is reserved, morning or afternoon.")),
    spoilt(ROWS[3], rejected=ROWS[3].chosen + "\n"),
    spoilt(ROWS[4], "caf\ufffd", chosen=""),
    *ROWS[5:8],
    spoilt(ROWS[8], rejected=ROWS[8].chosen.replace("14.90", "19.40"), breaks=("facts",)),
    spoilt(ROWS[9], breaks=("facts",)),
    spoilt(ROWS[5], id="again"),
    spoilt(ROWS[5], "We move to Ashford next month. Send the magazine there, please?", id="near", notes=()),
    spoilt(ROWS[8], "I was billed 14.90 for a parcel I never ordered.", id="leak", split="train"),
    spoilt(ROWS[6], id="kettle-1", split="test"),  # no duplicate: the other is in dev
]
FOUND = {
    "schema": [
        ("kettle-2", "the message is empty"),
        (
            "boiler-4",
            "chosen and rejected are the same: Dear member, A gauge at 0.5 means that the boiler needs mor…",
        ),
        ("magazine-5", "the message has letters that were lost (\ufffd): read it in its own encoding"),
        ("magazine-5", "chosen is empty"),
        ("kettle-1", "row 1 has the same id"),
    ],
    "duplicates": [
        ("again", "as magazine-6: We move to Ashford next month. Send the magazine there, will you?")
    ],
    "near-duplicates": [
        ("near", "0.78 like magazine-6: We move to Ashford next month. Send the magazine there, ple…")
    ],
    "leakage": [
        (
            "gym-card-7",
            "1.00 like kettle-1 (test): the turnstile does not take my gym card, red light every ti…",
        ),
        ("leak", "0.78 like parcel-9 (test): I was billed 14.90 for a parcel I never ordered."),
    ],
    "topics across splits": [
        ("gym-card-7", "gym card: in dev and test"),
        ("gym-card-8", "gym card: in dev and test"),
        ("leak", "parcel: in test and train"),  # of a topic in train, only its rows there: these should move
        ("kettle-1", "gym card: in dev and test"),
    ],
    "fidelity": [
        ("boiler-3", "chosen: turned 'done: visit reserved in the first week of June'"),
        ("parcel-10", "rejected is faithful, as far as the program sees"),
    ],
    "label noise": [
        ("kettle-1", "chosen breaks no_hedging (might)"),
        ("boiler-4", "rejected breaks no rule"),
    ],
    "named breaks": [("parcel-10", "rejected breaks no_slang, not named")],
}


def test_check_names_what_is_wrong_with_each_row_and_exits_1(command, tmp_path):
    file = as_file(tmp_path / "mine.jsonl", BAD)
    check = ("step4_finetune", "data", "check", "--data", str(file), "--guide", str(GUIDE_FILE), "--smoke")
    got = command(*check, "--json")
    facts = json.loads(got.out)
    assert (got.code, facts["errors"], facts["rows"], facts["pairs"]) == (1, 5, 14, 14)
    assert facts["headline"] == "5 errors, 4 warnings in 14 rows"
    assert facts["splits"] == {"train": 9, "dev": 2, "test": 3}
    found = {each["check"]: each for each in facts["findings"] if each["check"] in FOUND}
    said = {name: [(case["id"], case["example"]) for case in each["cases"]] for name, each in found.items()}
    assert said == FOUND
    warned = {name for name, each in found.items() if each["severity"] == WARNING}
    assert warned == {"near-duplicates", "fidelity", "named breaks"}
    text = command(*check).out
    assert re.search(r"^label noise +error +2  14  rows", text, re.MULTILINE)
    assert "\nerror: label noise\n  kettle-1: chosen breaks no_hedging (might)\n  boiler-4: rejected " in text


def pair(chosen, rejected):
    return Row("1", ({"role": "user", "content": "?"},), "word " * chosen, "word " * rejected)


def test_length_bias_is_the_geometric_mean_of_ratios():
    found = style.length_bias([pair(20, 10), pair(10, 20)])
    assert (found.number, found.severity) == (1.0, OK)
    rows = [pair(20 + n, 10) for n in range(9)]
    found = style.length_bias(rows)
    assert found.number == pytest.approx(2.386, abs=0.001)
    assert found.severity == WARNING
    low, high = map(float, re.search(r"95% (.*)-(.*)\)", found.unit).groups())
    assert 2.1 < low < 2.386 < high < 2.7
    assert found.cases[0].example == "chosen has 2.80 times the words"
    assert style.length_bias([pair(10, 20 + n) for n in range(9)]).severity == WARNING


def test_templates_are_found_despite_other_topics_and_numbers():
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


def test_tokens_over_the_limit(tokenizer):
    def length(row, text):
        turns = [*row.with_system("Be kind."), {"role": "assistant", "content": text}]
        return len(tokenizer.apply_chat_template(turns, return_dict=False))

    lengths = {row.id: max(length(row, row.chosen), length(row, row.rejected)) for row in ROWS}
    limit = sorted(lengths.values())[6]
    found = schema.too_long(ROWS, tokenizer, "Be kind.", limit)
    assert [case.id for case in found.cases] == [each for each in lengths if lengths[each] > limit] != []
    assert found.severity == ERROR
    assert found.unit == f"rows (longest {max(lengths.values())} of {limit})"
    assert schema.too_long(ROWS, tokenizer, "Be kind.", max(lengths.values())).severity == OK
    tokenizer.chat_template = "{{ raise_exception('no system here') }}"
    found = schema.too_long(ROWS[:1], tokenizer)
    assert found.severity == ERROR
    assert "refuses it (no system here)" in found.cases[0].example


# --- personal data ----------------------------------------------------------------------------------------


@needs_presidio
def test_personal_data_in_rows():
    chosen = reply("Ring 07700 800123, not 07700 900123. Thanks.")  # which is kept for films and books
    found = schema.personal_data([*ROWS[:4], spoilt(ROWS[4], "Mail ann.lee@example.org", chosen=chosen)])
    assert (found.number, found.severity) == (1, ERROR)
    assert [case.example for case in found.cases] == [
        "e-mail address in message or notes: ann…",
        "telephone number in chosen: 077…",
    ]


def test_without_presidio_it_is_unknown(monkeypatch):
    def missing():
        raise UserError("can't be looked for: pip install presidio-analyzer")

    monkeypatch.setattr(personal, "recognizers", missing)
    found = schema.personal_data([spoilt(ROWS[0], "Mail ann.lee@example.org")])
    assert (found.number, found.severity) == (None, WARNING)
    assert "pip install" in found.advice


def test_checks_without_their_columns_are_not_checked(tokenizer):
    bare = [Row(row.id, row.prompt, row.chosen, split=row.split) for row in ROWS]
    findings = checks.run(bare, GUIDE, tokenizer)["findings"]
    assert {each["check"]: each["unit"] for each in findings if each["severity"] == UNCHECKED} == {
        "topics across splits": "no topics",
        "length bias": "no pairs",
        "fidelity": "no notes",
        "named breaks": "no breaks named",
    }
    facts = checks.run(bare)
    assert "label noise" in {each["check"] for each in facts["findings"] if each["severity"] == UNCHECKED}
    text = shown(show.check, facts)
    assert re.search(r"^length bias +not checked +no pairs *$", text, re.MULTILINE)
    assert "no guide: label noise not checked; name one with --guide\n" in text
