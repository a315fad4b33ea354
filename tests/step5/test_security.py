"""The middleware before the routes: headers, hosts, origins, limits of bodies; and logs without secrets."""

import asyncio
import logging
import sys

import pytest

from step5_serving.addresses import is_loopback
from step5_serving.api import security, server
from step5_serving.api.keys import SCOPES, Keys
from step5_serving.api.security import Limit
from step5_serving.config import Config
from step5_serving.errors import ApiError
from tests.step5.service_parts import FakeAnswerer, app_of, error_of, get, post, request


@pytest.mark.parametrize("path", ["/", "/nowhere", "/query"])
def test_every_reply_has_the_security_headers(path):
    headers = get(app_of(), path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-request-id"].startswith("req_")
    assert headers["cache-control"]
    assert "server" not in headers


OURS = ["127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000", "rag.example.com"]
FOREIGN = ["evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "", "123", "[::2]"]


@pytest.mark.parametrize("host", OURS + FOREIGN)
def test_only_known_hosts_are_answered(host):
    got = get(app_of(names=["rag.example.com"], host="127.0.0.1"), "/healthz", headers={"host": host})
    assert got.status_code == (200 if host in OURS else 421)
    assert host in OURS or "is not served here" in error_of(got)[1]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1", 200),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://localhost:9", 403),
        ("http://127.0.0.1:80x", 403),
    ],
)
def test_pages_of_other_sites_may_not_call(origin, status):
    got = post(app_of(), headers={"origin": origin})
    assert got.status_code == status
    assert status == 200 or error_of(got)[0] == "permission_error"


@pytest.mark.parametrize(
    ("path", "kind", "start"),
    [
        ("/query/stream", "application/json", b" "),
        (
            "/ingest",
            "multipart/form-data; boundary=x",
            b"--x\r\ncontent-disposition: form-data; name=a\r\n\r\n",
        ),
    ],
)
@pytest.mark.parametrize(("headers", "most"), [({"content-length": "1001"}, 0), ({}, 1200)])
def test_a_body_that_is_too_large_is_not_read_to_its_end(
    tmp_path, monkeypatch, headers, most, path, kind, start
):
    for name in ("QUESTION", "INGEST"):
        monkeypatch.setattr(security, name, Limit(1000, 15))
    sent = 0

    async def pieces():
        nonlocal sent
        yield start
        for _ in range(1000):
            sent += 100
            yield b" " * 100

    _, key = (keys := Keys(tmp_path / "keys.json")).add("ann", SCOPES)
    app = app_of(FakeAnswerer(library=object()), keys=keys)
    headers = {"content-type": kind, "x-api-key": key, **headers}
    got = request(app, "POST", path, content=pieces(), headers=headers)
    assert got.status_code == 413
    assert error_of(got) == ("request_too_large", "the body is too large: 1,000 bytes are allowed here")
    assert got.headers["connection"] == "close"
    assert sent <= most


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/query/stream", "application/json"), ("/ingest", "multipart/form-data; boundary=x")],
)
def test_a_body_that_trickles_in_is_given_up(path, kind, monkeypatch, tmp_path):
    for name in ("QUESTION", "INGEST"):
        monkeypatch.setattr(security, name, Limit(1000, 0.1))
    sent = 0

    async def drops():
        nonlocal sent
        for _ in range(50):
            sent += 1
            yield b"\n"
            await asyncio.sleep(0.02)

    _, key = (keys := Keys(tmp_path / "keys.json")).add("ann", SCOPES)
    app, headers = app_of(FakeAnswerer(library=object()), keys=keys), {"content-type": kind, "x-api-key": key}
    got = request(app, "POST", path, content=drops(), headers=headers)
    assert got.status_code == 408
    assert error_of(got) == ("timeout_error", "the body did not come within 0.1 s")
    assert got.headers["connection"] == "close"
    assert sent < 20


def test_a_bug_is_one_line_to_the_caller_and_a_traceback_in_the_log(caplog):
    app = app_of()

    @app.get("/broken")
    async def broken():
        raise ZeroDivisionError("secret detail")

    got = get(app, "/broken")
    id = got.headers["x-request-id"]
    assert got.status_code == 500
    assert error_of(got) == ("api_error", f"internal error: the server's log has it under {id}")
    assert "secret detail" in caplog.text
    assert id in caplog.text
    assert got.headers["x-content-type-options"] == "nosniff"


def test_no_secret_reaches_a_log(tmp_path):
    _, key = Keys(tmp_path / "keys.json").add("alice", ["ask"])
    text = "authorization: Bearer abcdef123456; postgresql://user:pass" + "word@host/db"
    try:
        raise ValueError(f"no such key {key}")
    except ValueError:
        record = logging.makeLogRecord({"msg": text, "exc_info": sys.exc_info()})
    said = server.MaskingFormatter().format(record)
    assert "ValueError: no such key ***" in said
    for secret in (key.split("_")[-1], "abcdef123456", "user:pass"):
        assert secret not in said


ADDRESS = "http://operator:hunter2@models.example:8000"


def test_a_password_in_an_address_is_shown_to_nobody(refused, monkeypatch, tmp_path):
    """Neither by the API, nor by /readyz, nor by a command's error or start line."""
    error = ApiError(503, "api_error", f"nobody answers at {ADDRESS}/v1: refused")
    assert error.message == "nobody answers at http://***@models.example:8000/v1: refused"
    answerer = FakeAnswerer(not_ready=f"nobody answers at {ADDRESS}")
    got = get(app_of(answerer), "/readyz")
    assert got.json()["reason"] == "nobody answers at http://***@models.example:8000"
    said = refused("step5_serving", "serve", "--port", "0", "--engine", "http://operator:hunter2@127.0.0.1:9")
    assert "hunter2" not in said
    assert "127.0.0.1:9" in said
    lines = []
    monkeypatch.setattr(server, "make_app", lambda *_: None)
    monkeypatch.setattr(server, "run", lambda *_: None)
    server.serve(Config(engine=ADDRESS, port=0, keys=tmp_path / "none.json"), lines.append)
    assert "engine http://***@models.example:8000" in lines[0]


@pytest.mark.parametrize(
    ("host", "is_it"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("", False)],
)
def test_loopback_addresses(host, is_it):
    assert is_loopback(host) is is_it
