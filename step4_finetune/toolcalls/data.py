"""Data for the recipe `tools`: conversations with tool calls in files, and as tokens and loss masks.

    $ python -m step4_finetune data build tools --out data/tools

    data = branches.read(Path("data/tools/train.jsonl"), "tools", fits, parts)
    data.tokens(tokenizer)[0]    {"input_ids": [...], "completion_mask": [0, ..., 1], "seq_lengths": [...]}

Dev has domains that train never sees. The text is the embedded model's: the same function writes both
(embedded/prompt). The loss counts calls (also the empty list) and answers to results.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from shared.embedded.prompt import Conversation, ToolCall, Turn, calls_as_text, escape_markers
from shared.embedded.wire import Message, parse_tools
from step4_finetune.data.files import write_splits
from step4_finetune.toolcalls.conversations import compose
from step4_finetune.toolcalls.domains import read_tools
from step4_finetune.toolcalls.material import Material
from step4_finetune.train.branches import Part, Row

UNSEEN = frozenset({"sports_games", "hotels_cars"})  # domains of dev only


def build(out: Path, rows: int, seed: int) -> dict[str, Any]:
    """Write `out`/train.jsonl and, a fortieth as long, `out`/dev.jsonl; the same seed writes the same files.

    Raises:
        UserError: a file exists already or cannot be written.
    """
    train = Material.read(leave_out=UNSEEN)
    dev = Material.read(leave_out=frozenset(read_tools()) - UNSEEN)
    made = {
        "train": [compose(train, number, seed) for number in range(rows)],
        "dev": [compose(dev, number, seed) for number in range(max(1, rows // 40))],
    }
    return {
        "command": "step4_finetune data-build-tools",
        "headline": f"{rows:,} conversations over {sum(map(len, train.domains.values()))} tools, seed {seed}",
        "seed": seed,
        "splits": write_splits(out, made),
    }


def fits(row: Row) -> bool:
    """Whether a row has a system message, tools and branches (conversations.py)."""
    return isinstance(row["system"], str) and isinstance(row["branches"], list) and bool(row["tools"])


def parts(row: Row, tokenizer: PreTrainedTokenizerBase) -> Iterator[Part]:
    """The tools, then each branch."""
    head = Conversation([], row["system"], parse_tools(row["tools"])).turns
    render: Any = partial(tokenizer.apply_chat_template, tokenize=False)
    first = _messages(head, tokenizer)
    prefix = str(render(first))
    encode = partial(tokenizer.encode, add_special_tokens=False)
    yield [(encode(prefix), False)]
    for branch in row["branches"]:
        turns = turns_of(branch)
        messages = first + _messages([turn for turn, _ in turns], tokenizer)
        done, pieces = len(prefix), []
        for at, (turn, learn) in enumerate(turns, len(first)):
            if turn.role == "assistant":
                start = len(render(messages[:at], add_generation_prompt=True))
                whole = str(render(messages[: at + 1])).rstrip("\n")
                pieces += [(encode(whole[done:start]), False), (encode(whole[start:]), learn)]
                done = len(whole)
        yield pieces


def _messages(turns: Sequence[Turn], tokenizer: PreTrainedTokenizerBase) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": escape_markers(turn.text, tokenizer)} for turn in turns]


def turns_of(branch: Sequence[dict[str, Any]]) -> list[tuple[Turn, bool]]:
    """The turns as the model reads them, and whether each counts in the loss."""
    found: list[tuple[Turn, bool]] = []
    for message in branch:
        content = message["content"]
        if message["role"] == "assistant" and isinstance(content, list):
            calls = calls_as_text(ToolCall(call["name"], call["input"]) for call in content)
            found.append((Turn("assistant", calls), not message.get("given")))
        else:
            new = Conversation([Message(role=message["role"], content=content)]).turns
            learn = message["role"] == "assistant" and not message.get("given")
            found += [(turn, learn) for turn in new]
    return found
