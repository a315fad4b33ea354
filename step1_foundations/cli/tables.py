"""What the commands print, from the same results that `--json` gives to programs."""

from __future__ import annotations

import sys
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
    for each in (
        "",
        f"{results['input_tokens']} tokens in, {results['output_tokens']} out; "
        + ENDED[results["stop_reason"]],
        line,
        f"{results['model']} ({results['weights']}), {results['runs_with']}; {results['machine']}",
    ):
        console.print(each, style="dim", soft_wrap=True)


def show_tokens(results: dict[str, Any], console: Console) -> None:
    """The pieces, or the counts by language."""
    own, *others = results["vocabulary"]
    if results["languages"]:
        names = ("characters", "bytes", "tokens", "characters per token", *others)
        table = plain_table("five sentences", *names, right=names)
        for row in results["languages"]:
            counts = list(row["tokens"].values())
            ratio = f"{row['characters'] / counts[0]:.2f}"
            numbers = (row["characters"], row["bytes"], counts[0], ratio, *counts[1:])
            table.add_row(row["kind"], *map(str, numbers))
        console.print(table)
        return
    table = plain_table("piece", "id", "bytes")
    for row in results["tokens"][own]:
        table.add_row(Text(row["piece"]), str(row["id"]), row["bytes"])
    console.print(table)
    size = results["vocabulary"][own]
    console.print(f"\n{results['headline']} (vocabulary of {size:,} tokens)", soft_wrap=True)
    for name in others:
        pieces = [row["piece"] for row in results["tokens"][name]]
        size = results["vocabulary"][name]
        console.print(f"{name} ({size:,}): {len(pieces)} tokens: {' '.join(pieces)}", soft_wrap=True)


def show_merges(results: dict[str, Any], console: Console) -> None:
    """One row per merge, and a word tokenized with all of them."""
    table = plain_table("merge", "seen", "left", "right", "new piece", right=("merge", "seen"))
    for i, row in enumerate(results["merges"], 1):
        pieces = (row["left"], row["right"], row["left"] + row["right"])
        table.add_row(str(i), str(row["count"]), *map(Text, pieces))
    console.print(table)
    console.print(f"\n{results['headline']}")
    console.print(f"{results['word']!r} is tokenized as {' | '.join(results['pieces'])}", soft_wrap=True)


def show_next(results: dict[str, Any], console: Console) -> None:
    """The guesses at every position, and the text coloured by surprisal."""
    numbers = ("surprisal", "entropy after")
    table = plain_table("token", *numbers, "most probable next tokens", right=numbers)
    coloured = Text("\n")
    for position in results["positions"]:
        bits = position["surprisal_bits"]
        colour = "dim" if bits is None else "green" if bits < 2 else "yellow" if bits < 6 else "red"
        table.add_row(
            Text(position["token"], colour),
            "-" if bits is None else f"{bits:.1f}",
            f"{position['next_entropy_bits']:.1f}",
            Text("  ".join(f"{each['token']} {each['p']:.0%}" for each in position["next"])),
        )
        coloured.append("".join(c for c in position["text"] if c.isprintable() or c in "\n\t"), colour)
    console.print(table)
    console.print(coloured)
    legend = ("under 2 bits", "green"), ", ", ("2 to 6", "yellow"), ", ", ("over 6", "red")
    console.print(Text.assemble("\ncoloured by surprisal: ", *legend))
    bits = results["bits_per_character"]
    console.print(results["headline"] + (f"; {bits:.2f} bits per character" if bits else ""), soft_wrap=True)


def show_perplexity(results: dict[str, Any], console: Console) -> None:
    """One row per kind of text."""
    columns = ("texts", "tokens", "perplexity", "95 %", "bits per character", "95 % ")
    table = plain_table("kind", *columns, right=columns)
    for kind in results["kinds"]:
        numbers = [str(kind["texts"]), str(kind["tokens"])]
        for name, decimals in (("perplexity", 1), ("bits_per_character", 2)):
            bounds = kind[f"{name}_95"]
            numbers.append(f"{kind[name]:.{decimals}f}")
            numbers.append(f"{bounds[0]:.{decimals}f} to {bounds[1]:.{decimals}f}" if bounds else "-")
        table.add_row(Text(kind["name"]), *numbers)
    console.print(table)
    if results["skipped"]:
        console.print(f"{results['skipped']} texts of less than two tokens were left out")


def show_embeddings(results: dict[str, Any], console: Console) -> None:
    """Neighbours, cosines and what each space can tell."""
    pieces = results["pieces"]
    name = pieces[0] if len(pieces) == 1 else f"{results['word']} (the mean of {' '.join(pieces)})"
    table = plain_table(f"nearest to {name}", "id", "cosine")
    for row in results["neighbours"]:
        table.add_row(Text(row["token"]), f"#{row['id']}", f"{row['cosine']:.2f}")
    console.print(table)
    console.print()
    table = plain_table("cosine", *results["cosines"])
    for word, row in results["cosines"].items():
        table.add_row(word, *(f"{value:.2f}" for value in row.values()))
    console.print(table)
    console.print()
    questions = ("nearest word: same kind", "same meaning beats same word")
    table = plain_table("share (95 % interval)", *questions)
    for name in results["same_kind"]:
        shares = results["same_kind"][name], results["same_meaning"][name]
        table.add_row(
            name,
            *(
                f"{each['hits']} of {each['n']} ({100 * each['interval_95'][0]:.0f} to "
                f"{100 * each['interval_95'][1]:.0f} %)"
                for each in shares
            ),
        )
    console.print(table)
    vocabulary, width = results["table"]
    console.print(
        f"\nThe table has {vocabulary:,} rows of {width} numbers. The map: {results['picture']}",
        soft_wrap=True,
    )


