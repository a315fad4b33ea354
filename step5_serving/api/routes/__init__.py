"""The routes, a small file for each group of them: HTTP in, calls of service.py, HTTP out."""
