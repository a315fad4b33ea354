"""The command line: what `serve` refuses, and the demo."""

import json
import socket

import psutil
import pytest

from step5_serving.api import server


@pytest.fixture
def bad(refused, monkeypatch):
    def served(*args):
        raise AssertionError("it serves")  # and would for ever

    monkeypatch.setattr(server, "run", served)
    return lambda *args: refused("step5_serving", *map(str, args))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--index nowhere", "no index in nowhere: make one with `python -m step3_rag ingest PATH`"),
        ("--store redis", "--store"),
        ("--rows 0", "--rows"),
        ("--prompts 9", "--prompts names version 9, which does not exist: there are 1, 2"),
        ("--budget-usd-per-day 1", "--budget-usd-per-day needs to know what tiny costs"),
        ("--telemetry mysql://x/y", "is not supported: use FILE, sqlite:///FILE or postgresql"),
        ("--otlp http://[", "--otlp 'http://[' is not an address"),
        ("--otlp=", "--otlp '' is not an address"),
        ("--otlp-content", "--otlp-content needs a receiver: name it with --otlp"),
        ("--strategies typo", "--strategies typo is not known: use none, conversation"),
        ("--burst 4", "--burst needs --rate: a burst is what may exceed it"),
        ("--host 0.0.0.0", "--host 0.0.0.0 lets others reach this server, and there is no API key"),
        ("--name rag.example.com", "--name rag.example.com lets others reach"),
        ("--port 99999", "--port"),
    ],
)
def test_errors_of_serve_end_in_one_line(bad, line, said):
    args = line.split()
    if {"--index", "--prompts", "--strategies", "--budget-usd-per-day"} & {*args}:
        args.append("--smoke")
    else:
        args += ["--engine", "scripted"]  # which starts no process
    free = [] if "--port" in args else ["--port", "0"]
    assert said in bad("serve", *free, *args)


def test_a_port_in_use_and_one_that_is_free_again_after_an_error(bad):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = bad("serve", "--engine", "scripted", "--port", port)
    assert line.startswith(f"error: cannot listen on port {port} of 127.0.0.1 (")
    assert line.endswith("in use): choose another with --port or --host\n")
    assert "--engine turbo is not known: use torch" in bad("serve", "--port", port, "--engine", "turbo")
    socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.slow
def test_the_demo_starts_asks_looks_and_stops(command, monkeypatch, tmp_path):
    """With an engine that needs no model; `demo --smoke` runs with the commands of the lessons."""
    monkeypatch.setattr(server, "start_engine", lambda *_: None)
    others = psutil.Process().children(recursive=True)
    got = command("step5_serving", "demo", "--smoke", "--json")
    assert got.code == 0, got
    facts = json.loads(got.out)
    assert facts["command"] == "step5_serving demo"
    assert facts["headline"].startswith("4 of 4 questions answered in ")
    assert (facts["questions"], facts["answered"]) == (4, 4)
    assert facts["ready_seconds"] > 0
    summary = facts["summary"]
    assert (summary["calls"], summary["errors"], summary["abstained"]) == (4, 0, 0)
    left = {*psutil.Process().children(recursive=True)} - {*others}
    assert [each.cmdline() for each in left] == []
    assert list(tmp_path.iterdir()) == []
