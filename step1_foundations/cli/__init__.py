"""The command line: commands.py parses flags and runs the code, tables.py prints, pictures.py draws."""
