"""How it is told: the table of metrics and their rendering; no I/O, no clock."""
