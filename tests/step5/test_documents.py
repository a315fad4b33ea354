"""Adding and deleting documents while questions are answered: consistency, one change at a time, errors."""

import asyncio
import contextlib
import sqlite3
import threading

import pytest
from filelock import FileLock

from shared.errors import UserError
from step3_rag import cached_index
from step3_rag.ingest.index import Index
from step3_rag.retrieve.search import SearchOptions
from step3_rag.retrieve.snapshot import Snapshot
from step3_rag.stores import vector_store
from step5_serving.api.keys import Keys
from step5_serving.errors import ApiError
from step5_serving.rag.library import upload_of
from tests.step5.service_parts import app_of, client_of, error_of, eventually, in_loop, operator_of


@pytest.fixture
def made(rag, tmp_path):
    """A server that quotes from the five documents."""
    found = rag(reader="quote")
    found.client = operator_of(app_of(found.answerer, reader="quote"), tmp_path)
    return found


def text(name="leave.md", words="# Parrots\n\nThe parrot sings at noon.", **fields):
    """A form with one document."""
    return {"files": {"files": (name, words.encode())}, "data": fields}


async def ask(client, question):
    got = await client.post("/query", json={"question": question})
    assert got.status_code == 200, got.text
    return got.json()


def documents_of(body):
    return {each["document"] for each in body["sources"]}


@in_loop
async def test_a_document_is_added_replaced_and_deleted(made):
    assert "birds/parrots.md" not in documents_of(await ask(made.client, "When does the parrot sing?"))
    first = await made.client.post("/ingest", **text("parrots.md", collection="birds"))
    assert first.status_code == 200, first.text
    assert first.json()["new"] == ["birds/parrots.md"]
    [row] = first.json()["documents"]
    assert (row["name"], row["collection"], row["title"]) == ("birds/parrots.md", "birds", "Parrots")
    assert "path" not in row
    body = await ask(made.client, "When does the parrot sing?")
    assert body["sources"][0]["document"] == "birds/parrots.md"

    same = await made.client.post("/ingest", **text("parrots.md", collection="birds"))
    assert (same.json()["unchanged"], same.json()["new"], same.json()["changed"]) == (1, [], [])
    dusk = text("parrots.md", "# Parrots\n\nThe parrot sings at dusk.", collection="birds")
    other = await made.client.post("/ingest", **dusk)
    assert other.json()["changed"] == ["birds/parrots.md"]
    body = await ask(made.client, "When does the parrot sing?")
    assert any("dusk" in each["text"] for each in body["sources"])
    assert not any("noon" in each["text"] for each in body["sources"])

    listed = (await made.client.get("/documents")).json()["documents"]
    assert len(listed) == 6
    names = (await made.client.get("/collections")).json()["collections"]
    assert names["birds"] == ["birds/parrots.md"]
    assert sum(map(len, names.values())) == 6
    id = next(each["id"] for each in listed if each["name"] == "birds/parrots.md")
    gone = await made.client.delete(f"/documents/{id}")
    assert gone.json()["name"] == "birds/parrots.md"
    assert "birds/parrots.md" not in documents_of(await ask(made.client, "When does the parrot sing?"))
    again = await made.client.delete(f"/documents/{id}")
    assert again.status_code == 404
    assert error_of(again) == ("not_found_error", f"there is no document {id}: see GET /documents")

    from_folder = await made.client.post("/ingest", **text("supply.md", collection="contracts"))
    assert from_folder.json()["changed"] == ["contracts/supply.md"]
    assert len((await made.client.get("/documents")).json()["documents"]) == 5


