"""The database of calls: what is written comes back, by the same code on SQLite and Postgres."""

import asyncio
import sqlite3
import threading
from dataclasses import fields
from datetime import timedelta

import pytest
import sqlalchemy as sa

from shared.errors import UserError
from step5_serving.errors import TelemetryDown
from step5_serving.telemetry import sinks, writer
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.prune import prune
from step5_serving.telemetry.reading import list_calls, show_call
from step5_serving.telemetry.schema import calls, prompts, texts
from step5_serving.telemetry.store import Store
from step5_serving.telemetry.writer import Recorder
from tests.step5.telemetry_parts import PROMPT, after, call_of, record, sha, source_of

NOT_KEPT = {"running", "parent_span_id", "prompt_id", "prompt_sha256"}  # under other names, or not at all


def count(store, table):
    return store.read(sa.select(sa.func.count()).select_from(table))[0][0][0]


def test_everything_that_a_call_is_comes_back(database):
    call = call_of(key_id="k1", cost_usd=0.004, error_type="x")
    record(database, call)
    found = show_call(Store.open(database), call.trace_id)
    for each in fields(Call):
        if each.name not in NOT_KEPT | {"started_at", "prompt_version"}:
            assert found[each.name] == getattr(call, each.name), each.name
    assert found["started_at"] == "2026-11-25T12:00:00.000Z"
    assert found["prompt_version"] == f"answer/1@{sha(PROMPT)[:8]}"
    assert found["prompt"] == {"id": "answer", "version": 1, "sha256": sha(PROMPT), "text": PROMPT}


def test_a_call_of_which_little_is_known_comes_back_with_nulls_not_zeros(database):
    call = Call("messages", 503, error_type="overloaded_error")
    record(database, call)
    found = show_call(Store.open(database), call.trace_id)
    for name in ("question", "answer", "confidence", "abstained", "input_tokens", "cost_usd", "total_ms"):
        assert found[name] is None
    assert (found["sources"], found["attempts"], found["parameters"]) == ([], [], {})
    assert found["prompt"] is found["prompt_version"] is None


def test_texts_that_no_database_takes_are_made_harmless(database):
    call = call_of(question="null \0, half a pair \ud800", answer="𝛑 😀 é", attempts=[{"query": "\udfff\0"}])
    record(database, call)
    found = show_call(Store.open(database), call.trace_id)
    assert found["question"] == "null , half a pair ?"
    assert found["answer"] == call.answer


def test_prompts_and_passages_are_kept_once(database):
    same, other = source_of("the same"), source_of("another", number=2)
    record(database, *(call_of(sources=[same, other]) for _ in range(20)))
    record(database, call_of(sources=[same]))  # another process, which doesn't know what is there
    store = Store.open(database)
    assert (count(store, calls), count(store, prompts), count(store, texts)) == (21, 1, 2)


def test_pages_of_short_rows_the_latest_first(database):
    record(database, *(call_of(question=f"question {i}", trace_id=f"{i:032x}") for i in range(7)))
    store = Store.open(database)
    first = list_calls(store, limit=3)
    rest = list_calls(store, limit=10, before=first["next"])
    asked = [each["question"] for each in first["calls"] + rest["calls"]]
    assert asked == [f"question {i}" for i in reversed(range(7))]
    assert rest["next"] is None
    assert list_calls(store, limit=7)["next"] is None
    assert "answer" not in first["calls"][0]


def test_the_doubtful_and_the_failed_by_themselves(database):
    record(
        database,
        call_of(confidence=0.2, trace_id="a" * 32),
        call_of(status=503, error_type="overloaded_error", trace_id="b" * 32),
        call_of(confidence=None, trace_id="c" * 32),
    )
    store = Store.open(database)
    assert [each["trace_id"][0] for each in list_calls(store, low_confidence=True)["calls"]] == ["a"]
    assert [each["trace_id"][0] for each in list_calls(store, error=True)["calls"]] == ["b"]


def test_a_trace_id_may_be_cut_short(database):
    record(database, call_of(trace_id="ab12" + "0" * 28), call_of(trace_id="ab13" + "f" * 28))
    store = Store.open(database)
    assert show_call(store, "AB12")["trace_id"].startswith("ab12")
    assert show_call(store, "ab13")["trace_id"].startswith("ab13")
    assert show_call(store, "ab14") is None
    for wrong in ("ab", "no hex", "ab%", "a" * 33):
        with pytest.raises(UserError, match="is not a trace id"):
            show_call(store, wrong)
    record(database, call_of(trace_id="ab12" + "1" * 28))
    with pytest.raises(UserError, match="several calls"):
        show_call(store, "ab12")


