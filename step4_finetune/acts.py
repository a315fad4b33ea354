"""What a reply does: the clauses in which the company acts, and those that plainly inform.

    >>> acts("You want to cancel the plan. We've ended it. A letter is on its way. We can't return the fee.")
    ['ended it.', 'a letter is on its way.', 'not return the fee.']

A message has words such as `cancel` and `refund` in it, and a reply that only says them back does nothing. So
only what follows `we will`, `a technician has`, `will be` and their like is an act; not what follows `you
want to`, `we understand that` or `your request to`; what is denied begins with `not`. It knows English and
goes by words: it is a sieve, not a parser.
"""

from __future__ import annotations

import re

from step4_finetune import text

LONG_FORMS = (
    (r"won't", "will not"),
    (r"can't|cannot", "can not"),
    (r"n't\b", " not"),
    (r"'ll\b", " will"),
    (r"'ve\b", " have"),
    (r"'re\b", " are"),
    (r"'m\b", " am"),
    (r"\b(it|that|there|here)'s\b", r"\1 is"),
    (r"\bgonna\b", "going to"),
    (r"\bgotta\b", "have to"),
)
PEOPLE = (
    r"(?:team|manager|supervisor|technician|engineer|mechanic|electrician|plumber|specialist|expert|colleague"
    r"|fitter|gardener|trainer|instructor|teacher|planner|driver|courier|carrier|depot|leader|bookkeeper)s?"
    r"|workshop|warehouse|office|department|desk|staff|crew|guys|folks|people|accounts|billing|support"
    r"|someone|somebody|our (?:\w+ ){0,2}\w+"
)
ANY_PEOPLE = re.compile(rf"\b(?:{PEOPLE})\b")
OF_PLACE = r"(?: of (?:the |our )?\w+(?: \w+)?)?"
AUXILIARIES = "will|have|has|are|is|am|can|shall|would like to|want to|going to|get to"
ADVERBS = r"(?:\w+ly |now |also |then |just |already |soon |today |both |at once |therefore |hereby )*"
# Who acts: we (with any verb), people of the company with an auxiliary, a thing that will, and so on.
AGENT = re.compile(
    r"(?<!if )(?<!whether )(?<!unless )(?<!until )(?<!how )(?<!why )(?<!what )(?<!where )(?<!when )(?<!than )"
    rf"\b(?:(?:we|i)\b|let me\b|(?P<people>(?:{PEOPLE}){OF_PLACE},?(?: who)?(?: \w+ly)? )"
    r"(?=(?:will|has|have|is|are|can|shall)\b)"
    r"|(?P<thing>(?:the|a|an|this|that|your|his|her|their|no|nothing) "
    r"(?:(?!and |or |but |who |that )\w+ ){1,3}(?=will\b))"
    r"|(?:you|who) (?=will\b)|you (?=can now\b)|and (?=(?:will|have|are) (?!been |be )))"
    rf" ?(?:(?:{AUXILIARIES}) )*{ADVERBS}",
)
DENIED = re.compile(
    r"(?:(?:will|have|has|are|is|am|can|do|did|could|would|shall) )?(?:\w+ )?(?:not|never|no longer)\b"
)
# What is done to a thing, whoever does it; the thing stands before it.
PASSIVE = re.compile(
    r"\b(?:(?:will|can|shall) (?:\w+ )?be|(?:has|have) (?:\w+ )?been|(?:is|are) (?:\w+ )?being"
    r"|(?:is|are|will) now|(?:is|are) (?:already )?on (?:its|the|their) way|here (?:is|are)"
    r"|ends?(?= (?:on|with|at|now|today|from)\b)|comes? to (?:an end|a close)"
    r"|(?:is|are)(?= (?:(?:hereby |already )?(?:cancelled|unlocked|refunded|restored|reset|updated|reserved)"
    r"|(?:still )?(?:yours|set aside|free|available|active again))\b))"
    r"\b(?! not\b)"
)
# Here the thing matters: a link will be sent. Elsewhere it may be part of what was said before.
HANDED_OVER = re.compile(
    r".{0,25}\b(?:sent|given|attached|included|enclosed|posted|issued|provided|ready|way"
    r"|returned|credited|paid|transferred|free|available|yours|in place)\b"
)
# Where an act ends: what the member does, wants or asked for is not the company's act.
CUT = re.compile(
    r"\b(?:that|because|as|since|when|while|if|what|how|why|where|although|but|whether) (?:you|your)\b"
    r"(?! will)|(?<!out )\bwho\b|\b(?:which|that) (?:was|were|\w+ed)\b"
    r"|\b(?:your|the|this|a|any) (?:\w+ )?(?:request|wish|question|message|note|report|e-?mail|enquiry"
    r"|inquiry|query|interest|decision|intention|concern|feedback|complaint)s? "
    r"(?:to|about|regarding|for|that|of|in|whether|concerning)\b"
)
NO_ACT = re.compile(
    r"(?:unable|afraid"
    r"|understand|see|know|note|noted|hear|heard|read|regret|received|got your|need|require|ask you"
    r"|asked you|sorry|glad|happy that|happy to hear|pleased|delighted|hope|appreciate|reali[sz]e|noticed?"
    r"|value|aware|agree|wish|thank|learned|learnt|saw|imagine|take (?:this|it|such|your \w+) seriously"
    r"|excited|apologi[sz]e|gather|recogni[sz]e|feel|believe|think|guess|reckon|get that|take it that)\b"
)
INFORMS_NOT = re.compile(
    r"\W*(?:you|your|thank|thanks|please|we|our|i|my|sorry|congratulations|apolog|it is (?:good|great|lovely"
    r"|a pleasure|wonderful|sad|a shame)|this is (?:not|no)|that is (?:not|no)|nobody|no one|what a|how |glad"
    r"|happy|just |let us|let me|hope)\b"
)


