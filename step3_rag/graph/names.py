"""Names in running text, by their shape and the words around them: no model, no list of names.

    >>> (sentence,), = find(["The supplier is Brightwell Components Ltd, which makes the pump Otter 300."])
    >>> [(name.text, name.type, name.relation) for name in sentence.names]
    [('Brightwell Components Ltd', 'organisation', 'supplier'), ('Otter 300', 'product', '')]

Capitalised words in the middle of an English sentence are a name, with few exceptions. At its beginning every
word is capitalised, so there a name has to be confirmed: by the middle of another sentence, or by a second
capitalised word. The words beside it say what it is (Hearst 1992), and all mentions of a name vote on its
type. It misses names that are written small and gets some types wrong; a chat model does better (model.py).
"""

from __future__ import annotations

import re
from calendar import day_name, month_name
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from step3_rag.graph.extract import LEGAL_FORM, REFERENCE, best_type, key
from step3_rag.ingest.chunk import sentences
from step3_rag.ingest.stems import STOP_WORDS

SUPPLIER = r"(?i:supplier|vendor|provider|seller|contractor|manufacturer|processor|carrier)"
CUSTOMER = r"(?i:customer|client|buyer|purchaser|controller|subscriber)"
BEFORE = r"\b%s(?: is| are|:|,)? "  # "the supplier is X"
AFTER = r",? ?\(?(?:as |the |our )*[\"“]?%s\b(?!['’]s)"  # 'X (the "Supplier")'
MADE_BY = r"\b(?:supplied|delivered|made|manufactured|produced|sold|provided|hosted|arranged|carried out) by "
JOB = (
    r"\b(?:[Hh]ead of|[Cc]hief|[Dd]irector|[Mm]anager|[Oo]fficer|[Cc]ounsel|[Pp]resident|[Ee]ngineer|[Ll]ead|"
    r"C[EFT]O)\b"
)
THING = (
    r"\b(?:sensor|detector|meter|transmitter|gateway|portal|platform|software|device|machine|model|series|cell|"
    r"battery|cable|cordset|module|pump|valve|engine|circuit|emitter|part|product|unit|system|type|plan)s?:?\b"
)
PLACE = r"\b(?:plant|factory|site|office|depot|warehouse|headquarters|city|town|port|region)s?"
SIGNED = r"(?:\b[Ss]igned\b|(?:^|[.;] )For [A-Z][^:]+:)(?:.*(?:by|and|[,:;]))? "
CODE = r"(?=\S*\d)[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*"  # KD-18, P40
PERSON = r"[^\d ]+(?: [^\d ]+){1,3}"  # two to four words

# What a name is: type, what it is to its document, and patterns of the name itself, of the words before it
# and of those after. The first that fits counts.
CUES = [
    ("document", "amends", REFERENCE, r"\b(?i:amendment|addendum|annex)\b.* to .*|\bchanges the .*", ""),
    ("document", "refers to", REFERENCE, "", ""),
    ("organisation", "customer", ".*", BEFORE % CUSTOMER, ""),
    ("organisation", "supplier", ".*", BEFORE % SUPPLIER, ""),
    ("organisation", "customer", ".*", "", AFTER % CUSTOMER),
    ("organisation", "supplier", ".*", "", AFTER % SUPPLIER),
    ("organisation", "subcontractor", ".*", MADE_BY, ""),
    ("organisation", "", rf".*{LEGAL_FORM.pattern}", "", ""),
    ("person", "signed by", PERSON, SIGNED, ""),
    ("person", "owner", PERSON, rf"\b(?:[Oo]wner|Author|Contacts?): |\b[Pp]repared by |{JOB}(?: is|,) ", ""),
    ("person", "", PERSON, rf"{JOB}[\w ]{{0,24}}(?:,| is|:) |\b(?:Mr|Mrs|Ms|Dr)\.? |\b[Nn]ame: ", ""),
    ("person", "", PERSON, "", rf", (?:[\w']+ ){{0,4}}{JOB}"),
    ("place", "", ".*[a-z].*", rf"{PLACE}(?: is|:)?(?: (?:at|in|of|near))? |\b(?:law|courts) of ", ""),
    ("product", "", r".* (?=\S*\d)[A-Z0-9-]+", "", ""),
    ("product", "", ".*", rf"{THING} ", ""),
    ("product", "", ".*", "", rf" {THING}"),
]
# Capitalised, and yet no name, wherever they stand; months and days are not either.
NO_NAME = """the this that these i a an and or no mr mrs ms dr eur gbp usd clause section table figure annex
    appendix chapter article level step phase part page version english german french polish pdf html csv"""
