"""Whether replies do what was asked, keep subject and facts, and are whole; and the labelled replies."""

import io

import pytest
from rich.console import Console

from shared.errors import UserError
from step4_finetune import acts, checking
from step4_finetune.content import Intent, fits, is_looping, keeps, problems, read_intents, score
from tests.step4.samples import BODY, GUIDE, INTENTS, SAMPLE, reply

# intent, message: (reply, does it do what was asked?), ...
CASES = {
    ("repair", "My hedge trimmer is too loud."): [
        (
            "Thank you for telling us. We have reviewed the charge for your hedge trimmer. Please reply.",
            False,
        ),
        (
            "We are sorry to hear it. We understand that you would like it repaired. Please reply.",
            False,
        ),
        (
            "Your hedge trimmer is too loud. We will check the hedge trimmer and let you know. Please reply.",
            True,
        ),
        (
            "We have received your request for a repair of the hedge trimmer. Please reply with a photo.",
            False,
        ),
        ("Unfortunately we can't repair hedge trimmers. Please contact the maker.", False),
        ("Thanks for reaching out! We'll get a technician out to take a look at it.", True),
        (
            "We will confirm the arrival of your hedge trimmer tomorrow. Please check it.",
            False,
        ),
    ],
    ("refund", "I want my 14.90 back."): [
        (
            "You want your 14.90 back. We have received your message about it. Please send the receipt.",
            False,
        ),
        ("We'll refund you the 14.90 to your card.", True),
        ("Your 14.90 will be back in your account within five working days.", True),
        ("The 14.90 is being returned to you.", True),
        ("We have cancelled your plan for 14.90. Please keep this message.", False),
        ("We have sent a new code for your account. Please use it.", False),
    ],
    ("delivery", "Where is my parcel?"): [
        ("You asked where your parcel is. We will trace it.", True),
        ("We have cancelled your parcel. Please keep this message.", False),
        ("We know that a late parcel is annoying. Please tell us the tracking number.", False),
        ("We will return the money for your parcel.", False),
        ("Your parcel is on its way and will arrive tomorrow.", True),
    ],
    ("cancel", "Cancel my yoga class."): [
        ("We have received your request to cancel the yoga class. Please confirm.", False),
        ("Your yoga class has been cancelled.", True),
        ("We will reserve a place in the yoga class. Please choose a date.", False),
        ("We will review the cancelled yoga class. Please wait.", False),
        ("You would like to cancel your yoga class. We have removed you from the class.", True),
        ("We are unable to cancel the yoga class.", False),
    ],
    ("change", "Move my visit to Friday."): [
        ("We've moved your visit to Friday.", True),
        ("You would like your visit to be moved to Friday. We will inspect it. Please reply.", False),
        ("The visit will now take place on Friday.", True),
    ],
    ("book", "Can I get a plumber on Monday?"): [
        ("We have booked a plumber for Monday.", True),
        ("You would like to book a plumber for Monday. We will repair it.", False),
        ("A plumber will come on Monday between 8 and 12.", True),
        ("Thank you for your booking request for a plumber. Please tell us more.", False),
    ],
    ("explain", "How do I clean the filter?"): [
        ("You asked how to clean the filter. We will send you the instructions.", True),
        ("The filter can be rinsed under warm water and should dry for a day.", True),
        ("Cleaning the filter is important. Please reply.", False),
        ("We will inspect the filter and repair it.", False),
    ],
    ("access", "I can't log in."): [
        ("We have reset your password and sent you a link.", True),
        ("You cannot log in. We will review this. Please wait.", False),
        ("A new link has been sent to your e-mail.", True),
        ("We will refund your account.", False),
        ("We will check your account and restore it.", True),
    ],
    ("complaint", "Your man was rude."): [
        ("We apologise for the rude man. A manager will review this.", True),
        ("We are sorry to hear that our man was rude. Please tell us when it happened.", False),
        ("Thank you for telling us that our man was rude. We will pass on your thanks to him.", False),
        ("I'm really sorry about this. I've passed this to my manager who'll look into it.", True),
        ("We apologise that our man was rude. We will repair it.", False),
    ],
    ("praise", "Great work by Leeds."): [
        ("Thank you for your kind words. We will pass them on to the team.", True),
        ("Thank you for your kind words about Leeds. Please tell us more.", False),
        ("We are glad that Leeds did great work. We'll let the crew know.", True),
        ("We apologise. A manager will review it with the team.", False),
    ],
}
FLAT = [(intent, message, text, does) for (intent, message), cases in CASES.items() for text, does in cases]


