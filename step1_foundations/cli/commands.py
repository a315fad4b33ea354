"""Every command of this step: parse the flags, call the lesson's code, hand the results to tables.py."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shared.cli import Device, Dtype, Json, Model, Out, Seed, Smoke, Threads, emit, settings_from_flags
from shared.errors import UserError
from step1_foundations.cli import pictures, tables

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from shared.config import Settings

PACKAGE = "step1_foundations"
PROMPT = "Explain what a transformer is:"


def decodable(text: str | None) -> str | None:
    """The text with ? for bytes that are not UTF-8."""
    return text and text.encode(errors="replace").decode()


Text = Annotated[str, typer.Argument(help="The text to look at.", callback=decodable)]


def generate(
    prompt: Annotated[str, typer.Argument(help="What to answer or continue.", callback=decodable)] = PROMPT,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Stop after this many tokens.")] = 80,
    temperature: Annotated[float, typer.Option(help="0 takes the most probable token (greedy).")] = 0.0,
    top_k: Annotated[int, typer.Option(help="Draw from the k most probable tokens; 0 is off.")] = 0,
    top_p: Annotated[
        float, typer.Option(help="Draw from the smallest set with this share of probability; 1 is off.")
    ] = 1.0,
    repetition_penalty: Annotated[
        float, typer.Option(help="Above 1, tokens seen before become less likely.")
    ] = 1.0,
    chat: Annotated[
        bool,
        typer.Option("--chat/--raw", help="Send the prompt as a user's turn, or continue it as plain text."),
    ] = True,
    quantize: Annotated[Literal["int8"] | None, typer.Option(help="Use weights in eight bits.")] = None,
    model: Model = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Answer a prompt by hand: prefill, then a loop with the KV cache until the model stops."""
    from step1_foundations.sampling import Sampling

    sampling = Sampling(temperature, top_k, top_p, repetition_penalty)
    settings = settings_from_flags(smoke, model=model, device=device, dtype=dtype, threads=threads, seed=seed)
    import torch

    from shared import hardware
    from shared.models import weights
    from shared.models.device import describe_choice
    from step1_foundations import generate as lesson
    from step1_foundations.int8 import quantize_int8
    from step1_foundations.support.memory import megabytes, read_weights, seconds_to_decode
    from step1_foundations.support.text import context_of, stream_decoder

    tokenizer, lm, ids = _load(settings, prompt, what="prompt", chat=chat, room=1)
    if quantize:
        quantize_int8(lm)
        settings = settings.model_copy(update={"dtype": "bfloat16"})  # of what is not int8
    with torch.inference_mode():  # the first passes of a process also set up torch: not timed
        for length in (8, 1):
            lm(input_ids=ids[:, :length], use_cache=False)
    decode = stream_decoder(tokenizer)

    def print_token(token: int) -> None:
        text = decode(token)
        if not as_json:
            print(text, end="", flush=True)

    limit = min(max_new_tokens, context_of(lm) - ids.shape[1])
    generator = torch.Generator(lm.device).manual_seed(settings.seed)
    done = lesson.generate(lm, ids, limit, sampling, lesson.stop_ids_of(lm), generator, print_token)
    seconds = seconds_to_decode(lm, 1)
    results = {
        "command": f"{PACKAGE} generate",
        "headline": f"{len(done.ids)} tokens at {done.decode_speed:.0f} tokens/s",
        "prompt": prompt,
        "text": tokenizer.decode(done.ids, skip_special_tokens=True),
        "input_tokens": ids.shape[1],
        "output_tokens": len(done.ids),
        "stop_reason": done.stop_reason,
        "prefill_tokens_per_second": round(ids.shape[1] / (done.prefill_seconds or 1), 1),
        "decode_tokens_per_second": round(done.decode_speed, 1),
        "weight_megabytes": round(megabytes(read_weights(lm)), 1),
        "memory_bound_tokens_per_second": round(1 / seconds, 1) if seconds else None,
        "model": settings.model,
        "weights": weights.source_of(weights.ensure(settings.model, settings)),
        "runs_with": ("int8 weights, " if quantize else "") + describe_choice(settings, lm.device.type),
        "machine": hardware.describe(),
    }
    emit(results, partial(tables.show_generate, results), as_json=as_json)
    if done.stop_reason == "interrupt":
        raise KeyboardInterrupt


