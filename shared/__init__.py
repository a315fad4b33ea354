"""Code that all steps use: settings, models, the chat client, the embedded model, reports."""

from shared.installed import require_libraries

__version__ = "0.2.0"

require_libraries()
