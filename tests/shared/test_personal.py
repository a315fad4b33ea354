"""Personal data in texts: what is found, and what stays."""

import time

import hypothesis
import pytest
from hypothesis import strategies as st

from shared.personal import recognizers, redact

pytest.importorskip("presidio_analyzer", reason="pip install .[presidio]")


@pytest.fixture(autouse=True, scope="module")
def presidio():
    """Loaded before the tests: it takes seconds, which none should count."""
    recognizers()


TAKEN = [
    ("write to ann.b+c@mail.example.co.uk, please", "write to [e-mail address], please"),
    ("o'neil@example.com!", "[e-mail address]!"),
    ("rosa [at] example [dot] org, nadia at example dot com", "[e-mail address], [e-mail address]"),
    ("+44 20 7946 0958", "[telephone number]"),
    ("+1 (212) 555-0123.", "[telephone number]."),
    ("0171/1234567", "[telephone number]"),
    ("(020) 7946 0958", "[telephone number]"),
    ("call 5550123 now", "call [telephone number] now"),
    ("02 123 45 67 89 or 01-42-68-53-00", "[telephone number] or [telephone number]"),
    ("212.555.0123", "[telephone number]"),
    ("card 4111 1111 1111 1111, soon", "card [card number], soon"),
    ("DE89 3704 0044 0532 0130 00", "[IBAN]"),
    ("Straße: gb82west12345698765432", "Straße: [IBAN]"),
]
STAYS = [
    "When does the supply agreement renew?",
    "order number: 020 7946 0958",
    "booking ref 07700900123",
    "on 2026-11-25 at 10:30",
    "call before 25.11.2026",
    "from 2019-2024",
    "192.168.100.200",
    "version 1.2.3.4.5.6.7",
    "call us about 4111 1111 1111 1112",  # Luhn says no
    "DE89 3704 0044 0532 0130 02",  # so does the sum of an IBAN
    "\u0130B82WEST12345698765432",  # with IGNORECASE, [A-Z] would match it
    "0000000000000000",
    "12345678901234567890123",
    "@example",
    "sensor TX-4000-1200-88",
    "0.123456789",
    "contract 20231234567 and the meter stands at 1234567",
    "1,234,567 points, 14.90, code 4471 2231 9087, parcel 00340434161094022115",
]


@pytest.mark.parametrize(("text", "rest"), [*TAKEN, *((each, each) for each in STAYS)])
def test_personal_data_is_replaced_by_its_kind_and_other_texts_stay(text, rest):
    assert redact(text)[0] == rest


def test_the_kind_and_the_beginning_are_reported_and_what_is_allowed_stays():
    text = "write to help@example.com, not to bob.smith@example.com with 4111 1111 1111 1111"
    found = [(each.kind, each.masked) for each in redact(text, allowed="Say: help@example.com")[1]]
    assert found == [("e-mail address", "bob…"), ("card number", "411…")]


def luhn(digits):
    """The last digit that makes a card number of these."""
    doubled = [sum(divmod(2 * each, 10)) for each in digits[-1::-2]]
    return (-sum(doubled) - sum(digits[-2::-2])) % 10


@hypothesis.given(st.lists(st.integers(0, 9), min_size=12, max_size=18), st.sampled_from(["", " ", "-"]))
def test_card_numbers_are_found_however_they_are_grouped(digits, between):
    hypothesis.assume(len(set(digits)) > 1)
    whole = "".join(map(str, [*digits, luhn(digits)]))
    grouped = between.join(whole[i : i + 4] for i in range(0, len(whole), 4))
    assert redact(f"pay by {grouped} please")[0] == "pay by [card number] please"


@pytest.mark.parametrize(
    "text", ["1 " * 1000, "a@" * 1000, "+1-" * 700, "1" * 2000, "AA11 " * 400, "a." * 1000, "a dot " * 400]
)
def test_no_text_makes_it_slow(text):
    began = time.perf_counter()
    redact(text)
    assert time.perf_counter() - began < 0.5  # milliseconds; a pattern that backtracks takes minutes
