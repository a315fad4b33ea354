"""Names in running text, found by their shape and typed by the words around them: no model, no list of names.

    >>> found = find(["The supplier is Brightwell Components Ltd, which makes the pump Otter 300 at Selby."])
    >>> [(name.text, name.type) for name in found[0][0].names]
    [('Brightwell Components Ltd', 'organisation'), ('Otter 300', 'product'), ('Selby', 'other')]

A run of capitalised words in the middle of a sentence is a name in English, with few exceptions. At its
beginning every word is capitalised, so there a word counts only if the collection doesn't also write it small
("Orders" and "orders"). What a name stands for is said by what stands beside it: a legal form, a role ("the
supplier is", ", Head of"), a noun ("the pump"), the name of a table's column. All mentions of a name vote,
and where most say nothing, so do the names that stand in a list with it (Riloff and Shepherd 1997).

It misses names that are written small, and gets some types wrong; a chat model does better (model.py).
Entity types from context words: Hearst 1992; Collins and Singer 1999.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from step3_rag.graph.extract import LEGAL_FORM, best_type, key
from step3_rag.ingest.chunk import sentences

SUPPLIER = (
    r"(?:service |cloud |hosting )?(?:supplier|vendor|provider|seller|contractor|subcontractor|manufacturer|"
    r"processor|lessor|licensor|landlord|carrier)"
)
CUSTOMER = r"(?:customer|client|buyer|purchaser|controller|lessee|licensee|tenant|subscriber)"
ROLE = rf"(?:{SUPPLIER}|{CUSTOMER})"
JOB = (
    r"(?:[Hh]ead of|[Cc]hief|[Dd]irector|[Mm]anager|[Oo]fficer|[Cc]ounsel|[Pp]resident|[Ee]ngineer|"
    r"[Ss]ecretary|[Tt]reasurer|[Bb]uyer|[Aa]ccountant|[Aa]nalyst|[Cc]oordinator|[Ss]upervisor|[Ll]ead|CEO|CFO|CTO|CISO)\b"
)
PAPER = (
    r"(?:agreement|contract|terms|amendment|addendum|notice|notes?|policy|order|framework|schedule|report|"
    r"certificate|specification|drawing|standard|ticket|case|invoice|appendix|annex|lease|licence|license)"
)
THING = (
    r"(?:sensors?|detectors?|meters?|flowmeters?|transmitters?|gateways?|portal|platform|software|apps?|tool|"
    r"devices?|instruments?|machines?|models?|series|cells?|batter(?:y|ies)|cables?|cordsets?|modules?|pumps?|"
    r"valves?|engines?|motors?|circuits?|chips?|emitters?|housings?|parts?|products?|kits?|units?|systems?|"
    r"printers?|robots?|drones?|vehicles?|type|plan|service)"
)
PLACE = (
    r"(?:plants?|works|factory|site|sites|office|offices|depot|warehouse|laborator(?:y|ies)|headquarters|branch|"
    r"city|town|port|harbour|region|courts?|jurisdiction|seat|born|based|located|hub|dair(?:y|ies))"
)
COLUMNS = {
    "organisation": r"supplier|vendor|provider|customer|client|company|manufacturer|partner|firm",
    "person": r"name|person|contact|owner|manager|employee|author|approver",
    "product": r"product|item|model|device|part|component|article|used in|fits",
    "place": r"site|place|city|location|country|office|plant|region",
    "document": r"reference|document|contract|agreement|order",
}
# Capitalised in the middle of a sentence, and yet no name.
NO_NAME = frozenset(
    """January February March April May June July August September October November December Monday Tuesday
    Wednesday Thursday Friday Saturday Sunday EUR GBP USD CHF SEK DKK NOK JPY I A An The This That These No
    Nos Mr Mrs Ms Dr Clause Section Table Figure Annex Appendix Chapter Article Level Step Part Page Version
    Rev Yes English German French Spanish Italian Dutch Polish Swedish Danish Swiss Irish British American
    PDF HTML CSV URL Q1 Q2 Q3 Q4 We Our You Your It Its If In On For And Or""".lower().split()
)
WORD = re.compile(r"[A-ZÀ-ÖØ-ÞĀ-Ž][\w’'-]*(?:/[A-Z]\w*)?|\d+[A-Z]?\b|&|(?:van|von|de|der|da|del|la|el)\b")
REFERENCE = re.compile(r"[A-Z]{1,5}-(?:19|20)\d\d-\d+[A-Z]?")  # AB-2025-03: a document's number
CODE = re.compile(r"(?=.*\d)[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*")  # KD-18, P40, TI-7730
UNIT = re.compile(r"\d.*|\S{1,3}|[A-Z]{1,5} \d+|\S{1,3} [A-Z]{1,3}")  # DN, MHz, SIL 2, V DC
LONGEST = 5  # words of a name
CELL = re.compile(r"(?:^|, )([A-Za-z_ ]{2,30}): ")


@dataclass
class Name:
    """A name in a sentence; `type` is its own vote until `find` has counted those of all."""

    text: str
    start: int
    end: int
    type: str = "other"


@dataclass
class Sentence:
    """A sentence, item or table row of a text, without Markdown's marks."""

    text: str
    names: list[Name] = field(default_factory=list)
    is_row: bool = False  # of a table: `column: value, column: value`
    is_heading: bool = False
    cells: list[str] = field(default_factory=list)  # of a table's row without known columns


