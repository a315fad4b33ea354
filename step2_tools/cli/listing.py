"""`tools`: what the model is given, for people to read.

$ python -m step2_tools tools
get_weather(city, unit?, day?)
  Get the weather in a city, now or on one of the next days: temperature, rain, ...
  ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from step2_tools.tools import build

if TYPE_CHECKING:
    from rich.console import Console


def tools() -> dict[str, Any]:
    """The definitions as they go into a request."""
    definitions = [tool.to_dict() for tool in build(offline=True)]
    return {
        "command": "step2_tools tools",
        "headline": ", ".join(each["name"] for each in definitions),
        "tools": definitions,
    }


def show_tools(facts: dict[str, Any], console: Console) -> None:
    """Signature, description, and what each argument takes."""
    for tool in facts["tools"]:
        schema = tool["input_schema"]
        required = schema.get("required", [])
        names = [name if name in required else f"{name}?" for name in schema["properties"]]
        console.print(f"{tool['name']}({', '.join(names)})", style="bold", soft_wrap=True)
        console.print(f"  {' '.join(tool['description'].split())}", soft_wrap=True)
        for name, each in schema["properties"].items():
            kind = " | ".join(map(str, each["enum"])) if "enum" in each else each.get("type", "any")
            default = f", default {each['default']}" if "default" in each else ""
            console.print(
                f"    {name}: {kind}{default}. {each.get('description', '')}", style="dim", soft_wrap=True
            )
        console.print()
