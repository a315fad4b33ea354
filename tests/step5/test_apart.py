"""The model in a process of its own says what it says in this one, and comes and goes with the service."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import anthropic
import psutil
import pytest

from shared.config import load_settings
from shared.embedded import stream
from shared.embedded.backend import Answer
from shared.embedded.engine import Generation
from shared.embedded.grammar import UnsupportedSchema
from shared.embedded.refuse import Refused
from shared.errors import UserError
from step5_serving.engines.choice import Embedded, resolve
from step5_serving.engines.process import backend
from step5_serving.engines.process import protocol as words
from step5_serving.engines.process.__main__ import Speaking
from step5_serving.engines.process.backend import Apart
from tests.step5.faults_process import Process

HELLO = {"model": "tiny", "max_tokens": 12, "messages": [{"role": "user", "content": "Hello"}]}
TOOL = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ENUM = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}
SCHEMA = {"format": {"type": "json_schema", "schema": {**ENUM, "additionalProperties": False}}}


@pytest.fixture(scope="module")
def of_tiny(tiny_cache):
    return load_settings(model="tiny", cache_dir=tiny_cache, device="cpu", dtype="float32", threads=1)


@pytest.fixture(scope="module")
def apart(of_tiny):
    serving = resolve("torch", how=Embedded(4, apart=True), settings=of_tiny)
    yield serving
    serving.close()


@pytest.fixture(scope="module")
def here(of_tiny):
    serving = resolve("torch", how=Embedded(4), settings=of_tiny)
    yield serving
    serving.close()


def child_of(serving):
    return psutil.Process(serving.backend._process.child.pid)


def ended(pid, seconds=10):
    end = time.monotonic() + seconds
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end, "it still runs"
            time.sleep(0.05)
    return True


@contextlib.contextmanager
def killed_while(process, work):
    """The outcome of work that waits for the process when it is killed."""
    with ThreadPoolExecutor(1) as pool:
        process.suspend()
        outcome = pool.submit(work)
        time.sleep(0.3)
        assert not outcome.done()
        process.kill()
        yield outcome


# --- the same answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"stop_sequences": ["e", "a"], "max_tokens": 60},
        {"max_tokens": 60, "output_config": SCHEMA},
        {
            "system": "Be brief. 日本語 🙂",
            "messages": [{"role": "user", "content": "line\nbreak\u2028and\x85more"}],
        },
    ],
)
def test_it_answers_as_in_this_process(apart, here, more):
    def answers(serving):
        said = serving.client().messages.create(**{**HELLO, **more})
        with serving.client().messages.stream(**{**HELLO, **more}) as stream:
            streamed = "".join(stream.text_stream), stream.get_final_message().usage.output_tokens
        content = [each.model_dump(exclude={"id"}) for each in said.content]
        return content, said.stop_reason, said.stop_sequence, said.usage.output_tokens, streamed

    assert answers(apart) == answers(here)


def test_many_at_once(apart, here):
    asked = [[{"role": "user", "content": f"Number {number}"}] for number in range(12)]

    async def ask(serving):
        client = serving.async_client()
        said = [client.messages.create(**{**HELLO, "messages": each}) for each in asked]
        return [each.content[0].text for each in await asyncio.gather(*said)]

    assert asyncio.run(ask(apart)) == asyncio.run(ask(here))


def test_it_counts(apart, here):
    asked = {"model": "tiny", "messages": HELLO["messages"]}
    ours, theirs = (each.client().messages.count_tokens(**asked).input_tokens for each in (apart, here))
    assert ours == theirs > 10


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"messages": [{"role": "user", "content": "long " * 3000}]}, "prompt is too long"),
        ({"thinking": {"type": "adaptive"}}, "can't think"),
        ({"tools": [TOOL]}, "tools: engine torch can't call tools"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"not": {}}}}}, "schema: "),
    ],
)
def test_refusals_are_the_same(apart, here, more, line):
    found = []
    for serving in (apart, here):
        with pytest.raises(anthropic.BadRequestError) as error:
            serving.client().messages.create(**{**HELLO, **more})
        found.append(error.value.body["error"])
    assert found[0] == found[1]
    assert line in found[0]["message"]


@pytest.mark.parametrize(
    "error",
    [
        Refused("busy", 529, "overloaded_error"),
        UserError("no such model"),
        UnsupportedSchema("not"),
        RecursionError("deep"),
    ],
)
def test_errors_are_the_same_on_the_other_side(error):
    there = words.error_of(json.loads(json.dumps(words.told(error))))
    assert (type(there), str(there), vars(there)) == (type(error), str(error), vars(error))


def test_a_bug_is_told_too():
    there = words.error_of(words.told(KeyError("x")))
    assert (type(there), str(there)) == (RuntimeError, "KeyError: 'x'")


def test_a_model_that_cannot_be_had_is_said_to_each_who_asks(of_tiny, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    apart = Apart(
        {"name": "torch", "rows": 1, "quantize": None}
        | {"settings": of_tiny.model_copy(update={"model": str(tmp_path)}).model_dump(mode="json")}
    )
    try:
        for _ in range(2):
            with pytest.raises(UserError, match=r"has no \*.safetensors"):
                apart.warm_up()
    finally:
        apart.close()


# --- its life -----------------------------------------------------------------------------------------


def test_one_that_was_killed_is_started_again(of_tiny):
    serving = resolve("torch", how=Embedded(2, apart=True), settings=of_tiny)
    try:
        first = child_of(serving)
        serving.warm_up()
        with (
            killed_while(first, lambda: serving.client().messages.create(**HELLO)) as lost,
            pytest.raises(UserError, match=r"process has ended \(signal 9\): try again"),
        ):
            lost.result()
        assert serving.trouble() == "the model is loading"  # and it is: readiness brings it back, too
        assert serving.client().messages.create(**HELLO).usage.output_tokens == 12
        assert child_of(serving).pid != first.pid
        assert serving.trouble() is None
    finally:
        serving.close()
    assert ended(serving.backend._process.child.pid)
    with pytest.raises(UserError, match="process has ended"):  # and not a third one
        serving.client().messages.create(**HELLO)


def test_a_service_goes_on_when_its_process_is_killed(tmp_path):
    with Process(tmp_path, config={"engine": "torch", "model": "tiny", "apart": True}) as service:
        assert service.ask({**HELLO}, "/v1/messages").json()["usage"]["output_tokens"] == 12
        [child] = service.process.children()
        with killed_while(child, lambda: service.ask({**HELLO}, "/v1/messages")) as lost:
            assert lost.result().status_code == 503
            assert "process has ended (signal 9)" in lost.result().json()["error"]["message"]
        assert service.get("/healthz").status_code == 200
        assert service.ask({**HELLO}, "/v1/messages").json()["usage"]["output_tokens"] == 12
        [second] = service.process.children()
        assert second.pid != child.pid
        calls = service.get("/telemetry/calls").json()["calls"]
        assert sorted(each["status"] for each in calls) == [200, 200, 503]
    assert ended(second.pid)


def test_signals_are_for_the_service(apart):
    apart.warm_up()
    child = child_of(apart)
    for each in (signal.SIGINT, signal.SIGTERM):
        child.send_signal(each)
    assert apart.client().messages.create(**HELLO).usage.output_tokens == 12
    assert child_of(apart).pid == child.pid


def test_it_ends_with_a_service_that_is_killed(of_tiny):
    code = f"""
