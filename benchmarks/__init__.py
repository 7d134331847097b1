"""Measures the exporter beside other servers, on the machine at hand: `make bench`."""