def show_attention(results: dict[str, Any], console: Console) -> None:
    """The head's weights and the heads with a type."""
    scores = ", ".join(f"{name} {value:.2f}" for name, value in results["scores_of_head"].items())
    console.print(f"Layer {results['layer']}, head {results['head']}: {scores}", style="bold", soft_wrap=True)
    table, tokens = plain_table("token", "looks at"), results["tokens"]
    for token, row in zip(tokens, results["weights"], strict=True):
        order = sorted(range(len(row)), key=lambda i: -row[i])[:3]
        looks = "   ".join(f"{tokens[i]} {row[i]:.0%}" for i in order if row[i] >= 0.05)
        table.add_row(Text(token), Text(looks))
    console.print(table)
    console.print()
    table = plain_table("type", f"heads >= {results['named_from']}", "strongest: layer.head score")
    for name, rows in results["heads"].items():
        best = "  ".join(f"{row['layer']}.{row['head']} {row['score']:.2f}" for row in rows[:3])
        table.add_row(name, str(len(rows)), best or f"none; best {results['best'][name]:.2f}")
    console.print(table)
    console.print(f"\nThe picture: {results['picture']}", soft_wrap=True)


def show_block(results: dict[str, Any], console: Console) -> None:
    """The shapes and the proof."""
    table = plain_table(f"block {results['layer']}", "shape")
    for line, shape in results["lines"]:
        table.add_row(line, " x ".join(map(str, shape)))
    console.print(table)
    verdict, colour = ("the same", "green") if results["matches"] else ("not the same", "bold red")
    for line in (
        f"\n{verdict}, as a share of a row's largest value (allowed: {results['tolerance']:g}):",
        f"each of the {len(results['blocks'])} blocks alone differs by at most {max(results['blocks']):.1g},",
        f"the logits after all of them by {results['logits']:.1g}, "
        f"{'with' if results['same_next_token'] else 'WITHOUT'} the same next token at every position.",
    ):
        console.print(line, style=colour, soft_wrap=True)
    console.print(
        f"The largest value in the residual stream is {results['largest_value']:,.0f}, "
        f"at position {results['position_of_largest_value']}.",
        soft_wrap=True,
    )


def show_logit_lens(results: dict[str, Any], console: Console) -> None:
    """The best guess for the next token at every depth."""
    numbers = ("its p", "answer's p", "answer's rank")
    table = plain_table("after", "best guess", *numbers, right=numbers)
    for row in results["layers"]:
        guess = Text(row["guesses"][-1], "green" if row["rank_of_answer"] == 1 else "")
        p_guess, p_answer = f"{row['p'][-1]:.1%}", f"{row['p_answer']:.1%}"
        table.add_row(row["after"], guess, p_guess, p_answer, f"{row['rank_of_answer']:,}")
    console.print(table)
    console.print(f"\n{results['headline']}", soft_wrap=True)
    console.print(f"The picture: {results['picture']}", soft_wrap=True)


def show_bench(results: dict[str, Any], console: Console) -> None:
    """Seconds, ratios, and what memory allows."""
    from shared import hardware

    numbers = ("min", "median", "max")
    table = plain_table("", *numbers, "memory allows", right=(*numbers, "memory allows"))
    for kind in ("loops", "int8"):
        rows = results[kind]
        for i, seconds in enumerate((rows["first"], rows["second"])):
            bound = rows["memory_allows"][i]
            times = [f"{seconds[key]:.2f} s" for key in numbers]
            table.add_row(rows["names"][i], *times, f"{bound:.2f} s" if bound else "-")
        table.add_row("second / first", *(f"{rows['ratio'][key]:.2f}" for key in numbers), style="bold")
    console.print(table)
    loops, int8, memory = results["loops"], results["int8"], results["memory"]
    for line in (
        f"\n{results['pairs']} pairs, {results['input_tokens']} tokens in, {results['output_tokens']} out; "
        f"the first two generated the same {loops['same_tokens']} tokens",
        f"int8: logits at cosine {int8['logit_cosine']:.4f} to the default's, the same text for the first "
        f"{int8['same_tokens']} of {results['output_tokens']} tokens",
        f"peak memory: {memory['peak_mb']:,.0f} MB, of which {memory['libraries_mb']:,.0f} for libraries; "
        f"the rest is {memory['per_weight']:.2f} times the weights' {memory['weights_mb']:.0f} MB",
        results["machine"],
    ):
        console.print(line, soft_wrap=True)
    if results["idle_cores_before"] < hardware.cores() - 0.5:
        busy = f"only {results['idle_cores_before']} cores were idle: the ratios hold, the seconds don't"
        print(busy, file=sys.stderr)
