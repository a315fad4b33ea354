"""Step 5: the retrieval system of step 3 as a service that one can operate."""
