"""`demo`: the service started, asked, looked at, and stopped."""

from __future__ import annotations

from shared.cli import Json, Model, Out, Smoke, deliver, new_app, settings_of

app = new_app("The service in a minute.")


@app.command()
def demo(model: Model = None, out: Out = None, smoke: Smoke = False, as_json: Json = False) -> None:
    """Start the service, ask it twenty questions, show its telemetry and a picture of it, stop."""
    from step5_serving import demo as lesson

    facts = lesson.run(settings_of(smoke, model=model), smoke, out)
    deliver(facts, lambda console: lesson.show(facts, console), as_json=as_json)
