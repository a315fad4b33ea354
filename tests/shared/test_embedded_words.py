"""What is seen in a question without a model: words, numbers, clauses, spelling, standards, currencies."""

import ast
import json
import math
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import embedded as local
from shared.embedded import clauses, currencies, orders, quantities, results, spelling, standards, words

LETTERS = r"[^\W\d_]+"
SIGNS = " .,;:?!'\"()[]{}-–—/\\$€£°%&=\n\t"
# Texts that are near to what people write, and ones that nobody does.
BITS = """
weather Paris, Texas and or then versus St. U.S. p.m. Inc. 5 1,000 $5 2.5% 6:30 half a two hundred dozen €75
8/11/2024 2024-08-11 noon 8pm 'hi' "a b" [1, 2] (1,2) –
"""
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(BITS.split()), max_size=14).map(" ".join),
    st.text(alphabet=SIGNS + "ab1", max_size=40),
)


def texts(text, spans):
    return [text[start:end] for start, end in spans]


# --- the examples of the modules ----------------------------------------------------------------------


def examples(path):
    """(expression, what it says) of the module's own and its functions' docstrings that one line answers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) or not ast.get_docstring(node):
            continue
        lines = ast.get_docstring(node).splitlines()
        for line, answer in zip(lines, [*lines[1:], ""], strict=True):
            if line.strip().startswith(">>> "):
                yield line.strip().removeprefix(">>> "), answer.strip()


def is_word(word):
    return word in ("waht", "is", "teh")


@pytest.mark.parametrize(
    "module",
    [words, quantities, clauses, spelling, standards, currencies, results, orders],
    ids=lambda module: module.__name__.rpartition(".")[2],
)
def test_every_example_of_a_module_without_a_model_is_true(module):
    found = list(examples(Path(module.__file__)))
    assert found
    for expression, answer in found:
        assert eval(expression, {**vars(module), "is_word": is_word}) == ast.literal_eval(answer), expression


def test_a_module_without_a_model_imports_nothing_heavy():
    # Whatever a question is looked at with must be there at once.
    for module in (words, quantities, clauses, spelling, standards, currencies, results, orders):
        source = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        names = {
            (each.module if isinstance(each, ast.ImportFrom) else each.names[0].name).partition(".")[0]
            for each in source.body
            if isinstance(each, ast.Import | ast.ImportFrom)
        }
        assert not names & {"torch", "transformers", "babel", "dateutil", "numpy"}, module
    assert local.__doc__


# --- words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "together",
    [
        ("price", "prices"),
        ("city", "cities"),
        ("convert", "converted", "converting"),
        ("box", "boxes"),
        ("weakness", "weaknesses"),
    ],
)
def test_endings_do_not_count(together):
    assert len(set(map(words.stem, together))) == 1


@pytest.mark.parametrize("word", ["is", "as", "us", "need", "bus", "he", "red"])
def test_a_stem_keeps_three_letters(word):
    assert words.stem(word) == word


@pytest.mark.parametrize("name", ["getStockPrice", "get_stock_price", "get.stock-price", "Get_Stock_Price"])
def test_names_come_apart(name):
    assert words.as_words(name) == "get stock price"
    assert words.plain_words(name) == ["get", "stock", "price"]


def test_stems_are_those_of_content_words():
    assert words.stems("What are the prices of the two stocks in Zürich?") == [
        "pric",
        "two",
        "stock",
        "zürich",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What's up in St. Louis, U.S. today?", ["What", "up", "in", "St.", "Louis", "U.S.", "today"]),
        ("It's (really) 'hot'!", ["It", "really", "hot"]),
        ("Apple's stock.", ["Apple", "stock"]),
        ("Luigi's", ["Luigi's"]),
        ("$NVDA, 3,499.99 or 15:30?", ["$NVDA", "3,499.99", "or", "15:30"]),
        ("¿Qué tal?!", ["Qué", "tal"]),
        ("... !?", []),
        ("", []),
    ],
)
def test_words_without_their_punctuation(text, found):
    assert texts(text, words.word_spans(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("""say "hi" and 'it's me'""", ["hi", "it's me"]),
        ("“a b” ‘c’ `d`", ["a b", "c", "d"]),
        ("Luigi's and Mario's", []),
        ("don't say 'x'", ["x"]),
        ('a "b', []),
        ('""', []),
    ],
)
def test_quotations(text, found):
    assert texts(text, words.quotations(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("of [1, 2] please", [[1, 2]]),
        ("[[1, 2], [3, 4]]", [[[1, 2], [3, 4]]]),
        ("points (1,2), (3,4)", [[[1, 2], [3, 4]]]),
        ("(1, 2) and (3, 4)", [[[1, 2], [3, 4]]]),
        ("['a', 'b'] and [1.5]", [["a", "b"], [1.5]]),
        ("f(x, y) of [a, b], and [1, 2", []),
        # Python has more than JSON.
        ("[...] [1j] [b'a'] [{1, 2}] [1e999] [{'a': 1}]", []),
        ("", []),
    ],
)
def test_lists_that_are_written_as_such(text, found):
    assert [value for _, value in words.literals(text)] == found


