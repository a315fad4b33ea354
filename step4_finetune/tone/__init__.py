"""What a reply should be: the guide and its rules, fidelity to the notes, and a score of both."""
