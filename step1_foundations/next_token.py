"""What the model expects at every place of a text, and how surprised it is by what stands there.

    surprisal  -log2 p(the token that came)        in bits; 0 = it was sure of it
    entropy    the surprisal it expects            in bits; 0 = it sees one way on
    perplexity 2 ** (mean surprisal)               as if it chose among so many equal tokens each time

    $ python -m step1_foundations next "The capital of France is Paris."
    $ python -m step1_foundations next --dataset texts.jsonl      perplexity of each kind of text

The first token has no surprisal: nothing comes before it.
"""

from __future__ import annotations

import glob
import logging
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from shared import models
from shared.config import Settings
from shared.errors import UserError, reason
from shared.stats import bootstrap
from step1_foundations.support.text import context_of, encode, piece, text_pieces

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

LONGEST = 2048  # tokens of a text: logits are kept for every place
SLICE = 128  # places whose probabilities are worked out at once
READERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".txt": "text", ".parquet": "parquet"}


@dataclass(frozen=True)
class Expectation:
    """What the model expected along T tokens: all on the CPU, in bits and probabilities."""

    surprisal: torch.Tensor  # (T - 1,) of tokens 1 to T - 1
    entropy: torch.Tensor  # (T,) of what comes after each token
    top_p: torch.Tensor  # (T, k) the largest probabilities ...
    top_ids: torch.Tensor  # (T, k) ... and whose they are


@torch.inference_mode()
def expect(model: PreTrainedModel, ids: torch.Tensor, k: int = 1) -> Expectation:
    """Read ids of shape (1, T) once. Probabilities are worked out in slices: (T, V) floats would be large."""
    logits = model(input_ids=ids, use_cache=False).logits[0]  # (T, V), in the model's dtype
    following = ids[0].roll(-1)  # place t predicts token t + 1; the last one's is not used
    parts = []
    for place in range(0, len(logits), SLICE):
        log2p, surprisal, entropy = bits(logits[place : place + SLICE], following[place : place + SLICE])
        top = log2p.topk(k, dim=-1)
        parts.append((surprisal, entropy, top.values.exp2(), top.indices))
    surprisal, entropy, top_p, top_ids = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    return Expectation(surprisal[:-1], entropy, top_p, top_ids)