def test_quotations_in_a_row_are_one_run():
    text = "'a', 'b' and \"c\", but not 'd'"
    runs = words.runs_of(text, words.quotations(text))
    assert [texts(text, run) for run in runs] == [["a", "b", "c"], ["d"]]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("ham, olives, and fresh basil", ["ham", "olives", "fresh basil"]),
        ("sand or Portland & 'x'; y", ["sand", "Portland", "x", "y"]),
        (" , ; ", []),
        ("", []),
    ],
)
def test_items_of_an_enumeration(text, items):
    assert words.listed(text) == items


def test_where_an_enumeration_may_begin():
    said = "I am calm, quite tidy and kind"
    assert [said[start:].split()[0] for start in words.item_starts(said)] == ["calm,", "quite", "kind"]


@given(TEXTS)
def test_what_is_found_stands_in_the_text(text):
    spans = [
        *words.word_spans(text),
        *words.quotations(text),
        *(each.span for each in quantities.quantities(text)),
    ]
    spans += (
        [span for span, _ in words.literals(text)] + standards.date_spans(text) + standards.time_spans(text)
    )
    spans += [span for span, _ in standards.currency_spans(text)]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    ends = [place for span in words.word_spans(text) for place in span]
    assert ends == sorted(ends)
    assert json.dumps([value for _, value in words.literals(text)], allow_nan=False)


@pytest.mark.parametrize(
    "letters", ["(", "[", "(,", "'", "A, ", "St. ", "and ", "1,", "five hundred ", "9", "$", "\n"]
)
def test_two_thousand_odd_characters_take_no_time(letters):
    text = (letters * 2000)[:2000]
    start = time.perf_counter()
    words.quotations(text), words.literals(text), words.word_spans(text), words.listed(text)
    quantities.quantities(text), clauses.pieces(text)
    standards.currency_spans(text), standards.dates(text), standards.time_spans(text)
    words.item_starts(text)
    orders.is_beyond(text, {"name": "get_x", "input_schema": {}}), orders.is_of_knowledge(text)
    spelling.mend(text, {"weather", "tomorrow"}, lambda _word: False)
    assert time.perf_counter() - start < 1


