"""Replay: completions of the base model, mixed into the training so that it forgets less.

    question   a general question, and the base's answer
    message    a member's message *without* the company's system message, and the base's answer: only the
               system message makes the difference
    text       the beginning of an ordinary sentence, and the base's continuation

Activated adapters do without it by default (`Recipe.replay`). `sample/replay.jsonl` has the prompts, with the
completions of the default model; those of another model are written once, in some minutes, and cached.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from shared.catalog import default
from shared.config import Settings
from shared.models import load_causal_lm, load_tokenizer
from shared.progress import count_bar
from step4_finetune.data.files import digest, read_jsonl, write_rows
from step4_finetune.data.rows import SAMPLE
from step4_finetune.models.chat import conversation_ids, prompt_ids
from step4_finetune.models.generate import replies

FILE = SAMPLE.with_name("replay.jsonl")
TOKENS = 96  # of a completion, at most


@dataclass(frozen=True)
class Replay:
    """A prompt and the base's completion; `finished` is False where it was cut at the limit of tokens."""

    kind: str
    prompt: str
    completion: str
    finished: bool = True

    def encode(self, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], int]:
        """Token ids, and how many of them are the prompt; a cut completion gets no end token."""
        if self.kind == "text":
            ids = tokenizer(f"{self.prompt}{self.completion}")["input_ids"]
            return ids, 1
        asked = [{"role": "user", "content": self.prompt}]
        if not self.finished:
            before = prompt_ids(tokenizer, asked)
            return before + tokenizer(self.completion, add_special_tokens=False)["input_ids"], len(before)
        return conversation_ids(tokenizer, asked, self.completion)


def replay(settings: Settings, n: int, *, own_rows: bool = False) -> list[Replay]:
    """`n` examples of the settings' model; with `own_rows` no messages, which are the sample's."""
    if n == 0:
        return []
    own = settings.cache_dir / "replay" / f"{digest([[settings.model, prompts()]])}.jsonl"
    path = FILE if settings.model == default("chat").id else own
    if not path.exists():
        write(settings, path)
    found = [Replay(**row) for _, row in read_jsonl(path)]
    return [each for each in found if not own_rows or each.kind != "message"][:n]


def prompts() -> list[tuple[str, str]]:
    """Kinds and prompts, in the order of the file."""
    return [(row["kind"], row["prompt"]) for _, row in read_jsonl(FILE)]


def write(settings: Settings, path: Path) -> None:
    """Have the base model complete every prompt, and save the completions."""
    model, tokenizer = load_causal_lm(settings=settings), load_tokenizer(settings=settings)
    asked = prompts()
    chats = [[{"role": "user", "content": prompt}] for kind, prompt in asked if kind != "text"]
    openers = [prompt for kind, prompt in asked if kind == "text"]
    with count_bar("replay: what the base model says") as progress:
        answers = iter(replies(model, tokenizer, chats, TOKENS, progress=progress))
        torch.manual_seed(0)
        texts = iter(replies(model, tokenizer, openers, TOKENS, temperature=1.0, progress=progress))
    found = []
    for kind, prompt in asked:
        reply = next(texts if kind == "text" else answers)
        text, finished = (f" {reply.text}", False) if kind == "text" else (reply.text, reply.finished)
        found.append(asdict(Replay(kind, prompt, text, finished)))
    write_rows(path, found)
