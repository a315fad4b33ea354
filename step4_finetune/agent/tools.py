"""The tools of one conversation: under names that vary, so that the model reads them."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.office import ASK, TOOLS, ToolText
from step4_finetune.agent.facts import read_frames

OWN_NAMES = 0.4  # share of conversations with the tools' own names


@dataclass(frozen=True)
class OfferedTool:
    """A tool under one conversation's names."""

    text: ToolText
    parameters: Mapping[str, str]  # the tool's own name of each, and its name here


@dataclass(frozen=True)
class Offer:
    """The tools of one conversation, by their own names."""

    tools: Mapping[str, OfferedTool]

    def definitions(self) -> list[dict[str, Any]]:
        """As the Messages API takes them."""
        return [tool.text.definition() for tool in self.tools.values()]

    def has(self, *names: str) -> bool:
        """Whether all these are offered."""
        return all(name in self.tools for name in names)

    def use(self, name: str, arguments: Mapping[str, Any], number: int) -> dict[str, Any]:
        """A call as the model writes it, under the names of this conversation."""
        tool = self.tools[name]
        given = {tool.parameters[own]: value for own, value in arguments.items()}
        return {"type": "tool_use", "id": f"toolu_{number}", "name": tool.text.name, "input": given}


def offer(chance: random.Random) -> Offer:
    """The documents' tool and some or all of the others, in the tools' own words or in others."""
    own = chance.random() < OWN_NAMES
    names = list(TOOLS)
    if chance.random() < 0.35:
        others = [name for name in names if name != ASK]
        chosen = chance.sample(others, chance.randrange(2, len(others)))
        names = [name for name in names if name == ASK or name in chosen]
    if chance.random() < 0.3:
        chance.shuffle(names)
    return Offer({name: _worded(name, own, chance) for name in names})


def _worded(name: str, own: bool, chance: random.Random) -> OfferedTool:
    tool = TOOLS[name]
    if own:
        return OfferedTool(tool, {parameter: parameter for parameter in tool.parameters})
    words = read_frames()["tools"][name]
    shown = {}
    for parameter in tool.parameters:
        shown[parameter] = chance.choice([parameter, *words["parameters"][parameter]])
    parameters = {shown[own_name]: parameter for own_name, parameter in tool.parameters.items()}
    text = ToolText(
        chance.choice([name, *words["names"]]), chance.choice([tool.about, *words["about"]]), parameters
    )
    return OfferedTool(text, shown)
