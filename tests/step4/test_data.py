"""Reading rows: TRL's formats and our own, from JSON lines, CSV and the hub; what is wrong, by its line."""

import csv
import json
from collections import Counter
from dataclasses import replace

import pytest

from shared.errors import UserError
from step4_finetune.data.rows import Row, fingerprint, read_rows

ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is it\nopen?"}]


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "rows.jsonl"


def refusal(source):
    with pytest.raises(UserError) as refused:
        read_rows(source)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_conversations(file):
    said = [{"role": "assistant", "content": "Yes."}]
    pair = {"chosen": said, "rejected": [{"role": "assistant", "content": "yep"}]}
    sft, dpo = read_rows(jsonl(file, {"prompt": ASK, "completion": said}, {"prompt": ASK, **pair}))
    assert sft.prompt == dpo.prompt == tuple(ASK)
    assert (sft.message, sft.chosen, sft.rejected) == ("Is it\nopen?", "Yes.", None)
    assert (dpo.chosen, dpo.rejected) == ("Yes.", "yep")


def test_the_samples_own_columns(file):
    texts = {"message": "Open?", "chosen": "Yes.", "rejected": "yep", "unknown": {"kept": 0}}
    lists = {"notes": ["door: open", "until: 5"], "breaks": ["slang"]}
    (row,) = read_rows(jsonl(file, {"id": "a", "topic": "door", "split": "test", **texts, **lists}))
    assert (row.topic, row.split, row.message) == ("door", "test", "Open?")
    assert (row.notes, row.breaks) == (("door: open", "until: 5"), ("slang",))


def test_csv_with_lists_in_its_cells(tmp_path):
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt", "chosen", "rejected", "split", "notes"])
        rows.writerow(["Open, or not?", "Dear member,\n\nYes.", "", "train", '["on: 3 May", "at: 7"]'])
        rows.writerow([json.dumps(ASK), "Yes.", "yep", "dev", ""])
    first, second = read_rows(path)
    assert (first.message, first.chosen, first.rejected) == ("Open, or not?", "Dear member,\n\nYes.", None)
    assert (first.notes, first.breaks) == (("on: 3 May", "at: 7"), None)
    assert (second.prompt, second.notes) == (tuple(ASK), ())


@pytest.mark.parametrize(
    ("notes", "read"),
    [
        (["a: b", "c"], ("a: b", "c")),
        ("a: b\nc", ("a: b", "c")),
        ("- a: b\n  - c\n\n", ("a: b", "c")),
        ('["a: b", "c"]', ("a: b", "c")),
        ("", ()),
        (None, ()),
    ],
)
def test_notes_are_a_list_or_a_text_with_a_line_each(file, notes, read):
    (row,) = read_rows(jsonl(file, {"prompt": "a", "completion": "b", "split": "dev", "notes": notes}))
    assert row.notes == read


def test_line_separators_within_a_text_end_no_row(file):
    row = {"prompt": "a\u2028b\x85c", "completion": "d\x0be", "split": "train"}
    file.write_text(json.dumps(row, ensure_ascii=False) + "\r\n", encoding="utf-8")
    (found,) = read_rows(file)
    assert (found.message, found.chosen) == (row["prompt"], row["completion"])


