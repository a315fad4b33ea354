"""The parts of a reply: greeting, body, sign-off; its sentences and words, and marks of its tone.

    >>> parts = take_apart("Hi there!\n\nIt's done. See no. 4, e.g. at 8 a.m. today.\n\nCheers,\nAcme")
    >>> parts.greeting, parts.sentences, parts.sign_off
    ('Hi there!', ("It's done.", 'See no. 4, e.g. at 8 a.m. today.'), 'Cheers,\nAcme')
    >>> emoji("Done 🎉 :)"), capitals("Do NOT open the TV, code A4471")
    (['🎉', ':)'], ['NOT'])

For English, by patterns: a sentence is recognised by its end, a greeting by its place and first words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

APOSTROPHE = "['’‘ʼ´`]"
WORD = re.compile(r"[^\W_]+(?:['’‘ʼ-][^\W_]+|(?<=\d)[.,:/](?=\d)\d+)*")
# One emoji, with its skin tone, what is joined to it, or both letters of a flag; then emoticons.
PICTURE = "[\U0001f000-\U0001faff\u2600-\u27bf\u231a\u231b\u23e9-\u23fa\u2b50\u2b55]"
EMOJI = re.compile(
    rf"[\U0001f1e6-\U0001f1ff]{{2}}|{PICTURE}(?:[\ufe0f\U0001f3fb-\U0001f3ff]|\u200d{PICTURE})*"
    r"|(?<!\S)(?:[:;]-?[()DPp]|<3)(?![^\s.,!?])"
)

# --- sentences and words ----------------------------------------------------------------------------------


def word_set(words: str) -> frozenset[str]:
    """The words of a text, for tables of words."""
    return frozenset(words.split())


# Abbreviations whose full stop ends no sentence: never, before a number, before a small letter.
ALWAYS_GO_ON = word_set("mr mrs ms dr prof st e.g i.e eg ie vs approx incl excl ext tel")
GO_ON_BEFORE_A_NUMBER = word_set("no nos nr fig p pp art sec vol ch max min")
GO_ON_IN_LOWER_CASE = word_set("etc a.m p.m am pm inc ltd co corp dept est")
NEXT_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*•–]|\d+[.)])\s)")
END = re.compile(rf"(?<![.!?…])[.!?…]+[\"'”’)\]]*(?:\s*{PICTURE}\ufe0f?)*(?=\s)|{PICTURE}\ufe0f?(?=\s+[A-Z])")
LAST_WORD = re.compile(r"([\w.]+)\.[\"'”’)\]]*$")


def sentences(text: str) -> list[str]:
    """The sentences of a text that have a word, each on one line.

    Not the `sentences` of step 3's ingest/chunk.py, which gives places in documents: this one knows how
    replies are written ("8 a.m. today", an emoji at the end), and the measured figures depend on it.
    """
    found = []
    for block in NEXT_BLOCK.split(text):
        start = 0
        for end in END.finditer(block):
            if _is_end(block[start : end.end()], block[end.end() :].lstrip()):
                found.append(block[start : end.end()])
                start = end.end()
        found.append(block[start:])
    return [" ".join(each.split()) for each in found if WORD.search(each)]


def _is_end(before: str, after: str) -> bool:
    """Whether a sentence ends between `before`, which ends with a full stop or another mark, and `after`."""
    if before.endswith(("..", "…")):
        return not after[:1].islower()
    if not (last := LAST_WORD.search(before)):
        return True
    word = last[1].lower()
    if word.isdigit() and not before[: last.start()].strip():  # the number of an item: 1. Open the lid.
        return False
    if len(word) == 1 and last[1].isupper():  # an initial, at the start or after a title or another initial
        return bool(before[: last.start()].strip()) and not re.search(r"\w\.\s*$", before[: last.start()])
    if word in GO_ON_BEFORE_A_NUMBER:
        return not after[:1].isdigit()
    if word in GO_ON_IN_LOWER_CASE:
        return not after[:1].islower()
    return word not in ALWAYS_GO_ON


def words(text: str) -> list[str]:
    """Words and numbers: `we'll`, `co-operate` and `14.90` are one each."""
    return WORD.findall(text)


CAPITAL = r"(?![a-z])[^\W\d_][\w.’'-]*"  # or a letter with an accent: Ömer
PERSON = rf"{CAPITAL}(?: (?:{CAPITAL}|van|von|de|del|della|der|den|di|da|la|le|el|al|bin)){{0,4}}"

# --- the parts of a reply ---------------------------------------------------------------------------------

SALUTATION = re.compile(
    r"\s*(?:dear|hello|hi|hiya|hey|greetings|welcome|good (?:morning|afternoon|evening|day)|howdy)\b(?!-)"
    r"[^.!?,:;\n]{0,40}(?:[,!:.]+|\s*[–-]|(?=\s*\n))|[^.!?\n]{1,40}[,:!]?[ \t]*(?=\n[ \t]*\n)",
    re.IGNORECASE,
)
CLOSING = (
    r"(?:(?:with )?(?:kind|best|warm|warmest|many|our|sincere)\b[\w ]*\b(?:regards|wishes|thanks)|regards"
    r"|best|all the best|cheers|(?:yours )?(?:sincerely|faithfully|truly)|yours|take care|thanks|thank you"
    r"|many thanks|thanks again|love|respectfully|warmly|cordially|see you soon|talk soon|until then|bye"
    r"|have a [\w ]+)"
)
# A closing formula with a name below or behind it; a dash with a name; a short line or two, set apart.
NAME = r"(?-i:(?:the |your )?(?:[A-Z][\w&]*[ \t]*){1,4}(?:team)?)"
SET_APART = (
    r"(?<=\n\n)(?!(?:we|i|you|it|this|that|there|please|if|as|the|to|when|your (?!(?:\w+ )?(?:team|crew)))\b)"
    r"[^\n.!?]{1,40}\n?[^\n.!?]{0,40}"
)
SIGNATURE = re.compile(
    rf"(?:^|(?<=[.!?])[ \t]+)(?:{CLOSING}[,.!]*\s*\n(?:[^\n]{{0,40}}\s*){{0,2}}"
    rf"|{CLOSING}[,!]*(?:[ \t]+{NAME})?[.!]?|[-–—~]+[ \t]*\w[^\n.!?]{{0,40}}|{SET_APART})\s*\Z",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Parts:
    """A reply and its parts; `sentences` are those of the body."""

    reply: str
    greeting: str
    body: str
    sign_off: str
    sentences: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether it has nothing but greeting and sign-off."""
        return len(WORD.findall(self.body)) < 3


