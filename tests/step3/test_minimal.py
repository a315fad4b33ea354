"""RAG on one page: passages are found, doubt asks again, sources are named."""

from pathlib import Path

import numpy as np
import pytest

from shared.errors import UserError
from step3_rag import minimal
from tests.conftest import ROOT

WORDS = ("rent", "due", "cat", "paid")


class Words:
    """In place of MiniLM: which of four words a text has."""

    def encode(self, texts):
        found = np.array([[word in text.lower() for word in WORDS] for text in texts], np.float32) + 1e-3
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def rag(api, tmp_path):
    (tmp_path / "home.md").write_text("The rent is due on the third of each month.")
    (tmp_path / "pets.txt").write_text("The cat eats twice a day.")
    (tmp_path / "photo.png").write_bytes(b"rent due")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "broken.md").symlink_to("nowhere")
    return minimal.Rag(tmp_path, Words(), api.client, "tiny")


def test_the_passage_goes_to_the_model_and_its_document_is_named(rag, api):
    api.enqueue("On the third [1].")
    assert rag.ask("When is the rent due?") == "On the third [1].\n\n[1] 1.00 home.md\n[2] 0.00 pets.txt"
    assert "third of each month" in api.requests[0]["messages"][0]["content"]
    assert "photo" not in api.requests[0]["messages"][0]["content"]


def test_in_doubt_the_question_is_asked_in_other_words_and_the_better_search_counts(rag, api):
    api.enqueue("rent due")
    api.enqueue("On the third [1].")
    assert "[1] 1.00 home.md" in rag.ask("At which time has it to be paid?")
    assert api.requests[0]["system"] == minimal.REWRITE
    api.enqueue("nothing of that")
    api.enqueue("I don't know.")
    assert "[1] 1.00" not in rag.ask("At which time has it to be paid?")


def test_a_chunk_repeats_the_end_of_the_one_before():
    text = "".join(chr(97 + i % 26) for i in range(2000))
    first, second, third = minimal.chunks(text)
    assert first[-minimal.OVERLAP :] == second[: minimal.OVERLAP]
    assert first + second[minimal.OVERLAP :] + third[minimal.OVERLAP :] == text
    assert minimal.chunks("short") == ["short"]


@pytest.mark.parametrize("name", [".", "a", "Verträge 2025"])
def test_a_folder_may_have_any_name_and_its_files_any_bytes(api, tmp_path, monkeypatch, name):
    for place in (tmp_path / "first", tmp_path / "second"):
        (place / name).mkdir(parents=True)
        monkeypatch.chdir(place)
        Path(name, f"{place.name}.md").write_bytes(b"The caf\xe9 is due.")
        found = minimal.Rag(Path(name), Words(), api.client, "tiny").retrieve("due")
        assert [source for _, source, _ in found] == [f"{place.name}.md"]


def test_a_document_may_have_more_chunks_than_chroma_takes_at_once(api, tmp_path):
    (tmp_path / "large.md").write_text("The rent is due. " * 250_000)
    rag = minimal.Rag(tmp_path, Words(), api.client, "tiny")
    assert rag.store.count() > 6000


def test_a_folder_without_documents_is_one_line(api, tmp_path):
    with pytest.raises(UserError, match="answer from"):
        minimal.Rag(tmp_path, Words(), api.client, "tiny").ask("Anything?")


def test_it_fits_on_a_page():
    assert len((ROOT / "step3_rag" / "minimal.py").read_text(encoding="utf-8").splitlines()) <= 92
