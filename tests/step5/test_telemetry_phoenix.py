"""A real Phoenix server takes our spans, and gives them back by REST. It lives in an environment of its own:

python -m venv phoenix && phoenix/bin/pip install arize-phoenix
PHOENIX_PYTHON=phoenix/bin/python python -m pytest tests/step5/test_telemetry_phoenix.py
"""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from step5_serving.telemetry.call import now
from step5_serving.telemetry.spans import Spans
from tests.step5.telemetry_parts import call_of
from tests.step5.test_telemetry_spans import ATTEMPTS, CHAT, NAMES

PYTHON = os.environ.get("PHOENIX_PYTHON")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not PYTHON, reason="no Phoenix: set PHOENIX_PYTHON to a Python that has arize-phoenix"
    ),
]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.loads(reply.read() or "null")


@pytest.fixture
def phoenix(tmp_path):
    """Its address, once it is healthy."""
    port = free_port()
    own = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_WORKING_DIR": str(tmp_path),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    program = Path(PYTHON).absolute().with_name("phoenix")
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([program, "serve"], env=os.environ | own, stdout=log, stderr=log)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).close()
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "log").read_text()[-2000:]
                time.sleep(0.5)
        else:
            pytest.fail("Phoenix is not healthy after two minutes")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def test_a_call_arrives_as_a_trace(phoenix):
    call = call_of(attempts=ATTEMPTS, started_at=now())
    sender = Spans.of(phoenix, content=True)
    sender.export(call)
    sender.close(20)
    for _ in range(60):  # it writes them in batches of its own
        try:
            found = get(f"{phoenix}/v1/projects/default/spans?limit=100")["data"]
        except urllib.error.HTTPError:
            found = []
        if len(found) == len(NAMES) + 1:
            break
        time.sleep(0.5)
    assert sorted(each["name"] for each in found) == sorted([*NAMES, CHAT])
    assert {each["context"]["trace_id"] for each in found} == {call.trace_id}
    [root] = [each for each in found if each["parent_id"] is None]
    [chat] = [each for each in found if each["name"] == CHAT]
    assert root["name"] == NAMES[0]
    assert chat["parent_id"] == root["context"]["span_id"]
    assert (root["span_kind"], chat["span_kind"]) == ("CHAIN", "LLM")
    # gen_ai.* in, and Phoenix' own names out: it understood what they are.
    assert chat["attributes"]["llm.token_count.prompt"] == 164
    assert chat["attributes"]["llm.token_count.completion"] == 18
    assert chat["attributes"]["llm.model_name"] == "smollm2-135m-instruct"
    assert chat["attributes"]["llm.output_messages.0.message.content"] == "Every two years. [1]"
    retrievals = [each for each in found if each["span_kind"] == "RETRIEVER"]
    assert len(retrievals) == 2
    assert any(
        each["attributes"].get("retrieval.documents.0.document.content") == "It renews every two years."
        for each in retrievals
    )