# --- numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5,000 Euros", [(5000, "euro")]),
        ("1,200.50 or .5 or 1e6", [(1200.5, None), (0.5, None), (1e6, None)]),
        ("10k USD and 5.5 million euros", [(10_000, "dollar"), (5.5e6, "euro")]),
        ("$5m, 5m, $ 40", [(5e6, "dollar"), (5, "metre"), (40, "dollar")]),
        ("3 dozen eggs", [(36, None)]),
        ("-5 degrees, −3 °C, +4", [(-5, "degree"), (-3, "celsius"), (4, None)]),
        ("5-7 days or 5 - 7 days", [(5, None), (7, "day"), (5, None), (7, "day")]),
        ("- 5 apples", [(5, None)]),
        ("2.5% or ten percent", [(2.5, "percent"), (10, "percent")]),
        ("70 kg, 1.8 m, 350 F", [(70, "kilogram"), (1.8, "metre"), (350, "fahrenheit")]),
        ("3 and a half hours", [(3.5, "hour")]),
        ("the 2nd of May", [(2, None)]),
        ("Track A1, v2, B2B", []),
        ("2024-08-11", [(2024, None), (8, None), (11, None)]),
        # in words
        ("half a million dollars", [(500_000, "dollar")]),
        ("half an hour", [(0.5, "hour")]),
        ("half a mind", []),
        ("two and a half days", [(2.5, "day")]),
        ("one hundred and twenty-three", [(123, None)]),
        ("four million three hundred thousand", [(4_300_000, None)]),
        ("a dozen, twice, the hundred", [(12, None), (2, None)]),
        ("two, three and four", [(2, None), (3, None), (4, None)]),
        ("two hundred and Rome", [(200, None)]),
        ("someone often", []),
        # times
        ("6:30", [(6, "hour"), (30, "minute")]),
        ("at 6:30, 5 p.m.", [(6, "clock"), (30, "clock"), (5, "clock")]),
        ("6:30 pm", [(6, "clock"), (30, "clock")]),
        ("next week, last 3 days", [(1, "week"), (3, "day")]),
        # a letter behind a number
        ("300K, 20k", [(300_000, "thousand"), (20_000, None)]),
        ("5 ft 10 in or 6'2\"", [(70, "inch"), (74, "inch")]),
        ("40.7° N, 74.5 W", [(40.7, "degree"), (-74.5, "degree")]),
        ("(33.9 S, 18.4 E)", [(-33.9, "degree"), (18.4, "degree")]),
        ("5 N and 10 kg, 6 W", [(5, "newton"), (10, "kilogram"), (6, "watt")]),
        # What no float holds is no number.
        ("1e999, " + "9" * 400 + ", one" + " hundred" * 200, []),
        ("", []),
    ],
)  # fmt: skip
def test_numbers_with_their_units(text, found):
    assert [(each.value, each.unit) for each in quantities.quantities(text)] == found


@given(st.integers(-(10**6), 10**6), st.sampled_from(["{}", "{:,}", "{}.5"]))
def test_a_number_is_read_as_it_is_written(number, form):
    written = form.format(number)
    (found,) = quantities.quantities(f"about {written} of them")
    assert found.value == float(written.replace(",", ""))


@given(TEXTS)
def test_numbers_are_finite_and_in_order(text):
    found = quantities.quantities(text)
    assert all(math.isfinite(each.value) for each in found)
    assert found == sorted(found, key=lambda each: each.span)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("12, 15 and 18", [[12, 15, 18]]),
        ("x = 3, y = -4", [[3, -4]]),
        ("3 cats and 4 dogs", [[3], [4]]),
        ("the 2nd, 3rd and 4th floor", [[2, 3, 4]]),
        ("none", []),
    ],
)
def test_numbers_in_a_row_are_one_run(text, found):
    runs = quantities.runs(text, quantities.quantities(text))
    assert [[each.value for each in run] for run in runs] == found