def bits(logits: torch.Tensor, following: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log2-probabilities, surprisal and entropy from logits (T, V), where `following` (T,) is what came.

    All in float32, whatever the logits are in: (T, V), (T,) and (T,). Logits may be in the thousands, and a
    token that is hardly possible has a large surprisal, not an infinite one. A logit of minus infinity is an
    impossible token: its log2-probability is minus infinity, its surprisal infinite, and entropy skips it.
    """
    ### BEGIN SOLUTION 1.2: Surprisal and entropy
    log2p = torch.log_softmax(logits.float(), dim=-1) / math.log(2)
    surprisal = -log2p.gather(1, following[:, None])[:, 0]
    entropy = -(log2p.exp2() * log2p).nan_to_num().sum(dim=-1)  # 0 * log 0 is NaN here, and 0 in the formula
    return log2p, surprisal, entropy
    ### END SOLUTION


def run(settings: Settings, text: str, top_k: int) -> dict[str, Any]:
    """The k most probable tokens at every place, with entropy and surprisal, and the text's perplexity.

    Raises:
        UserError: a text that is empty or too long, or a k that the vocabulary doesn't have.
    """
    tokenizer = models.load_tokenizer(settings=settings)
    if not 1 <= top_k <= len(tokenizer):
        raise UserError(f"--top-k {top_k} is not allowed: use 1 to {len(tokenizer)}")
    model = models.load_causal_lm(settings=settings)
    ids = encode(tokenizer, text, min(context_of(model), LONGEST), what="text").to(model.device)
    seen = expect(model, ids, top_k)
    places = []
    complete = text_pieces(tokenizer)
    for t, token in enumerate(ids[0].tolist()):
        guesses = zip(seen.top_p[t].tolist(), seen.top_ids[t].tolist(), strict=True)
        places.append(
            {
                "token": piece(tokenizer, token),
                "text": complete(token),
                "id": token,
                "surprisal_bits": round(float(seen.surprisal[t - 1]), 3) if t else None,
                "next_entropy_bits": round(float(seen.entropy[t]), 3),
                "next": [{"token": piece(tokenizer, guess), "p": round(p, 4)} for p, guess in guesses],
            }
        )
    n = len(seen.surprisal)
    facts = {
        "command": "step1_foundations next",
        "model": settings.model,
        "text": text,
        "n": n,
        "places": places,
    }
    if n == 0:
        return {
            "headline": "one token: nothing to be surprised by",
            "perplexity": None,
            "bits_per_character": None,
        } | facts
    perplexity = 2 ** float(seen.surprisal.mean())
    return {
        "headline": f"perplexity {perplexity:.1f} over {n} tokens",
        "perplexity": round(perplexity, 3),
        "bits_per_character": round(float(seen.surprisal.sum()) / characters(tokenizer, ids), 3),
    } | facts


def characters(tokenizer: PreTrainedTokenizerFast, ids: torch.Tensor) -> int:
    """Characters of the tokens that have a surprisal: all but the first."""
    return max(1, len(tokenizer.decode(ids[0, 1:])))


def show(facts: dict[str, Any], console: Console) -> None:
    """The guesses at every place and the coloured text, for people."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("token", "surprisal", "entropy after", "most probable next tokens"):
        table.add_column(name, justify="right" if name.startswith(("s", "e")) else "left")
    for place in facts["places"]:
        bits_here = place["surprisal_bits"]
        table.add_row(
            Text(place["token"], _colour(bits_here)),
            "-" if bits_here is None else f"{bits_here:.1f}",
            f"{place['next_entropy_bits']:.1f}",
            Text("  ".join(f"{each['token']} {each['p']:.0%}" for each in place["next"])),
        )
    console.print(table)
    coloured = Text("\n")
    for place in facts["places"]:
        coloured.append(_printable(place["text"]), _colour(place["surprisal_bits"]))
    console.print(coloured)
    legend = (
        "\ncoloured by surprisal: ",
        ("under 2 bits", "green"),
        ", ",
        ("2 to 6", "yellow"),
        ", ",
        ("over 6", "red"),
    )
    console.print(Text.assemble(*legend))
    per_character = facts["bits_per_character"]  # None for a text of one token
    more = "" if per_character is None else f"; {per_character:.2f} bits per character"
    console.print(facts["headline"] + more, soft_wrap=True)


def _printable(text: str) -> str:
    """The text without the control characters that a terminal would obey."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")


def _colour(surprisal: float | None) -> str:
    if surprisal is None:
        return "dim"
    return "green" if surprisal < 2 else "yellow" if surprisal < 6 else "red"


# --- a whole file of texts ----------------------------------------------------------------------------


def run_dataset(settings: Settings, path: Path) -> dict[str, Any]:
    """Perplexity and bits per character of every text in a file, by its `kind` when it has that column.

    Read with Hugging Face datasets: JSON lines, CSV, Parquet (a column `text`), or plain lines. Longer texts
    are cut. The intervals resample texts, not tokens: tokens of one text depend on each other.

    Raises:
        UserError: a file that can't be read, has no column `text`, or no text to measure.
    """
    rows = _read(path, settings.cache_dir / "datasets")
    tokenizer = models.load_tokenizer(settings=settings)
    model = models.load_causal_lm(settings=settings)
    longest = min(context_of(model), LONGEST)
    kinds: dict[str, list[tuple[float, int, int]]] = defaultdict(
        list
    )  # bits, tokens, characters of each text
    skipped = 0
    for row in rows:
        text = str(row["text"] or "")
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=longest).input_ids
        if ids.shape[1] < 2:
            skipped += 1
            continue
        surprisal = expect(model, ids.to(model.device)).surprisal
        kinds[str(row.get("kind") or "text")].append(
            (float(surprisal.sum()), len(surprisal), characters(tokenizer, ids))
        )
    if not kinds:
        raise UserError(f"--dataset {path} has no text of two tokens or more")
    table = [_summary(kind, texts) for kind, texts in kinds.items()]
    table.sort(key=lambda row: float(row["bits_per_character"]))
    best, worst = table[0], table[-1]
    headline = f"{len(rows)} texts: {best['bits_per_character']} bits per character ({best['kind']})"
    if worst is not best:
        headline += f" to {worst['bits_per_character']} ({worst['kind']})"
    return {
        "command": "step1_foundations next-dataset",
        "headline": headline,
        "model": settings.model,
        "dataset": str(path),
        "skipped": skipped,
        "kinds": table,
    }


def _summary(kind: str, texts: list[tuple[float, int, int]]) -> dict[str, Any]:
    """Means over all tokens and all characters of one kind of text, with 95 % intervals over its texts."""
    bits, tokens, letters = (list(column) for column in zip(*texts, strict=True))
    per_token = bootstrap([b / n for b, n in zip(bits, tokens, strict=True)], tokens)
    per_letter = bootstrap([b / n for b, n in zip(bits, letters, strict=True)], letters)
    return {
        "kind": kind,
        "texts": len(texts),
        "n": sum(tokens),
        "perplexity": round(2 ** (sum(bits) / sum(tokens)), 2),
        "perplexity_95": [round(2**bound, 2) for bound in per_token] if per_token else None,
        "bits_per_character": round(sum(bits) / sum(letters), 3),
        "bits_per_character_95": [round(bound, 3) for bound in per_letter] if per_letter else None,
    }


def _read(path: Path, cache: Path) -> Any:
    if not path.is_file():
        raise UserError(f"--dataset {path}: no such file")
    if path.stat().st_size == 0:
        raise UserError(f"--dataset {path} is empty")
    if path.suffix.lower() not in READERS:
        raise UserError(f"--dataset {path}: use a file that ends in {', '.join(READERS)}")
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(logging.CRITICAL)  # what is wrong, we say ourselves, in one line
    try:
        name = glob.escape(str(path))  # brackets and stars in it are no pattern
        reader = READERS[path.suffix.lower()]
        rows = datasets.load_dataset(reader, data_files=name, split="train", cache_dir=str(cache))
    except (datasets.exceptions.DatasetGenerationError, ValueError) as error:
        raise UserError(f"--dataset {path} cannot be read: {reason(error.__cause__ or error)}") from None
    if "text" not in rows.column_names:
        raise UserError(f"--dataset {path} has no column text: it has {', '.join(rows.column_names)}")
    return rows


def show_dataset(facts: dict[str, Any], console: Console) -> None:
    """One line a kind of text, for people."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("kind", "texts", "tokens", "perplexity", "95 %", "bits per character", "95 %"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for row in facts["kinds"]:
        table.add_row(
            Text(row["kind"]),
            str(row["texts"]),
            str(row["n"]),
            f"{row['perplexity']:.1f}",
            _interval(row["perplexity_95"], 1),
            f"{row['bits_per_character']:.2f}",
            _interval(row["bits_per_character_95"], 2),
        )
    console.print(table)
    if facts["skipped"]:
        console.print(f"{facts['skipped']} texts of less than two tokens were left out")


def _interval(bounds: list[float] | None, places: int) -> str:
    return f"{bounds[0]:.{places}f} to {bounds[1]:.{places}f}" if bounds else "-"
