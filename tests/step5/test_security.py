"""What stands before the routes: headers, hosts and origins, limits of bodies, and logs without secrets."""

import asyncio
import io
import logging

import pytest

from step5_serving.addresses import is_loopback
from step5_serving.api import security, server
from step5_serving.api.keys import Keys
from step5_serving.api.security import Limit
from step5_serving.config import Config
from step5_serving.errors import ApiError
from step5_serving.rag.scripted import ScriptedAnswerer
from tests.step5.service_parts import (
    app_of,
    client_of,
    error_of,
    get,
    in_loop,
    post,
)


@pytest.mark.parametrize("path", ["/", "/nowhere", "/query"])
def test_every_reply_has_the_headers(path):
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


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.0.0.1:1"])
def test_names_of_this_machine(host):
    assert get(app_of(), "/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "", "[::2]"])
def test_other_names_are_refused_whatever_they_point_to(host):
    got = get(app_of(), "/healthz", headers={"host": host})
    assert got.status_code == 421
    assert "is not here" in error_of(got)[1]
    assert (
        get(app_of(names=("evil.example",)), "/healthz", headers={"host": "evil.example"}).status_code == 200
    )


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:9", "http://127.0.0.1:80x"]
)
def test_pages_from_elsewhere_may_not_call(origin):
    got = post(app_of(), headers={"origin": origin})
    assert got.status_code == 403
    assert error_of(got)[0] == "permission_error"


def test_our_own_pages_may_call():
    assert post(app_of(), headers={"origin": "http://127.0.0.1"}).status_code == 200


@pytest.mark.parametrize("path", ["/query", "/query/stream"])
def test_a_body_is_cut_off_where_it_gets_too_large_or_not_read_where_it_says_so(path, monkeypatch):
    monkeypatch.setattr(security, "QUESTION", Limit(1000, 15))
    sent = 0

    async def pieces():
        nonlocal sent
        for _ in range(1000):
            sent += 100
            yield b" " * 100

    async def go(**headers):
        async with client_of(app_of()) as client:
            headers = {"content-type": "application/json", **headers}
            return await client.post(path, content=pieces(), headers=headers)

    for headers, most in (({"content-length": "1001"}, 0), ({}, 1200)):
        got = asyncio.run(go(**headers))
        assert got.status_code == 413
        assert error_of(got) == ("request_too_large", "the body is too large: 1,000 bytes are allowed here")
        assert got.headers["connection"] == "close"
        assert sent <= most


@pytest.mark.parametrize("path", ["/query", "/query/stream", "/ingest"])
def test_a_body_that_trickles_in_is_given_up(path, monkeypatch):
    monkeypatch.setattr(security, "QUESTION", Limit(1000, 0.2))
    monkeypatch.setattr(security, "INGEST", Limit(1000, 0.2))
    sent = 0

    async def drops():
        nonlocal sent
        for _ in range(50):
            sent += 1
            yield b"\n"
            await asyncio.sleep(0.02)

    async def go():
        kind = "multipart/form-data; boundary=x" if path == "/ingest" else "application/json"
        async with client_of(app_of(library=object())) as client:
            return await client.post(path, content=drops(), headers={"content-type": kind})

    got = asyncio.run(go())
    assert got.status_code == 408
    assert error_of(got) == ("timeout_error", "the body did not come within 0.2 s")
    assert got.headers["connection"] == "close"
    assert sent < 20


@in_loop
async def test_what_nobody_foresaw_is_one_line_(caplog):
    app = app_of()

    @app.get("/broken")
    async def broken():
        raise ZeroDivisionError("secret detail")

    async with client_of(app) as client:
        got = await client.get("/broken")
    id = got.headers["x-request-id"]
    assert got.status_code == 500
    assert error_of(got) == ("api_error", f"internal error: the server's log has it under {id}")
    assert "secret detail" in caplog.text
    assert id in caplog.text
    assert got.headers["x-content-type-options"] == "nosniff"


def test_no_secret_reaches_a_log(tmp_path):
    _, key = Keys(tmp_path / "keys.json").add("alice", ["ask"])
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(server.NoSecrets())
    logger = logging.getLogger("test.secrets")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        logger.warning("key %s and %s", key, "sk-" + "abcdefghijklmnop" * 2)
        logger.warning("authorization: Bearer abcdef123456; postgresql://user:pass" + "word@host/db")
        try:
            raise ValueError(f"no such key {key}")
        except ValueError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
    said = stream.getvalue()
    assert key not in said
    assert key.split("_")[-1] not in said
    for secret in ("abcdefghijklmnop", "abcdef123456", "user:pass"):
        assert secret not in said
    assert "key *** and ***" in said
    assert "ValueError: no such key ***" in said


ADDRESS = "http://operator:hunter2@models.example:8000"


def test_a_password_in_an_address_is_shown_to_nobody(refused):
    """Neither by an error of the API, nor by /readyz, nor by a command's error."""
    error = ApiError(503, "api_error", f"nobody answers at {ADDRESS}/v1: refused")
    assert error.message == "nobody answers at http://***@models.example:8000/v1: refused"
    answerer = ScriptedAnswerer()

    async def ready():
        return f"nobody answers at {ADDRESS}"

    answerer.ready = ready
    got = get(app_of(answerer), "/readyz")
    assert got.json()["reason"] == "nobody answers at http://***@models.example:8000"
    address = "http://operator:hunter2@127.0.0.1:9"
    said = refused("step5_serving", "serve", "--port", "0", "--engine", address)
    assert "hunter2" not in said
    assert "127.0.0.1:9" in said


def test_the_start_line_shows_no_password(monkeypatch, tmp_path):
    said = []
    monkeypatch.setattr(server, "make_app", lambda *_: None)
    monkeypatch.setattr(server, "run", lambda *_: None)
    server.serve(Config(engine=ADDRESS, port=0, keys=tmp_path / "none.json"), said.append)
    assert "hunter2" not in "".join(said)
    assert "engine http://***@models.example:8000" in said[0]


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
    ],
)
def test_loopback(host, is_it):
    assert is_loopback(host) is is_it
