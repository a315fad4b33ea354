"""Passages to judge: what is written, what of it is learnt, and that a judge reads what was trained."""

import json

import pytest

from shared.config import load_settings
from shared.embedded.adapter import Adapter
from shared.embedded.judge import JUDGE, Judge, passage_text, question_text
from shared.errors import UserError
from shared.models import load_causal_lm, load_tokenizer
from step4_finetune.judging import data
from step4_finetune.train.branches import read

ROWS = [
    {"passage": "Rent is due monthly.", "questions": [["When is rent due?", True], ["Who owns it?", False]]},
    {"passage": "Keys cost 20 euros.", "questions": [["What does a key cost?", True]]},
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_the_passages_are_whole_and_their_questions_even():
    rows = data.read_passages()
    assert len(rows) == 900
    assert len({row["passage"] for row in rows}) == 900
    for row in rows:
        assert [answered for _, answered in row["questions"]] == [True] * 3 + [False] * 3
        assert 40 <= len(row["passage"].split()) <= 150


def test_the_seed_writes_the_files_that_the_adapters_card_names(tmp_path):
    """On every processor: numpy's own order of equal similarities depends on its vector instructions."""
    train = data.build(tmp_path, 0)["splits"]["train"]
    assert f"`{train['fingerprint']}`" in (JUDGE / "README.md").read_text()
    rows, held_out = (
        [json.loads(line) for line in (tmp_path / f"{split}.jsonl").read_text().splitlines()]
        for split in ("train", "dev")
    )
    assert len(rows) == train["passages"] == 810
    assert all(len(row["questions"]) == 6 + data.HARD for row in rows)
    assert not {row["passage"] for row in rows} & {row["passage"] for row in held_out}
    with pytest.raises(UserError, match="exists already"):
        data.build(tmp_path, 0)


def test_hard_negatives_are_questions_of_similar_passages():
    texts = {
        "The red bicycle has 21 gears.": "How many gears has the red bicycle?",
        "The blue bicycle has 8 gears.": "How many gears has the blue bicycle?",
        "Soup needs salt.": "What does soup need?",
        "Rain falls in May.": "When does rain fall?",
    }
    rows = [{"passage": passage, "questions": [[question, True]]} for passage, question in texts.items()]
    made = data.with_hard_negatives(rows, 0)
    assert ["How many gears has the blue bicycle?", False] in made[0]["questions"]
    assert len(made[0]["questions"]) == 1 + data.HARD


def test_only_the_answer_is_learnt(file):
    tokenizer = load_tokenizer("tiny")
    first, second = read(file, "judge", data.fits, data.parts).tokens(tokenizer)
    assert len(first["seq_lengths"]) == 3
    assert sum(first["seq_lengths"]) == len(first["input_ids"]) == len(first["completion_mask"])
    ends = [sum(first["seq_lengths"][: n + 1]) - 1 for n in (1, 2)]
    assert [at for at, learnt in enumerate(first["completion_mask"]) if learnt] == ends
    assert sum(second["completion_mask"]) == 1
    text = tokenizer.decode(first["input_ids"][: ends[0]])
    assert text == passage_text("Rent is due monthly.") + question_text("When is rent due?")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        '{"passage": "x"}',
        '{"passage": "x", "questions": [["y", 1]]}',
        '{"passage": "x", "questions": [["y"]]}',
        '{"passage": "", "questions": []}',
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, text):
    path = tmp_path / "x.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match="data build judge") as error:
        read(path, "judge", data.fits, data.parts)
    assert "\n" not in str(error.value)


def test_a_judgement_does_not_depend_on_the_batch():
    tokenizer, model = load_tokenizer("tiny"), load_causal_lm("tiny", dtype="float32")
    judge = Judge(model, tokenizer, Adapter())
    long, short = "Rent is due on the first day of every month, says the lease.", "Keys cost 20."
    both = judge.probabilities("When is rent due?", [long, short])
    alone = [judge.probabilities("When is rent due?", [each])[0] for each in (long, short)]
    assert both == pytest.approx(alone, abs=1e-4)
    assert all(0 <= each <= 1 for each in both)
    assert judge.probabilities("When is rent due?", []) == []


@pytest.mark.real
def test_the_shipped_judge_tells_an_answer_from_a_near_miss():
    judge = Judge.load(load_settings())
    passage = (
        "The ferry Maribel crosses from Port Ansel to Grey Island four times a day, in winter twice. "
        "A crossing takes 35 minutes. Bicycles travel free; a car costs 24 pounds each way."
    )
    answered = ["How long does the crossing take?", "What do I pay to take my car?", "Are bikes charged for?"]
    near = ["What does the Maribel weigh?", "How long is the crossing to Red Island?", "Who is the captain?"]
    said = [judge.probabilities(question, [passage])[0] for question in (*answered, *near)]
    assert sum(yes > no for yes in said[:3] for no in said[3:]) >= 8, said
