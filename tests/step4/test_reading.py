"""The reader: its data, its loss, and that step 3 reads with the same numbers as step 4 trained."""

import json
import math

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel

from shared.config import load_settings
from shared.errors import UserError
from shared.reader import ADAPTER
from shared.reader.window import Window
from step3_rag.ingest.bert import Bert
from step3_rag.retrieve import reader as reading_in_step3
from step3_rag.retrieve.reader import Reader
from step4_finetune.reading import data, training
from step4_finetune.reading.data import Asked, Example, PassageRow
from step4_finetune.reading.model import Batch, loss
from step4_finetune.train.recipe import read_recipe, smoke

PASSAGE = "The lease ends in June. Notice is 60 days. Keys cost 20 euros."
NOTICE = (PASSAGE.index("60 days"), PASSAGE.index("60 days") + 7)


@pytest.fixture(scope="module")
def tokenizer():
    """A word is a token."""
    words = [
        "[CLS]",
        "[SEP]",
        "[UNK]",
        "how",
        "long",
        "is",
        "the",
        "notice",
        "?",
        "lease",
        "ends",
        "in",
        "june",
        ".",
        "60",
        "days",
        "keys",
        "cost",
        "20",
        "euros",
        "a",
        "b",
    ]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])
    return made


# --- data -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    return data.read_passages()


def test_the_passages_are_whole_and_their_questions_differ(rows):
    assert len(rows) >= 2_000
    assert len({row.passage for row in rows}) == len(rows)
    for row in rows:
        answered = {asked.question for asked in row.answered}
        assert len(row.near) == 3
        assert not answered & set(row.near)
        assert 20 <= len(row.passage.split()) <= 200


def test_the_seed_writes_the_file_that_the_card_names(tmp_path):
    train = data.build(tmp_path, 0)["splits"]["train"]
    card = (ADAPTER.parent / "README.md").read_text()
    assert f"`{train['fingerprint']}`" in card
    assert f"{train['rows']:,} examples" in card
    with pytest.raises(UserError, match="exists already"):
        data.build(tmp_path, 0)


def test_a_passage_gives_answered_deleted_and_near_examples():
    row = PassageRow("lease.md", PASSAGE, (Asked("How long is the notice?", NOTICE),), ("Who lives there?",))
    answered, deleted, near = data.own_examples([row])
    assert (answered.passage, answered.answer) == (PASSAGE, NOTICE)
    assert deleted.passage == "The lease ends in June. Keys cost 20 euros."
    assert deleted.answer is None
    assert (near.question, near.answer) == ("Who lives there?", None)


