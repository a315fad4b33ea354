"""Step 1: tokens, embeddings, attention, the block, and the loop that writes.

    python -m step1_foundations                           answer the default prompt
    python -m step1_foundations "Why is the sky blue?"     answer another
    python -m step1_foundations attention --all           look at every attention head

Heavy libraries are imported inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shared.cli import (
    Device,
    Dtype,
    Json,
    Model,
    Out,
    Seed,
    Smoke,
    Threads,
    emit,
    new_app,
    run,
    settings_from_flags,
    with_default,
)

app = new_app("Step 1: tokens, embeddings, attention, the transformer block, and the loop that writes.")

PACKAGE = "step1_foundations"
PROMPT = "Explain what a transformer is:"
Text = Annotated[str, typer.Argument(help="The text to look at.", show_default=True)]


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What to answer or continue.")] = PROMPT,
    max_new_tokens: Annotated[int, typer.Option(help="Stop after so many tokens.")] = 80,
    temperature: Annotated[float, typer.Option(help="0 takes the most probable token (greedy).")] = 0.0,
    top_k: Annotated[int, typer.Option(help="Draw from the k most probable tokens; 0 is off.")] = 0,
    top_p: Annotated[
        float, typer.Option(help="Draw from the smallest set that holds this share; 1 is off.")
    ] = 1.0,
    repetition_penalty: Annotated[
        float, typer.Option(help="Over 1: what was said becomes less likely.")
    ] = 1.0,
    chat: Annotated[
        bool, typer.Option("--chat/--raw", help="As a user's turn, or as text to continue.")
    ] = True,
    quantize: Annotated[str | None, typer.Option(help="int8: weights in eight bits.")] = None,
    model: Model = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Write an answer by hand: prefill, loop with the KV cache, choose, stop."""
    from shared.errors import UserError
    from step1_foundations.sampling import Sampling

    how = Sampling(temperature, top_k, top_p, repetition_penalty)
    if quantize not in (None, "int8"):
        raise UserError(f"--quantize {quantize} is not known: use int8, or leave it out")
    settings = settings_from_flags(smoke, model=model, device=device, dtype=dtype, threads=threads, seed=seed)
    from step1_foundations import generate as lesson

    def write(text: str) -> None:
        if not as_json:
            print(text, end="", flush=True)

    facts = lesson.run(settings, prompt, how, max_new_tokens, chat=chat, quantize=quantize, write=write)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)
    if facts["stop_reason"] == "interrupt":
        raise KeyboardInterrupt


@app.command()
def tokens(
    text: Text = PROMPT,
    compare: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Set another tokenizer beside it.")
    ] = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """See a text as the model reads it: pieces, ids, bytes; in other languages, too."""
    settings = settings_from_flags(smoke, model=model)
    from step1_foundations import tokens as lesson

    facts = lesson.run(settings, text, compare)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)


@app.command("next")
def next_token(
    text: Text = PROMPT,
    top_k: Annotated[int, typer.Option(help="How many guesses to show at each place.")] = 5,
    dataset: Annotated[
        Path | None, typer.Option(help="Measure a file of texts instead (jsonl, csv, parquet, txt).")
    ] = None,
    model: Model = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """What the model expects at every place: guesses, entropy, surprisal, perplexity."""
    settings = settings_from_flags(smoke, model=model, device=device, dtype=dtype, threads=threads)
    from step1_foundations import next_token as lesson

    if dataset:
        facts = lesson.run_dataset(settings, dataset)
        emit(facts, lambda console: lesson.show_dataset(facts, console), as_json=as_json)
    else:
        facts = lesson.run(settings, text, top_k)
        emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)


@app.command()
def embeddings(
    word: Annotated[str, typer.Argument(help="A word, or a token id written as #42.")] = "king",
    top_k: Annotated[int, typer.Option(help="How many neighbours to show.")] = 8,
    words: Annotated[str, typer.Option(help="Words of the cosine table.")] = "dog,cat,France,Japan,run",
    out: Out = None,
    model: Model = None,
    device: Device = None,
    threads: Threads = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Neighbours in the embedding table, a map of words, and what a sentence model adds."""
    from shared.report.record import picture_path

    settings = settings_from_flags(smoke, model=model, device=device, threads=threads)
    path = picture_path(PACKAGE, "embeddings", out)
    from step1_foundations import embeddings as lesson

    facts = lesson.run(settings, word, top_k, words.split(","), path)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)


@app.command()
def attention(
    text: Text = PROMPT,
    layer: Annotated[
        int | None, typer.Option(help="Default: that of the strongest previous-token head.")
    ] = None,
    head: Annotated[
        int | None, typer.Option(help="Default: that of the strongest previous-token head.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Draw every head of every layer.")] = False,
    out: Out = None,
    model: Model = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Who looks at whom, and which heads have a habit with a name."""
    from shared.report.record import picture_path

    settings = settings_from_flags(smoke, model=model, device=device, dtype=dtype, threads=threads, seed=seed)
    path = picture_path(PACKAGE, "attention-all" if every else "attention", out)
    from step1_foundations import attention as lesson

    facts = lesson.run(settings, text, layer, head, every, path)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)


@app.command()
def block(
    text: Text = PROMPT,
    layer: Annotated[int, typer.Option(help="The block whose shapes are printed.")] = 0,
    model: Model = None,
    threads: Threads = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """One block by hand, each line with its shape, and proof that it is the model's own."""
    settings = settings_from_flags(smoke, model=model, threads=threads)
    from step1_foundations import block as lesson

    facts = lesson.run(settings, text, layer)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)
    if not facts["proved"]:
        raise typer.Exit(1)


@app.command("logit-lens")
def logit_lens(
    text: Text = PROMPT,
    out: Out = None,
    model: Model = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """What each layer would say next: how an answer forms over depth."""
    from shared.report.record import picture_path

    settings = settings_from_flags(smoke, model=model, device=device, dtype=dtype, threads=threads)
    path = picture_path(PACKAGE, "logit-lens", out)
    from step1_foundations import logit_lens as lesson

    facts = lesson.run(settings, text, path)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)


@app.command()
def bench(
    pairs: Annotated[int, typer.Option(help="Timed pairs of each comparison; 5 or more.")] = 5,
    model: Model = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """The hand-written loop against model.generate, and int8 against its defaults."""
    settings = settings_from_flags(smoke, model=model, device=device, dtype=dtype, threads=threads)
    from step1_foundations import bench as lesson

    facts = lesson.run(settings, pairs)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)


def with_default_command(args: list[str]) -> list[str]:
    """`generate` is what runs when no subcommand is named: put it in front of a prompt or of flags."""
    return with_default(app, "generate", args)


if __name__ == "__main__":
    run(app, f"python -m {PACKAGE}", with_default_command(sys.argv[1:]))
