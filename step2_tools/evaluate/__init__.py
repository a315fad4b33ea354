"""How often does the model call the right tools? Labelled questions, styles of asking, scores, intervals."""
