"""What is masked in a call before it is stored, and that nothing else is."""

import sys

import pytest

from shared.errors import UserError
from shared.personal import recognizers
from step5_serving.telemetry.call import redact
from step5_serving.telemetry.reading import show_call
from step5_serving.telemetry.store import Store
from step5_serving.telemetry.writer import Recorder
from tests.step5.telemetry_parts import call_of, record, source_of


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("my key is s5_1f0c9a3e_" + "kq0Vt" * 8 + "abc", "my key is [secret]"),
        ("use sk-" + "ant-api03-abcdefghijklmnop", "use [secret]"),
        ("at http://me:hunter2@host/", "at http://[secret]@host/"),
    ],
)
def test_keys_and_passwords_are_masked(text, rest):
    pytest.importorskip("presidio_analyzer", reason="pip install .[presidio]")
    assert redact(text) == rest


def test_without_presidio_it_is_refused_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    recognizers.cache_clear()
    with pytest.raises(UserError, match="pip install presidio-analyzer"):
        Recorder.from_url(f"sqlite:///{tmp_path}/telemetry.db", redact=True)


@pytest.mark.parametrize("on", [True, False])
def test_redaction_can_be_switched_on(tmp_path, on):
    pytest.importorskip("presidio_analyzer", reason="pip install .[presidio]")
    text = "my address is ann@example.com"
    call = call_of(
        question=text,
        answer=text,
        sources=[source_of(text)],
        attempts=[{"query": text}],
        parameters={"user": text, "stop": [text], "k": 3},
        error_type=text,
    )
    record(f"{tmp_path}/telemetry.db", call, redact=on)
    found = show_call(Store.open(f"{tmp_path}/telemetry.db"), call.trace_id)
    kept = "my address is [e-mail address]" if on else text
    assert (found["question"], found["answer"], found["attempts"][0]["query"]) == (kept, kept, kept)
    assert found["error_type"] == kept
    assert found["parameters"] == {"user": kept, "stop": [kept], "k": 3}
    assert found["sources"][0]["text"] == text  # a document of the operator's own
    assert call.question == text  # the reply is made of the call: it isn't touched
