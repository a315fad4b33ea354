"""Prints the commands' results, the same that `--json` gives to programs."""

from typing import Any

from shared.cli import Console, plain_table
from shared.words import count

STOP_REASONS = {
    "stop": "the model ended its turn",
    "length": "stopped at the limit",
    "interrupt": "stopped by Ctrl-C",
}


def show_generate(results: dict[str, Any], console: Console) -> None:
    """The lines below the answer: token counts, speeds, and the model's configuration."""
    speed, bound = results["decode_tokens_per_second"], results["memory_bound_tokens_per_second"]
    line = f"prefill {results['prefill_tokens_per_second']:.0f} tokens/s"
    if speed:
        line += f", decode {speed:.0f} tokens/s"
    if speed and bound:
        line += (
            f": {speed / bound:.0%} of the {bound:.0f} that memory allows "
            f"({results['weight_megabytes']:.0f} MB of weights are read per token)"
        )
    console.print(
        f"\n{count(results['input_tokens'], 'token')} in, {results['output_tokens']} out; "
        f"{STOP_REASONS[results['stop_reason']]}\n{line}\n{results['runs_with']}",
        style="dim",
        soft_wrap=True,
    )


def show_tokens(results: dict[str, Any], console: Console) -> None:
    """The tokens, or the counts by language."""
    if results["languages"]:
        columns = ("characters", "bytes", "tokens")
        rows = [
            (row["kind"], *(str(row[name]) for name in columns), f"{row['characters'] / row['tokens']:.2f}")
            for row in results["languages"]
        ]
        columns = (*columns, "characters per token")
        console.print(plain_table("five sentences", *columns, rows=rows, right=columns))
        return
    rows = [(row["piece"], str(row["id"]), row["bytes"]) for row in results["tokens"]]
    console.print(plain_table("piece", "id", "bytes", rows=rows))
    size = results["vocabulary"]
    console.print(f"\n{results['headline']} (vocabulary of {size:,} tokens)", soft_wrap=True)


def show_merges(results: dict[str, Any], console: Console) -> None:
    """One row per merge, and a word tokenized with all of them."""
    rows = [
        (str(i), str(row["count"]), row["left"], row["right"], row["left"] + row["right"])
        for i, row in enumerate(results["merges"], 1)
    ]
    columns = ("merge", "seen", "left", "right", "new piece")
    console.print(plain_table(*columns, rows=rows, right=columns[:2]))
    console.print(f"\n{results['headline']}")
    console.print(f"{results['word']!r} is tokenized as {' | '.join(results['pieces'])}", soft_wrap=True)


def show_next(results: dict[str, Any], console: Console) -> None:
    """The surprisal of each token, and the guesses for the next one."""
    rows = []
    for position in results["positions"]:
        bits = position["surprisal_bits"]
        surprisal = "-" if bits is None else f"{bits:.1f}"
        guesses = "  ".join(f"{each['token']} {each['p']:.0%}" for each in position["next"])
        rows.append((position["token"], surprisal, f"{position['next_entropy_bits']:.1f}", guesses))
    columns = ("token", "surprisal", "entropy after", "most probable next tokens")
    console.print(plain_table(*columns, rows=rows, right=columns[1:3]))
    console.print(f"\n{results['headline']}")


def show_embeddings(results: dict[str, Any], console: Console) -> None:
    """Neighbours, cosines, and the test results of each embedding space."""
    pieces = results["pieces"]
    name = pieces[0] if len(pieces) == 1 else f"{results['word']} (the mean of {' '.join(pieces)})"
    rows = [(row["token"], f"#{row['id']}", f"{row['cosine']:.2f}") for row in results["neighbours"]]
    console.print(plain_table(f"nearest to {name}", "id", "cosine", rows=rows))
    words = results["words"]
    rows = [
        (word, *(f"{cosine:.2f}" for cosine in row))
        for word, row in zip(words, results["cosines"], strict=True)
    ]
    console.print("", plain_table("cosine", *words, rows=rows), sep="\n")
    rows = [
        (name, _share(space["same_kind"]), _share(space["same_meaning"]))
        for name, space in results["spaces"].items()
    ]
    questions = ("nearest word: same kind", "same meaning beats same word")
    console.print("", plain_table("share (95 % interval)", *questions, rows=rows), sep="\n")
    vocabulary, width = results["table"]
    console.print(
        f"\nThe table has {vocabulary:,} rows of {width} numbers. The map: {results['picture']}",
        soft_wrap=True,
    )


