"""What a caller without a key can send before the app sees a request: over real sockets, to a real server."""

import contextlib
import re
import socket
import time

import psutil
import pytest

from tests.step5.faults_process import Process

PAUSE_S = 1.0  # in place of 10 seconds


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADERS_S", str(PAUSE_S))
        with Process(tmp_path_factory.mktemp("limits"), key=False) as served:
            yield served


@contextlib.contextmanager
def connected(served):
    host, port = served.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=15) as own:
        yield own


def head(*lines):
    return ("\r\n".join(("GET /healthz HTTP/1.1", *lines)) + "\r\n").encode()


def status_of(reply):
    return int(re.match(rb"HTTP/1.1 (\d+)", reply)[1])


def rest_of(own):
    """All that comes until the other side closes the connection."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := own.recv(65536):
            got += piece
    return got


def memory(served):
    return psutil.Process(served.popen.pid).memory_info().rss


@pytest.mark.parametrize(
    "piece", [b"x" * 65536, b"x-filler: " + b"y" * 1000 + b"\r\n"], ids=["one header", "many headers"]
)
def test_headers_without_end_are_cut_off(served, piece):
    """60 MB of them took 330 MB."""
    before, sent = memory(served), 0
    with connected(served) as own:
        own.sendall(head("Host: 127.0.0.1") + (b"x-filler: " if piece[:2] == b"xx" else b""))
        with contextlib.suppress(ConnectionError):
            while sent < 60_000_000:
                own.sendall(piece)
                sent += len(piece)
        reply = rest_of(own)
    assert not reply or status_of(reply) == 400  # a reset may overtake the reply
    assert sent < 20_000_000  # what the sockets buffer
    assert memory(served) - before < 30_000_000
    assert served.get("/healthz").status_code == 200


@pytest.mark.parametrize("start", [b"", b"GET /healthz HT", head("Host: 127.0.0.1")])
def test_half_sent_headers_are_given_up(served, start):
    """However slowly they trickle in; a new connection that sends nothing, too."""
    with connected(served) as own:
        began = time.monotonic()
        own.sendall(start)
        own.settimeout(0.2)
        while time.monotonic() < began + 10 * PAUSE_S:
            try:
                if not own.recv(100):
                    break
            except TimeoutError:
                with contextlib.suppress(ConnectionError):
                    own.sendall(b"x" if start else b"")
            except ConnectionError:
                break
        assert time.monotonic() - began < 5 * PAUSE_S


def test_half_a_second_request_is_given_up(served):
    with connected(served) as own:
        own.sendall(head("Host: 127.0.0.1") + b"\r\n")
        reply = own.recv(65536)
        assert status_of(reply) == 200
        while b"alive" not in reply:  # headers and body may arrive apart
            reply += own.recv(65536)
        own.sendall(head("Host: 127.0.0.1"))
        began = time.monotonic()
        assert rest_of(own) == b""
        assert time.monotonic() - began < 5 * PAUSE_S


def test_a_call_may_take_longer_than_its_headers(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADERS_S", "0.3")
    with Process(tmp_path, answerer={"delay": 1.0}) as slow:
        assert slow.ask().status_code == 200


def test_two_host_headers_are_refused(served):
    for second in ("127.0.0.1", "evil.example"):
        with connected(served) as own:
            own.sendall(head("Host: 127.0.0.1", f"Host: {second}", "Connection: close") + b"\r\n")
            assert status_of(rest_of(own)) == 400
    with connected(served) as own:
        own.sendall(head("Host: 127.0.0.1", "Connection: close") + b"\r\n")
        assert status_of(rest_of(own)) == 200
