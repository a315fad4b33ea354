"""What the commands print, from the same results that `--json` gives to programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from shared.cli import plain_table

if TYPE_CHECKING:
    from rich.console import Console

ENDED = {
    "stop": "the model ended its turn",
    "length": "stopped at the limit",
    "interrupt": "stopped by Ctrl-C",
}


def show_generate(results: dict[str, Any], console: Console) -> None:
    """What follows the answer: counts, speeds, and what it ran with."""
    speed, bound = results["decode_tokens_per_second"], results["memory_bound_tokens_per_second"]
    line = f"prefill {results['prefill_tokens_per_second']:.0f} tokens/s, decode {speed:.0f} tokens/s"
    if bound:
        line += (
            f": {speed / bound:.0%} of the {bound:.0f} that memory allows "
            f"({results['weight_megabytes']:.0f} MB of weights are read per token)"
        )
    console.print(
        f"\n{results['input_tokens']} tokens in, {results['output_tokens']} out; "
        f"{ENDED[results['stop_reason']]}\n{line}\n"
        f"{results['model']} ({results['weights']}), {results['runs_with']}; {results['machine']}",
        style="dim",
        soft_wrap=True,
    )


def show_tokens(results: dict[str, Any], console: Console) -> None:
    """The pieces, or the counts by language."""
    own, *others = results["vocabulary"]
    if results["languages"]:
        names = ("characters", "bytes", "tokens", "characters per token", *others)
        rows = []
        for row in results["languages"]:
            counts = list(row["tokens"].values())
            ratio = f"{row['characters'] / counts[0]:.2f}"
            numbers = (row["characters"], row["bytes"], counts[0], ratio, *counts[1:])
            rows.append((row["kind"], *map(str, numbers)))
        console.print(plain_table("five sentences", *names, rows=rows, right=names))
        return
    rows = [(row["piece"], str(row["id"]), row["bytes"]) for row in results["tokens"][own]]
    console.print(plain_table("piece", "id", "bytes", rows=rows))
    size = results["vocabulary"][own]
    console.print(f"\n{results['headline']} (vocabulary of {size:,} tokens)", soft_wrap=True)
    for name in others:
        pieces = [row["piece"] for row in results["tokens"][name]]
        size = results["vocabulary"][name]
        console.print(f"{name} ({size:,}): {len(pieces)} tokens: {' '.join(pieces)}", soft_wrap=True)


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
    """The guesses at every position, and the text coloured by surprisal."""
    rows, coloured = [], Text("\n")
    for position in results["positions"]:
        bits = position["surprisal_bits"]
        colour = "dim" if bits is None else "green" if bits < 2 else "yellow" if bits < 6 else "red"
        surprisal = "-" if bits is None else f"{bits:.1f}"
        guesses = "  ".join(f"{each['token']} {each['p']:.0%}" for each in position["next"])
        entropy = f"{position['next_entropy_bits']:.1f}"
        rows.append((Text(position["token"], colour), surprisal, entropy, guesses))
        coloured.append("".join(c for c in position["text"] if c.isprintable() or c in "\n\t"), colour)
    columns = ("token", "surprisal", "entropy after", "most probable next tokens")
    console.print(plain_table(*columns, rows=rows, right=columns[1:3]))
    console.print(coloured)
    legend = ("under 2 bits", "green"), ", ", ("2 to 6", "yellow"), ", ", ("over 6", "red")
    console.print(Text.assemble("\ncoloured by surprisal: ", *legend))
    bits = results["bits_per_character"]
    console.print(results["headline"] + (f"; {bits:.2f} bits per character" if bits else ""), soft_wrap=True)


def show_perplexity(results: dict[str, Any], console: Console) -> None:
    """One row per kind of text."""
    rows = []
    for kind in results["kinds"]:
        row = [kind["name"], str(kind["texts"]), str(kind["tokens"])]
        for name, decimals in (("perplexity", 1), ("bits_per_character", 2)):
            bounds = kind[f"{name}_95"]
            row.append(f"{kind[name]:.{decimals}f}")
            row.append(f"{bounds[0]:.{decimals}f} to {bounds[1]:.{decimals}f}" if bounds else "-")
        rows.append(row)
    columns = ("kind", "texts", "tokens", "perplexity", "95 %", "bits per character", "95 % ")
    console.print(plain_table(*columns, rows=rows, right=columns[1:]))
    if results["skipped"]:
        console.print(f"{results['skipped']} texts of less than two tokens were left out")


def show_embeddings(results: dict[str, Any], console: Console) -> None:
    """Neighbours, cosines and what each space can tell."""
    pieces = results["pieces"]
    name = pieces[0] if len(pieces) == 1 else f"{results['word']} (the mean of {' '.join(pieces)})"
    rows = [(row["token"], f"#{row['id']}", f"{row['cosine']:.2f}") for row in results["neighbours"]]
    console.print(plain_table(f"nearest to {name}", "id", "cosine", rows=rows))
    cosines = results["cosines"].items()
    rows = [(word, *(f"{value:.2f}" for value in row.values())) for word, row in cosines]
    console.print("", plain_table("cosine", *results["cosines"], rows=rows), sep="\n")
    rows = [
        (name, _share(results["same_kind"][name]), _share(results["same_meaning"][name]))
        for name in results["same_kind"]
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
    """The head's weights and the heads with a type."""
    scores = ", ".join(f"{name} {value:.2f}" for name, value in results["scores_of_head"].items())
    console.print(f"Layer {results['layer']}, head {results['head']}: {scores}", style="bold", soft_wrap=True)
    tokens, rows = results["tokens"], []
    for token, row in zip(tokens, results["weights"], strict=True):
        order = sorted(range(len(row)), key=lambda i: -row[i])[:3]
        rows.append((token, "   ".join(f"{tokens[i]} {row[i]:.0%}" for i in order if row[i] >= 0.05)))
    console.print(plain_table("token", "looks at", rows=rows))
    rows = []
    for name, heads in results["heads"].items():
        best = "  ".join(f"{row['layer']}.{row['head']} {row['score']:.2f}" for row in heads[:3])
        rows.append((name, str(len(heads)), best or f"none; best {results['best'][name]:.2f}"))
    columns = ("type", f"heads >= {results['named_from']}", "strongest: layer.head score")
    console.print("", plain_table(*columns, rows=rows), sep="\n")
    console.print(f"\nThe picture: {results['picture']}", soft_wrap=True)


