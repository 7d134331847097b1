"""What is known: results in memory, counters, the file that survives a restart."""