# --- prune ----------------------------------------------------------------------------------------------


def test_prune_deletes_what_is_older_and_the_texts_that_nobody_uses(database, monkeypatch):
    monkeypatch.setattr("step5_serving.telemetry.prune.STEP", 2)
    days = [call_of(started_at=after(-86400 * day), trace_id=f"{day:032x}") for day in range(7)]
    record(database, *days)
    store = Store.open(database)
    assert prune(store, timedelta(days=4), at=after(1))["calls"] == 3
    left = list_calls(store)["calls"]
    assert [int(each["trace_id"], 16) for each in left] == [3, 2, 1, 0]
    assert show_call(store, left[0]["trace_id"])["prompt"]["text"] == PROMPT
    with store.writing() as connection:  # as if they had been used last week
        for table in (texts, prompts):
            connection.execute(sa.update(table).values(seen_us=0))
    gone = prune(store, timedelta(0), at=after(1))
    assert (gone["calls"], gone["passages"], gone["prompts"], gone["left"]) == (4, 1, 1, 0)


def test_a_text_that_is_used_is_marked_as_seen_twice_a_day_and_so_outlives_a_prune(database, monkeypatch):
    store = Store.open(database, create=True)
    sink, now = sinks.sink_of(store), [10**15]
    monkeypatch.setattr(sinks.time, "time_ns", lambda: now[0] * 1000)
    seen = lambda: store.read(sa.select(texts.c.seen_us))[0][0][0]  # noqa: E731
    sink.write([(call_of(), PROMPT)])
    began = seen()
    now[0] += 3600 * 10**6
    sink.write([(call_of(), PROMPT)])
    assert seen() == began  # an hour later: not worth a write
    now[0] += 12 * 3600 * 10**6
    sink.write([(call_of(), PROMPT)])
    assert seen() == now[0]
    sink.close()


# --- opening --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("://", "not a URL of a database"),
        ("", "not a URL of a database"),
        ("nowhere/telemetry.db", "no telemetry in nowhere/telemetry.db"),
        ("mysql://host/name", "is not supported"),
        ("sqlite://", "is not supported"),
        ("sqlite:///nowhere/telemetry.db", "no telemetry in nowhere"),
        ("postgresql+psycopg://tester:secret@/postgres?host=/nowhere", "cannot be opened"),
    ],
)
def test_a_url_that_leads_nowhere_is_said_in_one_line(text, said):
    if text.startswith("postgresql"):
        pytest.importorskip("psycopg", reason="pip install 'psycopg[binary]'")
    with pytest.raises(UserError, match=said) as error:
        Store.open(text)
    assert "secret" not in str(error.value)


def test_a_file_needs_no_url(tmp_path):
    Store.open(str(tmp_path / "calls.db"), create=True).close()
    assert Store.open(f"sqlite:///{tmp_path}/calls.db").file == Store.open(str(tmp_path / "calls.db")).file


def test_a_file_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE meta (key TEXT, value TEXT)")
    with pytest.raises(UserError, match="holds other tables"):
        Store.open(f"sqlite:///{path}", create=True)
    path.write_text("Dear diary")
    with pytest.raises(UserError, match="cannot be opened: file is not a database"):
        Store.open(f"sqlite:///{path}", create=True)


def test_another_format_is_refused(database):
    record(database)
    with Store.open(database).writing() as connection:
        connection.execute(sa.text("UPDATE meta SET value = '99'"))
    with pytest.raises(UserError, match="has format 99, this program writes 2"):
        Store.open(database)


def test_several_workers_may_start_at_once(database):
    failed = []

    def start():
        try:
            Store.open(database, create=True).close()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failed


# --- when it can't be written ---------------------------------------------------------------------------


def writing(address, work):
    """Run `work(recorder)`."""

    async def run():
        recorder = Recorder.from_url(address)
        try:
            return await work(recorder)
        finally:
            await recorder.close()

    return asyncio.run(run())


@pytest.fixture
def file(tmp_path):
    return tmp_path / "telemetry.db"


