"""What learners have in a starter: status, hint, proof. See __main__.py."""
