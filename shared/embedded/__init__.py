"""SmolLM2 in this process, behind an HTTP transport that speaks the Messages API.

From a request to a token, in the order in which to read the files; `Backend.answer` is the heart of it:

    transport.py         the SDK's HTTP request               -> the body's bytes
    endpoint.py          the body's bytes                     -> a MessagesRequest; an Answer -> events
    wire.py              which requests are valid: the types MessagesRequest, Message, ToolDefinition ...
    backend.py           a MessagesRequest                    -> an Answer: tool calls, or a text
    prompt.py            messages and tools                   -> turns -> the text that the model reads
    calls.py             tools                                -> a JSON schema of calls; a text -> ToolCalls
    engine.py            token ids                            -> a Generation: pieces of text (the interface)
    on_transformers.py   the same, on transformers: one forward pass after the other
    decoding.py          logits                               -> tokens: penalty, prompt lookup, the end
    guide.py             logits and a JSON schema             -> the best tokens that the schema allows
    adapter.py           the small matrices that were trained for tool calls

Step 5 puts another engine behind the same backend, which decodes many texts at a time, and serves endpoint.py
over HTTP.
"""
