"""The model in a process of its own: it loads while the service does, and writes while the service works.

    backend.py     its side in the service: an answer as shared/embedded/backend.py gives it
    __main__.py    the process: python -m step5_serving.engines.process
    words.py       what they say to each other

An interpreter runs one thread of Python at a time. In one process, importing what the model needs (torch,
three seconds) waits for importing what the service needs, and later each token for whatever an answer before
or behind it does. vLLM has an engine process for the same reasons.
"""