def _load(
    settings: Settings,
    text: str,
    longest: int = 1 << 30,
    *,
    what: str = "text",
    chat: bool = False,
    room: int = 0,
    **options: Any,
) -> tuple[PreTrainedTokenizerFast, PreTrainedModel, torch.Tensor]:
    """The tokenizer, the model and the text's ids (1, T); `room` positions of the context stay free.

    Raises:
        UserError: the model is not available; or the text is empty, or longer than the context or `longest`.
    """
    from shared import models
    from step1_foundations.support.text import context_of, encode

    tokenizer = models.load_tokenizer(settings=settings)
    ids = encode(tokenizer, text, chat=chat, what=what)  # an empty text is refused before the model loads
    lm = models.load_causal_lm(settings=settings, **options)
    length, longest = ids.shape[1], min(context_of(lm) - room, longest)
    if length > longest:
        raise UserError(f"the {what} is {length} tokens long, more than the {longest} that fit: shorten it")
    return tokenizer, lm, ids.to(lm.device)


def tokens(
    text: Text = PROMPT,
    compare: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Show another model's tokenizer beside it.")
    ] = None,
    languages: Annotated[
        bool, typer.Option("--languages", help="Count the tokens of five sentences in ten languages.")
    ] = False,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show a text as the model reads it: tokens, ids and bytes."""
    settings = settings_from_flags(smoke, model=model)
    from shared import models
    from step1_foundations.support.text import encode
    from step1_foundations.tokens import count_languages, split

    tokenizers = {settings.model: models.load_tokenizer(settings=settings)}
    if compare:
        tokenizers[compare] = models.load_tokenizer(compare, settings)
    encode(tokenizers[settings.model], text, what="text")  # refuses an empty text
    found = {name: split(tokenizer, text) for name, tokenizer in tokenizers.items()}
    own = found[settings.model]
    if not own:
        raise UserError("the tokenizer makes no tokens of this text: give some letters")
    results = {
        "command": f"{PACKAGE} tokens",
        "headline": f"{len(text)} characters are {len(own)} tokens: "
        f"{len(text) / len(own):.2f} characters per token",
        "model": settings.model,
        "text": text,
        "vocabulary": {name: len(tokenizer) for name, tokenizer in tokenizers.items()},
        "tokens": {
            name: [{"piece": each.piece, "id": each.id, "bytes": each.bytes.hex(" ")} for each in row]
            for name, row in found.items()
        },
        "languages": [asdict(row) for row in count_languages(tokenizers)] if languages else [],
    }
    emit(results, partial(tables.show_tokens, results), as_json=as_json)


def merges(
    text: Annotated[
        str, typer.Argument(help="The text to learn from; default: a short paragraph.", callback=decodable)
    ] = "",
    n: Annotated[int, typer.Option("--n", min=1, help="How many merges to learn.")] = 20,
    word: Annotated[str, typer.Option(help="A word to tokenize with them.", callback=decodable)] = " lowest",
    as_json: Json = False,
) -> None:
    """Train byte-pair encoding on a text, one merge after the other."""
    from step1_foundations.support.text import show_bytes
    from step1_foundations.tokens import DATA, WORD, apply_merges, learn_merges

    text = text or (DATA / "merges.txt").read_text(encoding="utf-8").strip()
    learned = learn_merges(text, n)
    left = sum(len(apply_merges(part, learned)) for part in WORD.findall(text))
    results = {
        "command": f"{PACKAGE} merges",
        "headline": f"{len(text.encode())} bytes are {left} pieces after {len(learned)} merges",
        "merges": [
            {"count": each.count, "left": show_bytes(each.left), "right": show_bytes(each.right)}
            for each in learned
        ],
        "word": word,
        "pieces": [show_bytes(part) for part in apply_merges(word, learned)],
    }
    emit(results, partial(tables.show_merges, results), as_json=as_json)


def next_token(
    text: Text = PROMPT,
    top_k: Annotated[int, typer.Option(help="How many guesses to show at each position.")] = 5,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show the model's predictions at every position, with entropy, surprisal and perplexity."""
    settings = settings_from_flags(smoke, model=model)
    from step1_foundations.next_token import LONGEST, expect
    from step1_foundations.perplexity import count_characters
    from step1_foundations.support.text import piece, stream_decoder

    tokenizer, lm, ids = _load(settings, text, LONGEST)
    if not 1 <= top_k <= len(tokenizer):
        raise UserError(f"--top-k {top_k} is not allowed: use 1 to {len(tokenizer)}")
    seen, decode = expect(lm, ids, top_k), stream_decoder(tokenizer)
    positions = []
    for t, token in enumerate(ids[0].tolist()):
        guesses = zip(seen.top_ids[t].tolist(), seen.top_p[t].tolist(), strict=True)
        positions.append(
            {
                "token": piece(tokenizer, token),
                "text": decode(token),
                "surprisal_bits": round(float(seen.surprisal[t - 1]), 3) if t else None,
                "next_entropy_bits": round(float(seen.entropy[t]), 3),
                "next": [{"token": piece(tokenizer, guess), "p": round(p, 4)} for guess, p in guesses],
            }
        )
    n, perplexity = len(seen.surprisal), seen.perplexity
    bits = float(seen.surprisal.sum()) / count_characters(tokenizer, ids)
    results = {
        "command": f"{PACKAGE} next",
        "headline": f"perplexity {perplexity:.1f} over {n} tokens" if perplexity else "no token to predict",
        "model": settings.model,
        "text": text,
        "n": n,
        "perplexity": perplexity and round(perplexity, 3),
        "bits_per_character": round(bits, 3) if n else None,
        "positions": positions,
    }
    emit(results, partial(tables.show_next, results), as_json=as_json)


