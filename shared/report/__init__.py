"""Records of commands' results, the report page made from them, and the demo."""
