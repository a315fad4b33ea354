"""Over real HTTP: nobody may operate a server without keys, whatever stands between it and the caller."""

import socket
import threading
from contextlib import contextmanager

import httpx
import pytest

from step5_serving.api.keys import Keys
from step5_serving.api.server import without_keys
from step5_serving.config import Config
from tests.step5.faults_process import Process
from tests.step5.service_parts import ASKED, error_of, until

OPERATOR_ROUTES = [
    ("GET", "/telemetry/summary"),
    ("GET", "/telemetry/calls"),
    ("GET", "/telemetry/calls/ab12"),
    ("GET", "/metrics"),
    ("GET", "/documents"),
    ("POST", "/ingest"),
    ("DELETE", "/documents/1"),
]


@contextmanager
def bare_proxy(address):
    """Like nginx's `proxy_pass http://127.0.0.1:PORT;`: it sends that address as Host, and adds no header."""
    host, port = address.removeprefix("http://").split(":")
    listening = socket.create_server(("127.0.0.1", 0))

    def pass_on(client):
        client.settimeout(60)
        with client, socket.create_connection((host, int(port)), timeout=60) as upstream:
            head = client.recv(65536).decode("latin-1").split("\r\n")
            kept = [line for line in head if not line.lower().startswith("host:")]
            kept.insert(1, f"Host: {host}:{port}")
            upstream.sendall("\r\n".join(kept).encode("latin-1"))
            while piece := upstream.recv(65536):
                client.sendall(piece)

    def accept():
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=pass_on, args=[client], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()


@pytest.fixture(scope="module")
def keyless(tmp_path_factory):
    """A server without a key."""
    with Process(tmp_path_factory.mktemp("keyless"), key=False) as served:
        yield served


@pytest.mark.parametrize(("method", "path"), OPERATOR_ROUTES)
def test_without_a_key_nobody_operates_the_server(keyless, method, path):
    close = {"connection": "close", "host": "rag.example.com"}
    with bare_proxy(keyless.address) as proxy:
        for got in (
            keyless.client.request(method, path),
            httpx.request(method, proxy + path, headers=close, trust_env=False),
        ):
            assert got.status_code == 401
            assert error_of(got)[0] == "authentication_error"
            assert "`python -m step5_serving keys add NAME --scope operate`" in error_of(got)[1]


def test_questions_from_this_machine_need_no_key_until_there_is_one(tmp_path):
    with Process(tmp_path, key=False) as served:
        assert served.ask().status_code == 200
        assert "no API key in" in served.said()
        assert str(tmp_path / "keys.json") in served.said()
        _, key = Keys(tmp_path / "keys.json").add("ann", ["operate"])
        headers = {"x-api-key": key}
        until(lambda: served.client.get("/metrics", headers=headers).status_code == 200)
        assert served.ask().status_code == 401


def test_the_last_key_leaves_no_operator(tmp_path):
    """Keys that are removed, and a file that is deleted, open nothing for operators at the next start."""
    path = tmp_path / "keys.json"
    keys = Keys(path)
    for end in (lambda: keys.remove("ann"), path.unlink):
        keys.add("ann", ["ask", "operate"])
        end()
        with Process(tmp_path, key=False) as served:
            assert served.get("/telemetry/calls").status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "x-client-ip",
        "x-envoy-external-address",
        "x-forwarded",
        "x-original-forwarded-for",
        "x-cluster-client-ip",
        "client-ip",
        "fastly-client-ip",
        "x-azure-clientip",
    ],
)
def test_each_header_of_a_proxy_is_known(keyless, header):
    got = keyless.client.post("/query", json=ASKED, headers={header: "203.0.113.7"})
    assert got.status_code == 403
    assert f"through a proxy ({header})" in error_of(got)[1]


def test_the_start_says_what_a_server_without_keys_is_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = without_keys(Config().keys)
    assert str(tmp_path / "serving-keys.json") in line
    assert "questions from this machine only" in line
    assert "keys add NAME --scope ask --scope operate" in line