# --- clauses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hi! Is it raining?", ["Hi! ", "Is it raining?"]),
        ("Cairo, Nairobi or Mexico City?", ["Cairo, ", "Nairobi ", "or Mexico City?"]),
        ("Is Rome hotter than Oslo", ["Is Rome hotter ", "than Oslo"]),
        ("Rome vs. Oslo", ["Rome ", "vs. Oslo"]),
        ("Apple Inc. and Tesla", ["Apple Inc. ", "and Tesla"]),
        ("at 5 p.m. and at 6", ["at 5 p.m. ", "and at 6"]),
        ("Ford – now\nand Intel", ["Ford ", "– now\n", "and Intel"]),
        # Whole stay:
        ("1,000 km to St. Louis, to U.S. borders", ["1,000 km to St. Louis, ", "to U.S. borders"]),
        ("weather in Paris, Texas", ["weather in Paris, Texas"]),
        ("two and a half days", ["two and a half days"]),
        ("Say 'Hi, Tom! And bye' and go", ["Say 'Hi, Tom! And bye' ", "and go"]),
        ("Andorra, sand, orchid", ["Andorra, ", "sand, ", "orchid"]),
        ("and then?", ["and then?"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_where_a_question_comes_apart(text, parts):
    assert clauses.pieces(text) == parts


@given(TEXTS)
def test_the_pieces_are_the_whole_text(text):
    parts = clauses.pieces(text)
    assert len(parts) <= clauses.MOST
    assert all(part.strip() for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_the_last_piece_holds_the_rest():
    text = " and ".join("ABCDEFGHIJKL")
    parts = clauses.pieces(text)
    assert (len(parts), parts[0], parts[-1]) == (clauses.MOST, "A ", "and H and I and J and K and L")


@pytest.mark.parametrize(
    ("piece", "begins"),
    [
        ("and Vienna", True),
        (", and then Rome?", True),
        ("versus Rome", True),
        ("Android phones", False),
        ("Vienna", False),
        ("– now", False),
    ],
)
def test_the_word_that_joins(piece, begins):
    assert clauses.begins_item(piece) is begins


def test_joints_between_pieces():
    parts = ["The weather, ", "the time, ", "and a joke. ", "Rome ", "versus Oslo, ", "really"]
    assert [clauses.joint_of(parts, i) for i in range(1, len(parts))] == [
        "and",
        "and",
        "stop",
        "versus",
        "comma",
    ]
    assert [clauses.is_item(["Cairo, ", "Nairobi ", "or Rome"], i) for i in range(3)] == [False, True, True]


# --- spelling -----------------------------------------------------------------------------------------


def test_only_words_near_to_those_of_the_tools_are_mended():
    known = {"weather", "tomorrow", "price", "with", "day"}
    said = "Wether in Pairs tomorow, wiht the pirce of 3 dya? Whether!"
    assert spelling.mend(said, known, lambda word: word == "whether") == (
        "weather in Pairs tomorrow, wiht the price of 3 dya? Whether!"
    )


@given(TEXTS)
def test_mending_changes_nothing_but_words(text):
    mended = spelling.mend(text, {"weather", "texas"}, lambda _word: False)
    assert re.sub(LETTERS, "", mended) == re.sub(LETTERS, "", text)
    assert spelling.mend(text, {"weather", "texas"}, lambda _word: True) == text


@pytest.mark.parametrize(
    ("a", "b", "far"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "abc", 0),
        ("abc", "acb", 1),
        ("kitten", "sitting", 3),
        ("ca", "abc", 3),
    ],
)
def test_distance_between_words(a, b, far):
    assert spelling.distance(a, b) == spelling.distance(b, a) == far


# --- standards ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "wanted", "written"),
    [
        ("11th of August 2024", "YYYY-MM-DD", "2024-08-11"),
        ("8/11/2024", "YYYY-MM-DD", "2024-08-11"),
        ("8/11/2024", "MM/DD/YYYY", "08/11/2024"),
        ("8/11/2024", "DD/MM/YYYY", "08/11/2024"),
        ("2024/8/11", "YYYY-MM-DD", "2024-08-11"),
        ("2024 August 11th", "month-day-year", "08-11-2024"),
        ("2024-08-11", "DD.MM.YYYY", "11.08.2024"),
        ("1 Feb 2003", "DD/MM/YY", "01/02/03"),
        # What can't be read, or is not complete, stays.
        ("August 11", "YYYY-MM-DD", "August 11"),
        ("tomorrow", "YYYY-MM-DD", "tomorrow"),
        ("Feb 30 2024", "YYYY-MM-DD", "Feb 30 2024"),
        ("August 11, 2024", "any form", "August 11, 2024"),
        ("3:30 pm", "HH:MM", "15:30"),
        ("12 am", "HH:MM", "00:00"),
        ("12:15 p.m.", "HH:MM", "12:15"),
        ("8pm", "HH:MM", "20:00"),
        ("15.30", "HH:MM", "15:30"),
        ("Noon", "HH:MM", "12:00"),
        ("25:00", "HH:MM", "25:00"),
        ("later", "HH:MM", "later"),
        ("the Netherlands", "Country (ISO code)", "NL"),
        ("UK", "Country (ISO code)", "GB"),
        ("Atlantis", "Country (ISO code)", "Atlantis"),
        ("France", "The country", "France"),
        ("Swiss francs", "ISO code of the currency", "CHF"),
        ("doubloons", "ISO code of the currency", "doubloons"),
        ("Swiss francs", "The currency", "Swiss francs"),
        ("", "YYYY-MM-DD", ""),
    ],
)
def test_values_take_the_form_that_the_description_asks_for(said, wanted, written):
    assert standards.conform(said, f"In the form {wanted}") == written


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from Canadian dollars to Mexican pesos", {"Canadian dollars": "CAD", "Mexican pesos": "MXN"}),
        ("$20 in €", {"$": "USD", "€": "EUR"}),
        ("US$ 20 to C$", {"US$": "USD", "C$": "CAD"}),
        ("20 US dollars", {"US dollars": "USD"}),
        ("Try to tell us: what are all my USD, EUR?", {"USD": "USD", "EUR": "EUR"}),
        ("100 TRY", {"TRY": "TRY"}),
        ("All top cops", {}),
        ("some dinars", {}),
    ],
)
def test_where_currencies_stand(text, found):
    assert {text[slice(*span)]: code for span, code in standards.currency_spans(text)} == found


