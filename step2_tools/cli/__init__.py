"""The commands: parse the flags, call one function, print the result."""
