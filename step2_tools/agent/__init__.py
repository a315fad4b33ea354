"""What makes a model an agent: a function as a tool, the loop that runs its calls, the answer's form."""