def test_rows_of_a_table_have_the_number_of_their_first_line(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('prompt,completion\n"a\nb","c\nd"\nx,\n' + "y" * 200_000 + ",z\n", encoding="utf-8")
    assert [row.id for row in read_rows(path)] == ["2", "5", "6"]
    path.write_text('prompt,completion\n"a\nb","c\nd"\n,x\n', encoding="utf-8")
    assert "rows.csv:5 has the columns" in refusal(path)


def test_a_prompt_has_the_system_message_or_its_own_and_the_notes_below_the_last_message():
    row = Row("1", ({"role": "user", "content": "Open?"},), "Yes.")
    assert row.with_system("Be kind.") == [{"role": "system", "content": "Be kind."}, *row.prompt]
    assert row.with_system("") == list(row.prompt)
    assert Row("2", tuple(ASK), "Yes.").with_system("Be kind.") == ASK
    said = "Is it\nopen?\n\nNotes:\n- door: open\n- until: 5"
    row = Row("1", tuple(ASK), "Yes.", notes=("door: open", "until: 5"))
    assert row.with_system("Be kind.") == [ASK[0], {"role": "user", "content": said}]
    assert row.message == "Is it\nopen?"


def test_the_fingerprint_is_of_the_texts():
    row = Row("1", ({"role": "user", "content": "Open?"},), "Yes.")
    same = Row("2", ({"role": "user", "content": "Open?"},), "Yes.", split="test", topic="door")
    other = Row("1", ({"role": "user", "content": "Open?"},), "Yes!")
    assert fingerprint([row]) == fingerprint([same]) != fingerprint([other])
    assert fingerprint([row, other]) != fingerprint([other, row])
    assert fingerprint([replace(row, notes=("until: 5",))]) != fingerprint([row])


def test_rows_without_a_split_are_divided_by_topic(file):
    topics = [f"topic {n // 2}" for n in range(600)]  # two rows each
    jsonl(file, *({"prompt": str(n), "completion": "x", "topic": each} for n, each in enumerate(topics)))
    rows = read_rows(file)
    assert len({(row.topic, row.split) for row in rows}) == 300
    counts = Counter(row.split for row in rows)
    assert 440 <= counts["train"] <= 520
    assert all(30 <= counts[split] <= 90 for split in ("dev", "test"))
    assert read_rows(file) == rows  # the same each time


def test_a_text_may_begin_with_a_bracket_and_an_id_may_be_zero(file):
    notes = "[urgent] plan: new card by 6 June\n[[1]] done: card blocked"
    jsonl(file, {"id": 0, "prompt": "[{ is that?", "completion": "x", "notes": notes})
    [row] = read_rows(file)
    assert (row.id, row.message, row.notes) == ("0", "[{ is that?", tuple(notes.splitlines()))


GOOD = '{"prompt": "a", "completion": "b", "split": "train"}\n'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{prompt: 1}", "rows.jsonl:2 is not JSON (Expecting property name enclosed in double quotes)"),
        ('["a"]', "rows.jsonl:2 is not a JSON object: one object a line"),
        (
            '{"prompt": "a", "chosen": "b", "note": "c"}',
            "rows.jsonl:2 has a column note: did you mean notes?",
        ),
        ('{"text": "a", "label": 1}', "rows.jsonl:2 has the columns text, label: it needs prompt and "),
        ('{"prompt": "", "completion": "b"}', "rows.jsonl:2 has the columns prompt, completion: it needs"),
        ('{"prompt": [], "completion": "b"}', "rows.jsonl:2: prompt must be a text or a list of messages"),
        ('{"prompt": [{"role": "assistant", "content": "x"}], "completion": "b"}', "ends with a user's"),
        (
            '{"prompt": [{"role": "bot", "content": ""}, {"role": "user", "content": "?"}], "chosen": "b"}',
            "a list of messages (of system, user, assistant, tool) that ends with a user's",
        ),
        (
            '{"prompt": "[{ \'role\'}]", "completion": "b"}',
            "rows.jsonl:2: \"[{ 'role'}]\" is not a JSON list",
        ),
        ('{"prompt": "a", "completion": 5}', "rows.jsonl:2: a reply must be a text or a list of one message"),
        (
            '{"prompt": "a", "completion": "b", "notes": 5}',
            ":2: notes, facts, internal and breaks must be lists of texts",
        ),
        ('{"prompt": "a", "completion": "b", "split": "tset"}', "row 2 has split 'tset': use train, dev"),
        (
            '{"prompt": "a", "completion": "b"}',
            "row 2 has split '': use train, dev, test in all rows or in none",
        ),
        ('{"prompt": "\\ud800", "completion": "b"}', "rows.jsonl:2 has half a character"),
    ],
)
def test_wrong_lines_are_named(file, line, said):
    file.write_text(GOOD + line + "\n", encoding="utf-8")
    assert said in refusal(file)


def test_missing_and_binary_files(file):
    for missing in ("nowhere.jsonl", str(file.parent)):
        assert refusal(missing) == f"there is no file {missing}: name a .jsonl or .csv file"
    file.write_bytes(b"\xff\xfe\x00{")
    assert "cannot be read as UTF-8 text" in refusal(file)
