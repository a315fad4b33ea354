"""What learners have in a starter: status, hint, watch, reset. See __main__.py."""
