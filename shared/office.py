"""The office that an agent works in: tools that read, and two that change something.

    >>> office = Office()
    >>> office.run("calculate", {"expression": "12 * 1,250"})
    '12 * 1250 = 15000'
    >>> office.run("create_ticket", {"title": "Replace valve 7"})
    'Ticket 1 is open: Replace valve 7'
    >>> office.tickets
    [Ticket(title='Replace valve 7')]

Nothing leaves the machine: a ticket is a row in a list, and a draft is sent to nobody. So a test can compare
the state before and after. Step 3's agent uses these tools, and step 4 trains a model on them.

The tool that asks the documents stands here by its definition only; step 3 answers it. The rates are made up.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal, DecimalException
from typing import Any

from shared.errors import UserError

ASK = "ask_documents"
CHANGING = ("create_ticket", "send_draft")  # these need the user's approval
TODAY = date(2026, 5, 18)  # a Monday; fixed, so that a task has the same outcome every day
RATES = {  # of one euro; sample data
    "EUR": Decimal(1),
    "USD": Decimal("1.10"),
    "GBP": Decimal("0.85"),
    "CHF": Decimal("0.95"),
    "SEK": Decimal("11.20"),
    "PLN": Decimal("4.30"),
    "JPY": Decimal(165),
    "DKK": Decimal("7.45"),
    "CZK": Decimal("25.20"),
    "NOK": Decimal("11.60"),
}
LONGEST = 200  # characters of an expression
MOST_DAYS = 2000


@dataclass(frozen=True)
class Parameter:
    """One parameter of a tool."""

    type: str  # of JSON schema: string, number or integer
    about: str
    required: bool = True


@dataclass(frozen=True)
class ToolText:
    """What a model reads of a tool."""

    name: str
    about: str
    parameters: Mapping[str, Parameter]

    def definition(self) -> dict[str, Any]:
        """As the Messages API takes it."""
        properties = {}
        for name, parameter in self.parameters.items():
            properties[name] = {"type": parameter.type, "description": parameter.about}
        required = [name for name, parameter in self.parameters.items() if parameter.required]
        schema = {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }
        return {"name": self.name, "description": self.about, "input_schema": schema}


def _tool(name: str, about: str, **parameters: Parameter) -> ToolText:
    return ToolText(name, about, parameters)


TOOLS = {
    tool.name: tool
    for tool in (
        _tool(
            ASK,
            "Look something up in the company's documents: contracts, rules, products, people, prices.",
            question=Parameter("string", "Leave it out to ask in the user's own words.", required=False),
        ),
        _tool("calculate", "Do arithmetic.", expression=Parameter("string", "Such as 12 * 80.5.")),
        _tool(
            "convert_currency",
            "Convert an amount of money.",
            amount=Parameter("number", "How much."),
            source=Parameter("string", "Its currency, such as EUR."),
            target=Parameter("string", "The currency that is wanted."),
        ),
        _tool("today", "Today's date."),
        _tool(
            "add_working_days",
            "The date some working days after a date.",
            start=Parameter("string", "YYYY-MM-DD."),
            days=Parameter("integer", "How many."),
        ),
        _tool("create_ticket", "Open a ticket.", title=Parameter("string", "What is to be done.")),
        _tool(
            "send_draft",
            "Send a message.",
            to=Parameter("string", "Who gets it."),
            text=Parameter("string", "The message."),
        ),
    )
}


@dataclass(frozen=True)
class Ticket:
    """An open ticket."""

    title: str


@dataclass(frozen=True)
class Draft:
    """A message that was sent."""

    to: str
    text: str


@dataclass
class Office:
    """The state, and the tools on it."""

    tickets: list[Ticket] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """The result of a tool, under its own name and those of its parameters.

        Raises:
            UserError: there is no such tool, an argument is missing or unknown, or a value is not allowed.
        """
        tools: dict[str, Callable[..., str]] = {
            "calculate": calculate,
            "convert_currency": convert_currency,
            "today": today,
            "add_working_days": add_working_days,
            "create_ticket": self._create_ticket,
            "send_draft": self._send_draft,
        }
        if name not in tools:
            raise UserError(f"there is no tool {name[:40]!r}")
        parameters = TOOLS[name].parameters
        for given in arguments:
            if given not in parameters:
                raise UserError(f"{given[:40]!r} is not an argument of {name}")
        for needed in parameters:
            if needed not in arguments:
                raise UserError(f"{needed} is missing")
        return tools[name](**arguments)

    def _create_ticket(self, title: str) -> str:
        self.tickets.append(Ticket(str(title)))
        return f"Ticket {len(self.tickets)} is open: {title}"

    def _send_draft(self, to: str, text: str) -> str:
        self.drafts.append(Draft(str(to), str(text)))
        return f"Message {len(self.drafts)} is sent to {to}."


def calculate(expression: str) -> str:
    """The expression and its value: `12 * 1250 = 15000`.

    Raises:
        UserError: it is no arithmetic of + - * / and parentheses, or can't be computed.
    """
    plain = str(expression).replace(",", "").replace("×", "*").strip()
    if len(plain) > LONGEST:
        raise UserError(f"the expression is longer than {LONGEST} characters")
    try:
        value = _value(ast.parse(plain, mode="eval").body)
    except (SyntaxError, DecimalException, RecursionError, ValueError):
        raise UserError(f"{plain[:60]} can't be computed: use numbers, + - * / and parentheses") from None
    return f"{plain} = {number(value)}"


OPERATORS: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _value(node: ast.expr) -> Decimal:
    """The value of an expression.

    Raises:
        ValueError: it has something other than numbers and the four operators.
        DecimalException: it divides by zero, for example.
    """
    match node:
        case ast.Constant(value=int() | float()):
            return Decimal(str(node.value))
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand)
        case ast.BinOp() if type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    raise ValueError


def number(value: Decimal) -> str:
    """A number with at most two decimals, without zeros at its end.

    >>> number(Decimal("1250.50"))
    '1250.5'
    """
    return f"{value:.2f}".rstrip("0").rstrip(".")


def convert_currency(amount: float, source: str, target: str) -> str:
    """An amount in another currency: `100 EUR = 110 USD`.

    Raises:
        UserError: a currency is unknown, or the amount is no number.
    """
    codes = []
    for code in (source, target):
        codes.append(str(code).strip().upper())
        if codes[-1] not in RATES:
            raise UserError(f"{code[:20]!r} is not known: use {', '.join(RATES)}")
    try:
        value = Decimal(str(amount))
        converted = value / RATES[codes[0]] * RATES[codes[1]]
        return f"{number(value)} {codes[0]} = {number(converted)} {codes[1]}"
    except DecimalException:
        raise UserError(f"{str(amount)[:20]} is not an amount") from None


def today() -> str:
    """Today's date, with its weekday."""
    return _with_weekday(TODAY)


def add_working_days(start: str, days: int) -> str:
    """The date some working days (Monday to Friday) after another.

    Raises:
        UserError: the date has another form, or there are too many days.
    """
    try:
        day = date.fromisoformat(str(start).strip())
        count = int(days)
    except ValueError:
        raise UserError(f"{str(start)[:20]!r} is not a date: use YYYY-MM-DD") from None
    if abs(count) > MOST_DAYS:
        raise UserError(f"days must be {MOST_DAYS} at most")
    step = timedelta(days=1 if count >= 0 else -1)
    left = abs(count)
    while left:
        day += step
        if day.weekday() < 5:
            left -= 1
    return _with_weekday(day)


def _with_weekday(day: date) -> str:
    return f"{day.isoformat()}, a {day:%A}"
