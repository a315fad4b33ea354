"""Wrong input, broken files and failing servers: one line, the exit code, and nothing is lost."""

import gc
import json
import os
import sqlite3
import tomllib
from pathlib import Path

import pytest
from filelock import FileLock

from shared.config import load_settings
from step3_rag import SAMPLE, cached_index, opening
from step3_rag.evaluate import dataset
from step3_rag.ingest import update
from step3_rag.ingest.index import Index
from tests.step3.conftest import DOCUMENTS, as_beir, names, write


@pytest.mark.parametrize(
    "question",
    [
        "อากาศที่กรุงเทพเป็นอย่างไร",
        "[bold]x[/bold] {x} %s </source> <|im_end|>",
        "caf\udce9 in Paris?",
        "x" * 2000,
    ],
)
def test_any_text_can_be_asked(read_only, command, question):
    got = command("step3_rag", "ask", "--json", "--", question)
    assert (got.code, got.err) == (0, "")
    assert json.loads(got.out)["sources"]
    assert command("step3_rag", "search", "--explain", "--route", "--", question).code == 0


# --- flags ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ("search x --k 0", "Invalid value for '--k': "),
        ("search x --collection a", "--collection a is not in the index: it has contracts, documents"),
        ("search x --address ftp://a", "--address ftp://a is not an address: write it like http"),
        ("search x --address http://a:port", "is not an address: write it like http://localhost:8000"),
        ("search x --store milvus", "--store milvus is not known: use chroma, faiss, weaviate, pinecone"),
        ("search x --rerank colbert", "--rerank colbert is not known: use maxsim, none, the folder"),
        ("search x --index no", "no index in no: make one with `python -m step3_rag ingest PATH`"),
        ("ask x --reader poet", "'poet' is not one of 'auto', 'quote', 'write', 'chat'"),
        ("ask x --strategies spelling,guess", "--strategies guess is not known: use none"),
        ("ask x --model gpt-9", "unknown model 'gpt-9'"),
        ("ask x --model claude-sonnet-5-5", "ANTHROPIC_API_KEY"),
        ("evaluate --answers --rerank none", "--rerank: --answers measures the default search"),
        ("evaluate --reader chat", "--reader: only --answers and --agent use a model"),
        ("evaluate --model tiny", "--model: only --answers and --agent use a model"),
    ],
)
def test_flags_and_values_that_are_refused(read_only, refused, monkeypatch, args, line):
    monkeypatch.setenv("ROADMAP_HUB", "false")
    assert line in refused("step3_rag", *args.split())


def test_a_question_has_a_length(read_only, refused):
    line = "the question is empty: ask something, in quotation marks"
    assert line in refused("step3_rag", "search", "--", " \n\t ")
    line = "the question has 49,999 characters, 2,000 at most"
    assert line in refused("step3_rag", "search", "--", "word " * 10_000)


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("--chunk-size", "255"), "reads 254 tokens, use 8 to 254"),
        (("--chunk-overlap", "65"), "--chunk-overlap 65 is not allowed: use 0 to half of the chunk, 64"),
        (("--collection", "a\n\x1b[31m"), r"the collection 'a\n\x1b[31m' is not allowed: use letters"),
    ],
)
def test_values_that_ingest_does_not_know(documents, fake, refused, flags, line):
    assert line in refused("step3_rag", "ingest", str(documents), *flags)
    assert not Path("rag-index").exists()


# --- documents --------------------------------------------------------------------------------------------


def test_only_what_reads_an_index_takes_the_samples(command):
    helps = {name: command("step3_rag", name, "--help").out for name in ("ingest", "forget", "status")}
    assert [name for name, text in helps.items() if "or sample" in " ".join(text.split())] == ["status"]


def test_a_folder_without_documents_and_a_missing_path(tmp_path, fake, refused):
    (tmp_path / "empty").mkdir()
    assert "empty has no documents that can be read: use .md" in refused("step3_rag", "ingest", "empty")
    assert "nowhere does not exist" in refused("step3_rag", "ingest", "nowhere")
    assert not Path("rag-index").exists()  # or the next question would be one to an empty index
    assert "Missing argument 'paths'" in refused("step3_rag", "ingest")


def test_unreadable_files_are_named_and_the_others_ingested(tmp_path, fake, command):
    write(tmp_path / "d", {**DOCUMENTS, "broken.pdf": b"%PDF-1.4 no", "broken.docx": b"PK no"})
    got = command("step3_rag", "ingest", "d")
    assert got.code == 1
    shown = [line for line in got.out.splitlines() if line.startswith("could not be read: ")]
    assert [line.split(": ")[1] for line in shown] == ["broken.docx", "broken.pdf"]
    assert names(tmp_path / "rag-index") == sorted(DOCUMENTS)
    got = command("step3_rag", "ingest", "d", "--json")
    assert (got.code, set(json.loads(got.out)["failed"])) == (1, {"broken.pdf", "broken.docx"})


