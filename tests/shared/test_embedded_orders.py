"""What a tool that looks things up is not called for."""

import pytest

from shared.embedded.orders import is_beyond, is_of_knowledge, is_statement

STOCK = {
    "name": "get_stock_price",
    "description": "Get the latest price of a company's stock.",
    "input_schema": {"properties": {"symbol": {"type": "string"}}},
}
MONEY = {
    "name": "convert_currency",
    "description": "Convert an amount of money.",
    "input_schema": {"properties": {"amount": {}, "from_currency": {}, "to_currency": {}}},
}
BUY = {"name": "buy_stock", "description": "Buy a stock.", "input_schema": {"properties": {}}}
HISTORY = {"name": "get_rates", "description": "Historical rates.", "input_schema": {"properties": {}}}


@pytest.mark.parametrize(
    "order",
    [
        "Buy me 20 shares of Apple",
        "please, sell my Tesla stock",
        "Can you buy Apple?",
        "And then order some IBM",
        "OK, now transfer 20 dollars",
    ],
)
def test_orders_are_beyond_what_looks_things_up(order):
    assert is_beyond(order, STOCK)
    assert not is_beyond(order, BUY)  # acting is its business


@pytest.mark.parametrize(
    "question",
    [
        "What is Apple at? Should I buy?",
        "Best Buy stock",
        "Show me the price of Bookings",
        "Make sure to tell me the price of Apple",
        "Open price of Apple?",
        "How's IBM?",
        "",
    ],
)
def test_questions_are_no_orders(question):
    assert not is_beyond(question, STOCK)


def test_a_verb_of_the_tool_itself_is_no_order():
    tool = {"name": "find_book", "description": "Find a book to read.", "input_schema": {}}
    assert not is_beyond("Book about Rome", tool)
    assert is_beyond("Book about Rome", STOCK)
    assert not is_beyond("Turn 5 dollars into euros", MONEY)


@pytest.mark.parametrize(
    "past",
    [
        "price of Apple yesterday",
        "Apple last Friday",
        "IBM two days ago",
        "Apple in 1999?",
        "in 2008 how was IBM",
    ],
)
def test_the_past_is_beyond_what_knows_the_present(past):
    assert is_beyond(past, STOCK)
    assert not is_beyond(past, HISTORY)


@pytest.mark.parametrize(
    "now",
    [
        "Is Apple up since yesterday?",
        "What's it worth now, compared to last year?",
        "IBM on Friday",
        "How many euros in 1500 dollars?",
        "1900 dollars in 1200.50 euros",
    ],
)
def test_what_is_compared_with_the_past_is_present(now):
    assert not is_beyond(now, MONEY)


@pytest.mark.parametrize(
    "text",
    [
        "Why is the sky blue?",
        "Explain rain",
        "Please, can you define inflation?",
        "What does GDP stand for?",
        "How do clouds form",
        "Who founded Apple?",
        "What's the difference between snow and ice?",
        "Tell me a joke",
        "Write a poem about Rome",
        "When was Rome founded?",
        "Do you like rain?",
    ],
)
def test_what_no_tool_looks_up(text):
    assert is_of_knowledge(text)


@pytest.mark.parametrize(
    "text",
    [
        "What's the weather in Rome?",
        "Tell me the time",
        "When is it noon in Rome?",
        "How much is IBM?",
        "Rain?",
        "",
    ],
)
def test_what_tools_look_up(text):
    assert not is_of_knowledge(text)


def test_who_did_it_is_the_business_of_a_tool_of_such_words():
    finder = {"name": "who", "description": "Get the discoverer of an element.", "input_schema": {}}
    assert not is_of_knowledge("Who discovered radium?", finder)
    assert is_of_knowledge("Who painted this?", finder)


@pytest.mark.parametrize(
    "text", ["I'm flying to Oslo on Friday.", "Hello, I am Bob", "My dad is old.", "we’re here"]
)
def test_statements(text):
    assert is_statement(text)


@pytest.mark.parametrize(
    "text",
    [
        "I want the weather",
        "We are here?",
        "I wonder how warm it is",
        "Ian is in Oslo",
        "Mythical",
        "Rome",
        "",
    ],
)
def test_requests_and_the_rest_are_no_statements(text):
    assert not is_statement(text)
