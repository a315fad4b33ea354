"""The price alert: the only tool with an effect, so it needs the user's approval (agent/approval.py).

    $ python -m step2_tools "Alert me when Apple is above 250 dollars" --alerts alerts.jsonl
    create_price_alert({"symbol": "AAPL", "direction": "above", "price": 250}): run it? [y/N] y

    {"created": "2026-11-28T11:20:00+00:00", "symbol": "AAPL", "direction": "above", "price": 250.0}

An alert is a line in a file. Nothing watches the prices: another program would have to read the file.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from anthropic.lib.tools import ToolError

from step2_tools.agent.tool import result, sanitize
from step2_tools.tools.stocks import SYMBOL


class Alerts:
    """The file of alerts; the method is the tool."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create_price_alert(self, symbol: str, direction: Literal["above", "below"], price: float) -> str:
        """Create an alert for when a stock's price rises above or falls below a limit. Only when asked for.

        Args:
            symbol: Ticker symbol, e.g. AAPL.
            direction: Whether to alert above or below the price.
            price: The limit, in the currency that the stock trades in.

        Raises:
            ToolError: no such symbol or price, or the file can't be written.
        """
        if not SYMBOL.fullmatch(symbol):
            raise ToolError(
                f"symbol = {sanitize(symbol, 40)!r} is not allowed: it must be a ticker symbol (AAPL)"
            )
        if price <= 0:
            raise ToolError(f"price = {price:g} is not allowed: it must be above 0")
        created = datetime.now(UTC).isoformat(timespec="seconds")
        alert = {"created": created, "symbol": symbol, "direction": direction, "price": price}
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(alert) + "\n")
        except OSError:
            raise ToolError("the alert could not be saved: its file cannot be written") from None
        return result(f"An alert for {symbol} {direction} {price:g} is saved.", alert, "the file of alerts")
