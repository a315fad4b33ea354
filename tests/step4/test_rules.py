"""Every rule of the sample on replies that keep it and that break it; sentences, and the parts of a reply."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from step4_finetune.tone import rules, text
from step4_finetune.tone.scores import score
from tests.step4.samples import BODY, GUIDE, reply

KEPT = [
    reply(),
    reply().replace("\n", "\r\n") + "\n  ",
    reply("The member's drill, our users' guide no. 4 e.g. on p. 3, is here. Please wait.").replace(
        "users'", "own"
    ),
    reply("At 5 p.m. we bring the TV, code A4471, and the PIN. It costs 14.90. Please be in."),
    reply("We wonder what kind of noise it is. Please tell us, i.e. write to us."),
    reply("We have reset the HTTPS and USB-C part. Please wait."),
    reply("We sent it to St. Ives, see www.acme.com/user.html. Please look."),
    reply("We came. We saw. We left. We wait. Please wait."),
    reply(greeting="Dear Ms Okafor,"),
    reply(greeting="Dear Dr. van der Berg-Öz,"),
]
BROKEN = [  # what patterns may miss; test_fidelity.py has each rule of the guide, on the sample's rows
    (reply(greeting="dear member,"), "greeting"),
    (reply(greeting="Dear Ms Okafor"), "greeting"),
    (reply(greeting="Dear Ms Okafor and others,"), "greeting"),
    (reply(sign_off="Kind regards, Northwind Care"), "sign_off"),
    (reply(sign_off="Kind regards,\nNorthwind Care Team"), "sign_off"),
    (reply("We’ll know. Please wait."), "no_contractions"),
    (reply("It`s here. Please wait."), "no_contractions"),
    (reply("The parcel's on its way. Please wait."), "no_contractions"),
    (reply("We dont know. Please wait."), "no_contractions"),
    (reply("The USER'S code is here. Please wait."), "member calm"),
    (reply("We came, please wait. We left."), "one_request"),
    (reply("Please come. Please wait."), "one_request"),
    (reply("Please wait, please."), "one_request"),
    (reply("No  Worries, we have it. Please wait."), "no_slang"),
    (reply("I'll have it. Please wait."), "no_contractions we"),
    (reply("We are ready :-) and glad. Please wait."), "calm"),
    (reply("We are NOT ready. Please wait."), "calm"),
]


@pytest.mark.parametrize(("text", "broken"), [*((each, "") for each in KEPT), *BROKEN])
def test_the_rules_that_a_reply_breaks(text, broken):
    assert rules.broken(text, GUIDE) == tuple(broken.split())
    assert score(text, GUIDE).broken == broken.split()
    assert score(text, GUIDE).adherence == pytest.approx(1 - len(broken.split()) / 11)


@pytest.mark.parametrize("text", ["", " \n", reply(""), reply("."), "Dear member,", reply("Thank you.")])
def test_an_empty_reply_keeps_next_to_no_rules(text):
    """Greeting and sign-off alone would keep 10 of 11 rules if silence kept those that forbid."""
    kept = {rule.id for rule in GUIDE.rules} - set(rules.broken(text, GUIDE))
    assert kept <= {"greeting", "sign_off"} | ({"sentences"} if "Thank" in text else set())


def test_reasons_quote_the_reply():
    text = reply("I don't know!! Please come. Please wait 🎉 and STOP.", greeting="Hello,")
    assert rules.reasons(text, GUIDE) == {
        "greeting": 'no "Dear member,"',
        "no_contractions": "don't",
        "no_exclamation": "!, !",
        "one_request": "Please come., Please wait 🎉 and STOP.",
        "we": "I",
        "calm": "🎉; STOP",
    }
    assert rules.reasons(reply("We. " * 6 + "We wait."), GUIDE) == {"sentences": "7 sentences"}
    assert rules.reasons("", GUIDE)["calm"] == "there is no reply; there is no reply"


SENTENCES = [
    ("It is 14.90. We wait.", ["It is 14.90.", "We wait."]),
    ("See no. 4 and No. 5. No. We can.", ["See no. 4 and No. 5.", "No.", "We can."]),
    ("Ask Dr. J. R. Ewing, e.g. at 5 p.m. today.", ["Ask Dr. J. R. Ewing, e.g. at 5 p.m. today."]),
    ("It ends at 5 p.m. We wait.", ["It ends at 5 p.m.", "We wait."]),
    ("We have plan B. We wait.", ["We have plan B.", "We wait."]),
    ("ok, got it. we'll see... and wait.", ["ok, got it.", "we'll see... and wait."]),
    ("Really?! Yes… We wait.", ["Really?!", "Yes…", "We wait."]),
    ('He said "Come." (And left.) We wait.', ['He said "Come."', "(And left.)", "We wait."]),
    ("Done! 🎉 We wait 🎉 You go.", ["Done! 🎉", "We wait 🎉", "You go."]),
    ("Do this:\n1. Open it.\n2. Close it.", ["Do this:", "1. Open it.", "2. Close it."]),
    ("We know\n\nYou know", ["We know", "You know"]),
    ("One line\ngoes on. Next.", ["One line goes on.", "Next."]),
    ("It was in 2025. We know.", ["It was in 2025.", "We know."]),
    ("Go to www.acme.com. Now.", ["Go to www.acme.com.", "Now."]),
    ("... !", []),
    ("", []),
]


@pytest.mark.parametrize(("given", "found"), SENTENCES)
def test_sentences(given, found):
    assert text.sentences(given) == found


PARTS = [
    ("Hi Sam! Your bike is here. Bye, Pip", "Hi Sam!", "Your bike is here.", "Bye, Pip"),
    ("Good morning,\nit is here now.\nBest\nBo", "Good morning,", "it is here now.", "Best\nBo"),
    ("To the owner,\n\nIt is here now.\n\nService team", "To the owner,", "It is here now.", "Service team"),
    ("It is here now. Thank you for your patience.", "", "It is here now. Thank you for your patience.", ""),
    ("Hi-fi sets are here now.\n\n- Pip", "", "Hi-fi sets are here now.", "- Pip"),
    ("It is here now. Thanks!", "", "It is here now.", "Thanks!"),
]


@pytest.mark.parametrize(("given", "greeting", "body", "sign_off"), PARTS)
def test_the_parts_of_a_reply(given, greeting, body, sign_off):
    parts = text.take_apart(given)
    assert (parts.greeting, parts.body, parts.sign_off) == (greeting, body, sign_off)


def test_known_greetings_come_first():
    parts = text.take_apart("Dear member of ours, hello.\n\nBye\nBye", ["Dear member of ours"], ["Bye"])
    assert (parts.greeting, parts.body, parts.sign_off) == ("Dear member of ours", ", hello.\n\nBye", "Bye")
    assert text.take_apart(reply(), GUIDE.greetings, GUIDE.sign_offs).body == BODY
    assert text.take_apart(reply(reply()), GUIDE.greetings, GUIDE.sign_offs).body == reply()


@pytest.mark.parametrize(
    ("start", "greeting"),
    [
        ("Dear Ms Okafor,", "Dear Ms Okafor,"),
        ("Dear Ömer,", "Dear Ömer,"),
        ("Dear Ms de Silva,", "Dear Ms de Silva,"),
        ("Dear member,", "Dear {name},"),
        ("Dear Ms Okafor", "Dear {name},"),
        ("To Ms Okafor,", "Dear {name},"),
    ],
)
def test_a_greeting_with_a_name(start, greeting):
    """Where no name stands, the greeting stays as it is."""
    said = f"{start}\n\nDear Ms Hill, it is here."
    assert text.named(said, "Dear {name},") == greeting
    assert text.begins(said, "Dear {name},") is (greeting == start)


def test_emoji_are_counted_as_people_do():
    assert text.emoji("👍🏽 👩‍🔧 🇬🇧 ❤️ ✓ :-) <3") == ["👍🏽", "👩‍🔧", "🇬🇧", "❤️", "✓", ":-)", "<3"]
    assert text.emoji("(see: 8) and 3 < 4, 10:30; (p) © ™ →") == []


def test_capitals_are_shouting_only():
    assert text.capitals("NOT a TV, PIN 4 or USB-C; A4471, ABCD-12, U.S. HTTPS, PLEASE") == ["NOT", "PLEASE"]


@settings(max_examples=40)
@given(st.text(max_size=300))
def test_any_text_can_be_measured(given):
    assert 0 <= score(given, GUIDE).adherence <= 1
    parts = GUIDE.parts(given)
    assert len(parts.greeting) + len(parts.body) + len(parts.sign_off) <= len(parts.reply)
    assert " ".join(parts.sentences).split() == " ".join(text.sentences(parts.body)).split()
