"""Step 2: a command-line assistant that answers by calling weather, stock, currency and time tools."""