@pytest.mark.parametrize(("intent", "message", "text", "does"), FLAT)
def test_a_reply_fits_by_what_it_does(intent, message, text, does):
    assert fits(text, INTENTS[intent], message, INTENTS) is does
    assert fits(reply(text), INTENTS[intent], message, INTENTS) is does


@pytest.mark.parametrize(("intent", "message", "text", "does"), [row for row in FLAT if row[3]])
def test_a_reply_that_fits_does_nothing_else(intent, message, text, does):
    done = [name for name in INTENTS if fits(text, INTENTS[name], message, INTENTS)]
    assert set(done) - {"explain"} == {intent} - {"explain"}  # a plain statement may explain something, too


@pytest.mark.parametrize(("intent", "message"), CASES)
def test_saying_the_message_back_does_nothing(intent, message):
    for start in ("Thank you for telling us:", "We understand that you wrote:", "You wrote to us:"):
        text = f"{start} {message} Please reply with the details."
        assert fits(text, INTENTS[intent], message, INTENTS) is False


def test_doing_everything_is_gaming():
    text = "We will repair it, refund the money, cancel the plan, trace the parcel and send you a new code."
    assert not any(fits(text, INTENTS[name], "It broke", INTENTS) for name in INTENTS)
    assert fits("We will repair it and refund the money.", INTENTS["repair"], "It broke", INTENTS)


def test_acts():
    assert acts.acts("You want to cancel it. We've ended it. Please keep it.") == ["ended it."]
    assert acts.acts("We understand that we are late and will trace it.") == [
        "late and will trace it.",
        "trace it.",
    ]
    assert acts.acts("We will not do it. We can't do it. We never did it.") == ["not do it."] * 2 + [
        "not did it."
    ]
    assert acts.acts("Tell us if we may do it.") == []
    text = "You want to cancel the plan. We've ended it. A letter is on its way. We can't return the fee."
    assert acts.acts(text) == ["ended it.", "a letter is on its way.", "not return the fee."]
    assert acts.acts(text, things=False) == ["ended it.", "not return the fee."]


def test_an_intent_without_patterns_is_unknown():
    intent = Intent("other", "wants", "does")
    assert fits(BODY, intent) is None
    result = score(reply(), GUIDE, intent)
    assert (result.fits, result.content, result.both, result.all_rules) == (None, None, None, True)
    assert score(reply(), GUIDE).fits is None


def test_a_score_has_it_all():
    asked = {
        "message": "It is loud since 12 May",
        "subject": ["trimmer"],
        "facts": ["12 May"],
        "others": INTENTS,
    }
    good = score(reply(), GUIDE, INTENTS["repair"], **asked)
    assert (good.adherence, good.all_rules, good.fits, good.subject, good.facts) == (
        1,
        True,
        True,
        True,
        True,
    )
    assert good.healthy
    assert good.content is good.both is good.whole is True
    assert good.as_json()["both"] is True
    assert len(good.as_json()["rules"]) == 11
    off_tone = score(reply(BODY + " Cool!"), GUIDE, INTENTS["repair"], **asked)
    assert (off_tone.content, off_tone.all_rules, off_tone.both, off_tone.whole) == (
        True,
        False,
        False,
        False,
    )
    for text in (
        BODY.replace("12 May", "May"),
        BODY.replace("trimmer", "mower"),
        BODY.replace("inspected", "seen"),
    ):
        wrong = score(reply(text.replace("repaired", "kept")), GUIDE, INTENTS["repair"], **asked)
        assert (wrong.all_rules, wrong.content, wrong.whole) == (True, False, False)
        assert wrong.both is wrong.fits