def _share(share: dict[str, Any]) -> str:
    low, high = share["interval_95"]
    return f"{share['hits']} of {share['n']} ({100 * low:.0f} to {100 * high:.0f} %)"


def show_attention(results: dict[str, Any], console: Console) -> None:
    """The head's weights, and the heads of each type."""
    scores = ", ".join(f"{name} {value:.2f}" for name, value in results["scores_of_head"].items())
    console.print(f"Layer {results['layer']}, head {results['head']}: {scores}", style="bold", soft_wrap=True)
    tokens, rows = results["tokens"], []
    for token, row in zip(tokens, results["weights"], strict=True):
        order = sorted(range(len(row)), key=lambda i: -row[i])[:3]
        rows.append((token, "   ".join(f"{tokens[i]} {row[i]:.0%}" for i in order if row[i] >= 0.05)))
    console.print(plain_table("token", "looks at", rows=rows))
    rows = []
    for name, row in results["types"].items():
        best = "  ".join(f"{layer}.{head} {score:.2f}" for layer, head, score in row["strongest"])
        rows.append((name, str(row["heads"]), best))
    columns = ("type", f"heads >= {results['named_from']}", "strongest: layer.head score")
    console.print("", plain_table(*columns, rows=rows), sep="\n")
    console.print(f"\nThe picture: {results['picture']}", soft_wrap=True)


def show_block(results: dict[str, Any], console: Console) -> None:
    """The shapes, and the differences from the model."""
    rows = [(line, " x ".join(map(str, shape))) for line, shape in results["lines"]]
    console.print(plain_table("block 0", "shape", rows=rows))
    verdict, colour = ("the same", "green") if results["matches"] else ("not the same", "bold red")
    console.print(
        f"\n{verdict}, as a share of a row's largest value (allowed: {results['tolerance']:g}):\neach of the "
        f"{len(results['blocks'])} blocks alone differs by at most {max(results['blocks']):.1g},\n"
        f"the logits after all of them by {results['logits']:.1g}.",
        style=colour,
        soft_wrap=True,
    )


def show_logit_lens(results: dict[str, Any], console: Console) -> None:
    """The best guess for the next token at every depth."""
    rows = []
    for row in results["layers"]:
        numbers = f"{row['p'][-1]:.1%}", f"{row['p_answer']:.1%}", f"{row['rank_of_answer']:,}"
        rows.append((row["after"], row["guesses"][-1], *numbers))
    columns = ("after", "best guess", "its p", "answer's p", "answer's rank")
    console.print(plain_table(*columns, rows=rows, right=columns[2:]))
    console.print(f"\n{results['headline']}\nThe picture: {results['picture']}", soft_wrap=True)


def show_bench(results: dict[str, Any], console: Console) -> None:
    """Seconds, ratios, and the lower bound from reading memory."""
    columns, rows = ("min", "median", "max"), []
    for kind in (results["loops"], results["int8"]):
        for name, seconds, bound in zip(
            kind["names"], (kind["first"], kind["second"]), kind["memory_allows"], strict=True
        ):
            times = [f"{seconds[key]:.2f} s" for key in columns]
            rows.append((name, *times, f"{bound:.2f} s" if bound else "-"))
        rows.append(("second / first", *(f"{kind['ratio'][key]:.2f}" for key in columns)))
    console.print(plain_table("", *columns, "memory allows", rows=rows, right=(*columns, "memory allows")))
    console.print(
        f"\n{results['pairs']} pairs, {results['input_tokens']} tokens in, {results['output_tokens']} out; "
        f"the first two generated the same {results['loops']['same_tokens']} tokens\n"
        f"int8: the same text for the first {results['int8']['same_tokens']} of "
        f"{results['output_tokens']} tokens\n{results['machine']}",
        soft_wrap=True,
    )
