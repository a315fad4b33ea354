"""Answers one question.

$ python -m step2_tools "What is the weather in Bangkok?"
In Bangkok, Thailand it is 31 °C now, partly cloudy; wind 8 km/h.
2 turns, 1 tool call; 812 tokens in, 57 out; price unknown; 1.9 s
"""

from shared.config import Settings
from step2_tools.cli.assistant import AskReport, Options, assistant
from step2_tools.cli.screen import Screen


def answer_question(settings: Settings, options: Options, question: str, screen: Screen) -> AskReport:
    """Set up an assistant for one question, and answer it; `screen` shows the messages meanwhile.

    Raises:
        UserError: as `assistant` and `Assistant.ask`.
    """
    with assistant(settings, options) as ready:
        return ready.ask(ready.examples, question, screen.message)
