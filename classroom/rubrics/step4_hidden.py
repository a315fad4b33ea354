"""Step 4, the hidden tests: replies, rules and rows."""

import pytest

from classroom.rubrics.step4_public import ALLOWS, FOUND, NOISE, parts, row, rule


@pytest.mark.rubric("4.2", points=2, times=3)
def test_silence_keeps_no_rule_that_only_forbids(submission, draw):
    """Replies with an empty or nearly empty body, against rules that forbid and rules that require."""
    word = draw.words(1)[0]
    said = f"The {word} goes to the {word} today, and so do {word}."
    bodies = ("", f"{word.capitalize()}.", f"Thank {word}.", f"Thank the {word}.", said)
    for body in draw.sample(bodies, 5):
        for each in (
            rule("forbid", f"{word}x", high=0),
            rule("emoji", high=0),
            rule("sentences", high=draw.randint(1, 4), where="body"),
            rule("sentences", low=1, high=4, where="body"),
            rule("require", "regards", low=1),
            rule("starts_with", "Dear member,", low=1),
            rule("ends_with", word, low=1),
        ):
            submission.check(ALLOWS, each, parts(body))


@pytest.mark.rubric("4.2", points=2, times=3)
def test_all_that_is_required(submission, draw):
    """Every required pattern must occur in the given part of the reply, line by line."""
    one, two, three = draw.words(3)
    reply = parts(f"The {one} is a {one}. A {two} is here. The {three} goes.")
    ends = [(f"{two}$",), ("^Dear", "^Kind", "^North")]
    for wanted in draw.sample([(one,), (two, one), (one, three, f"{one}{two}"), *ends], 5):
        for where in draw.sample(("reply", "body", "first", "last"), 4):
            submission.check(ALLOWS, rule("require", *wanted, low=1, where=where), reply)


@pytest.mark.rubric("4.2", points=2, times=3)
def test_how_many_there_may_be(submission, draw):
    """Patterns are counted in the text or by sentence, contractions in the body."""
    word, noun = draw.words(2)
    n = draw.randint(0, 3)
    twice = parts(f"A {word} or {word} it is. The {noun} goes there. The {word} is here.")
    short = parts(f"It's a {word} there. " * n + f"A {word} is here.")
    for low, high in ((0, 0), (1, None), (2, 2), (3, 3), (0, 2), (4, None), (0, 3), (1, 1), (n, n)):
        submission.check(ALLOWS, rule("forbid", word, low=low, high=high), twice)
        submission.check(ALLOWS, rule("count", word, low=low, high=high, of="sentences"), twice)
        submission.check(ALLOWS, rule("contractions", low=low, high=high, where="body"), short)


@pytest.mark.rubric("4.2", points=2, times=3)
def test_parts_of_words_are_no_words(submission, draw):
    """A word inside a longer word, a compound, an abbreviation or an address is not found."""
    word, other = draw.words(2)
    for text in (
        f"{word}s, a{word}, {word}_{other}, {word}2 and 2{word}.",
        f"The {word}-{other} and the {other}-{word} or {word}.",
        f"See {word}.{other}.com or {other}.{word}, {word}@{other}.com and {other}@{word}, ({word})",
        f"A {word}. {word.title()}, {word}... {other}.{word} {other}. {word}- - {word}",
        f"{word}. \n{other} .{word} @ {word} -{word}",
    ):
        submission.check(FOUND, rule("forbid_words", word), parts(text, "", ""))


@pytest.mark.rubric("4.2", points=2, times=3)
def test_stars_dots_and_spaces(submission, draw):
    """A star stands for any ending, a space for any white space; everything else is literal."""
    word, other = draw.words(2)
    text = (
        f"{word[:3]}, {word.upper()}s, {word}-{other} un{word} {word[:3]}.{other[0]} "
        f"{word[:3]}x{other[0]} {word}\n {other} {word}+ {word}? * {other}, (no)"
    )
    for values in (
        (f"{word[:3]}*",),
        (f"{word}* {other[:2]}*", other),
        (f"{word[:3]}.{other[0]}",),
        (f"{word}+", f"{word}?", "(no)"),
        ("*", f"{other} "),
    ):
        submission.check(FOUND, rule("require_words", *values, low=1), parts(text, "", ""))


@pytest.mark.rubric("4.3", points=6, times=3)
def test_label_noise_of_every_kind(submission, draw):
    """Blank replies, rows without a pair, breaks without an example, wrong facts, two mistakes in a row."""
    replies = [draw.sentence(5) for _ in range(5)]
    rules = draw.words(4)
    whys = [draw.choice(["", draw.text(1)]) for _ in rules]
    known = {
        reply: dict(zip(draw.sample(rules, n), whys, strict=False))
        for n, reply in zip((0, 0, 1, 2, 4), replies, strict=True)
    }
    known |= {"": {}, " \n\t": {}}
    rows = []
    for at in range(14):
        chosen, rejected = draw.choice([*replies, " \n\t"]), draw.choice([*replies, None, ""])
        rows.append(row(f"{draw.choice(rules)}-{at}", draw.text(4), chosen, rejected))
    rows[3:3] = [row("blank", draw.text(4), " \n\t", replies[0]), row("alone", draw.text(4), replies[0])]
    rows[5:5] = [row("twice", draw.text(4), replies[4], replies[1])]
    rows[7:7] = [
        row("facts", draw.text(4), replies[0], replies[1], breaks=("facts",)),
        row("both", draw.text(4), replies[3], replies[0], breaks=(rules[0], "facts")),
    ]
    submission.check(NOISE, rows, lambda reply: known[reply])


@pytest.mark.rubric("4.3", points=5, times=3)
def test_breaks_that_are_named_wrongly(submission, draw):
    """Breaks that are not named, named ones that are none; `facts` is not a rule of the guide."""
    rules = draw.words(4)
    known = {draw.sentence(5): dict.fromkeys(draw.sample(rules, n), "x") for n in (0, 1, 2, 3, 4)}
    rows = []
    for at in range(12):
        rejected = draw.choice([*known, None])
        drawn = tuple(draw.sample(rules, draw.randint(0, 4)))
        breaks = draw.choice([drawn, None, tuple(known.get(rejected, ()))])
        rows.append(row(f"{draw.text(1)}-{at}", draw.text(4), "Please wait.", rejected, breaks=breaks))
    none_of_them, *_, all_of_them = known
    rows[4:4] = [
        row(f"named {at}", "Hello.", "Please wait.", reply, breaks=breaks)
        for at, (reply, breaks) in enumerate(
            [(all_of_them, ()), (none_of_them, ("facts",)), (all_of_them, ("facts", *rules[:3]))]
        )
    ]
    submission.check("step4_finetune.data.curate.labels:named_breaks", rows, lambda reply: known[reply])
