"""Guides of very different companies, and what is said of a guide that is wrong."""

import pytest
import yaml

from shared.errors import UserError
from step4_finetune.tone import rules
from step4_finetune.tone.guide import guide_of, read_guide
from tests.step4.samples import GUIDE

CASUAL = """
company: Pip
system: You are Pip, a cheerful assistant of a bike shop.
rules:
  - {id: greeting, say: Begin with hi or hey and a name., require: '^(?:hi|hey) [a-z]+,'}
  - {id: contractions, say: Use contractions., contractions: require}
  - {id: emoji, say: Use one or two emoji., emoji: {min: 1, max: 2}}
  - {id: british, say: Spell as the British do., forbid_words: [color, center, favorite, tire, tires]}
  - {id: lower, say: Write all in lower case., forbid: '[A-Z]'}
  - {id: short, say: Write at most 40 words., words: {max: 40}, in: body}
  - {id: question, say: End with a question., require: '\\?', in: last}
  - {id: thanks, say: Say thanks first., require_words: [thanks, thank you, ta], in: first}
  - {id: bye, say: Sign as pip., ends_with: ["ride on,\\npip", "cheers,\\npip"]}
"""


def write(tmp_path, text):
    path = tmp_path / "guide.yaml"
    path.write_text(
        text if isinstance(text, str) else yaml.safe_dump(text, sort_keys=False), encoding="utf-8"
    )
    return path


def guide(*rows, **more):
    return {"company": "Acme", "rules": list(rows)} | more


def rule(rule_id="a", say="Do so.", **what):
    return {"id": rule_id, "say": say} | what


def test_the_sample_has_the_eleven_rules_and_a_prompt():
    assert len({each.id for each in GUIDE.rules}) == 11
    prompt = GUIDE.as_prompt()
    assert prompt.startswith(
        "You answer members of Northwind Care. Write the reply to the member from the notes"
    )
    assert "Follow every one of these rules:\n- Start with" in prompt
    assert prompt.count("\n- ") == 11
    assert "tech = technician" in prompt
    assert "tech = technician" not in GUIDE.as_prompt(with_shorthand=False)
    assert GUIDE.greetings == ("Dear member,", "Dear {name},")
    assert GUIDE.sign_offs == ("Kind regards,\nNorthwind Care",)


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("hi sam,\n\nthanks for the photo! we've got your colour 🎉 shall we post it?\n\nride on,\npip", ()),
        ("hey jo,\n\nta! it's here 🚲🎉. is 5 p.m. ok for you?\n\ncheers,\npip", ()),
        (
            "Dear member,\n\nThe tires are here. Please come.\n\nKind regards,\nNorthwind Care",
            ("greeting", "contractions", "emoji", "british", "lower", "question", "thanks", "bye"),
        ),
        (
            "hi sam,\n\nride on,\npip",
            ("contractions", "emoji", "british", "lower", "short", "question", "thanks"),
        ),
    ],
)
def test_a_casual_guide_needs_no_python(tmp_path, text, broken):
    assert rules.broken(text, read_guide(write(tmp_path, CASUAL))) == broken


KINDS = {  # what stands in a file, and the least, the most and the place that it means
    "starts_with": ("Hi", 1, None, "reply"),
    "ends_with": ("Bye", 1, None, "reply"),
    "forbid": ("x", 0, 0, "reply"),
    "require": ("y", 1, None, "reply"),
    "forbid_words": ("require", 0, 0, "reply"),
    "require_words": ("forbid", 1, None, "reply"),
    "contractions": ("forbid", 0, 0, "reply"),
    "emoji": ("require", 1, None, "reply"),
    "capitals": ({"min": 1, "max": 2}, 1, 2, "reply"),
    "count": ({"pattern": "c", "min": 1}, 1, None, "body"),
    "sentences": ({"min": None, "max": 3}, 0, 3, "body"),
    "words": ({"max": 30}, 0, 30, "body"),
    "paragraphs": ({"max": 3}, 0, 3, "body"),
}


