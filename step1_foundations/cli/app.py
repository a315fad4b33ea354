"""The commands of this step: read the flags, call one function, print what it returns.

Each command loads its own module when it runs: torch takes seconds, and --help need not wait.
"""

from typing import Annotated, Literal

import typer

from shared.cli import Json, Model, Out, Seed, Smoke, emit, new_app, settings_from_flags
from shared.errors import UserError
from shared.launch import ExitCode

app = new_app("Step 1: from tokens to the loop that generates text.", default="generate")

PROMPT = "Explain what a transformer is:"
Text = Annotated[str, typer.Argument(help="The text to analyse.")]


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="The text to answer or continue.")] = PROMPT,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Stop after this many tokens.")] = 80,
    temperature: Annotated[float, typer.Option(help="0 takes the most probable token (greedy).")] = 0.0,
    top_k: Annotated[int, typer.Option(help="Draw from the k most probable tokens; 0 is off.")] = 0,
    top_p: Annotated[
        float, typer.Option(help="Draw from the most probable tokens that add up to p; 1 is off.")
    ] = 1.0,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1, seen tokens are less likely.")] = 1.0,
    chat: Annotated[bool, typer.Option("--chat/--raw", help="As a user turn, or as plain text.")] = True,
    quantize: Annotated[Literal["int8"] | None, typer.Option(help="Use 8-bit weights.")] = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Answer a prompt with our own loop: prefill, then decode with the KV cache until the model stops."""
    settings = settings_from_flags(smoke, model=model, seed=seed)
    from step1_foundations.cli.generate import answer_prompt, show
    from step1_foundations.sampling import Sampling

    report = answer_prompt(
        settings,
        prompt,
        max_new_tokens,
        Sampling(temperature, top_k, top_p, repetition_penalty),
        chat=chat,
        int8=quantize == "int8",
        stream=not as_json,
    )
    emit(report, show, as_json=as_json)
    if report.stop_reason == "interrupt":
        raise KeyboardInterrupt


@app.command()
def bigram(
    steps: Annotated[int, typer.Option(min=1, help="Steps of gradient descent.")] = 300,
    learning_rate: Annotated[float, typer.Option(help="How far a step follows the gradient.")] = 20.0,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Train the smallest language model, letter by letter, and compare it with a real one."""
    if not 0 < learning_rate <= 1e6:  # also refuses NaN
        raise UserError(f"--learning-rate {learning_rate:g} is not allowed: use more than 0, at most 1e6")
    settings = settings_from_flags(smoke, model=model, seed=seed)
    from shared import models
    from step1_foundations.cli.bigram import show, train_and_compare

    tokenizer = models.load_tokenizer(settings=settings)
    lm = models.load_causal_lm(settings=settings)
    report = train_and_compare(steps, learning_rate, settings.seed, lm, tokenizer, settings.model)
    emit(report, show, as_json=as_json)


@app.command()
def tokens(
    text: Text = PROMPT,
    languages: Annotated[bool, typer.Option("--languages", help="Count tokens in ten languages.")] = False,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show a text as the model reads it: tokens, ids and bytes."""
    if languages and text != PROMPT:
        raise UserError("--languages counts sentences of its own: leave out the text, or --languages")
    settings = settings_from_flags(smoke, model=model)
    from step1_foundations.cli.tokens import show, tokenize_text

    emit(tokenize_text(settings, text, languages), show, as_json=as_json)


@app.command()
def merges(
    text: Annotated[str, typer.Argument(help="The text to train on; default: a short paragraph.")] = "",
    n: Annotated[int, typer.Option("--n", min=1, help="How many merges to learn.")] = 20,
    word: Annotated[str, typer.Option(help="A word to tokenize with the merges.")] = " lowest",
    as_json: Json = False,
) -> None:
    """Train byte-pair encoding on a text, merge by merge."""
    from step1_foundations.cli.merges import show, train_merges

    emit(train_merges(text, n, word), show, as_json=as_json)


@app.command()
def embeddings(
    word: Annotated[str, typer.Argument(help="A word.")] = "king",
    top_k: Annotated[int, typer.Option(min=1, help="How many neighbours to show.")] = 8,
    words: Annotated[str, typer.Option(help="Words in the cosine table.")] = "dog,cat,France,Japan,run",
    out: Out = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show nearest neighbours in the embedding table and a map of words, compared with a sentence model."""
    settings = settings_from_flags(smoke, model=model)
    from step1_foundations.cli.embeddings import explore_embeddings, show

    report = explore_embeddings(settings, word, top_k, words.split(","), out)
    emit(report, show, as_json=as_json)


@app.command()
def attention(
    text: Text = PROMPT,
    layer: Annotated[int | None, typer.Option(help="Default: the strongest previous-token head's.")] = None,
    head: Annotated[int | None, typer.Option(help="Default: the strongest previous-token head's.")] = None,
    out: Out = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show which token attends to which, and find heads of known types."""
    settings = settings_from_flags(smoke, model=model)
    from step1_foundations.cli.attention import find_heads, show

    emit(find_heads(settings, text, layer, head, out), show, as_json=as_json)


@app.command()
def block(text: Text = PROMPT, model: Model = None, smoke: Smoke = False, as_json: Json = False) -> None:
    """Compute a block by hand, show each line's shape, and compare with the model's own result."""
    settings = settings_from_flags(smoke, model=model, device="cpu", dtype="float32")
    from step1_foundations.cli.block import check_block, show

    report = check_block(settings, text)
    emit(report, show, as_json=as_json)
    if not report.matches:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def logit_lens(
    text: Text = PROMPT,
    every: Annotated[bool, typer.Option("--all", help="Show all layers and up to ten positions.")] = False,
    out: Out = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show what the model would predict after each of the last eight layers."""
    settings = settings_from_flags(smoke, model=model)
    from step1_foundations.cli.logit_lens import read_guesses, show

    emit(read_guesses(settings, text, every, out), show, as_json=as_json)


@app.command("next")
def next_token(
    text: Text = PROMPT,
    top_k: Annotated[int, typer.Option(help="How many guesses to show at each position.")] = 5,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show the model's predictions at every position, with entropy, surprisal and perplexity."""
    settings = settings_from_flags(smoke, model=model)
    from step1_foundations.cli.next_token import predict_next_tokens, show

    emit(predict_next_tokens(settings, text, top_k), show, as_json=as_json)


@app.command()
def bench(
    pairs: Annotated[int, typer.Option(min=5, help="Number of timed pairs.")] = 5,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare our loop with model.generate, and int8 weights with generate's default dtype."""
    settings = settings_from_flags(smoke, model=model)
    from step1_foundations.cli.bench import measure_speed, show

    emit(measure_speed(settings, pairs), show, as_json=as_json)