def show_block(results: dict[str, Any], console: Console) -> None:
    """The shapes and the proof."""
    rows = [(line, " x ".join(map(str, shape))) for line, shape in results["lines"]]
    console.print(plain_table(f"block {results['layer']}", "shape", rows=rows))
    verdict, colour = ("the same", "green") if results["matches"] else ("not the same", "bold red")
    console.print(
        f"\n{verdict}, as a share of a row's largest value (allowed: {results['tolerance']:g}):\neach of the "
        f"{len(results['blocks'])} blocks alone differs by at most {max(results['blocks']):.1g},\n"
        f"the logits after all of them by {results['logits']:.1g}, "
        f"{'with' if results['same_next_token'] else 'WITHOUT'} the same next token at every position.",
        style=colour,
        soft_wrap=True,
    )
    console.print(
        f"The largest value in the residual stream is {results['largest_value']:,.0f}, "
        f"at position {results['position_of_largest_value']}.",
        soft_wrap=True,
    )


def show_logit_lens(results: dict[str, Any], console: Console) -> None:
    """The best guess for the next token at every depth."""
    rows = []
    for row in results["layers"]:
        guess = Text(row["guesses"][-1], "green" if row["rank_of_answer"] == 1 else "")
        numbers = f"{row['p'][-1]:.1%}", f"{row['p_answer']:.1%}", f"{row['rank_of_answer']:,}"
        rows.append((row["after"], guess, *numbers))
    columns = ("after", "best guess", "its p", "answer's p", "answer's rank")
    console.print(plain_table(*columns, rows=rows, right=columns[2:]))
    console.print(f"\n{results['headline']}\nThe picture: {results['picture']}", soft_wrap=True)


def show_bench(results: dict[str, Any], console: Console) -> None:
    """Seconds, ratios, and what memory allows."""
    columns, rows = ("min", "median", "max"), []
    for kind in (results["loops"], results["int8"]):
        for name, seconds, bound in zip(
            kind["names"], (kind["first"], kind["second"]), kind["memory_allows"], strict=True
        ):
            times = [f"{seconds[key]:.2f} s" for key in columns]
            rows.append((name, *times, f"{bound:.2f} s" if bound else "-"))
        rows.append(("second / first", *(f"{kind['ratio'][key]:.2f}" for key in columns)))
    console.print(plain_table("", *columns, "memory allows", rows=rows, right=(*columns, "memory allows")))
    loops, int8, memory = results["loops"], results["int8"], results["memory"]
    console.print(
        f"\n{results['pairs']} pairs, {results['input_tokens']} tokens in, {results['output_tokens']} out; "
        f"the first two generated the same {loops['same_tokens']} tokens\n"
        f"int8: logits at cosine {int8['logit_cosine']:.4f} to the default's, the same text for the first "
        f"{int8['same_tokens']} of {results['output_tokens']} tokens\n"
        f"peak memory: {memory['peak_mb']:,.0f} MB, of which {memory['libraries_mb']:,.0f} for libraries; "
        f"the rest is {memory['per_weight']:.2f} times the weights' {memory['weights_mb']:.0f} MB\n"
        f"{results['machine']}",
        soft_wrap=True,
    )