def test_a_rule_may_have_checks_of_all_kinds_with_their_defaults_and_in_holds_for_all():
    kinds = {kind: value for kind, (value, *_) in KINDS.items()}
    loaded = guide_of(guide(rule(**kinds)), "mine")
    assert loaded.system == "You answer messages to Acme."
    assert {each.kind: (each.low, each.high, each.where) for each in loaded.rules[0].checks} == {
        kind: tuple(expected) for kind, (_, *expected) in KINDS.items()
    }
    checks = guide_of(guide(rule(**kinds, **{"in": "last"})), "mine").rules[0].checks
    assert {each.where for each in checks} == {"last"}


@pytest.mark.parametrize(
    ("where", "body", "kept"),
    [
        ("body", "It is here. Will you come?", True),
        ("body", "Will you come? It is here.", False),
        ("body", "Will you come?\nIt is here.", False),  # \Z is no end of a line
        ("reply", "It is here. Will you come?", False),  # the sign-off ends it
        ("last", "It is here. Will you come?", True),
        ("first", "Will you come? It is here.", True),
    ],
)
def test_anchors_match_at_the_ends_of_the_place(tmp_path, where, body, kept):
    rows = [rule("bye", ends_with="Bye, Pip"), rule("ask", require=r"\?\Z", **{"in": where})]
    loaded = read_guide(write(tmp_path, guide(*rows)))
    assert (rules.broken(f"{body}\n\nBye, Pip", loaded) == ()) is kept


WRONG = [
    ("- a\n- b", "a guide has company, system and rules"),
    ("company: [", "is not YAML: "),
    ({"rules": [rule(words={"max": 3})]}, "company is missing: use the company's name"),
    (guide(), "has no rules: list under rules what replies must keep"),
    (guide("be nice"), "rule 1 is not a rule: use id, say and one of starts_with, ends_with, forbid, "),
    (guide({"say": "x", "emoji": "forbid"}), "rule 1: id is missing: use a short name"),
    (guide(rule()), "rule a checks nothing: use one or more of starts_with, "),
    (guide(rule(forbit="!")), "rule a has the unknown key 'forbit': did you mean forbid?"),
    (guide(rule(forbid="(")), "rule a: forbid: '(' is not a regular expression: missing )"),
    (guide(rule(require="x*")), "rule a: require: 'x*' matches even the empty text: it must match something"),
    (
        guide(rule(forbid_words=[False])),
        "forbid_words = False is not allowed: use a text or a list of texts (in",
    ),
    (
        guide(rule(sentences={"min": 4, "max": 2})),
        "rule a: sentences: min 4 is more than max 2: no reply can",
    ),
    (guide(rule(words={"min": -1})), "rule a: words: min = -1 is not allowed: use a whole number from 0"),
    (guide(rule(words={})), "rule a: words allows everything: give it a min, a max or both"),
    (guide(rule(emoji="some")), "rule a: emoji = 'some' is not allowed: use forbid, require or {min: 1, max"),
    (guide(rule(count={"min": 1})), "rule a: count: pattern is missing: use a regular expr"),
    (guide(rule(count=3)), "rule a: count = 3 is not allowed: use {pattern: REGEX, min: 1, max: 2}"),
    (guide(rule(count={"pattern": "x", "of": "lines", "min": 1})), "count: of = 'lines' is not allowed: use"),
    (guide(rule(emoji="forbid", **{"in": "title"})), "rule a: in = 'title' is not allowed: use reply, body"),
    (
        guide(rule(emoji="forbid"), rule(capitals="forbid")),
        "two rules have the id a: give one of them another",
    ),
    (guide(rule(emoji="forbid"), fallback=["No."]), "fallback = ['No.'] is not allowed: use a reply"),
    (guide(rule(emoji="forbid"), fallbacks={}), "unknown key 'fallbacks': did you mean fallback?"),  # once
]


@pytest.mark.parametrize(("data", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_mistakes_in_guides_are_one_line(tmp_path, data, message):
    with pytest.raises(UserError) as refused:
        read_guide(write(tmp_path, data))
    assert message in str(refused.value)
    assert "guide.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_guide(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*nowhere\.yaml: "):
        read_guide(tmp_path / "nowhere.yaml")
