"""Personal data in questions and answers: what is masked, and what stays."""

import hypothesis
import pytest
from hypothesis import strategies as st

from step5_serving.telemetry.reading import show_call
from step5_serving.telemetry.redact import redact
from step5_serving.telemetry.store import Store
from tests.step5.telemetry_parts import call_of, record, source_of

TAKEN = [
    ("write to ann.b+c@mail.example.co.uk, please", "write to [e-mail], please"),
    ("o'neil@example.com!", "[e-mail]!"),
    ("+44 20 7946 0958", "[telephone]"),
    ("+1 (212) 555-0123.", "[telephone]."),
    ("0171/1234567", "[telephone]"),
    ("(020) 7946 0958", "[telephone]"),
    ("call 5550123 now", "call [telephone] now"),
    ("card 4111 1111 1111 1111, soon", "card [card], soon"),
    ("4111-1111-1111-1111", "[card]"),
    ("378282246310005", "[card]"),
    ("DE89 3704 0044 0532 0130 00", "[IBAN]"),
    ("gb82west12345698765432", "[IBAN]"),
    ("NO93 8601 1117 947", "[IBAN]"),
    ("my key is s5_1f0c9a3e_" + "kq0Vt" * 8 + "abc", "my key is [secret]"),
    ("use sk-" + "ant-api03-abcdefghijklmnop", "use [secret]"),
    ("at http://me:hunter2@host/", "at http://[secret]@host/"),
]
STAYS = [
    "When does the supply agreement renew?",
    "order 4155552671",
    "on 2026-11-25 at 10:30",
    "25.11.2026",
    "from 2019-2024",
    "192.168.100.200",
    "version 1.2.3.4.5.6.7",
    "4111 1111 1111 1112",  # Luhn says no
    "DE89 3704 0044 0532 0130 02",  # so does the sum of an IBAN
    "\u0130B82WEST12345698765432",  # with IGNORECASE, [A-Z] would match it
    "0000000000000000",
    "12345678901234567890123",
    "@example",
    "a@b",
    "sensor TX-4000-1200-88",
    "3.14159265",
]


@pytest.mark.parametrize(("text", "rest"), TAKEN)
def test_personal_data_is_masked(text, rest):
    assert redact(text) == rest


@pytest.mark.parametrize("text", STAYS)
def test_other_texts_stay(text):
    assert redact(text) == text


def luhn(digits):
    """The last digit that makes a card number of these."""
    doubled = [sum(divmod(2 * each, 10)) for each in digits[-1::-2]]
    return (-sum(doubled) - sum(digits[-2::-2])) % 10


@hypothesis.given(st.lists(st.integers(0, 9), min_size=12, max_size=18), st.sampled_from(["", " ", "-"]))
def test_card_numbers_are_found_however_they_are_grouped(digits, between):
    hypothesis.assume(len(set(digits)) > 1)
    whole = "".join(map(str, [*digits, luhn(digits)]))
    grouped = between.join(whole[i : i + 4] for i in range(0, len(whole), 4))
    assert redact(f"pay by {grouped} please") == "pay by [card] please"


@pytest.mark.parametrize(
    "text", ["1 " * 1000, "a@" * 1000, "+1-" * 700, "1" * 2000, "AA11 " * 400, "a." * 1000]
)
def test_no_text_makes_it_slow(text):
    import time

    began = time.perf_counter()
    redact(text)
    assert time.perf_counter() - began < 0.5  # milliseconds; a pattern that backtracks takes minutes


@pytest.mark.parametrize("on", [True, False])
def test_redaction_can_be_switched_on(tmp_path, on):
    text = "my address is ann@example.com"
    call = call_of(
        question=text,
        answer=text,
        sources=[source_of(text)],
        attempts=[{"query": text}],
        parameters={"user": text, "stop": [text], "k": 3},
    )
    record(f"{tmp_path}/telemetry.db", call, redact=on)
    found = show_call(Store.open(f"{tmp_path}/telemetry.db"), call.trace_id)
    kept = "my address is [e-mail]" if on else text
    assert (found["question"], found["answer"], found["attempts"][0]["query"]) == (kept, kept, kept)
    assert found["parameters"] == {"user": kept, "stop": [kept], "k": 3}
    assert found["sources"][0]["text"] == text  # a document of the operator's own
    assert call.question == text  # the reply is made of the call: it isn't touched