from shared.config import load_settings
from step5_serving.engines.choice import Embedded, resolve
serving = resolve("torch", "tiny", Embedded(1, apart=True), cache_dir={str(of_tiny.cache_dir)!r})
print(serving.backend._process.child.pid, flush=True)
serving.warm_up()
print("ready", flush=True)
serving.client().messages.create(**{ {**HELLO, "max_tokens": 2000}!r})
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as service:
        pid = int(service.stdout.readline())
        assert service.stdout.readline() == b"ready\n"
        assert psutil.pid_exists(pid)
        service.kill()
    assert ended(pid)


# --- between the two ----------------------------------------------------------------------------------


@pytest.fixture
def scripted(monkeypatch):
    """An Apart over a process that does what a few lines of Python say, once it has read the first line."""
    made = []

    def make(code):
        code = f"import sys, time\nsay = lambda line: print(line, flush=True)\nsys.stdin.readline()\n{code}"
        monkeypatch.setattr(backend, "COMMAND", [sys.executable, "-c", code])
        made.append(Apart({}))
        return made[-1]

    yield make
    for each in made:
        each.close()


COUNTS = '{"output_tokens": 0, "cached_tokens": 0, "stop_reason": "end_turn", "stop_sequence": null}'
BEGUN = f'{{"input_tokens": 3, "calls": [], "counts": {COUNTS}}}'
BEGINS = f"""
for line in sys.stdin:
    number, verb = line.split()[:2]
    if verb == "answer":
        say(number + ' begun {BEGUN}')
    if verb == "stop":
        open("stopped", "a").write(number)
"""