def find(texts: Sequence[str]) -> list[list[Sentence]]:
    """The sentences of each text, with their names typed by the votes of all texts.

    A text that begins in the middle of a table, as chunks do, has the columns of the text before it.
    """
    columns: list[str] = []
    by_text = [split(text, columns) for text in texts]
    found = [each for part in by_text for each in part]
    lower = Counter(word for each in found for word in re.findall(r"\b[a-zß-ÿ][\w-]*", each.text))
    known: set[str] = set()
    for again in (False, True):  # the second time, names from inside sentences are known at their beginning
        for each in found:
            each.names = _names(each, lower, known)
            known |= {key(name.text) for name in each.names if name.start > 0 or again}
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for each in found:
        for name in each.names:
            name.type = vote(each, name)
            votes[key(name.text)][name.type] += 1
    for one, types in _in_lists(found, votes).items():
        votes[one] += types
    for each in found:
        for name in each.names:
            name.type = best_type(votes[key(name.text)])
    return by_text


def _in_lists(found: list[Sentence], votes: dict[str, Counter[str]]) -> dict[str, Counter[str]]:
    """What stands in a list with the names of which little is known: most of their mentions said nothing."""
    weak = {one for one, types in votes.items() if types["other"] > 0.8 * sum(types.values())}
    listed: dict[str, Counter[str]] = defaultdict(Counter)
    for each in found:
        for a, b in pairwise(each.names):
            if re.fullmatch(r",? (?:and |or )?", each.text[a.end : b.start]):
                for one, other in ((key(a.text), key(b.text)), (key(b.text), key(a.text))):
                    kind = best_type(votes[other])
                    if one in weak and kind != "person":  # "A. Reyes, Brightwell" is no list
                        listed[one][kind] += 1
    return listed


def split(text: str, columns: list[str]) -> list[Sentence]:
    """Sentences, items and rows; a Markdown table's rows get the names of its columns before their values.

    `columns` are those of a table that goes on at the text's beginning; changed in place.
    """
    found: list[Sentence] = []
    for start, end in sentences(text):
        raw = text[start:end]
        raw = re.sub(r"\n {4,}(?=\S)", "; ", raw)  # a block of signatures
        plain = re.sub(r"\s+", " ", re.sub(r"[*`]+|^\s*(?:#+|[-+]|\d+[.)])\s+", "", raw)).strip()
        if raw.startswith("|"):
            cells = [cell.strip() for cell in plain.strip("| ").split("|")]
            if set(plain) <= set("|-: "):
                columns[:] = found.pop().cells if found else []
            elif len(columns) == len(cells) and columns != cells:
                pairs = zip(columns, cells, strict=False)
                found.append(Sentence(", ".join(f"{name}: {value}" for name, value in pairs), is_row=True))
            else:
                found.append(Sentence(" | ".join(cells), cells=cells))
            continue
        columns.clear()
        is_row = raw.lstrip().startswith("-") and len(CELL.findall(plain)) > 1
        found.append(Sentence(plain, is_row=is_row, is_heading=raw.startswith("#")))
    return found


def _names(sentence: Sentence, lower: Counter[str], known: set[str]) -> list[Name]:
    """Runs of capitalised words and codes, without words that begin the sentence or say what follows."""
    text, runs = sentence.text, list[list[re.Match[str]]]()
    for word in WORD.finditer(text):
        joins = runs and text[runs[-1][-1].end() : word.start()] == " "
        if joins and not any(REFERENCE.fullmatch(each) for each in (word[0], runs[-1][-1][0])):
            runs[-1].append(word)
        else:
            runs.append([word])
    found = (_trimmed(sentence, run, lower, known) for run in runs if len(run) <= LONGEST)
    return [name for name in found if name]


