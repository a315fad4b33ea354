"""The commands: flags in, tables and JSON out."""
