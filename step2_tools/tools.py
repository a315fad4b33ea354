"""The four tools of the assistant, on the real services or on recorded answers.

    tools = build(offline=True)
    [tool.name for tool in tools]     ['get_weather', 'get_stock_price', 'convert_currency', 'get_time']
    tools[0].call({"city": "Bangkok"})

All four share one client: one pool of connections, one cache. Another tool is one more function in `build`.
"""

from __future__ import annotations

from shared.config import Settings, load_settings
from step2_tools import replay
from step2_tools.alphavantage import AlphaVantage
from step2_tools.clock import Clock
from step2_tools.currency import Currency
from step2_tools.http import Api
from step2_tools.stocks import Provider, Stocks
from step2_tools.tool import FunctionTool
from step2_tools.weather import Weather
from step2_tools.yahoo import Yahoo


def build(offline: bool = False, settings: Settings | None = None) -> list[FunctionTool]:
    """Weather, stock, currency, time. `offline` answers from step2_tools/recorded/ and says so each time."""
    if offline:
        api = Api(transport=replay.transport(), recorded=replay.recorded_on())
    else:
        api = Api((settings or load_settings()).cache_dir / "http")
    return [
        FunctionTool(Weather(api).get_weather),
        FunctionTool(Stocks(provider(api, settings or load_settings()), api.recorded).get_stock_price),
        FunctionTool(Currency(api).convert_currency),
        FunctionTool(Clock(api).get_time),
    ]


def provider(api: Api, settings: Settings) -> Provider:
    """Alpha Vantage if there is a key for it, else Yahoo; recorded answers are Yahoo's."""
    key = settings.alphavantage_api_key
    return AlphaVantage(api, key.get_secret_value()) if key and not api.recorded else Yahoo(api)
