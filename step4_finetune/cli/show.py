"""What the commands print of their facts."""

from collections.abc import Mapping
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from shared.cli import Console, plain_table
from shared.stats import Share, percent
from shared.words import count

if TYPE_CHECKING:
    from step4_finetune.reading.measure import ReaderReport

Facts = Mapping[str, Any]
EXAMPLES = 3  # shown of each finding
ROWS = 80  # characters of row ids before an example
COLOURS = {"not checked": "dim", "warning": "yellow", "error": "bold red"}


def train(facts: Facts, console: Console) -> None:
    """How much was trained, and what it cost."""
    share = 100 * facts["trainable"] / facts["parameters"]
    console.print(
        f"{facts['trainable']:,} of {facts['parameters']:,} weights trained ({share:.2f} %), "
        f"on {count(facts['rows'], 'row')}"
        + (f" and {count(facts['pairs'], 'pair')}" if facts["pairs"] else "")
    )
    if facts.get("first_loss"):
        console.print(
            f"loss {facts['first_loss'][0]:.2f} in the first step, {facts['loss'][0]:.2f} in the last"
        )
    console.print(
        f"{facts['recipe']['method']} {facts['seconds']:.0f} s; {facts['peak_memory_mb']:,} MB at most; "
        f"{facts['dtype']}; {facts['machine']}"
    )


def reader(report: "ReaderReport", console: Console) -> None:
    """The reader beside its baselines."""
    rows = [
        (
            "right sentence",
            percent(report.right),
            percent(report.right_by_cosine),
            percent(report.right_first),
        ),
        ("AUROC against near misses", f"{report.near:.3f}", f"{report.near_by_cosine:.3f}", "-"),
        ("AUROC against deleted", f"{report.deleted:.3f}", f"{report.deleted_by_cosine:.3f}", "-"),
    ]
    head = ("", "trained", "by cosine", "always the first")
    console.print(plain_table(*head, rows=rows, right=head[1:]), "")
    console.print(f"{report.passages} passages, {report.right.n:,} questions that they answer")


def evaluation(facts: Facts, console: Console) -> None:
    """The tables, and the replies to one message."""
    for head, rows in tables(facts):
        if rows:
            console.print(plain_table(*head, rows=rows, right=head[1:]), "")
    console.print(f"message:\n{facts['messages'][0]['message']}\n")
    for system in facts["systems"]:
        console.print(f"{system['name']}:", style="bold")
        console.print(f"{system['replies'][0]['text']}\n")
    console.print(
        f"{facts['company']}, {facts['split']}: {count(facts['n'], 'message')}; "
        f"read and written: tokens a reply; {facts['model']}; {facts['machine']}",
        soft_wrap=True,
    )


def tables(facts: Facts) -> list[tuple[list[str], list[list[str]]]]:
    """Heads and rows: scores and cost of the systems, forgetting of the models, differences, rules."""
    from step4_finetune.tone.scores import SHARES

    scores, cost, models, differences = [], [], [], []
    for each in facts["systems"]:
        scores.append(
            [each["name"], f"{each['adherence']['mean']:.2f}", *(_percent(each[name]) for name in SHARES)]
        )
        tokens = (f"{each['prompt_tokens']:.0f}", f"{each['reply_tokens']:.0f}")
        cost.append([each["name"], *tokens, f"{each['seconds_a_reply']:.1f}"])
    base = facts["models"].get("base")
    for name, each in facts["models"].items():
        # Also as a multiple of the base's, if the base was measured.
        times = f" ({each['perplexity'] / base['perplexity']:.2f})" if base else ""
        counts = (f"{each['leaked']} of {each['asked']}", f"{each['right']} of {each['answers']}")
        models.append([name, *counts, f"{each['perplexity']:.1f}{times}"])
    for each in facts["differences"]:
        interval = "{:+.2f} to {:+.2f}".format(*each["interval_95"]) if each["interval_95"] else "-"
        what = (f"{each['system']} over {each['over']}", each["measure"].replace("_", " "))
        differences.append([*what, f"{each['difference']:+.2f}", interval])
    rules = [
        [rule, *(f"{each['rules'][rule].share:.0%}" for each in facts["systems"])]
        for rule in facts["systems"][0]["rules"]
    ]
    return [
        (["system", "adherence", *(name.replace("_", " ") for name in SHARES)], scores),
        (["cost of it", "read", "written", "s a reply"], cost),
        (["model", "leak", "general answers right", "perplexity"], models),
        (["difference", "of", "mean", "95 %"], differences),
        (["rule", *(each["name"] for each in facts["systems"])], rules),
    ]


def _percent(found: Share | None) -> str:
    return "-" if found is None else percent(found)