def test_front_matter_that_may_mean_superseded_is_refused(tmp_path, fake, command):
    old = "---\nsuperseded: perhaps\nstatus: superseded\n---\nThe old kettle.\n"
    no_yaml = "---\ntitle: Kettle: old\nsuperseded: true\n---\nText.\n"
    write(tmp_path / "d", {"old.md": old, "new.md": "---\n\nThe new kettle.\n", "odd.md": no_yaml})
    got = command("step3_rag", "ingest", "d")
    assert got.code == 1
    assert "could not be read: old.md: superseded must be true or false in its front matter" in got.out
    assert "could not be read: odd.md: its front matter is not YAML: " in got.out
    assert names(tmp_path / "rag-index") == ["new.md"]


# --- an index that does not fit, or is broken -------------------------------------------------------------


def test_an_index_of_another_embedder_is_refused_and_can_be_rebuilt(home, refused, command, monkeypatch):
    line = refused("step3_rag", "ingest", "documents", "--chunk-size", "64")
    assert "was made with chunk size 128, not 64: use that one, or rebuild it" in line
    monkeypatch.setenv("ROADMAP_EMBEDDER", "tiny")
    for args in (("ask", "kettle"), ("search", "kettle"), ("ingest", "documents")):
        line = refused("step3_rag", *args)
        assert "was made with embedder all-minilm-l6-v2, not tiny: use that one, or rebuild it" in line
        assert "ingest PATH --rebuild" in line
    assert command("step3_rag", "ingest", "documents", "--rebuild").code == 0
    assert json.loads(command("step3_rag", "search", "kettle", "--json").out)["results"]
    assert names(home) == sorted(DOCUMENTS)


def test_a_corrupt_index_says_so_and_a_rebuild_repairs_it(home, refused, command):
    gc.collect()  # no command has it open
    (home / "index.sqlite").write_bytes(b"no database " * 5000)
    for args in (("ask", "kettle"), ("forget", "notes.md")):
        assert "ingest PATH --rebuild" in refused("step3_rag", *args)
    got = command("step3_rag", "ingest", "documents", "--rebuild")
    assert got.code == 0, got.err
    assert names(home) == sorted(DOCUMENTS)
    assert "kettle" in command("step3_rag", "search", "kettle").out


def test_a_rebuild_holds_the_given_files_and_names_all_that_it_drops(home, command, refused, tmp_path):
    write(tmp_path / "more", {"more.md": "# More\n\nThe lamp is green.\n"})
    command("step3_rag", "ingest", "more")
    (tmp_path / "documents" / "notes.md").unlink()
    rebuild = ("step3_rag", "ingest", "--rebuild", "--chunk-size", "64", "documents")
    got = json.loads(command(*rebuild, "more", "--json").out)
    assert (got["new"].count("notes.md"), got["removed"]) == (0, ["notes.md"])
    assert names(home) == sorted({*DOCUMENTS, "more.md"} - {"notes.md"})
    assert json.loads(command(*rebuild, "--json").out)["removed"] == ["more.md"]
    assert names(home) == sorted(DOCUMENTS.keys() - {"notes.md"})


def test_a_rebuild_from_a_wrong_path_leaves_even_a_damaged_index(home, refused):
    gc.collect()
    (home / "index.sqlite").write_bytes(b"no database")
    assert "nowhere does not exist" in refused("step3_rag", "ingest", "nowhere", "--rebuild")
    assert (home / "index.sqlite").read_bytes() == b"no database"


@pytest.mark.parametrize("flags", [(), ("--rebuild",)])
def test_a_folder_with_files_that_are_not_an_indexs_is_left_alone(
    documents, fake, tmp_path, command, refused, flags
):
    mine = {"bm25-notes.md": "Mine.", "entity-graph.json": "{}"}
    for name in ("chroma", "other"):
        write(tmp_path / name, {**mine, f"{name}/mine.txt": "Mine."})
    ingest = ("step3_rag", "ingest", str(documents), *flags, "--index")
    assert "has a folder `chroma`, but no index: name another folder" in refused(*ingest, "chroma")
    assert command(*ingest, "other").code == 0
    for name in ("chroma", "other"):
        assert all((tmp_path / name / file).exists() for file in (*mine, f"{name}/mine.txt"))


def test_an_index_that_is_read_only_is_not_called_damaged(home, refused, monkeypatch):
    """The errors are simulated, since root may write everything."""

    def refuse(*_args, **_more):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    monkeypatch.setattr(Index, "_agree", refuse)
    assert "rag-index is read-only" in refused("step3_rag", "search", "kettle")


