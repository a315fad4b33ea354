"""The routes: HTTP in, calls of service.py, HTTP out."""
