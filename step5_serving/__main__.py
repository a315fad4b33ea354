"""Step 5: step 3 as a service that can be operated: telemetry from the first call, batching, scale-out.

    python -m step5_serving serve                          http://127.0.0.1:8000, a page to ask, a dashboard
    python -m step5_serving telemetry summary              what happened: calls, latency, tokens, cost
    python -m step5_serving bench                          engines side by side, at several loads

Heavy libraries are imported inside the commands, so that --help answers at once.

exit 0    it worked
exit 1    a replayed answer differs, or a report found something worse
exit 2    something the user can put right
"""

from shared.cli import new_app
from shared.launch import run
from step5_serving.cli import bench as commands_bench
from step5_serving.cli import demo as commands_demo
from step5_serving.cli import serve as commands_serve
from step5_serving.cli import telemetry as commands_telemetry

app = new_app("Step 5: serving and operations. Step 3 as a service, with telemetry from the first call.")
for each in (commands_serve, commands_demo, commands_telemetry, commands_bench):
    app.add_typer(each.app)


if __name__ == "__main__":
    run(app, "python -m step5_serving")
