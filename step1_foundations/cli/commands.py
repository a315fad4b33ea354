"""The commands of this step: parse the flags, call the lesson's code, pass the results to tables.py."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shared.cli import Json, Model, Out, Seed, Smoke, emit, settings_from_flags
from shared.errors import UserError
from shared.words import count
from step1_foundations.cli import pictures, tables

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from shared.config import Settings

PACKAGE = "step1_foundations"
PROMPT = "Explain what a transformer is:"
MAX_TOKENS = 512  # of a text to analyse: attention weights take layers * heads * T * T numbers
Text = Annotated[str, typer.Argument(help="The text to analyse.")]


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
    from step1_foundations.sampling import Sampling

    sampling = Sampling(temperature, top_k, top_p, repetition_penalty)
    settings = settings_from_flags(smoke, model=model, seed=seed)
    import torch
    from tokenizers.decoders import DecodeStream

    from shared import hardware
    from shared.models import weights
    from shared.models.device import describe_choice
    from step1_foundations import generate as lesson
    from step1_foundations.bench import megabytes, read_weights, seconds_to_decode
    from step1_foundations.int8 import quantize_int8
    from step1_foundations.support.model_parts import context_of

    tokenizer, lm, ids = _load(settings, prompt, most=1 << 30, chat=chat)
    if quantize:
        quantize_int8(lm)
        settings = settings.model_copy(update={"dtype": "bfloat16"})  # of the parts that are not int8
    with torch.inference_mode():  # warm up: a process's first passes also set up torch
        for length in (8, 1):
            lm(input_ids=ids[:, :length], use_cache=False)
    stream = DecodeStream(skip_special_tokens=True)

    def print_token(token: int) -> None:
        text = stream.step(tokenizer.backend_tokenizer, token)  # None: only part of a letter
        if text and not as_json:
            print(text, end="", flush=True)

    limit = min(max_new_tokens, context_of(lm) - ids.shape[1])
    generator = torch.Generator(lm.device).manual_seed(settings.seed)
    done = lesson.generate(lm, ids, limit, sampling, lesson.stop_ids_of(lm), generator, print_token)
    speed, seconds = done.decode_speed, seconds_to_decode(lm, 1)
    source = weights.source_of(weights.ensure(settings.model, settings))
    choice = ("int8 weights, " if quantize else "") + describe_choice(settings, lm.device.type)
    results = {
        "command": f"{PACKAGE} generate",
        "headline": count(len(done.ids), "token") + (f" at {speed:.0f} tokens/s" if speed else ""),
        "text": tokenizer.decode(done.ids, skip_special_tokens=True),
        "input_tokens": ids.shape[1],
        "output_tokens": len(done.ids),
        "stop_reason": done.stop_reason,
        "prefill_tokens_per_second": round(ids.shape[1] / (done.prefill_seconds or 1), 1),
        "decode_tokens_per_second": speed and round(speed, 1),
        "memory_bound_tokens_per_second": round(1 / seconds, 1) if seconds else None,
        "weight_megabytes": round(megabytes(read_weights(lm)), 1),
        "runs_with": f"{settings.model} ({source}), {choice}; {hardware.describe()}",
    }
    emit(results, tables.show_generate, as_json=as_json)
    if done.stop_reason == "interrupt":
        raise KeyboardInterrupt


def _load(
    settings: Settings, text: str, least: int = 1, most: int = MAX_TOKENS, chat: bool = False, **options: Any
) -> tuple[PreTrainedTokenizerFast, PreTrainedModel, torch.Tensor]:
    """The tokenizer, the model and the text's ids (1, T), which leave room for a new token in the context.

    Raises:
        UserError: the model is not available, or the text is not `least` to `most` tokens long.
    """
    from shared import models
    from step1_foundations.support.model_parts import context_of
    from step1_foundations.support.text import encode

    tokenizer = models.load_tokenizer(settings=settings)
    ids = encode(tokenizer, text, chat=chat)  # refuses an empty text before the model loads
    lm = models.load_causal_lm(settings=settings, **options)
    most = min(most, context_of(lm) - 1)
    if not least <= ids.shape[1] <= most:
        raise UserError(f"the text is {count(ids.shape[1], 'token')} long: use {least} to {most:,}")
    return tokenizer, lm, ids.to(lm.device)


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
    from shared import models
    from step1_foundations.support.text import encode
    from step1_foundations.tokens import count_languages, split

    tokenizer = models.load_tokenizer(settings=settings)
    encode(tokenizer, text)  # refuses an empty text
    pieces = split(tokenizer, text)
    results = {
        "command": f"{PACKAGE} tokens",
        "headline": f"{count(len(text), 'character')}, {count(len(pieces), 'token')}: "
        f"{len(text) / max(1, len(pieces)):.2f} characters per token",
        "model": settings.model,
        "vocabulary": len(tokenizer),
        "tokens": [{"piece": each.piece, "id": each.id, "bytes": each.bytes.hex(" ")} for each in pieces],
        "languages": [asdict(row) for row in count_languages(tokenizer)] if languages else [],
    }
    emit(results, tables.show_tokens, as_json=as_json)


def merges(
    text: Annotated[str, typer.Argument(help="The text to train on; default: a short paragraph.")] = "",
    n: Annotated[int, typer.Option("--n", min=1, help="How many merges to learn.")] = 20,
    word: Annotated[str, typer.Option(help="A word to tokenize with the merges.")] = " lowest",
    as_json: Json = False,
) -> None:
    """Train byte-pair encoding on a text, merge by merge."""
    from step1_foundations.support.text import show_bytes
    from step1_foundations.tokens import DATA, WORD, apply_merges, learn_merges

    text = text or (DATA / "merges.txt").read_text(encoding="utf-8").strip()
    learned = learn_merges(text, n)
    pieces = sum(len(apply_merges(part, learned)) for part in WORD.findall(text))
    results = {
        "command": f"{PACKAGE} merges",
        "headline": f"{count(len(text.encode()), 'byte')}, {count(pieces, 'piece')} "
        f"after {count(len(learned), 'merge')}",
        "merges": [
            {"count": each.count, "left": show_bytes(each.left), "right": show_bytes(each.right)}
            for each in learned
        ],
        "word": word,
        "pieces": [show_bytes(part) for part in apply_merges(word, learned)],
    }
    emit(results, tables.show_merges, as_json=as_json)


def next_token(
    text: Text = PROMPT,
    top_k: Annotated[int, typer.Option(help="How many guesses to show at each position.")] = 5,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show the model's predictions at every position, with entropy, surprisal and perplexity."""
    settings = settings_from_flags(smoke, model=model)
    from step1_foundations.next_token import predict
    from step1_foundations.support.text import piece

    tokenizer, lm, ids = _load(settings, text, least=2)
    if not 1 <= top_k <= len(tokenizer):
        raise UserError(f"--top-k {top_k} is not allowed: use 1 to {len(tokenizer)}")
    predictions = predict(lm, ids, top_k)
    positions = []
    for t, token in enumerate(ids[0].tolist()):
        guesses = zip(predictions.top_ids[t].tolist(), predictions.top_p[t].tolist(), strict=True)
        positions.append(
            {
                "token": piece(tokenizer, token),
                "surprisal_bits": round(float(predictions.surprisal[t - 1]), 3) if t else None,
                "next_entropy_bits": round(float(predictions.entropy[t]), 3),
                "next": [{"token": piece(tokenizer, guess), "p": round(p, 4)} for guess, p in guesses],
            }
        )
    bits = float(predictions.surprisal.sum()) / len(tokenizer.decode(ids[0, 1:]))
    results = {
        "command": f"{PACKAGE} next",
        "headline": f"perplexity {predictions.perplexity:.1f} over {count(len(positions) - 1, 'token')}; "
        f"{bits:.2f} bits per character",
        "model": settings.model,
        "perplexity": round(predictions.perplexity, 3),
        "bits_per_character": round(bits, 3),
        "positions": positions,
    }
    emit(results, tables.show_next, as_json=as_json)


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
    import torch

    from shared import models
    from shared.report.record import picture_path
    from step1_foundations import embeddings as lesson
    from step1_foundations.support.text import piece

    path = picture_path(PACKAGE, "embeddings", out)
    tokenizer = models.load_tokenizer(settings=settings)
    ids = lesson.token_ids(tokenizer, word)
    lm: Any = models.load_causal_lm(settings=settings)
    table = lm.get_input_embeddings().weight.detach().float().cpu()  # (V, d)
    encode = lesson.table_encoder(tokenizer, table)
    compared = encode(words.split(","))  # (n, d)
    neighbours = lesson.neighbours(table[: len(tokenizer)], ids, top_k)
    embedder = models.load_embedder(settings=settings)
    spaces = {
        "token table": lesson.evaluate_space(encode),
        settings.embedder: lesson.evaluate_space(
            lambda texts: torch.from_numpy(embedder.encode(texts)).float()
        ),
    }
    results = {
        "command": f"{PACKAGE} embeddings",
        "headline": "nearest word is of the same kind: "
        + ", ".join(
            f"{name} {space.same_kind['hits']} of {space.same_kind['n']}" for name, space in spaces.items()
        ),
        "model": settings.model,
        "word": word,
        "pieces": [piece(tokenizer, i) for i in ids],
        "table": list(table.shape),
        "neighbours": [{"token": piece(tokenizer, i), "id": i, "cosine": cosine} for i, cosine in neighbours],
        "words": words.split(","),
        "cosines": (compared @ compared.T).tolist(),
        "spaces": {
            name: {"same_kind": space.same_kind, "same_meaning": space.same_meaning}
            for name, space in spaces.items()
        },
        "picture": str(path),
    }
    pictures.draw_embeddings(results, {name: space.vectors for name, space in spaces.items()}, path)
    emit(results, tables.show_embeddings, as_json=as_json)


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
    from shared.report.record import picture_path
    from step1_foundations import attention as lesson
    from step1_foundations.support.model_parts import resolve_index
    from step1_foundations.support.text import piece

    path = picture_path(PACKAGE, "attention", out)
    tokenizer, lm, ids = _load(settings, text, least=3, attn_implementation="eager")
    weights = lesson.attention_weights(lm, ids)
    scores = lesson.head_scores(lm, weights, len(tokenizer), settings.seed)
    types = {name: lesson.heads_of_type(score) for name, score in scores.items()}
    best_layer, best_head, _ = types["previous-token"].strongest[0]
    layer = best_layer if layer is None else resolve_index("layer", layer, weights.shape[0])
    head = best_head if head is None else resolve_index("head", head, weights.shape[1])
    results = {
        "command": f"{PACKAGE} attention",
        "headline": f"of {scores['sink'].numel()} heads: "
        + ", ".join(f"{type_.heads} {name}" for name, type_ in types.items()),
        "model": settings.model,
        "tokens": [piece(tokenizer, i) for i in ids[0].tolist()],
        "layer": layer,
        "head": head,
        "weights": [[round(float(w), 3) for w in row] for row in weights[layer, head]],
        "scores_of_head": {name: float(score[layer, head]) for name, score in scores.items()},
        "named_from": lesson.TYPE_THRESHOLD,
        "types": {name: asdict(type_) for name, type_ in types.items()},
        "picture": str(path),
    }
    pictures.draw_attention(results, path)
    emit(results, tables.show_attention, as_json=as_json)


