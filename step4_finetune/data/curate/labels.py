"""Whether the labels are right: chosen replies keep the guide and are faithful, rejected ones are not.

DPO trusts the labels: a chosen reply that breaks a rule teaches the model to break it.
"""

from collections.abc import Callable, Mapping, Sequence

from step4_finetune.data.curate.finding import ERROR, WARNING, Case, Finding, of_cases, unchecked
from step4_finetune.data.rows import FACTS, Row
from step4_finetune.tone import fidelity, text

Broken = Callable[[str], Mapping[str, str]]  # the rules that a reply breaks, with what stands there


def label_noise(rows: Sequence[Row], broken: Broken) -> Finding:
    """Chosen replies that break the guide, and rejected ones that keep all of it, row by row.

    `broken` says of a reply which rules it breaks, as {rule: what stands there}. A row whose chosen reply is
    blank is passed over, with its rejected one: another check speaks of it. The cases of the row at place 3,
    chosen before rejected, rules in the order in which `broken` has them; a rejected reply whose `breaks`
    hold FACTS may keep all of them:

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
        other = FACTS in (row.breaks or ())  # wrong in what it says, not in how
        if row.rejected is not None and not other and not broken(row.rejected):
            cases.append(Case(at, row.id, "rejected breaks no rule"))
    ### END SOLUTION
    advice = "reword the reply, or leave the row out: it teaches the opposite"
    return of_cases("label noise", cases, len(rows), ERROR, advice)


def named_breaks(rows: Sequence[Row], broken: Broken) -> Finding:
    """Rows whose `breaks`, but for FACTS, are not the rules that `rejected` breaks.

    One case for each row where the two sets differ. It names first what is broken and not named, then what is
    named and not broken, each in the order of the alphabet:

        Case(3, "kettle-4", "rejected breaks calm, not named; names greeting, which it keeps")
    """
    labelled = [at for at, row in enumerate(rows) if row.breaks is not None and row.rejected is not None]
    if not labelled:
        return unchecked("named breaks", "no breaks named")
    cases: list[Case] = []
    ### BEGIN SOLUTION 4.3: pair checks
    for at in labelled:
        said, found = set(rows[at].breaks or ()) - {FACTS}, set(broken(rows[at].rejected or ""))
        parts = [f"breaks {rule}, not named" for rule in sorted(found - said)]
        parts += [f"names {rule}, which it keeps" for rule in sorted(said - found)]
        if parts:
            cases.append(Case(at, rows[at].id, "rejected " + "; ".join(parts)))
    ### END SOLUTION
    return of_cases("named breaks", cases, len(labelled), WARNING, "correct the column breaks")


def faithful(rows: Sequence[Row], own: str = "") -> Finding:
    """Chosen replies that are not faithful to their notes (tone/fidelity.py), and rejected ones that are,
    although `breaks` names FACTS. `own` is Guide.own; without a guide, the chosen reply's sign-off is taken.
    """
    labelled = [at for at, row in enumerate(rows) if row.notes and row.chosen.strip()]
    if not labelled:
        return unchecked("fidelity", "no notes")
    cases = []
    for at in labelled:
        row = rows[at]
        known = own or text.take_apart(row.chosen).sign_off
        found = _compare(row, row.chosen, known)
        wrong = [f"{kind} {each!r}" for kind, each in found.findings()]
        if wrong:
            cases.append(Case(at, row.id, f"chosen: {'; '.join(wrong)}"))
        other = row.rejected if FACTS in (row.breaks or ()) else None
        if other and _compare(row, other, known).faithful:
            cases.append(Case(at, row.id, "rejected is faithful, as far as the program sees"))
    advice = "say in the reply all that the notes say, with their words, and nothing else"
    return of_cases("fidelity", cases, len(labelled), WARNING, advice)


def _compare(row: Row, reply: str, own: str) -> fidelity.Fidelity:
    """A reply compared with the row's facts, or else with its notes."""
    known = f"{row.message}\n{row.compared_with.example}"
    return fidelity.check(reply, row.facts or row.notes, known, own, row.internal)