def test_elsewhere_is_a_similar_passage_but_no_neighbour():
    texts = ["red bicycle gears", "soup salt", "rain", "moon", "green sea", "blue bicycle gears", "tax"]
    rows = [PassageRow("", text, (Asked(f"What of {text}?", (0, 3)),), ()) for text in texts]
    first = next(iter(data.elsewhere(rows, 0)))
    assert first.question == "What of red bicycle gears?"
    assert first.passage not in texts[:4]
    assert first.answer is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"title": "", "passage": "Red.", "answered": [["?", "blue"]], "near": []}', "must stand in the"),
        ('{"title": "", "passage": "Red, red.", "answered": [["?", "ed"]], "near": []}', "once"),
        ('{"title": "", "passage": "Red.", "near": []}', "answered"),
    ],
)
def test_a_wrong_passage_is_named(tmp_path, line, why):
    (tmp_path / "a.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=why) as error:
        data.read_passages(tmp_path)
    assert "a.jsonl:1" in str(error.value)


@pytest.mark.parametrize("text", [None, "", '{"passage": "x"}', '{"question": "x", "answer": 1}'])
def test_other_files_are_refused_in_one_line(tmp_path, text):
    path = tmp_path / "x.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match="data build reader") as error:
        data.read_examples(path)
    assert "\n" not in str(error.value)


# --- window and loss --------------------------------------------------------------------------------------


def test_the_window_knows_the_sentence_of_each_token(tokenizer):
    window = Window.of(
        tokenizer, "how long is the notice ?", "a", "the lease ends . notice is 60 days .\n- keys"
    )
    assert window.types == [0] * 8 + [1] * (len(window.ids) - 8)
    assert window.ids[window.question] == tokenizer.encode("how long is the notice ?").ids
    assert [window.passage[start:end] for start, end in window.sentences] == [
        "the lease ends . notice is 60 days .",
        "- keys",
    ]
    assert window.sentence_of.tolist() == [-1] * 10 + [0] * 9 + [1] * 2 + [-1]
    assert window.sentence_at(5, 10) == 0
    assert window.sentence_at(30, 40) is None


def test_a_passage_that_is_too_long_is_cut(tokenizer):
    long = "Keys cost 20 euros. " * 300
    window = Window.of(tokenizer, "a", "b", long)
    assert len(window.ids) == 512
    assert len(window.sentences) == window.sentence_of.max() + 1 < 300
    cut_off = Example("a", "b", long, (len(long) - 6, len(long) - 2), "answered")
    assert training.labelled(cut_off, tokenizer) is None


def test_the_loss_by_hand():
    """Scores 0 for "not here", 2 and 1: softmax gives .09, .67, .24."""
    scores = torch.tensor([[0.0, 2.0, 1.0]])
    right = lambda *places: torch.tensor([[place in places for place in range(3)]])  # noqa: E731
    total = 1 + math.e**2 + math.e
    assert loss(scores, right(1)).item() == pytest.approx(-math.log(math.e**2 / total))
    assert loss(scores, right(0)).item() == pytest.approx(-math.log(1 / total))
    # Which sentence is not known: their probabilities are added.
    both = -math.log((math.e**2 + math.e) / total)
    assert loss(scores, right(1, 2)).item() == pytest.approx(both, abs=1e-6)


# --- the same numbers in both steps -----------------------------------------------------------------------


def test_numpy_reads_with_the_numbers_of_torch(tokenizer, tmp_path, monkeypatch):
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    base = BertModel(BertConfig(vocab_size=40, **size))
    base.save_pretrained(tmp_path / "base")
    monkeypatch.setattr(training, "load_base", lambda _settings: base)
    recipe = read_recipe("reader")
    model = training.build_model(load_settings(), recipe).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    base_id = reading_in_step3.default("embedder").id
    training.save(model, recipe, base_id, tmp_path / "reader.safetensors")
    monkeypatch.setattr(reading_in_step3.weights, "ensure", lambda *_: tmp_path / "base")
    monkeypatch.setattr(reading_in_step3, "load_fast_tokenizer", lambda *_: tokenizer)
    reader = Reader.load(load_settings(), tmp_path / "reader.safetensors")
    assert isinstance(reader.bert, Bert)
    reading = reader.read("how long is the notice ?", "a", PASSAGE.lower().replace(". ", ".\n- "))
    window = Window.of(tokenizer, "how long is the notice ?", "a", reading.passage)
    with torch.no_grad():
        (nowhere, *scores) = model(Batch.of([window]))[0].tolist()
    assert len(scores) == 3
    assert reading.scores == pytest.approx(
        np.array(scores) - nowhere, abs=5e-3
    )  # A and B are kept in float16


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_reader_that_cannot_be_loaded_is_one_line(tmp_path, damage):
    path = tmp_path / "reader.safetensors"
    if damage == "cut":
        path.write_bytes(ADAPTER.read_bytes()[:1000])
    if damage == "other":
        training.save_file({"scale": torch.ones(1)}, path, metadata={"base": "another"})
    with pytest.raises(UserError, match=r"reader\.safetensors") as error:
        Reader.load(load_settings(), path)
    assert "\n" not in str(error.value)


def test_a_smoke_run_of_training_writes_what_was_trained(tmp_path):
    settings = load_settings(embedder="tiny")
    examples = [
        Example("how?", "", PASSAGE, NOTICE, "answered"),
        Example("who?", "", PASSAGE, None, "near"),
    ] * 3
    recipe = smoke(read_recipe("reader"))
    facts = training.run(settings, recipe, examples, tmp_path / "run", fresh=False)
    assert facts["rows"] == 6
    assert (tmp_path / "run" / "reader.safetensors").is_file()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["trainable"] == facts["trainable"]
    with pytest.raises(UserError, match="holds a finished run"):
        training.run(settings, recipe, examples, tmp_path / "run", fresh=False)


# --- the shipped one --------------------------------------------------------------------------------------

FERRY = (
    "The ferry Maribel crosses from Port Ansel to Grey Island four times a day, in winter twice. "
    "A crossing takes 35 minutes. Bicycles travel free; a car costs 24 pounds each way."
)


@pytest.mark.real
def test_the_shipped_reader_finds_the_sentence_and_tells_near_misses():
    reader = Reader.load(load_settings())
    answered = {
        "How long does the crossing take?": "35 minutes",
        "What do I pay for my car?": "24 pounds",
        "How often does the ferry cross in winter?": "twice",
    }
    near = ["What does the Maribel weigh?", "How long is the crossing to Red Island?", "Who is the captain?"]
    said = {question: reader.read(question, "Timetable", FERRY) for question in (*answered, *near)}
    for question, words in answered.items():
        assert words in said[question].best
    pairs = [(said[asked].score, said[other].score) for asked in answered for other in near]
    assert sum(one > other for one, other in pairs) == 9, pairs