@in_loop
async def test_a_deleted_document_is_in_no_file_of_the_index_and_the_reply_says_where_it_may_be(made):
    """Its text was in free pages of the database; it may be in telemetry, and in the log for a while."""
    sent = await made.client.post("/ingest", **text("tea.md", "# Tea\n\n" + "Rosewater tea. " * 3000))
    [row] = sent.json()["documents"]
    gone = await made.client.delete(f"/documents/{row['id']}")
    assert gone.json()["name"] == "tea.md"
    note = gone.json()["note"]
    assert "telemetry rows" in note
    assert "write-ahead log" in note
    assert "`python -m step5_serving telemetry prune --older-than 1s`" in note
    index = made.home / "index.sqlite"
    with contextlib.closing(sqlite3.connect(index)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"Rosewater" not in index.read_bytes()


@in_loop
async def test_the_documents_of_the_sample_cannot_be_changed(made, monkeypatch):
    """Its index is made again at each start, so that a change would be lost."""
    monkeypatch.setattr(cached_index, "sample_home", lambda _settings: made.home)
    for got in (await made.client.post("/ingest", **text()), await made.client.delete("/documents/1")):
        assert got.status_code == 400
        assert "make an index of your own with `python -m step3_rag ingest PATH`" in error_of(got)[1]
    assert len((await made.client.get("/documents")).json()["documents"]) == 5


@in_loop
async def test_the_rows_say_who_changed_the_documents(made, tmp_path):
    keys = Keys(tmp_path / "keys.json")
    key, secret = keys.add("carol", ["operate"])
    app = app_of(made.answerer, keys=keys)
    client = client_of(app, headers={"x-api-key": secret})
    [row] = (await client.post("/ingest", **text("parrots.md"))).json()["documents"]
    await client.delete(f"/documents/{row['id']}")
    assert (await client.delete("/documents/12345")).status_code == 404
    calls = app.state.service.recorder.calls
    assert [(call.route, call.question, call.key_id, call.status) for call in calls] == [
        ("ingest", "parrots.md", key.id, 200),
        ("delete", str(row["id"]), key.id, 200),
        ("delete", "12345", key.id, 404),
    ]


@in_loop
async def test_several_files_in_a_form(made):
    page = b"<h1>Owls</h1><p>Owls hunt in the dark.</p>"
    files = [
        ("files", ("owls.html", page, "text/html")),
        ("files", ("prices.csv", b"bird,price\nowl,30\n", "text/csv")),
        ("files", ("broken.pdf", b"%PDF-1.4 no more than that", "application/pdf")),
    ]
    got = await made.client.post("/ingest", files=files, data={"collection": "birds"})
    assert got.status_code == 200, got.text
    body = got.json()
    assert body["new"] == ["birds/owls.html", "birds/prices.csv"]
    assert list(body["failed"]) == ["birds/broken.pdf"]
    assert "birds/owls.html" in documents_of(await ask(made.client, "When do owls hunt?"))


NO_DOCUMENTS = [
    ({"name": "a.exe"}, "a.exe: .exe can't be read: use one of .md"),
    ({"name": "a"}, "a: no ending can't be read"),
    ({"name": "../a.md"}, "the name '../a.md' is not allowed"),
    ({"name": "a//b.md"}, "is not allowed"),
    ({"collection": "a/b"}, "the collection 'a/b' is not allowed"),
    ({"collection": ".."}, "is not allowed"),
    ({"words": " \n "}, "leave.md: no text in it"),
    ({"name": "a.pdf", "words": "no pdf"}, "a.pdf: "),
]
NO_FORMS = [
    ({"content": b"x", "headers": {"content-type": "text/plain"}}, 400),
    ({"json": {"name": "a.md", "text": "x"}}, 400),
    ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
    ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=y"}}, 400),
    ({"data": {"collection": "birds"}, "files": {"collection": ("a.md", b"x")}}, 400),
    ({"data": {"other": "birds"}, "files": {"files": ("a.md", b"x")}}, 400),
    ({"files": {"files": ("", b"x")}}, 400),
    ({"files": [("files", (f"{i}.md", b"x")) for i in range(101)]}, 400),
]


@in_loop
async def test_wrong_documents_and_forms_are_refused(made):
    for given, said in NO_DOCUMENTS:
        got = await made.client.post("/ingest", **text(**given))
        assert (got.status_code, error_of(got)[0]) == (400, "invalid_request_error"), given
        assert said in error_of(got)[1]
    for options, status in NO_FORMS:
        got = await made.client.post("/ingest", **options)
        assert (got.status_code, error_of(got)[0]) == (status, "invalid_request_error"), options


@pytest.mark.parametrize(
    ("name", "collection", "called"),
    [
        ("leave.md", None, ("leave.md", "documents")),
        ("leave.md", "handbook", ("handbook/leave.md", "handbook")),
        ("handbook/leave.md", None, ("handbook/leave.md", "handbook")),
        ("handbook/leave.md", "handbook", ("handbook/leave.md", "handbook")),
        ("./leave.MD", " ", ("leave.MD", "documents")),
        ("Größe 猫.txt", None, ("Größe 猫.txt", "documents")),
    ],
)
def test_the_name_and_collection_of_an_upload(name, collection, called):
    upload = upload_of(name, collection, b"x")
    assert (upload.name, upload.collection) == called


@pytest.mark.parametrize("name", ["price-list.csv", "price-list.txt"])
def test_an_upload_without_a_heading_is_called_by_its_file_name(name):
    assert upload_of(name, None, b"item,price\nbolt,0.40\n").read().title == "price list"


@in_loop
async def test_questions_never_fail_or_get_half_a_document_while_documents_change(made):
    """A search has all chunks of one version of a document, or none of it."""
    library, retriever = made.answerer.library, made.answerer.retriever
    seen, answered, stop = [], [], threading.Event()

    def version(letter):
        parts = (f"# Part {i}\n\n{letter * 3} zebra {letter * 3} stripe {i}." for i in range(12))
        return "\n\n".join(parts).encode()

    def look():
        while not stop.is_set():
            found = retriever.search("zebra stripe", SearchOptions(k=100))
            texts = [each.text for each in found.best if each.document == "zebra.md"]
            letters = {text.split("zebra")[0].split()[-1] for text in texts}
            seen.append(("".join(sorted(letters)), len(texts)))

    def lately():
        return {letters for letters, _ in seen[-3:]}

    async def ask_on():
        while not stop.is_set():
            answered.append(await ask(made.client, "zebra stripe"))

    others = [asyncio.ensure_future(each) for each in (asyncio.to_thread(look), ask_on(), ask_on())]
    try:
        for letter in "ababa":
            upload = upload_of("zebra.md", None, version(letter))
            [row] = (await library.ingest([upload]))["documents"]
            await eventually(lambda wanted=letter * 3: wanted in lately())
            before = len(answered)
            await eventually(lambda before=before: len(answered) > before)
            if letter == "b":
                await library.remove(row["id"])
                await eventually(lambda: "" in lately())
    finally:
        stop.set()
    await asyncio.gather(*others)
    assert len(seen) > 20
    chunks = max(n for _, n in seen)
    assert {*seen} == {("", 0), ("aaa", chunks), ("bbb", chunks)}


@in_loop
async def test_while_another_process_writes_an_ingest_gets_503(made):
    with FileLock(made.home / ".lock"):
        got = await made.client.post("/ingest", **text())
    line = f"another process is writing to {made.home}: try again when it is done"
    assert (got.status_code, error_of(got)) == (503, ("overloaded_error", line))
    assert got.headers["retry-after"] == "10"
    assert (await made.client.post("/ingest", **text())).status_code == 200


@in_loop
async def test_an_index_works_after_the_vector_store_failed(made, monkeypatch):
    def broken(*args, **kwargs):
        raise UserError("the vector store chroma failed: gone")

    with monkeypatch.context() as patched:
        patched.setattr(vector_store, "sync", broken)
        got = await made.client.post("/ingest", **text("parrots.md"))
        assert got.status_code == 503
        assert "vector store" in error_of(got)[1]
        assert (await ask(made.client, "When does the parrot sing?"))["answer"]
    assert (await made.client.post("/ingest", **text("owls.md", "# Owls\n\nThey hunt."))).status_code == 200
    with contextlib.closing(Index.open(made.home, {})) as index:
        assert vector_store.is_current(index, made.answerer.retriever.store)


@in_loop
async def test_a_snapshot_that_could_not_be_completed_is_completed_by_the_next_question(made, monkeypatch):
    def broken(_snapshot):
        raise UserError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(Snapshot, "vocabulary", property(broken))
        assert (await made.client.post("/ingest", **text("a.md", collection="birds"))).status_code == 503
    asked = {"question": "When does the parrot sing?", "collection": "birds"}
    assert (await made.client.post("/query", json=asked)).status_code == 200


@in_loop
async def test_an_ingest_that_fails_leaves_nothing(made, monkeypatch):
    def broken(texts, *args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(made.answerer.retriever.embedder, "encode", broken)
    with pytest.raises(ApiError, match=r"cannot write to the index: .*No space left"):
        await made.answerer.library.ingest([upload_of("parrot.md", None, b"# Parrot\n\nIt sings.")])
    assert len(await made.answerer.library.documents()) == 5
