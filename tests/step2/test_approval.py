import json
import threading
from types import SimpleNamespace

import pytest
from anthropic.lib.tools import ToolError

from step2_tools.agent import approval, loop
from step2_tools.agent.approval import NeedsApproval
from step2_tools.agent.tool import FunctionTool
from step2_tools.tools import alert
from step2_tools.tools.alert import Alerts
from tests.scripted import ScriptedMessages

ALERT = {"symbol": "AAPL", "direction": "above", "price": 250}
ALERT_CALL = {"tool_uses": [("create_price_alert", ALERT)]}


@pytest.fixture
def terminal(monkeypatch):
    """A terminal on which these lines are typed."""

    def typing(*lines, there=True):
        left = list(lines)
        stdin = SimpleNamespace(isatty=lambda: there, readline=lambda: left.pop(0))
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("sys.stderr.isatty", lambda: there, raising=False)

    return typing


@pytest.fixture
def ask(api, command, tmp_path):
    """Ask for an alert, for which the model calls the tool: the output, the alerts, and the tool's result."""

    def run(*flags):
        api.enqueue(**ALERT_CALL)
        api.enqueue("Done.")
        file = tmp_path / "alerts.jsonl"
        got = command("step2_tools", "Alert me!", "--offline", "--alerts", str(file), *flags)
        assert got.code == 0
        saved = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return got, saved, api.requests[-1]["messages"][-1]["content"][0]

    return run


def test_a_yes_runs_the_tool(ask, terminal):
    terminal("y\n")
    ask()
    terminal("YES\n")
    got, saved, result = ask()
    assert got.err.startswith('create_price_alert({"symbol": "AAPL", "direction": "above", "price": 250})')
    assert got.err.endswith(": run it? [y/N] ")
    assert [alert["symbol"] for alert in saved] == ["AAPL", "AAPL"]
    assert "is_error" not in result
    terminal(there=False)
    got, saved, _result = ask("--yes")  # asks nobody
    assert (got.err, len(saved)) == ("", 3)


NO_TERMINAL = "no terminal is there to ask on; the user can allow it with --yes"


@pytest.mark.parametrize(
    ("typed", "there", "why"),
    [
        ("n\n", True, "the user said no"),
        ("", True, "the user said no"),
        ("yep, but later\n", True, "the user said no"),
        ("y\n", False, NO_TERMINAL),
    ],
)
def test_anything_else_is_a_no_and_the_model_is_told_why(ask, terminal, typed, there, why):
    terminal(typed, there=there)
    _got, saved, result = ask()
    assert (saved, result["is_error"]) == ([], True)
    assert result["content"].startswith("create_price_alert was not run: ")
    assert why in result["content"]


def test_once_means_one_question_whatever_the_answer():
    questions = []

    def effect() -> str:
        """Do it."""
        return "done"

    def tool(answer):
        return NeedsApproval(FunctionTool(effect), lambda ask: questions.append(ask) or answer, once=True)

    allowed, refused = tool(""), tool("the user said no")
    assert [allowed.call({}), allowed.call({})] == ["done", "done"]
    for _ in range(2):
        with pytest.raises(ToolError, match="the user said no"):
            refused.call({})
    assert len(questions) == 2


def test_calls_with_effects_run_in_order_on_the_main_thread(tmp_path):
    threads = []

    def ask(question):
        threads.append(threading.current_thread())
        return ""

    api, path = ScriptedMessages(), tmp_path / "a.jsonl"
    prices = [3, 1, 2]
    api.enqueue(tool_uses=[("create_price_alert", {**ALERT, "price": price}) for price in prices])
    api.enqueue("Done.")
    question = [{"role": "user", "content": "Three alerts!"}]
    loop.run(api.client, "scripted", [alert(path, ask)], question, system="Help.")
    assert [json.loads(line)["price"] for line in path.read_text().splitlines()] == prices
    assert set(threads) == {threading.main_thread()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"symbol": "not a symbol\x1b[2K\u202e"}, "symbol = 'not a symbol.2K' is not allowed"),
        ({"price": 0}, "price = 0 is not allowed"),
    ],
)
def test_an_alert_that_makes_no_sense(tmp_path, change, said):
    with pytest.raises(ToolError, match=f"^{said}"):
        alert(tmp_path / "a.jsonl", approval.approve_all).call({**ALERT, **change})
    assert not (tmp_path / "a.jsonl").exists()


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(ToolError, match="its file cannot be written") as error:
        FunctionTool(Alerts(tmp_path / "none" / "a.jsonl").create_price_alert).call(ALERT)
    assert str(tmp_path) not in str(error.value)
