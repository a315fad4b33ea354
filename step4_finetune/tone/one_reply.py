"""Does a text read as one reply: in full sentences, the answer first, and nothing twice?

    fault      example, for "When do you come?" and the notes "tech tue am / exc 50"
    shorthand  Our tech will come on Tuesday.           a word as only staff write it
    fragment   Technician on Tuesday.                   no verb, or no article
    answer     The excess is 50. We come on Tuesday.    the first sentence answers something else
    twice      The excess is 50. You pay 50 as excess.  one fact in two sentences

    >>> faults("Technician on Tuesday.", ["plan: technician Tuesday"], ["tech tue"])
    (('fragment', 'Technician on Tuesday.'),)

Patterns, not grammar: how often they are right, on replies labelled by hand, says
`python -m step4_finetune evaluator`.
"""

import re
from collections.abc import Sequence

from step4_finetune.tone import fidelity, text
from step4_finetune.tone.text import word_set

# Words with which a full sentence begins; also a name, a day, or a noun that needs no article ("theft").
STARTS = word_set(
    """
    the a an your our this that these those there it its we you they he she somebody someone nobody
    please thank as if because since when until by in on at for from after before within instead
    unfortunately new no both all each one parking cancelling nothing only to with once however also yes
    """
)
# How a sentence begins that tells the member what to do.
IMPERATIVES = word_set(
    """
    do use keep unplug set leave wash check change call lift burn rinse hold take bring send switch turn
    put ask allow wait press open close pack reply quote note
    """
)
# Nouns that need an article in front: "Technician will come" is a note and no sentence.
NEED_ARTICLE = word_set(
    """
    technician engineer fitter driver visit appointment excess refund voucher delivery repair plan card
    case replacement signature fee estimate part label slot discount price cost pump motor switch sensor
    filter inspection fault repair return booking shop store service loan team answer code number claim
    cover label document documents renewal cancellation address debit stock model colour item unit
    member tech
    """
)
AUXILIARY = re.compile(r"\b(?:is|are|was|were|has|have|will|can|cannot|may|must|does|do)\b", re.IGNORECASE)
VERB = re.compile(
    r"\b(?:is|are|was|were|be|been|has|have|had|will|would|can|could|cannot|may|must|shall|should|do|does|did"
    r"|costs?|takes?|runs?|goes|arrives?|starts?|begins?|ends?|closes?|opens?|pays?|needs?|covers?|includes?"
    r"|comes?|gets?|calls?|delivers?|leaves?|applies|lies|stays?|means?|works?|remains?|contains?|reached"
    r"|arrived|came|found|broke|expires?|keeps?|includes?|belongs?|brings?|depends?|follows?"
    r"|lasts?|fits?|holds?|removes?|makes?|helps?|suits?|uses?)\b",
    re.IGNORECASE,
)
SUBJECT = re.compile(
    r"\b(?:we|you|they|it|somebody|please)\s+(?:also |now |only )?[a-z]{2,}\b", re.IGNORECASE
)
SLASH = re.compile(r"\s[/|+=]{1,2}\s|//")
ALIKE = 0.75  # share of the shorter sentence's words that two sentences have in common


def faults(
    body: str, facts: Sequence[str] = (), notes: Sequence[str] = (), message: str = ""
) -> tuple[tuple[str, str], ...]:
    """What keeps a reply's body from reading as one reply: kinds with the sentence or word.

    Without `facts` (the notes written out, the answer first) it is not known what the answer is.
    """
    sentences = text.sentences(body)
    found = [("shorthand", word) for word in shorthand(body, notes, [*facts, message])]
    found += [("fragment", sentence) for sentence in sentences if is_fragment(sentence)]
    if facts and sentences and not fidelity.is_said(facts[0], sentences[0]):
        found.append(("answer", sentences[0]))
    found += [("twice", sentence) for sentence in repeated(sentences, facts)]
    return tuple(found)


def shorthand(body: str, notes: Sequence[str], known: Sequence[str]) -> list[str]:
    """The words of the reply that stand in a note, but neither in its fact nor in plain English."""
    plain = {word.lower() for each in known for word in text.words(each)}
    plain_stems = set().union(*(fidelity.stems(each) for each in known))
    written = {word.lower() for note in notes for word in text.words(note)}
    found = []
    for word in text.words(body):
        low = word.lower()
        is_abbreviation = low in written and low not in plain and low in ABBREVIATIONS
        if is_abbreviation and not fidelity.stems(low) & plain_stems:
            found.append(word)
    return found


# Words that only staff write. Full words such as "plan" or "card" may stand in notes and in replies.
ABBREVIATIONS = word_set(
    """
    cov covd exc tech eng appt rebkd ord ordd eta approx hr hrs min mins mth mths yr yrs rep pts est
    insp fnd rdy compl ref appr pd wd rtn recd rtnd chgd dbl vchr gw del dlyd redel drv sig reqd takn
    coll trk addr chgd upd bk stk exp pm mthly rnwd rnwl canc eff til disc appld dd docs excl incl dmg
    acc repl decl orig pls upgr bkd bkng conf avail loc pp pers svc mbr pkg esc ans rcpt ser purch dets
    tel inv pwr elt ctrl batt grnhse mon tue wed thu fri sat sun jan feb mar apr jun jul aug sep oct nov
    dec am eve tmrw bef aft nil w/in w/list w/shop w/house b/down gtd gtee callouts int acct mgr poss
    chk cust unit temp
    """
) - {"sun", "min", "unit", "sat", "may"}


def is_fragment(sentence: str) -> bool:
    """Whether a sentence lacks a verb or begins like a note."""
    if SLASH.search(sentence):
        return True
    first = text.words(sentence)[0].lower()
    if first in IMPERATIVES:
        return False
    if not (VERB.search(sentence) or SUBJECT.search(sentence)):
        return True
    if first in STARTS or _begins_with_name(sentence):
        return False
    return first in NEED_ARTICLE or not AUXILIARY.search(sentence)


def _begins_with_name(sentence: str) -> bool:
    """Whether the first word is a day, or the first two a person's name: "Priya Shah will come"."""
    first, *others = text.words(sentence)
    if first.lower() in fidelity.DAYS or first[:1].isdigit():
        return True
    second = others[0] if others else ""
    return second[:1].isupper() and second[1:].islower()


def repeated(sentences: Sequence[str], facts: Sequence[str]) -> list[str]:
    """The sentences that say again what an earlier one has said."""
    found = []
    for at, sentence in enumerate(sentences):
        words = fidelity.stems(sentence) | fidelity.facts(sentence)
        for earlier in sentences[:at]:
            before = fidelity.stems(earlier) | fidelity.facts(earlier)
            shorter = min(len(words), len(before))
            is_alike = shorter > 1 and len(words & before) >= ALIKE * shorter
            says_again = any(_is_again(fact, earlier, sentence) for fact in facts)
            if is_alike or says_again:
                found.append(sentence)
                break
    return found


def _is_again(fact: str, earlier: str, sentence: str) -> bool:
    """Whether both sentences say the fact; one of a single word, such as "replace", may come again."""
    is_one_word = len(fidelity.stems(fact) | fidelity.facts(fact)) < 2
    return not is_one_word and fidelity.is_said(fact, earlier) and fidelity.is_said(fact, sentence)
