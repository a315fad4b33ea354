"""Whether the labels are true: chosen replies keep the guide and speak of the message, rejected ones do not.

DPO takes the labels as they are: a chosen reply that breaks a rule teaches to break it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from step4_finetune import content
from step4_finetune.content import Intent
from step4_finetune.curate.finding import ERROR, WARNING, Case, Finding, of_cases, unchecked
from step4_finetune.data import Row

Broken = Callable[[str], Mapping[str, str]]  # the rules that a reply breaks, with what stands there


def label_noise(rows: Sequence[Row], broken: Broken) -> Finding:
    """Chosen replies that break the guide, and rejected ones that keep all of it, row by row.

    `broken` says of a reply which rules it breaks, as {rule: what stands there}. A row whose chosen reply is
    blank is passed over, with its rejected one: another check speaks of it. The cases of the row at place 3,
    chosen before rejected, rules in the order in which `broken` has them:

        Case(3, "kettle-4", "chosen breaks no_slang (asap); greeting")    where `greeting` has nothing to show
        Case(3, "kettle-4", "rejected breaks no rule")                    where there is a rejected reply
    """
    cases: list[Case] = []
    ### BEGIN SOLUTION 4.3: pair checks
    for at, row in enumerate(rows):
        if not row.chosen.strip():
            continue
        if wrong := broken(row.chosen):
            what = "; ".join(f"{rule} ({why})" if why else rule for rule, why in wrong.items())
            cases.append(Case(at, row.id, f"chosen breaks {what}"))
        if row.rejected is not None and not broken(row.rejected):
            cases.append(Case(at, row.id, "rejected breaks no rule"))
    ### END SOLUTION
    return of_cases(
        "label noise",
        cases,
        len(rows),
        ERROR,
        "reword the reply, or leave the row out: it teaches the opposite",
    )


def named_breaks(rows: Sequence[Row], broken: Broken) -> Finding:
    """Rows whose `breaks` are not the rules that `rejected` breaks.

    One case for each row where the two sets differ. It names first what is broken and not named, then what is
    named and not broken, each in the order of the alphabet:

        Case(3, "kettle-4", "rejected breaks calm, not named; names greeting, which it keeps")
    """
    labelled = [at for at, row in enumerate(rows) if row.breaks is not None and row.rejected is not None]
    if not labelled:
        return unchecked("named breaks", "rows", "no breaks named")
    cases: list[Case] = []
    ### BEGIN SOLUTION 4.3: pair checks
    for at in labelled:
        said, found = set(rows[at].breaks or ()), set(broken(rows[at].rejected or ""))
        parts = [f"breaks {rule}, not named" for rule in sorted(found - said)]
        parts += [f"names {rule}, which it keeps" for rule in sorted(said - found)]
        if parts:
            cases.append(Case(at, rows[at].id, "rejected " + "; ".join(parts)))
    ### END SOLUTION
    return of_cases("named breaks", cases, len(labelled), WARNING, "correct the column breaks")


def contents(rows: Sequence[Row], intents: Mapping[str, Intent] | None = None) -> Finding:
    """Rows whose reply lacks the subject or a fact or does something else than was asked.

    And rows whose message does not hold their facts itself, or whose intent is not among the `intents`: what
    replies to each do (content.py), where there are any.
    """
    labelled = [
        at
        for at, row in enumerate(rows)
        if row.chosen.strip() and (row.subject or row.facts or (row.intent and intents))
    ]
    if not labelled:
        return unchecked("content", "rows", "no subject, facts or intent")
    cases = []
    for at in labelled:
        row = rows[at]
        found = [f"chosen lacks {each}" for each in lacks(row, row.chosen)]
        asked = "\n".join(each["content"] for each in row.prompt)
        found += [f"the message lacks its fact {fact!r}" for fact in row.facts if not _has(asked, fact)]
        intent = (intents or {}).get(row.intent or "")
        if row.intent and intents and not intent:
            found.append(f"the intent {row.intent} is none of {', '.join(sorted(intents))}")
        if intent and content.fits(row.chosen, intent, row.message, intents) is False:
            found.append(f"chosen does not do what {row.intent} asks for, as far as patterns see")
        cases += [Case(at, row.id, each) for each in found]
    advice = "do in the reply what was asked, and name what the message is about, with its facts"
    return of_cases("content", cases, len(labelled), WARNING, advice)


def lacks(row: Row, reply: str) -> list[str]:
    """What of a row's subject and facts a reply doesn't have; any word of the subject is enough."""
    found = []
    if content.keeps(reply, row.subject, ())[0] is False:
        found.append("the subject " + " or ".join(map(repr, row.subject)))
    return found + [f"the fact {fact!r}" for fact in row.facts if not _has(reply, fact)]


def _has(text: str, fact: str) -> bool:
    return content.keeps(text, (), (fact,))[1] is True