def test_where_dates_and_times_stand():
    said = "on August 11, 2024, 8/11/2024, 11th of August 2024 and 2024-08-11, not in may 5"
    assert texts(said, standards.date_spans(said)) == [
        "August 11, 2024",
        "8/11/2024",
        "11th of August 2024",
        "2024-08-11",
    ]
    said = "2024/8/11, 2024 August 11th or 2024.8.11"
    assert texts(said, standards.date_spans(said)) == ["2024/8/11", "2024 August 11th", "2024.8.11"]
    said = "15:30, 3:30 pm, 8pm, noon, at 5 on 11.08.2024"
    assert texts(said, standards.time_spans(said)) == ["15:30", "3:30 pm", "8pm", "noon"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from April 3rd to April 5th, 2023", ["April 3rd, 2023", "April 5th, 2023"]),
        ("2023 April 4th until the 8th of April", ["2023 April 4th", "8th of April, 2023"]),
        ("May 1, 2023 and May 2, 2024", ["May 1, 2023", "May 2, 2024"]),
        ("May 1, and on May 2, 2024", ["May 2, 2024"]),
        ("from May 1 to May 2", []),
    ],
)
def test_the_ends_of_a_period_share_its_year(text, found):
    assert [said for _, said in standards.dates(text)] == found


# --- currencies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("usd", "USD"), ("U.S. Dollars", "USD"), ("the buck", "USD"), ("$", "USD"), ("dollars", "USD"),
        ("euros", "EUR"), ("€", "EUR"), ("quid", "GBP"), ("pounds sterling", "GBP"), ("£", "GBP"),
        ("yen", "JPY"), ("zł", "PLN"), ("złoty", "PLN"), ("kč", "CZK"), ("Reais", "BRL"), ("Rs.", "INR"),
        ("Swedish kronor", "SEK"), ("Danish krone", "DKK"), ("USD ($)", "USD"), ("THB - Thai baht", "THB"),
        ("Kuwaiti dinars", "KWD"), ("Turkish lira", "TRY"),
    ],
)  # fmt: skip
def test_currencies_by_name_sign_slang_and_code(text, code):
    assert currencies.codes(text) == {code}


@pytest.mark.parametrize("text", ["", "bitcoin", "btc", "DEM", "Paris", "EUR and USD", "hundred"])
def test_what_is_no_currency(text):
    assert currencies.codes(text) == set()


def test_a_shared_name_stays_a_question():
    assert currencies.codes("krone") == {"DKK", "NOK"}
    assert currencies.codes("Dinars") == currencies.codes("dinar")


def test_each_name_of_slang_means_a_currency_of_today():
    for code, names in currencies.MEANT.items():
        assert currencies.codes(code) == {code}
        assert all(currencies.codes(name) == {code} for name in names.split(",")), code
