"""How often does the model call the right tools? Labelled questions, prompt styles, scores, intervals."""
