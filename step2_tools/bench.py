"""What does our loop cost beside the bare SDK? Measured in pairs, on a server that answers at once.

    $ python -m step2_tools bench
    milliseconds a turn    q1  median    q3
    ...

Both have the same conversation with the same tool: the model calls it twice in each turn but the last.
"Bare" is what one would write for this one conversation and no other: send, call, send. The loop adds
finding the tool, calls at the same time, errors, and the account of it all. The server is a transport in
this process; a real one takes seconds a turn.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2

from shared import hardware
from shared.errors import UserError
from step2_tools import loop
from step2_tools.tool import FunctionTool

if TYPE_CHECKING:
    from rich.console import Console

TURNS, CALLS, ALLOWED_MS = 5, 2, 5.0
QUESTION = {"role": "user", "content": "How long is it?"}


def length(of: str) -> str:
    """How long a thing is.

    Args:
        of: The thing.
    """
    return json.dumps({"summary": f"{of} is {len(of)} long."})


def server() -> anthropic.Anthropic:
    """The SDK on a transport that calls the tool in each turn but the last."""

    def reply(request: httpx2.Request) -> httpx2.Response:
        turn = len(json.loads(request.content)["messages"]) // 2
        data = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in _events(turn))
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text=data)

    client = httpx2.Client(transport=httpx2.MockTransport(reply))
    return anthropic.Anthropic(http_client=client, api_key="none", base_url="http://bench.invalid")


def _events(turn: int) -> Iterator[dict[str, Any]]:
    last = turn == TURNS - 1
    usage = {"input_tokens": 9, "output_tokens": 9}
    message = {"id": f"msg_{turn}", "type": "message", "role": "assistant", "model": "bench", "content": []}
    yield {
        "type": "message_start",
        "message": message | {"stop_reason": None, "stop_sequence": None, "usage": usage},
    }
    for i in range(1 if last else CALLS):
        use = {"type": "tool_use", "id": f"toolu_{turn}_{i}", "name": "length", "input": {}}
        block = {"type": "text", "text": ""} if last else use
        delta = (
            {"type": "text_delta", "text": "Long."}
            if last
            else {"type": "input_json_delta", "partial_json": '{"of": "rope"}'}
        )
        yield {"type": "content_block_start", "index": i, "content_block": block}
        yield {"type": "content_block_delta", "index": i, "delta": delta}
        yield {"type": "content_block_stop", "index": i}
    reason = "end_turn" if last else "tool_use"
    yield {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}
    yield {"type": "message_stop"}


def by_loop(client: anthropic.Anthropic, tool: FunctionTool) -> list[dict[str, Any]]:
    """The conversation, by loop.py."""
    return loop.run(client, "bench", [tool], [QUESTION], system="Be brief.").messages


def bare(client: anthropic.Anthropic, tool: FunctionTool) -> list[dict[str, Any]]:
    """The same, by the SDK and nothing else."""
    messages: list[Any] = [QUESTION]
    while True:
        with client.messages.stream(
            model="bench",
            max_tokens=1024,
            system="Be brief.",
            messages=messages,
            tools=[tool.to_dict()],
        ) as stream:
            reply = stream.get_final_message()
        messages.append({"role": "assistant", "content": [block.to_dict() for block in reply.content]})
        if reply.stop_reason != "tool_use":
            return messages
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": tool.call(block.input)}
            for block in reply.content
            if block.type == "tool_use"
        ]
        messages.append({"role": "user", "content": results})


def run(pairs: int) -> dict[str, Any]:
    """Time the pairs, who goes first in turns.

    Raises:
        UserError: too few pairs.
    """
    if pairs < 5:
        raise UserError(f"--pairs {pairs} is not allowed: use 5 or more, fewer say nothing")
    client, tool = server(), FunctionTool(length)
    ways: tuple[Callable[..., Any], ...] = (bare, by_loop)
    if bare(client, tool) != by_loop(client, tool):  # which also warms both up
        raise UserError("the loop and the bare SDK had different conversations: nothing to compare")
    milliseconds: tuple[list[float], list[float]] = ([], [])
    for i in range(pairs):
        for which in (0, 1) if i % 2 == 0 else (1, 0):
            start = time.perf_counter()
            ways[which](client, tool)
            milliseconds[which].append((time.perf_counter() - start) * 1000 / TURNS)
    extra = _quartiles([ours - theirs for theirs, ours in zip(*milliseconds, strict=True)])
    return {
        "command": "step2_tools bench",
        "headline": f"the loop takes {extra['median']:.1f} ms a turn more than the bare SDK",
        "pairs": pairs,
        "turns": TURNS,
        "calls_a_turn": CALLS,
        "bare_ms": _quartiles(milliseconds[0]),
        "loop_ms": _quartiles(milliseconds[1]),
        "overhead_ms": extra,
        "allowed_ms": ALLOWED_MS,
        "holds": extra["median"] < ALLOWED_MS,
        "machine": hardware.describe(),
    }


def _quartiles(values: list[float]) -> dict[str, float]:
    low, median, high = statistics.quantiles(values, n=4)
    return {"q1": round(low, 3), "median": round(median, 3), "q3": round(high, 3)}


def show(facts: dict[str, Any], console: Console) -> None:
    """Milliseconds a turn, for people."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("milliseconds a turn", "q1", "median", "q3"):
        table.add_column(name, justify="left" if " " in name else "right")
    for name, key in (("bare SDK", "bare_ms"), ("loop.py", "loop_ms"), ("difference", "overhead_ms")):
        style = "bold" if key == "overhead_ms" else None
        table.add_row(name, *[f"{facts[key][each]:.2f}" for each in ("q1", "median", "q3")], style=style)
    console.print(table)
    console.print(
        f"\n{facts['pairs']} pairs, {facts['turns']} turns with {facts['calls_a_turn']} calls each; "
        f"{'within' if facts['holds'] else 'OVER'} the {facts['allowed_ms']:g} ms allowed; "
        f"{facts['machine']}",
        soft_wrap=True,
    )
