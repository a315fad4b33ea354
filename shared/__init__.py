"""Common ground of the five steps: configuration, model loading, and the page that gathers the figures."""
