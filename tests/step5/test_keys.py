"""API keys: how they are stored, what they allow, changes while a server runs; and the rate of each."""

import contextlib
import json
import os
import re
import stat

import pytest

from shared.errors import UserError
from shared.launch import ExitCode, run
from shared.masking import masked
from step5_serving import KEY
from step5_serving.__main__ import app as command_line
from step5_serving.api import rates
from step5_serving.api.keys import UNKNOWN_KEY, Keys
from step5_serving.api.rates import Rates
from tests.step5.service_parts import ASKED, TRACE, app_of, calls_of, error_of, get, post, request


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


def test_a_key_is_masked_wherever_secrets_are(path, capsys):
    text = Keys(path).add("alice", ["ask"])[1]
    assert masked(f"key {text}, or {text.upper()}") == "key ***, or ***"
    assert masked(f"http://{text}@host") == "http://***@host"
    with pytest.raises(SystemExit) as error:  # an id is expected, and the error names what was given
        run(command_line, "step5_serving", ["keys", "remove", text, "--keys", str(path)])
    assert error.value.code == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "no key '***' in" in said
    assert text not in said


def test_a_key_is_long_random_and_stored_as_a_hash_only(path):
    key, text = Keys(path).add("alice", ["ask"])
    assert re.fullmatch(KEY, text)
    assert text != Keys(path).add("bob", ["ask"])[1]
    kept = path.read_text()
    assert text not in kept
    assert text.split("_", 2)[2] not in kept  # the secret part; it may hold underscores
    row = json.loads(kept)["keys"][0]
    assert (row["id"], row["name"], row["scopes"]) == (key.id, "alice", ["ask"])
    assert re.fullmatch("[0-9a-f]{64}", row["sha256"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_is_found_until_it_is_removed(path):
    keys = Keys(path)
    key, text = keys.add("alice", ["ask", "operate"])
    assert Keys(path).find(text) == key
    assert keys.find(text + "x") is None
    assert keys.find("") is None
    assert keys.remove("alice") == key
    assert keys.find(text) is None
    _, text = keys.add("alice", ["ask"])  # the name is free again
    keys.remove(keys.find(text).id)
    assert len(keys) == 0


@pytest.mark.parametrize(
    ("name", "scopes", "said"),
    [
        ("", ["ask"], "the name '' is not allowed"),
        ("a/b", ["ask"], "is not allowed"),
        ("x" * 61, ["ask"], "is not allowed"),
        ("alice", ["rule"], "--scope rule is not known: use ask or operate"),
        ("alice", [], "use ask or operate"),
        ("taken", ["ask"], "there is a key named taken already"),
    ],
)
def test_wrong_names_and_scopes_are_refused(path, name, scopes, said):
    keys = Keys(path)
    keys.add("taken", ["ask"])
    with pytest.raises(UserError, match=re.escape(said)):
        keys.add(name, scopes)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_text('{"keys": [{"id": 1}]}'), "is not a file of keys"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is not a file of keys"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot read the keys"),
        (lambda path: path.unlink(), "is gone or empty"),
        (lambda path: path.write_bytes(b""), "is gone or empty"),
    ],
)
def test_a_damaged_file_stops_the_start_and_refuses_everybody_until_it_is_repaired(path, spoil, said, caplog):
    now = [0.0]
    keys = Keys(path, clock=lambda: now[0])
    _, text = keys.add("alice", ["ask"])
    app, content = app_of(keys=keys), path.read_bytes()
    spoil(path)
    if "is gone" not in said:
        with pytest.raises(UserError, match=said):
            Keys(path)
    now[0] = 1.1
    got = post(app, headers={"x-api-key": text})
    assert got.status_code == 503
    assert error_of(got) == ("api_error", "the server can't read its keys: try again later")
    assert post(app).status_code == 503
    assert caplog.messages == [f"keys: {keys.trouble}"]
    assert [get(app, "/readyz").status_code for _ in range(2)] == [503] * 2
    assert len(caplog.messages) == 1
    assert said in keys.trouble
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    path.write_bytes(content)
    now[0] = 2.2
    assert post(app, headers={"x-api-key": text}).status_code == 200
    assert caplog.messages[1:] == ["keys: works again"]