def evaluator(facts: Facts, console: Console) -> None:
    """One line for each verdict."""
    heads = ("n", "said", "right", "missed", "precision", "recall", "kappa")
    rows = [
        [
            each["name"],
            *(str(each[name]) for name in ("n", "said", "right", "missed")),
            _percent(each["precision"]),
            _percent(each["recall"]),
            "-" if each["kappa"] is None else f"{each['kappa']:.2f}",
        ]
        for each in facts["verdicts"]
    ]
    console.print(plain_table("verdict", *heads, rows=rows, right=heads))


def chat(facts: Facts, console: Console) -> None:
    """The replies, and the rules that each breaks."""
    for name, reply in facts["replies"].items():
        breaks = f"; breaks {', '.join(reply['breaks'])}" if reply["breaks"] else ""
        console.print(f"{name} ({reply['tokens']} tokens{breaks})", style="bold")
        console.print(f"{reply['reply']}\n")


def guard(facts: Facts, console: Console) -> None:
    """The findings, and the reply or what a model would be asked."""
    for each in facts["findings"]:
        attempt = f" (attempt {each['attempt']})" if each["attempt"] else ""
        line = f"{each['side']:6}  {each['check']:9}  {each['action']:10}  {each['seen']}{attempt}"
        console.print(line, soft_wrap=True)
    if not facts["findings"]:
        console.print("No check objects.")
    if facts["reply"] is None:
        console.print(f"\nThe model is asked:\n\n{facts['asked']}", soft_wrap=True)
    else:
        why = "The ready-made reply goes out:" if facts["fallback"] else "The member gets:"
        console.print(f"\n{why}\n\n{facts['reply']}", soft_wrap=True)


def rates(facts: Facts, console: Console) -> None:
    """What each check catches, and its false alarms."""
    heads = ("caught", "95 %", "false alarms", "95 %")
    rows = [
        [row["check"], row["side"], row["split"], *_of(row["caught"]), *_of(row["false_alarms"])]
        for row in facts["rates"]
    ]
    console.print(plain_table("check", "side", "split", *heads, rows=rows, right=heads))


def _of(found: Share | None) -> tuple[str, str]:
    if found is None:
        return "-", "-"
    return f"{found.hits}/{found.n}", "{:.2f}-{:.2f}".format(*found.interval_95)


def export(facts: Facts, console: Console) -> None:
    """What was written, its sizes, and how to run it."""
    rows = [(part["what"], part["where"], f"{part['bytes'] / 1e6:.1f}") for part in facts["parts"]]
    console.print(plain_table("what", "where", "MB", rows=rows, right=("MB",)), "")
    for part in facts["parts"]:
        console.print(f"{part['what']}: {part['run']}", soft_wrap=True)
    if facts["activated"]:
        console.print(
            "\nMerged, and on most servers, this activated adapter is always on: `evaluate` measures both.",
            soft_wrap=True,
        )


def lora(facts: Facts, console: Console) -> None:
    """The shapes, the counts and the proof."""
    from step4_finetune.by_hand.lora import TOLERANCE

    rows = [(name, " x ".join(map(str, shape))) for name, shape in facts["shapes"].items()]
    console.print(plain_table(facts["matrix"], "shape", rows=rows))
    apart = facts["differences"]
    console.print(
        f"\n{facts['lora']:,} trained weights (A and B, r={facts['r']}) instead of {facts['full']:,} (W): "
        f"{facts['lora'] / facts['full']:.1%}; while B is zero, outputs don't change "
        f"({apart['at start']:.1g}), then by up to {apart['learnt']:.2g}",
        soft_wrap=True,
    )
    verdict, colour = ("the same", "green") if facts["proved"] else ("not the same", "bold red")
    console.print(
        f"{verdict}: by hand and by PEFT at most {apart['by hand']:.1g} apart, merged and unmerged "
        f"{apart['merged']:.1g}, the merged matrices {apart['matrix']:.1g} (allowed {TOLERANCE:g})",
        style=colour,
        soft_wrap=True,
    )


def dpo(facts: Facts, console: Console) -> None:
    """Log-probabilities, margin and loss of each pair."""
    heads = ("log p_ref", "log p", "reward", "margin", "loss", "pull")
    table = plain_table("pair", "reply", *heads, right=heads)
    for pair in facts["pairs"]:
        both = [f"{pair['margin']:+.3f}", f"{pair['loss']:.4f}", f"{pair['pull']:.4f}"]
        for kind, name, more in (("chosen", pair["id"], both), ("rejected", "", [])):
            side = pair[kind]
            own = [f"{side['reference']:.1f}", f"{side['policy']:.1f}", f"{side['reward']:+.3f}"]
            table.add_row(name, kind, *own, *more)
    console.print(
        f"after {count(facts['steps'], 'step')} of DPO by hand, beta {facts['beta']:g}\n", style="bold"
    )
    console.print(table)
    console.print(
        "\nreward = beta (log p - log p_ref); margin = reward of chosen - of rejected; "
        "loss = -log sigmoid(margin); pull = beta sigmoid(-margin), up on chosen, down on rejected\n"
        f"loss, step by step: {' '.join(f'{loss:.4f}' for loss in facts['losses'])}",
        soft_wrap=True,
    )


