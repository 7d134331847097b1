"""Wolkvox's skill_11 report as Prometheus metrics; the folders follow the data's way."""

__version__ = "0.1.0"