def block(text: Text = PROMPT, model: Model = None, smoke: Smoke = False, as_json: Json = False) -> None:
    """Compute a block by hand, show each line's shape, and compare with the model's own result."""
    settings = settings_from_flags(smoke, model=model, device="cpu", dtype="float32")
    from step1_foundations import block as lesson

    _, lm, ids = _load(settings, text, attn_implementation="eager")
    comparison = lesson.compare(lm, ids)
    results = {
        "command": f"{PACKAGE} block",
        "headline": f"largest difference from the model: {max(comparison.blocks):.1g} in a block, "
        f"{comparison.logits:.1g} in the logits, as a share of the row's largest value",
        "model": settings.model,
        "lines": lesson.shapes(lm, ids),
        "tolerance": lesson.TOLERANCE,
        "matches": comparison.matches,
        **asdict(comparison),
    }
    emit(results, tables.show_block, as_json=as_json)
    if not comparison.matches:
        raise typer.Exit(1)


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
    from shared.report.record import picture_path
    from step1_foundations import logit_lens as lesson
    from step1_foundations.support.text import piece

    path = picture_path(PACKAGE, "logit-lens", out)
    tokenizer, lm, ids = _load(settings, text)
    lens = lesson.read_layers(lm, ids)
    depths = ["embedding", *(f"layer {i}" for i in range(len(lens.guesses) - 1))]
    shown, positions = (len(depths), 10) if every else (8, 6)
    layers = [
        {
            "after": depths[depth],
            "guesses": [piece(tokenizer, i) for i in lens.guesses[depth, -positions:].tolist()],
            "p": [round(p, 4) for p in lens.p_guess[depth, -positions:].tolist()],
            "p_answer": round(float(lens.p_answer[depth]), 4),
            "rank_of_answer": int(lens.rank_of_answer[depth]),
        }
        for depth in range(max(0, len(depths) - shown), len(depths))
    ]
    results = {
        "command": f"{PACKAGE} logit-lens",
        "headline": f"{piece(tokenizer, lens.answer)!r} is the best guess from "
        f"{depths[lens.settled_depth]} on; {depths[-1]} is the last",
        "model": settings.model,
        "read": [piece(tokenizer, i) for i in ids[0, -positions:].tolist()],
        "layers": layers,
        "picture": str(path),
    }
    pictures.draw_logit_lens(results, path)
    emit(results, tables.show_logit_lens, as_json=as_json)


