"""Services that answer what a test says, under the real client: `service(...)` gives (api, requests seen)."""

import json

import httpx2
import pytest
from anthropic.lib.tools import ToolError

from step2_tools.tools.http import Api


def service(*answers, **options):
    """An Api whose transport gives these answers one by one, the last one for ever.

    An answer is a Response, an exception to raise, a JSON value, or a function of the request.
    """
    seen, queue = [], list(answers)

    def handle(request):
        seen.append(request)
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx2.Response) else httpx2.Response(200, json=answer)

    options.setdefault("sleep", lambda seconds: None)
    return Api(transport=httpx2.MockTransport(handle), **options), seen


def refusal(function, *args, **kwargs):
    """The one line with which the call is refused; it never tells how the inside looks."""
    with pytest.raises(ToolError) as error:
        function(*args, **kwargs)
    line = str(error.value)
    for inside in ("\n", "Traceback", "https://", "site-packages", "httpx", "pydantic", "Error("):
        assert inside not in line, line
    assert 10 < len(line) < 500
    return line


def facts(text):
    """A tool's result as a dict, after a look at what every result must have."""
    result = json.loads(text)
    assert next(iter(result)) == "summary"
    assert result["summary"].endswith(".")
    assert result["source"]
    return result


WEATHER = {"tool_uses": [("get_weather", {"city": "Bangkok"})]}  # a reply of the model
