"""Records of what commands found, the page made from them, and the demo."""