def _trimmed(
    sentence: Sentence, words: list[re.Match[str]], lower: Counter[str], known: set[str]
) -> Name | None:
    text = sentence.text

    def is_common(word: str) -> bool:
        plain = re.sub(r"['’]s$", "", word).lower()
        return plain in NO_NAME or lower[plain] > 0 or re.fullmatch(rf"{PAPER}|{JOB}", plain) is not None

    begins = sentence.is_heading or words[0].start() == 0 or text[words[0].start() - 2] in ":.|(;"
    while words:
        first = words[0][0]
        is_known = key(text[words[0].start() : words[-1].end()]) in known
        starts = first[0].isupper() and first.lower() not in NO_NAME
        if starts and (is_known or not (begins and is_common(first))):
            break
        words = words[1:]
    while words and (words[-1][0].lower() in NO_NAME or words[-1][0][0] in "&vdel"):
        words = words[:-1]
    if len(words) > 1 and words[-1][0].isdigit() and CODE.fullmatch(words[-2][0]):
        words = words[:-1]  # "CX-7 50 m": a quantity
    if not words or all(is_common(word[0]) or word[0].isdigit() for word in words):
        return None
    start, end = words[0].start(), words[-1].end()
    name = re.sub(r"['’]s?$", "", text[start:end])
    is_sure = len(words) > 1 or CODE.fullmatch(name) or key(name) in known or column_kind(sentence, start)
    if begins and not is_sure:
        return None  # any word may begin a sentence
    is_label = len(words) == 1 and text[end : end + 2] == ": "
    is_title = re.search(rf"\b{JOB}(?: of)? $", text[:start]) or re.match(
        rf"{JOB}", name + text[end : end + 3]
    )
    if is_label or is_title or UNIT.fullmatch(name) or re.search(rf"(?:^| ){JOB}", name):
        return None
    return Name(name, start, start + len(name))


def vote(sentence: Sentence, name: Name) -> str:
    """What the words beside a name say it is; the first that speaks decides."""
    text = sentence.text
    before, after = text[max(0, name.start - 60) : name.start], text[name.end : name.end + 60]
    words = name.text.split(" ")
    kind = column_kind(sentence, name.start)
    if kind:
        return "document" if REFERENCE.fullmatch(name.text) else kind
    if REFERENCE.fullmatch(name.text):
        return "document"
    if LEGAL_FORM.search(name.text) or LEGAL_FORM.match(after):
        return "organisation"
    if re.search(rf"\b{ROLE}(?: is| are|:|,)? $", before, re.I) or re.match(
        rf",? ?\(?(?:acting )?(?:as |the |our |hereinafter )*[\"“]?{ROLE}\b", after, re.I
    ):
        return "organisation"
    is_person_like = 2 <= len(words) <= 4 and not re.search(r"\d", name.text)
    if is_person_like and (
        re.match(rf",? ?(?:\w+ )?(?:[A-Z]\w+ ){{0,3}}{JOB}|,? ?(?:the|our|its|as) [\w ]*{JOB}", after)
        or re.search(rf"{JOB}[\w ]{{0,24}}(?:,| is| -|:) $|\b(?:Mr|Mrs|Ms|Dr)\.? $", before)
        or re.search(r"\b(?:[Ss]igned|written|approved|reviewed|prepared)\b[\w ]* by $", before)
        or re.search(r"\b(?:Owner|Author|Signed|Contacts?): $|^For [^:]+: $|[.;] For [^:.]+: $", before)
    ):
        return "person"
    if re.search(rf"\b{PLACE}(?: is| are)?(?: (?:at|in|of|near))? $|\b(?:law|courts) of $", before):
        return "place" if not CODE.fullmatch(words[-1]) else "product"
    if re.search(rf"\b{PAPER} $", before, re.I) and CODE.fullmatch(name.text):
        return "document"
    if (len(words) > 1 and re.fullmatch(r"(?=.*\d)[A-Z0-9-]+", words[-1])) or (
        re.search(rf"\b{THING} $", before) or re.match(rf" {THING}\b", after)
    ):
        return "product"
    if re.search(r"\b(?:with|between|from|by) $", before) and re.match(r" (?:and|makes?|supplies)\b", after):
        return "organisation"
    return "other"


def column(sentence: Sentence, at: int) -> str:
    """The name of the column that a place in a row belongs to; empty outside tables."""
    names = CELL.findall(sentence.text[:at]) if sentence.is_row else []
    return names[-1].lower().replace("_", " ") if names else ""


def column_kind(sentence: Sentence, at: int) -> str | None:
    """The type of what stands in that column, where its name tells."""
    title = column(sentence, at)
    return next(
        (kind for kind, titles in COLUMNS.items() if re.fullmatch(rf"(?:\w+ )?(?:{titles})s?", title)), None
    )
