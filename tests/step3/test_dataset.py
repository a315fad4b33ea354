"""Collections with judgements: the sample, folders in BEIR's layout with each wrong line named, the hub."""

import json
import re

import datasets
import pytest

from shared.config import load_settings
from shared.errors import UserError
from step3_rag.evaluate import dataset
from step3_rag.evaluate.dataset import Text
from step3_rag.ingest import update
from tests.step3.conftest import FakeEmbedder, texts_of

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
    (tmp_path / "beir" / "qrels").mkdir(parents=True)
    (tmp_path / "beir" / "corpus.jsonl").write_text(lines(CORPUS))
    (tmp_path / "beir" / "queries.jsonl").write_text(lines(QUERIES))
    (tmp_path / "beir" / "qrels" / "test.tsv").write_text(QRELS)
    return tmp_path / "beir"


def read(name, split=None, **settings):
    return dataset.read(str(name), split, load_settings(**settings))


def refusal(name, split=None, **settings):
    with pytest.raises(UserError) as refused:
        read(name, split, **settings)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# --- a folder ---------------------------------------------------------------------------------------------


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


def test_its_texts_can_be_ingested(folder, index):
    report = update.ingest(index, read(folder).sources, FakeEmbedder(), update.Sizes())
    assert report.new == ["d1", "d2", "3"]
    assert texts_of(index)["d1"] == ["It renews every year."]
    assert [row["title"] for row in index.documents()] == ["", "Supply", ""]


def test_marks_of_byte_order_blank_lines_and_line_ends_of_windows_do_no_harm(folder):
    for file in (folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / "test.tsv"):
        text = file.read_text().replace("\n", "\r\n")
        file.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")
    assert len(read(folder).sources) == 3
    assert [each.qrels for each in read(folder).questions] == [{"d1": 2, "d2": 0}, {"d2": 1}]


def test_qrels_without_a_header(folder):
    (folder / "qrels" / "dev.tsv").write_text("q3\td1\t1")
    assert [each.id for each in read(folder, "dev").questions] == ["q3"]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("corpus.jsonl", '{"_id": "x", "text": "cut o'),
        ("corpus.jsonl", '{"_id": "x"}'),
        ("corpus.jsonl", '{"text": "x"}'),
        ("corpus.jsonl", '["x", "y"]'),
        ("corpus.jsonl", '{"_id": "x", "text": null}'),
        ("corpus.jsonl", '{"_id": "x", "text": "", "title": ["T"]}'),
        ("queries.jsonl", '{"_id": "x", "query": "?"}'),
        ("qrels/test.tsv", "q1 d1 1"),
        ("qrels/test.tsv", "q1\t0\td1\t1"),
        ("qrels/test.tsv", "q1\td1\thigh"),
        ("qrels/test.tsv", "q1\td1\t0.5"),
        ("qrels/test.tsv", "q1\td1"),
    ],
)
def test_a_wrong_line_is_named(folder, file, line):
    path = folder / file
    number = path.read_text().count("\n") + 1
    with path.open("a") as end:
        end.write(line + "\n")
    what = "query-id, corpus-id and a whole number" if "qrels" in file else "a JSON object with _id, text"
    assert refusal(folder) == f"{path} line {number}: it must be {what}, in UTF-8"


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_line_in_another_encoding_is_named(folder, file):
    path = folder / file
    number = path.read_text().count("\n") + 1
    path.write_bytes(path.read_bytes() + b"caf\xe9\n")
    said = refusal(folder)
    assert said.startswith(f"{path} line {number}: ")
    assert said.endswith(", in UTF-8")


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_missing_file_is_named(folder, file):
    (folder / file).unlink()
    assert refusal(folder) == f"cannot read {folder / file}: No such file or directory"


def test_qrels_that_name_documents_which_are_not_there(folder):
    (folder / "qrels" / "test.tsv").write_text(QRELS + "q1\td9\t1\n")
    assert refusal(folder).endswith("qrels/test.tsv names d9, which corpus.jsonl lacks")


def test_qrels_of_other_questions(folder):
    (folder / "qrels" / "test.tsv").write_text("q9\td1\t1\n")
    assert refusal(folder) == "beir has none of the questions that its qrels of test judge"


def test_two_documents_of_one_name(folder):
    (folder / "corpus.jsonl").write_text(lines([*CORPUS, CORPUS[0]]))
    assert refusal(folder) == "two documents of the corpus have the _id d1"


