"""SmolLM2 in this process, behind an HTTP transport that speaks the Messages API."""