def bench(
    pairs: Annotated[int, typer.Option(min=5, help="Number of timed pairs.")] = 5,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare our loop with model.generate, and int8 weights with generate's default dtype."""
    settings = settings_from_flags(smoke, model=model)
    from shared import hardware, models
    from step1_foundations import bench as lesson

    prompt = lesson.benchmark_prompt(settings)
    loops = lesson.compare_loops(models.load_causal_lm(settings=settings), prompt, pairs)
    int8 = lesson.compare_int8(settings, prompt, pairs)
    results = {
        "command": f"{PACKAGE} bench",
        "headline": f"the loop by hand takes {loops.ratio.median:.2f} of generate's time, "
        f"int8 {int8.ratio.median:.2f}",
        "model": settings.model,
        "pairs": pairs,
        "input_tokens": lesson.PROMPT_TOKENS,
        "output_tokens": lesson.NEW_TOKENS,
        "loops": asdict(loops),
        "int8": asdict(int8),
        "machine": hardware.describe(),
    }
    emit(results, tables.show_bench, as_json=as_json)


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
    from step1_foundations.cli import bigram as command

    tokenizer = models.load_tokenizer(settings=settings)
    lm = models.load_causal_lm(settings=settings)
    report = command.train_and_compare(steps, learning_rate, settings.seed, lm, tokenizer, settings.model)
    emit(report, command.show, as_json=as_json)