def take_apart(reply: str, greetings: Sequence[str] = (), sign_offs: Sequence[str] = ()) -> Parts:
    """The parts of a reply: by the known greetings and sign-offs, otherwise by what looks like one.

    The reply is `tidy` first; its parts are cut out of that, without the spaces around them.

    greeting     from the start: the first of `greetings` that the reply `begins` with; where there is none,
                 what SALUTATION matches there; else nothing
    sign_off     to the end: the first of `sign_offs` that the reply `ends` with; where there is none, what
                 SIGNATURE finds in the reply, searched from where the greeting ends; else nothing
    body         what stands between them. A known sign-off may overlap the greeting, as in a reply that is
                 nothing but "Bye": then the greeting keeps its letters, and the sign-off is what is left
    sentences    of the body
    """
    reply = tidy(reply)
    start = next((len(text) for text in greetings if begins(reply, text)), None)
    if start is None:
        found = SALUTATION.match(reply)
        start = found.end() if found else 0
    end = next((len(reply) - len(text) for text in sign_offs if ends(reply, text)), None)
    if end is None:
        closing = SIGNATURE.search(reply, start)
        end = closing.start() if closing else len(reply)
    end = max(start, end)
    body = reply[start:end].strip()
    return Parts(reply, reply[:start].strip(), body, reply[end:].strip(), tuple(sentences(body)))


