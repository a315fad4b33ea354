"""The embedded backend: SmolLM2 in this process, behind a transport that speaks the Messages API."""
