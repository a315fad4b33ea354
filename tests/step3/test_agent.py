"""Retrieval as a tool: its definition, its results, and the agent's loop."""

import json
import re
from unittest.mock import DEFAULT, Mock

import pytest

from shared.errors import UserError
from step3_rag.answer import agent

NOTICE = "How long is the notice of the supply contract?"


@pytest.fixture
def sure(monkeypatch):
    """A high confidence, since made-up vectors give none."""
    monkeypatch.setattr(agent, "confidence", lambda *_: 0.9)


def test_the_definition_names_the_collections_and_the_words_of_titles(retriever):
    tool = agent.definition(retriever)
    assert tool["name"] == "search_documents"
    assert tool["input_schema"]["properties"]["collection"]["enum"] == ["contracts", "documents", "handbook"]
    assert tool["description"].endswith(
        " Words of their titles: agreement, Hosting, leave, Notes, people, Supply."
    )


def test_a_call_gives_a_sentence_and_marked_sources(retriever, sure):
    result = json.loads(agent.call(retriever, {"query": "notice", "k": 1}, "notice is days")[0])
    assert set(result) == {"summary", "confidence", "sources"}
    assert "60 days" in result["summary"]
    assert result["summary"].endswith("[1]")
    one = r'<source number="1" document="[^"]+">\n.*60 days.*\n</source>'
    assert re.fullmatch(one, result["sources"], re.DOTALL)
    _, sources = agent.call(retriever, {"query": "notice days", "collection": "handbook"}, NOTICE)
    assert {each.document.split("/")[0] for each in sources} == {"handbook"}
    for given in ({}, {"query": " "}):  # without a query, the question itself is searched
        assert agent.call(retriever, given, NOTICE) == agent.call(retriever, {"query": NOTICE}, NOTICE)


def test_a_call_with_low_confidence_has_no_summary_but_sources(retriever, monkeypatch):
    monkeypatch.setattr(agent, "confidence", lambda *_: 0.2)
    result = json.loads(agent.call(retriever, {"query": "zebra"}, NOTICE)[0])
    assert (result["summary"], result["confidence"]) == (agent.NOTHING, 0.2)
    assert "<source" in result["sources"]


def test_the_model_searches_then_answers(retriever, sure, api):
    api.enqueue("Let me look.", [("search_documents", {"query": "notice supply contract"})])
    api.enqueue("60 days. [1]")
    answer, _, (call,) = agent.run(api.client, "scripted", retriever, NOTICE)
    assert (answer.text, answer.stop_reason, answer.input_tokens) == ("60 days. [1]", "end_turn", 200)
    assert (call.tool, call.input) == ("search_documents", {"query": "notice supply contract"})
    assert not call.is_error
    first, second = api.requests
    assert first["messages"] == [{"role": "user", "content": NOTICE}]
    assert first["tools"] == [agent.definition(retriever)]
    assert [each["role"] for each in second["messages"]] == ["user", "assistant", "user"]
    (result,) = second["messages"][2]["content"]
    assert result == {"type": "tool_result", "tool_use_id": "toolu_1", "content": call.result}


def test_the_sources_of_several_calls_are_numbered_consecutively(retriever, sure, api):
    queries = {"query": "price of a sensor", "k": 2}, {"query": "leave"}
    api.enqueue(tool_uses=[("search_documents", query) for query in queries])
    api.enqueue("EUR 412 [1], 30 days [3].")
    _, sources, _ = agent.run(api.client, "scripted", retriever, "What does a sensor cost, and what is lost?")
    results = api.requests[1]["messages"][2]["content"]
    assert [each["tool_use_id"] for each in results] == ["toolu_1", "toolu_2"]
    said = "".join(json.loads(each["content"])["sources"] for each in results)
    numbers = [int(each) for each in re.findall(r'<source number="(\d+)"', said)]
    assert numbers == [each.number for each in sources] == list(range(1, len(numbers) + 1))


def test_wrong_calls_are_errors_that_the_model_can_correct(retriever, sure, monkeypatch, api):
    nearest = Mock(wraps=retriever.store.nearest, side_effect=[UserError("the store\nis gone"), DEFAULT])
    monkeypatch.setattr(retriever.store, "nearest", nearest)
    right = ("search_documents", {"query": "notice"})
    wrong = [("search_documents", {"k": 99}), ("search_documents", {"collection": "y" * 300})]
    api.enqueue(tool_uses=[("delete_documents", {"query": "all"}), *wrong, right])
    api.enqueue(tool_uses=[right])
    api.enqueue("60 days. [1]")
    _, _, calls = agent.run(api.client, "scripted", retriever, NOTICE)
    assert [each.is_error for each in calls] == [True, True, True, True, False]
    results = api.requests[1]["messages"][2]["content"]
    assert [each["content"] for each in results if each["is_error"]] == [
        "there is no tool 'delete_documents': use search_documents",
        "k: 99 is greater than the maximum of 8",
        f"collection: '{'y' * 187}",
        "the store is gone",
    ]


def test_the_number_of_turns_is_limited(retriever, sure, monkeypatch, api):
    monkeypatch.setattr(agent, "MAX_TURNS", 3)
    for _ in range(3):
        api.enqueue(tool_uses=[("search_documents", {"query": "notice"})])
    answer, _, calls = agent.run(api.client, "scripted", retriever, NOTICE)
    assert (answer.stop_reason, len(calls), api.left) == ("max_turns", 2, 0)


def test_the_command_shows_what_was_looked_up_and_what_is_cited(read_only, command, api, sure):
    for _ in range(2):
        api.enqueue(tool_uses=[("search_documents", {"query": "notice supply"})])
        api.enqueue("60 days. [1]")
    facts = json.loads(command("step3_rag", "agent", NOTICE, "--json").out)
    assert facts["answer"] == facts["headline"] == "60 days. [1]"
    assert facts["searches"] == len(facts["calls"]) == 1
    text = command("step3_rag", "agent", NOTICE).out
    assert 'search_documents {"query": "notice supply"}' in text
    assert "[1] contracts/supply.md" in text
    assert "[2]" not in text
    assert "no confidence, 1 search, 200 tokens read, 20 written" in text
    api.enqueue("Hello", stop_reason="max_tokens")
    text = command("step3_rag", "agent", "Hello!").out
    assert "nothing was looked up" in text
    assert "(the answer is incomplete: max_tokens)" in text