# --- rows ---------------------------------------------------------------------------------------------------


def rows(facts: Facts, console: Console) -> None:
    """One block a row."""
    from rich import box
    from rich.table import Table

    for row in facts["rows"]:
        console.print(" · ".join(filter(None, (row["id"], row["split"], row["topic"]))), style="bold")
        console.print(row["message"])
        for note in row["notes"]:
            console.print(f"- {note}", style="dim")
        table = Table(box=box.ROUNDED, show_lines=True, expand=True)
        names = [name for name in ("chosen", "rejected") if row[name] is not None]
        for name in names:
            table.add_column(name, ratio=1)
        table.add_row(*(row[name] for name in names))
        if row["broken"] is not None:
            table.add_row(*(_breaks(row["broken"][name]) for name in names))
        console.print(table, "")
    more = facts["found"] - len(facts["rows"])
    console.print(facts["headline"] + (f"; {more} more with --limit" if more else ""), soft_wrap=True)


def _breaks(broken: Facts) -> str:
    """The rules that a reply breaks, for a cell."""
    if not broken:
        return "keeps every rule"
    return "breaks " + "; ".join(f"{rule} ({why})" if why else rule for rule, why in broken.items())


def check(facts: Facts, console: Console) -> None:
    """One line a check; then examples and advice of those that found something."""
    table = plain_table("check", "", "found", "of", "what", right=("found", "of"))
    for each in facts["findings"]:
        number = "" if each["number"] is None else f"{each['number']:g}"
        of = "" if each["of"] is None else str(each["of"])
        colour = COLOURS.get(each["severity"], "")
        table.add_row(each["check"], each["severity"], number, of, each["unit"], style=colour)
    console.print(table)
    for each in facts["findings"]:
        if each["severity"] in ("warning", "error"):
            console.print(f"\n{each['severity']}: {each['check']}", style=COLOURS[each["severity"]])
            console.print("\n".join(f"  {line}" for line in _details(each)), soft_wrap=True)
    splits = ", ".join(f"{n} {split}" for split, n in facts["splits"].items())
    console.print(
        f"\n{facts['headline']} ({splits}; {facts['pairs']} with a rejected reply) of {facts['data']}, "
        f"fingerprint {facts['fingerprint']}",
        soft_wrap=True,
    )
    if facts["guide"] is None:
        console.print("no guide: label noise not checked; name one with --guide")


def _details(finding: Facts) -> list[str]:
    """Some examples, each after the rows that have it, and the advice."""
    ids: dict[str, list[str]] = {}
    for case in finding["cases"]:
        ids.setdefault(case["example"], []).append(case["id"])
    shown = list(ids.items())[:EXAMPLES]
    lines = [f"{shorten(', '.join(some), ROWS, placeholder=' ...')}: {example}" for example, some in shown]
    if len(ids) > len(shown):
        lines.append(f"and {len(ids) - len(shown)} more: --json names them")
    return [*lines, f"→ {finding['advice']}"]


def splits(facts: Facts, console: Console) -> None:
    """One line a split."""
    rows = [
        (split, f"{each['rows']:,}", each["fingerprint"], each["file"])
        for split, each in facts["splits"].items()
    ]
    console.print(plain_table("split", "rows", "fingerprint", "file", rows=rows, right=("rows",)))
    console.print(f"\n{facts['headline']}", soft_wrap=True)


def distill(facts: Facts, console: Console) -> None:
    """How many replies were kept, why others were not, and what it cost."""
    lines = [facts["headline"]]
    if facts["why"]:
        lines.append("filtered: " + ", ".join(f"{why} {n}" for why, n in facts["why"].items()))
    if facts["not_asked"]:
        lines.append(
            f"{facts['not_asked']} messages not asked: the budget of requests is used up; "
            "the same command continues with them"
        )
    lines.append(f"{facts['input_tokens']} tokens read, {facts['output_tokens']} written")
    lines += [
        f"{what}: {facts[key]}" for what, key in (("kept", "out"), ("filtered", "filtered_out")) if facts[key]
    ]
    console.print("\n".join(lines), soft_wrap=True)
