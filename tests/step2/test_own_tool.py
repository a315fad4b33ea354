"""The tool of chapter 5: called by the loop, with an error that a model can mend."""

from step2_tools import own_tool
from tests.scripted import ScriptedMessages


def test_the_tool_is_called_and_its_error_names_what_is_known(monkeypatch, capsys):
    api = ScriptedMessages()
    monkeypatch.setattr(own_tool, "chat_client", lambda _model: api.client)
    api.enqueue(tool_uses=[("find_office", {"name": "Bob"})])
    api.enqueue(tool_uses=[("find_office", {"name": "ada"})])
    api.enqueue("Room 214.")
    own_tool.main("Where is Ada's office?")
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].endswith("there is no colleague 'Bob': known are Ada, Grace, Linus")
    assert '"room": 214' in shown[1]
    assert shown[2] == "Room 214."
