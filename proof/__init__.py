"""Proof that the exporter holds: faults, fuzzing, crashes, soak, TLS (docs/reliability.md)."""
