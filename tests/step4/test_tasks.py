"""Data for calling tools: what is written, what is learnt of it, how branches are read."""

import itertools
import json
import random

import jsonschema
import pytest
import torch

from shared import models
from shared.embedded.prompt import Conversation
from shared.embedded.wire import Message, parse_tools
from shared.errors import UserError
from step4_finetune.toolcalls import data as toolcalls
from step4_finetune.toolcalls.conversations import compose
from step4_finetune.toolcalls.domains import Tool, fill, in_lower_case, read_tools
from step4_finetune.toolcalls.material import Material
from step4_finetune.train.branches import collate, read

TABLE = Tool(
    **{
        "name": "book_table",
        "about": ["Reserve a table."],
        "parameters": {
            "restaurant": {"type": "string", "about": "Its name.", "values": ["Chez Nous", "Otto's"]},
            "guests": {"type": "integer", "about": "How many.", "values": ["four => 4"]},
            "seating": {"type": "string", "enum": ["inside", "terrace"], "optional": True, "about": "Where."},
        },
        "asks": ["a table for {guests} at {restaurant}"],
        "many": ["tables for {guests} at {*restaurant}"],
    }
)


@pytest.fixture(scope="module")
def rows():
    material = Material.read()
    return [compose(material, number, seed=1) for number in range(60)]


@pytest.fixture(scope="module")
def tokenizer():
    return models.load_tokenizer("tiny")


def read_file(path, task, module):
    return read(path, task, module.fits, module.parts)


def messages(rows):
    return [message for row in rows for branch in row["branches"] for message in branch]


def test_a_wording_gives_its_question_and_its_calls():
    wording = "we sit outside at {restaurant}, {guests} of us | seating=terrace"
    question, calls = fill(TABLE, *TABLE.ask(wording), random.Random(0))
    assert question == f"we sit outside at {calls[0]['restaurant']}, four of us"
    assert calls == [{"restaurant": calls[0]["restaurant"], "guests": 4, "seating": "terrace"}]
    question, calls = fill(TABLE, *TABLE.ask(TABLE.many[0]), random.Random(0))
    assert {call["restaurant"] for call in calls} == {"Chez Nous", "Otto's"}
    assert all(call["guests"] == 4 and call["restaurant"] in question for call in calls)


def test_values_copied_from_a_lower_case_question_are_lower_case():
    calls = [{"restaurant": "Chez Nous", "guests": 4, "seating": "terrace"}]
    assert in_lower_case(TABLE, "Four at Chez Nous", calls) == (
        "four at chez nous",
        [{"restaurant": "chez nous", "guests": 4, "seating": "terrace"}],
    )


def test_every_call_fits_the_schema_of_an_offered_tool(rows):
    checked = 0
    for row in rows:
        schemas = {tool["name"]: tool["input_schema"] for tool in row["tools"]}
        assert len(schemas) == len(row["tools"])
        for message in messages([row]):
            if message["role"] == "assistant" and isinstance(message["content"], list):
                for call in message["content"]:
                    jsonschema.validate(call["input"], schemas[call["name"]])
                    checked += 1
    assert checked > 300


def test_numbers_of_answers_are_in_the_results(rows):
    seen = 0
    for branch in (branch for row in rows for branch in row["branches"]):
        for before, after in itertools.pairwise(branch):
            content = before["content"]
            if before["role"] != "user" or isinstance(content, str) or len(content) > 1:
                continue
            facts = content[0]["content"] + json.dumps(branch, ensure_ascii=False)
            numbers = [word.strip(".,;:()%") for word in after["content"].split() if word[:1].isdigit()]
            assert all(number in facts for number in numbers)
            seen += 1
    assert seen > 20


def test_domains_for_dev_are_not_in_train(tmp_path):
    toolcalls.build(tmp_path, 40, 0)
    unseen = [tool for domain in toolcalls.UNSEEN for tool in read_tools()[domain]]
    train, dev = (
        {tool["name"] for row in read_file(tmp_path / file, "tools", toolcalls).rows for tool in row["tools"]}
        for file in ("train.jsonl", "dev.jsonl")
    )
    assert not {tool.name for tool in unseen} & train
    assert dev <= {name for tool in unseen for name in (tool.name, *tool.names)}
    with pytest.raises(UserError, match="exists already"):
        toolcalls.build(tmp_path, 40, 0)


def test_training_text_equals_the_embedded_models(rows, tokenizer):
    """Training and serving write the same text, token by token."""
    for row in rows[:20]:
        prefix, *branches = toolcalls.parts(row, tokenizer)
        for pieces, branch in zip(branches, row["branches"], strict=True):
            question = Message.model_validate(branch[0])
            conversation = Conversation([question], row["system"], parse_tools(row["tools"]))
            prompt = conversation.render(tokenizer)
            assert prefix[0][0] + pieces[0][0] == tokenizer.encode(prompt, add_special_tokens=False)


def test_only_calls_and_answers_are_learnt(rows, tokenizer):
    pieces = [piece for row in rows for part in toolcalls.parts(row, tokenizer) for piece in part]
    learnt = [tokenizer.decode(ids) for ids, learn in pieces if learn]
    assert all(text.endswith("<|im_end|>") for text in learnt)
    assert any(text == "[]<|im_end|>" for text in learnt)
    wanted = [m for m in messages(rows) if m["role"] == "assistant" and not m.get("given")]
    assert len(learnt) == len(wanted)


# --- files and branches -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("tools", '{"prompt": "x"}'),
        ("tools", '{"system": "", "tools": [{}], "branches": "x"}'),
        ("tools", '{"system": 1, "tools": [{}], "branches": []}'),
        ("tools", '{"system": "", "tools": [], "branches": []}'),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, task, text):
    path = tmp_path / "x.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=f"data build {task}") as error:
        read_file(path, task, toolcalls)
    assert "\n" not in str(error.value)


def test_branches_are_read_as_if_each_stood_alone():
    model = models.load_causal_lm("tiny", dtype="float32")
    prefix, branches = [5, 6, 7], [[8, 9], [10, 11, 12]]
    ids = prefix + branches[0] + branches[1]
    row = {"input_ids": ids, "labels": ids, "seq_lengths": [3, 2, 3]}
    other = {"input_ids": [1, 2], "labels": [1, 2], "seq_lengths": [2]}  # shorter: padded
    batch = collate([row, other], pad=0)
    batch.pop("labels")
    alones = [model(torch.tensor([prefix + branch])).logits[0] for branch in branches]
    together = model(**batch).logits[0]
    for at, branch, alone in zip((3, 5), branches, alones, strict=True):
        torch.testing.assert_close(together[at : at + len(branch)], alone[3:], rtol=1e-4, atol=1e-4)
