"""The text engine that the settings name, loaded once per process."""

from __future__ import annotations

import threading

from shared.config import Settings
from shared.embedded.engine import Engine
from shared.models import weights

_engines: dict[tuple[str, ...], Engine] = {}
_loading = threading.Lock()


def load_engine(settings: Settings) -> Engine:
    """The engine of `settings.engine`, loaded once for each model, dtype and device.

    `auto` is transformers: only there does the adapter that calls tools stand beside the model.

    Raises:
        UserError: the model can't be had, or not by this engine.
    """
    name = "transformers" if settings.engine == "auto" else settings.engine
    with _loading:
        folder = weights.ensure(settings.model, settings)
        key = (name, str(folder), settings.dtype, settings.device, str(settings.tools_adapter))
        if key not in _engines:
            if name == "llamacpp":
                from shared.embedded.on_llamacpp import LlamaCppEngine

                _engines[key] = LlamaCppEngine.load(folder, settings)
            else:
                from shared.embedded.on_transformers import TransformersEngine

                _engines[key] = TransformersEngine.load(settings)
        return _engines[key]