def tidy(text: str) -> str:
    """The text without spaces at the ends of its lines and around the whole."""
    return re.sub(r"[ \t\r\u00a0]+$", "", text.replace("\r\n", "\n"), flags=re.MULTILINE).strip()


def begins(text: str, start: str) -> bool:
    """Whether a text starts with another, not in the middle of a word; `start` may hold {name}."""
    start = named(text, start)
    return text.startswith(start) and not (start[-1:].isalnum() and text[len(start) :][:1].isalnum())


def named(text: str, start: str) -> str:
    """A greeting such as `Dear {name},` with the name that the text has; unchanged where it has none."""
    found = re.match(re.escape(start).replace(r"\{name\}", PERSON), text)
    return found[0] if found else start


def ends(text: str, end: str) -> bool:
    """Whether a text ends with another, not in the middle of a word."""
    return text.endswith(end) and not (end[:1].isalnum() and text[: len(text) - len(end)][-1:].isalnum())


# --- marks of a tone --------------------------------------------------------------------------------------

SHOUTED = word_set(
    "NO SO TO DO GO WE ON OFF OUT UP IN OF AT BY IF IS AM BE HE ME MY OR AS NOT YES NOW ALL ANY YOU OUR"
    " ARE WAS HAS HAD CAN MAY DID GET GOT LET PUT SAY SEE ASK PAY USE TRY RUN THE AND BUT FOR HOW WHY WHO"
    " NEW OLD BIG BAD HOT TOO TWO ONE SIX TEN DAY WAY BOX APP CAR KEY BAG BED LOT END FEE FUN FIX HER HIM"
    " HIS OWN WOW HEY"
)
IN_CAPITALS = re.compile(r"(?<![\w/-])[A-Z]{2,}(?![\w/-]|\.\w)")
VOWEL = re.compile("[AEIOUY]")


PRONOUNS = "it|that|this|there|here|what|who|where|when|how|why|he|she|let|everything|something|nothing"
AFTER_A_VERB = (  # words before which a noun's 's is short for "is" or "has"
    "a|an|the|not|no|been|being|gone|got|already|just|now|still|also|here|there|back|due|ready|on|off|out|so|too"
)
CONTRACTION = re.compile(
    rf"\b\w+n{APOSTROPHE}t\b|\b\w+{APOSTROPHE}(?:re|ve|ll|d|m)\b|\b(?:{PRONOUNS}){APOSTROPHE}s\b"
    rf"|\b[^\W_]+{APOSTROPHE}s(?=\s+(?:{AFTER_A_VERB})\b)"
    rf"|\by{APOSTROPHE}all\b|{APOSTROPHE}(?:tis|twas)\b"
    r"|\b(?:dont|doesnt|didnt|isnt|arent|wasnt|werent|wont|cant|couldnt|wouldnt|shouldnt|havent|hasnt|hadnt"
    r"|im|ive|youre|youve|youll|theyre|theyve|weve|thats|whats|theres|heres|itll|cannae)\b",
    re.IGNORECASE,
)


def contractions(text: str) -> list[str]:
    """`don't`, `we'll` and `it's`, also without the apostrophe; `the parcel's on its way`, but no possessive
    such as `the member's plan`."""
    return CONTRACTION.findall(text)


def emoji(text: str) -> list[str]:
    """Emoji and emoticons, each sequence once."""
    return EMOJI.findall(text)


def capitals(text: str) -> list[str]:
    """Shouted words: of four capital letters or more, or short and common; not codes, nor `PIN`."""
    return [
        word
        for word in IN_CAPITALS.findall(text)
        if word in SHOUTED or (len(word) > 3 and VOWEL.search(word))
    ]