def test_what_is_unknown_does_not_hide_what_is_wrong():
    assert score(reply(), GUIDE, subject=["mower"]).content is False
    assert score("", GUIDE).both is False
    assert score(reply("We don't. Please wait."), GUIDE).both is False


@pytest.mark.parametrize("text", ["", reply(""), reply("Thank you.")])
def test_greeting_and_sign_off_alone_score_low(text):
    result = score(text, GUIDE, INTENTS["praise"], message="Thanks", others=INTENTS)
    assert result.adherence <= 2 / 11
    assert (result.fits, result.problems, result.both) == (False, ("empty",), False)


@pytest.mark.parametrize(
    ("subject", "facts", "kept"),
    [
        (["trimmer"], ["12 May"], (True, True)),
        (["mower", "HEDGE"], [], (True, None)),
        ([], ["12 May", "13 May"], (None, False)),
        (["trim"], ["2 May"], (False, False)),
        (["hedge  trimmer"], ["12\u00a0May"], (True, True)),
    ],
)
def test_subject_and_facts(subject, facts, kept):
    assert keeps(BODY, subject, facts) == kept


def test_subjects_have_plurals_and_numbers_are_whole():
    assert keeps("Two boxes, batteries and keys", ["box"], []) == (True, None)
    assert keeps("Two boxes, batteries and keys", ["battery"], []) == (True, None)
    assert keeps("Two boxes, batteries and keys", ["key"], []) == (True, None)
    assert keeps("It costs 114.90, or 4.905.", [], ["14.90"])[1] is False
    assert keeps("It costs 4.90.", [], ["4.90"])[1] is True
    assert keeps("It costs 12.5", [], ["12"])[1] is False


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (reply(), ()),
        ("", ("empty",)),
        (reply("Thank you."), ("empty",)),
        ("Dear member,\n\nWe will have your trimmer", ("cut",)),
        (reply()[:-5], ("cut",)),
        (reply(sign_off="Your team"), ()),
        ("we have it 🎉", ()),
        (reply("We wait for you. We wait for you. Please come."), ("looping",)),
        (
            reply("We will send you the the part and the part and the part and the part and the part."),
            ("looping",),
        ),
        ("We will send it and we will send it and we will send it and", ("cut", "looping")),
    ],
)
def test_problems(text, found):
    assert problems(GUIDE.parts(text), GUIDE.sign_offs) == found
    assert is_looping(text) is ("looping" in found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "intents are names, each with wants, reply and does"),
        ("a: b", "intent a: use wants, reply, does, not, says, informs"),
        ("a: {wants: x, reply: y, dose: [z]}", "intent a: use wants, reply, does, not, says, informs"),
        ("a: {reply: y}", "intent a: wants is missing: say it in words"),
        ("a: {wants: x, reply: y, does: ['(']}", "intent a: does: '(' is no regular expression: missing )"),
        ("a: {wants: x, reply: y, does: fix}", "intent a: does must be a list of regular expressions"),
        ("a: {wants: x, reply: y, does: [1]}", "intent a: does: 1 is no regular expression"),
    ],
)
def test_wrong_intents(tmp_path, text, message):
    (tmp_path / "intents.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        read_intents(tmp_path / "intents.yaml")
    assert message in str(refused.value)


# --- the evaluator on labelled replies --------------------------------------------------------------------


def test_measuring_by_hand():
    rows = [
        {"message": "It broke", "intent": "repair", "reply": reply(), "breaks": [], "fits": True},
        {
            "message": "It broke",
            "intent": "repair",
            "reply": reply(BODY + " Ok!"),
            "breaks": ["calm"],
            "fits": False,
        },
        {
            "message": "It broke",
            "reply": reply("No. Please wait here."),
            "breaks": ["no_slang"],
            "fits": False,
        },
    ]
    found = {each.name: each for each in checking.measure(rows, GUIDE, INTENTS)}
    assert list(found) == [*(rule.id for rule in GUIDE.rules), "fits"]
    slang, calm, fit = found["no_slang"], found["calm"], found["fits"]
    assert (slang.n, slang.said, slang.right, slang.missed) == (3, 1, 0, 1)
    assert (slang.precision, slang.recall) == (0, 0)
    assert (calm.said, calm.precision, calm.recall) == (0, None, 0)
    assert (fit.n, fit.precision, fit.recall) == (2, 0.5, 1)
    assert fit.as_json()["precision_interval"] == pytest.approx([0.0945, 0.9055], abs=1e-3)
    assert calm.as_json()["precision_interval"] is None


def test_the_evaluator_on_the_labelled_sample():
    rows = checking.read_labelled(SAMPLE / "labelled.jsonl")
    assert len(rows) >= 100
    for each in checking.measure(rows, GUIDE, INTENTS):
        if each.name not in ("fits", "keeps"):
            assert each.said + each.missed >= 5, each  # enough to be measured at all
            assert each.precision >= 0.95, each
            assert each.recall >= 0.9, each
    held_out = {
        each.name: each for each in checking.measure(checking.halves(rows)["held out"], GUIDE, INTENTS)
    }
    assert held_out["fits"].precision >= 0.95
    assert held_out["fits"].recall >= 0.8
    assert held_out["fits"].kappa >= 0.6
    assert held_out["keeps"].kappa >= 0.9


def test_replies_under_other_messages():
    rows = [
        {"topic": "hedge", "intent": "repair", "message": "It broke", "chosen": reply()},
        {
            "topic": "hedge",
            "intent": "refund",
            "message": "My money",
            "chosen": reply("We refund it and repair it."),
        },
        {"topic": "pool", "intent": "cancel", "message": "Stop it", "chosen": reply("We never heard of it.")},
    ]
    found = checking.crossed(rows, GUIDE, INTENTS)
    assert (found["n"], found["fit"], found["crossed"], found["false_fit"]) == (3, 2, 2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("{", "line 1 is no JSON"),
        ('{"message": "x"}', "line 1: reply must be a str"),
        ('\n{"message": "x", "reply": "y", "breaks": [], "fits": "no"}', "line 2: fits must be a bool"),
        ("[]", "line 1: message must be a str"),
    ],
)
def test_wrong_labels(tmp_path, text, message):
    path = tmp_path / "labelled.jsonl"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        checking.read_labelled(path)
    assert message in str(refused.value)


@pytest.mark.parametrize("row", [{"breaks": ["tone"]}, {"breaks": [], "intent": "joke"}])
def test_labels_of_something_else(row):
    with pytest.raises(UserError, match="row r1 "):
        checking.measure([{"id": "r1", "message": "x", "reply": "y", "fits": True} | row], GUIDE, INTENTS)


def test_the_table_for_people():
    console = Console(width=100, file=io.StringIO())
    checking.show(
        console, [checking.Measured("fits", 10, 4, 3, 1, 0.5), checking.Measured("calm", 10, 0, 0, 0, None)]
    )
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert lines[1] == [
        "fits",
        "10",
        "4",
        "3",
        "1",
        "0.75",
        "[0.30,",
        "0.95]",
        "0.75",
        "[0.30,",
        "0.95]",
        "0.50",
    ]
    assert lines[2] == ["calm", "10", "0", "0", "0", "-", "-", "-"]


def test_what_is_said_back_is_whole_words():
    """`me off the waiting` stands in `name off the waiting list`, too."""
    message, reply = "take me off the waiting list", "We have taken your name off the waiting list."
    assert acts.without_echo(reply, message) == reply
    assert acts.without_echo("You want me off the waiting list.", message) == "You want … list."
