"""Code that all steps use: settings, models, the chat client, the embedded model, reports."""

__version__ = "0.2.0"
