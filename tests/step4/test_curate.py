"""Each check of the data: it names the rows that were spoilt, and nothing in rows that are good."""

import re

import pytest

from shared import personal
from shared.errors import UserError
from shared.models import load_tokenizer
from step4_finetune.cli import show_data
from step4_finetune.data.curate import checks, duplicates, labels, schema, style
from step4_finetune.data.curate.finding import ERROR, OK, UNCHECKED, WARNING
from step4_finetune.data.rows import Row
from tests.step4.made import good, needs_presidio, spoilt
from tests.step4.samples import GUIDE, reply, shown

ROWS = good()
WRONG_FACTS = spoilt(ROWS[8], rejected=ROWS[8].chosen.replace("14.90", "19.40"), breaks=("facts",))


@pytest.fixture
def tokenizer(tiny_cache):
    return load_tokenizer("tiny")


def test_good_rows_have_nothing_wrong(tokenizer):
    findings = checks.run_checks(ROWS, GUIDE, tokenizer)
    assert [(each.check, each.severity) for each in findings if each.severity != OK] == [
        ("named breaks", UNCHECKED),  # the rows have no such column
    ]
    assert len({each.check for each in findings}) == len(findings) == 12


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"message": " \n"}, "the message is empty"),
        ({"chosen": ""}, "chosen is empty"),
        ({"rejected": ROWS[3].chosen + "\n"}, "chosen and rejected are the same: Dear member, A gauge"),
        ({"message": "caf\ufffd"}, "the message has letters that were lost"),
        ({"id": "kettle-1"}, "row 1 has the same id"),
    ],
)
def test_the_schema_names_the_row(changes, said):
    rows = [*ROWS[:3], spoilt(ROWS[3], **changes), *ROWS[4:]]
    found = schema.schema(rows)
    assert (found.number, found.of, found.severity) == (1, 10, ERROR)
    assert found.cases[0].row == 3
    assert found.cases[0].example.startswith(said)


FOUND = {
    "duplicates": (
        duplicates.duplicates,
        [*ROWS, spoilt(ROWS[1], id="again"), spoilt(ROWS[2], split="test")],  # the last is leakage
        ERROR,
        [("again", "as kettle-2: Where has order K2207 got to? It was promised for Friday.")],
    ),
    "leakage": (
        duplicates.leakage,
        [
            *ROWS,
            spoilt(ROWS[8], "I was billed 14.90 for a parcel I never ordered.", id="leak", split="train"),
            spoilt(ROWS[6], id="dev-in-test", split="test"),
        ],
        ERROR,
        [
            (
                "gym-card-7",
                "1.00 like dev-in-test (test): the turnstile does not take my gym card, red light every ti…",
            ),
            ("leak", "0.78 like parcel-9 (test): I was billed 14.90 for a parcel I never ordered."),
        ],
    ),
    "topics": (
        duplicates.topics_apart,
        [*ROWS, spoilt(ROWS[0], "The lid will not close", id="torn", split="test")],
        ERROR,
        [("kettle-1", "kettle: in train and test"), ("kettle-2", "kettle: in train and test")],
    ),
    "fidelity": (
        lambda rows: labels.faithful(rows, GUIDE.own),
        [
            spoilt(ROWS[0], chosen=reply("A technician will inspect and replace the seal on the 13th.")),
            spoilt(
                ROWS[2], chosen=reply("No visit in the first week of June is reserved, morning or afternoon.")
            ),
            spoilt(ROWS[8], notes=()),
            WRONG_FACTS,
            spoilt(ROWS[9], breaks=("facts",)),
            *ROWS[3:5],
        ],
        WARNING,
        [
            ("kettle-1", "chosen: missing 'ask: model printed below the handle'; added '13'"),
            ("boiler-3", "chosen: turned 'done: visit reserved in the first week of June'"),
            ("parcel-10", "rejected is faithful, as far as the program sees"),
        ],
    ),
}


@pytest.mark.parametrize("name", FOUND)  # the rubrics of exercises 4.3 and 4.4 have the other checks
def test_what_a_check_finds(name):
    check, rows, severity, cases = FOUND[name]
    found = check(rows)
    assert [(case.id, case.example) for case in found.cases] == cases
    assert found.severity == severity


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
    rows = [
        *ROWS[:4],
        spoilt(ROWS[4], "Mail ann.lee@example.org", chosen=reply("Ring 020 7946 0958. Thanks.")),
    ]
    found = schema.personal_data(rows)
    assert (found.number, found.severity) == (1, ERROR)
    assert [case.example for case in found.cases] == [
        "e-mail address in message or notes: ann…",
        "telephone number in chosen: 020…",
    ]
    invented = spoilt(ROWS[4], "ring 07700 900123, not 07700 800123")  # kept for films and books
    assert [case.example for case in schema.personal_data([invented]).cases] == [
        "telephone number in message or notes: 077…"
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
    findings = checks.run_checks(bare, GUIDE, tokenizer)
    assert {each.check: each.unit for each in findings if each.severity == UNCHECKED} == {
        "topics across splits": "no topics",
        "length bias": "no pairs",
        "fidelity": "no notes",
        "named breaks": "no breaks named",
    }
    findings = checks.run_checks(bare)
    assert "label noise" in {each.check for each in findings if each.severity == UNCHECKED}
    text = shown(show_data.check, checks.report(bare, findings))
    assert re.search(r"^length bias +not checked +no pairs *$", text, re.MULTILINE)
    assert "no guide: label noise not checked; name one with --guide\n" in text
