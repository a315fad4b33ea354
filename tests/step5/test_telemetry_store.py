"""The telemetry database: what is written and when, on SQLite and Postgres; and what fails."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import timedelta

import pytest
import sqlalchemy as sa

from shared.errors import UserError
from shared.personal import recognizers
from step5_serving.errors import ApiError, TelemetryDown
from step5_serving.telemetry import schema, writer
from step5_serving.telemetry.call import Call, now
from step5_serving.telemetry.reading import list_calls, show_call
from step5_serving.telemetry.schema import bodies, calls
from step5_serving.telemetry.store import OWNER, Store
from step5_serving.telemetry.summary import summarize
from step5_serving.telemetry.writer import Recorder
from tests.step5.service_parts import ASKED, TRACE, FakeAnswerer, app_of, client_of, eventually, in_loop
from tests.step5.telemetry_parts import PROMPT, call_of, record, sha, source_of

NOT_KEPT = {"opened_by", "parent_span_id", "prompt_id", "prompt_sha256", "prompt_text"}  # or by other names
DAY = timedelta(days=1)


def count(store, table=calls):
    return store.read(sa.select(sa.func.count()).select_from(table))[0][0][0]


def test_every_field_of_a_call_is_stored(database):
    texts = {"question": "null \0, half a pair \ud800", "answer": "𝛑 😀 é ann@example.com"}
    whole = call_of(key_id="k1", cost_usd=0.004, error_type="x", **texts)
    little, wrong = Call("messages", 503), call_of(input_tokens=2**80, output_tokens=-1)
    store = record(database, whole, little, wrong)
    found = show_call(store, whole.trace_id)
    for each in fields(Call):
        if each.name not in NOT_KEPT | {"started_at", "prompt_version", "question"}:
            assert found[each.name] == getattr(whole, each.name), each.name
    assert found["question"] == "null , half a pair ?"  # no database takes the rest
    assert found["started_at"] == "2026-11-25T12:00:00.000Z"
    assert found["prompt_version"] == f"answer/1@{sha(PROMPT)[:8]}"
    assert found["prompt"] == {"id": "answer", "version": 1, "sha256": sha(PROMPT), "text": PROMPT}

    found = show_call(store, little.trace_id)  # what is unknown is null, not 0
    for name in ("question", "answer", "confidence", "abstained", "input_tokens", "cost_usd", "total_ms"):
        assert found[name] is None
    assert (found["sources"], found["attempts"], found["parameters"]) == ([], [], {})
    assert found["prompt"] is found["prompt_version"] is None
    found = show_call(store, wrong.trace_id)  # no column can hold these, so they are unknown
    assert (found["input_tokens"], found["output_tokens"]) == (None, None)


def test_the_columns_of_format_3_do_not_change(recorder):
    """Users have such files: other columns are another format (schema.VERSION)."""
    with sqlite3.connect(recorder.store.file) as db:
        columns = db.execute("SELECT name, type, \"notnull\" FROM pragma_table_info('calls')").fetchall()
    assert (schema.VERSION, sha(str(sorted(columns)))[:8]) == (3, "977314d5"), columns


def test_pages_of_short_rows_the_latest_first(database):
    record(database, *(call_of(question=f"question {i}", confidence=i / 8) for i in range(7)))
    failed = call_of(status=503, error_type="overloaded_error", confidence=None)
    store = record(database, failed)
    first = list_calls(store, limit=3)
    rest = list_calls(store, limit=10, before=first["next"])
    asked = [each["question"] for each in first["calls"] + rest["calls"]]
    assert asked == [failed.question, *(f"question {i}" for i in reversed(range(7)))]
    assert rest["next"] is None
    assert list_calls(store, limit=8)["next"] is None
    assert not {"answer", "sources", "prompt_text", "opened_by"} & set(first["calls"][0])
    assert len(list_calls(store, low_confidence=True)["calls"]) == 3  # 0, .125 and .25 of 0 to .75
    assert [each["span_id"] for each in list_calls(store, error=True)["calls"]] == [failed.span_id]


def test_the_beginning_of_a_trace_id_is_enough(database):
    store = record(database, *(call_of(trace_id=each) for each in ("ab12" + "0" * 28, "ab13" + "f" * 28)))
    assert show_call(store, "AB12")["trace_id"].startswith("ab12")
    assert show_call(store, "ab13")["trace_id"].startswith("ab13")
    with pytest.raises(ApiError, match="there is no call ab14"):
        show_call(store, "ab14")
    for wrong in ("ab", "no hex", "ab%", "a" * 33):
        with pytest.raises(UserError, match="is not a trace id"):
            show_call(store, wrong)
    record(database, call_of(trace_id="ab12" + "1" * 28))
    with pytest.raises(UserError, match="several calls"):
        show_call(store, "ab12")
    for span_id in ("1" * 16, "2" * 16):
        record(database, call_of(trace_id="c" * 32, span_id=span_id))
    with pytest.raises(UserError, match=f"holds 2 calls: name one by its span id, {'1' * 16}, {'2' * 16}"):
        show_call(store, "c" * 32)
    assert show_call(store, "2222")["span_id"] == "2" * 16


def test_what_was_pruned_is_in_no_file(tmp_path):
    """Without secure_delete, SQLite leaves texts in free pages; its log has them until a checkpoint."""
    path = tmp_path / "telemetry.db"
    recent, old = (call_of(started_at=now(), answer="kept"), call_of(answer="Rosewater. " * 2000))
    store = record(str(path), recent, old)
    assert any(b"Rosewater" in file.read_bytes() for file in tmp_path.iterdir())
    assert store.prune(timedelta(hours=1)) == 1
    assert not any(b"Rosewater" in file.read_bytes() for file in tmp_path.iterdir())
    assert len(list_calls(store)["calls"]) == 1


def test_prune_deletes_older_calls_with_their_texts(database, monkeypatch):
    monkeypatch.setattr("step5_serving.telemetry.store.STEP", 2)
    days = [call_of(started_at=now() - timedelta(days=day), trace_id=f"{day:032x}") for day in range(7)]
    store = record(database, *days)
    assert store.prune(timedelta(days=3.5)) == 3
    assert [int(each["trace_id"], 16) for each in list_calls(store)["calls"]] == [3, 2, 1, 0]
    assert count(store, bodies) == 4


@in_loop
async def test_a_value_that_the_driver_refuses_leaves_no_transaction_open(recorder):
    with pytest.raises(TelemetryDown, match="could not be written"):
        await recorder.record(call_of(prompt_version=2**80))
    with sqlite3.connect(recorder.store.file, timeout=0.1) as other:
        other.execute("BEGIN IMMEDIATE")
        other.rollback()
    await recorder.record(call_of())


# --- when it is written, and what a restart does to it ---------------------------------------------------


@in_loop
async def test_a_stream_has_a_row_before_its_first_byte_and_one_row_at_its_end(recorder):
    store, answerer = recorder.store, FakeAnswerer(delay=60)
    client = client_of(app_of(answerer, recorder), headers={"traceparent": TRACE})
    asking = asyncio.ensure_future(client.post("/query/stream", json=ASKED))
    await eventually(lambda: answerer.running)
    [row] = list_calls(store)["calls"]
    assert (row["state"], row["question"]) == ("running", ASKED["question"])
    assert row["trace_id"] in TRACE
    found = summarize(store, DAY)
    assert (found["running"], found["unknown_costs"], found["errors"]) == (1, 0, 0)
    answerer.delay = 0
    await asking
    [row] = list_calls(store)["calls"]
    assert (row["state"], row["status"], row["output_tokens"]) == ("done", 200, 18)


@in_loop
async def test_calls_of_a_dead_process_are_lost_and_those_of_others_are_not(database):
    dead = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    machine = OWNER.rpartition("/")[0]
    names = {"dead": f"{machine}/{dead.pid}", "before": OWNER, "alive": f"{machine}/{os.getppid()}"}
    names |= {"elsewhere": "another-machine/1", "format 3": f"{OWNER}/1"}  # with the process' start
    dead.kill()
    dead.wait(20)
    recorder = Recorder.from_url(database)
    calls = {name: Call("query", 200, question=name) for name in names}
    for name, call in calls.items():
        await recorder.open(call)
        with recorder.store.writing() as connection:
            statement = f"UPDATE calls SET opened_by = '{names[name]}' WHERE span_id = '{call.span_id}'"
            connection.exec_driver_sql(statement)
    await recorder.close()

    recorder = Recorder.from_url(database)
    states = {row["question"]: row["state"] for row in list_calls(recorder.store)["calls"]}
    lost, others = dict.fromkeys(("dead", "before"), "lost"), ("alive", "elsewhere", "format 3")
    assert states == lost | dict.fromkeys(others, "running")
    found = summarize(recorder.store, DAY)
    assert (found["lost"], found["running"], found["errors"], found["unknown_costs"]) == (2, 3, 2, 2)
    await recorder.record(calls["alive"])
    assert len(list_calls(recorder.store)["calls"]) == 5
    await recorder.close()


@in_loop
async def test_an_open_row_is_lost_after_an_hour_whoever_opened_it(recorder):
    await recorder.open(call_of())  # at a noon long ago
    assert [recorder.store.mark_lost() for _ in range(2)] == [1, 0]


# --- what is masked before ---------------------------------------------------------------------------------


def test_without_presidio_it_is_refused_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    recognizers.cache_clear()
    with pytest.raises(UserError, match="pip install presidio-analyzer"):
        Recorder.from_url(f"sqlite:///{tmp_path}/telemetry.db", redact=True)


def test_redaction_masks_what_callers_and_models_wrote(tmp_path):
    pytest.importorskip("presidio_analyzer", reason="pip install .[presidio]")
    key, claudes = "s5_1f0c9a3e_" + "kq0Vt" * 8 + "abc", "sk-" + "ant-api03-abcdefghijklmnop"
    text = f"my address is ann@example.com, my keys are {key}, {claudes} and http://me:hunter2@host/"
    texts = dict.fromkeys(("question", "answer", "error_type"), text)
    lists = {"sources": [source_of(text)], "attempts": [{"query": text}]}
    call = call_of(**texts, **lists, parameters={"user": text, "stop": [text], "k": 3})
    found = show_call(record(f"{tmp_path}/telemetry.db", call, redact=True), call.trace_id)
    masked = "my address is [e-mail address], my keys are [secret], [secret] and http://[secret]@host/"
    assert {found[name] for name in texts} == {masked}
    assert found["attempts"] == [{"query": masked}]
    assert found["parameters"] == {"user": masked, "stop": [masked], "k": 3}
    assert found["sources"][0]["text"] == text  # a document of the operator's own
    assert call.question == text  # the reply is made of the call: it isn't touched


KEY = "s5_1f0c9a3e_" + "kq0Vt" * 8 + "abc"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("write to ann\uff20example.com", "write to [e-mail address]"),
        ("write to ann@exam\u200bple.com", "write to [e-mail address]"),
        ("write to ann\u2060@\ufeffexample\u00ad.com", "write to [e-mail address]"),
        ("write to ann@example\uff0ecom", "write to [e-mail address]"),
        ("write to ann@exam\ufe0fple.c\u034fom", "write to [e-mail address]"),
        ("card \uff14111 1111 1111 \u200d1111, soon", "card [card number], soon"),
        ("my key is " + KEY[:20] + "\u200b" + KEY[20:], "my key is [secret]"),
        ("my key is " + KEY.replace("s5", "\uff53\uff15"), "my key is [secret]"),
        ("½ m² \u200d", "½ m² \u200d"),  # nothing to redact: as it was
    ],
)
def test_redaction_sees_what_a_reader_sees(tmp_path, text, stored):
    """Full-width forms look like ours to people; a zero-width space is not seen at all."""
    pytest.importorskip("presidio_analyzer", reason="pip install .[presidio]")
    call = call_of(question=text, parameters={"user": text})
    found = show_call(record(f"{tmp_path}/telemetry.db", call, redact=True), call.trace_id)
    assert (found["question"], found["parameters"]["user"]) == (stored, stored)


# --- opening --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("://", "not a URL of a database"),
        ("", "not a URL of a database"),
        ("sqlite://", "is not supported"),
        ("sqlite:///nowhere/telemetry.db", "no telemetry in nowhere"),
        ("postgresql+psycopg://tester:secret@/postgres?host=/nowhere", "cannot be opened"),
    ],
)
def test_a_wrong_url_is_refused_in_one_line(text, said):
    if text.startswith("postgresql"):
        pytest.importorskip("psycopg", reason="pip install 'psycopg[binary]'")
    with pytest.raises(UserError, match=said) as error:
        Store.open(text)
    assert "secret" not in str(error.value)


def test_a_file_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE meta (key TEXT, value TEXT)")
    with pytest.raises(UserError, match="holds other tables"):
        Store.open(str(path), create=True)
    path.write_text("Dear diary")
    with pytest.raises(UserError, match="cannot be opened: file is not a database"):
        Store.open(f"sqlite:///{path}", create=True)


def test_another_format_is_refused(database):
    with record(database).writing() as connection:
        connection.execute(sa.text("UPDATE meta SET value = '2'"))
    with pytest.raises(UserError, match="has format 2, this program writes 3"):
        Store.open(database)


def test_several_workers_may_start_at_once(database):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Store.open(database, create=True).close(), range(8)))


# --- when it can't be written ---------------------------------------------------------------------------


@in_loop
async def test_a_locked_database_is_waited_for_but_not_for_ever(recorder, monkeypatch):
    monkeypatch.setattr("step5_serving.telemetry.store.PATIENCE", 0.1)
    recorder.store.close()  # later connections have that patience
    other = sqlite3.connect(recorder.store.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TelemetryDown, match="database is locked"):
        await recorder.record(call_of())
    assert "database is locked" in await recorder.ready()
    other.execute("ROLLBACK")
    await recorder.record(call_of())
    other.close()
    assert count(recorder.store) == 1


@in_loop
async def test_a_deleted_file_is_made_anew(recorder, capsys):
    await recorder.record(call_of())
    for each in recorder.store.file.parent.glob("telemetry.db*"):
        each.unlink()
    await recorder.record(call_of(question="after"))
    assert [row["question"] for row in list_calls(recorder.store)["calls"]] == ["after"]
    assert "was deleted; a new one is made" in capsys.readouterr().err


@in_loop
async def test_rows_are_refused_if_the_file_is_deleted_while_it_is_opened_or_written(recorder, monkeypatch):
    def late(call):
        recorder.store.file.unlink(missing_ok=True)
        return body_row(call)

    body_row = writer.body_row
    for place, name, instead in ((recorder.store, "_file_id", lambda: None), (writer, "body_row", late)):
        with monkeypatch.context() as patched:
            patched.setattr(place, name, instead)
            with pytest.raises(TelemetryDown, match="was deleted while it was written to"):
                await recorder.record(call_of())
    await recorder.record(call_of())
    assert count(recorder.store) == 1


@in_loop
async def test_a_row_does_not_wait_for_readers(recorder, monkeypatch):
    monkeypatch.setattr(writer, "LONGEST", 2.0)
    with contextlib.ExitStack() as readers:
        for _ in range(40):  # more than the threads in which the event loop's work blocks
            readers.enter_context(recorder.store.engine.connect())
        await recorder.record(call_of())


@in_loop
async def test_a_folder_that_vanished_and_comes_back(tmp_path):
    folder, away = tmp_path / "disk", tmp_path / "away"
    recorder = Recorder.from_url(str(folder / "telemetry.db"))
    await recorder.record(call_of())
    folder.rename(away)
    folder.write_text("a mount point that is no folder")
    with pytest.raises(TelemetryDown, match=r"Not a directory|unable to open|File exists"):
        await recorder.record(call_of())
    assert "telemetry cannot be written" in await recorder.ready()
    folder.unlink()
    away.rename(folder)
    assert await recorder.ready() is None
    await recorder.record(call_of())
    assert count(recorder.store) == 2
    await recorder.close()


@in_loop
async def test_a_hung_database_does_not_hang_the_caller(recorder, monkeypatch):
    monkeypatch.setattr(writer, "LONGEST", 0.1)
    goes_on = threading.Event()
    monkeypatch.setattr(writer, "write_rows", lambda *_: goes_on.wait(5))
    with pytest.raises(TelemetryDown, match="not written within"):
        await recorder.record(call_of())
    goes_on.set()


@in_loop
async def test_an_abandoned_call_has_one_row(recorder):
    """The opening row stays in the queue, and the final row comes after it."""
    call = call_of()
    for write in (recorder.open, recorder.record):
        writing = asyncio.ensure_future(write(call))
        await asyncio.sleep(0)
        writing.cancel()
    await recorder.close()
    assert [row["state"] for row in list_calls(recorder.store)["calls"]] == ["done"]


@in_loop
async def test_many_waiters_share_few_commits(recorder, monkeypatch):
    batches, write_rows = [], writer.write_rows

    def noted(store, batch):
        batches.append(len(batch))
        write_rows(store, batch)

    monkeypatch.setattr(writer, "write_rows", noted)
    await asyncio.gather(*(recorder.record(call_of()) for _ in range(400)))
    assert count(recorder.store) == sum(batches) == 400
    assert len(batches) < 100


def test_reading_a_deleted_database_fails_in_one_line(recorder):
    recorder.store.file.unlink()
    with pytest.raises(TelemetryDown, match="cannot be read: unable to open database file"):
        list_calls(recorder.store)
    assert not recorder.store.file.exists()
