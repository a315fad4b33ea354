"""The office: arithmetic, money, dates, and the state that two tools change."""

import pytest

from shared.errors import UserError
from shared.office import CHANGING, TOOLS, Draft, Office, Ticket


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("calculate", {"expression": "12 * 1,250"}, "12 * 1250 = 15000"),
        ("calculate", {"expression": "(2 + 3) / -4"}, "(2 + 3) / -4 = -1.25"),
        ("convert_currency", {"amount": 100, "source": "eur", "target": "USD"}, "100 EUR = 110 USD"),
        ("convert_currency", {"amount": 85, "source": "GBP", "target": "CHF"}, "85 GBP = 95 CHF"),
        ("today", {}, "2026-05-18, a Monday"),
        ("add_working_days", {"start": "2026-05-22", "days": 1}, "2026-05-25, a Monday"),
        ("add_working_days", {"start": "2026-05-18", "days": -1}, "2026-05-15, a Friday"),
    ],
)
def test_tools_that_read(name, arguments, result):
    office = Office()
    assert office.run(name, arguments) == result
    assert office == Office()


def test_tools_that_change_the_state():
    office = Office()
    assert office.run("create_ticket", {"title": "Valve 7"}) == "Ticket 1 is open: Valve 7"
    assert office.run("send_draft", {"to": "Ann", "text": "Hello"}) == "Message 1 is sent to Ann."
    assert office == Office([Ticket("Valve 7")], [Draft("Ann", "Hello")])
    assert set(CHANGING) < set(TOOLS)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("calculate", {"expression": "__import__('os')"}, "can't be computed"),
        ("calculate", {"expression": "1 / 0"}, "can't be computed"),
        ("calculate", {"expression": "2 ** 99999999"}, "can't be computed"),
        ("calculate", {"expression": "(" * 99 + ")" * 99}, "can't be computed"),
        ("calculate", {"expression": "1" * 300}, "longer than 200"),
        ("calculate", {"term": "1"}, "'term' is not an argument of calculate"),
        ("calculate", {}, "expression is missing"),
        (
            "convert_currency",
            {"amount": 1, "source": "EUR", "target": "dollars"},
            "'dollars' is not known: use EUR",
        ),
        (
            "convert_currency",
            {"amount": "much", "source": "EUR", "target": "USD"},
            "much is not an amount",
        ),
        ("add_working_days", {"start": "tomorrow", "days": 2}, "'tomorrow' is not a date"),
        ("add_working_days", {"start": "2026-05-18", "days": 9999}, "2000 at most"),
        ("delete_all", {}, "there is no tool 'delete_all'"),
    ],
)
def test_wrong_calls_are_refused_in_one_line(name, arguments, says):
    with pytest.raises(UserError, match=says) as refused:
        Office().run(name, arguments)
    assert "\n" not in str(refused.value)
