"""Records of what commands found, the page made from them, the demo, and the check of the machine."""
