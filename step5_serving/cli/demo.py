"""`demo`: the service started, asked, looked at, and stopped."""

from __future__ import annotations

from shared.cli import Json, Model, Out, Smoke, emit, new_app, settings_from_flags

app = new_app("The service in a minute.")


@app.command()
def demo(model: Model = None, out: Out = None, smoke: Smoke = False, as_json: Json = False) -> None:
    """Start the service, ask it twenty questions, show its telemetry and a picture of it, stop."""
    from step5_serving.cli import demo_run as lesson

    facts = lesson.run(settings_from_flags(smoke, model=model), smoke, out)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)
