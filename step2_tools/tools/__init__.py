"""The four tools of the assistant, on the real services or on sample data.

    tools = build(offline=True)
    [tool.name for tool in tools]     ['get_weather', 'get_stock_price', 'convert_currency', 'get_time']
    tools[0].call({"city": "Bangkok"})

All four share one client and its connection pool. To add a tool, add a function to `build`.
"""

from pathlib import Path

from step2_tools.agent.approval import Ask, NeedsApproval
from step2_tools.agent.tool import FunctionTool
from step2_tools.tools import samples
from step2_tools.tools.alert import Alerts
from step2_tools.tools.clock import Clock
from step2_tools.tools.currency import Currency
from step2_tools.tools.http import Api
from step2_tools.tools.stocks import DIRECTIONS, Stocks
from step2_tools.tools.weather import SKY_WORDS, Weather


def build(offline: bool = False) -> list[FunctionTool]:
    """Weather, stock, currency and time. `offline`: with the sample data in samples/; each result says so."""
    api = Api(transport=samples.transport(), sample_date=samples.sample_date()) if offline else Api()
    return [
        FunctionTool(Weather(api).get_weather, words=SKY_WORDS),
        FunctionTool(Stocks(api).get_stock_price, words=DIRECTIONS),
        FunctionTool(Currency(api).convert_currency),
        FunctionTool(Clock(api).get_time),
    ]


def alert(path: Path, ask: Ask) -> NeedsApproval:
    """The tool that saves price alerts to this file; each call needs the user's approval."""
    return NeedsApproval(FunctionTool(Alerts(path).create_price_alert), ask)