def test_the_sample_can_be_asked_beside_an_own_index(home, monkeypatch):
    asked = []
    monkeypatch.setattr(opening, "corpus_index", lambda _embedder, name, *_more: asked.append(name))
    opening.open_index(load_settings(), Path("sample"))
    assert asked == ["sample"]
    assert opening.open_index(load_settings(), None).folder == Path("rag-index")
    for entry in tomllib.loads((SAMPLE.parent / "demo.toml").read_text(encoding="utf-8"))["run"]:
        assert "sample" in entry["args"]


def test_two_versions_of_the_code_have_their_own_index_of_a_dataset(beir, monkeypatch, capsys):
    data = dataset.read(str(beir), None)

    def opened(version):
        monkeypatch.setattr(cached_index, "code_version", lambda: version)
        return dataset.dataset_retriever(load_settings(), data)

    older = opened("0" * 12)
    best = [chunk.id for chunk in older.search("kettle").best]
    newer = opened("1" * 12)
    assert newer.index.folder != older.index.folder
    found = older.search("kettle")  # while the other one is made
    assert found.stages["dense"]
    assert [chunk.id for chunk in found.best] == best
    assert opened("0" * 12).index.facts["id"] == older.index.facts["id"]
    assert "made again" not in capsys.readouterr().err


def test_each_number_format_has_its_own_index_of_the_sample():
    homes = {
        cached_index.sample_home(load_settings(dtype=dtype)) for dtype in ("auto", "float32", "bfloat16")
    }
    assert len(homes) == 3


def test_indexes_of_other_versions_are_removed_once_nobody_uses_them(beir, monkeypatch):
    data = dataset.read(str(beir), None)

    def opened(version):
        monkeypatch.setattr(cached_index, "code_version", lambda: version)
        retriever = dataset.dataset_retriever(load_settings(), data)
        retriever.index.close()
        return retriever.index.folder

    unused, used = opened("0" * 12), opened("1" * 12)
    without_version = unused.with_name(unused.name.removesuffix("-" + "0" * 12))
    without_version.mkdir()
    other_corpus = unused.with_name(f"other-{unused.name}")
    other_corpus.mkdir()
    for folder in (unused, without_version, other_corpus):
        os.utime(folder, (0, 0))
    current = opened("2" * 12)
    remaining = {path for path in current.parent.iterdir() if data.corpus in path.name}
    assert remaining == {used, current, other_corpus}


def test_a_folder_named_sample_leaves_the_samples_index_as_it_is(tmp_path, fake):
    data = dataset.read(str(as_beir(tmp_path / "sample")), None)
    index = dataset.dataset_retriever(load_settings(), data).index
    assert index.folder != cached_index.sample_home(load_settings())


def test_the_second_of_two_ingests_waits_and_says_so(home, command, monkeypatch):
    other, spinner = FileLock(home / ".lock"), update.spinner
    monkeypatch.setattr(update, "spinner", lambda text: other.release() or spinner(text))
    with other:
        got = command("step3_rag", "ingest", "documents", "--json")
    assert "another process is writing to rag-index; waiting for it" in got.err
    assert (got.code, json.loads(got.out)["unchanged"]) == (0, len(DOCUMENTS))


@pytest.mark.parametrize(
    ("flags", "attempts", "failure", "why"),
    [
        ("--reader chat --threshold 0", "question", {"refused": True}, "can't be reached"),
        (
            "--reader chat --threshold 0",
            "question",
            {"text": "Half", "sse_cut": 4},
            "broke off in the middle",
        ),
        ("--strategies spelling,chat", "question spelling", {"status": 529}, "overloaded (529)"),
    ],
)
def test_a_chat_model_that_is_down_leaves_what_was_found(
    read_only, command, api, monkeypatch, flags, attempts, failure, why
):
    monkeypatch.setattr("step3_rag.reflect.loop.confidence", lambda *_: 0.1)
    for _ in range(6):
        api.enqueue(**failure)
    got = command("step3_rag", "ask", "ketttle in the kitchen", *flags.split())
    assert (got.code, got.err) == (3, "")
    assert "No answer, but this was found. smollm2-135m-instruct: " in got.out
    assert why in got.out
    assert "[1] notes.md" in got.out
    got = command("step3_rag", "ask", "ketttle in the kitchen", *flags.split(), "--json")
    facts = json.loads(got.out)
    assert why in facts["error"]
    assert facts["answer"] is None
    assert [each["strategy"] for each in facts["attempts"]] == attempts.split()
    assert any("kettle" in each["text"] for each in facts["sources"])
