"""When to ask: slots, backoff, budget and the loop of each operation; knows no metric."""
