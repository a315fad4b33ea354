"""Datasets: the sample, and folders in BEIR's layout, whose errors name the line."""

import json
import re

import pytest

from shared.errors import UserError
from step3_rag.evaluate import dataset
from tests.step3.conftest import write

CORPUS = [
    {"_id": "d1", "title": "Supply", "text": "It renews every year."},
    {"_id": "d2", "title": "", "text": "Soup at noon."},
    {"_id": 3, "text": "No title, and a number for a name."},
]
QUERIES = [
    {"_id": "q1", "text": "When does it renew?"},
    {"_id": 2, "text": "Lunch?"},
    {"_id": "q3", "text": "?"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n2\td2\t1\n"


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path):
    files = {"corpus.jsonl": lines(CORPUS), "queries.jsonl": lines(QUERIES), "qrels/test.tsv": QRELS}
    return write(tmp_path / "beir", files)


def read(name, split=None):
    return dataset.read(str(name), split)


def refusal(name, split=None):
    with pytest.raises(UserError) as refused:
        read(name, split)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_folder_in_the_layout_of_beir(folder):
    data = read(folder)
    assert data.name == "beir"
    assert [(text.name, text.heading, text.text) for text in data.sources] == [
        ("d1", "Supply", "It renews every year."),
        ("d2", "", "Soup at noon."),
        ("3", "", "No title, and a number for a name."),
    ]
    assert [(each.id, each.text, each.qrels) for each in data.questions] == [
        ("q1", "When does it renew?", {"d1": 2, "d2": 0}),
        ("2", "Lunch?", {"d2": 1}),
    ]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("corpus.jsonl", '{"_id": "x", "text": "cut o'),
        ("corpus.jsonl", '{"_id": "x", "text": null}'),
        ("corpus.jsonl", '{"_id": "x", "text": "", "title": ["T"]}'),
        ("qrels/test.tsv", "q1\td1\thigh"),
    ],
)
def test_a_wrong_line_is_named(folder, file, line):
    path = folder / file
    number = path.read_text().count("\n") + 1
    with path.open("a") as end:
        end.write(line + "\n")
    what = "query-id, corpus-id and a whole number" if "qrels" in file else "a JSON object with _id, text"
    assert refusal(folder) == f"{path} line {number}: it must be {what}, in UTF-8"


@pytest.mark.parametrize(
    ("file", "contents", "said"),
    [
        ("qrels/test.tsv", QRELS + "q1\td9\t1\n", "qrels/test.tsv names d9, which corpus.jsonl lacks"),
        ("qrels/test.tsv", "q9\td1\t1\n", "beir has none of the questions that its qrels of test judge"),
        ("corpus.jsonl", lines([*CORPUS, CORPUS[0]]), "two documents of the corpus have the _id d1"),
        (
            "queries.jsonl",
            "caf\xe9",
            "queries.jsonl line 1: it must be a JSON object with _id, text, in UTF-8",
        ),
    ],
)
def test_files_that_do_not_fit_each_other(folder, file, contents, said):
    (folder / file).write_text(contents, encoding="latin-1")
    assert refusal(folder).endswith(said)


def test_no_such_collection(folder):
    (folder / "queries.jsonl").unlink()
    assert refusal(folder) == f"cannot read {folder / 'queries.jsonl'}: No such file or directory"
    assert refusal("nowhere") == "--dataset nowhere: use sample, railway, or a folder in BEIR's layout"


def test_every_judgement_of_the_sample_is_true():
    questions = [each for split in ("dev", "test") for each in read("sample", split).questions]
    sources = read("sample").sources
    texts = {source.name: source.read().text for source in sources}
    words = {name: set(re.findall(r"\w+", text)) for name, text in texts.items()}
    assert len({each.id for each in questions}) == len(questions)
    for question in questions:
        assert set(question.qrels) <= set(texts), question.id
        assert question.collection in {None, *(source.collection for source in sources)}
        for quote in question.quotes:  # of a table as it stands in the file, so word by word only here
            assert any(words[doc].issuperset(re.findall(r"\w+", quote)) for doc in question.qrels), quote


def test_the_sample_has_questions_without_an_answer_and_the_test_split_by_default():
    data = read("sample")
    assert data == read("sample", "test")
    assert any(not question.qrels for question in data.questions)
    assert refusal("sample", "train").endswith("kinds-test, answers-dev, answers-test")
