"""The roadmap's project on one page: a weather tool, the tool loop, an answer.

    python -m step2_tools.minimal "Is it warm in Bangkok?"             the embedded model, no key
    python -m step2_tools.minimal --claude "Is it warm in Bangkok?"    Claude, with ANTHROPIC_API_KEY

The model only writes the tool's name and the arguments; this file runs the tool and sends back the result.
"""

from typing import Annotated, Any

import httpx2
import typer

from shared.chat.client import chat_client
from shared.config import load_settings
from shared.launch import run_main

GEOCODER = "https://geocoding-api.open-meteo.com/v1/search"
FORECAST = "https://api.open-meteo.com/v1/forecast"
TOOL: Any = {
    "name": "get_weather",
    "description": "Get the current weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Name of the city, e.g. Bangkok."}},
        "required": ["city"],
    },
}


def get_weather(city: str) -> str:
    """Temperature and wind in a city now, by Open-Meteo.com (no key)."""
    places = httpx2.get(GEOCODER, params={"name": city, "count": 1}).raise_for_status().json()
    place = places["results"][0]
    params = {"latitude": place["latitude"], "longitude": place["longitude"]}
    params["current"] = "temperature_2m,wind_speed_10m"
    now = httpx2.get(FORECAST, params=params).raise_for_status().json()["current"]
    # A sentence, because a small model misreads a list of fields: it made 31 °C and 9 km/h "31 to 9 degrees".
    return f"In {place['name']} it is {now['temperature_2m']} °C now, wind {now['wind_speed_10m']} km/h."


def answer(question: str, model: str) -> str:
    """Ask, run the model's calls and send it their results until it answers; at most five turns."""
    client = chat_client(model)
    messages: list[Any] = [{"role": "user", "content": question}]
    text = ""
    for _ in range(5):
        reply = client.messages.create(model=model, max_tokens=300, tools=[TOOL], messages=messages)
        text = "".join(block.text for block in reply.content if block.type == "text")
        if reply.stop_reason != "tool_use":
            break
        messages.append({"role": "assistant", "content": [block.to_dict() for block in reply.content]})
        results = [run_call(block) for block in reply.content if block.type == "tool_use"]
        messages.append({"role": "user", "content": results})
    return text


def run_call(call: Any) -> dict[str, Any]:
    """Run one call. The model also gets errors, so that it can correct its arguments."""
    result: dict[str, Any] = {"type": "tool_result", "tool_use_id": call.id}
    try:
        return result | {"content": get_weather(**call.input)}
    except (httpx2.HTTPError, KeyError, IndexError, TypeError) as error:
        return result | {"content": f"no weather for {call.input}: {error!r}", "is_error": True}


def main(
    question: Annotated[str, typer.Argument()] = "Is it warm in Bangkok?",
    claude: Annotated[bool, typer.Option("--claude", help="Ask Claude (ANTHROPIC_API_KEY).")] = False,
) -> None:
    """Answer a question about the weather."""
    settings = load_settings()
    print(answer(question, settings.claude_model if claude else settings.model))


if __name__ == "__main__":
    run_main(main, "python -m step2_tools.minimal")