OF_THEIR_OWN = frozenset(("i", "my", "me", "we", "our", "us", "mine"))
ECHO = 4  # words


def without_echo(body: str, message: str) -> str:
    """The body without what it says back word by word, where the message speaks of the member as I."""
    for clause in re.split(r"[.,!?;:\n]", message):
        words = clause.split()
        runs = [words[i : i + ECHO] for i in range(len(words) - ECHO + 1)]
        for run in runs:
            if OF_THEIR_OWN & {each.lower() for each in run}:
                said = r"\s+".join(map(re.escape, run))
                body = re.sub(rf"(?<!\w){said}(?!\w)", "…", body, flags=re.IGNORECASE)
    return body


def plain(body: str) -> list[str]:
    """The sentences of a body in lower case and long forms: `We've` is `we have`."""
    found = []
    for sentence in text.sentences(body):
        sentence = re.sub(text.APOSTROPHE, "'", sentence).lower()
        for short, long in LONG_FORMS:
            sentence = re.sub(short, long, sentence)
        found.append(" ".join(sentence.split()))
    return found


def acts(body: str, things: bool = True) -> list[str]:
    """What the company does in a body: each act from its verb to the end of its sentence or of its part.

    What it will not do begins with `not`. `things`: also what will happen to things, whoever does it.
    """
    found = []
    for sentence in plain(body):
        for agent in AGENT.finditer(sentence):
            after = sentence[agent.end() :]
            if agent["thing"] and not things and not ANY_PEOPLE.search(agent["thing"]):
                continue
            if denied := DENIED.match(after) or DENIED.match(
                sentence, agent.start() + len(agent["people"] or "we ")
            ):
                found.append("not" + _cut(denied.string[denied.end() :]))
            elif not NO_ACT.match(after):
                found.append((agent["people"] or "") + _cut(after))
        for passive in PASSIVE.finditer(sentence):
            if not (things or passive[0].endswith(("be", "been", "being"))):
                continue
            done = _cut(sentence[passive.start() :])
            thing = re.split(r"[,;:]| and ", sentence[: passive.start()])[-1].strip()
            if HANDED_OVER.match(done) and not re.search(r"\b(?:you|it|this|they)$", thing):
                done = f"{thing} {done}"
            found.append(done)
    return [each for each in found if each.strip()]


def _cut(after: str) -> str:
    cut = CUT.search(after)
    return after[: cut.start()] if cut else after


def statements(body: str) -> list[str]:
    """Sentences that plainly say how something is: not about the member, not about the company."""
    return [each for each in plain(body) if not INFORMS_NOT.match(each)]
