"""The commands for rows: what they print, what they write, and their exit codes."""

import json
import re
from dataclasses import replace

import pytest

from step4_finetune.data.rows import GUIDE, fingerprint, read_rows, with_notes
from tests.step4.samples import as_file, good, spoilt

ROWS = good()


@pytest.fixture
def data(command):
    """Run a command line in this process: data("check", "--smoke") -> code, out, err."""
    return lambda *args: command("step4_finetune", "data", *map(str, args))


@pytest.fixture
def wrong(refused):
    """Run a command that the user got wrong, and return its one line."""
    return lambda *args: refused("step4_finetune", "data", *map(str, args))


@pytest.fixture
def file(tmp_path):
    return as_file(tmp_path / "mine.jsonl", ROWS)


def own(file):
    return ("--data", file, "--guide", GUIDE)


def test_show_sets_the_replies_side_by_side(data, file):
    got = data("show", *own(file), "--topic", "Boiler", "--limit", "1")
    assert got.code == 0
    assert got.out.startswith(
        "boiler-3 · train · boiler\nCould someone come and do the yearly boiler service"
    )
    assert "\n- done: visit reserved in the first week of June\n- ask: morning or afternoon\n" in got.out
    assert "│ keeps every rule " in got.out
    assert "│ breaks no_exclamation (!)" in got.out
    assert got.out.endswith("1 more with --limit\n")


def test_show_lists_what_there_is(wrong, file):
    said = wrong("show", *own(file), "--split", "tset")
    assert "has no such row: its splits are dev, test, train, its topics boiler, gym card, " in said
    assert "ids are like kettle-1" in said


def test_check_of_good_rows_and_of_warnings(data, file):
    as_file(file, rows := [spoilt(row, breaks=("we",)) for row in ROWS])
    got = data("check", *own(file), "--smoke")
    assert got.code == 0, got.out
    assert re.search(r"^label noise +ok +0  10  rows", got.out, re.MULTILINE)
    assert re.search(r"^named breaks +warning +9  10  rows", got.out, re.MULTILINE)
    assert "\n  kettle-1, parcel-9: rejected breaks no_contractions, not named; names we, " in got.out
    assert "\n  and 3 more: --json names them\n  → correct the column breaks\n" in got.out
    assert got.out.endswith(f"of {file}, fingerprint {fingerprint(rows)}\n")


@pytest.mark.parametrize("form", ["sft", "dpo"])
def test_build_writes_what_trl_reads(data, file, tmp_path, form):
    from datasets import load_dataset
    from trl.data_utils import is_conversational

    got = data("build", *own(file), "--format", form, "--out", tmp_path / "built", "--smoke", "--json")
    assert got.code == 0, got.err
    facts = json.loads(got.out)
    assert {split: each["rows"] for split, each in facts["splits"].items()} == {
        "train": 6,
        "dev": 2,
        "test": 2,
    }
    assert facts["fingerprint"] == fingerprint(ROWS)
    path = tmp_path / "built" / "train.jsonl"
    table = load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert is_conversational(table[0])
    columns = {"prompt", "completion"} if form == "sft" else {"prompt", "chosen", "rejected"}
    assert columns <= set(table.column_names)
    assert table[0]["prompt"][0] == {"role": "system", "content": "You answer members of Northwind Care."}
    again = read_rows(path)  # and what we read ourselves
    assert table[0]["prompt"][1]["content"] == with_notes(ROWS[0].message, ROWS[0].notes)
    assert [replace(row, rejected=None, prompt=row.prompt[1:]) for row in again] == [
        replace(row, rejected=None) for row in ROWS[:6]
    ]
    assert again[0].rejected == (None if form == "sft" else ROWS[0].rejected)


@pytest.mark.parametrize(
    ("rows", "flags", "said"),
    [
        ([spoilt(row, rejected=None) for row in ROWS], ("--format", "dpo"), "has no rejected replies"),
        (
            [*ROWS, spoilt(ROWS[0], id="mute", chosen=" ")],
            (),
            "row mute: chosen is empty; `data check` names all",
        ),
        (ROWS, ("--shares", "70,20,5"), "--shares 70,20,5: give three percentages that add up to 100"),
    ],
)
def test_build_refuses_what_cannot_be_trained_on(wrong, file, tmp_path, rows, flags, said):
    assert said in wrong("build", *own(as_file(file, rows)), "--out", tmp_path / "built", "--smoke", *flags)
    assert not (tmp_path / "built").exists()


@pytest.mark.parametrize("flags", ["--data x", "--guide x", "--format dpo", "--shares 70,20,10"])
def test_only_rows_take_data_and_formats(wrong, tmp_path, flags):
    for what in ("tools", "reader"):
        assert f"build {what} takes no --data" in wrong("build", what, "--out", tmp_path, *flags.split())


def test_build_divides_rows_without_a_split_by_the_shares_asked_for(data, file, tmp_path):
    as_file(file, [spoilt(row, split="") for row in ROWS])
    got = data("build", *own(file), "--shares", "100,0,0", "--out", tmp_path / "built", "--smoke", "--json")
    assert got.code == 0, got.err
    splits = json.loads(got.out)["splits"]
    assert {split: each["rows"] for split, each in splits.items()} == {"train": len(ROWS)}


def test_build_keeps_existing_files_even_of_splits_without_rows(wrong, file, tmp_path):
    as_file(file, ROWS[:6])  # all of train
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "dev.jsonl").write_text("mine")
    args = ("build", *own(file), "--out", tmp_path / "built", "--smoke")
    assert "dev.jsonl exists already" in wrong(*args)
    assert [path.name for path in (tmp_path / "built").iterdir()] == ["dev.jsonl"]
    assert (tmp_path / "built" / "dev.jsonl").read_text() == "mine"
    assert "cannot write" in wrong("build", *own(file), "--out", file / "built", "--smoke")


def test_distill_with_the_embedded_model(data, tmp_path):
    (tmp_path / "asked.jsonl").write_text('{"prompt": "Where is my parcel?"}\n')
    got = data("distill", "--data", "asked.jsonl", "--requests", "1", "--smoke")
    assert got.code == 0, got.err
    assert got.out.startswith("0 of 1 messages have a reply that keeps the guide")
    assert (tmp_path / "distilled.filtered.jsonl").exists()
