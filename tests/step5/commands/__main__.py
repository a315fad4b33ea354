"""The commands that measure, as a package of their own: step5_serving's main has others beside them."""

from step5_serving.cli.bench import app  # noqa: F401
