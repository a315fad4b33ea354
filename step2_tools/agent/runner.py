"""The same loop in the SDK's own words: `client.beta.messages.tool_runner` does what loop.py spells out.

    $ python -m step2_tools "What is the weather in Bangkok?" --runner

Both send the same requests, message for message (a test holds them together). What differs: the SDK runs
the calls of a turn one after the other; and of a tool that doesn't exist it only says that it is not found,
where loop.py names those that there are.

Source: https://docs.claude.com/en/docs/agents-and-tools/tool-use/tool-runner
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from step2_tools.agent.loop import Message, Outcome, Tools, record_turn, whole

if TYPE_CHECKING:
    import anthropic


def run(
    client: anthropic.Anthropic,
    model: str,
    tools: Tools,
    messages: Sequence[Message],
    *,
    system: str,
    max_turns: int = 8,
    max_tokens: int = 1024,
    on_text: Callable[[str], None] = lambda _text: None,
    on_message: Callable[[Message], None] = lambda _message: None,
    **request: Any,
) -> Outcome:
    """As `loop.run`, with the same arguments, results and errors."""
    done = Outcome(list(messages), began=len(messages))
    runner = client.beta.messages.tool_runner(
        model=model,
        max_tokens=max_tokens,
        system=system,
        messages=done.messages[:],
        tools=list(tools),
        stream=True,
        thread=False,  # send the whole conversation each time: not every server keeps it
        **request,
    )
    for stream in runner:
        for event in stream:
            if event.type == "text":
                on_text(event.text)
        if not record_turn(whole(stream), done, max_turns, on_message):
            if done.stop_reason == "pause_turn":
                continue
            break  # else the runner would run the tools of the last turn allowed
        with warnings.catch_warnings():  # of a tool that doesn't exist: the model is told, that is enough
            warnings.simplefilter("ignore", UserWarning)
            results = runner.generate_tool_call_response()
        done.messages.append(dict(results or {}))
        on_message(done.messages[-1])
    return done