@contextlib.contextmanager
def full_disk(size):
    """Files may grow to this size only: to a program as if the disk were full."""
    resource = pytest.importorskip("resource", reason="not on Windows")
    name = resource.RLIMIT_FSIZE
    limits = resource.getrlimit(name)
    resource.setrlimit(name, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(name, limits)


@pytest.mark.parametrize("room", [None, 0, 30])
def test_a_full_disk_leaves_the_keys_as_they_were(path, refused, room):
    """`room`: what fits after the old content; None: nothing at all, not even where it was."""
    keys = Keys(path)
    _, text = keys.add("alice", ["ask"])
    content = path.read_bytes()
    with full_disk(0 if room is None else len(content) + room):
        assert "cannot write" in refused("step5_serving", "keys", "add", "bob", "--keys", str(path))
    assert path.read_bytes() == content
    assert Keys(path).find(text)


@pytest.mark.parametrize("room", [0, 30])
def test_a_full_disk_leaves_no_half_file_of_keys(path, refused, command, room):
    """An empty one stopped the start of every command, `keys add` too."""
    with full_disk(room):
        assert "cannot write" in refused("step5_serving", "keys", "add", "alice", "--keys", str(path))
    assert [file.name for file in path.parent.iterdir() if file.suffix != ".lock"] == []
    assert command("step5_serving", "keys", "add", "alice", "--keys", str(path)).code == 0
    assert len(Keys(path)) == 1


def test_keys_add_fills_a_file_that_was_left_empty(path, command):
    path.touch()
    assert command("step5_serving", "keys", "add", "alice", "--keys", str(path)).code == 0
    assert len(Keys(path)) == 1


def test_an_id_removes_its_key_and_not_one_that_is_named_so(path):
    keys = Keys(path)
    namesake, _ = keys.add("0a1b2c3d", ["ask"])
    alice, _ = keys.add("alice", ["ask"])
    path.write_text(path.read_text().replace(alice.id, "0a1b2c3d"))
    assert Keys(path).remove("0a1b2c3d").name == "alice"
    assert list(Keys(path)) == [namesake]
    assert Keys(path).remove("0a1b2c3d") == namesake  # now nobody else is meant


def test_a_running_server_sees_a_new_key_and_a_revoked_one_within_a_second(path, tmp_path):
    """A container that has mounted the file sees its inode, not its name, and perhaps an old time stamp."""
    now, mounted = [0.0], tmp_path / "mounted.json"
    _, old = Keys(path).add("alice", ["ask"])
    mounted.hardlink_to(path)
    running, before = Keys(mounted, clock=lambda: now[0]), path.stat()
    _, new = Keys(path).add("bob", ["ask"])
    Keys(path).remove("alice")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert running.find(old)  # the file was read a moment ago
    assert running.find(new) is None
    now[0] = 1.1
    assert running.find(old) is None
    assert running.find(new)


# --- access -----------------------------------------------------------------------------------------------


FORWARDED = {
    "forwarded": "for=203.0.113.7",
    "x-forwarded-for": "203.0.113.7",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "rag.example.com",
    "via": "1.1 caddy",
    "x-real-ip": "203.0.113.7",
}


def test_once_there_is_a_key_every_request_needs_one(path):
    keys = Keys(path)
    app = app_of(keys=keys)
    assert post(app).status_code == 200
    key, text = keys.add("alice", ["ask"])
    got = post(app)
    assert got.status_code == 401
    assert error_of(got) == ("authentication_error", UNKNOWN_KEY)  # not masked
    assert post(app, headers={"x-api-key": "s5_wrong"}).status_code == 401
    for headers in (
        {"x-api-key": text},
        {"authorization": f"Bearer {text}"},
        {"authorization": f"bearer {text}"},
        {"x-api-key": text, **FORWARDED},
    ):
        assert post(app, headers=headers).status_code == 200
    assert [call.key_id for call in calls_of(app)] == [None] + [key.id] * 4


ASK = ("/query", "/query/stream", "/feedback", "/collections")


def test_each_route_except_health_needs_a_key_with_its_scope(path):
    keys = Keys(path)
    texts = {scope: keys.add(scope, [scope])[1] for scope in ("ask", "operate")}
    app = app_of(keys=keys)
    for place, operations in app.openapi()["paths"].items():
        if place in ("/healthz", "/readyz"):
            assert get(app, place).status_code == 200
            continue
        wanted, other = ("ask", "operate") if place in ASK else ("operate", "ask")
        given = {"trace_id": "ab12" * 8, "thumb": "up"} if place == "/feedback" else {"question": "Who?"}
        url = place.replace("{id}", "1").replace("{trace_id}", "ab12")
        for method in operations:
            body = {"json": given} if method == "post" else {}
            assert request(app, method, url, **body).status_code == 401, place
            got = request(app, method, url, headers={"x-api-key": texts[other]}, **body)
            assert got.status_code == 403, place
            assert error_of(got) == ("permission_error", f"this key is for {other}, and this needs {wanted}")
    assert post(app, headers={"x-api-key": texts["ask"]}).status_code == 200
    assert get(app, "/metrics", headers={"x-api-key": texts["operate"]}).status_code == 200


@pytest.mark.parametrize("reach", [{"host": "0.0.0.0"}, {"names": ("rag.example.com",)}])
def test_a_reachable_server_needs_keys_even_if_there_are_none(path, reach):
    assert post(app_of(keys=Keys(path), **reach)).status_code == 401


@pytest.mark.parametrize("header", FORWARDED)
def test_without_keys_forwarded_requests_are_refused(path, header):
    """A proxy on this machine makes every request look like one from loopback."""
    app, headers = app_of(keys=Keys(path)), {header: FORWARDED[header]}
    for method, place in (("POST", "/query"), ("GET", "/"), ("GET", "/metrics")):
        got = request(app, method, place, json=ASKED, headers=headers)
        assert got.status_code == 403
        kind, message = error_of(got)
        assert kind == "permission_error"
        assert f"through a proxy ({header})" in message
        assert "keys add" in message
    assert calls_of(app) == []


def test_the_commands_add_list_and_remove(path, command, refused, monkeypatch):
    monkeypatch.setenv("ROADMAP_REPORTS_DIR", str(path.parent))
    flag = ("--keys", str(path))
    made = command("step5_serving", "keys", "add", "alice", "--scope", "operate", *flag)
    text = made.out.splitlines()[0]
    assert Keys(path).find(text).scopes == ("operate",)
    as_json = command("step5_serving", "keys", "add", "bob", "--json", *flag)
    assert Keys(path).find(json.loads(as_json.out)["key"]).scopes == ("ask",)
    listed = command("step5_serving", "keys", "list", *flag)
    assert "alice" in listed.out
    assert json.loads((path.parent / "step5_serving" / "keys.json").read_text())["headline"] == "keys: 2"
    assert text not in listed.out
    assert "removed" in command("step5_serving", "keys", "remove", "alice", *flag).out
    assert "no key 'alice'" in refused("step5_serving", "keys", "remove", "alice", *flag)


# --- rates: a burst, then a steady rate, for each key ------------------------------------------------------


def test_a_burst_then_a_steady_rate():
    now = [0.0]
    limit = Rates(2, 3, lambda: now[0])
    assert [limit.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    now[0] = 0.4
    assert limit.take("a") == pytest.approx(0.1)
    now[0] = 0.5
    assert limit.take("a") == 0.0
    now[0] = 100.0
    assert [limit.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]  # no more than it holds


def test_each_caller_has_a_bucket_and_the_oldest_is_dropped(monkeypatch):
    monkeypatch.setattr(rates, "MOST", 3)
    limit = Rates(1, 1, lambda: 0.0)
    for who in "abcd":
        assert limit.take(who) == 0.0
    assert limit.take("d") > 0
    assert limit.take("a") == 0.0
    assert len(limit._buckets) == 3


def test_each_key_has_its_own_rate_and_the_first_refusal_of_a_minute_has_a_row_without_text(tmp_path):
    keys = Keys(tmp_path / "keys.json")
    one, two = (keys.add(name, ["ask", "operate"])[1] for name in ("one", "two"))
    app = app_of(keys=keys, rate=0.01, burst=2)
    assert [post(app, headers={"x-api-key": "wrong"}).status_code for _ in range(3)] == [401] * 3  # not 429
    assert [post(app, headers={"x-api-key": one}).status_code for _ in range(2)] == [200, 200]
    for path in ("/query", "/query/stream"):
        got = post(app, path, headers={"x-api-key": one, "traceparent": TRACE})
        assert (got.status_code, error_of(got)[0]) == (429, "rate_limit_error")
        assert 0 < int(got.headers["retry-after"]) <= 101
        last = calls_of(app)[-1]
        assert (last.error_type, last.cost_usd, last.question) == ("rate_limit_error", 0.0, None)
        assert last.trace_id in TRACE
    assert b'rag_errors_total{type="rate_limit_error"} 2.0' in app.state.metrics.page()
    assert post(app, headers={"x-api-key": two}).status_code == 200
    ids = [keys.find(each).id for each in (one, two)]
    rows = [(call.status, call.key_id) for call in calls_of(app)]
    assert rows == [(status, ids[0]) for status in (200, 200, 429)] + [(200, ids[1])]
    assert get(app, "/readyz").status_code == 200
