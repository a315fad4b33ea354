"""What replies teach besides the tone: their length, and sentences that are repeated.

DPO learns whatever separates chosen from rejected: where chosen replies are twice as long, their length (Park
et al. 2024, arXiv:2403.19159). A sentence that answers a dozen messages is learnt by heart.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence

from shared.stats import bootstrap
from step4_finetune.data.curate.duplicates import boilerplate
from step4_finetune.data.curate.finding import WARNING, Case, Finding, of_cases, short, unchecked
from step4_finetune.data.rows import Row
from step4_finetune.tone import text

FAIR = (0.8, 1.25)  # chosen to rejected, in words
REPEATS = 3  # times that a sentence's skeleton may be used
GAP = "#"


def length_bias(rows: Sequence[Row]) -> Finding:
    """The mean ratio of the lengths (in words) of chosen and rejected, with its 95 % interval over pairs.

    It is the geometric mean, so that twice and half cancel out.
    """
    ratios = {
        at: len(row.chosen.split()) / len(row.rejected.split())
        for at, row in enumerate(rows)
        if row.rejected and row.rejected.split() and row.chosen.split()
    }
    if not ratios:
        return unchecked("length bias", "no pairs")
    logs = [math.log(each) for each in ratios.values()]
    mean = math.exp(sum(logs) / len(logs))
    unit = "times rejected"
    if interval := bootstrap(logs):
        low, high = map(math.exp, interval)
        unit += f" (95% {low:.2f}-{high:.2f})"
    if FAIR[0] <= mean <= FAIR[1]:
        return Finding("length bias", round(mean, 3), None, unit)
    extreme = sorted(ratios, key=lambda at: abs(math.log(ratios[at])), reverse=True)[:5]
    cases = tuple(Case(at, rows[at].id, f"chosen has {ratios[at]:.2f} times the words") for at in extreme)
    side = "shorten chosen replies" if mean > 1 else "shorten rejected replies"
    advice = f"{side} or lengthen the others: DPO would learn the length"
    return Finding("length bias", round(mean, 3), None, unit, WARNING, advice, cases)


def templates(rows: Sequence[Row]) -> Finding:
    """Sentences that occur in more than REPEATS chosen replies, apart from their rows' own words."""
    common, cases = boilerplate(rows), []
    used: dict[str, set[int]] = defaultdict(set)  # by skeleton, the rows
    for at, row in enumerate(rows):
        own = [line for line in row.chosen.splitlines() if line.strip() not in common]
        if not own:
            cases.append(Case(at, row.id, "says nothing that most replies do not say"))
        for sentence in (each for line in own for each in text.sentences(line)):
            if len(text.words(sentence)) > 2:
                used[skeleton(sentence, row)].add(at)
    over = sorted(((k, v) for k, v in used.items() if len(v) > REPEATS), key=lambda each: -len(each[1]))
    for pattern, by_row in over:
        example = f"{len(by_row)} times {short(pattern)}"
        cases += [Case(at, rows[at].id, example) for at in sorted(by_row)]
    advice = f"reword until no sentence is used more than {REPEATS} times: templates teach parroting"
    unit = f"rows ({len(over)} sentences)" if over else "rows"
    return of_cases("templates", cases, len(rows), WARNING, advice, unit)


def skeleton(sentence: str, row: Row) -> str:
    """A sentence with gaps for its row's own words: topic, numbers, long words of the message."""
    own = [*([row.topic] if row.topic else []), *re.findall(r"\w{5,}", row.message)]
    for each in sorted(own, key=len, reverse=True):
        sentence = re.sub(rf"(?<!\w){re.escape(each)}(?:e?s)?(?!\w)", GAP, sentence, flags=re.IGNORECASE)
    return " ".join(re.sub(r"\d+(?:[.,:/]\d+)*", GAP, sentence).lower().split())
