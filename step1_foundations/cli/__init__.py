"""The command line: app.py has the flags; a module per command has its report, and shows and draws it."""