# Words that often begin a sentence; a small collection doesn't show that they are also written small.
OPENERS = """after all any ask before call check click contact do each find get give install keep many most no
    nobody note once one open please read remove replace see send set some start take tell two use"""
NO_CAPITAL = "|".join([*month_name[1:], *day_name, *NO_NAME.split()])
CAPITAL = rf"(?!(?i:{NO_CAPITAL})\b|{REFERENCE})[A-ZÀ-ÖØ-ÞĀ-Ž][\w’'-]*(?:/[A-Z]\w*)?"
MORE = rf" (?:(?:&|van|von|de|der|da|del|la) )*{CAPITAL}| \d+[A-Z]?\b(?!\.\d)"
RUN = re.compile(rf"(?<![\w-])(?:{REFERENCE}|{CAPITAL}(?:{MORE}){{0,4}})")
UNIT = re.compile(r"\S{1,3}|[A-Z]{1,5} \d+|\S{1,3} [A-Z]{1,3}")  # MHz, SIL 2, V DC
CELL = re.compile(r"(?:^|, )[A-Za-z][\w ]{1,30}: ")


@dataclass
class Name:
    """A name in a sentence, with its type and what it is to the document."""

    text: str
    start: int
    end: int
    type: str
    relation: str


@dataclass
class Sentence:
    """A sentence, heading, item or row of a table (`column: value, column: value`), as plain text."""

    text: str
    is_row: bool
    names: list[Name] = field(default_factory=list)


def split(text: str) -> list[Sentence]:
    """Sentences, headings, items and rows."""
    found = []
    for start, end in sentences(text):
        raw = re.sub(r"\n {4,}(?=\S)", "; ", text[start:end])  # a block of signatures
        plain = " ".join(re.sub(r"[*`|]+|^\s*(?:#+|[-+]|\d+[.)])\s+", "", raw).split())
        is_row = raw.lstrip().startswith("-") and len(CELL.findall(plain)) > 1
        found.append(Sentence(plain, is_row))
    return found


def find(texts: Sequence[str]) -> list[list[Sentence]]:
    """The sentences of each text with their names."""
    by_text = [split(text) for text in texts]
    found = [sentence for part in by_text for sentence in part]
    ordinary: set[str] = {*STOP_WORDS.split(), *OPENERS.split()}
    ordinary |= {word for each in found for word in re.findall(r"\b[a-zß-ÿ][\w-]*", each.text)}
    known: set[str] = set()
    for each in found * 2:  # again: what stands inside one sentence is known at the beginning of another
        each.names = _names(each, ordinary, known)
        known |= {key(name.text) for name in each.names if name.start > 0}
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for name in (name for each in found for name in each.names):
        votes[key(name.text)][name.type] += 1
    for name in (name for each in found for name in each.names):
        if name.type != (kind := best_type(votes[key(name.text)])):
            name.type, name.relation = kind, ""
    return by_text


def _names(sentence: Sentence, ordinary: set[str], known: set[str]) -> list[Name]:
    """The names in a sentence; `ordinary` words are also written small, `known` names stand elsewhere too."""

    def is_ordinary(word: str) -> bool:
        return word.isdigit() or re.sub(r"['’]s?$", "", word).lower() in ordinary

    text, found = sentence.text, []
    for run in RUN.finditer(text):
        words, end, before = run[0].split(" "), run.end(), text[: run.start()]
        begins = re.search(r"(?:^|[:.|(;\"“] ?)$", before)
        if begins and key(run[0]) not in known:
            while words and is_ordinary(words[0]):
                words = words[1:]
            is_confirmed = re.search(r" [^\W\d]", run[0]) or re.fullmatch(CODE, run[0])
            if " ".join(words) == run[0] and not is_confirmed:
                continue
        if len(words) > 1 and words[-1].isdigit() and re.fullmatch(CODE, words[-2]):
            end -= len(words.pop()) + 1  # "CX-7 50 m": a quantity
        start, name = end - len(" ".join(words)), re.sub(r"['’]s?$", "", " ".join(words))
        is_label = text[end : end + 2] == ": " and (sentence.is_row or len(words) == 1)
        is_job = re.search(JOB, name + text[end : end + 3]) or re.search(rf"{JOB}(?: of)? $", before)
        if not (all(map(is_ordinary, words)) or UNIT.fullmatch(name) or is_label or is_job):
            kind, relation = _cue(name, text[:start], text[start + len(name) :])
            found.append(Name(name, start, start + len(name), kind, relation))
    return found


def _cue(name: str, before: str, after: str) -> tuple[str, str]:
    """Type and relation of a name by the words beside it."""
    for kind, relation, itself, left, right in CUES:
        if re.fullmatch(itself, name) and re.search(f"(?:{left})$", before) and re.match(right, after):
            return kind, relation
    return "other", ""