def perplexity(
    file: Annotated[Path, typer.Argument(help="Lines of text, or of JSON with text and kind (.jsonl).")],
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure how well the model predicts the texts of a file, grouped by `kind` if they have one."""
    settings = settings_from_flags(smoke, model=model)
    from shared import models
    from step1_foundations.perplexity import by_kind, read_texts

    rows = read_texts(file)
    tokenizer = models.load_tokenizer(settings=settings)
    kinds, skipped = by_kind(models.load_causal_lm(settings=settings), tokenizer, rows)
    results = {
        "command": f"{PACKAGE} perplexity",
        "headline": f"{len(rows)} texts: {kinds[0].bits_per_character:.2f} bits per character "
        f"({kinds[0].name}) to {kinds[-1].bits_per_character:.2f} ({kinds[-1].name})",
        "model": settings.model,
        "file": str(file),
        "skipped": skipped,
        "kinds": [asdict(kind) for kind in kinds],
    }
    emit(results, partial(tables.show_perplexity, results), as_json=as_json)


def embeddings(
    word: Annotated[
        str, typer.Argument(help="A word, or a token id such as #42.", callback=decodable)
    ] = "king",
    top_k: Annotated[int, typer.Option(help="How many neighbours to show.")] = 8,
    words: Annotated[str, typer.Option(help="Words in the cosine table.")] = "dog,cat,France,Japan,run",
    out: Out = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show nearest neighbours in the embedding table and a map of words, beside a sentence model."""
    settings = settings_from_flags(smoke, model=model)
    import torch

    from shared import models
    from shared.report.record import picture_path
    from step1_foundations import embeddings as lesson
    from step1_foundations.support.text import piece

    path = picture_path(PACKAGE, "embeddings", out)
    tokenizer = models.load_tokenizer(settings=settings)
    compared = {each: lesson.token_ids(tokenizer, each) for each in (word, *words.split(","))}
    if not 1 <= top_k < len(tokenizer):
        raise UserError(f"--top-k {top_k} is not allowed: use 1 to {len(tokenizer) - 1}")
    lm: Any = models.load_causal_lm(settings=settings)
    table = lm.get_input_embeddings().weight.detach().float().cpu()  # (V, d)
    vectors = {each: lesson.vector(table, ids) for each, ids in compared.items()}
    embedder = models.load_embedder(settings=settings)
    encoders: dict[str, lesson.Encode] = {
        "token table": lesson.table_encoder(tokenizer, table),
        settings.embedder: lambda texts: torch.from_numpy(
            embedder.encode(list(texts), normalize_embeddings=True)
        ).float(),
    }
    groups = lesson.word_groups()
    kinds = [kind for kind, group in groups.items() for _ in group]
    all_words = [each for group in groups.values() for each in group]
    spaces = {name: encode(all_words) for name, encode in encoders.items()}
    shares = {name: lesson.same_kind(space, kinds) for name, space in spaces.items()}
    results = {
        "command": f"{PACKAGE} embeddings",
        "headline": "nearest word is of the same kind: "
        + ", ".join(f"{name} {share.hits} of {share.n}" for name, share in shares.items()),
        "model": settings.model,
        "word": word,
        "pieces": [piece(tokenizer, i) for i in compared[word]],
        "table": list(table.shape),
        "neighbours": [asdict(near) for near in lesson.neighbours(tokenizer, table, compared[word], top_k)],
        "cosines": {
            a: {b: float(vectors[a] @ vectors[b]) for b in words.split(",")} for a in words.split(",")
        },
        "same_kind": {name: asdict(share) for name, share in shares.items()},
        "same_meaning": {name: asdict(lesson.same_meaning(encode)) for name, encode in encoders.items()},
        "picture": str(path),
    }
    pictures.draw_embeddings(results, spaces, groups, path)
    emit(results, partial(tables.show_embeddings, results), as_json=as_json)


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
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show which token attends to which, and find heads of known types."""
    if every and (layer is not None or head is not None):
        raise UserError("--all shows every head: leave out --layer and --head")
    settings = settings_from_flags(smoke, model=model)
    from shared.report.record import picture_path
    from step1_foundations import attention as lesson
    from step1_foundations.support.model_parts import resolve_index
    from step1_foundations.support.text import piece

    path = picture_path(PACKAGE, "attention-all" if every else "attention", out)
    tokenizer, lm, ids = _load(settings, text, lesson.LONGEST, attn_implementation="eager")
    if ids.shape[1] < 3:
        raise UserError(f"the text is {ids.shape[1]} tokens long: attention needs 3 or more")
    if layer is not None:
        layer = resolve_index("layer", layer, lm.config.num_hidden_layers)
    if head is not None:
        head = resolve_index("head", head, lm.config.num_attention_heads)
    weights = lesson.attention_weights(lm, ids)
    scores = lesson.head_scores(lm, weights, len(tokenizer), settings.seed)
    if layer is None or head is None:
        layer, head = lesson.strongest_head(scores["previous-token"], layer, head)
    named = {name: lesson.named_heads(score) for name, score in scores.items()}
    results = {
        "command": f"{PACKAGE} attention",
        "headline": f"of {scores['sink'].numel()} heads: "
        + ", ".join(f"{len(rows)} {name}" for name, rows in named.items()),
        "model": settings.model,
        "text": text,
        "tokens": [piece(tokenizer, i) for i in ids[0].tolist()],
        "layer": layer,
        "head": head,
        "weights": [[round(float(w), 3) for w in row] for row in weights[layer, head]],
        "scores_of_head": {name: float(score[layer, head]) for name, score in scores.items()},
        "named_from": lesson.NAMED_FROM,
        "heads": {name: [asdict(each) for each in rows] for name, rows in named.items()},
        "best": {name: round(float(score.max()), 3) for name, score in scores.items()},
        "picture": str(path),
    }
    if every:
        pictures.draw_all_heads(results, weights, path)
    else:
        pictures.draw_attention(results, path)
    emit(results, partial(tables.show_attention, results), as_json=as_json)


def block(
    text: Text = PROMPT,
    layer: Annotated[int, typer.Option(help="The block whose shapes are printed.")] = 0,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """One block by hand, each line with its shape, and a check against what the model computes."""
    settings = settings_from_flags(smoke, model=model, device="cpu", dtype="float32")
    from shared import hardware
    from step1_foundations import block as lesson
    from step1_foundations.support.model_parts import model_parts, resolve_index

    _, lm, ids = _load(settings, text, lesson.LONGEST, attn_implementation="eager")
    chosen = resolve_index("layer", layer, len(model_parts(lm).blocks))
    found = lesson.compare(lm, ids)
    results = {
        "command": f"{PACKAGE} block",
        "headline": f"largest difference from the model: {max(found.blocks):.1g} in a block, "
        f"{found.logits:.1g} in the logits, as a share of the row's largest value",
        "model": settings.model,
        "text": text,
        "layer": chosen,
        "lines": lesson.shapes(lm, ids, chosen),
        "tolerance": lesson.TOLERANCE,
        "matches": found.matches,
        "machine": hardware.describe(),
        **asdict(found),
    }
    emit(results, partial(tables.show_block, results), as_json=as_json)
    if not found.matches:
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
    tokenizer, lm, ids = _load(settings, text, lesson.LONGEST)
    lens = lesson.read_layers(lm, ids)
    depths = ["embedding", *(f"layer {i}" for i in range(len(lens.guesses) - 1))]
    shown, positions = (len(depths), 10) if every else (8, 6)
    answer = piece(tokenizer, lens.answer)
    results = {
        "command": f"{PACKAGE} logit-lens",
        "headline": f"{answer!r} is the best guess from {depths[lens.settled]} on; {depths[-1]} is the last",
        "model": settings.model,
        "text": text,
        "answer": answer,
        "settled_after": depths[lens.settled],
        "read": [piece(tokenizer, i) for i in ids[0, -positions:].tolist()],
        "layers": [
            {
                "after": depths[depth],
                "guesses": [piece(tokenizer, i) for i in lens.guesses[depth, -positions:].tolist()],
                "p": [round(p, 4) for p in lens.p_guess[depth, -positions:].tolist()],
                "p_answer": round(float(lens.p_answer[depth]), 4),
                "rank_of_answer": int(lens.rank_of_answer[depth]),
            }
            for depth in range(max(0, len(depths) - shown), len(depths))
        ],
        "picture": str(path),
    }
    pictures.draw_logit_lens(results, path)
    emit(results, partial(tables.show_logit_lens, results), as_json=as_json)


def bench(
    pairs: Annotated[int, typer.Option(min=5, help="Number of timed pairs.")] = 5,
    model: Model = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare the loop by hand with model.generate, and int8 with generate's default dtype."""
    settings = settings_from_flags(smoke, model=model, device=device, dtype=dtype, threads=threads)
    from shared import hardware
    from step1_foundations import bench as lesson

    lm, prompt, memory = lesson.load_and_measure(settings)
    loops = lesson.compare_loops(lm, prompt, pairs)
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
        "memory": asdict(memory) | {"per_weight": memory.per_weight},
        "machine": hardware.describe(),
    }
    emit(results, partial(tables.show_bench, results), as_json=as_json)