def test_a_process_that_ends_in_the_middle_of_a_line_has_ended(scripted):
    apart = scripted("""sys.stdin.readline()\nsys.stdout.write('1 begun {"inp')""")
    with pytest.raises(UserError, match=r"process has ended \(exit code 0\)"):
        apart.answer({})


def test_a_process_that_reads_nothing_keeps_nobody(scripted, monkeypatch):
    monkeypatch.setattr(backend, "PATIENCE", 0.2)
    apart = scripted("time.sleep(60)")
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(apart.answer, {"long": "x" * 1_000_000}) for _ in range(2)]
        time.sleep(0.2)
        apart.close()
        for each in asked:
            with pytest.raises(UserError, match=r"process has ended \(signal 9\)"):
                each.result()


def test_an_answer_that_is_dropped_unread_is_stopped(scripted, tmp_path):
    apart = scripted(BEGINS)
    apart.answer({})
    apart.answer({}).text.close()
    list(stream.events(apart.answer({}), "m").send(None))
    end = time.monotonic() + 10
    while not (tmp_path / "stopped").exists() or (tmp_path / "stopped").read_text() != "123":
        assert time.monotonic() < end
        time.sleep(0.02)


def test_who_waits_for_an_answer_that_another_closes_waits_no_longer(scripted):
    text = scripted(BEGINS).answer({}).text
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(list, text)
        time.sleep(0.2)
        assert not waiting.done()
        text.close()
        assert waiting.result(5) == []


def test_what_hinders_is_known_without_waiting(scripted):
    apart = scripted(
        """sys.stdin.readline()\nsay('0 failed {"kind": "UserError", "message": "none"}')""" + BEGINS
    )
    assert apart.trouble == "the model is loading"
    apart._process.ask("answer", {})
    end = time.monotonic() + 10
    while apart.trouble == "the model is loading":
        assert time.monotonic() < end
    assert apart.trouble == "none"


def test_what_nobody_reads_any_more_is_not_written():
    """The process' side alone, over an engine that never ends."""
    closed = []

    class Endless:
        def answer(self, body):
            def run(done):
                try:
                    while True:
                        done.output_tokens += 1
                        yield "on and "
                finally:
                    closed.append(body)

            return Answer(3, Generation(run))

    reading, writing = os.pipe()
    speaking = Speaking(Endless(), writing)
    speaking.hear(words.line(7, "answer", {"of": 7}))
    with os.fdopen(reading, "rb") as said:
        heard = [words.parsed(said.readline())[:2] for _ in range(3)]
        assert heard == [(7, "begun"), (7, "piece"), (7, "piece")]
        speaking.hear(words.line(7, "stop"))
        assert next(verb for _, verb, _ in map(words.parsed, said) if verb != "piece") == "end"
    assert closed == [{"of": 7}]


def test_json_that_cannot_be_read_gets_an_answer():
    reading, writing = os.pipe()
    speaking = Speaking(object(), writing)
    speaking.hear(b"9 answer " + b"[" * 200_000)
    with os.fdopen(reading, "rb") as said:
        number, verb, body = words.parsed(said.readline())
    assert (number, verb, json.loads(body)["kind"]) == (9, "failed", "RecursionError")