def test_a_full_disk_refuses_the_call_and_nothing_else(file):
    async def work(recorder):
        await recorder.record(call_of())
        recorder.sink.db.execute("PRAGMA max_page_count = 1")  # it takes the least that is possible
        with pytest.raises(TelemetryDown, match="database or disk is full") as error:
            await recorder.record(call_of(answer="long " * 20_000))
        assert (error.value.status, error.value.type) == (503, "telemetry_unavailable")
        assert await recorder.ready() is None  # a new connection, without the limit
        await recorder.record(call_of())

    writing(f"sqlite:///{file}", work)
    assert count(Store.open(f"sqlite:///{file}"), calls) == 2


def test_a_database_that_another_holds_is_waited_for_but_not_for_ever(file, monkeypatch):
    monkeypatch.setattr("step5_serving.telemetry.store.PATIENCE", 0.1)

    async def work(recorder):
        await recorder.record(call_of())
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        recorder.sink.db.execute("PRAGMA busy_timeout = 100")
        with pytest.raises(TelemetryDown, match="database is locked"):
            await recorder.record(call_of())
        recorder.sink._open().execute("PRAGMA busy_timeout = 100")
        assert "database is locked" in await recorder.ready()
        other.execute("ROLLBACK")
        await recorder.record(call_of())
        other.close()

    writing(f"sqlite:///{file}", work)
    assert count(Store.open(f"sqlite:///{file}"), calls) == 2


def test_a_file_that_was_deleted_is_begun_anew_and_no_row_goes_nowhere(file, capsys):
    async def work(recorder):
        await recorder.record(call_of())
        for each in file.parent.glob("telemetry.db*"):
            each.unlink()
        await recorder.record(call_of(question="after"))

    writing(f"sqlite:///{file}", work)
    found = list_calls(Store.open(f"sqlite:///{file}"))["calls"]
    assert [each["question"] for each in found] == ["after"]
    assert "is gone; it is begun anew" in capsys.readouterr().err


def test_a_folder_that_vanished_refuses_calls_until_it_is_there_again(tmp_path):
    folder = tmp_path / "disk"
    file, away = folder / "telemetry.db", tmp_path / "away"

    async def work(recorder):
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

    writing(f"sqlite:///{file}", work)
    assert count(Store.open(f"sqlite:///{file}"), calls) == 2


def test_a_hung_database_does_not_hang_the_caller(file, monkeypatch):
    monkeypatch.setattr(writer, "LONGEST", 0.1)
    goes_on = threading.Event()

    async def work(recorder):
        recorder.sink.write = lambda _batch: goes_on.wait(5)
        with pytest.raises(TelemetryDown, match="not written within"):
            await recorder.record(call_of())
        goes_on.set()
        await asyncio.sleep(0.05)

    writing(f"sqlite:///{file}", work)


def test_whoever_gives_up_waiting_leaves_his_row(file):
    async def work(recorder):
        task = asyncio.ensure_future(recorder.record(call_of()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    writing(f"sqlite:///{file}", work)
    assert count(Store.open(f"sqlite:///{file}"), calls) == 1


def test_many_waiters_share_few_commits(file):
    batches = []

    async def work(recorder):
        real = recorder.sink.write
        recorder.sink.write = lambda batch: (batches.append(len(batch)), real(batch))
        await asyncio.gather(*(recorder.record(call_of()) for _ in range(400)))

    writing(f"sqlite:///{file}", work)
    assert sum(batches) == 400
    assert len(batches) < 100


def test_reading_a_database_that_is_gone_is_said_in_one_line(file):
    record(f"sqlite:///{file}", call_of())
    store = Store.open(f"sqlite:///{file}")
    file.unlink()
    with pytest.raises(TelemetryDown, match="cannot be read: unable to open database file"):
        list_calls(store)
    assert not file.exists()


def test_postgres_that_is_restarted_is_found_again(postgres_server, postgres):
    async def work(recorder):
        await recorder.record(call_of())
        postgres_server.stop()
        with pytest.raises(TelemetryDown):
            await recorder.record(call_of())
        assert "cannot be written" in await recorder.ready()
        postgres_server.start()
        assert await recorder.ready() is None
        await recorder.record(call_of())

    writing(postgres, work)
    assert count(Store.open(postgres), calls) == 2