def test_no_such_collection(tmp_path):
    assert refusal("nowhere") == "--dataset nowhere: use sample, a folder in BEIR's layout, or beir:NAME"
    (tmp_path / "file").touch()
    assert "use sample, a folder" in refusal(tmp_path / "file")


def test_a_text_is_known_by_its_contents():
    one = Text("d1", "T", "x")
    assert one.digest() == Text("d2", "T", "x", "other").digest()
    assert len({one.digest(), Text("d1", "T", "y").digest(), Text("d1", "Tx", "").digest()}) == 3
    assert [piece.text for piece in Text("d1", "Title only", "").pieces()] == ["Title only"]
    assert one.key == "corpus:d1"


# --- the sample -------------------------------------------------------------------------------------------


def test_every_judgement_of_the_sample_is_true():
    questions = [each for split in ("dev", "test") for each in read("sample", split).questions]
    sources = read("sample").sources
    texts = {source.name: "".join(piece.text for piece in source.pieces()) for source in sources}
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
    assert (
        refusal("sample", "train")
        == "the sample has no split 'train': use dev, test, kinds-dev or kinds-test"
    )


# --- the hub ----------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch):
    """What the hub would hand out, as the library's own objects."""
    asked = []
    parts = {
        ("BeIR/small", "corpus", "corpus"): [
            {"_id": "d1", "title": None, "text": "x"},
            {"_id": "d2", "title": "Y", "text": "y"},
        ],
        ("BeIR/small", "queries", "queries"): [{"_id": "q1", "text": "?"}, {"_id": "q2", "text": "!"}],
        ("BeIR/small-qrels", None, "test"): [{"query-id": "q1", "corpus-id": "d2", "score": 1}],
    }

    def load_dataset(repository, config, split):
        asked.append((repository, config, split))
        if (repository, config, split) not in parts:
            raise ConnectionError(f"Couldn't reach '{repository}'\n(LocalEntryNotFoundError)")
        return datasets.Dataset.from_list(parts[repository, config, split])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_a_collection_of_the_hub(hub):
    data = read("beir:small")
    assert data.name == "beir:small"
    assert data.sources == [Text("d1", "", "x"), Text("d2", "Y", "y")]
    assert [(each.id, each.text, each.qrels) for each in data.questions] == [("q1", "?", {"d2": 1})]
    assert hub == [
        ("BeIR/small", "corpus", "corpus"),
        ("BeIR/small", "queries", "queries"),
        ("BeIR/small-qrels", None, "test"),
    ]


def test_a_hub_that_can_not_be_reached_or_is_switched_off(hub):
    assert refusal("beir:large") == (
        "BeIR/large cannot be had from the hub: Couldn't reach 'BeIR/large' (LocalEntryNotFoundError)"
    )
    assert "BeIR/small-qrels cannot be had" in refusal("beir:small", "train")
    hub.clear()
    assert refusal("beir:small", hub=False) == (
        "beir:small comes from the hub, which is switched off (ROADMAP_HUB=false)"
    )
    assert not hub


def test_the_library_itself_on_files_in_place_of_the_hubs(tmp_path, monkeypatch):
    for name, rows in {
        "BeIR/small/corpus": [{"_id": "1", "title": "T", "text": "x"}],
        "BeIR/small/queries": [{"_id": "7", "title": "", "text": "?"}],
        "BeIR/small-qrels/test": [{"query-id": 7, "corpus-id": 1, "score": 1}],  # numbers, as in some of them
        "BeIR/small-qrels/dev": [{"query-id": 8, "corpus-id": 1, "score": 1}],
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list(rows).to_parquet(tmp_path / f"{name}.parquet")
    load = datasets.load_dataset

    def from_files(repository, config, split):
        file = tmp_path / repository / f"{config or split}.parquet"
        return load("parquet", data_files={split: str(file)}, split=split, cache_dir=str(tmp_path / "cache"))

    monkeypatch.setattr(datasets, "load_dataset", from_files)
    assert [(each.id, each.qrels) for each in read("beir:small").questions] == [("7", {"1": 1})]
    assert read("beir:small").sources == [Text("1", "T", "x")]
    assert refusal("beir:small", "dev") == "beir:small has none of the questions that its qrels of dev judge"
