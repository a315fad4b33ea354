"""The four tools of the assistant, on the real services or on sample data.

    tools = build(offline=True)
    [tool.name for tool in tools]     ['get_weather', 'get_stock_price', 'convert_currency', 'get_time']
    tools[0].call({"city": "Bangkok"})

All four share one client: one pool of connections, one cache. Another tool is one more function in `build`.
"""

from __future__ import annotations

from pathlib import Path

from shared.config import Settings, load_settings
from step2_tools.agent.approval import Ask, NeedsApproval
from step2_tools.agent.tool import FunctionTool
from step2_tools.tools import samples
from step2_tools.tools.alert import Alerts
from step2_tools.tools.alphavantage import AlphaVantage
from step2_tools.tools.clock import Clock
from step2_tools.tools.currency import Currency
from step2_tools.tools.http import Api
from step2_tools.tools.stocks import Provider, Stocks
from step2_tools.tools.weather import Weather
from step2_tools.tools.yahoo import Yahoo


def build(offline: bool = False, settings: Settings | None = None) -> list[FunctionTool]:
    """Weather, stock, currency, time. `offline`: from the sample data in samples/, which each result says."""
    if offline:
        api = Api(transport=samples.transport(), sample_date=samples.sample_date())
    else:
        api = Api((settings or load_settings()).cache_dir / "http")
    return [
        FunctionTool(Weather(api).get_weather),
        FunctionTool(Stocks(provider(api, settings or load_settings()), api.sample_date).get_stock_price),
        FunctionTool(Currency(api).convert_currency),
        FunctionTool(Clock(api).get_time),
    ]


def alert(path: Path, ask: Ask) -> NeedsApproval:
    """The tool with an effect: it saves price alerts in this file, each after a yes."""
    return NeedsApproval(FunctionTool(Alerts(path).create_price_alert), ask)


def provider(api: Api, settings: Settings) -> Provider:
    """Alpha Vantage if there is a key for it, else Yahoo; the sample data is Yahoo's."""
    key = settings.alphavantage_api_key
    return AlphaVantage(api, key.get_secret_value()) if key and not api.sample_date else Yahoo(api)
