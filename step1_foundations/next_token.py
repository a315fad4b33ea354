"""What the model expects at every place of a text, and how surprised it is by what stands there.

    surprisal  -log2 p(the token that came)        in bits; 0 = it was sure of it
    entropy    the surprisal it expects            in bits; 0 = it sees one way on
    perplexity 2 ** (mean surprisal)               as if it chose among so many equal tokens each time

    $ python -m step1_foundations next "The capital of France is Paris."
    $ python -m step1_foundations next --dataset texts.jsonl      perplexity of each kind of text

The first token has no surprisal: nothing comes before it.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from shared import models
from shared.config import Settings
from shared.errors import UserError
from shared.stats import bootstrap
from step1_foundations.text import context_of, encode, piece

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedModel

READERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".txt": "text", ".parquet": "parquet"}


@torch.inference_mode()
def bits(model: PreTrainedModel, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For ids of shape (1, T): log2 probabilities (T, V), surprisal (T-1,) of ids 1.., entropy (T,)."""
    logits = model(input_ids=ids, use_cache=False).logits[0].float()  # (T, V)
    log2p = torch.log_softmax(logits, dim=-1) / math.log(2)
    surprisal = -log2p[:-1].gather(1, ids[0, 1:, None])[:, 0]  # place t predicts token t+1
    entropy = -(log2p.exp2() * log2p).nan_to_num().sum(dim=-1)
    return log2p, surprisal, entropy


def run(settings: Settings, text: str, top_k: int) -> dict[str, Any]:
    """The k most probable tokens at every place, with entropy and surprisal, and the text's perplexity."""
    tokenizer = models.load_tokenizer(settings=settings)
    if not 1 <= top_k <= len(tokenizer):
        raise UserError(f"--top-k {top_k} is not allowed: use 1 to {len(tokenizer)}")
    model = models.load_causal_lm(settings=settings)
    ids = encode(tokenizer, text, context_of(model), what="text").to(model.device)
    log2p, surprisal, entropy = bits(model, ids)
    top = log2p.exp2().topk(top_k, dim=-1)
    places = []
    for t, token in enumerate(ids[0].tolist()):
        places.append(
            {
                "token": piece(tokenizer, token),
                "id": token,
                "surprisal_bits": round(float(surprisal[t - 1]), 3) if t else None,
                "next_entropy_bits": round(float(entropy[t]), 3),
                "next": [
                    {"token": piece(tokenizer, int(i)), "p": round(float(p), 4)}
                    for p, i in zip(top.values[t], top.indices[t], strict=True)
                ],
            }
        )
    n = len(surprisal)
    perplexity = 2 ** float(surprisal.mean()) if n else None
    headline = (
        f"perplexity {perplexity:.1f} over {n} tokens"
        if perplexity
        else "one token: nothing to be surprised by"
    )
    return {
        "command": "step1_foundations next",
        "headline": headline,
        "model": settings.model,
        "text": text,
        "perplexity": round(perplexity, 3) if perplexity else None,
        "bits_per_character": round(float(surprisal.sum()) / len(text), 3),
        "n": n,
        "places": places,
    }


def show(facts: dict[str, Any], console: Console) -> None:
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
        shown = place["token"].replace("·", " ").replace("⏎", "\n")
        coloured.append(shown, _colour(place["surprisal_bits"]))
    console.print(coloured)
    console.print(
        "\ncoloured by surprisal: [green]under 2 bits[/], [yellow]2 to 6[/], [red]over 6", soft_wrap=True
    )
    console.print(
        f"{facts['headline']}; {facts['bits_per_character']:.2f} bits per character", soft_wrap=True
    )


def _colour(surprisal: float | None) -> str:
    if surprisal is None:
        return "dim"
    return "green" if surprisal < 2 else "yellow" if surprisal < 6 else "red"


# --- a whole file of texts ----------------------------------------------------------------------------


def run_dataset(settings: Settings, path: Path) -> dict[str, Any]:
    """Perplexity and bits per character of every text in a file, by its `kind` when it has that column.

    Read with Hugging Face datasets: JSON lines, CSV, Parquet (a column `text`), or plain lines.
    Longer texts than the context are cut to it.
    """
    rows = _read(path, settings.cache_dir.expanduser() / "datasets")
    tokenizer = models.load_tokenizer(settings=settings)
    model = models.load_causal_lm(settings=settings)
    kinds: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"bits": [], "characters": []})
    skipped = 0
    for row in rows:
        text = str(row["text"] or "")
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=context_of(model)).input_ids
        if ids.shape[1] < 2:
            skipped += 1
            continue
        _, surprisal, _ = bits(model, ids.to(model.device))
        seen = kinds[str(row.get("kind") or "text")]
        seen["bits"] += surprisal.tolist()
        seen["characters"].append(len(tokenizer.decode(ids[0, 1:])))
    if not kinds:
        raise UserError(f"{path} has no text of two tokens or more")
    table = []
    for kind, seen in kinds.items():
        low, high = bootstrap(seen["bits"])
        mean = sum(seen["bits"]) / len(seen["bits"])
        table.append(
            {
                "kind": kind,
                "texts": len(seen["characters"]),
                "n": len(seen["bits"]),
                "perplexity": round(2**mean, 2),
                "perplexity_95": [round(2**low, 2), round(2**high, 2)],
                "bits_per_character": round(sum(seen["bits"]) / sum(seen["characters"]), 3),
            }
        )
    table.sort(key=lambda row: row["bits_per_character"])
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


def _read(path: Path, cache: Path) -> Any:
    if not path.is_file():
        raise UserError(f"--dataset {path}: no such file")
    if path.stat().st_size == 0:
        raise UserError(f"--dataset {path} is empty")
    if path.suffix not in READERS:
        raise UserError(f"--dataset {path}: use a file that ends in {', '.join(READERS)}")
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(logging.CRITICAL)  # what is wrong, we say ourselves, in one line
    try:
        rows = datasets.load_dataset(
            READERS[path.suffix], data_files=str(path), split="train", cache_dir=str(cache)
        )
    except (datasets.exceptions.DatasetGenerationError, ValueError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise UserError(f"--dataset {path} cannot be read: {reason}") from None
    if "text" not in rows.column_names:
        raise UserError(f"--dataset {path} has no column text: it has {', '.join(rows.column_names)}")
    return rows


def show_dataset(facts: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("kind", "texts", "tokens", "perplexity", "95 % interval", "bits per character"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for row in facts["kinds"]:
        low, high = row["perplexity_95"]
        cells = (f"{row['perplexity']:.1f}", f"{low:.1f} to {high:.1f}", f"{row['bits_per_character']:.2f}")
        table.add_row(row["kind"], str(row["texts"]), str(row["n"]), *cells)
    console.print(table)
    if facts["skipped"]:
        console.print(f"{facts['skipped']} texts of less than two tokens were left out")
