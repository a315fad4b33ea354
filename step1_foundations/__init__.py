"""Step 1 of the roadmap: what a language model does. The landing page is README.md."""
