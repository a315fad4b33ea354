import httpx2
import pytest

from step2_tools.agent.tool import FunctionTool
from step2_tools.tools.currencies import EXTRA_NAMES
from step2_tools.tools.currency import Currency, code_of
from tests.step2.fake_services import facts, refusal, service

ROW = {"date": "2026-11-20", "base": "USD", "quote": "THB", "rate": 32.45}


def convert(*answers, **given):
    api, seen = service(*answers)
    tool = FunctionTool(Currency(api).convert_currency)
    return facts(tool.call({"from_currency": "USD", "to_currency": "THB", **given})), seen


def refused(*answers, **given):
    api, seen = service(*(answers or [ROW]))
    tool = FunctionTool(Currency(api).convert_currency)
    return refusal(tool.call, {"from_currency": "USD", "to_currency": "THB", **given}), seen


def test_an_amount_is_converted_at_the_rate_of_a_day():
    result, seen = convert(ROW, amount=100)
    assert str(seen[0].url) == "https://api.frankfurter.dev/v2/rate/USD/THB"
    assert result == {
        "summary": "100.00 USD is 3,245.00 THB, at a rate of 32.45 of 2026-11-20.",
        "from_currency": "USD",
        "to_currency": "THB",
        "amount": 100.0,
        "converted": 3245.0,
        "rate": 32.45,
        "rate_of": "2026-11-20",
        "source": "frankfurter.dev (reference rates of central banks)",
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"to_currency": "JPY", "amount": 10.0}, "10.00 USD is 324 JPY,"),  # yen have no cents
        ({"from_currency": "KWD", "amount": 2.0}, "2.000 KWD is 64.90 THB,"),  # dinars have three digits
        ({"amount": 0.001}, "0.001 USD is 0.03245 THB,"),
        ({"amount": 0.0}, "0.00 USD is 0.00 THB,"),
        ({"amount": 1e6}, "1,000,000.00 USD is 32,450,000.00 THB,"),
    ],
)
def test_money_has_the_digits_of_its_currency(given, words):
    assert words in convert(ROW, **given)[0]["summary"]


def test_a_currency_is_worth_itself():
    result, seen = convert(ROW, to_currency="dollars", amount=5)
    assert result["summary"] == "5.00 USD is 5.00 USD."
    assert (result["rate"], result["rate_of"], seen) == (1.0, None, [])


@pytest.mark.parametrize("amount", ["100", None, float("nan"), float("inf"), True, -0.01, 1e16])
def test_an_invalid_amount_is_refused(amount):
    line, seen = refused(amount=amount)
    assert line.startswith("amount = ")
    assert "number" in line
    assert not seen


def test_the_wrong_one_of_two_currencies_is_named():
    for argument in ("from_currency", "to_currency"):
        assert refused(**{argument: "doubloons"})[0].startswith("'doubloons' is not a currency")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx2.Response(422, json={"message": "invalid"}), "there is no rate from USD to THB"),
        (httpx2.Response(403, json={"message": "blocked"}), "Frankfurter refused the request: blocked"),
        ({**ROW, "rate": 0}, "Frankfurter answered with a rate of 0: a rate must be above 0"),
    ],
)
def test_an_answer_that_cannot_be_used_is_one_clear_line(answer, words):
    assert words in refused(answer)[0]


# --- names of currencies -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("USD", "usd|USD|US dollar|U.S. dollars|dollars|bucks|$|US$|American dollars|USD ($)"),
        ("EUR", "eur|euro|Euros|EURO|€|the euro"),
        ("GBP", "pound|British pounds|pounds sterling|quid|£|UK pounds"),
        ("THB", "baht|Thai baht|THB - Thai baht|฿|bahts"),
        ("CNY", "yuan|renminbi|Chinese yuan|RMB"),
        ("MXN", "pesos|Mexican pesos|Mexican peso"),
        ("CAD", "Canadian dollars|CA$|C$|cad"),
        ("SEK", "krona|Swedish kronor"),
        ("PLN", "zloty|złoty|zł"),
        ("AED", "UAE dirhams|United Arab Emirates Dirham"),
        ("ISK", "Icelandic krona|Icelandic Króna"),
    ],
)
def test_a_currency_is_known_by_many_names(code, names):
    assert {name: code_of(name) for name in names.split("|")} == dict.fromkeys(names.split("|"), code)


def test_an_ambiguous_currency_name_is_refused_with_the_codes():
    for name, codes in (("kroner", "DKK, NOK"), ("dirham", "AED, MAD")):
        line = refusal(code_of, name)
        assert (codes in line, line.endswith("give the ISO code")) == (True, True)


@pytest.mark.parametrize("name", ["", "bitcoin", "DEM", "EUR to USD", "12", "dollars and cents", "s"])
def test_an_unknown_currency_is_refused_with_what_is_allowed(name):
    assert refusal(code_of, name).endswith("use an ISO code (USD, EUR) or a name (US dollar, Thai baht)")


def test_every_code_in_the_table_of_meanings_is_a_currency_of_today():
    assert {code: code_of(code) for code in EXTRA_NAMES} == {code: code for code in EXTRA_NAMES}
