"""Agreements: which document is one, what number it bears, and who is what under it.

    >>> paper.parties
    {'Brightwell Components': 'supplier', 'Harbour Works': 'customer'}

An agreement says so in its title or first line, and names parties: "between A and B", "the supplier is A",
"A, the customer", "For A: ...". Where one of two has a role, the other has the opposite one. An amendment
takes the roles of what it amends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from step3_rag.graph.extract import Names, Relation
from step3_rag.graph.names import CUSTOMER, REFERENCE, ROLE, SUPPLIER, Sentence

AGREEMENT = re.compile(
    r"\b(?:agreement|contract|framework|terms|amendment|addendum|lease|statement of work|subscription|"
    r"licen[cs]e)\b",
    re.I,
)
BEFORE_PARTY = re.compile(
    r"\bbetween (?:[^.;]* and )?(?:the \w+ )?$|\b(?:agreement|contract) \S* ?with $|\bfor $|[;:/] $|, $", re.I
)
NAMES_PARTIES = re.compile(r"\b[Bb]etween\b|\b[Ss]igned\b|\bFor |\bwith\b|^.{4,80} / ")


@dataclass
class Paper:
    """A document with its sentences, and what its parties are to it."""

    name: str
    title: str
    sentences: list[tuple[int, Sentence]] = field(default_factory=list)  # chunk, sentence
    parties: dict[str, str] = field(default_factory=dict)  # organisation -> supplier, customer or party
    evidence: dict[str, int] = field(default_factory=dict)  # organisation -> chunk

    @property
    def beginning(self) -> str:
        """The first line."""
        return self.sentences[0][1].text[:200] if self.sentences else ""


def own_number(paper: Paper) -> str | None:
    """The number a document bears: that in its title, or else in its first line; not one that it is `to`."""
    for text in (paper.title, paper.beginning):
        numbers = list(REFERENCE.finditer(text))
        for number in numbers:
            if not re.search(r"\b(?:to|of|under|with) (?:the |our )?[\w -]*$", text[: number.start()]):
                return number[0]
        if numbers:
            return None
    return None


def read_parties(paper: Paper, names: Names) -> None:
    """Fill in the parties of an agreement; other documents keep none."""
    if not AGREEMENT.search(f"{paper.title} {paper.beginning}"):
        return
    for chunk, sentence in paper.sentences:
        for name in sentence.names if not sentence.is_row else ():
            if names.type_of(name.text) != "organisation":
                continue
            before, after = sentence.text[: name.start], sentence.text[name.end :]
            role = _role(before, after)
            if role or (BEFORE_PARTY.search(before) and NAMES_PARTIES.search(sentence.text)):
                firm = names.of(name.text)
                paper.evidence.setdefault(firm, chunk)
                if paper.parties.get(firm, "party") == "party":
                    paper.parties[firm] = role or "party"
    _complete(paper.parties)
    if len(paper.parties) < 2 and set(paper.parties.values()) <= {"party"}:
        paper.parties.clear()  # it only speaks of agreements


def role_of(word: str) -> str | None:
    """supplier or customer, from one of the many words for them."""
    if re.fullmatch(SUPPLIER, word, re.I):
        return "supplier"
    return "customer" if re.fullmatch(CUSTOMER, word, re.I) else None


def inherit(papers: Sequence[Paper], relations: Iterable[Relation]) -> None:
    """Give an amendment the roles of what it amends."""
    by_name = {paper.name: paper for paper in papers}
    for relation in relations:
        if relation.relation == "amends" and relation.target in by_name:
            ours, theirs = by_name[relation.source].parties, by_name[relation.target].parties
            ours |= {firm: theirs.get(firm, role) for firm, role in ours.items() if role == "party"}


def _role(before: str, after: str) -> str | None:
    found = re.search(rf"\b({ROLE})(?: is|:|,)? $", before, re.I) or re.match(
        rf",? ?\(?(?:as |the |our |hereinafter )*[\"“]?({ROLE})\b(?!['’]s)", after, re.I
    )
    return role_of(found[1]) if found else None


def _complete(parties: dict[str, str]) -> None:
    if sorted(parties.values()) in (["customer", "party"], ["party", "supplier"]):
        role = "supplier" if "customer" in parties.values() else "customer"
        parties |= {firm: role for firm, known in parties.items() if known == "party"}
