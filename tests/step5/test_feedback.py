"""Feedback on calls, calls to review, and the question set made from them."""

import json

import pytest

from shared.errors import UserError
from step3_rag.evaluate import dataset
from step5_serving.api.keys import Keys
from step5_serving.telemetry.call import now
from step5_serving.telemetry.reading import calls_to_review, show_call
from step5_serving.telemetry.summary import parse_since
from step5_serving.telemetry.writer import Recorder
from tests.step5.service_parts import ASKED, app_of, client_of, error_of, in_loop, post
from tests.step5.telemetry_parts import call_of, record, source_of

WEEK = parse_since("7d")


@in_loop
async def test_only_the_key_that_asked_gives_feedback_and_may_change_it(tmp_path):
    pytest.importorskip("presidio_analyzer", reason="pip install .[presidio]")
    keys, recorder = Keys(tmp_path / "keys.json"), Recorder.from_url(f"{tmp_path}/t.db", redact=True)
    app = app_of(recorder=recorder, keys=keys)
    secrets = {name: {"x-api-key": keys.add(name, ["ask"])[1]} for name in ("ann", "bob")}
    ann, bob = (client_of(app, headers=each) for each in secrets.values())
    trace = (await ann.post("/query", json=ASKED)).json()["trace_id"]
    for given in ({"thumb": "up"}, {"thumb": "down", "comment": "Wrong; write to ann@example.com"}):
        got = await ann.post("/feedback", json={"trace_id": trace, **given})
        assert (got.status_code, got.json()) == (200, {"stored": True})
    row = show_call(recorder.store, trace)
    assert (row["thumb"], row["comment"]) == ("down", "Wrong; write to [e-mail address]")
    assert b'rag_feedback_total{thumb="down"} 1.0' in app.state.metrics.page()
    assert (await bob.post("/feedback", json={"trace_id": trace, "thumb": "up"})).status_code == 404
    assert show_call(recorder.store, trace)["thumb"] == "down"
    await recorder.close()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"trace_id": "f" * 32, "thumb": "up"}, 404, "there is no call"),
        ({"trace_id": "f" * 8, "thumb": "up"}, 400, "trace_id"),
        ({"trace_id": "f" * 32}, 400, "send a thumb, up or down, or a comment"),
        ({"trace_id": "f" * 32, "thumb": "sideways"}, 400, "thumb"),
        ({"trace_id": "f" * 32, "comment": "x" * 2001}, 400, "comment"),
    ],
)
def test_malformed_feedback_is_refused(tmp_path, body, status, said):
    app = app_of(recorder=Recorder.from_url(f"sqlite:///{tmp_path}/t.db"))
    got = post(app, "/feedback", json=body)
    assert got.status_code == status
    assert said in error_of(got)[1]


def test_feedback_on_one_of_two_calls_of_a_trace(database):
    calls = [call_of(trace_id="a" * 32, span_id=each * 16) for each in "12"]
    store = record(database, *calls)
    with pytest.raises(UserError, match="holds 2 calls"):
        store.save_feedback("a" * 32, "up")
    store.save_feedback("2" * 16, "up")
    assert [show_call(store, each * 16)["thumb"] for each in "12"] == [None, "up"]


@pytest.fixture
def calls(database):
    """A database with three calls to review, one of them twice, and others."""

    def made(question, **given):
        return call_of(started_at=now(), question=question, **given)

    fine, disliked = made("Fine?"), made("Disliked?", sources=[source_of("A."), source_of("B.", number=2)])
    doubtful = made("Doubtful?", confidence=0.2, sources=[source_of("A.")])
    silent = made("Silent?", abstained=True, sources=[source_of("C.", "other.md")])
    again = made(" doubtful? ", confidence=0.3)
    failed = made("Failed?", confidence=0.1, status=502, error_type="api_error")
    store = record(database, fine, disliked, doubtful, again, silent, failed)
    store.save_feedback(disliked.trace_id, "down", "The old contract.")
    return store


def test_calls_to_review_once_each_with_reasons(calls):
    found = calls_to_review(calls, WEEK)
    assert [(each["question"].strip().lower(), each["reasons"]) for each in found] == [
        ("disliked?", ["disliked"]),
        ("silent?", ["abstained"]),
        ("doubtful?", ["low confidence"]),
    ]
    assert calls_to_review(calls, WEEK, limit=1) == found[:1]


def test_step_3_reads_the_question_set(calls, database, tmp_path, command, refused):
    folder = tmp_path / "new"
    errors = ("step5_serving", "evaluation", "errors", "--telemetry", database, "--out", str(folder))
    got = command(*errors, "--json")
    assert got.code == 0, got.err
    assert json.loads(got.out)["set"] == {"questions": 3, "passages": 4, "judgements": 4}
    data = dataset.read(str(folder), "test")
    assert {each.text.strip() for each in data.questions} == {"Disliked?", "doubtful?", "Silent?"}
    assert {score for each in data.questions for score in each.qrels.values()} == {0}
    [asked] = [each for each in data.questions if each.text == "Disliked?"]
    texts = {each.name: each.text for each in data.sources}
    assert {texts[name] for name in asked.qrels} == {"A.", "B."}
    (folder / "qrels" / "test.tsv").unlink()
    assert "new is not empty: give another folder with --out" in refused(*errors)
