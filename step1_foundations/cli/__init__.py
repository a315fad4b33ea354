"""The command line: commands.py parses flags and calls the lessons, tables.py prints, pictures.py draws."""
