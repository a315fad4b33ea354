import json

import pytest
from anthropic.lib.tools import ToolError

from step2_tools.agent import loop, runner
from step2_tools.agent.tool import FunctionTool
from tests.scripted import ScriptedMessages


def double(number: float) -> str:
    """Double a number.

    Args:
        number: What to double.
    """
    if number > 100:
        raise ToolError("number must be at most 100")
    return json.dumps({"summary": f"It is {2 * number}."})


def shout(text: str, times: int = 1) -> str:
    """Say it loudly."""
    return json.dumps({"summary": text.upper() * times})


TOOLS = [FunctionTool(double), FunctionTool(shout)]
HISTORY = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hello! What can I do?"},
    {"role": "user", "content": [{"type": "text", "text": "Double 21, and shout ünïcödé 猫."}]},
]
SCRIPTS = {
    "no tool": [{"text": "42."}],
    "parallel calls, one wrong, one mended": [
        {
            "text": "Both at once.",
            "tool_uses": [
                ("double", {"number": 1e9}),
                ("shout", {"text": "ünïcödé 猫", "times": 2}),
                ("double", {"nmber": 21}),
            ],
        },
        {"tool_uses": [("double", {"number": 21})]},
        {"text": "42, and ÜNÏCÖDÉ 猫ÜNÏCÖDÉ 猫."},
    ],
    "paused": [
        {"text": "I think", "stop_reason": "pause_turn"},
        {"tool_uses": [("double", {"number": 2})]},
        {"text": "4."},
    ],
    "cut": [{"text": "I", "tool_uses": [("double", {"number": 2})], "stop_reason": "max_tokens"}],
    "refused": [{"text": "", "stop_reason": "refusal"}],
    "for ever": [{"tool_uses": [("double", {"number": n})]} for n in range(5)],
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_both_loops_have_the_same_conversation(script):
    seen = []
    for way in (loop, runner):
        api, texts, said = ScriptedMessages(), [], []
        for reply in script:
            api.enqueue(**reply)
        done = way.run(
            api.client,
            "scripted",
            TOOLS,
            HISTORY,
            system="Be brief.",
            max_turns=5,
            max_tokens=99,
            on_text=texts.append,
            on_message=lambda message, said=said: said.append(json.dumps(message, sort_keys=True)),
            output_config={"effort": "low"},
        )
        assert api.left == 0
        usages = [usage.to_dict() for usage in done.usages]
        seen.append(
            (api.requests, done.messages, done.text, done.stop_reason, done.calls, usages, texts, said)
        )
    for by_hand, by_sdk in zip(*seen, strict=True):
        assert by_hand == by_sdk
