"""The service as its command starts it, on the sample corpus and the real models: every part together."""

import subprocess
import sys

import httpx
import pytest

from step3_rag import SAMPLE
from tests.conftest import AS_STARTED, NO_NETWORK, ROOT
from tests.step5.faults_process import key_in
from tests.step5.service_parts import events_in, line_of, until

pytestmark = pytest.mark.real
QUESTION = {"question": "When do contracts renew automatically?"}


@pytest.fixture(scope="module")
def served(tmp_path_factory, real_weights):
    """`serve` with its defaults, on an index of its own and a free port; how it stops is checked."""
    folder = tmp_path_factory.mktemp("served")
    environment = {**AS_STARTED, "ROADMAP_HUB": real_weights, "ROADMAP_DEVICE": "cpu"}
    environment["PYTHONPATH"] = f"{ROOT}:{NO_NETWORK}"
    ingest = ["step3_rag", "ingest", str(SAMPLE / "documents"), "--index", "index"]
    subprocess.run([sys.executable, "-m", *ingest], cwd=folder, env=environment, check=True, timeout=300)
    key = key_in(folder / "serving-keys.json")
    serve = ["step5_serving", "serve", "--port", "0", "--timeout", "300", "--index", "index"]
    process = subprocess.Popen(
        [sys.executable, "-m", *serve], cwd=folder, stderr=subprocess.PIPE, text=True, env=environment
    )
    line = line_of(process.stderr, 300)
    assert line.startswith("listening on "), line + process.stderr.read()
    url = line.split()[2]
    try:
        until(lambda: httpx.get(f"{url}/readyz", timeout=120).is_success, 120)
        yield httpx.Client(base_url=url, headers={"x-api-key": key}, timeout=300)
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said.splitlines()[-1] == "stopped"
    assert "Traceback" not in said


def test_a_quote_is_right_and_names_its_source(served):
    body = served.post("/query", json={**QUESTION, "reader": "quote"}).json()
    assert "renew" in body["answer"].lower()
    assert body["confidence"] > 0.5
    assert body["sources"][0]["document"].startswith("contracts/")
    assert body["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert body["cost_usd"] == 0


def test_the_model_answers_piece_by_piece(served):
    events = events_in(served.post("/query/stream", json={**QUESTION, "k": 1}).text)
    assert events[0][0] == "retrieved"
    name, body = events[-1]
    assert name == "done"
    assert "".join(data["text"] for kind, data in events if kind == "delta").strip() == body["answer"]
    assert body["usage"]["input_tokens"] > 50
    assert body["usage"]["output_tokens"] > 1
    assert body["prompt_version"].startswith("answer/1@")
    assert body["latency_ms"]["generate"] > body["latency_ms"]["retrieve"] > 0
    call = served.get(f"/telemetry/calls/{body['trace_id']}").json()
    assert call["answer"] == body["answer"]
    assert call["prompt"]["text"].startswith("---\nid: answer")


def test_a_question_that_no_document_answers_is_not_answered(served):
    body = served.post("/query", json={"question": "Who won the 1954 world cup?"}).json()
    assert body["abstained"] is True
    assert body["answer"] == "I don't know."
