"""Replay: a call is answered again, on step 3's index and a scripted chat model, and compared."""

import json
import re
from types import SimpleNamespace

import pytest

from shared.errors import UserError
from step3_rag.answer.context import joined
from step5_serving.evaluation import replay
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.reading import show_call
from tests.step3.conftest import bring_in, write
from tests.step5.service_parts import app_of, post
from tests.step5.telemetry_parts import PROMPT, call_of, record, sha, source_of

QUESTION = "When  does the\ncontract renew?"


def row_of(tmp_path, **given):
    call = call_of(**given)
    return show_call(record(f"sqlite:///{tmp_path}/telemetry.db", call), call.trace_id)


# --- the parts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"route": "ingest"}, "is no question but ingest"),
        ({"status": 503, "error_type": "overloaded_error", "answer": None}, "failed .503 overloaded_error"),
        ({"sources": [source_of("x") | {"text": None}]}, "passage 1 is not stored any more"),
        ({"sources": [source_of("x") | {"text": "y"}]}, "the stored passage 1 was changed"),
        ({"prompt_text": None}, "its prompt is not stored"),
    ],
)
def test_what_cannot_be_made_again_is_said(tmp_path, given, said):
    row = row_of(tmp_path, **given)
    with pytest.raises(UserError, match=said):
        replay.check(row)


def test_what_happened_to_a_passage_is_found_by_its_text(index, tmp_path, embedder):
    long = "# Rules\n\n" + "\n\n".join(f"Rule {i} says what {i} people may do. " * 12 for i in range(8))
    folder = write(tmp_path / "documents", {"rules.md": long, "other.md": "# Other\n\nNothing of note.\n"})
    bring_in(index, folder, embedder=embedder)
    rules, other = index.chunks_of("rules.md"), index.chunks_of("other.md")
    assert len(rules) > 4
    sources = [source_of(joined(each), each[0].document) for each in (rules[:1], rules[1:4], other)]
    assert replay.states(index, sources) == ["same"] * 3
    (folder / "rules.md").write_text(long.replace("Rule 2 says", "Rule 2 said"))
    (folder / "other.md").unlink()
    bring_in(index, folder, embedder=embedder)  # every chunk has another number now
    assert replay.states(index, sources) == ["same", "changed", "gone"]


@pytest.mark.parametrize("question", ["Is it [e-mail address]?", "[telephone number]", "[IBAN]", "[e-mail]"])
def test_what_differs_is_told(tmp_path, question):
    row = row_of(tmp_path, question=question, answer="One. Two. Three.")
    new = Call("query", 200, answer="One. Another. Three.", output_tokens=9, model="other", engine="vllm")
    facts = replay.compared(row, new, ["changed"], "f" * 64)
    assert not facts["equal"]
    assert facts["notes"] == [
        "passage 1, contracts/supply.md, Renewal: changed in the index since",
        f"answer/1@{sha(PROMPT)[:8]} says something else in its file now: ffffffff",
        "the model was smollm2-135m-instruct, now it is other",
        "the engine was torch, now it is vllm",
        "the question was stored without its personal data: it is not word for word the same",
    ]
    assert facts["old"]["output_tokens"] == 18
    same = Call("query", 200, answer="One. Two. Three. ", model="smollm2-135m-instruct", engine="torch")
    facts = replay.compared(row | {"question": "?"}, same, ["same"], sha(PROMPT))
    assert (facts["equal"], facts["notes"]) == (True, [])


# --- the whole way --------------------------------------------------------------------------------------


@pytest.fixture
def asked(rag, home, recorder, monkeypatch, run):
    """`ask` gets an answer from the service, on the five documents; replays go to the same script."""
    made = rag(index=home)
    made.answerer.engine = made.serving.name = "torch"
    monkeypatch.setattr("step5_serving.engines.choice.resolve", lambda *_: made.serving)

    def ask(text, reader="chat"):
        if reader == "chat":
            made.api.enqueue(text)
        asked = {"question": QUESTION, "reader": reader}
        return post(app_of(made.answerer, recorder), json=asked).json()["trace_id"]

    def replay_it(trace_id, *args, index=home):
        return run("replay", trace_id[:10], "--index", index, *args)

    return SimpleNamespace(ask=ask, api=made.api, replay=replay_it)


def test_the_same_answer_ends_with_0_and_another_with_1(asked):
    call = asked.ask("It renews every year. [1]")
    asked.api.enqueue("It renews every year. [1]")
    got = asked.replay(call, "--json")
    facts = json.loads(got.out)
    assert (got.code, facts["equal"], facts["notes"]) == (0, True, [])
    assert set(facts["passages"]) == {"same"}
    first, again = asked.api.requests
    assert first == again  # byte for byte: the model can't tell them apart
    asked.api.enqueue("Never. [1]")
    got = asked.replay(call)
    assert got.code == 1
    assert "- It renews every year. [1]" in got.out
    assert "+ Never. [1]" in got.out


def test_a_changed_document_is_reported_and_the_old_passage_used(asked, documents, command):
    call = asked.ask("It renews every year. [1]")
    file = documents / "contracts" / "supply.md"
    file.write_text(file.read_text().replace("60 days", "90 days"))
    assert command("step3_rag", "ingest", str(documents)).code == 0
    asked.api.enqueue("It renews every year. [1]")
    got = asked.replay(call)
    assert got.code == 0
    assert "changed in the index since" in got.out
    assert "60 days" in str(asked.api.requests[1]["messages"])


def test_errors_are_one_line(asked, run):
    call = asked.ask("It renews every year. [1]")
    asked.api.enqueue(status=400, error="too long for me")
    abstained = call_of(answer="I don't know.", parameters={"verdict": "abstain"})
    elsewhere = call_of(engine="server")
    record("telemetry.db", abstained, elsewhere)
    for got, said in [
        (run("replay", "ffff" * 8), "there is no call ffff"),
        (asked.replay(call, index="nowhere"), "no index in nowhere"),
        (asked.replay(call), "too long for me"),
        (asked.replay(asked.ask("", "quote")), "no model answered this call"),
        (asked.replay(abstained.trace_id), "no model answered this call"),
        (asked.replay(elsewhere.trace_id), "a server answered this call: name its address with --engine"),
    ]:
        assert (got.code, got.err.count("\n"), got.out) == (2, 1, "")
        assert said in got.err


@pytest.mark.parametrize(
    ("stored", "asked_for"),
    [
        ({"engine": "claude", "model": "claude-sonnet-5-5"}, ("claude-sonnet-5-5", None, None)),
        ({"engine": "torch", "model": "tiny", "parameters": {"quantize": "int8"}}, ("torch", "tiny", "int8")),
    ],
)
def test_the_engine_of_the_call_is_asked_for_again(tmp_path, monkeypatch, stored, asked_for):
    """Claude by its model's name, and int8 as int8."""

    def resolve(engine, model, options):
        raise UserError(f"asked for {(engine, model, options.quantize)}")

    monkeypatch.setattr("step5_serving.engines.choice.resolve", resolve)
    with pytest.raises(UserError, match=re.escape(f"asked for {asked_for}")):
        replay.run(row_of(tmp_path, **stored))
